/**
 * What a path looks like to the peers of an update group, or that they do not get it at all: RFC 1997 well-known communities, RFC 4271
 * 9.2 (no iBGP to iBGP) and 5.1 (attributes), RFC 8212, then export policy. The exported form is made once per attribute id.
 */
import {
  DEFAULT_LOCAL_PREF,
  EXPORT_ASKED,
  EXPORT_ATTRIBUTES,
  EXPORT_EDITS,
  EXPORT_FIELDS,
  EXPORT_FORMS,
  EXPORT_FORMS_ROOM,
  EXPORT_IS_EXTERNAL,
  EXPORT_KEPT_EDITS,
  EXPORT_KEY_ROOM,
  EXPORT_NEXT_HOPS,
  EXPORT_NEXT_HOPS_OCTETS,
  EXPORT_PEERS,
  EXPORT_REFUSED,
  HAS_LOCAL_PREF,
  HAS_MED,
  HAS_ORIGINATOR,
  HAS_OTC,
  KEEPS_NEXT_HOP,
  LLGR_STALE,
  NO_NEXT_HOP,
  NOT_EXPORTED,
  OWN_NEXT_HOP,
  REWRITE_FIELDS,
} from '../../src/core/assembly/layout.ts';
import { applyOperations, CompiledChain, type RouteInterfaces } from '../policy/compiled-chain.ts';
import { type KeyEdits, rewriteKey, writeEdits } from '../policy/key-rewrite.ts';
import { uint32Bytes } from '../wire/bytes.ts';
import {
  withAttribute,
  withoutPrivateAs,
  withPrivateAsReplaced,
  withReflection,
  withReplacedAs,
} from '../wire/key-editor.ts';
import { ATTRIBUTE, COMMUNITY } from '../wire/registry.ts';
import type { AttributeKey } from '../wire/types.ts';
import type { AttributeStore } from './attribute-store.ts';
import { grownInt32 } from './columns.ts';
import { isAlwaysNextHop, nextHopFor } from './export-next-hop.ts';
import { type ExportRules, type PathSource, refusedFlags } from './export-rules.ts';
import type { FamilyRib } from './family-rib.ts';
import type { PeerColumns } from './peers.ts';

/** Rules of a chain, for numbering what they make. */
const MAX_RULES = 1 << 20;

/** Export rules with the forms made so far; holds references to the latter. */
export class Exporter {
  /** where its block stands for the inner loops (src/core/assembly) */
  readonly address: number;
  readonly #rules: ExportRules;
  readonly #attributes: AttributeStore;
  readonly #peers: PeerColumns;
  readonly #chain: CompiledChain | undefined;
  /** the answer depends on the prefix, and not on the attributes and who sent them alone */
  readonly looksAtPrefixes: boolean;
  /** what stands in front of the AS_PATH of what leaves */
  readonly #prepend: readonly number[];
  /** slot (rule with operations, local or learned) -> by attribute id: 0 unknown, -1 none, else id of the exported form + 1 */
  readonly #forms = new Map<number, Int32Array>();
  /** the same for paths for which it does not matter which peer sent them, nor what prefix they are for */
  #plain: Int32Array<SharedArrayBuffer>;
  readonly #block: Int32Array<SharedArrayBuffer>;
  /** blocks of changes to keys */
  readonly #edits: Int32Array<SharedArrayBuffer>[] = [];
  /** the same for reflected paths without ORIGINATOR_ID, by the BGP identifier of who sent them and slot; few, so sparse */
  readonly #reflected = new Map<number, Map<number, number>>();
  readonly #forget = (attribute: number): void => {
    this.#chain?.forget(attribute);
    if (this.#reflected.size > 0) this.#forgetReflected(attribute);
    for (const forms of this.#forms.values()) this.#forgetForm(forms, attribute);
  };

  constructor(
    rules: ExportRules,
    tables: { readonly attributes: AttributeStore; readonly peers: PeerColumns },
    interfaces?: RouteInterfaces,
  ) {
    const { attributes, peers } = tables;
    this.#rules = rules;
    this.#attributes = attributes;
    this.#peers = peers;
    this.#prepend = rules.ownAs === undefined ? [rules.localAs] : [rules.localAs, rules.ownAs];
    this.#chain =
      rules.chain === undefined
        ? undefined
        : new CompiledChain(rules.chain, rules.peerKind, attributes, interfaces);
    this.looksAtPrefixes = this.#chain !== undefined && !this.#chain.isConstant;
    const { core } = attributes;
    this.#plain = core.int32(0);
    this.#block = core.block(EXPORT_FIELDS, {
      makeForm: (attribute, peer) => this.#ofPeer(0, 0, 0, 0, 0, attribute, peer),
      growForms: (attribute) => this.#growPlain(attribute),
      nextHopKind: (attribute) => this.#nextHopKind(attribute),
    });
    this.address = this.#block.byteOffset;
    this.#block[EXPORT_ATTRIBUTES] = attributes.address;
    this.#block[EXPORT_PEERS] = peers.address;
    this.#block[EXPORT_IS_EXTERNAL] = rules.peerKind === 'ebgp' ? 1 : 0;
    this.#block[EXPORT_REFUSED] = refusedFlags(rules);
    this.#allowMaking();
    attributes.onFree(this.#forget);
    attributes.addExport(this.address);
  }

