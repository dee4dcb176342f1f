/**
 * Changes to an attribute key in one pass over its octets, without decoding it: what filters' operations and the export rules of
 * RFC 4271 5.1 need. The pass itself is an inner loop of the core (src/core/assembly/rewrite.ts). Form of a key: `AttributeKey` in
 * bgp/wire/types.ts.
 */
import {
  REWRITE_ADDS_COMMUNITY,
  REWRITE_ADDS_LARGE,
  REWRITE_CHANGED_MOST,
  REWRITE_CHANGES,
  REWRITE_COMMUNITY,
  REWRITE_FIELDS,
  REWRITE_KEY_MOST,
  REWRITE_LARGE,
  REWRITE_LEAVES_AS,
  REWRITE_LOCAL_PREF,
  REWRITE_MED,
  REWRITE_NEXT_HOP,
  REWRITE_NEXT_HOP_OCTETS,
  REWRITE_PREPEND,
  REWRITE_PREPEND_COUNT,
  REWRITE_PREPEND_MOST,
  REWRITE_REMOVES_LOCAL_PREF,
  REWRITE_REMOVES_MED,
  REWRITE_SETS_LOCAL_PREF,
  REWRITE_SETS_MED,
  REWRITE_SETS_NEXT_HOP,
} from '../../src/core/assembly/layout.ts';
import { Core } from '../../src/core/core.ts';
import { attributeSlice } from '../wire/attribute-key.ts';
import { uint32, Views } from '../wire/bytes.ts';
import { ATTRIBUTE } from '../wire/registry.ts';
import type { AttributeKey, LargeCommunity } from '../wire/types.ts';

/** What to change; absent and undefined fields leave the key as it is. */
export interface KeyEdits {
  /** 0, 4, 16 or 32 octets */
  readonly nextHop?: Uint8Array | undefined;
  /** AS numbers to stand in front of the AS_PATH, the leftmost first */
  readonly prepend?: readonly number[] | undefined;
  /** a value, or 'remove' */
  readonly med?: number | 'remove' | undefined;
  readonly localPref?: number | 'remove' | undefined;
  /** is added unless it is there already (RFC 1997) */
  readonly community?: number;
  /** is added unless it is there already (RFC 8092 5) */
  readonly largeCommunity?: LargeCommunity;
  /** leaves out optional non-transitive attributes but MED, and extended communities that stay within an AS (RFC 4360 6) */
  readonly leaveAs?: boolean;
}

const AS_SEQUENCE = 2;

let rewriter: Rewriter | undefined;

/** The changed key, in a buffer that the next call overwrites: intern or copy it. */
export function rewriteKey(key: AttributeKey, edits: KeyEdits): AttributeKey {
  rewriter ??= new Rewriter();
  return rewriter.rewrite(key, edits);
}

/** Puts changes into a block of REWRITE_FIELDS fields, for the inner loop that makes them. */
export function writeEdits(block: Int32Array<SharedArrayBuffer>, edits: KeyEdits): void {
  const { nextHop, prepend = [], med, localPref, community, largeCommunity } = edits;
  if (prepend.length > REWRITE_PREPEND_MOST) throw new RangeError(`${prepend.length} AS numbers to prepend`);
  let changes = edits.leaveAs === true ? REWRITE_LEAVES_AS : 0;
  if (nextHop !== undefined) {
    changes |= REWRITE_SETS_NEXT_HOP;
    block[REWRITE_NEXT_HOP_OCTETS] = nextHop.length;
    new Uint8Array(block.buffer, block.byteOffset + 4 * REWRITE_NEXT_HOP, 32).set(nextHop);
  }
  block[REWRITE_PREPEND_COUNT] = prepend.length;
  for (const [index, as] of prepend.entries()) block[REWRITE_PREPEND + index] = as;
  if (med === 'remove') {
    changes |= REWRITE_REMOVES_MED;
  } else if (med !== undefined) {
    changes |= REWRITE_SETS_MED;
    block[REWRITE_MED] = med;
  }
  if (localPref === 'remove') {
    changes |= REWRITE_REMOVES_LOCAL_PREF;
  } else if (localPref !== undefined) {
    changes |= REWRITE_SETS_LOCAL_PREF;
    block[REWRITE_LOCAL_PREF] = localPref;
  }
  if (community !== undefined) {
    changes |= REWRITE_ADDS_COMMUNITY;
    block[REWRITE_COMMUNITY] = community;
  }
  if (largeCommunity !== undefined) {
    changes |= REWRITE_ADDS_LARGE;
    block[REWRITE_LARGE] = largeCommunity.global;
    block[REWRITE_LARGE + 1] = largeCommunity.local1;
    block[REWRITE_LARGE + 2] = largeCommunity.local2;
  }
  block[REWRITE_CHANGES] = changes;
}

