/** Reading a `RouteTable`: one prefix, the longest match for an address, lists, failures, conflicts, counts. Allocates; not for hot paths. */
import { type Address, addressBits, FAMILIES, type Family } from '../../src/net/address.ts';
import { comparePrefixes, type Prefix } from '../../src/net/prefix.ts';
import type { PrefixTable } from '../../src/net/prefix-table.ts';
import { errnoName } from '../netlink/error-message.ts';
import { type FamilyRoutes, FLAG, NONE } from './family-routes.ts';
import { lacking, MembersOut } from './members-out.ts';
import type { RouteTable } from './route-table.ts';
import type {
  ForeignRoute,
  RouteConflict,
  RouteCounts,
  RouteFailure,
  RouteState,
  RouteView,
} from './types.ts';

/** about a millisecond's work */
const IDS_A_TURN = 16_384;
/** as much, where the state of each is asked for */
const COUNTED_A_STEP = 4096;

/** The view of a prefix, or undefined if neither we nor anybody else has a route there. */
export function viewOfPrefix(table: RouteTable, prefix: Prefix): RouteView | undefined {
  const routes = table.families[prefix.family];
  const id = routes.table.findPrefix(prefix);
  return id < 0 ? undefined : viewOf(table, routes, id);
}

/** The view of the longest prefix of ours that holds the address, whatever its state. */
export function viewOfAddress(table: RouteTable, address: Address): RouteView | undefined {
  const routes = table.families[address.family];
  const id = longestMatch(routes.table, address, (candidate) => isOfInterest(routes, candidate));
  return id < 0 ? undefined : viewOf(table, routes, id);
}

/** The foreign routes of the longest foreign prefix that holds the address. */
export function foreignRoutesOfAddress(table: RouteTable, address: Address): ForeignRoute[] {
  const foreign = table.kernel.foreign[address.family];
  const id = longestMatch(foreign.table, address);
  return id < 0 ? [] : foreign.at(id);
}

/** All prefixes of a family that are desired or hold a route of ours, in no order. The table may change between steps. */
export function* listRoutes(table: RouteTable, family: Family): Generator<RouteView, void, void> {
  const routes = table.families[family];
  for (let id = 0; id < routes.table.idLimit; id++) {
    if (routes.table.has(id) && isOfInterest(routes, id)) yield viewOf(table, routes, id);
  }
}

/** Those in one of these states, and undefined now and then: whoever walks a full table should let others have their turn. */
export function* listRoutesIn(
  table: RouteTable,
  family: Family,
  states: ReadonlySet<RouteState>,
): Generator<RouteView | undefined, void, void> {
  const routes = table.families[family];
  let members = new MembersOut(table);
  for (let id = 0; id < routes.table.idLimit; id++) {
    if (id % IDS_A_TURN === IDS_A_TURN - 1) {
      yield undefined;
      members = new MembersOut(table);
    }
    if (!routes.table.has(id) || !isOfInterest(routes, id)) continue;
    if (states.has(stateOf(table, routes, id, members))) yield viewOf(table, routes, id);
  }
}

/** Routes that the kernel refuses, at most `limit` a family. */
export function routeFailures(table: RouteTable, limit = 1000): RouteFailure[] {
  const failures: RouteFailure[] = [];
  for (const family of FAMILIES) {
    const routes = table.families[family];
    let left = limit;
    for (let id = 0; id < routes.table.idLimit && left > 0; id++) {
      const failure = routes.table.has(id) ? failureOf(table, routes, id) : undefined;
      if (failure === undefined) continue;
      failures.push(failure);
      left--;
    }
  }
  return failures;
}

/** Foreign routes at prefixes that we want, in order of the prefixes. */
export function routeConflicts(table: RouteTable): RouteConflict[] {
  const conflicts: RouteConflict[] = [];
  for (const family of FAMILIES) {
    const routes = table.families[family];
    const foreign = table.kernel.foreign[family];
    for (const foreignId of foreign.ids()) {
      const prefix = foreign.table.prefixOf(foreignId);
      const id = routes.table.findPrefix(prefix);
      const wanted = id < 0 ? NONE : routes.desired(id);
      if (wanted < 0) continue;
      const { metric } = table.targets.get(wanted);
      for (const route of foreign.at(foreignId)) {
        const effect = route.metric === metric ? 'blocks' : route.metric < metric ? 'shadows' : 'shadowed';
        conflicts.push({ prefix, effect, foreign: route });
      }
    }
  }
  return conflicts.sort((a, b) => comparePrefixes(a.prefix, b.prefix));
}

