/**
 * What a path looks like to the peers of an update group, or that they do not get it at all: RFC 1997 well-known communities, RFC 4271
 * 9.2 (no iBGP to iBGP) and 5.1 (attributes), RFC 8212, then export policy. The exported form is made once per attribute id.
 */
import {
  DEFAULT_LOCAL_PREF,
  HAS_LOCAL_PREF,
  HAS_MED,
  HAS_ORIGINATOR,
  HAS_OTC,
  LLGR_STALE,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  NOT_EXPORTED,
} from '../../src/core/assembly/layout.ts';
import { type Address, addressesEqual, addressFromBytes, type Family } from '../../src/net/address.ts';
import { type Prefix, prefixContainsAddress } from '../../src/net/prefix.ts';
import {
  applyOperations,
  CompiledChain,
  chainFingerprint,
  type RouteInterfaces,
} from '../policy/compiled-chain.ts';
import { rewriteKey } from '../policy/key-rewrite.ts';
import type { FilterChain } from '../policy/types.ts';
import type { PeerRole } from '../types.ts';
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
import type { FamilyRib } from './family-rib.ts';
import { scopeIn } from './next-hops.ts';
import type { PeerColumns } from './peers.ts';

/** Rules of a chain, for numbering what they make. */
const MAX_RULES = 1 << 20;

/** All that the export to a peer depends on; peers that agree in it share an update group. */
export interface ExportRules {
  readonly family: Family;
  readonly peerKind: 'ebgp' | 'ibgp';
  readonly localAs: number;
  readonly nextHop: 'auto' | 'self' | 'keep';
  /** RFC 7947 2.2: learned routes keep AS_PATH and MED */
  readonly transparent: boolean;
  /** next hop 'self' in the form of a key: 0 (impossible), 4, 16 or 32 octets */
  readonly selfNextHop: Uint8Array;
  /** RFC 8950: IPv4 routes may have IPv6 next hops */
  readonly extendedNextHop: boolean;
  /** subnets shared with the peer: only when a third-party next hop may be right */
  readonly shared: readonly Prefix[] | undefined;
  /** with `shared`: an address that is no third party's. Without it whoever has the form looks for himself */
  readonly notThird: Address | undefined;
  readonly chain: FilterChain | undefined;
  readonly peerAs: number;
  /** RFC 7705: the speaker's own AS, to stand behind `localAs`; undefined: `localAs` alone */
  readonly ownAs: number | undefined;
  readonly asOverride: boolean;
  readonly removePrivateAs: 'remove' | 'replace' | undefined;
  /** RFC 9234 */
  readonly role: PeerRole | undefined;
  /** RFC 8326: everything is tagged */
  readonly shuttingDown: boolean;
  /** RFC 9494: whether long-lived stale routes may be sent; `marked`: as to a peer that does not know of such (4.6) */
  readonly longLived: 'yes' | 'marked' | 'no';
  /** RFC 4456: the peer is our client */
  readonly client: boolean;
  readonly clusterId: number;
}

/** How a path came here. `client`: from an iBGP peer that is our route reflector client. */
export type PathSource = 'local' | 'ebgp' | 'ibgp' | 'client';

/** Text that is equal for rules that do the same. */
export function exportFingerprint(rules: ExportRules): string {
  const shared = rules.shared;
  return [
    rules.family,
    rules.peerKind,
    rules.localAs,
    rules.nextHop,
    rules.transparent,
    rules.selfNextHop.join('.'),
    rules.extendedNextHop,
    shared === undefined ? '-' : shared.flatMap((subnet) => [subnet.bytes, subnet.length]).join('/'),
    rules.notThird?.bytes.join('.'),
    chainFingerprint(rules.chain),
    rules.asOverride || rules.role !== undefined ? rules.peerAs : '-',
    rules.ownAs,
    rules.asOverride,
    rules.removePrivateAs,
    rules.role,
    rules.shuttingDown,
    rules.longLived,
    rules.client,
    rules.clusterId,
  ].join(' ');
}

