import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Originator } from '../../../../../src/agent/bgp/originator.ts';
import { formatPrefix, hostPrefix, prefixContains } from '../../../../../src/net/prefix.ts';
import { address, prefix } from '../../../../support/net.ts';

/** An originator between a kernel and a speaker that count what they are asked. */
class Bench {
  readonly installed = new Set<string>();
  readonly links = new Map<string, string>();
  readonly blackholes = new Set<string>();
  readonly unexported = new Set<string>();
  /** what the speaker has, with its link */
  readonly told = new Map<string, string | undefined>();
  /** since `take` */
  #counts = { looked: 0, told: 0 };
  readonly originator = new Originator({
    routes: {
      isInstalled: (asked) => {
        this.#counts.looked++;
        return this.installed.has(formatPrefix(asked));
      },
      linkTo: (asked) => this.links.get(formatPrefix(asked)),
      setBlackhole: (block) => this.blackholes.add(formatPrefix(block)),
      removeBlackhole: (block) => this.blackholes.delete(formatPrefix(block)),
    },
    mayExport: (asked) => ![...this.unexported].some((each) => prefixContains(prefix(each), asked)),
  });
  readonly speaker = {
    originate: (announced: ReturnType<typeof prefix>, _: object, link?: string): void => {
      this.#counts.told++;
      this.told.set(formatPrefix(announced), link);
    },
    withdraw: (withdrawn: ReturnType<typeof prefix>): boolean => {
      this.#counts.told++;
      return this.told.delete(formatPrefix(withdrawn));
    },
  };

  constructor() {
    this.originator.attach(this.speaker);
  }

  /** The kernel has, or has not, a route; it announces that, and a slice of route work follows. */
  kernel(text: string, isThere: boolean): void {
    if (isThere) this.installed.add(text);
    else this.installed.delete(text);
    this.originator.doubt(prefix(text));
    this.originator.applied();
  }

  add(...blocks: string[]): void {
    this.originator.changeBlocks({ added: blocks.map(prefix), removed: [] });
  }

  remove(...blocks: string[]): void {
    this.originator.changeBlocks({ added: [], removed: blocks.map(prefix) });
  }

  up(id: string, ...addresses: string[]): void {
    this.originator.setEndpoint(id, addresses.map(address));
  }

  get advertised(): string[] {
    assert.deepEqual([...this.told.keys()].sort(), this.originator.originated.map(formatPrefix).sort());
    return [...this.told.keys()].sort();
  }

  /** Routes of the kernel that were looked at, and calls of the speaker, since the last time. */
  take(): { looked: number; told: number } {
    const counts = this.#counts;
    this.#counts = { looked: 0, told: 0 };
    return counts;
  }
}

