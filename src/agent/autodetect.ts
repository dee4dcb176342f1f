/**
 * Which addresses are this host's own towards its peers: Calico's `first-found`, with every candidate and reason kept for people.
 * Pure: works on a snapshot of links.
 */
import type { AddressCandidate } from '../api/views.ts';
import { FAMILIES, type Family, isLinkLocal, isLoopback } from '../net/address.ts';
import { formatInterfaceAddress, type InterfaceAddress } from '../net/prefix.ts';

/** One link as autodetection needs it. */
export interface DetectionLink {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly addresses: readonly (InterfaceAddress & {
    /** deprecated, tentative, temporary (RFC 8981) or secondary addresses are not offered */
    readonly usable: boolean;
  })[];
}

/** An address, or why there is none. */
export type Detection =
  | { readonly kind: 'found'; readonly address: InterfaceAddress; readonly interface: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'ambiguous'; readonly interface: string; readonly addresses: readonly string[] };

export interface DetectionResult {
  readonly families: Readonly<Record<Family, Detection>>;
  readonly candidates: readonly AddressCandidate[];
}

// Calico's list for first-found (node/pkg/lifecycle/startup/autodetection), and our own links.
const SKIPPED =
  /^(docker.*|cbr.*|dummy.*|podman.*|virbr.*|lxcbr.*|veth.*|lo|br-.*|cali.*|tunl.*|flannel.*|kube-ipvs.*|cni.*|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|nodelocaldns.*|oci.*|vxlan\.ocicat|vxlan-v6\.ocicat)$/;

/**
 * Looks at the links in order of index; per family the first link that has a usable global address decides. Two usable addresses of a
 * family on that link in different subnets are ambiguous.
 */
export function detectAddresses(links: readonly DetectionLink[]): DetectionResult {
  const candidates: AddressCandidate[] = [];
  const families: Record<Family, Detection> = { ipv4: { kind: 'none' }, ipv6: { kind: 'none' } };
  const ordered = [...links].sort((a, b) => a.index - b.index);
  for (const family of FAMILIES) {
    for (const link of ordered) {
      const usable: InterfaceAddress[] = [];
      for (const entry of link.addresses) {
        if (entry.address.family !== family) continue;
        const refusal = refusalOf(link, entry);
        if (refusal === undefined) usable.push(entry);
        else candidates.push(candidate(link, entry, false, refusal));
      }
      const first = usable[0];
      if (first === undefined) continue;
      const decided = families[family].kind !== 'none';
      if (!decided) {
        families[family] =
          usable.length === 1
            ? { kind: 'found', address: first, interface: link.name }
            : { kind: 'ambiguous', interface: link.name, addresses: usable.map(formatInterfaceAddress) };
      }
      for (const entry of usable) {
        const reason = decided
          ? 'an earlier interface has an address'
          : usable.length === 1
            ? 'first interface with a global address'
            : `${link.name} has ${usable.length} addresses`;
        candidates.push(candidate(link, entry, !decided && usable.length === 1, reason));
      }
    }
  }
  return { families, candidates };
}

function refusalOf(link: DetectionLink, entry: DetectionLink['addresses'][number]): string | undefined {
  if (isLoopback(entry.address)) return 'loopback address';
  if (SKIPPED.test(link.name)) return `${link.name} is a container or tunnel interface`;
  if (isLinkLocal(entry.address)) return 'link-local address';
  if (!link.up) return `${link.name} is down`;
  if (!entry.usable) return 'secondary, temporary, tentative or deprecated';
  return undefined;
}

function candidate(
  link: DetectionLink,
  entry: InterfaceAddress,
  chosen: boolean,
  reason: string,
): AddressCandidate {
  return {
    interface: link.name,
    address: formatInterfaceAddress(entry),
    family: entry.address.family,
    chosen,
    reason,
  };
}
