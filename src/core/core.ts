/**
 * Memory that the tables of routes share with their inner loops, and these loops: AssemblyScript (src/core/assembly), compiled to WebAssembly. What
 * runs for each of a million routes runs there, since such code is fast from its first call; everything else is ordinary TypeScript that works on
 * views of the same memory.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { CORE_SCRATCH_OCTETS } from './assembly/layout.ts';
import type { CoreCalls } from './calls.ts';
import { answersOf, type BlockOwner } from './questions.ts';

/** Octets of a page of WebAssembly. */
const PAGE_OCTETS = 1 << 16;
/** 4 GiB: what 32 bits can address */
const MOST_PAGES = 1 << 16;
const FIRST_PAGES = 64;
/** What is added at least when there is no room; it becomes memory only when it is written to. */
const STEP_PAGES = 1 << 10;
/** Every block begins at a multiple of this, a cache line. */
const GRAIN = 64;
/** What lies before: constants of the compiled code, and address 0, which stands for nothing. */
const FIRST_BLOCK = PAGE_OCTETS;

/** The part of the WebAssembly JavaScript interface that is used here; @types/node has none of it. */
declare namespace WebAssembly {
  class Module {
    constructor(octets: Uint8Array);
  }

  class Memory {
    /** Sizes in pages of 64 KiB. RangeError: there is not as much. */
    constructor(pages: { initial: number; maximum: number; shared: true });
    /** another one after each growth; the one before stays valid */
    readonly buffer: SharedArrayBuffer;
    /** Adds pages. RangeError: there is not as much. */
    grow(pages: number): number;
  }

  class Instance<Exports> {
    constructor(
      module: Module,
      imports: Record<string, Record<string, Memory | ((...values: number[]) => number | undefined)>>,
    );
    readonly exports: Exports;
  }
}

let compiled: WebAssembly.Module | undefined;

/** One for each RIB or table of routes; all of it goes when nobody uses it any more. */
export class Core {
  readonly calls: CoreCalls;
  /** the whole memory so far. It never moves, but it grows: ask for it again */
  octets: Uint8Array<SharedArrayBuffer>;
  /** room for what passes between the two sides in one call, at least CORE_SCRATCH_OCTETS octets */
  readonly scratch: number;
  readonly #memory: WebAssembly.Memory;
  #buffer: SharedArrayBuffer;
  #next = FIRST_BLOCK;
  /** blocks that are free again, by their octets */
  readonly #free = new Map<number, number[]>();
  readonly #owners = new Map<number, BlockOwner>();

  constructor() {
    // Shared with nobody: but only such memory can grow while views of it last.
    this.#memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
    this.#buffer = this.#memory.buffer;
    this.octets = new Uint8Array(this.#buffer);
    this.calls = this.#instantiate();
    this.scratch = this.allocate(CORE_SCRATCH_OCTETS);
  }

  /** The address of so many octets, all zero. What is not written to costs no memory. RangeError: there is no more room. */
  allocate(octets: number): number {
    const size = Math.ceil(octets / GRAIN) * GRAIN;
    const freed = this.#free.get(size)?.pop();
    if (freed !== undefined) {
      this.octets.fill(0, freed, freed + size);
      return freed;
    }
    const address = this.#next;
    if (address + size > this.octets.length) this.#grow(address + size);
    this.#next = address + size;
    return address;
  }

  /** Gives back what `allocate` gave for as many octets. */
  release(address: number, octets: number): void {
    const size = Math.ceil(octets / GRAIN) * GRAIN;
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [address >>> 0]);
    else list.push(address >>> 0);
  }

