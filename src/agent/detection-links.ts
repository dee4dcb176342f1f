/** The kernel's links as autodetection reads them. */
import { IFA_F } from '../../fib/netlink/registry.ts';
import type { Link } from '../../fib/routes/link-table.ts';
import type { DetectionLink } from './autodetect.ts';

const UNUSABLE = IFA_F.SECONDARY | IFA_F.DEPRECATED | IFA_F.TENTATIVE | IFA_F.DADFAILED;
const GLOBAL_SCOPE = 0;

/** IFA_F_SECONDARY is IFA_F_TEMPORARY for IPv6 (linux/if_addr.h), so it stands for both. */
export function toDetectionLinks(links: readonly Link[]): DetectionLink[] {
  return links.map(({ ifindex, name, isUp, addresses }) => ({
    index: ifindex,
    name,
    up: isUp,
    addresses: addresses.map(({ address, length, flags, scope }) => ({
      address,
      length,
      usable: scope === GLOBAL_SCOPE && (flags & UNUSABLE) === 0,
    })),
  }));
}
