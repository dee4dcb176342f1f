/**
 * What becomes of a received path on its way into the decision: loop checks (RFC 4271 9.1.2, RFC 4456 8), then import policy (RFC 8212).
 * Peers that would treat a path alike share one group and so its answers per attribute id.
 */
import type { Family } from '../../src/net/address.ts';
import { OWN_BLOCK_RULE } from '../policy/builtin.ts';
import { CompiledChain, chainFingerprint } from '../policy/compiled-chain.ts';
import type { FilterChain } from '../policy/types.ts';
import type { UnusableReason } from '../types.ts';
import { asPathOccurrences } from '../wire/as-path.ts';
import { attributeSlice } from '../wire/attribute-key.ts';
import { uint32List } from '../wire/bytes.ts';
import { ATTRIBUTE } from '../wire/registry.ts';
import type { AttributeStore } from './attribute-store.ts';
import { HAS_ORIGINATOR } from './key-summary.ts';

/** Values of the `effective` column for paths that take no part in the decision. */
export const AS_PATH_LOOP = -1;
export const ORIGINATOR_LOOP = -2;
export const CLUSTER_LOOP = -3;
export const REJECTED = -4;
export const NO_POLICY = -5;
/** rejected by policy since the prefix belongs to one of our own blocks */
export const CONFLICT = -6;

const REASONS: readonly UnusableReason[] = [
  'as-path-loop',
  'originator-loop',
  'cluster-loop',
  'import-policy',
  'no-import-policy',
  'import-policy',
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
}

/** Text that is equal for rules that do the same. */
export function importFingerprint(rules: ImportRules): string {
  return `${rules.peerKind} ${rules.localAs} ${rules.allowOwnAs} ${chainFingerprint(rules.chain)}`;
}

const UNKNOWN = 0;
const PASSES = 1;

/** Rules of import and the answers found so far. */
export class ImportGroup {
  readonly fingerprint: string;
  /** peers that use it */
  users = 0;
  readonly #rules: ImportRules;
  readonly #attributes: AttributeStore;
  readonly #chain: CompiledChain | undefined;
  /** by attribute id: UNKNOWN, PASSES or a negative reason */
  #verdicts = new Int8Array(256);
  readonly #forget = (attribute: number): void => {
    if (attribute < this.#verdicts.length) this.#verdicts[attribute] = UNKNOWN;
    this.#chain?.forget(attribute);
  };

  constructor(rules: ImportRules, attributes: AttributeStore) {
    this.fingerprint = importFingerprint(rules);
    this.#rules = rules;
    this.#attributes = attributes;
    this.#chain =
      rules.chain === undefined ? undefined : new CompiledChain(rules.chain, rules.peerKind, attributes);
    attributes.onFree(this.#forget);
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.#attributes.offFree(this.#forget);
    this.#chain?.dispose();
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
    if (verdict !== PASSES) return verdict;
    const chain = this.#chain;
    if (chain === undefined) return attribute;
    const rule = chain.match(family, length, w0, w1, w2, w3, attribute, false);
    if (chain.accepts(rule)) return chain.apply(rule, attribute);
    return chain.describe(rule).startsWith(OWN_BLOCK_RULE) ? CONFLICT : REJECTED;
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
    if (this.#verdict(attribute) !== PASSES || this.#chain === undefined) return undefined;
    return this.#chain.describe(this.#chain.match(family, length, w0, w1, w2, w3, attribute, false));
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
    return verdict;
  }

  #judge(attribute: number): number {
    const { peerKind, localAs, allowOwnAs, routerId, chain } = this.#rules;
    const key = this.#attributes.key(attribute);
    const path = attributeSlice(key, ATTRIBUTE.asPath);
    if (path !== undefined && asPathOccurrences(path, localAs) > allowOwnAs) return AS_PATH_LOOP;
    if (peerKind === 'ibgp') {
      const flags = this.#attributes.flags[attribute] ?? 0;
      if ((flags & HAS_ORIGINATOR) !== 0 && this.#attributes.originatorId[attribute] === routerId) {
        return ORIGINATOR_LOOP;
      }
      const clusters = attributeSlice(key, ATTRIBUTE.clusterList);
      if (clusters !== undefined && uint32List(clusters).includes(routerId)) return CLUSTER_LOOP;
      return PASSES;
    }
    return chain === undefined ? NO_POLICY : PASSES;
  }
}
