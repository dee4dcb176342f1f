/** Model-based: whatever happens to the network, the speakers and the routes, two speakers end agreeing when they are left alone. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PeerConfig } from '../../../../bgp/types.ts';
import { FAMILIES } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { address, type Host, type PeerChange, prefix, randomOf, stateOf, World } from './world.ts';

const PREFIXES = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '192.0.2.128/25',
  '2001:db8:1::/48',
  '2001:db8:2::/64',
  '::/0',
];

/** What two speakers may have agreed upon. */
const TERMS: Readonly<Record<string, PeerChange>> = {
  'no graceful restart': { graceful: false },
  'graceful restart': {},
  'graceful restart over NOTIFICATIONs (RFC 8538)': {
    gracefulRestart: { restartTimeSec: 20, maxHelperTimeSec: 120, notification: true },
  },
  'all there is': {
    gracefulRestart: { restartTimeSec: 5, maxHelperTimeSec: 20, notification: true },
    longLivedGracefulRestart: { staleTimeSec: 60, maxHelperTimeSec: 40 },
    enhancedRouteRefresh: true,
    extendedMessages: true,
    addPath: { receive: FAMILIES, send: FAMILIES },
  },
};

/** Other configurations that a host may have for a while. */
const CHANGES: readonly Partial<PeerConfig>[] = [
  { holdTimeSec: 30 },
  { families: ['ipv4'] },
  { passive: true },
  { adminDown: true },
  { exportPolicy: { name: 'none', rules: [], fallThrough: 'reject' } },
  { importPolicy: { name: 'none', rules: [], fallThrough: 'reject' } },
  { gracefulShutdown: true },
  {},
];

type Which = 0 | 1;

type Act =
  | {
      readonly kind: 'originate' | 'withdraw';
      readonly host: Which;
      readonly prefix: string;
      readonly med: number;
    }
  | { readonly kind: 'configure'; readonly host: Which; readonly change: Partial<PeerConfig> }
  | {
      readonly kind:
        | 'cut'
        | 'heal'
        | 'reset-connections'
        | 'hard-reset'
        | 'bounce'
        | 'soft-in'
        | 'soft-out'
        | 'restart'
        | 'power-loss';
      readonly host: Which;
    };

const host = fc.constantFrom<Which[]>(0, 1);

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('originate' as const, 'withdraw' as const),
      host,
      prefix: fc.constantFrom(...PREFIXES),
      med: fc.nat(2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('configure' as const),
      host,
      change: fc.constantFrom(...CHANGES),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'cut' as const,
        'heal' as const,
        'reset-connections' as const,
        'hard-reset' as const,
        'bounce' as const,
        'soft-in' as const,
        'soft-out' as const,
        'restart' as const,
        'power-loss' as const,
      ),
      host,
    }),
  },
);

const steps = fc.array(fc.tuple(act, fc.integer({ min: 0, max: 15_000 })), { maxLength: 40 });

/** Two hosts and what each of them originates: prefix -> MED. */
class Model {
  readonly hosts: [Host, Host];
  readonly originated = [new Map<string, number>(), new Map<string, number>()] as const;
  readonly #world: World;
  readonly #terms: PeerChange;

  constructor(world: World, terms: PeerChange) {
    this.#world = world;
    this.#terms = terms;
    this.hosts = [world.host(1, terms), world.host(2, terms)];
    for (const { speaker } of this.hosts) speaker.start();
  }