describe('what a node originates', () => {
  it('is a block once its blackhole is in the kernel, and until it is gone', () => {
    const bench = new Bench();
    bench.add('10.65.1.0/26', 'fd00:65::/122');
    assert.deepEqual([...bench.blackholes], ['10.65.1.0/26', 'fd00:65::/122']);
    assert.deepEqual(bench.advertised, []);
    assert.equal(bench.originator.isComplete, false);
    bench.installed.add('10.65.1.0/26');
    bench.originator.applied();
    assert.deepEqual(bench.advertised, ['10.65.1.0/26']);
    assert.equal(bench.originator.isComplete, false);
    bench.installed.add('fd00:65::/122');
    assert.equal(bench.originator.isComplete, true);
    bench.originator.applied();
    assert.deepEqual(bench.advertised, ['10.65.1.0/26', 'fd00:65::/122']);
    bench.kernel('10.65.1.0/26', false);
    assert.deepEqual(bench.advertised, ['fd00:65::/122']);
    bench.remove('fd00:65::/122');
    assert.deepEqual(bench.advertised, []);
    assert.deepEqual([...bench.blackholes], ['10.65.1.0/26']);
  });

  it('is an address outside the blocks while its endpoint is up, with its link', () => {
    const bench = new Bench();
    bench.add('10.65.1.0/26');
    for (const text of ['10.65.1.0/26', '10.65.1.5/32', '10.65.2.7/32', 'fd00:65::7/128'])
      bench.installed.add(text);
    bench.links.set('10.65.2.7/32', 'oci1');
    bench.up('default.a', '10.65.1.5');
    bench.up('default.b', '10.65.2.7', 'fd00:65::7');
    bench.originator.applied();
    assert.deepEqual(bench.advertised, ['10.65.1.0/26', '10.65.2.7/32', 'fd00:65::7/128']);
    assert.equal(bench.told.get('10.65.2.7/32'), 'oci1');
    bench.links.set('10.65.2.7/32', 'oci2');
    bench.originator.renameLink('oci1');
    assert.equal(bench.told.get('10.65.2.7/32'), 'oci2');
    bench.installed.delete('10.65.2.7/32');
    bench.originator.doubtLink('oci2');
    bench.originator.applied();
    assert.deepEqual(bench.advertised, ['10.65.1.0/26', 'fd00:65::7/128']);
    bench.up('default.b');
    assert.deepEqual(bench.advertised, ['10.65.1.0/26']);
  });

  it('has a block of one address without a blackhole', () => {
    const bench = new Bench();
    bench.add('10.65.1.9/32');
    assert.deepEqual([...bench.blackholes], []);
    assert.equal(bench.originator.isComplete, true);
    bench.up('default.a', '10.65.1.9');
    bench.installed.add('10.65.1.9/32');
    bench.originator.applied();
    assert.deepEqual(bench.advertised, ['10.65.1.9/32']);
  });

  it('is told to a new speaker anew', () => {
    const bench = new Bench();
    bench.installed.add('10.65.1.0/26');
    bench.add('10.65.1.0/26');
    bench.originator.attach(undefined);
    bench.told.clear();
    assert.deepEqual(bench.advertised, []);
    bench.originator.attach(bench.speaker);
    assert.deepEqual(bench.advertised, ['10.65.1.0/26']);
  });

  it('is as a computation from the start would have it, whatever came in what order', () => {
    const BLOCKS = ['10.0.0.0/30', '10.0.0.4/30', '10.0.0.8/29', '10.0.0.9/32', 'fd00::/126'];
    const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.5', '10.0.0.9', '10.0.0.10', 'fd00::1', 'fd00::9'];
    const hosts = ADDRESSES.map((text) => formatPrefix(hostPrefix(address(text))));
    const step = fc.oneof(
      fc.record({ block: fc.constantFrom(...BLOCKS), isOurs: fc.boolean() }),
      fc.record({ id: fc.constantFrom('a', 'b', 'c'), addresses: fc.subarray(ADDRESSES, { maxLength: 3 }) }),
      fc.record({ route: fc.constantFrom(...BLOCKS, ...hosts), isThere: fc.boolean() }),
      fc.record({ pool: fc.constantFrom('10.0.0.0/29', 'fd00::/64'), isExported: fc.boolean() }),
      fc.record({ link: fc.constantFrom(...hosts), name: fc.constantFrom('oci1', 'oci2') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench();
        const blocks = new Set<string>();
        const endpoints = new Map<string, readonly string[]>();
        for (const each of steps) {
          if ('block' in each) {
            if (each.isOurs) blocks.add(each.block);
            else blocks.delete(each.block);
            if (each.isOurs) bench.add(each.block);
            else bench.remove(each.block);
          } else if ('id' in each) {
            endpoints.set(each.id, each.addresses);
            bench.up(each.id, ...each.addresses);
          } else if ('route' in each) {
            bench.kernel(each.route, each.isThere);
          } else if ('pool' in each) {
            if (each.isExported) bench.unexported.delete(each.pool);
            else bench.unexported.add(each.pool);
            bench.originator.reconsider();
          } else {
            const before = bench.links.get(each.link);
            bench.links.set(each.link, each.name);
            if (before === undefined) bench.originator.doubt(prefix(each.link));
            else bench.originator.renameLink(before);
          }
          bench.originator.applied();
          const outside = [...endpoints.values()]
            .flat()
            .map((text) => hostPrefix(address(text)))
            .filter(
              (host) =>
                ![...blocks].some(
                  (text) => text !== formatPrefix(host) && prefixContains(prefix(text), host),
                ),
            );
          const expected = [...blocks, ...outside.map(formatPrefix)].filter(
            (text) =>
              bench.installed.has(text) &&
              ![...bench.unexported].some((pool) => prefixContains(prefix(pool), prefix(text))),
          );
          assert.deepEqual(bench.advertised, [...new Set(expected)].sort());
          for (const [text, link] of bench.told) assert.equal(link, bench.links.get(text), text);
          assert.deepEqual(
            [...bench.blackholes].sort(),
            [...blocks].filter((text) => text !== '10.0.0.9/32').sort(),
          );
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the work of originating', () => {
  const outside = (index: number): string => `10.70.${index >> 8}.${index & 255}`;
  const inside = (index: number): string => `10.65.${index >> 8}.${index & 255}`;

  /** So many endpoints inside blocks, and so many outside, all in the kernel. */
  function loaded(count: number): Bench {
    const bench = new Bench();
    for (let index = 0; index < count; index++) {
      if (index % 64 === 0) {
        const block = `${inside(index)}/26`;
        bench.add(block);
        bench.kernel(block, true);
      }
      for (const text of [inside(index), outside(index)]) {
        bench.up(text, text);
        bench.kernel(`${text}/32`, true);
      }
    }
    assert.equal(bench.advertised.length, Math.ceil(count / 64) + count);
    bench.take();
    return bench;
  }

  for (const count of [100, 2000]) {
    describe(`beside ${count} endpoints in blocks and ${count} outside`, () => {
      let bench: Bench;
      before(() => {
        bench = loaded(count);
      });

      it('is nothing when routes of others are written', () => {
        for (let slice = 0; slice < 10; slice++) bench.originator.applied();
        assert.deepEqual(bench.take(), { looked: 0, told: 0 });
      });

      it('is nothing for an endpoint inside a block', () => {
        const text = inside(count);
        bench.up('new', text);
        bench.kernel(`${text}/32`, true);
        bench.up('new', text);
        bench.up('new');
        assert.deepEqual(bench.take(), { looked: 0, told: 0 });
      });

      it('is one prefix for an endpoint outside', () => {
        const text = outside(count);
        bench.up('new', text);
        bench.kernel(`${text}/32`, true);
        bench.up('new');
        const { looked, told } = bench.take();
        assert.equal(told, 2);
        assert.ok(looked <= 4, `${looked} looked at`);
      });

      it('is what leads to a link when that goes', () => {
        bench.links.set(`${outside(1)}/32`, 'oci1');
        bench.originator.doubt(prefix(`${outside(1)}/32`));
        bench.originator.applied();
        assert.equal(bench.told.get(`${outside(1)}/32`), 'oci1');
        bench.take();
        bench.originator.doubtLink('oci1');
        bench.originator.doubtLink('oci2');
        bench.originator.applied();
        assert.deepEqual(bench.take(), { looked: 1, told: 0 });
      });

      it('is a block and what lies in it when that comes and goes', () => {
        const block = '10.70.0.0/28';
        bench.installed.add(block);
        bench.add(block);
        bench.remove(block);
        const { looked, told } = bench.take();
        assert.equal(told, 2 * (16 + 1));
        assert.ok(looked <= 2 * (16 + 1), `${looked} looked at`);
      });
    });
  }
});
