/**
 * What becomes of a received path on its way into the decision: loop checks (RFC 4271 9.1.2, RFC 4456 8), then import policy (RFC 8212).
 * Peers that would treat a path alike share one group and so its answers per attribute id.
 */
import {
  EFFECTIVE_AS_PATH_LOOP,
  EFFECTIVE_CONFLICT,
  GRACEFUL_SHUTDOWN,
  HAS_ORIGINATOR,
  HAS_OTC,
  IMPORT_ALLOWED_OWN,
  IMPORT_ASKS_ALWAYS,
  IMPORT_ASKS_FLAGS,
  IMPORT_BY_PREFIX,
  IMPORT_FIELDS,
  IMPORT_KIND,
  IMPORT_LOCAL_AS,
  IMPORT_RESULT,
  IMPORT_SIMPLE,
  IMPORT_SPEAKER_AS,
  NO_LLGR,
} from '../../src/core/assembly/layout.ts';
import type { Family } from '../../src/net/address.ts';
import { OWN_BLOCK_RULE } from '../policy/builtin.ts';
import { CompiledChain, chainFingerprint } from '../policy/compiled-chain.ts';
import { rewriteKey } from '../policy/key-rewrite.ts';
import type { FilterChain } from '../policy/types.ts';
import type { PeerRole, UnusableReason } from '../types.ts';
import { attributeSlice } from '../wire/attribute-key.ts';
import { uint32, uint32Bytes, uint32List } from '../wire/bytes.ts';
import { withAttribute } from '../wire/key-editor.ts';
import { ATTRIBUTE, COMMUNITY } from '../wire/registry.ts';
import type { AttributeKey } from '../wire/types.ts';
import type { AttributeStore } from './attribute-store.ts';
import { DerivedAttributes } from './derived-attributes.ts';

/** Values of the `effective` column for paths that take no part in the decision. */
export const AS_PATH_LOOP = EFFECTIVE_AS_PATH_LOOP;
export const ORIGINATOR_LOOP = -2;
export const CLUSTER_LOOP = -3;
export const REJECTED = -4;
export const NO_POLICY = -5;
/** rejected by policy since the prefix belongs to one of our own blocks */
export const CONFLICT = EFFECTIVE_CONFLICT;
/** RFC 9234 5: a route that should not have come this way */
export const ROUTE_LEAK = -7;

const REASONS: readonly UnusableReason[] = [
  'as-path-loop',
  'originator-loop',
  'cluster-loop',
  'import-policy',
  'no-import-policy',
  'import-policy',
  'route-leak',
];

/** The reason behind a negative `effective` value. */
export function unusableReason(effective: number): UnusableReason | undefined {
  return effective < 0 ? REASONS[-effective - 1] : undefined;
}

/** All that the treatment of received paths depends on. */
export interface ImportRules {
  readonly peerKind: 'ebgp' | 'ibgp';
  readonly localAs: number;
  /** our BGP identifier, unsigned */
  readonly routerId: number;
  readonly allowOwnAs: number;
  readonly chain: FilterChain | undefined;
  /** RFC 4456 7, unsigned */
  readonly clusterId: number;
  /** the speaker's own AS, of which `localAs` may differ (RFC 7705) */
  readonly speakerAs: number;
  /** RFC 7705 3: `localAs` is put in front of what comes in */
  readonly prependLocalAs: boolean;
  readonly peerAs: number;
  readonly role: PeerRole | undefined;
}

/** Text that is equal for rules that do the same. */
export function importFingerprint(rules: ImportRules): string {
  const { peerKind, localAs, allowOwnAs, prependLocalAs, role } = rules;
  // The peer's AS makes a difference to roles alone.
  const roles = role === undefined ? '-' : `${role}/${rules.peerAs}`;
  return `${peerKind} ${localAs} ${allowOwnAs} ${prependLocalAs} ${roles} ${chainFingerprint(rules.chain)}`;
}

const UNKNOWN = 0;
const PASSES = 1;
/** passes with changes that come before policy */
const PASSES_CHANGED = 2;

