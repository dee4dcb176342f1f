/** Messages that passed, by type; two additions a message. */
import type { MessageTypeCounts } from '../peer-status.ts';
import { MESSAGE_TYPE } from '../wire/registry.ts';

const TYPES = 6;

/** Messages of one direction. */
export class MessageCounts {
  readonly #byType = new Float64Array(TYPES);

  /** One more of a type, 1..5, or `count` more. */
  add(type: number, count = 1): void {
    this.#byType[type] = (this.#byType[type] ?? 0) + count;
  }

  /** All that another has counted. */
  addAll(other: MessageCounts): void {
    for (let type = 0; type < TYPES; type++) {
      this.#byType[type] = (this.#byType[type] ?? 0) + (other.#byType[type] ?? 0);
    }
  }

  get total(): number {
    return this.#byType.reduce((sum, count) => sum + count, 0);
  }

  get byType(): MessageTypeCounts {
    const of = (type: number): number => this.#byType[type] ?? 0;
    return {
      open: of(MESSAGE_TYPE.open),
      update: of(MESSAGE_TYPE.update),
      notification: of(MESSAGE_TYPE.notification),
      keepalive: of(MESSAGE_TYPE.keepalive),
      routeRefresh: of(MESSAGE_TYPE.routeRefresh),
    };
  }
}