  perform(action: Act): void {
    const { speaker, config } = this.hosts[action.host];
    switch (action.kind) {
      case 'originate':
        this.originated[action.host].set(action.prefix, action.med);
        speaker.originate(prefix(action.prefix), { med: action.med });
        break;
      case 'withdraw':
        this.originated[action.host].delete(action.prefix);
        speaker.withdraw(prefix(action.prefix));
        break;
      case 'configure':
        speaker.setPeers([{ ...config, ...action.change }]);
        break;
      case 'cut':
        this.#world.internet.cut();
        break;
      case 'heal':
        this.#world.internet.heal();
        break;
      case 'reset-connections':
        this.#world.internet.resetAll();
        break;
      case 'hard-reset':
      case 'soft-in':
      case 'soft-out':
        speaker.reset('peer', action.kind === 'hard-reset' ? 'hard' : action.kind);
        break;
      case 'bounce':
        speaker.disable('peer', 'bounce');
        speaker.enable('peer');
        break;
      case 'restart':
        this.#restart(action.host);
        break;
      case 'power-loss':
        this.#world.internet.vanish(address(`192.0.2.${action.host + 1}`));
        this.#restart(action.host);
        break;
    }
  }

  /** A new process in the place of the old one, which finds the kernel's routes as they were. */
  #restart(which: Which): void {
    void this.hosts[which].speaker.stop({ mode: 'keep-forwarding' });
    const gracefulRestart = { forwardingPreserved: { ipv4: true, ipv6: true }, deferralSec: 30 };
    const fresh = this.#world.host(which === 0 ? 1 : 2, this.#terms, { gracefulRestart });
    this.hosts[which] = fresh;
    for (const [text, med] of this.originated[which]) fresh.speaker.originate(prefix(text), { med });
    fresh.speaker.start();
  }

  /** The network whole, the configuration as at the beginning. */
  settle(): void {
    this.#world.internet.heal();
    for (const { speaker, config } of this.hosts) {
      speaker.setPeers([config]);
      speaker.enable('peer');
    }
    this.#world.clock.until(
      "both established, with exactly the other side's routes, none of them stale",
      () => this.hosts.every((each) => stateOf(each) === 'Established' && !hasStale(each)) && this.#agree(),
      900_000,
    );
    // And it stays so: no timer of what was before takes anything away.
    this.#world.clock.advance(200_000);
    assert.ok(this.hosts.every((each) => stateOf(each) === 'Established'));
    assert.ok(this.#agree(), 'they still agree minutes later');
  }

  #agree(): boolean {
    const [one, two] = this.hosts;
    const [ones, twos] = this.originated;
    return selected(one).join() === expected(twos, ones) && selected(two).join() === expected(ones, twos);
  }
}

/** What is learned and used: `10.0.0.0/8 1`, with the MED. */
function selected({ speaker }: Host): string[] {
  return FAMILIES.flatMap((family) =>
    [...speaker.rib.routes({ family })].flatMap(({ prefix: found, source, best, attributes }) =>
      source.kind === 'peer' && best ? `${formatPrefix(found)} ${attributes.med}` : [],
    ),
  ).sort();
}

function hasStale({ speaker }: Host): boolean {
  const status = speaker.peer('peer');
  return FAMILIES.some((family) => (status?.families[family].stale ?? 0) > 0);
}

/** What one side learns and selects: all of the other's, but for what it originates itself. */
function expected(theirs: ReadonlyMap<string, number>, own: ReadonlyMap<string, number>): string {
  return [...theirs]
    .flatMap(([text, med]) => (own.has(text) ? [] : `${text} ${med}`))
    .sort()
    .join();
}

describe('speaker: two speakers over a network with cuts, restarts, refreshes and changes', () => {
  for (const [name, terms] of Object.entries(TERMS)) {
    it(`always agree in the end: ${name}`, function () {
      this.timeout(60_000);
      fc.assert(
        fc.property(steps, fc.nat(), fc.integer({ min: 1, max: 64 }), (script, seed, piece) => {
          const random = randomOf(seed);
          const world = new World({ nextPiece: () => 1 + Math.floor(random() * piece * 16) }, seed);
          const model = new Model(world, terms);
          for (const [action, delay] of script) {
            world.clock.advance(delay);
            model.perform(action);
          }
          model.settle();
        }),
        { numRuns: 100 },
      );
    });
  }
});
