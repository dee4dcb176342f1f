/**
 * What a path looks like to the peers of an update group, or that they do not get it at all: RFC 1997 well-known communities, RFC 4271
 * 9.2 (no iBGP to iBGP) and 5.1 (attributes), RFC 8212, then export policy. The exported form is made once per attribute id.
 */
import { type Address, addressesEqual, addressFromBytes, type Family } from '../../src/net/address.ts';
import { type Prefix, prefixContainsAddress } from '../../src/net/prefix.ts';
import { applyOperations, CompiledChain, chainFingerprint } from '../policy/compiled-chain.ts';
import { rewriteKey } from '../policy/key-rewrite.ts';
import type { FilterChain } from '../policy/types.ts';
import type { AttributeKey } from '../wire/types.ts';
import { type AttributeStore, grownInt32 } from './attribute-store.ts';
import {
  DEFAULT_LOCAL_PREF,
  HAS_LOCAL_PREF,
  HAS_MED,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
} from './key-summary.ts';

/** Result of an export for a path that is not announced. */
export const NOT_EXPORTED = -1;

/** All that the export to a peer depends on; peers that agree in it share an update group. */
export interface ExportRules {
  readonly family: Family;
  readonly peerKind: 'ebgp' | 'ibgp';
  readonly localAs: number;
  readonly nextHop: 'auto' | 'self' | 'keep';
  /** next hop 'self' in the form of a key: 0 (impossible), 4, 16 or 32 octets */
  readonly selfNextHop: Uint8Array;
  /** RFC 8950: IPv4 routes may have IPv6 next hops */
  readonly extendedNextHop: boolean;
  /** subnets shared with the peer, and the peer's address in them: only when a third-party next hop may be right */
  readonly shared: { readonly subnets: readonly Prefix[]; readonly peer: Address } | undefined;
  readonly chain: FilterChain | undefined;
}

/** Text that is equal for rules that do the same. */
export function exportFingerprint(rules: ExportRules): string {
  const shared = rules.shared;
  return [
    rules.family,
    rules.peerKind,
    rules.localAs,
    rules.nextHop,
    rules.selfNextHop.join('.'),
    rules.extendedNextHop,
    shared === undefined
      ? '-'
      : [shared.peer.bytes, ...shared.subnets.flatMap((s) => [s.bytes, s.length])].join('/'),
    chainFingerprint(rules.chain),
  ].join(' ');
}

