/** Limits on how much a peer may send (RFC 4271 6.7, RFC 4486 4): told of counts, says what is to be done. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { PeerConfig, PrefixLimit } from '../types.ts';
import { notification } from '../wire/notification.ts';
import { AFI, CEASE, ERROR, SAFI_UNICAST } from '../wire/registry.ts';
import type { NotificationError } from '../wire/types.ts';

/** Prefixes of a family from a peer. */
export interface PrefixCounts {
  readonly received: number;
  readonly accepted: number;
  /** left out for the limit */
  readonly discarded: number;
}

export type LimitVerdict =
  | { readonly kind: 'warn'; readonly family: Family; readonly message: string }
  | {
      readonly kind: 'stop';
      readonly family: Family;
      readonly error: NotificationError;
      readonly message: string;
      readonly restartSec: number | undefined;
    };

/** Remembers what was said, so that each level is told once until the count has fallen below it again. */
export class PrefixLimits {
  readonly #said: Record<Family, 0 | 1 | 2> = { ipv4: 0, ipv6: 0 };

  /** A new session: everything is told anew. */
  reset(): void {
    for (const family of FAMILIES) this.#said[family] = 0;
  }

  /** What an update brings about, or undefined. */
  check(config: PeerConfig, countsOf: (family: Family) => PrefixCounts): LimitVerdict | undefined {
    if (config.maxPrefixes === undefined) return undefined;
    for (const family of FAMILIES) {
      const limit = config.maxPrefixes[family];
      if (limit === undefined) continue;
      const verdict = this.#checkFamily(family, limit, countsOf(family));
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  }

  #checkFamily(family: Family, limit: PrefixLimit, counts: PrefixCounts): LimitVerdict | undefined {
    const discards = limit.action.kind === 'discard';
    const count = limitedCount(limit, counts);
    const over = discards ? counts.discarded > 0 : count > limit.limit;
    const level = over ? 2 : count * 100 >= limit.limit * limit.warnPercent ? 1 : 0;
    const before = this.#said[family];
    this.#said[family] = level;
    if (level <= before) return undefined;
    if (level === 1) {
      const message = `${count} ${family} prefixes ${limit.count}, ${limit.warnPercent} % of the limit of ${limit.limit}`;
      return { kind: 'warn', family, message };
    }
    if (limit.action.kind !== 'stop') {
      const what = discards ? 'further ones are left out' : 'nothing is done about it';
      return { kind: 'warn', family, message: `more than ${limit.limit} ${family} prefixes: ${what}` };
    }
    return {
      kind: 'stop',
      family,
      error: maximumReached(family, limit.limit),
      message: `${count} ${family} prefixes ${limit.count} where ${limit.limit} are the limit`,
      restartSec: limit.action.restartSec,
    };
  }
}

/** The prefixes that count for a limit: where further ones are left out, all received do. */
export function limitedCount(
  { count, action }: PrefixLimit,
  { received, accepted }: Pick<PrefixCounts, 'received' | 'accepted'>,
): number {
  return count === 'accepted' && action.kind !== 'discard' ? accepted : received;
}

/** RFC 4486 4: data are AFI, SAFI and the upper bound. */
function maximumReached(family: Family, limit: number): NotificationError {
  const data = new Uint8Array(7);
  const view = new DataView(data.buffer);
  view.setUint16(0, AFI[family]);
  data[2] = SAFI_UNICAST;
  view.setUint32(3, limit);
  return notification(ERROR.cease, CEASE.maximumPrefixesReached, data);
}