  /** Has the inner loop make forms by itself where that takes no more than the same changes to each key. */
  #allowMaking(): void {
    const rules = this.#rules;
    if (this.looksAtPrefixes || rules.shuttingDown || rules.selfNextHop.length === 0) return;
    const external = rules.peerKind === 'ebgp';
    if (this.#chain !== undefined) {
      const rule = this.#chain.match(rules.family, 0, 0, 0, 0, 0, 0, false);
      if (!this.#chain.accepts(rule) || this.#chain.hasOperations(rule)) return;
    } else if (external) {
      return;
    }
    const comesDown = rules.role === 'provider' || rules.role === 'rs' || rules.role === 'peer';
    if (external && (rules.removePrivateAs !== undefined || rules.asOverride || comesDown)) return;
    const { core } = this.#attributes;
    const block = this.#block;
    for (const field of [EXPORT_EDITS, EXPORT_KEPT_EDITS]) {
      const edits = core.block(REWRITE_FIELDS, {});
      const localPref = external ? 'remove' : DEFAULT_LOCAL_PREF;
      const med = external && !rules.transparent ? 'remove' : undefined;
      writeEdits(edits, this.#lastEdits(rules.selfNextHop, rules.transparent, med, localPref));
      this.#edits.push(edits);
      block[field] = edits.byteOffset;
    }
    block[EXPORT_ASKED] = (external ? 0 : HAS_LOCAL_PREF) | (rules.longLived === 'marked' ? LLGR_STALE : 0);
    block[EXPORT_KEY_ROOM] = this.#attributes.keyRoom;
    if (!isAlwaysNextHop(rules)) block[EXPORT_NEXT_HOPS] = core.allocate(EXPORT_NEXT_HOPS_OCTETS);
  }

  #forgetForm(forms: Int32Array, attribute: number): void {
    const form = forms[attribute] ?? 0;
    if (form === 0) return;
    forms[attribute] = 0;
    if (form > 0 && form - 1 !== attribute) this.#attributes.release(form - 1);
  }

