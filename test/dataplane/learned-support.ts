/** A RIB with peers that feeds a programmer, for tests of the bridge between the two. */
import type { Rib } from '../../bgp/rib/rib.ts';
import type { PathAttributes } from '../../bgp/wire/types.ts';
import { NextHopTracker } from '../../fib/routes/next-hops.ts';
import { LearnedRoutes } from '../../src/agent/learned-routes.ts';
import {
  announcement,
  attributes,
  contextOf,
  makeRib,
  type PeerChanges,
  peerConfig,
  sessionOf,
  settle,
  withdrawal,
} from '../unit/bgp/rib/support.ts';
import type { Programmer, RoutesBench } from './routes-support.ts';

const PREFIXES_PER_UPDATE = 200;

/** A RIB whose selection goes to the programmer's kernel. */
export function fed(bench: RoutesBench, programmer: Programmer, maxPaths = 2, advertiseAtOnce = false): Rib {
  const rib = makeRib({
    trackNextHops: true,
    maxPaths,
    relaxAsPath: true,
    onWork: () => setImmediate(() => settle(rib)),
  });
  const tracker = bench.opened(new NextHopTracker(programmer.kernel));
  bench.opened(new LearnedRoutes(rib, programmer.routes, tracker, advertiseAtOnce));
  return rib;
}

/** A peer of a RIB whose session is up. */
export class Neighbour {
  readonly #rib: Rib;
  readonly #id: number;
  readonly #config: ReturnType<typeof peerConfig>;

  constructor(rib: Rib, changes: PeerChanges) {
    this.#rib = rib;
    this.#config = peerConfig(changes);
    this.#id = rib.addPeer(this.#config);
    this.up();
  }

  up(): void {
    this.#rib.peerUp(this.#id, sessionOf(this.#config, { context: this.#context }));
  }

  /** The session is reset; nothing of it is kept. The RIB has not worked on it yet when this returns. */
  down(): void {
    this.#rib.peerDown(this.#id, []);
  }

  get #context(): ReturnType<typeof contextOf> {
    return contextOf(this.#config, { extendedNextHop: true });
  }

  announce(prefixes: readonly string[], carried: Partial<PathAttributes>): void {
    for (let at = 0; at < prefixes.length; at += PREFIXES_PER_UPDATE) {
      const part = prefixes.slice(at, at + PREFIXES_PER_UPDATE);
      this.#rib.receive(this.#id, announcement(this.#context, part, attributes(carried)), 0);
    }
    settle(this.#rib);
  }

  withdraw(prefixes: readonly string[]): void {
    this.#rib.receive(this.#id, withdrawal(this.#context, prefixes), 0);
    settle(this.#rib);
  }
}
