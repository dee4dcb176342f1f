/** One batch of route messages under way: the octets to send, and what each message is for. Reused, allocates nothing per route. */
import { AF_INET, AF_INET6, NLM_F, RTM, RTN } from '../netlink/registry.ts';
import { type RouteFields, writeRoute, writeRouteDeletion } from '../netlink/route-message.ts';
import { MessageWriter } from '../netlink/writer.ts';
import type { FamilyRoutes } from './family-routes.ts';

/** Messages in a batch, after which it is sent: about 1 to 2 ms of the kernel's time. */
export const BATCH_MESSAGES = 500;
/** One prefix may add a few more when the batch is nearly full. */
const CAPACITY = BATCH_MESSAGES + 500;

/** What a message of a batch is for. */
export const OP = { CREATE: 0, REPLACE: 1, DELETE: 2, DELETE_EXTRA: 3 } as const;

/** A key by which a deletion matches; metric 0 matches any. */
export interface RouteKey {
  readonly table: number;
  readonly protocol: number;
  readonly metric: number;
}

/** Messages with their prefix id, purpose and target id, by index. */
export class RouteBatch {
  readonly writer = new MessageWriter(64 * 1024);
  readonly ids = new Int32Array(CAPACITY);
  readonly ops = new Uint8Array(CAPACITY);
  readonly targets = new Int32Array(CAPACITY);
  count = 0;

  reset(): void {
    this.writer.reset();
    this.count = 0;
  }

  get isFull(): boolean {
    return this.count >= BATCH_MESSAGES;
  }

  /** Adds a creation that fails if the key is taken (OP.CREATE), or a replacement without a gap (OP.REPLACE). */
  addWrite(routes: FamilyRoutes, id: number, op: number, target: number, fields: RouteFields): void {
    const { table } = routes;
    const isIpv4 = routes.family === 'ipv4';
    writeRoute(
      this.writer,
      RTM.NEWROUTE,
      NLM_F.CREATE | (op === OP.REPLACE ? NLM_F.REPLACE : NLM_F.EXCL),
      isIpv4 ? AF_INET : AF_INET6,
      table.lengthOf(id),
      table.wordOf(id, 0),
      isIpv4 ? 0 : table.wordOf(id, 1),
      isIpv4 ? 0 : table.wordOf(id, 2),
      isIpv4 ? 0 : table.wordOf(id, 3),
      fields,
    );
    this.#note(id, op, target);
  }

  /** Adds a deletion. */
  addDeletion(routes: FamilyRoutes, id: number, op: number, target: number, key: RouteKey): void {
    const { table } = routes;
    const isIpv4 = routes.family === 'ipv4';
    writeRouteDeletion(
      this.writer,
      isIpv4 ? AF_INET : AF_INET6,
      table.lengthOf(id),
      table.wordOf(id, 0),
      isIpv4 ? 0 : table.wordOf(id, 1),
      isIpv4 ? 0 : table.wordOf(id, 2),
      isIpv4 ? 0 : table.wordOf(id, 3),
      { ...key, type: RTN.UNSPEC },
      RTM.DELROUTE,
    );
    this.#note(id, op, target);
  }

  #note(id: number, op: number, target: number): void {
    this.ids[this.count] = id;
    this.ops[this.count] = op;
    this.targets[this.count] = target;
    this.count++;
  }
}