/** The inner loop (src/core/assembly/rewrite.ts) with memory of its own, for keys that stand elsewhere. */
class Rewriter {
  readonly #core = new Core();
  readonly #edits = this.#core.block(REWRITE_FIELDS, {});
  readonly #key = this.#core.uint8(REWRITE_KEY_MOST);
  readonly #changed = this.#core.uint8(REWRITE_CHANGED_MOST);
  readonly #views = new Views(this.#changed, 0);

  /** The changed key, until the next call. */
  rewrite(key: AttributeKey, edits: KeyEdits): AttributeKey {
    if (key.length > REWRITE_KEY_MOST) throw new RangeError(`attributes of ${key.length} octets`);
    writeEdits(this.#edits, edits);
    this.#key.set(key);
    const { keyRewrite } = this.#core.calls;
    const { byteOffset: from } = this.#key;
    return this.#views.of(keyRewrite(this.#edits.byteOffset, from, key.length, this.#changed.byteOffset));
  }
}

/** Whether a list of fixed-size entries of 32-bit words holds an entry. */
function holds(key: AttributeKey, value: number, end: number, entry: readonly number[]): boolean {
  for (let at = value; at + 4 * entry.length <= end; at += 4 * entry.length) {
    if (entry.every((word, i) => uint32(key, at + 4 * i) === word >>> 0)) return true;
  }
  return false;
}

/** Whether a key carries a community (RFC 1997) or a large community (RFC 8092). */
export function keyHasCommunity(key: AttributeKey, community: number | LargeCommunity): boolean {
  const code = typeof community === 'number' ? ATTRIBUTE.communities : ATTRIBUTE.largeCommunities;
  const entry =
    typeof community === 'number' ? [community] : [community.global, community.local1, community.local2];
  const value = attributeSlice(key, code);
  return value !== undefined && holds(value, 0, value.length, entry);
}

/** Whether a key has a LOCAL_PREF, and that value. */
export function keyHasLocalPref(key: AttributeKey, localPref: number): boolean {
  const value = attributeSlice(key, ATTRIBUTE.localPref);
  return value !== undefined && value.length === 4 && uint32(value, 0) === localPref;
}

/** Whether the AS_PATH of a key starts with these AS numbers, segment borders left aside; sets do not match. */
export function keyPathStartsWith(key: AttributeKey, asNumbers: readonly number[]): boolean {
  if (asNumbers.length === 0) return true;
  const path = attributeSlice(key, ATTRIBUTE.asPath);
  let seen = 0;
  for (let at = 0; path !== undefined && at + 2 <= path.length && seen < asNumbers.length; ) {
    const count = path[at + 1] ?? 0;
    if (path[at] !== AS_SEQUENCE) return false;
    for (let i = 0; i < count && seen < asNumbers.length; i++, seen++) {
      if (uint32(path, at + 2 + 4 * i) !== asNumbers[seen]) return false;
    }
    at += 2 + 4 * count;
  }
  return seen === asNumbers.length;
}
