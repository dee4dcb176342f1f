/** Link-local next hops of received routes belong to the interface of their peer (RFC 4007): brought into the RIB's own form at the door. */
import { rewriteKey } from '../policy/key-rewrite.ts';
import type { AttributeKey } from '../wire/types.ts';
import { type NextHopTable, scopeIn } from './next-hops.ts';

/**
 * A received key with its link-local next hop, alone or beside a global one, as the RIB writes it (`NextHopTable.scopeOf`), whatever the peer
 * wrote where the number of the interface goes. Between neighbours on one link that address is always right, a global one need not be
 * (RFC 2545 3). Other keys are returned as they are; a changed one is valid until the next rewriting.
 */
export function scopedKey(
  key: AttributeKey,
  interfaceName: string | undefined,
  nextHops: NextHopTable,
): AttributeKey {
  const octets = key[0] ?? 0;
  if (octets !== 16 && octets !== 32) return key;
  const at = octets - 15;
  if (key[at] !== 0xfe || ((key[at + 1] ?? 0) & 0xc0) !== 0x80) return key;
  const nextHop = key.slice(at, at + 16);
  const scope = interfaceName === undefined ? 0 : nextHops.scopeOf(interfaceName);
  if (scope === 0 && (octets === 32 || scopeIn(nextHop) === 0)) return key;
  nextHop[2] = scope >>> 8;
  nextHop[3] = scope;
  return rewriteKey(key, { nextHop });
}