/** Rules of import and the answers found so far. */
export class ImportGroup {
  readonly fingerprint: string;
  /** where its block stands for the inner loops (src/core/assembly/import.ts) */
  readonly address: number;
  /** peers that use it */
  users = 0;
  readonly #rules: ImportRules;
  readonly #block: Int32Array<SharedArrayBuffer>;
  readonly #attributes: AttributeStore;
  readonly #chain: CompiledChain | undefined;
  /** by attribute id: UNKNOWN, PASSES or a negative reason */
  #verdicts = new Int8Array(256);
  /** by attribute id as received: what it is before policy */
  readonly #entering: DerivedAttributes;
  /** by attribute id after policy: with LOCAL_PREF 0 */
  readonly #shutDown: DerivedAttributes;
  /** by attribute id after policy: with LLGR_STALE */
  readonly #longLived: DerivedAttributes;
  readonly #forget = (attribute: number): void => {
    if (attribute < this.#verdicts.length) this.#verdicts[attribute] = UNKNOWN;
    this.#chain?.forget(attribute);
    this.#entering.forget(attribute);
    this.#shutDown.forget(attribute);
    this.#longLived.forget(attribute);
  };

  constructor(rules: ImportRules, attributes: AttributeStore) {
    this.fingerprint = importFingerprint(rules);
    this.#rules = rules;
    this.#attributes = attributes;
    this.#chain =
      rules.chain === undefined ? undefined : new CompiledChain(rules.chain, rules.peerKind, attributes);
    this.#entering = new DerivedAttributes(attributes, (key) => this.#enter(key));
    this.#shutDown = new DerivedAttributes(attributes, (key) => rewriteKey(key, { localPref: 0 }));
    this.#longLived = new DerivedAttributes(attributes, (key) =>
      rewriteKey(key, { community: COMMUNITY.llgrStale }),
    );
    this.#block = attributes.core.block(IMPORT_FIELDS, {});
    this.address = this.#block.byteOffset;
    this.#publish();
    attributes.onFree(this.#forget);
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.#attributes.offFree(this.#forget);
    this.#chain?.dispose();
    this.#attributes.core.releaseBlock(this.#block);
    for (const derived of [this.#entering, this.#shutDown, this.#longLived]) derived.dispose();
  }

  /** Tells the inner loops what they can answer by themselves: as `evaluate` does, for nearly all attributes of nearly all peers. */
  #publish(): void {
    const { peerKind, localAs, speakerAs, allowOwnAs, prependLocalAs, role } = this.#rules;
    const result = this.#plainResult();
    const block = this.#block;
    const asks = result === undefined || prependLocalAs || role !== undefined;
    block[IMPORT_KIND] = this.looksAtPrefixes ? IMPORT_BY_PREFIX : asks ? IMPORT_ASKS_ALWAYS : IMPORT_SIMPLE;
    block[IMPORT_LOCAL_AS] = localAs;
    block[IMPORT_SPEAKER_AS] = speakerAs === localAs ? 0 : speakerAs;
    block[IMPORT_ALLOWED_OWN] = allowOwnAs;
    block[IMPORT_ASKS_FLAGS] = peerKind === 'ebgp' ? GRACEFUL_SHUTDOWN : HAS_ORIGINATOR;
    block[IMPORT_RESULT] = result ?? 0;
  }

  /** What policy makes of every path: 0 for nothing, or a negative code; undefined: it depends, or changes attributes. */
  #plainResult(): number | undefined {
    const chain = this.#chain;
    if (chain === undefined) return this.#rules.peerKind === 'ebgp' ? NO_POLICY : 0;
    if (!chain.isConstant) return undefined;
    const rule = chain.match('ipv4', 0, 0, 0, 0, 0, 0, false);
    if (!chain.accepts(rule)) return this.#rejection(rule);
    return chain.hasOperations(rule) ? undefined : 0;
  }

