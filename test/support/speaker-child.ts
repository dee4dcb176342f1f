/**
 * Runs a Speaker in a process of its own, so that it can live in a network namespace, be killed and be frozen. Commands come as lines of
 * JSON on standard input, `{id, method, args}`; answers, `{id, result}` or `{id, error}`, and the speaker's events, `{event}`, go
 * to standard output. Started by `SpeakerProcess` (speaker-process.ts).
 */
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { SpeakerEvent } from '../../bgp/speaker/events.ts';
import { Speaker } from '../../bgp/speaker.ts';
import { tcpNetwork } from '../../bgp/transport/tcp.ts';
import type { PeerConfig } from '../../bgp/types.ts';
import { hexOf } from '../../bgp/wire/bytes.ts';
import { describeNotification } from '../../bgp/wire/notification.ts';
import { peerView } from '../../src/agent/bgp/peer-view.ts';
import { FAMILIES, formatAddress, parseAddress } from '../../src/net/address.ts';
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts';
import type {
  ChildPeer,
  ChildPeerStatus,
  ChildRequest,
  ChildRoute,
  ChildRouteDetail,
  ChildSpeakerOptions,
} from './speaker-process.ts';
import { tappedNetwork } from './tapped-network.ts';

const ACCEPT_ALL = { name: 'all', rules: [], fallThrough: 'accept' } as const;
const LOCAL_ONLY = {
  name: 'local',
  rules: [{ name: 'local', match: { source: 'local' }, action: 'accept' }],
  fallThrough: 'reject',
} as const;

const MESSAGES_MAX = 10_000;
/** every message that came in */
const received: { from: string; hex: string }[] = [];
/** octets of the longest message sent to each peer */
const longestSent = new Map<string, number>();

let speaker: Speaker | undefined;

function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

function prefix(text: string) {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`no prefix: ${text}`);
  return parsed;
}

function running(): Speaker {
  if (speaker === undefined) throw new Error('start comes first');
  return speaker;
}

