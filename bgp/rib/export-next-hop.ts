/** The next hop that a path is announced with: RFC 4271 5.1.3, RFC 2545 3, RFC 8950. */
import { addressesEqual, addressFromBytes } from '../../src/net/address.ts';
import { prefixContainsAddress } from '../../src/net/prefix.ts';
import type { AttributeKey } from '../wire/types.ts';
import type { ExportRules } from './export-rules.ts';
import { scopeIn } from './next-hops.ts';

/** Whether our own next hop is announced with every path. What most external peers get: no third party comes into question. */
export function isAlwaysNextHop({ nextHop, peerKind, shared }: ExportRules): boolean {
  return nextHop === 'self' || (nextHop === 'auto' && peerKind === 'ebgp' && shared === undefined);
}

/** The next hop to announce for a path with that key, `selfNextHop` of the rules itself or another one; empty when there is none that the peer could use. */
export function nextHopFor(rules: ExportRules, key: AttributeKey, reflected: boolean): Uint8Array {
  const { nextHop, selfNextHop, peerKind, shared, notThird } = rules;
  const octets = Math.min(16, key[0] ?? 0);
  if (octets === 0 || isAlwaysNextHop(rules)) return selfNextHop;
  const received = key.slice(1, 1 + octets);
  // A link-local address means nothing to whoever is on another link (RFC 2545 3).
  if (scopeIn(received) !== 0) return reflected ? new Uint8Array(0) : selfNextHop;
  const fits =
    rules.family === 'ipv6' ? received.length === 16 : received.length === 4 || rules.extendedNextHop;
  if (nextHop === 'keep' || peerKind === 'ibgp') return fits ? received : new Uint8Array(0);
  if (!fits || shared === undefined) return selfNextHop;
  const address = addressFromBytes(received);
  const thirdParty =
    (notThird === undefined || !addressesEqual(address, notThird)) &&
    shared.some((subnet) => prefixContainsAddress(subnet, address));
  return thirdParty ? received : selfNextHop;
}
