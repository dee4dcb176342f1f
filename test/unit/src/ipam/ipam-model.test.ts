/**
 * IPAM against a model: random requests on two hosts, each of which may be cut off at any write, as a crash does. Whatever happens, no
 * address has two holders, what a host was told it has it keeps, and after a restart every invariant holds.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { IpamError } from '../../../../src/ipam/errors.ts';
import { Ipam } from '../../../../src/ipam/ipam.ts';
import type { Pool } from '../../../../src/ipam/pools.ts';
import { FAMILIES, type Family, formatAddress } from '../../../../src/net/address.ts';
import { CONFIG_KEY, type IpamConfigDocument } from '../../../../src/store/ipam-documents.ts';
import { MemoryIpamStore } from '../../../support/memory-ipam-store.ts';
import { address, prefix } from '../../../support/net.ts';

const HOSTS = ['host-a', 'host-b', 'host-c'] as const;

type Step =
  | {
      readonly type: 'assign';
      readonly host: number;
      readonly handle: number;
      readonly families: readonly Family[];
    }
  | { readonly type: 'fixed'; readonly host: number; readonly handle: number; readonly last: number }
  | { readonly type: 'release'; readonly host: number; readonly handle: number }
  | { readonly type: 'release-address'; readonly host: number; readonly handle: number }
  | { readonly type: 'toggle-pool' }
  | { readonly type: 'wait' };

/** One kind of world: settings, and whether the hosts use the same handles (endpoints of one name on each). */
interface Variant {
  readonly title: string;
  readonly config: IpamConfigDocument;
  readonly sharesHandles: boolean;
}

const VARIANTS: readonly Variant[] = [
  {
    title: 'strict',
    config: { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 0 },
    sharesHandles: false,
  },
  {
    title: 'lax: borrowing and reclaiming',
    config: { strict_affinity: false, auto_allocate_blocks: true, maxBlocksPerHost: 0 },
    sharesHandles: true,
  },
  {
    title: 'lax with a cooldown',
    config: {
      strict_affinity: false,
      auto_allocate_blocks: true,
      maxBlocksPerHost: 0,
      ipCooldownSeconds: 30,
    },
    sharesHandles: false,
  },
];

/** `crashAfter`: the process dies before this write of the step; undefined: it does not. */
interface Move {
  readonly step: Step;
  readonly crashAfter: number | undefined;
}

class Crash extends Error {}

const host = fc.integer({ min: 0, max: HOSTS.length - 1 });
const handle = fc.integer({ min: 0, max: 7 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('assign' as const),
      host,
      handle,
      families: fc.subarray([...FAMILIES], { minLength: 1 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('fixed' as const),
      host,
      handle,
      last: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('release' as const), host, handle }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('release-address' as const), host, handle }) },
  { weight: 1, arbitrary: fc.constant({ type: 'toggle-pool' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'wait' as const }) },
);
const move: fc.Arbitrary<Move> = fc.record({
  step,
  crashAfter: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined, freq: 2 }),
});

/** The system under test with what we were told by it. */
class World {
  readonly store = new MemoryIpamStore();
  readonly #ipams = new Map<number, Ipam>();
  /** `host/handle` -> addresses */
  readonly told = new Map<string, string[]>();
  #clockNs = 1_757_000_000_000_000_000n;
  #isSmallPoolOff = false;
  readonly variant: Variant;

  constructor(variant: Variant) {
    this.variant = variant;
  }

  async configure(): Promise<void> {
    await this.store.create(CONFIG_KEY, this.variant.config);
  }

  /** Longer than a cooldown and than a block must be empty before others take it. */
  wait(): void {
    this.#clockNs += 61_000_000_000n;
  }

  #pools(): Pool[] {
    const common = {
      nodeSelector: '',
      namespaceSelector: '',
      allowedUses: ['Workload'],
      assignmentMode: 'Automatic',
    } as const;
    return [
      { name: 'a4', cidr: prefix('10.0.0.0/30'), blockSize: 31, isDisabled: this.#isSmallPoolOff, ...common },
      { name: 'b4', cidr: prefix('10.0.1.0/29'), blockSize: 31, isDisabled: false, ...common },
      { name: 'c6', cidr: prefix('fd00::/125'), blockSize: 126, isDisabled: false, ...common },
    ];
  }

  async ipam(index: number): Promise<Ipam> {
    const present = this.#ipams.get(index);
    if (present !== undefined) return present;
    const made = new Ipam({
      store: this.store,
      host: HOSTS[index] ?? '',
      pools: () => this.#pools(),
      selectsNode: () => true,
      nowNs: () => this.#clockNs++,
    });
    await made.start();
    this.#ipams.set(index, made);
    return made;
  }

