/**
 * A filter chain made ready for the hot path. Which rule decides is found by hashed prefixes and by answers kept per attribute id; what a
 * rule's operations make of attributes is interned and kept per attribute id too.
 */
import type { Core } from '../../src/core/core.ts';
import { addressBits, type Family } from '../../src/net/address.ts';
import type { Prefix } from '../../src/net/prefix.ts';
import { maskWord } from '../../src/net/prefix-table.ts';
import type { AttributeKey } from '../wire/types.ts';
import { interfaceGlob } from './interface-glob.ts';
import { keyHasCommunity, keyHasLocalPref, keyPathStartsWith, rewriteKey } from './key-rewrite.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { FilterChain, FilterMatch, FilterOperation, FilterRule } from './types.ts';

/** The attribute store as filters need it. `intern` takes a reference for its caller, `release` gives it back. */
export interface AttributeInterner {
  /** what belongs to it lives there */
  readonly core: Core;
  key(id: number): AttributeKey;
  intern(key: AttributeKey): number;
  release(id: number): void;
  /** Has `forget` called when the attributes go. */
  note(id: number): void;
}

/** The interfaces that routes lead to; undefined for none (blackhole, originated without a link) and for several. */
export interface RouteInterfaces {
  /** of a learned route, by its attributes: that of their next hop */
  ofLearned(attribute: number): string | undefined;
  /** of a route originated here, by its prefix id */
  ofLocal(prefix: number): string | undefined;
}

/** A rule's conditions other than the prefix that it is indexed by. */
interface CompiledRule {
  readonly rule: FilterRule;
  /** answers by attribute id: 0 unknown, 1 no, 2 yes; undefined when the rule does not look at attributes */
  attributeAnswers: Uint8Array | undefined;
  /** asked anew for each route: interfaces come and go under the same attributes */
  readonly interfaceTest: ((name: string) => boolean) | undefined;
  /** whether the index's answer alone does not suffice */
  readonly checks: boolean;
  /** result by attribute id, when the rule has operations */
  readonly results: Map<number, number>;
}

/** The route that `match` looks at; one object is reused, so that a route allocates nothing. */
interface Question {
  family: Family;
  length: number;
  w0: number;
  w1: number;
  w2: number;
  w3: number;
  attribute: number;
  local: boolean;
  prefix: number;
}

