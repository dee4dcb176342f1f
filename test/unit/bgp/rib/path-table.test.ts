/** Records of paths against a map of what they should be. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AttributeStore } from '../../../../bgp/rib/attribute-store.ts';
import { NextHopTable } from '../../../../bgp/rib/next-hops.ts';
import { PathTable } from '../../../../bgp/rib/path-table.ts';
import { encodeAttributes } from '../../../../bgp/wire/attribute-key.ts';
import { PrefixTable } from '../../../../src/net/prefix-table.ts';
import { attributes } from './support.ts';

interface Path {
  readonly record: number;
  readonly effective: number;
  readonly pathId: number;
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom('add', 'add', 'add', 'row', 'remove', 'front', 'lose'),
    prefix: fc.nat(40),
    peer: fc.constantFrom(1, 2, 17, 65_535),
    pathId: fc.constantFrom(0, 0, 7, 0xffff_ffff),
    count: fc.integer({ min: 1, max: 900 }),
  }),
  { maxLength: 120, size: 'max' },
);

describe('table of paths', () => {
  it('finds, walks and counts what is there, whatever came and went', () => {
    fc.assert(
      fc.property(steps, (history) => {
        const table = new Table();
        for (const step of history) {
          const { prefix, peer, pathId } = step;
          if (step.what === 'add') table.add(prefix, peer, pathId);
          else if (step.what === 'row') table.addRow(peer, step.count);
          else if (step.what === 'remove') table.remove(prefix, peer, pathId);
          else if (step.what === 'front') table.moveToFront(prefix, peer, pathId);
          else table.lose(peer);
        }
        table.check();
      }),
      { numRuns: 60 },
    );
  });

  it('ends a walk during which all records of the peer went, and some came again', () => {
    const table = new Table();
    table.addRow(1, 300);
    const first = table.paths.nextRecordOf(1, 0);
    const cursor = table.paths.walked;
    assert.ok(first >= 0);
    table.lose(1);
    assert.equal(table.paths.nextRecordOf(1, cursor), -1);
    table.addRow(2, 10);
    table.addRow(1, 10);
    assert.equal(table.paths.nextRecordOf(1, cursor), -1, 'that page is of another peer');
    table.check();
  });
});

/** The table, and what should be in it. */
class Table {
  readonly paths: PathTable;
  readonly #prefixes: PrefixTable;
  readonly #attributes: AttributeStore;
  readonly #attribute: number;
  /** by prefix, then by peer and path identifier */
  readonly #known = new Map<number, Map<string, Path>>();
  #effective = 0;
  #rows = 0;

  constructor() {
    this.#attributes = new AttributeStore(new NextHopTable(false));
    this.#prefixes = new PrefixTable('ipv4', 16, this.#attributes.core);
    this.paths = new PathTable(this.#prefixes, this.#attributes);
    this.#attribute = this.#attributes.intern(encodeAttributes(attributes({})));
    for (let prefix = 0; prefix <= 40; prefix++) this.#prefixes.intern(32, prefix);
  }

  add(prefix: number, peer: number, pathId: number): void {
    const name = nameOf(peer, pathId);
    const known = this.#pathsOf(prefix);
    if (known.has(name)) return;
    const effective = this.#effective++;
    const record = this.paths.add(prefix, peer, pathId, this.#attribute, effective, 1, 2);
    this.paths.hold(this.#attribute, 1);
    known.set(name, { record, effective, pathId });
  }

  /** Adds the first paths to so many new prefixes. */
  addRow(peer: number, count: number): void {
    const first = this.#prefixes.idLimit;
    this.#rows++;
    for (let i = 0; i < count; i++) this.#prefixes.intern(32, (this.#rows << 16) | i);
    const effective = this.#effective++;
    const { calls } = this.#attributes.core;
    calls.pathAddFirst(this.paths.address, first, count, peer, this.#attribute, effective, 3, 4);
    this.paths.hold(this.#attribute, count);
    for (let prefix = first; prefix < first + count; prefix++) {
      const record = this.paths.head[prefix] ?? -1;
      this.#pathsOf(prefix).set(nameOf(peer, 0), { record, effective, pathId: 0 });
    }
  }

  remove(prefix: number, peer: number, pathId: number): void {
    const path = this.#pathsOf(prefix).get(nameOf(peer, pathId));
    assert.equal(this.paths.find(prefix, peer, pathId), path?.record ?? -1);
    if (path === undefined) return;
    this.paths.remove(path.record);
    this.#pathsOf(prefix).delete(nameOf(peer, pathId));
  }

  moveToFront(prefix: number, peer: number, pathId: number): void {
    const record = this.paths.find(prefix, peer, pathId);
    if (record < 0) return;
    this.paths.moveToFront(prefix, record);
    assert.equal(this.paths.head[prefix], record);
  }

  /** Removes all records of a peer, on a walk over them. */
  lose(peer: number): void {
    let cursor = 0;
    for (;;) {
      const record = this.paths.nextRecordOf(peer, cursor);
      if (record < 0) break;
      cursor = this.paths.walked;
      const prefix = this.paths.prefix[record] ?? -1;
      this.remove(prefix, peer, this.paths.pathIdOf(record));
    }
    assert.equal(this.paths.countOf(peer), 0);
  }

  check(): void {
    const counts = new Map<number, number>();
    let all = 0;
    for (const [prefix, known] of this.#known) {
      const chain = new Set<number>();
      for (let record = this.paths.head[prefix] ?? -1; record >= 0; record = this.paths.next[record] ?? -1) {
        assert.ok(!chain.has(record));
        chain.add(record);
      }
      assert.deepEqual(chain, new Set([...known.values()].map(({ record }) => record)));
      for (const [name, { record, effective, pathId }] of known) {
        const peer = this.paths.peerOf(record);
        assert.equal(nameOf(peer, this.paths.pathIdOf(record)), name);
        assert.equal(this.paths.find(prefix, peer, pathId), record);
        assert.equal(this.paths.prefix[record], prefix);
        assert.equal(this.paths.effective[record], effective);
        counts.set(peer, (counts.get(peer) ?? 0) + 1);
        all++;
      }
    }
    for (const peer of [1, 2, 3, 17, 65_535]) {
      assert.equal(this.paths.countOf(peer), counts.get(peer) ?? 0);
      let walked = 0;
      for (let cursor = 0; this.paths.nextRecordOf(peer, cursor) >= 0; cursor = this.paths.walked) walked++;
      assert.equal(walked, counts.get(peer) ?? 0);
    }
    const used = this.paths.prefix.subarray(0, this.paths.recordLimit).filter((prefix) => prefix >= 0);
    assert.equal(used.length, all);
  }

  #pathsOf(prefix: number): Map<string, Path> {
    let known = this.#known.get(prefix);
    if (known === undefined) {
      known = new Map();
      this.#known.set(prefix, known);
    }
    return known;
  }
}

function nameOf(peer: number, pathId: number): string {
  return `${peer} ${pathId}`;
}
