/** What came from a peer in one family: counters that the inner loops keep (src/core/assembly/take.ts), and how far its jobs are. */
import {
  INPUT_ACCEPTED,
  INPUT_DISCARDED,
  INPUT_FIELDS,
  INPUT_GENERATION,
  INPUT_LIMIT,
  INPUT_LONG_LIVED,
  INPUT_PEER,
  INPUT_STALE,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { Family } from '../../src/net/address.ts';
import type { ImportGroup } from './import-group.ts';

const UNLIMITED = -1;

export class PeerInput {
  /** where its block stands for the inner loops */
  readonly address: number;
  /** records more generations old than this are to be removed; -1: nothing to remove */
  purgeBeyond = -1;
  purgeCursor = 0;
  /** where the re-evaluation of import policy stands; -1: none under way */
  reimportCursor = -1;
  endOfRibReceived = false;
  /** RFC 7313: the peer is sending everything again */
  refreshing = false;
  readonly #core: Core;
  readonly #block: Int32Array<SharedArrayBuffer>;

  /** `groupOf`: the import group of the peer at present. */
  constructor(core: Core, family: Family, peer: number, groupOf: () => ImportGroup) {
    this.#core = core;
    this.#block = core.block(INPUT_FIELDS, {
      evaluateImport: (length, w0, w1, w2, w3, attribute) =>
        groupOf().evaluate(family, length, w0, w1, w2, w3, attribute),
    });
    this.address = this.#block.byteOffset;
    this.#block[INPUT_PEER] = peer;
    this.#block[INPUT_LIMIT] = UNLIMITED;
  }

  /** Gives its memory back; it must not be used any more. */
  dispose(): void {
    this.#core.releaseBlock(this.#block);
  }

  /** Paths in use. */
  get accepted(): number {
    return this.#block[INPUT_ACCEPTED] ?? 0;
  }

  /** Paths of an older generation. */
  get stale(): number {
    return this.#block[INPUT_STALE] ?? 0;
  }

  set stale(paths: number) {
    this.#block[INPUT_STALE] = paths;
  }

  /** Of the session, modulo 256: records of another generation are stale. */
  get generation(): number {
    return this.#block[INPUT_GENERATION] ?? 0;
  }

  set generation(generation: number) {
    this.#block[INPUT_GENERATION] = generation;
  }

  /** RFC 9494: what is stale carries LLGR_STALE. */
  get longLived(): boolean {
    return this.#block[INPUT_LONG_LIVED] === 1;
  }

  set longLived(on: boolean) {
    this.#block[INPUT_LONG_LIVED] = on ? 1 : 0;
  }

  /** No more paths than these are taken. */
  set limit(paths: number | undefined) {
    this.#block[INPUT_LIMIT] = paths ?? UNLIMITED;
  }

  /** Paths left out for the limit. */
  get discarded(): number {
    return this.#block[INPUT_DISCARDED] ?? 0;
  }

  set discarded(paths: number) {
    this.#block[INPUT_DISCARDED] = paths;
  }
}
