/** The API's paths on BGP sessions and routes: the same for whoever holds a speaker. */
import type { ResetKind, Speaker } from '../../bgp/speaker.ts';
import { formatRouterId } from '../../bgp/wire/format.ts';
import { jsonList } from '../api/pieces.ts';
import { problem } from '../api/problem.ts';
import type { ApiRoutes } from '../api/server.ts';
import type { BgpSummaryView, PathRow } from '../api/views.ts';
import { type Address, addressesEqual, formatAddress, parseAddress } from '../net/address.ts';
import { type Prefix, parsePrefix } from '../net/prefix.ts';
import { captureRows } from './bgp/capture.ts';
import { originsOfPeers } from './bgp/dynamic.ts';
import type { NodePeer, NodeRange } from './bgp/peer-types.ts';
import { peerText, peerView } from './bgp/peer-view.ts';
import { findPaths, readRoutesQuery } from './bgp/routes-query.ts';
import { pathRow } from './bgp/views.ts';

/** A speaker with the resources that its peers come from; asked anew for each request. */
export interface BgpSource {
  /** undefined while there is none */
  readonly speaker: Speaker | undefined;
  readonly peers: readonly NodePeer[];
  readonly ranges: readonly NodeRange[];
}

/** `/v1/bgp/...` */
export function bgpApiRoutes(source: BgpSource): ApiRoutes {
  return {
    'GET /v1/bgp/summary': () => ({ jsonPieces: summaryPieces(source) }),
    'GET /v1/bgp/peers': () => ({ jsonPieces: jsonList(peerTexts(source)) }),
    'GET /v1/bgp/peers/:peer': ({ params }) => {
      const name = peerName(source, params['peer'] ?? '');
      const status = source.speaker?.peer(name);
      if (status === undefined) throw unknownPeer(source, name);
      return { json: peerView(status, originsOfPeers(source)(status)) };
    },
    'POST /v1/bgp/peers/:peer/reset': ({ params, body }) => ({
      json: reset(source, params['peer'] ?? '', readKind(body), readText(body)),
    }),
    'GET /v1/bgp/peers/:peer/capture': ({ params, signal }) => {
      const name = peerName(source, params['peer'] ?? '');
      const { speaker } = source;
      const rows = speaker && captureRows(speaker, name, signal);
      if (rows === undefined) throw unknownPeer(source, name);
      return { rows, live: true };
    },
    'POST /v1/bgp/drain': ({ body }) => {
      const speaker = runningSpeaker(source);
      speaker.drain({ waitSec: readWait(body), text: readText(body) });
      return { json: speaker.service };
    },
    'POST /v1/bgp/undrain': () => {
      const speaker = runningSpeaker(source);
      speaker.undrain();
      return { json: speaker.service };
    },
    'GET /v1/bgp/routes': ({ query }) => ({ rows: bgpRoutes(source, query) }),
  };
}

/**
 * All peers, one by one. Each of them is as it was at one moment, which need not be that of the next one: where many are asked for
 * while routes come in, some milliseconds may lie between them. A peer that goes meanwhile may be missing, one that comes is, and none stands there
 * twice.
 */
function* peerTexts(source: BgpSource): Generator<string> {
  const { speaker } = source;
  const originOf = originsOfPeers(source);
  for (const name of speaker?.peerNames() ?? []) {
    const status = speaker?.peer(name);
    if (status !== undefined) yield peerText(status, originOf(status));
  }
}

function runningSpeaker({ speaker }: BgpSource): Speaker {
  if (speaker === undefined)
    throw problem('unavailable', 'BGP does not run yet', { hint: 'See "ocicat status".' });
  return speaker;
}

/** A `BgpSummaryView`, with its peers as `peerTexts` has them. */
function summaryPieces(source: BgpSource): Iterable<string> {
  const speaker = runningSpeaker(source);
  const head: Omit<BgpSummaryView, 'peers'> = {
    routerId: formatRouterId(speaker.routerId),
    asNumber: speaker.localAs,
    listeningPorts: speaker.listeningPorts,
    deferral: speaker.deferred,
    service: speaker.service.state,
    locRib: speaker.rib.sizes.prefixes,
  };
  return withPeers(JSON.stringify(head), jsonList(peerTexts(source)));
}

function* withPeers(head: string, peers: Iterable<string>): Generator<string> {
  yield `${head.slice(0, -1)},"peers":`;
  yield* peers;
  yield '}';
}

const DRAIN_SEC = 30;
const KINDS: readonly ResetKind[] = ['hard', 'soft-in', 'soft-out'];

