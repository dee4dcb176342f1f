/**
 * The way out of the RIB: which peers share an update group, and which of them are told several paths to a prefix. Nothing is queued as
 * octets: a peer's transport pulls messages when its socket takes them, so a slow peer costs itself only.
 */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import type { PeerConfig } from '../types.ts';
import { AddPathOutput } from './add-path-output.ts';
import { type ExportRules, exportFingerprint } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { PeerFiller } from './peer-filler.ts';
import { PeerOutput } from './peer-output.ts';
import type { PeerSession, RibPeer } from './peers.ts';
import { exportRules } from './session-export.ts';
import { UpdateGroup } from './update-group.ts';

/** Owner of the update groups. */
export class RibOutput {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #groups: Readonly<Record<Family, UpdateGroup[]>> = { ipv4: [], ipv6: [] };
  /** RFC 8326: everything goes out tagged; `changeExport` of each peer brings it into force */
  draining = false;
  readonly #localAs: number;
  readonly #clusterId: number;
  readonly #onWork: () => void;
  readonly #filler: PeerFiller;
  /** peers that get several paths to a prefix */
  readonly #addPath: Readonly<Record<Family, Set<AddPathOutput>>> = { ipv4: new Set(), ipv6: new Set() };
  readonly #onDecided: Readonly<Record<Family, (prefix: number) => void>>;

