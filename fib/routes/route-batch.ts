/** One batch of route messages under way: the octets to send, and what each message is for. Reused, allocates nothing per route. */
import { AF_INET, AF_INET6, NLM_F, RTM, RTN } from '../netlink/registry.ts';
import { type RouteFields, repeatRoute, writeRoute, writeRouteDeletion } from '../netlink/route-message.ts';
import { MessageWriter } from '../netlink/writer.ts';
import { MOST_MESSAGES } from './batch-size.ts';
import type { FamilyRoutes } from './family-routes.ts';

/** One prefix may add a few more when the batch is nearly full. */
const CAPACITY = MOST_MESSAGES + 500;

/** What a message of a batch is for. */
export const OP = { CREATE: 0, REPLACE: 1, DELETE: 2, DELETE_EXTRA: 3 } as const;

/** Whose routes a deletion may match. */
export interface RouteOwner {
  readonly table: number;
  readonly protocol: number;
}

/** Messages of one family with their prefix id, purpose and target id, by index. */
export class RouteBatch {
  readonly writer = new MessageWriter(64 * 1024);
  readonly ids = new Int32Array(CAPACITY);
  readonly ops = new Uint8Array(CAPACITY);
  readonly targets = new Int32Array(CAPACITY);
  count = 0;
  /** messages of this batch by target and purpose: others differ from them in the destination alone */
  readonly #patterns = new Map<number, Int32Array>();

  reset(): void {
    this.writer.reset();
    this.count = 0;
    this.#patterns.clear();
  }

  /** Adds a creation that fails if the key is taken (OP.CREATE), or a replacement without a gap (OP.REPLACE). */
  addWrite(routes: FamilyRoutes, id: number, op: number, target: number, fields: RouteFields): void {
    if (this.#repeats(routes, id, op, target)) return;
    const [family, length, w0, w1, w2, w3] = destinationOf(routes, id);
    const at = this.writer.length;
    const flags = NLM_F.CREATE | (op === OP.REPLACE ? NLM_F.REPLACE : NLM_F.EXCL);
    writeRoute(this.writer, RTM.NEWROUTE, flags, family, length, w0, w1, w2, w3, fields);
    this.#keep(op, target, length, at);
  }

  /** Adds a deletion. It matches by the metric too; 0 matches any. */
  addDeletion(
    routes: FamilyRoutes,
    id: number,
    op: number,
    target: number,
    { table: tableId, protocol }: RouteOwner,
    metric: number,
  ): void {
    if (this.#repeats(routes, id, op, target)) return;
    const [family, length, w0, w1, w2, w3] = destinationOf(routes, id);
    const at = this.writer.length;
    const key = { table: tableId, protocol, metric, type: RTN.UNSPEC };
    writeRouteDeletion(this.writer, family, length, w0, w1, w2, w3, key, RTM.DELROUTE);
    this.#keep(op, target, length, at);
  }

  /** Notes what the next message is for, and adds it where it differs from one of the batch in the destination alone; whether it did. */
  #repeats(routes: FamilyRoutes, id: number, op: number, target: number): boolean {
    const { table } = routes;
    const isIpv4 = routes.family === 'ipv4';
    const family = isIpv4 ? AF_INET : AF_INET6;
    const length = table.lengthOf(id);
    const w0 = table.wordOf(id, 0);
    const w1 = isIpv4 ? 0 : table.wordOf(id, 1);
    const w2 = isIpv4 ? 0 : table.wordOf(id, 2);
    const w3 = isIpv4 ? 0 : table.wordOf(id, 3);
    const pattern = this.#note(id, op, target, length);
    if (pattern === undefined) return false;
    repeatRoute(this.writer, pattern, family, length, w0, w1, w2, w3);
    return true;
  }

  /** Notes what the next message is for; returns one that differs in the destination alone, if there is any. */
  #note(id: number, op: number, target: number, length: number): Int32Array | undefined {
    this.ids[this.count] = id;
    this.ops[this.count] = op;
    this.targets[this.count] = target;
    this.count++;
    // A default route's message has no destination.
    return length === 0 ? undefined : this.#patterns.get(patternKey(op, target));
  }

  #keep(op: number, target: number, length: number, at: number): void {
    if (length > 0) this.#patterns.set(patternKey(op, target), this.writer.copyFrom(at));
  }
}

/** Family, length and words of a route's destination. Allocates: for the first message of its kind in a batch. */
function destinationOf(
  { family, table }: FamilyRoutes,
  id: number,
): readonly [family: number, length: number, w0: number, w1: number, w2: number, w3: number] {
  const length = table.lengthOf(id);
  const w0 = table.wordOf(id, 0);
  if (family === 'ipv4') return [AF_INET, length, w0, 0, 0, 0];
  return [AF_INET6, length, w0, table.wordOf(id, 1), table.wordOf(id, 2), table.wordOf(id, 3)];
}

/** Purposes are 0..3, targets from UNKNOWN on (what is doubtful is named by its target). */
function patternKey(op: number, target: number): number {
  return 4 * target + op;
}