function readKind(body: unknown): ResetKind {
  const given = typeof body === 'object' && body !== null && 'kind' in body ? body.kind : undefined;
  const kind = KINDS.find((each) => each === given);
  if (kind === undefined) throw problem('invalid', `expected {"kind"}: one of ${KINDS.join(', ')}`);
  return kind;
}

/** Time for the peers to find other ways, in seconds. */
function readWait(body: unknown): number {
  const given = typeof body === 'object' && body !== null && 'waitSec' in body ? body.waitSec : DRAIN_SEC;
  if (typeof given !== 'number' || !(given >= 0 && given <= 3600))
    throw problem('invalid', 'expected "waitSec": 0..3600');
  return given;
}

/** RFC 9003: what peers are told of the end of a session. */
function readText(body: unknown): string {
  const given = typeof body === 'object' && body !== null && 'text' in body ? body.text : '';
  const octets = typeof given === 'string' ? Buffer.byteLength(given) : undefined;
  if (typeof given !== 'string' || octets === undefined || octets > 255)
    throw problem(
      'invalid',
      `the text for the peers has ${octets === undefined ? 'no characters' : `${octets} octets`}: expected UTF-8 of at most 255 (RFC 9003)`,
    );
  return given;
}

function reset(
  source: BgpSource,
  text: string,
  kind: ResetKind,
  told: string,
): { peer: string; kind: ResetKind } {
  const { speaker } = source;
  const name = peerName(source, text);
  const status = speaker?.peer(name);
  if (speaker === undefined || status === undefined) throw unknownPeer(source, text);
  if (kind !== 'hard' && status.state !== 'Established') {
    throw problem('conflict', `peer ${name} is in state ${status.state}`, {
      hint: 'A soft reset needs a session that is up.',
    });
  }
  if (kind === 'soft-in' && !status.capabilitiesReceived.includes('Route Refresh')) {
    throw problem(
      'conflict',
      `peer ${name} knows no route refresh: it cannot be asked for its routes again`,
      {
        hint: `"ocicat bgp reset ${name} hard" makes it send them anew.`,
      },
    );
  }
  speaker.reset(name, kind, told);
  return { peer: name, kind };
}

function* bgpRoutes(source: BgpSource, query: URLSearchParams): Generator<PathRow> {
  const wanted = readRoutesQuery(query);
  const { speaker } = source;
  if (speaker === undefined) return;
  let id: number | undefined;
  if (wanted.peer !== undefined) {
    id = speaker.ribPeerId(peerName(source, wanted.peer));
    if (id === undefined) throw unknownPeer(source, wanted.peer);
  }
  const isOnePrefix =
    wanted.table === 'loc-rib' && (wanted.wanted?.match === 'exact' || wanted.wanted?.match === 'longest');
  for (const path of findPaths(speaker.rib, wanted, id)) {
    const row = pathRow(path);
    yield isOnePrefix && path.best ? { ...row, advertisedTo: speaker.rib.advertisedTo(path.prefix) } : row;
  }
}

/** What a query names: an address for its longest match, or a prefix. */
export type Wanted = { readonly address: Address } | { readonly prefix: Prefix };

/** The speaker's name of a peer that a person calls by address, name or resource. */
function peerName(source: BgpSource, text: string): string {
  const address = parseAddress(text);
  const found = source.peers.find(
    ({ config, resource }) =>
      config.name === text ||
      resource === text ||
      resource === `BGPPeer ${text}` ||
      (address !== undefined && addressesEqual(config.address, address)),
  );
  if (found !== undefined) return found.config.name;
  // A peer that came by itself goes by its address; of one on a link, tables show the address found there.
  if (address !== undefined) return formatAddress(address);
  const onLink = source.speaker
    ?.peers()
    .find(({ address: present, transport }) => `${formatAddress(present)}%${transport.interface}` === text);
  return onLink?.name ?? text;
}

function unknownPeer(source: BgpSource, name: string): Error {
  const known = (source.speaker?.peers() ?? []).map((peer) => peer.name).join(', ');
  return problem('not-found', `there is no BGP peer ${name}`, {
    hint: known === '' ? 'This node has no peers.' : `Peers are ${known}.`,
  });
}

/** Reads what a query names; throws a problem. */
export function prefixOrAddress(text: string): Wanted {
  const address = parseAddress(text);
  if (address !== undefined) return { address };
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return { prefix };
  throw problem(
    'invalid',
    `"${text}" is neither an address nor a prefix such as 10.0.0.0/8 or 2001:db8::/32`,
  );
}