  constructor(
    tables: RibTables,
    families: Readonly<Record<Family, FamilyRib>>,
    options: {
      localAs: number;
      clusterId: number;
      isSettled: (family: Family) => boolean;
      onWork: () => void;
    },
  ) {
    this.#localAs = options.localAs;
    this.#clusterId = options.clusterId;
    this.#tables = tables;
    this.#families = families;
    this.#onWork = options.onWork;
    const isComplete = (family: Family): boolean => {
      const rib = families[family];
      return !rib.deferred && rib.pending === 0 && options.isSettled(family);
    };
    this.#filler = new PeerFiller(tables, families, { isComplete, onWork: options.onWork });
    const onDecided = (family: Family) => (prefix: number) => {
      for (const output of this.#addPath[family]) output.onDecided(prefix);
      for (const group of this.#groups[family])
        if (group.exporter.looksAtInterfaces) group.reconsider(prefix);
    };
    this.#onDecided = { ipv4: onDecided('ipv4'), ipv6: onDecided('ipv6') };
    for (const family of FAMILIES) {
      families[family].prefixes.onGrow((capacity) => {
        for (const group of this.#groups[family]) group.grow(capacity);
      });
    }
  }

  /** What is exported of a prefix may be something else although its best path is the same. */
  reconsider(family: Family, prefix: number): void {
    for (const group of this.#groups[family]) group.reconsider(prefix);
  }

  /** A session came up: everything that the peer should have is to be sent. */
  start(peer: RibPeer, session: PeerSession): void {
    for (const family of FAMILIES) {
      if (!session.context.families[family]) continue;
      if (session.addPathSend[family]) {
        const { id, config } = peer;
        const rules = this.#addPathRulesFor(family, config, session);
        const rib = this.#families[family];
        const target = { id, address: config.address };
        const output = new AddPathOutput(target, rules, mostPaths(config), rib, this.#tables);
        peer.addPath[family] = output;
        this.#addPath[family].add(output);
        this.#listen(family);
        continue;
      }
      const group = this.#groupFor(family, peer.config, session);
      const output = new PeerOutput(
        { id: peer.id, address: peer.config.address },
        this.#families[family],
        group,
        this.#tables,
      );
      group.join(output);
      peer.output[family] = output;
    }
    this.#onWork();
  }

  /** The session is gone: so is what it had been sent. */
  stop(peer: RibPeer): void {
    for (const family of FAMILIES) {
      const addPath = peer.addPath[family];
      if (addPath !== undefined) {
        peer.addPath[family] = undefined;
        this.#addPath[family].delete(addPath);
        this.#listen(family);
        addPath.dispose();
      }
      const output = peer.output[family];
      if (output === undefined) continue;
      peer.output[family] = undefined;
      this.#leave(family, output);
      output.dispose();
    }
  }

  /** Moves a peer to another group if its export rules changed, and sends it what that changes. */
  changeExport(peer: RibPeer): void {
    const { session } = peer;
    if (session === undefined) return;
    for (const family of FAMILIES) {
      const rules = this.#rulesFor(family, peer.config, session);
      const pathRules = this.#addPathRulesFor(family, peer.config, session);
      if (peer.addPath[family]?.changeRules(pathRules, mostPaths(peer.config)) === true) {
        this.#listen(family);
        this.#onWork();
      }
      const output = peer.output[family];
      if (output === undefined) continue;
      if (exportFingerprint(rules) === output.group.fingerprint) continue;
      const group = this.#groupFor(family, peer.config, session);
      this.#leave(family, output);
      output.group = group;
      group.join(output);
      output.walkAt = 0;
      output.walkForced = true;
      this.#onWork();
    }
  }

  /** Sends the whole table of a family again (RFC 2918), with its beginning and end marked if that was agreed (RFC 7313 4.1). */
  refresh(peer: RibPeer, family: Family): void {
    const addPath = peer.addPath[family];
    if (addPath !== undefined) {
      if (peer.session?.enhancedRefresh === true && addPath.endOfRibSent) addPath.refresh = 'begin';
      addPath.sendAgain();
      this.#onWork();
    }
    const output = peer.output[family];
    if (output === undefined) return;
    // Before the End-of-RIB there is nothing to set apart.
    if (peer.session?.enhancedRefresh === true && output.endOfRibSent) output.refresh = 'begin';
    output.walkAt = 0;
    output.walkForced = true;
    this.#onWork();
  }

  /** Whether `fill` would find something to look at. */
  hasOutput(peer: RibPeer): boolean {
    return this.#filler.hasOutput(peer);
  }

  /** Writes whole messages for a peer into `target` from `offset`; returns the octets written. */
  fill(peer: RibPeer, target: Uint8Array, offset: number): number {
    return this.#filler.fill(peer, target, offset);
  }

  /** Prefixes of which a peer is still to be told, at most. */
  pendingOf(peer: RibPeer, family: Family): number {
    const output = peer.output[family];
    if (output !== undefined) return output.unreadCount(this.#families[family].prefixes.idLimit);
    return peer.addPath[family]?.unreadCount ?? 0;
  }

  #groupFor(family: Family, config: PeerConfig, session: PeerSession): UpdateGroup {
    const rules = this.#rulesFor(family, config, session);
    const fingerprint = exportFingerprint(rules);
    const found = this.#groups[family].find((group) => group.fingerprint === fingerprint);
    if (found !== undefined) return found;
    const group = new UpdateGroup(rules, this.#families[family], this.#tables);
    this.#groups[family].push(group);
    this.#announceGroups(family);
    this.#listen(family);
    return group;
  }

  /** Tells the family who is to hear of other best paths. */
  #announceGroups(family: Family): void {
    this.#families[family].groups = this.#groups[family].map(({ address }) => address);
  }

  /** Hears of decisions, and of interfaces of next hops, if some output makes something of them. */
  #listen(family: Family): void {
    const looks = (each: Family): boolean =>
      this.#groups[each].some(({ exporter }) => exporter.looksAtInterfaces) ||
      [...this.#addPath[each]].some(({ looksAtInterfaces }) => looksAtInterfaces);
    const isNeeded = this.#addPath[family].size > 0 || looks(family);
    this.#families[family].onDecided = isNeeded ? this.#onDecided[family] : undefined;
    this.#tables.nextHops.reportsInterfaces = FAMILIES.some(looks);
  }

  #rulesFor(family: Family, config: PeerConfig, session: PeerSession): ExportRules {
    const speaker = { localAs: this.#localAs, clusterId: this.#clusterId, draining: this.draining };
    return exportRules(family, config, session, speaker);
  }

  /** The same for a peer that shares them with nobody. */
  #addPathRulesFor(family: Family, config: PeerConfig, session: PeerSession): ExportRules {
    return { ...this.#rulesFor(family, config, session), notThird: config.address };
  }

  #leave(family: Family, output: PeerOutput): void {
    const { group } = output;
    group.leave(output);
    if (group.members.length > 0) {
      const [other] = group.members;
      if (other !== undefined) group.onRead(other);
      return;
    }
    const groups = this.#groups[family];
    groups.splice(groups.indexOf(group), 1);
    this.#announceGroups(family);
    this.#listen(family);
    group.dispose();
  }
}

/** How many paths to a prefix a peer gets. */
function mostPaths(config: PeerConfig): number {
  return config.addPath?.sendMax ?? Number.POSITIVE_INFINITY;
}