/** Numbers of one family: a walk over flag columns, some ten milliseconds for a full table. */
export function routeCounts(table: RouteTable, family: Family): RouteCounts {
  const steps = routeCountSteps(table, family);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** As `routeCounts`, in steps of about a millisecond. The table may change between them: each prefix counts as it is when it is met. */
export function* routeCountSteps(table: RouteTable, family: Family): Generator<undefined, RouteCounts, void> {
  const routes = table.families[family];
  const counts = {
    family,
    desired: 0,
    installed: 0,
    partial: 0,
    pending: 0,
    waiting: 0,
    failed: 0,
    blocked: 0,
    leftover: 0,
    held: 0,
  };
  let members = new MembersOut(table);
  for (let id = 0; id < routes.table.idLimit; id++) {
    if (id % COUNTED_A_STEP === COUNTED_A_STEP - 1) {
      yield undefined;
      members = new MembersOut(table);
    }
    if (!routes.table.has(id) || !isOfInterest(routes, id)) continue;
    const state = stateOf(table, routes, id, members);
    if (state !== 'leftover' && state !== 'removing' && state !== 'held') counts.desired++;
    if (state === 'removing') counts.pending++;
    else counts[state]++;
  }
  return counts;
}

function isOfInterest(routes: FamilyRoutes, id: number): boolean {
  return routes.desired(id) >= 0 || routes.kernelAt(id) !== NONE;
}

function stateOf(table: RouteTable, routes: FamilyRoutes, id: number, members: MembersOut): RouteState {
  const wanted = routes.desired(id);
  if (wanted < 0) {
    if (routes.has(id, FLAG.SUSPECT)) return 'held';
    return routes.has(id, FLAG.DOOMED) ? 'removing' : 'leftover';
  }
  const kernel = routes.kernelAt(id);
  const isInstalled = table.isWanted(routes, id, kernel);
  if (isInstalled || routes.has(id, FLAG.WAITING)) {
    if (members.of(wanted, kernel).length > 0) return 'partial';
    return isInstalled ? 'installed' : 'waiting';
  }
  if (routes.has(id, FLAG.BLOCKED)) return 'blocked';
  return routes.has(id, FLAG.FAILED) ? 'failed' : 'pending';
}

function failureOf(table: RouteTable, routes: FamilyRoutes, id: number): RouteFailure | undefined {
  if (!routes.has(id, FLAG.FAILED)) return undefined;
  const errno = routes.errno[id] ?? 0;
  return {
    prefix: routes.table.prefixOf(id),
    errno,
    code: errnoName(errno),
    text: table.texts[routes.text[id] ?? 0] ?? '',
    attempts: routes.attempts[id] ?? 0,
  };
}

function viewOf(table: RouteTable, routes: FamilyRoutes, id: number): RouteView {
  const prefix = routes.table.prefixOf(id);
  const wanted = routes.desired(id);
  const kernel = routes.kernelAt(id);
  const sources = routes.sourcesOf(id);
  const [source] = sources;
  const failure = failureOf(table, routes, id);
  const foreign = table.kernel.foreign[routes.family];
  const members = new MembersOut(table);
  const state = stateOf(table, routes, id, members);
  const out =
    state === 'partial' ? members.of(wanted, kernel) : state === 'waiting' ? lacking(table, wanted) : [];
  return {
    prefix,
    state,
    sources,
    foreign: foreign.at(foreign.table.findPrefix(prefix)),
    ...(source === undefined ? {} : { source }),
    ...(wanted < 0 ? {} : { desired: table.targets.get(wanted).target }),
    ...(kernel < 0 ? {} : { kernel: table.targetInKernel(kernel) }),
    ...(out.length === 0 ? {} : { out }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** The id of the longest prefix in `table` that holds the address, or -1. */
export function longestMatch(table: PrefixTable, address: Address, accept?: (id: number) => boolean): number {
  const view = new DataView(address.bytes.buffer, address.bytes.byteOffset, address.bytes.length);
  const word = (index: number): number =>
    address.family === 'ipv4' && index > 0 ? 0 : view.getInt32(4 * index);
  return table.longestMatch(addressBits(address.family), word(0), word(1), word(2), word(3), accept);
}