  async restart(index: number): Promise<void> {
    this.#ipams.get(index)?.stop();
    this.#ipams.delete(index);
    await this.ipam(index);
  }

  togglePool(): void {
    this.#isSmallPoolOff = !this.#isSmallPoolOff;
  }
}

async function run(world: World, { step, crashAfter }: Move): Promise<void> {
  if (step.type === 'toggle-pool') {
    world.togglePool();
    for (const index of HOSTS.keys()) await (await world.ipam(index)).giveUpUnwantedBlocks();
    return;
  }
  if (step.type === 'wait') {
    world.wait();
    return;
  }
  const ipam = await world.ipam(step.host);
  const name = `${HOSTS[step.host]}.c${step.handle}`;
  const handle = world.variant.sharesHandles ? `c${step.handle}` : name;
  const before = world.told.get(name) ?? [];
  let writes = 0;
  world.store.beforeWrite = () => {
    if (crashAfter !== undefined && writes++ >= crashAfter) throw new Crash();
  };
  try {
    switch (step.type) {
      case 'assign': {
        const given = await ipam.assign({ handle, families: step.families, attributes: {} });
        assert.deepEqual(
          given.map(({ address: { family } }) => family),
          FAMILIES.filter((each) => step.families.includes(each)),
        );
        world.told.set(
          name,
          Array.from(new Set([...before, ...given.map((each) => formatAddress(each.address))])),
        );
        break;
      }
      case 'fixed': {
        const wanted = `10.0.1.${step.last}`;
        const given = await ipam.assign({
          handle,
          families: [],
          attributes: {},
          addresses: [address(wanted)],
        });
        assert.deepEqual(
          given.map((each) => formatAddress(each.address)),
          [wanted],
        );
        world.told.set(name, Array.from(new Set([...before, wanted])));
        break;
      }
      case 'release': {
        const released = (await ipam.releaseHandle(handle)).map(formatAddress);
        assert.deepEqual(released.toSorted(), before.toSorted());
        world.told.delete(name);
        break;
      }
      case 'release-address': {
        const [first] = before;
        if (first === undefined) break;
        const [outcome] = await ipam.releaseAddresses([{ address: address(first), handle }]);
        assert.equal(outcome?.outcome, 'released');
        world.told.set(name, before.slice(1));
        break;
      }
    }
  } catch (error) {
    if (error instanceof Crash) {
      world.store.beforeWrite = () => {};
      await world.restart(step.host);
      await settleAfterCrash(world, step, { name, handle }, before);
    } else if (!(error instanceof IpamError)) throw error;
  } finally {
    world.store.beforeWrite = () => {};
  }
}

/** A crash may have lost the answer, never an address that had been told before (unless it was being released). */
async function settleAfterCrash(
  world: World,
  step: Step,
  { name, handle }: { readonly name: string; readonly handle: string },
  before: readonly string[],
): Promise<void> {
  if (step.type === 'toggle-pool' || step.type === 'wait') return;
  const held = await (await world.ipam(step.host)).assignmentsOf(handle);
  const now = held.map((each) => formatAddress(each.address));
  const isReleasing = step.type === 'release' || step.type === 'release-address';
  if (isReleasing) assert(now.every((text) => before.includes(text)));
  else assert(before.every((text) => now.includes(text)));
  world.told.set(name, now);
}

async function assertSound(world: World): Promise<void> {
  const ipam = await world.ipam(0);
  // Where hosts take each other's blocks, what one left half-way is mended by the other at its next need.
  const violations = (await ipam.check()).filter(
    ({ isTransient }) => world.variant.config.strict_affinity || !isTransient,
  );
  assert.deepEqual(violations, []);
  const holders = new Map<string, string>();
  for (const index of HOSTS.keys()) {
    for (const each of await (await world.ipam(index)).assignments()) {
      const text = formatAddress(each.address);
      assert.equal(holders.get(text), undefined, `${text} has two holders`);
      holders.set(text, `${HOSTS[index]}.${each.handle.slice(-2)}`);
    }
  }
  const told = Array.from(world.told).flatMap(([name, texts]) =>
    texts.map((text): [string, string] => [text, name]),
  );
  assert.deepEqual(Array.from(holders).toSorted(), told.toSorted());
}

describe('ipam model', () => {
  for (const variant of VARIANTS)
    it(`random requests and crashes on three hosts keep every invariant (${variant.title})`, async function () {
      this.timeout(60_000);
      await fc.assert(
        fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 40 }), async (moves) => {
          const world = new World(variant);
          await world.configure();
          for (const each of moves) {
            await run(world, each);
            await assertSound(world);
          }
        }),
        { numRuns: 300 },
      );
    });
});