/** Export rules with the forms made so far; holds references to the latter. */
export class Exporter {
  readonly #rules: ExportRules;
  readonly #attributes: AttributeStore;
  readonly #chain: CompiledChain | undefined;
  /** the answer depends on the prefix, and not on the attributes and who sent them alone */
  readonly looksAtPrefixes: boolean;
  /** what stands in front of the AS_PATH of what leaves */
  readonly #prepend: readonly number[];
  /** slot (rule with operations, local or learned) -> by attribute id: 0 unknown, -1 none, else id of the exported form + 1 */
  readonly #forms = new Map<number, Int32Array>();
  /** the latest answer of `#ofPeer`: mostly the next one too */
  #latestAttribute = -1;
  #latestPeer = -1;
  /** of the peers' columns */
  #latestVersion = -1;
  #latestForm = NOT_EXPORTED;
  /** the same for reflected paths without ORIGINATOR_ID, by the BGP identifier of who sent them and slot; few, so sparse */
  readonly #reflected = new Map<number, Map<number, number>>();
  readonly #forget = (attribute: number): void => {
    if (attribute === this.#latestAttribute) this.#latestAttribute = -1;
    this.#chain?.forget(attribute);
    if (this.#reflected.size > 0) this.#forgetReflected(attribute);
    for (const forms of this.#forms.values()) {
      const form = forms[attribute] ?? 0;
      if (form === 0) continue;
      forms[attribute] = 0;
      if (form > 0 && form - 1 !== attribute) this.#attributes.release(form - 1);
    }
  };

  constructor(rules: ExportRules, attributes: AttributeStore, interfaces?: RouteInterfaces) {
    this.#rules = rules;
    this.#attributes = attributes;
    this.#prepend = rules.ownAs === undefined ? [rules.localAs] : [rules.localAs, rules.ownAs];
    this.#chain =
      rules.chain === undefined
        ? undefined
        : new CompiledChain(rules.chain, rules.peerKind, attributes, interfaces);
    this.looksAtPrefixes = this.#chain !== undefined && !this.#chain.isConstant;
    attributes.onFree(this.#forget);
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
    this.#chain?.dispose();
    const held: number[] = [];
    for (const forms of this.#forms.values()) {
      for (const [attribute, form] of forms.entries()) {
        if (form > 0 && form - 1 !== attribute) held.push(form - 1);
      }
    }
    this.#forms.clear();
    for (const forms of this.#reflected.values()) {
      for (const [attribute, form] of forms) if (form >= 0 && form !== attribute) held.push(form);
    }
    this.#reflected.clear();
    for (const form of held) this.#attributes.release(form);
  }

  /** Whether a form may have a third party's next hop, and so that of the peer it is for. */
  get mayNameThirdParties(): boolean {
    return this.#rules.shared !== undefined;
  }

  /** Whether the answer depends on the interface that a route leads to. */
  get looksAtInterfaces(): boolean {
    return this.#chain?.looksAtInterfaces ?? false;
  }

  /** As `export`, for rules that do not look at prefixes; `peer` is the number of who sent the path. */
  #ofPeer(attribute: number, peer: number, peers: PeerColumns): number {
    const isLatest = attribute === this.#latestAttribute && peer === this.#latestPeer;
    if (isLatest && this.#latestVersion === peers.version) return this.#latestForm;
    const form = this.export(0, 0, 0, 0, 0, attribute, peers.sourceOf(peer), peers.routerId[peer] ?? 0);
    this.#latestAttribute = attribute;
    this.#latestPeer = peer;
    this.#latestVersion = peers.version;
    this.#latestForm = form;
    return form;
  }

  /** As `export`, for a path of `peer` to a prefix of the table, with these attributes. */
  ofPath(
    { prefixes, family }: FamilyRib,
    prefix: number,
    attribute: number,
    peer: number,
    peers: PeerColumns,
  ): number {
    if (!this.looksAtPrefixes) return this.#ofPeer(attribute, peer, peers);
    const wide = family === 'ipv6';
    return this.export(
      prefixes.lengthOf(prefix),
      prefixes.wordOf(prefix, 0),
      wide ? prefixes.wordOf(prefix, 1) : 0,
      wide ? prefixes.wordOf(prefix, 2) : 0,
      wide ? prefixes.wordOf(prefix, 3) : 0,
      attribute,
      peers.sourceOf(peer),
      peers.routerId[peer] ?? 0,
      prefix,
    );
  }

  /**
   * The attribute id of the exported form of a path, or NOT_EXPORTED. `source` tells how the path came here, `originator` is the BGP
   * identifier of the peer that it came from, `prefix` the prefix id. Takes no reference: the form lives as long as `attribute`.
   */
  export(
    length: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    attribute: number,
    source: PathSource,
    originator: number,
    prefix = -1,
  ): number {
    const rules = this.#rules;
    const flags = this.#attributes.flags[attribute] ?? 0;
    if ((flags & NO_ADVERTISE) !== 0) return NOT_EXPORTED;
    // RFC 9494 4.3
    if ((flags & LLGR_STALE) !== 0 && rules.longLived === 'no') return NOT_EXPORTED;
    if (rules.peerKind === 'ebgp') {
      if ((flags & (NO_EXPORT | NO_EXPORT_SUBCONFED)) !== 0) return NOT_EXPORTED;
      if (this.#chain === undefined) return NOT_EXPORTED;
      if ((flags & HAS_OTC) !== 0 && goesUpOrAcross(rules.role)) return NOT_EXPORTED;
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
    return form;
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

  #make(attribute: number, rule: number, local: boolean, originator?: number): number {
    const attributes = this.#attributes;
    const rules = this.#rules;
    let key = attributes.key(attribute);
    const nextHop = this.#nextHopFor(key, originator !== undefined);
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
      rewriteKey(key, {
        nextHop,
        prepend: external && !transparent ? this.#prepend : undefined,
        med,
        localPref: external ? 'remove' : hasLocalPref ? undefined : DEFAULT_LOCAL_PREF,
        leaveAs: external,
      }),
    );
    // A form that equals its source lives as long as the source does; a reference of its own would keep both for ever.
    if (form === attribute) attributes.release(form);
    return form;
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

  /** The next hop to announce for a path, RFC 4271 5.1.3: empty when there is none that the peer could use. */
  #nextHopFor(key: AttributeKey, reflected: boolean): Uint8Array {
    const { nextHop, selfNextHop, peerKind, shared, notThird } = this.#rules;
    const octets = Math.min(16, key[0] ?? 0);
    if (octets === 0 || nextHop === 'self') return selfNextHop;
    // What most external peers get: no third party comes into question.
    if (nextHop === 'auto' && peerKind === 'ebgp' && shared === undefined) return selfNextHop;
    const received = key.slice(1, 1 + octets);
    // A link-local address means nothing to whoever is on another link (RFC 2545 3).
    if (scopeIn(received) !== 0) return reflected ? new Uint8Array(0) : selfNextHop;
    const fits = this.#rules.family === 'ipv6' ? received.length === 16 : this.#fitsIpv4(received);
    if (nextHop === 'keep' || peerKind === 'ibgp') return fits ? received : new Uint8Array(0);
    if (!fits || shared === undefined) return selfNextHop;
    const address = addressFromBytes(received);
    const thirdParty =
      (notThird === undefined || !addressesEqual(address, notThird)) &&
      shared.some((subnet) => prefixContainsAddress(subnet, address));
    return thirdParty ? received : selfNextHop;
  }

  #fitsIpv4(nextHop: Uint8Array): boolean {
    return nextHop.length === 4 || this.#rules.extendedNextHop;
  }
}

/** RFC 9234 5, egress rule 2: towards a provider, a peer or a route server. */
function goesUpOrAcross(role: PeerRole | undefined): boolean {
  return role === 'customer' || role === 'rs-client' || role === 'peer';
}

function setsLocalPref(operation: { readonly kind: string }): boolean {
  return operation.kind === 'set-local-pref';
}