/** A chain compiled for one kind of session. Owner of references to the attributes that its operations made. */
export class CompiledChain {
  readonly chain: FilterChain;
  readonly #attributes: AttributeInterner;
  readonly #interfaces: RouteInterfaces | undefined;
  readonly #rules: CompiledRule[];
  readonly #index: Readonly<Record<Family, PrefixIndex>>;
  /** rules that no index holds, ascending */
  readonly #linear: number[] = [];
  readonly #question: Question = {
    family: 'ipv4',
    length: 0,
    w0: 0,
    w1: 0,
    w2: 0,
    w3: 0,
    attribute: 0,
    local: false,
    prefix: -1,
  };
  /** the rule that decides for every route, where there is one */
  readonly #constant: number | undefined;
  readonly #confirm = (rule: number): boolean => this.#confirmed(rule);

  /** whether some rule asks for the interface of a route */
  readonly looksAtInterfaces: boolean;

  /** Without `interfaces` no rule that asks for one matches. */
  constructor(
    chain: FilterChain,
    peerKind: 'ebgp' | 'ibgp',
    attributes: AttributeInterner,
    interfaces?: RouteInterfaces,
  ) {
    this.chain = chain;
    this.#attributes = attributes;
    this.#interfaces = interfaces;
    this.looksAtInterfaces = chain.rules.some(
      ({ match }) =>
        match.interface !== undefined && (match.peerKind === undefined || match.peerKind === peerKind),
    );
    this.#index = {
      ipv4: new PrefixIndex('ipv4', attributes.core),
      ipv6: new PrefixIndex('ipv6', attributes.core),
    };
    this.#rules = chain.rules.map((rule) => compileRule(rule));
    for (const [index, rule] of chain.rules.entries()) {
      if (rule.match.peerKind !== undefined && rule.match.peerKind !== peerKind) continue;
      if (!this.#indexRule(index, rule.match)) this.#linear.push(index);
    }
    const [first] = this.#linear;
    const isIndexed = this.#index.ipv4.size + this.#index.ipv6.size > 0;
    if (first === undefined) this.#constant = isIndexed ? undefined : this.#rules.length;
    else if (!isIndexed && this.#rules[first]?.checks === false) this.#constant = first;
  }

  /** Index of the rule that decides for a route; `rules.length` is the fall-through. `prefix` is the prefix id, where there is one. */
  match(
    family: Family,
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
    local: boolean,
    prefix = -1,
  ): number {
    if (this.#constant !== undefined) return this.#constant;
    const question = this.#question;
    question.family = family;
    question.length = length;
    question.w0 = w0;
    question.w1 = w1;
    question.w2 = w2;
    question.w3 = w3;
    question.attribute = attribute;
    question.local = local;
    question.prefix = prefix;
    const best = this.#index[family].lowest(this.#rules.length, length, w0, w1, w2, w3, this.#confirm);
    for (const index of this.#linear) {
      if (index >= best) break;
      if (this.#confirmed(index)) return index;
    }
    return best;
  }

  /** Whether the same rule decides for every route. */
  get isConstant(): boolean {
    return this.#constant !== undefined;
  }

  /** Whether the rule (or the fall-through) accepts. */
  accepts(index: number): boolean {
    return (this.#rules[index]?.rule.action ?? this.chain.fallThrough) === 'accept';
  }

  /** The rule's name for people: the chain and what in it decided. */
  describe(index: number): string {
    const rule = this.#rules[index]?.rule;
    return rule === undefined ? `${this.chain.name}: fall-through ${this.chain.fallThrough}` : rule.name;
  }

  /** Whether the rule changes what it accepts. */
  hasOperations(index: number): boolean {
    return (this.#rules[index]?.rule.operations?.length ?? 0) > 0;
  }

  /** The attributes that a rule's operations make of others. The chain keeps the reference until `forget` or `dispose`. */
  apply(index: number, attribute: number): number {
    const compiled = this.#rules[index];
    const operations = compiled?.rule.operations;
    if (compiled === undefined || operations === undefined || operations.length === 0) return attribute;
    const known = compiled.results.get(attribute);
    if (known !== undefined) return known;
    const result = this.#attributes.intern(applyOperations(this.#attributes.key(attribute), operations));
    // Holding a reference to an id on its own behalf would keep it alive for ever.
    if (result === attribute) this.#attributes.release(result);
    compiled.results.set(attribute, result);
    this.#attributes.note(attribute);
    return result;
  }

  /** Drops what is known of an attribute id that goes away. */
  forget(attribute: number): void {
    for (const compiled of this.#rules) {
      if (compiled.attributeAnswers !== undefined && attribute < compiled.attributeAnswers.length) {
        compiled.attributeAnswers[attribute] = 0;
      }
      const result = compiled.results.get(attribute);
      if (result === undefined) continue;
      compiled.results.delete(attribute);
      if (result !== attribute) this.#attributes.release(result);
    }
  }

  /** Gives all references back. */
  dispose(): void {
    this.#index.ipv4.dispose();
    this.#index.ipv6.dispose();
    for (const compiled of this.#rules) {
      const results = [...compiled.results];
      compiled.results.clear();
      for (const [attribute, result] of results) if (result !== attribute) this.#attributes.release(result);
    }
  }

  #indexRule(index: number, match: FilterMatch): boolean {
    const bounds = match.prefixLength ?? { min: 0, max: 128 };
    if (match.prefixList !== undefined) {
      for (const { cidr, minLength, maxLength } of match.prefixList) {
        const most = Math.min(maxLength, bounds.max, addressBits(cidr.family));
        this.#index[cidr.family].add(index, cidr, Math.max(minLength, bounds.min), most);
      }
      return true;
    }
    if (match.prefix === undefined) return false;
    const { cidr, operator } = match.prefix;
    if (operator !== 'Equal' && operator !== 'In') return false;
    const longest = operator === 'Equal' ? cidr.length : addressBits(cidr.family);
    this.#index[cidr.family].add(
      index,
      cidr,
      Math.max(cidr.length, bounds.min),
      Math.min(longest, bounds.max),
    );
    return true;
  }

  /** Whether a rule holds for the question, as far as the index has not said so already. */
  #confirmed(index: number): boolean {
    const compiled = this.#rules[index];
    if (compiled === undefined || !compiled.checks) return true;
    const { match } = compiled.rule;
    const question = this.#question;
    if (match.source !== undefined && (match.source === 'local') !== question.local) return false;
    if (match.prefixLength !== undefined) {
      if (question.length < match.prefixLength.min || question.length > match.prefixLength.max) return false;
    }
    if (match.prefix !== undefined && !prefixMatches(match.prefix, question)) return false;
    if (compiled.interfaceTest !== undefined && !this.#interfaceMatches(compiled.interfaceTest)) return false;
    return compiled.attributeAnswers === undefined || this.#attributeAnswer(compiled);
  }

  #interfaceMatches(test: (name: string) => boolean): boolean {
    const { local, prefix, attribute } = this.#question;
    const name = local ? this.#interfaces?.ofLocal(prefix) : this.#interfaces?.ofLearned(attribute);
    return name !== undefined && test(name);
  }

  #attributeAnswer(compiled: CompiledRule): boolean {
    const id = this.#question.attribute;
    let answers = compiled.attributeAnswers;
    if (answers === undefined || id >= answers.length) {
      const grown = new Uint8Array(Math.max(256, 2 * id));
      if (answers !== undefined) grown.set(answers);
      answers = grown;
      compiled.attributeAnswers = grown;
    }
    const known = answers[id] ?? 0;
    if (known !== 0) return known === 2;
    this.#attributes.note(id);
    const { match } = compiled.rule;
    const key = this.#attributes.key(id);
    const holds =
      (match.community === undefined || keyHasCommunity(key, match.community)) &&
      (match.asPathPrefix === undefined || keyPathStartsWith(key, match.asPathPrefix)) &&
      (match.localPref === undefined || keyHasLocalPref(key, match.localPref));
    answers[id] = holds ? 2 : 1;
    return holds;
  }
}

