/** Tables of routes: what is announced, what must be received, and what UPDATEs leave behind. */
import type { Family } from '../../../src/net/address.ts';
import { PrefixTable } from '../../../src/net/prefix-table.ts';
import { type AttributeSet, encodeSet, prepended } from './attributes.ts';
import { AFI, CODE, MAX_MESSAGE_OCTETS, MessageWriter } from './wire.ts';

/** Routes of one family, in the order in which they are sent. */
export interface RouteTable {
  readonly family: Family;
  readonly count: number;
  /** network addresses, one word a route in IPv4, four in IPv6 */
  readonly words: Uint32Array;
  readonly lengths: Uint8Array;
  /** index into `sets` */
  readonly setOf: Uint32Array;
  readonly sets: readonly AttributeSet[];
  /** by route, with ADD-PATH only */
  readonly pathIds?: Uint32Array;
  /** by set: others that will do as well, where two speakers may choose differently */
  readonly alternatives?: readonly (readonly AttributeSet[])[];
}

/** Octets that the longest NLRI takes, with a path identifier. */
const NLRI_OCTETS_MAX = 21;

/** Words a prefix of a family has. */
export function wordsOf(family: Family): 1 | 4 {
  return family === 'ipv4' ? 1 : 4;
}

/** Attribute sets, each kept once. */
export class SetStore {
  readonly sets: AttributeSet[] = [];
  readonly #known = new Map<string, number>();

  /** The number of a set equal to this one. */
  intern(set: AttributeSet): number {
    const key = encodeSet(set, undefined).toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = this.sets.push(set) - 1;
    this.#known.set(key, id);
    return id;
  }
}

/** The last word on each path of a family: a number by prefix and path identifier. */
export class LastRoutes {
  readonly family: Family;
  readonly prefixes: PrefixTable;
  /** by prefix id: path identifier -> value; the order in which prefixes were first seen */
  readonly #paths: (Map<number, number> | number | undefined)[] = [];
  #count = 0;

  constructor(family: Family) {
    this.family = family;
    this.prefixes = new PrefixTable(family);
  }

  /** Paths that there are. */
  get count(): number {
    return this.#count;
  }

  /** `value`: not negative. */
  set(prefixId: number, pathId: number, value: number): void {
    const paths = this.#paths[prefixId];
    if (paths instanceof Map) {
      if (!paths.has(pathId)) this.#count++;
      paths.set(pathId, value);
    } else if (pathId === 0) {
      if (paths === undefined) this.#count++;
      this.#paths[prefixId] = value;
    } else {
      const map = new Map([[pathId, value]]);
      if (paths !== undefined) map.set(0, paths);
      this.#paths[prefixId] = map;
      this.#count++;
    }
  }

  delete(prefixId: number, pathId: number): void {
    const paths = this.#paths[prefixId];
    if (paths instanceof Map) {
      if (paths.delete(pathId)) this.#count--;
    } else if (paths !== undefined && pathId === 0) {
      this.#paths[prefixId] = undefined;
      this.#count--;
    }
  }

  /** Path identifier and value of each path of a prefix. */
  of(prefixId: number): readonly (readonly [pathId: number, value: number])[] {
    const paths = this.#paths[prefixId];
    if (paths === undefined) return [];
    return paths instanceof Map ? [...paths] : [[0, paths]];
  }

  /** All paths as a table, by ascending value, so that what is sent alike is sent together. */
  table(sets: readonly AttributeSet[], hasPathIds: boolean): RouteTable {
    const rows: (readonly [prefixId: number, pathId: number, value: number])[] = [];
    for (let id = 0; id < this.prefixes.idLimit; id++)
      for (const [pathId, value] of this.of(id)) rows.push([id, pathId, value]);
    rows.sort((a, b) => a[2] - b[2]);
    const size = wordsOf(this.family);
    const words = new Uint32Array(rows.length * size);
    const lengths = new Uint8Array(rows.length);
    const setOf = new Uint32Array(rows.length);
    const pathIds = new Uint32Array(rows.length);
    for (const [index, [id, pathId, value]] of rows.entries()) {
      for (let word = 0; word < size; word++) words[index * size + word] = this.prefixes.wordOf(id, word);
      lengths[index] = this.prefixes.lengthOf(id);
      setOf[index] = value;
      pathIds[index] = pathId;
    }
    const table = { family: this.family, count: rows.length, words, lengths, setOf, sets };
    return hasPathIds ? { ...table, pathIds } : table;
  }
}

/** The table as a sender of AS `as` announces it, whose number leads each path. */
export function announcedBy(table: RouteTable, as: number): RouteTable {
  return { ...table, sets: table.sets.map((set) => prepended(set, as)) };
}

