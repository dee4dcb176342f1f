/**
 * The way out of the RIB: which peers share an update group, and what each of them is to be sent next. Nothing is queued as
 * octets: a peer's transport pulls messages when its socket takes them, so a slow peer costs itself only.
 */
import { type Address, FAMILIES, type Family } from '../../src/net/address.ts';
import type { PeerConfig } from '../types.ts';
import { REFRESH_SUBTYPE } from '../wire/registry.ts';
import type { ExportRules } from './export-rules.ts';
import { exportFingerprint } from './export-rules.ts';
import type { FamilyRib, RibTables } from './family-rib.ts';
import { OutputBatch } from './output-batch.ts';
import { type PeerSession, peerKind, type RibPeer } from './peers.ts';
import { IdList, type PeerOutput, UpdateGroup, wasSent } from './update-group.ts';

/** Entries looked at in one `fill` before it gives the event loop back. */
const SCAN_LIMIT = 1 << 17;

/** Owner of the update groups. */
export class RibOutput {
  readonly #tables: RibTables;
  readonly #families: Readonly<Record<Family, FamilyRib>>;
  readonly #groups: Readonly<Record<Family, UpdateGroup[]>> = { ipv4: [], ipv6: [] };
  /** RFC 8326: everything goes out tagged; `changeExport` of each peer brings it into force */
  draining = false;
  readonly #localAs: number;
  readonly #clusterId: number;
  readonly #isSettled: (family: Family) => boolean;
  readonly #onWork: () => void;
  readonly #batch: OutputBatch;
  /** the present batch is filled by the walk over the table */
  #walking = false;

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
    this.#isSettled = options.isSettled;
    this.#onWork = options.onWork;
    this.#batch = new OutputBatch(tables.attributes);
    for (const family of FAMILIES) {
      families[family].prefixes.onGrow((capacity) => {
        for (const group of this.#groups[family]) group.grow(capacity);
      });
    }
  }