  /** Room for `fields` fields of a table (assembly/layout.ts), and a view of them; `owner` answers what the inner loops ask about it. */
  block(fields: number, owner: BlockOwner): Int32Array<SharedArrayBuffer> {
    const address = this.allocate(4 * fields);
    this.#owners.set(address, owner);
    return new Int32Array(this.#buffer, address, fields);
  }

  /** Gives a block back. */
  releaseBlock(block: Int32Array<SharedArrayBuffer>): void {
    this.#owners.delete(block.byteOffset);
    this.release(block.byteOffset, block.byteLength);
  }

  /** A column of `length` entries, all zero. */
  int32(length: number): Int32Array<SharedArrayBuffer> {
    const address = this.allocate(4 * length);
    return new Int32Array(this.#buffer, address, length);
  }

  /** A view of `length` entries of a column that stands at an address, as a field of a block names it. */
  int32At(address: number, length: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(this.#buffer, address >>> 0, length);
  }

  uint32(length: number): Uint32Array<SharedArrayBuffer> {
    const address = this.allocate(4 * length);
    return new Uint32Array(this.#buffer, address, length);
  }

  uint16(length: number): Uint16Array<SharedArrayBuffer> {
    const address = this.allocate(2 * length);
    return new Uint16Array(this.#buffer, address, length);
  }

  uint8(length: number): Uint8Array<SharedArrayBuffer> {
    const address = this.allocate(length);
    return new Uint8Array(this.#buffer, address, length);
  }

  float32(length: number): Float32Array<SharedArrayBuffer> {
    const address = this.allocate(4 * length);
    return new Float32Array(this.#buffer, address, length);
  }

  float64(length: number): Float64Array<SharedArrayBuffer> {
    const address = this.allocate(8 * length);
    return new Float64Array(this.#buffer, address, length);
  }

  /** A view of 32-bit words that stand at an address. */
  words(address: number, count: number): Int32Array<SharedArrayBuffer> {
    return new Int32Array(this.#buffer, address >>> 0, count);
  }

  /** The address of a copy of so many octets with room for more, all zero; the old room is given back. */
  grown(address: number, octets: number, room: number): number {
    const from = address >>> 0;
    const to = this.allocate(room);
    this.octets.copyWithin(to, from, from + octets);
    this.release(from, octets);
    return to;
  }

  /** Puts a column's content, or its first `count` entries, at the start of a longer one, and gives the old one back. Returns the longer one. */
  moved<Column extends Int32Array | Uint32Array | Uint16Array | Uint8Array | Float32Array | Float64Array>(
    old: Column,
    longer: Column,
    count = old.length,
  ): Column {
    longer.set(old.subarray(0, count));
    this.release(old.byteOffset, old.byteLength);
    return longer;
  }

  #grow(octets: number): void {
    const had = this.#buffer.byteLength / PAGE_OCTETS;
    const needed = Math.ceil(octets / PAGE_OCTETS) - had;
    const more = Math.min(MOST_PAGES - had, Math.max(needed, STEP_PAGES));
    if (more < needed) throw new RangeError('the tables of routes need more than 4 GiB of memory');
    this.#memory.grow(more);
    this.#buffer = this.#memory.buffer;
    this.octets = new Uint8Array(this.#buffer);
  }

  #instantiate(): CoreCalls {
    compiled ??= new WebAssembly.Module(readFileSync(compiledFile()));
    const host = {
      allocate: (octets: number) => this.allocate(octets >>> 0),
      release: (address: number, octets: number) => void this.release(address, octets >>> 0),
      ...answersOf((block) => this.#owner(block)),
    };
    return new WebAssembly.Instance<CoreCalls>(compiled, { env: { memory: this.#memory }, host }).exports;
  }

  #owner(block: number): BlockOwner {
    const owner = this.#owners.get(block >>> 0);
    if (owner === undefined) throw new Error(`no table at ${block >>> 0}`);
    return owner;
  }
}

/** The compiled loops; in a checkout only if they are those of the sources. */
function compiledFile(): URL {
  const file = new URL('core.wasm', import.meta.url);
  if (!import.meta.url.endsWith('.ts')) return file;
  const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
  if (made === undefined) throw new Error(`${file.pathname} is missing: run 'npm run core'`);
  const sources = new URL('assembly/', import.meta.url);
  for (const name of readdirSync(sources)) {
    if (statSync(new URL(name, sources)).mtimeMs > made) {
      throw new Error(`${file.pathname} is older than assembly/${name}: run 'npm run core'`);
    }
  }
  return file;
}