/** Routes `from` to `from + count - 1`. */
export function part(table: RouteTable, from: number, count: number): RouteTable {
  const size = wordsOf(table.family);
  const { pathIds } = table;
  return {
    ...table,
    count,
    words: table.words.subarray(from * size, (from + count) * size),
    lengths: table.lengths.subarray(from, from + count),
    setOf: table.setOf.subarray(from, from + count),
    ...(pathIds === undefined ? {} : { pathIds: pathIds.subarray(from, from + count) }),
  };
}

/** UPDATEs of any shape, one after the other, each at most 4096 octets (RFC 4271 section 4.3). */
export class UpdateEncoder {
  readonly #writer = new MessageWriter();
  readonly #nextHop: Uint8Array;
  /** written so far */
  messages = 0;

  /** `nextHop`: 4 or 16 octets, as the family of the tables has them */
  constructor(nextHop: Uint8Array) {
    this.#nextHop = nextHop;
  }

  /** Announces the routes `from` to `to - 1`, which all bear the attribute set of the first. */
  announce(table: RouteTable, from: number, to: number): void {
    const set = table.sets[table.setOf[from] ?? 0];
    if (set === undefined) throw new Error(`no attribute set for route ${from}`);
    const isLegacy = table.family === 'ipv4';
    const attributes = encodeSet(set, isLegacy ? this.#nextHop : undefined);
    for (let index = from; index < to; ) {
      const writer = this.#writer;
      const start = writer.begin();
      writer.uint16(0);
      const lengthAt = writer.length;
      writer.uint16(0);
      writer.octets(attributes);
      if (isLegacy) {
        writer.setUint16(lengthAt, writer.length - lengthAt - 2);
        index = this.#nlri(table, index, to, start);
      } else {
        const head = [0, AFI.ipv6, 1, this.#nextHop.length, ...this.#nextHop, 0];
        index = this.#mp(CODE.mpReach, head, table, index, to, start);
        writer.setUint16(lengthAt, writer.length - lengthAt - 2);
      }
      this.#end(start);
    }
  }

  /** Withdraws the routes `from` to `to - 1`. */
  withdraw(table: RouteTable, from: number, to: number): void {
    for (let index = from; index < to; ) {
      const writer = this.#writer;
      const start = writer.begin();
      const lengthAt = writer.length;
      writer.uint16(0);
      if (table.family === 'ipv4') {
        index = this.#nlri(table, index, to, start, 2);
        writer.setUint16(lengthAt, writer.length - lengthAt - 2);
        writer.uint16(0);
      } else {
        const attributesAt = writer.length;
        writer.uint16(0);
        index = this.#mp(CODE.mpUnreach, [0, AFI.ipv6, 1], table, index, to, start);
        writer.setUint16(attributesAt, writer.length - attributesAt - 2);
      }
      this.#end(start);
    }
  }

  take(): Buffer {
    return this.#writer.take();
  }

  #end(start: number): void {
    this.#writer.end(start);
    this.messages++;
  }

  #mp(
    code: number,
    head: readonly number[],
    table: RouteTable,
    from: number,
    to: number,
    start: number,
  ): number {
    const writer = this.#writer;
    writer.uint8(0x90);
    writer.uint8(code);
    const lengthAt = writer.length;
    writer.uint16(0);
    for (const octet of head) writer.uint8(octet);
    const next = this.#nlri(table, from, to, start);
    writer.setUint16(lengthAt, writer.length - lengthAt - 2);
    return next;
  }

  /** Writes NLRI while there is room, at least one; returns the first that is left. */
  #nlri(table: RouteTable, from: number, to: number, start: number, reserve = 0): number {
    const writer = this.#writer;
    const size = wordsOf(table.family);
    let index = from;
    do {
      writer.nlri(table.words, index * size, table.lengths[index] ?? 0, table.pathIds?.[index]);
      index++;
    } while (index < to && writer.length - start + NLRI_OCTETS_MAX + reserve <= MAX_MESSAGE_OCTETS);
    return index;
  }
}

/** The UPDATEs that announce a table: neighbours that share an attribute set in one. */
export function encodeAnnouncements(table: RouteTable, nextHop: Uint8Array): Buffer {
  const encoder = new UpdateEncoder(nextHop);
  for (let from = 0; from < table.count; ) {
    let to = from + 1;
    while (to < table.count && table.setOf[to] === table.setOf[from]) to++;
    encoder.announce(table, from, to);
    from = to;
  }
  return encoder.take();
}

/** The UPDATEs that withdraw a table. */
export function encodeWithdrawals(table: RouteTable): Buffer {
  const encoder = new UpdateEncoder(new Uint8Array(0));
  encoder.withdraw(table, 0, table.count);
  return encoder.take();
}