function tell(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Addresses and errors as text. */
function eventText(event: SpeakerEvent): object {
  if (event.type === 'refused') return { ...event, address: formatAddress(event.address) };
  if (event.type === 'listen-failed') return { ...event, error: event.error.message };
  if (event.type === 'notification')
    return {
      ...event,
      error: describeNotification(event.error),
      code: `${event.error.code}/${event.error.subcode}`,
    };
  return event;
}

function start(options: ChildSpeakerOptions): void {
  speaker = new Speaker({
    routerId: options.routerId,
    localAs: options.localAs,
    listen: options.listenPort === undefined ? undefined : { port: options.listenPort },
    nextHopTracking: false,
    gracefulRestart: {
      forwardingPreserved: { ipv4: options.preserved, ipv6: options.preserved },
      deferralSec: 30,
    },
    maxPaths: 4,
    network: tappedNetwork(
      tcpNetwork((message) => tell({ event: { type: 'warning', message } })),
      {
        onReceived: (octets, from) => {
          if (received.length < MESSAGES_MAX)
            received.push({ from: formatAddress(from), hex: hexOf(octets) });
        },
        onSent: ({ length }, to) => {
          const key = formatAddress(to);
          longestSent.set(key, Math.max(length, longestSent.get(key) ?? 0));
        },
      },
    ),
    ...(options.identity && { identity: options.identity }),
    log: (event) => tell({ event: eventText(event) }),
  });
  setPeers(options.peers);
  speaker.setDynamicPeers(
    (options.dynamic ?? []).map(({ prefix: text, limit, template }) => ({
      name: text,
      prefix: prefix(text),
      limit,
      template: peerConfig({ ...template, address: '192.0.2.0' }),
    })),
  );
  for (const text of options.originate) speaker.originate(prefix(text));
  speaker.start();
}

function setPeers(peers: readonly ChildPeer[]): void {
  running().setPeers(peers.map(peerConfig));
}

function peerConfig(peer: ChildPeer): PeerConfig {
  return {
    name: peer.address,
    address: address(peer.address),
    port: peer.port ?? 179,
    localAs: peer.localAs,
    peerAs: peer.peerAs,
    ...(peer.localAddress !== undefined && { localAddress: address(peer.localAddress) }),
    passive: peer.passive ?? false,
    adminDown: false,
    holdTimeSec: peer.holdTimeSec ?? 3,
    connectRetrySec: 0.5,
    connectRetryMaxSec: 1,
    ttl: peer.ttl ?? 1,
    ...(peer.minTtl !== undefined && { minTtl: peer.minTtl }),
    families: FAMILIES,
    ...(peer.restartTimeSec !== undefined && {
      gracefulRestart: { restartTimeSec: peer.restartTimeSec, maxHelperTimeSec: 60 },
    }),
    importPolicy: ACCEPT_ALL,
    exportPolicy: peer.exportAll === true ? ACCEPT_ALL : LOCAL_ONLY,
    nextHop: 'auto' as const,
    allowOwnAs: 0,
    ...peer.extra,
  };
}

function details(): ChildRouteDetail[] {
  const found: ChildRouteDetail[] = [];
  const { rib } = running();
  for (const { name } of running().peers()) {
    const id = running().ribPeerId(name);
    if (id === undefined) continue;
    for (const family of FAMILIES) {
      for (const received of rib.received(id, family)) {
        // What policy and the RIB's own rules made of it, where it is used at all.
        const used = [...rib.routes({ family, prefix: received.prefix, peer: id })].find(
          ({ pathId }) => pathId === received.pathId,
        );
        const { attributes } = used ?? received;
        found.push({
          prefix: formatPrefix(received.prefix),
          peer: name,
          pathId: received.pathId,
          best: received.best,
          stale: received.stale,
          unusable: received.unusable,
          nextHop: attributes.nextHop ? formatAddress(attributes.nextHop) : '',
          localPref: attributes.localPref,
          asPath: attributes.asPath.flatMap(({ asNumbers }) => [...asNumbers]),
          communities: attributes.communities ?? [],
          largeCommunities: (attributes.largeCommunities ?? []).map(
            ({ global, local1, local2 }) => `${global}:${local1}:${local2}`,
          ),
          originatorId: attributes.originatorId,
          clusterList: attributes.clusterList ?? [],
          onlyToCustomer: attributes.onlyToCustomer,
        });
      }
    }
  }
  return found;
}

function routes(): ChildRoute[] {
  const found: ChildRoute[] = [];
  for (const family of FAMILIES) {
    for (const path of running().rib.routes({ family })) {
      if (path.source.kind !== 'peer') continue;
      const { nextHop, asPath } = path.attributes;
      found.push({
        prefix: formatPrefix(path.prefix),
        nextHop: nextHop ? formatAddress(nextHop) : '',
        asPath: asPath.flatMap(({ asNumbers }) => [...asNumbers]),
        best: path.best,
        stale: path.stale,
      });
    }
  }
  return found;
}

function peer(name: string): ChildPeerStatus | undefined {
  const status = running().peer(name);
  if (status === undefined) return undefined;
  return {
    state: status.state,
    holdTimeSec: status.holdTimeSec,
    lastReset: status.lastReset?.text,
    capabilitiesSent: status.capabilitiesSent,
    capabilitiesReceived: status.capabilitiesReceived,
    counters: status.counters,
    families: status.families,
    helperUntil: status.gracefulRestart.helperUntil,
    peerFamilies: status.gracefulRestart.peerFamilies,
    bfd: status.bfd,
    view: peerView(status, { resource: name }),
  };
}

async function call(request: ChildRequest): Promise<unknown> {
  switch (request.method) {
    case 'start':
      return start(request.options);
    case 'setPeers':
      return setPeers(request.peers);
    case 'originate':
      return running().originate(prefix(request.prefix));
    case 'originate-with':
      for (const text of request.prefixes) {
        running().originate(prefix(text), {
          ...(request.communities && { communities: request.communities }),
          ...(request.largeCommunities && { largeCommunities: request.largeCommunities }),
          ...(request.asPath && { asPath: [{ type: 'sequence', asNumbers: request.asPath }] }),
        });
      }
      return undefined;
    case 'details':
      return details();
    case 'peers':
      return running()
        .peers()
        .map(({ name }) => name);
    case 'messages':
      return received.filter(({ from }) => from === request.peer).map(({ hex }) => hex);
    case 'longest-sent':
      return longestSent.get(request.peer) ?? 0;
    case 'block': {
      const end = performance.now() + request.ms;
      while (performance.now() < end);
      return undefined;
    }
    case 'threads':
      return readdirSync('/proc/self/task').length;
    case 'draining':
      return request.on ? running().drain({ waitSec: 3600 }) : running().undrain();
    case 'withdraw':
      return running().withdraw(prefix(request.prefix));
    case 'routes':
      return routes();
    case 'peer':
      return peer(request.peer);
    case 'disable':
      return running().disable(request.peer, request.text);
    case 'enable':
      return running().enable(request.peer);
    case 'reset':
      return running().reset(request.peer, request.kind);
    case 'stop':
      return running().stop({ mode: request.mode });
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const message: { id: number; request: ChildRequest } = JSON.parse(line);
  call(message.request).then(
    (result) => tell({ id: message.id, result }),
    (error: unknown) => tell({ id: message.id, error: String(error) }),
  );
});
process.stdin.on('end', () => process.exit(0));