  #rejection(rule: number): number {
    return this.#chain?.describe(rule).startsWith(OWN_BLOCK_RULE) === true ? CONFLICT : REJECTED;
  }

  /** Whether the answer depends on the prefix, and not on the attributes alone. */
  get looksAtPrefixes(): boolean {
    return this.#chain !== undefined && !this.#chain.isConstant;
  }

  /** The attribute id with which a path enters the decision, or one of the negative values above. Takes no reference. */
  evaluate(
    family: Family,
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
  ): number {
    const verdict = this.#verdict(attribute);
    if (verdict < 0) return verdict;
    const entered = verdict === PASSES_CHANGED ? this.#entering.of(attribute) : attribute;
    const chain = this.#chain;
    if (chain === undefined) return this.#afterPolicy(entered, entered);
    const rule = chain.match(family, length, w0, w1, w2, w3, entered, false);
    if (chain.accepts(rule)) return this.#afterPolicy(entered, chain.apply(rule, entered));
    return this.#rejection(rule);
  }

  /** RFC 8326 4.2: what an external peer is about to take away is the last choice, whatever policy made of it. */
  #afterPolicy(entered: number, accepted: number): number {
    if (((this.#attributes.flags[entered] ?? 0) & GRACEFUL_SHUTDOWN) === 0) return accepted;
    return this.#rules.peerKind === 'ebgp' ? this.#shutDown.of(accepted) : accepted;
  }

  /** What `evaluate` gave, marked as long-lived stale (RFC 9494 4.2). Undefined: the route may not be kept so long. */
  longLived(effective: number): number | undefined {
    if (effective < 0) return effective;
    if (((this.#attributes.flags[effective] ?? 0) & NO_LLGR) !== 0) return undefined;
    return this.#longLived.of(effective);
  }

  /** The rule that decided for a path, for people; undefined when no policy was asked. */
  describe(
    family: Family,
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
  ): string | undefined {
    const verdict = this.#verdict(attribute);
    if (verdict < 0 || this.#chain === undefined) return undefined;
    const entered = verdict === PASSES_CHANGED ? this.#entering.of(attribute) : attribute;
    return this.#chain.describe(this.#chain.match(family, length, w0, w1, w2, w3, entered, false));
  }

  #verdict(attribute: number): number {
    if (attribute >= this.#verdicts.length) {
      const grown = new Int8Array(this.#attributes.capacity);
      grown.set(this.#verdicts);
      this.#verdicts = grown;
    }
    const known = this.#verdicts[attribute] ?? UNKNOWN;
    if (known !== UNKNOWN) return known;
    const verdict = this.#judge(attribute);
    this.#verdicts[attribute] = verdict;
    this.#attributes.note(attribute);
    return verdict;
  }

  #judge(attribute: number): number {
    const { peerKind, localAs, speakerAs, allowOwnAs, routerId, clusterId, chain } = this.#rules;
    const attributes = this.#attributes;
    const other = speakerAs === localAs ? 0 : attributes.occurrences(attribute, speakerAs);
    if (attributes.occurrences(attribute, localAs) + other > allowOwnAs) return AS_PATH_LOOP;
    if (peerKind === 'ibgp') {
      const flags = attributes.flags[attribute] ?? 0;
      if ((flags & HAS_ORIGINATOR) !== 0 && attributes.originatorId[attribute] === routerId) {
        return ORIGINATOR_LOOP;
      }
      const clusters = attributeSlice(attributes.key(attribute), ATTRIBUTE.clusterList);
      if (clusters !== undefined && uint32List(clusters).includes(clusterId)) return CLUSTER_LOOP;
    } else {
      if (this.#isLeak(attribute)) return ROUTE_LEAK;
      if (chain === undefined) return NO_POLICY;
    }
    return this.#changes(attribute) ? PASSES_CHANGED : PASSES;
  }

  /** RFC 9234 5, ingress rules 1 and 2. */
  #isLeak(attribute: number): boolean {
    const { role, peerAs } = this.#rules;
    if (role === undefined || ((this.#attributes.flags[attribute] ?? 0) & HAS_OTC) === 0) return false;
    if (role === 'provider' || role === 'rs') return true;
    const otc = attributeSlice(this.#attributes.key(attribute), ATTRIBUTE.onlyToCustomer);
    return role === 'peer' && otc !== undefined && uint32(otc, 0) !== peerAs;
  }

  /** RFC 9234 5, ingress rule 3: the route came down or across, so from here on it goes to customers only. */
  #marksOtc(flags: number): boolean {
    const { role, peerKind } = this.#rules;
    if (peerKind !== 'ebgp' || (flags & HAS_OTC) !== 0) return false;
    return role === 'customer' || role === 'rs-client' || role === 'peer';
  }

  #changes(attribute: number): boolean {
    return this.#rules.prependLocalAs || this.#marksOtc(this.#attributes.flags[attribute] ?? 0);
  }

  /** What holds of a path before policy looks at it. */
  #enter(key: AttributeKey): AttributeKey {
    const { prependLocalAs, localAs, peerAs } = this.#rules;
    let changed = key;
    if (prependLocalAs) changed = rewriteKey(changed, { prepend: [localAs] }).slice();
    const marked = attributeSlice(changed, ATTRIBUTE.onlyToCustomer) !== undefined ? HAS_OTC : 0;
    if (this.#marksOtc(marked)) {
      changed = withAttribute(changed, ATTRIBUTE.onlyToCustomer, uint32Bytes(peerAs));
    }
    return changed;
  }
}