  #forgetReflected(attribute: number): void {
    for (const forms of this.#reflected.values()) {
      const form = forms.get(attribute);
      if (form === undefined) continue;
      forms.delete(attribute);
      if (form >= 0 && form !== attribute) this.#attributes.release(form);
    }
  }

  /** Lets go of all attributes. */
  dispose(): void {
    this.#attributes.offFree(this.#forget);
    this.#attributes.removeExport(this.address);
    this.#chain?.dispose();
    const held: number[] = [];
    for (const forms of [this.#plain, ...this.#forms.values()]) {
      const end = Math.min(forms.length, this.#attributes.idLimit);
      for (let attribute = 0; attribute < end; attribute++) {
        const form = forms[attribute] ?? 0;
        if (form > 0 && form - 1 !== attribute) held.push(form - 1);
      }
    }
    this.#forms.clear();
    for (const forms of this.#reflected.values()) {
      for (const [attribute, form] of forms) if (form >= 0 && form !== attribute) held.push(form);
    }
    this.#reflected.clear();
    for (const form of held) this.#attributes.release(form);
    this.#releaseBlocks();
  }

  #releaseBlocks(): void {
    const { core } = this.#attributes;
    const block = this.#block;
    if (this.#plain.length > 0) core.release(this.#plain.byteOffset, this.#plain.byteLength);
    for (const edits of this.#edits) core.releaseBlock(edits);
    const nextHops = block[EXPORT_NEXT_HOPS] ?? 0;
    if (nextHops !== 0) core.release(nextHops, EXPORT_NEXT_HOPS_OCTETS);
    core.releaseBlock(block);
  }

  /** Whether a form may have a third party's next hop, and so that of the peer it is for. */
  get mayNameThirdParties(): boolean {
    return this.#rules.shared !== undefined;
  }

  /** Whether the answer depends on the interface that a route leads to. */
  get looksAtInterfaces(): boolean {
    return this.#chain?.looksAtInterfaces ?? false;
  }

  /** As `export`, for a path of `peer` to a prefix of the table, with these attributes. */
  ofPath(
    { prefixes, family }: Pick<FamilyRib, 'prefixes' | 'family'>,
    prefix: number,
    attribute: number,
    peer: number,
  ): number {
    if (!this.looksAtPrefixes) return this.#attributes.core.calls.exportedForm(this.address, attribute, peer);
    const wide = family === 'ipv6';
    return this.#ofPeer(
      prefixes.lengthOf(prefix),
      prefixes.wordOf(prefix, 0),
      wide ? prefixes.wordOf(prefix, 1) : 0,
      wide ? prefixes.wordOf(prefix, 2) : 0,
      wide ? prefixes.wordOf(prefix, 3) : 0,
      attribute,
      peer,
      prefix,
    );
  }

  /** As `#export`, for a path of the peer with that number. */
  #ofPeer(
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
    peer: number,
    prefix = -1,
  ): number {
    const peers = this.#peers;
    const originator = peers.routerId[peer] ?? 0;
    return this.#export(length, w0, w1, w2, w3, attribute, peers.sourceOf(peer), originator, prefix);
  }

  /**
   * The attribute id of the exported form of a path, or NOT_EXPORTED. `source` tells how the path came here, `originator` is the BGP
   * identifier of the peer that it came from, `prefix` the prefix id. Takes no reference: the form lives as long as `attribute`.
   */
  #export(
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
    source: PathSource,
    originator: number,
    prefix: number,
  ): number {
    const rules = this.#rules;
    const flags = this.#attributes.flags[attribute] ?? 0;
    if ((flags & refusedFlags(rules)) !== 0) return NOT_EXPORTED;
    if (rules.peerKind === 'ebgp') {
      if (this.#chain === undefined) return NOT_EXPORTED;
    } else if (source === 'ibgp' && !rules.client) {
      // RFC 4456 6: from a non-client to clients only; from a client to everybody.
      return NOT_EXPORTED;
    }
    let rule = -1;
    if (this.#chain !== undefined) {
      rule = this.#chain.match(rules.family, length, w0, w1, w2, w3, attribute, source === 'local', prefix);
      if (!this.#chain.accepts(rule)) return NOT_EXPORTED;
      if (!this.#chain.hasOperations(rule)) rule = -1;
    }
    if (rules.peerKind === 'ibgp' && (source === 'ibgp' || source === 'client')) {
      return this.#reflectedForm(attribute, rule, originator);
    }
    return this.#form(attribute, rule, source === 'local');
  }

  /** RFC 4456 8: with ORIGINATOR_ID and our cluster in front of CLUSTER_LIST. */
  #reflectedForm(attribute: number, rule: number, originator: number): number {
    const hasOriginator = ((this.#attributes.flags[attribute] ?? 0) & HAS_ORIGINATOR) !== 0;
    const slot = (hasOriginator ? 0 : originator) * MAX_RULES + rule + 1;
    let forms = this.#reflected.get(slot);
    if (forms === undefined) {
      forms = new Map();
      this.#reflected.set(slot, forms);
    }
    const known = forms.get(attribute);
    if (known !== undefined) return known;
    const form = this.#make(attribute, rule, false, originator);
    forms.set(attribute, form);
    this.#attributes.note(attribute);
    return form;
  }

  #form(attribute: number, rule: number, local: boolean): number {
    const isPlain = !local && !this.looksAtPrefixes;
    const forms = isPlain ? this.#plain : this.#formsOf(attribute, rule, local);
    const known = forms[attribute] ?? 0;
    if (known !== 0) return known < 0 ? NOT_EXPORTED : known - 1;
    // Plain forms go by themselves.
    if (!isPlain) this.#attributes.note(attribute);
    const form = this.#make(attribute, rule, local);
    forms[attribute] = form < 0 ? -1 : form + 1;
    return form;
  }

  /** The column of forms that a rule makes, with room for that attribute id. */
  #formsOf(attribute: number, rule: number, local: boolean): Int32Array {
    const slot = 2 * (rule + 1) + (local ? 1 : 0);
    const forms = this.#forms.get(slot);
    if (forms !== undefined && attribute < forms.length) return forms;
    const size = Math.max(64, 2 * attribute);
    const grown = forms === undefined ? new Int32Array(size) : grownInt32(forms, size);
    this.#forms.set(slot, grown);
    return grown;
  }

  /** Makes room for the plain form of that attribute id. */
  #growPlain(attribute: number): void {
    const { core, capacity } = this.#attributes;
    const longer = core.int32(Math.max(capacity, attribute + 1));
    if (this.#plain.length > 0) core.moved(this.#plain, longer);
    this.#plain = longer;
    this.#block[EXPORT_FORMS] = longer.byteOffset;
    this.#block[EXPORT_FORMS_ROOM] = longer.length;
  }

  #make(attribute: number, rule: number, local: boolean, originator?: number): number {
    const attributes = this.#attributes;
    const rules = this.#rules;
    let key = attributes.key(attribute);
    const nextHop = nextHopFor(rules, key, originator !== undefined);
    if (nextHop.length === 0) return NOT_EXPORTED;
    const flags = attributes.flags[attribute] ?? 0;
    const external = rules.peerKind === 'ebgp';
    const transparent = rules.transparent && !local;
    const operations = rule < 0 ? undefined : rules.chain?.rules[rule]?.operations;
    const isMarked = rules.longLived === 'marked' && (flags & LLGR_STALE) !== 0;
    // RFC 4271 5.1.4: a MED that was received goes no further; one that is set here does.
    let med: 'remove' | undefined =
      external && !local && !transparent && (flags & HAS_MED) !== 0 ? 'remove' : undefined;
    if (operations !== undefined) {
      if (med !== undefined) key = rewriteKey(key, { med }).slice();
      med = undefined;
      key = applyOperations(key, operations).slice();
    }
    if (rules.shuttingDown) key = this.#shutDown(key);
    if (isMarked) key = rewriteKey(key, { community: COMMUNITY.noExport, localPref: 0 }).slice();
    if (originator !== undefined) key = withReflection(key, originator, rules.clusterId);
    if (external) key = this.#beforeLeaving(key, flags);
    const hasLocalPref =
      (flags & HAS_LOCAL_PREF) !== 0 ||
      rules.shuttingDown ||
      isMarked ||
      operations?.some(setsLocalPref) === true;
    const form = attributes.internForm(
      rewriteKey(
        key,
        this.#lastEdits(
          nextHop,
          transparent,
          med,
          external ? 'remove' : hasLocalPref ? undefined : DEFAULT_LOCAL_PREF,
        ),
      ),
    );
    // A form that equals its source lives as long as the source does; a reference of its own would keep both for ever.
    if (form === attribute) attributes.release(form);
    return form;
  }

  /** What every key goes through at the end. */
  #lastEdits(
    nextHop: Uint8Array,
    transparent: boolean,
    med: 'remove' | undefined,
    localPref: number | 'remove' | undefined,
  ): KeyEdits {
    const external = this.#rules.peerKind === 'ebgp';
    const prepend = external && !transparent ? this.#prepend : undefined;
    return { nextHop, prepend, med, localPref, leaveAs: external };
  }

  /** RFC 8326 4.1 and 4.2. */
  #shutDown(key: AttributeKey): AttributeKey {
    const community = COMMUNITY.gracefulShutdown;
    return rewriteKey(
      key,
      this.#rules.peerKind === 'ibgp' ? { community, localPref: 0 } : { community },
    ).slice();
  }

  /** What an external peer gets to see of the AS_PATH so far, and RFC 9234 5. */
  #beforeLeaving(key: AttributeKey, flags: number): AttributeKey {
    const { localAs, peerAs, asOverride, removePrivateAs, role } = this.#rules;
    let changed = key;
    if (removePrivateAs === 'remove') changed = withoutPrivateAs(changed);
    else if (removePrivateAs === 'replace') changed = withPrivateAsReplaced(changed, localAs);
    if (asOverride) changed = withReplacedAs(changed, peerAs, localAs);
    const comesDown = role === 'provider' || role === 'rs' || role === 'peer';
    if (comesDown && (flags & HAS_OTC) === 0) {
      changed = withAttribute(changed, ATTRIBUTE.onlyToCustomer, uint32Bytes(localAs));
    }
    return changed;
  }

  /** What becomes of the next hop of a path, as the inner loop wants to know it. */
  #nextHopKind(attribute: number): number {
    const nextHop = nextHopFor(this.#rules, this.#attributes.key(attribute), false);
    if (nextHop.length === 0) return NO_NEXT_HOP;
    return nextHop === this.#rules.selfNextHop ? OWN_NEXT_HOP : KEEPS_NEXT_HOP;
  }
}

function setsLocalPref(operation: { readonly kind: string }): boolean {
  return operation.kind === 'set-local-pref';
}
