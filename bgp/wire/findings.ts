/** What a check of an UPDATE found, and the one rule that makes a verdict of all findings (RFC 7606 2 and 3(h)). */
import { notification } from './notification.ts';
import { ERROR, UPDATE_ERROR } from './registry.ts';
import type { DiscardedAttribute, Verdict } from './types.ts';

/** RFC 7606 2, from weak to strong; "AFI/SAFI disable" is not used: where it may be, the session is reset. */
export type Action = 'attribute-discard' | 'treat-as-withdraw' | 'session-reset';

/** One thing wrong with an UPDATE. */
export interface Finding {
  readonly action: Action;
  /** of UPDATE Message Error: what RFC 4271 6.3 calls it */
  readonly subcode: number;
  readonly reason: string;
}

/** Makes a finding. */
export function finding(action: Action, subcode: number, reason: string): Finding {
  return { action, subcode, reason };
}

const OK: Verdict = { kind: 'ok' };
const DISCARD: Verdict = { kind: 'attribute-discard' };
const NONE: readonly DiscardedAttribute[] = [];

/** Collects the findings of one UPDATE at a time. */
export class Findings {
  #reset: Verdict | undefined;
  #withdraw: Extract<Verdict, { kind: 'treat-as-withdraw' }> | undefined;
  #discarded: DiscardedAttribute[] | undefined;

  /** Makes it ready for the next UPDATE. What was read of it so far stays as it is. */
  clear(): void {
    this.#reset = undefined;
    this.#withdraw = undefined;
    this.#discarded = undefined;
  }

  /** Records a finding; `data` (copied) are the octets at fault, for the NOTIFICATION. `code` is the attribute's, 0 for none. */
  add(found: Finding, code: number, data?: Uint8Array): void {
    if (found.action === 'attribute-discard') {
      this.#discarded ??= [];
      this.#discarded.push({ code, reason: found.reason });
      return;
    }
    // Of equally strong findings the first one names the error.
    if (found.action === 'session-reset' ? this.#reset : this.#withdraw) return;
    const error = notification(ERROR.updateMessage, found.subcode, data?.slice());
    if (found.action === 'session-reset') {
      this.#reset = { kind: 'session-reset', error, reason: found.reason };
    } else {
      this.#withdraw = { kind: 'treat-as-withdraw', error, reason: found.reason };
    }
  }

  get discarded(): readonly DiscardedAttribute[] {
    return this.#discarded ?? NONE;
  }

  get mustReset(): boolean {
    return this.#reset !== undefined;
  }

  /**
   * The strongest action wins (RFC 7606 3(h)). `hasReachable`: the message carries reachable NLRI; without any, what would be withdrawn cannot be
   * known for sure and the session is reset (5.2).
   */
  verdict(hasReachable: boolean): Verdict {
    if (this.#reset !== undefined) return this.#reset;
    if (this.#withdraw !== undefined) {
      if (hasReachable) return this.#withdraw;
      return {
        kind: 'session-reset',
        error: notification(ERROR.updateMessage, UPDATE_ERROR.malformedAttributeList),
        reason: `${this.#withdraw.reason}, in a message without reachable NLRI (RFC 7606 5.2)`,
      };
    }
    return this.#discarded === undefined ? OK : DISCARD;
  }
}
