/** Tells of messages with something wrong in them, with reason and octets, and counts them. */
import type { Clock } from '../transport/clock.ts';
import { hexOf } from '../wire/bytes.ts';
import type { DecodedMessage } from '../wire/types.ts';
import type { SpeakerLog } from './events.ts';
import type { PeerTotals } from './peer-surroundings.ts';
import { RateLimit } from './rate-limit.ts';

/** Octets of a message that are shown. */
const HEX_OCTETS = 512;
/** Messages told of at once, and then one in this time. */
const BURST = 10;
const INTERVAL_MS = 10_000;

export class ProblemLog {
  readonly #peer: string;
  readonly #log: SpeakerLog;
  readonly #totals: PeerTotals;
  readonly #limit: RateLimit;

  constructor(peer: string, clock: Clock, log: SpeakerLog, totals: PeerTotals) {
    this.#peer = peer;
    this.#log = log;
    this.#totals = totals;
    this.#limit = new RateLimit(clock, BURST, INTERVAL_MS);
  }

  /** Tells of a decoded message, if there is something wrong with it. `octets` are the whole message. */
  tell(message: DecodedMessage, octets: Uint8Array): void {
    if (message.type === 'error') this.tellReset(message.reason, octets);
    if (message.type !== 'update') return;
    const { verdict, discarded } = message.update;
    switch (verdict.kind) {
      case 'ok':
        return;
      case 'attribute-discard':
        this.#totals.attributeDiscards += discarded.length;
        this.#tell(
          verdict.kind,
          () => discarded.map(({ code, reason }) => `attribute ${code}: ${reason}`).join('; '),
          octets,
        );
        return;
      case 'treat-as-withdraw':
        this.#totals.treatAsWithdraw += 1;
        this.#tell(verdict.kind, () => verdict.reason, octets);
        return;
      case 'session-reset':
        this.tellReset(verdict.reason, octets);
        return;
    }
  }

  /** Tells of octets that end the session; never left out, for sessions end rarely. */
  tellReset(reason: string, octets: Uint8Array): void {
    this.#emit('session-reset', reason, octets, this.#limit.take() ?? 0);
  }

  #tell(action: 'treat-as-withdraw' | 'attribute-discard', reason: () => string, octets: Uint8Array): void {
    const suppressed = this.#limit.take();
    if (suppressed !== undefined) this.#emit(action, reason(), octets, suppressed);
  }

  #emit(
    action: 'session-reset' | 'treat-as-withdraw' | 'attribute-discard',
    reason: string,
    octets: Uint8Array,
    suppressed: number,
  ): void {
    const hex = hexOf(octets.subarray(0, HEX_OCTETS));
    this.#log({
      type: 'malformed',
      peer: this.#peer,
      action,
      reason,
      hex,
      octets: octets.length,
      suppressed,
    });
  }
}