function compileRule(rule: FilterRule): CompiledRule {
  const { match } = rule;
  const looksAtAttributes =
    match.community !== undefined || match.asPathPrefix !== undefined || match.localPref !== undefined;
  return {
    rule,
    attributeAnswers: looksAtAttributes ? new Uint8Array(0) : undefined,
    interfaceTest: match.interface === undefined ? undefined : interfaceGlob(match.interface),
    checks:
      looksAtAttributes ||
      match.interface !== undefined ||
      match.source !== undefined ||
      match.prefixLength !== undefined ||
      (match.prefix !== undefined &&
        (match.prefixList !== undefined ||
          match.prefix.operator === 'NotEqual' ||
          match.prefix.operator === 'NotIn')),
    results: new Map(),
  };
}

/** A CIDR of the other family never matches, whatever the operator: the rule is not about this route. */
function prefixMatches(
  condition: { readonly cidr: Prefix; readonly operator: string },
  question: Question,
): boolean {
  const { cidr, operator } = condition;
  if (cidr.family !== question.family) return false;
  const inside = question.length >= cidr.length && sharesNetwork(cidr, question);
  switch (operator) {
    case 'Equal':
      return inside && question.length === cidr.length;
    case 'NotEqual':
      return !(inside && question.length === cidr.length);
    case 'In':
      return inside;
    default:
      return !inside;
  }
}

function sharesNetwork(cidr: Prefix, question: Question): boolean {
  const words = [question.w0, question.w1, question.w2, question.w3];
  for (let i = 0; 32 * i < cidr.length; i++) {
    const at = 4 * i;
    const word =
      ((cidr.bytes[at] ?? 0) << 24) |
      ((cidr.bytes[at + 1] ?? 0) << 16) |
      ((cidr.bytes[at + 2] ?? 0) << 8) |
      (cidr.bytes[at + 3] ?? 0);
    if (maskWord(words[i] ?? 0, cidr.length - 32 * i) !== word) return false;
  }
  return true;
}

/** What operations make of a key, in order. The result may stand in a buffer that the next call overwrites. */
export function applyOperations(key: AttributeKey, operations: readonly FilterOperation[]): AttributeKey {
  let result = key;
  for (const operation of operations) {
    // The rewriter has one buffer: what it made last must be copied before it works on it again.
    const input = result === key ? key : result.slice();
    result = applyOperation(input, operation);
  }
  return result;
}

function applyOperation(key: AttributeKey, operation: FilterOperation): AttributeKey {
  switch (operation.kind) {
    case 'add-community':
      return typeof operation.community === 'number'
        ? rewriteKey(key, { community: operation.community })
        : rewriteKey(key, { largeCommunity: operation.community });
    case 'prepend-as-path':
      return rewriteKey(key, { prepend: operation.asNumbers });
    case 'set-local-pref':
      return rewriteKey(key, { localPref: operation.value });
    case 'set-med':
      return rewriteKey(key, { med: operation.value });
  }
}

/** Text that is equal for chains that do the same, so that peers with equal filters share their work. */
export function chainFingerprint(chain: FilterChain | undefined): string {
  if (chain === undefined) return '-';
  return JSON.stringify(chain, (_, value: unknown) =>
    value instanceof Uint8Array ? Array.from(value).join('.') : value,
  );
}