  /** A best path changed: every group of the family looks whether that makes a difference to its peers. */
  onBest(family: Family, prefix: number, oldPeer: number, peer: number): void {
    for (const group of this.#groups[family]) group.onBest(prefix, oldPeer, peer);
  }

  /** A prefix id is about to be freed. */
  onFree(family: Family, prefix: number): void {
    for (const group of this.#groups[family]) group.onFree(prefix);
  }

  /** A session came up: everything that the peer should have is to be sent. */
  start(peer: RibPeer, session: PeerSession): void {
    for (const family of FAMILIES) {
      if (!session.context.families[family]) continue;
      const group = this.#groupFor(family, peer.config, session);
      const output: PeerOutput = {
        peer: peer.id,
        peerAddress: peer.config.address,
        group,
        cursor: group.logCount,
        sent: new Int32Array((this.#families[family].prefixes.capacity + 31) >>> 5),
        sentCount: 0,
        walkAt: 0,
        walkForced: false,
        retry: new IdList(),
        presence: new IdList(),
        endOfRibSent: false,
        refresh: undefined,
      };
      group.members.push(output);
      peer.output[family] = output;
    }
    this.#onWork();
  }

  /** The session is gone: so is what it had been sent. */
  stop(peer: RibPeer): void {
    for (const family of FAMILIES) {
      const output = peer.output[family];
      if (output === undefined) continue;
      peer.output[family] = undefined;
      this.#leave(family, output);
      this.#releaseSent(this.#families[family], output);
    }
  }

  /** Moves a peer to another group if its export rules changed, and sends it what that changes. */
  changeExport(peer: RibPeer): void {
    const { session } = peer;
    if (session === undefined) return;
    for (const family of FAMILIES) {
      const output = peer.output[family];
      if (output === undefined) continue;
      if (exportFingerprint(this.#rulesFor(family, peer.config, session)) === output.group.fingerprint)
        continue;
      const group = this.#groupFor(family, peer.config, session);
      this.#leave(family, output);
      output.group = group;
      output.cursor = group.logCount;
      group.members.push(output);
      output.walkAt = 0;
      output.walkForced = true;
      this.#onWork();
    }
  }

  /** Sends the whole table of a family again (RFC 2918), with its beginning and end marked if that was agreed (RFC 7313 4.1). */
  refresh(peer: RibPeer, family: Family): void {
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
    return FAMILIES.some((family) => {
      const output = peer.output[family];
      return output !== undefined && (hasUnread(output) || this.#endOfRibDue(family, output));
    });
  }

  /** Writes whole messages for a peer into `target` from `offset`; returns the octets written. */
  fill(peer: RibPeer, target: Uint8Array, offset: number): number {
    const { session } = peer;
    if (session === undefined) return 0;
    const batch = this.#batch;
    let at = offset;
    let scanned = 0;
    for (const family of FAMILIES) {
      const output = peer.output[family];
      if (output === undefined) continue;
      if (output.refresh === 'begin') {
        const after = batch.writeRefreshMark(family, REFRESH_SUBTYPE.beginOfRefresh, target, at);
        if (after < 0) return at - offset;
        at = after;
        output.refresh = 'end';
      }
      for (;;) {
        batch.open(this.#families[family], session, target, at);
        if (batch.isFull) return at - offset;
        this.#walking = false;
        while (!batch.isFull && scanned < SCAN_LIMIT && this.#takeNext(family, output)) scanned++;
        at = batch.write(output);
        output.group.onRead(output);
        if (batch.ranOut) return at - offset;
        if (scanned >= SCAN_LIMIT) {
          if (at === offset) this.#onWork();
          return at - offset;
        }
        if (!hasRoutesUnread(output)) break;
      }
      if (output.refresh === 'end' && output.walkAt < 0 && output.retry.count === 0) {
        const after = batch.writeRefreshMark(family, REFRESH_SUBTYPE.endOfRefresh, target, at);
        if (after < 0) return at - offset;
        at = after;
        output.refresh = undefined;
      }
      if (this.#endOfRibDue(family, output)) {
        const after = batch.writeEndOfRib(family, target, at);
        if (after < 0) return at - offset;
        at = after;
        output.endOfRibSent = true;
      }
    }
    return at - offset;
  }

  /** Takes one prefix from what a peer has not read yet into the batch; false when there is none. */
  #takeNext(family: Family, output: PeerOutput): boolean {
    const { group } = output;
    const retried = output.retry.pop();
    if (retried >= 0) {
      this.#take(output, retried, true);
      return true;
    }
    const presence = output.presence.pop();
    if (presence >= 0) {
      this.#take(output, presence, false);
      return true;
    }
    if (output.cursor < group.logCount) {
      const position = output.cursor++;
      if (group.isCurrent(position)) this.#take(output, group.log[position] ?? -1, true);
      return true;
    }
    if (output.walkAt < 0) return false;
    // The walk leaves out what was announced: first write what the log brought into this batch.
    if (!this.#walking && !this.#batch.isEmpty) return false;
    this.#walking = true;
    const { prefixes } = this.#families[family];
    if (output.walkAt >= prefixes.idLimit) {
      output.walkAt = -1;
      output.walkForced = false;
      return false;
    }
    const prefix = output.walkAt++;
    if (prefixes.has(prefix)) this.#take(output, prefix, output.walkForced);
    return true;
  }

  /** Puts into the batch what a peer is to be told of a prefix. Unless forced, an announcement that it has is not repeated. */
  #take(output: PeerOutput, prefix: number, forced: boolean): void {
    const desired = output.group.desired(output, prefix);
    if (desired >= 0) {
      if (forced || !wasSent(output, prefix)) this.#batch.announce(prefix, desired);
    } else if (wasSent(output, prefix)) {
      this.#batch.withdraw(prefix);
    }
  }

  /** RFC 4724 2: once the initial table is out; as restarting speaker not before the deferral ends (4.1). */
  #endOfRibDue(family: Family, output: PeerOutput): boolean {
    if (output.endOfRibSent || hasUnread(output)) return false;
    const rib = this.#families[family];
    return !rib.deferred && rib.pending === 0 && this.#isSettled(family);
  }

  #groupFor(family: Family, config: PeerConfig, session: PeerSession): UpdateGroup {
    const rules = this.#rulesFor(family, config, session);
    const fingerprint = exportFingerprint(rules);
    const found = this.#groups[family].find((group) => group.fingerprint === fingerprint);
    if (found !== undefined) return found;
    const group = new UpdateGroup(rules, this.#families[family], this.#tables);
    this.#groups[family].push(group);
    return group;
  }

  #rulesFor(family: Family, config: PeerConfig, session: PeerSession): ExportRules {
    const speaker = { localAs: this.#localAs, clusterId: this.#clusterId, draining: this.draining };
    return exportRules(family, config, session, speaker);
  }

  #leave(family: Family, output: PeerOutput): void {
    const { group } = output;
    group.members.splice(group.members.indexOf(output), 1);
    if (group.members.length > 0) {
      const [other] = group.members;
      if (other !== undefined) group.onRead(other);
      return;
    }
    const groups = this.#groups[family];
    groups.splice(groups.indexOf(group), 1);
    group.exporter.dispose();
  }

  #releaseSent(rib: FamilyRib, output: PeerOutput): void {
    for (const [index, word] of output.sent.entries()) {
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit++) {
        if ((word & (1 << bit)) === 0) continue;
        const prefix = 32 * index + bit;
        rib.holders[prefix] = (rib.holders[prefix] ?? 0) - 1;
        rib.freeIfUnused(prefix);
      }
    }
  }
}

function hasUnread(output: PeerOutput): boolean {
  return output.refresh !== undefined || hasRoutesUnread(output);
}

function hasRoutesUnread(output: PeerOutput): boolean {
  return (
    output.retry.count > 0 ||
    output.presence.count > 0 ||
    output.cursor < output.group.logCount ||
    output.walkAt >= 0
  );
}

/** The export rules that a peer's configuration and session amount to. */
export function exportRules(
  family: Family,
  config: PeerConfig,
  session: PeerSession,
  speaker: { readonly localAs: number; readonly clusterId: number; readonly draining: boolean },
): ExportRules {
  const { extendedNextHop } = session.context;
  const subnets = session.connectedSubnets ?? [];
  const kind = peerKind(config);
  const mayBeThirdParty =
    kind === 'ebgp' && config.nextHop === 'auto' && session.peerConnected && subnets.length > 0;
  return {
    family,
    peerKind: kind,
    localAs: config.localAs,
    nextHop: config.nextHop,
    selfNextHop: selfNextHop(family, session, extendedNextHop),
    extendedNextHop,
    shared: mayBeThirdParty ? { subnets, peer: config.address } : undefined,
    chain: config.exportPolicy,
    peerAs: config.peerAs,
    ownAs:
      config.localAs !== speaker.localAs && config.localAsOptions?.replaceAs !== true
        ? speaker.localAs
        : undefined,
    asOverride: config.asOverride ?? false,
    removePrivateAs: config.removePrivateAs,
    role: kind === 'ebgp' ? config.role?.local : undefined,
    shuttingDown: speaker.draining || config.gracefulShutdown === true,
    longLived: session.longLived ?? false,
    client: config.routeReflectorClient ?? false,
    clusterId: speaker.clusterId,
  };
}

/** Our next hop in the form of a key: empty when the session has no address that the family could use. */
function selfNextHop(family: Family, session: PeerSession, extendedNextHop: boolean): Uint8Array {
  const { ipv4, ipv6, linkLocal } = session.localAddress;
  if (family === 'ipv4' && ipv4 !== undefined) return ipv4.bytes;
  if (family === 'ipv4' && !extendedNextHop) return new Uint8Array(0);
  return ipv6NextHop(ipv6, session.peerConnected ? linkLocal : undefined);
}

/** RFC 2545 3: the global address, followed by the link-local one for a peer on the same link. */
function ipv6NextHop(global: Address | undefined, linkLocal: Address | undefined): Uint8Array {
  if (global === undefined) return linkLocal?.bytes ?? new Uint8Array(0);
  if (linkLocal === undefined) return global.bytes;
  const both = new Uint8Array(32);
  both.set(global.bytes);
  both.set(linkLocal.bytes, 16);
  return both;
}