/** Export rules with the forms made so far; holds references to the latter. */
export class Exporter {
  readonly #rules: ExportRules;
  readonly #attributes: AttributeStore;
  readonly #chain: CompiledChain | undefined;
  /** slot (rule with operations, local or learned) -> by attribute id: 0 unknown, -1 none, else id of the exported form + 1 */
  readonly #forms = new Map<number, Int32Array>();
  readonly #forget = (attribute: number): void => {
    this.#chain?.forget(attribute);
    for (const forms of this.#forms.values()) {
      const form = forms[attribute] ?? 0;
      if (form === 0) continue;
      forms[attribute] = 0;
      if (form > 0 && form - 1 !== attribute) this.#attributes.release(form - 1);
    }
  };

  constructor(rules: ExportRules, attributes: AttributeStore) {
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
    const held: number[] = [];
    for (const forms of this.#forms.values()) {
      for (const [attribute, form] of forms.entries()) {
        if (form > 0 && form - 1 !== attribute) held.push(form - 1);
      }
    }
    this.#forms.clear();
    for (const form of held) this.#attributes.release(form);
  }

  /**
   * The attribute id of the exported form of a path, or NOT_EXPORTED. `source` tells how the path came here. Takes no reference: the form
   * lives as long as `attribute`.
   */
  export(
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
    source: 'local' | 'ebgp' | 'ibgp',
  ): number {
    const rules = this.#rules;
    const flags = this.#attributes.flags[attribute] ?? 0;
    if ((flags & NO_ADVERTISE) !== 0) return NOT_EXPORTED;
    if (rules.peerKind === 'ebgp') {
      if ((flags & (NO_EXPORT | NO_EXPORT_SUBCONFED)) !== 0) return NOT_EXPORTED;
      if (this.#chain === undefined) return NOT_EXPORTED;
    } else if (source === 'ibgp') {
      return NOT_EXPORTED;
    }
    let rule = -1;
    if (this.#chain !== undefined) {
      rule = this.#chain.match(rules.family, length, w0, w1, w2, w3, attribute, source === 'local');
      if (!this.#chain.accepts(rule)) return NOT_EXPORTED;
      if (!this.#chain.hasOperations(rule)) rule = -1;
    }
    return this.#form(attribute, rule, source === 'local');
  }

  #form(attribute: number, rule: number, local: boolean): number {
    const slot = 2 * (rule + 1) + (local ? 1 : 0);
    let forms = this.#forms.get(slot);
    if (forms === undefined || attribute >= forms.length) {
      const size = Math.max(64, 2 * attribute);
      forms = forms === undefined ? new Int32Array(size) : grownInt32(forms, size);
      this.#forms.set(slot, forms);
    }
    const known = forms[attribute] ?? 0;
    if (known !== 0) return known < 0 ? NOT_EXPORTED : known - 1;
    const form = this.#make(attribute, rule, local);
    forms[attribute] = form < 0 ? -1 : form + 1;
    return form;
  }

  #make(attribute: number, rule: number, local: boolean): number {
    const attributes = this.#attributes;
    let key = attributes.key(attribute);
    const nextHop = this.#nextHopFor(key);
    if (nextHop.length === 0) return NOT_EXPORTED;
    const flags = attributes.flags[attribute] ?? 0;
    const external = this.#rules.peerKind === 'ebgp';
    // RFC 4271 5.1.4: a MED that was received goes no further; one that is set here does.
    if (external && !local && (flags & HAS_MED) !== 0) key = rewriteKey(key, { med: 'remove' }).slice();
    const operations = rule < 0 ? undefined : this.#rules.chain?.rules[rule]?.operations;
    if (operations !== undefined) key = applyOperations(key, operations).slice();
    const hasLocalPref = (flags & HAS_LOCAL_PREF) !== 0 || operations?.some(setsLocalPref) === true;
    const form = attributes.intern(
      external
        ? rewriteKey(key, { nextHop, prepend: [this.#rules.localAs], localPref: 'remove', leaveAs: true })
        : rewriteKey(key, hasLocalPref ? { nextHop } : { nextHop, localPref: DEFAULT_LOCAL_PREF }),
    );
    // A form that equals its source lives as long as the source does; a reference of its own would keep both for ever.
    if (form === attribute) attributes.release(form);
    return form;
  }

  /** The next hop to announce for a path, RFC 4271 5.1.3: empty when there is none that the peer could use. */
  #nextHopFor(key: AttributeKey): Uint8Array {
    const { nextHop, selfNextHop, peerKind, shared } = this.#rules;
    const received = key.slice(1, 1 + Math.min(16, key[0] ?? 0));
    if (received.length === 0 || nextHop === 'self') return selfNextHop;
    const fits = this.#rules.family === 'ipv6' ? received.length === 16 : this.#fitsIpv4(received);
    if (nextHop === 'keep' || peerKind === 'ibgp') return fits ? received : new Uint8Array(0);
    if (!fits || shared === undefined) return selfNextHop;
    const address = addressFromBytes(received);
    const thirdParty =
      !addressesEqual(address, shared.peer) &&
      shared.subnets.some((subnet) => prefixContainsAddress(subnet, address));
    return thirdParty ? received : selfNextHop;
  }

  #fitsIpv4(nextHop: Uint8Array): boolean {
    return nextHop.length === 4 || this.#rules.extendedNextHop;
  }
}

function setsLocalPref(operation: { readonly kind: string }): boolean {
  return operation.kind === 'set-local-pref';
}
