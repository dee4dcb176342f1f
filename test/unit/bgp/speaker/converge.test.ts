/** Model-based: whatever happens to the network and the routes, two speakers end agreeing when it is left alone. */
import fc from 'fast-check';
import { learned, prefix, randomOf, stateOf, World } from './world.ts';

const PREFIXES = [
  '10.0.0.0/8',
  '10.1.0.0/16',
  '192.0.2.128/25',
  '2001:db8:1::/48',
  '2001:db8:2::/64',
  '::/0',
];

type Act =
  | { readonly kind: 'originate' | 'withdraw'; readonly host: 0 | 1; readonly prefix: string }
  | { readonly kind: 'cut' | 'heal' | 'reset-connections' | 'hard-reset' | 'bounce'; readonly host: 0 | 1 };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('originate' as const, 'withdraw' as const),
    host: fc.constantFrom(0 as const, 1 as const),
    prefix: fc.constantFrom(...PREFIXES),
  }),
  fc.record({
    kind: fc.constantFrom(
      'cut' as const,
      'heal' as const,
      'reset-connections' as const,
      'hard-reset' as const,
      'bounce' as const,
    ),
    host: fc.constantFrom(0 as const, 1 as const),
  }),
);

const steps = fc.array(fc.tuple(act, fc.integer({ min: 0, max: 15_000 })), { maxLength: 40 });

describe('speaker: two speakers over a network with cuts', () => {
  for (const graceful of [true, false]) {
    it(`always agree in the end, ${graceful ? 'with' : 'without'} graceful restart`, function () {
      this.timeout(60_000);
      fc.assert(
        fc.property(steps, fc.nat(), fc.integer({ min: 1, max: 64 }), (script, seed, piece) => {
          const random = randomOf(seed);
          const world = new World({ nextPiece: () => 1 + Math.floor(random() * piece * 16) }, seed);
          const hosts = [world.host(1, { graceful }), world.host(2, { graceful })] as const;
          const originated = [new Set<string>(), new Set<string>()] as const;
          for (const { speaker } of hosts) speaker.start();
          for (const [action, delay] of script) {
            world.clock.advance(delay);
            const { speaker } = hosts[action.host];
            switch (action.kind) {
              case 'originate':
                originated[action.host].add(action.prefix);
                speaker.originate(prefix(action.prefix));
                break;
              case 'withdraw':
                originated[action.host].delete(action.prefix);
                speaker.withdraw(prefix(action.prefix));
                break;
              case 'cut':
                world.internet.cut();
                break;
              case 'heal':
                world.internet.heal();
                break;
              case 'reset-connections':
                world.internet.resetAll();
                break;
              case 'hard-reset':
                speaker.reset('peer', 'hard');
                break;
              case 'bounce':
                speaker.disable('peer', 'bounce');
                speaker.enable('peer');
                break;
            }
          }
          world.internet.heal();
          world.clock.until(
            "both established, with exactly the other side's routes",
            () =>
              hosts.every((host) => stateOf(host) === 'Established') &&
              learned(hosts[0]).join() === expected(originated[1], originated[0]) &&
              learned(hosts[1]).join() === expected(originated[0], originated[1]),
            600_000,
          );
        }),
        { numRuns: 300 },
      );
    });
  }
});

/** What one side learns and selects: all of the other's, but for what it originates itself. */
function expected(theirs: ReadonlySet<string>, own: ReadonlySet<string>): string {
  return [...theirs]
    .filter((text) => !own.has(text))
    .sort()
    .join();
}
