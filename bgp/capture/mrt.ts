/**
 * MRT files: updates (BGP4MP and BGP4MP_ET, RFC 6396 4.4, with ADD-PATH by RFC 8050) and tables (TABLE_DUMP, TABLE_DUMP_V2, 4.2 and 4.3). An
 * entry of a table is given as the UPDATE that would announce it.
 */
import { type Address, addressFromBytes, formatAddress } from '../../src/net/address.ts';
import { uint16, uint32 } from '../wire/bytes.ts';
import { AFI, familyOf, MESSAGE_TYPE } from '../wire/registry.ts';
import type { VerdictContext } from '../wire/verdict.ts';
import { CaptureError } from './capture-error.ts';
import type { CaptureItem, Endpoint } from './messages.ts';
import { addressBody, OctetReader } from './octet-reader.ts';
import { announcementOf } from './table-entry.ts';

const TYPE = { tableDump: 12, tableDumpV2: 13, bgp4mp: 16, bgp4mpEt: 17 } as const;
/** Types that RFC 6396 4 names, those of other protocols and the deprecated ones among them. */
const KNOWN_TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 32, 33, 48, 49];
const HEADER_OCTETS = 12;
const RECORD_OCTETS_MAX = 1 << 24;

/** Whether a file that begins so is likely an MRT file, which has no magic number: a record of a known type and of sensible length. */
export function isMrt(file: Uint8Array): boolean {
  if (file.length < HEADER_OCTETS) return false;
  const type = uint16(file, 4);
  const length = uint32(file, 8);
  const fits = length >= 4 && length <= RECORD_OCTETS_MAX && uint16(file, 6) <= 12;
  return (
    [TYPE.tableDump, TYPE.tableDumpV2, TYPE.bgp4mp, TYPE.bgp4mpEt].some((known) => known === type) && fits
  );
}

/** A peer of a TABLE_DUMP_V2 file. */
interface TablePeer {
  readonly address: Address;
  readonly as: number;
}

/** What `readMrt` keeps from one record to the next. */
interface State {
  readonly otherwise: VerdictContext;
  peers: readonly TablePeer[] | undefined;
}

/** Everything in the file, in its order. Throws a CaptureError where the file is damaged or cut short, after what stands before that. */
export function* readMrt(file: Uint8Array, otherwise: VerdictContext): Generator<CaptureItem> {
  if (!isMrt(file))
    throw new CaptureError('not an MRT file: it does not begin with a record of routes or messages');
  const state: State = { otherwise, peers: undefined };
  for (let at = 0; at < file.length; ) {
    if (at + HEADER_OCTETS > file.length)
      throw new CaptureError('the MRT file ends within a record header', at);
    const type = uint16(file, at + 4);
    const length = uint32(file, at + 8);
    if (!KNOWN_TYPES.includes(type) || length > RECORD_OCTETS_MAX) {
      throw new CaptureError(`a record of type ${type} and ${length} octets: the MRT file is damaged`, at);
    }
    const start = at + HEADER_OCTETS;
    if (start + length > file.length) throw new CaptureError('the MRT file ends within a record', at);
    const body = file.subarray(start, start + length);
    yield* readRecord(state, type, uint16(file, at + 6), uint32(file, at) * 1000, body, at);
    at = start + length;
  }
}

function* readRecord(
  state: State,
  type: number,
  subtype: number,
  at: number,
  body: Uint8Array,
  offset: number,
): Generator<CaptureItem> {
  const reader = new OctetReader(body, offset + HEADER_OCTETS);
  switch (type) {
    case TYPE.bgp4mp:
      yield readBgp4mp(state, subtype, at, reader);
      return;
    case TYPE.bgp4mpEt: {
      const microseconds = reader.uint32();
      yield readBgp4mp(state, subtype, at + microseconds / 1000, reader);
      return;
    }
    case TYPE.tableDump:
      yield* readTableDump(state, subtype, reader);
      return;
    case TYPE.tableDumpV2:
      yield* readTableDumpV2(state, subtype, at, reader);
      return;
    default:
      yield { kind: 'note', at, text: `a record of type ${type}, subtype ${subtype}, which is not BGP` };
  }
}

/** BGP4MP subtypes of messages (RFC 6396 4.4, RFC 8050 3): how wide AS numbers are, and whether NLRI carry path identifiers. */
const MESSAGES: ReadonlyMap<
  number,
  { readonly as4: boolean; readonly addPath: boolean; readonly local: boolean }
> = new Map([
  [1, { as4: false, addPath: false, local: false }],
  [4, { as4: true, addPath: false, local: false }],
  [6, { as4: false, addPath: false, local: true }],
  [7, { as4: true, addPath: false, local: true }],
  [8, { as4: false, addPath: true, local: false }],
  [9, { as4: true, addPath: true, local: false }],
  [10, { as4: false, addPath: true, local: true }],
  [11, { as4: true, addPath: true, local: true }],
]);
const STATE_CHANGE: ReadonlyMap<number, { readonly as4: boolean }> = new Map([
  [0, { as4: false }],
  [5, { as4: true }],
]);
/** RFC 6396 4.4.1 */
const STATES = ['?', 'Idle', 'Connect', 'Active', 'OpenSent', 'OpenConfirm', 'Established'];

function readBgp4mp(state: State, subtype: number, at: number, reader: OctetReader): CaptureItem {
  const kind = MESSAGES.get(subtype);
  const change = STATE_CHANGE.get(subtype);
  const as4 = (kind ?? change)?.as4;
  if (as4 === undefined) return { kind: 'note', at, text: `a BGP4MP record of subtype ${subtype}` };
  const readAs = (): number => (as4 ? reader.uint32() : reader.uint16());
  const peerAs = readAs();
  const localAs = readAs();
  reader.uint16();
  const afi = reader.uint16();
  const octets = addressBody(afi, reader);
  const from: Endpoint = { address: addressFromBytes(reader.take(octets)), port: 0 };
  const to: Endpoint = { address: addressFromBytes(reader.take(octets)), port: 0 };
  if (kind === undefined) {
    const [before, after] = [reader.uint16(), reader.uint16()];
    return { kind: 'note', at, from, to, text: `${STATES[before] ?? before} to ${STATES[after] ?? after}` };
  }
  const message = reader.take(reader.rest);
  const { otherwise } = state;
  const { ipv4, ipv6 } = otherwise.addPathReceive;
  const isOpen = message[18] === MESSAGE_TYPE.open;
  const ends = kind.local ? { from: to, to: from } : { from, to };
  return {
    kind: 'message',
    at,
    ...ends,
    message,
    context: {
      ...otherwise,
      // The file tells nothing of the session's state.
      phase: isOpen ? 'opensent' : 'established',
      localAs: kind.local ? peerAs : localAs,
      peerAs: kind.local ? localAs : peerAs,
      peerKind: localAs === peerAs ? 'ibgp' : 'ebgp',
      as4,
      extendedMessage: otherwise.extendedMessage || message.length > 4096,
      addPathReceive: { ipv4: ipv4 || kind.addPath, ipv6: ipv6 || kind.addPath },
    },
  };
}

/** RFC 6396 4.2: one entry a record, AS numbers of two octets. Some old files put several into one. */
function* readTableDump(state: State, afi: number, reader: OctetReader): Generator<CaptureItem> {
  const family = familyOf(afi, 1);
  if (family === undefined) {
    yield { kind: 'note', at: 0, text: `a table entry of address family ${afi}` };
    return;
  }
  const octets = addressBody(afi, reader);
  reader.uint32();
  const network = reader.take(octets);
  const length = reader.uint8();
  reader.uint8();
  const at = reader.uint32() * 1000;
  const address = addressFromBytes(reader.take(octets));
  const peerAs = reader.uint16();
  const attributes = reader.take(reader.uint16());
  yield {
    kind: 'message',
    at,
    from: { address, port: 0 },
    message: announcementOf({ family, network, length, pathId: undefined, attributes, peer: address }),
    context: tableContext(state, peerAs, false, false),
    made: 'table-entry',
  };
}

/** TABLE_DUMP_V2 subtypes with routes (RFC 6396 4.3.2, RFC 8050 4): family, and whether entries carry path identifiers. */
const TABLES: ReadonlyMap<number, { readonly afi: number; readonly addPath: boolean }> = new Map([
  [2, { afi: AFI.ipv4, addPath: false }],
  [4, { afi: AFI.ipv6, addPath: false }],
  [8, { afi: AFI.ipv4, addPath: true }],
  [10, { afi: AFI.ipv6, addPath: true }],
]);
const PEER_INDEX_TABLE = 1;

function* readTableDumpV2(
  state: State,
  subtype: number,
  at: number,
  reader: OctetReader,
): Generator<CaptureItem> {
  if (subtype === PEER_INDEX_TABLE) {
    state.peers = readPeers(reader);
    yield { kind: 'note', at, text: `a table of ${state.peers.length} peers` };
    return;
  }
  const table = TABLES.get(subtype);
  const family = table && familyOf(table.afi, 1);
  if (table === undefined || family === undefined) {
    yield {
      kind: 'note',
      at,
      text: `a table record of subtype ${subtype}, which is not of a unicast family`,
    };
    return;
  }
  if (state.peers === undefined) throw reader.fail('routes before the table of peers');
  reader.uint32();
  const length = reader.uint8();
  const octets = (length + 7) >> 3;
  if (octets > (family === 'ipv4' ? 4 : 16)) throw reader.fail(`a prefix length of ${length}`);
  const network = reader.take(octets);
  const count = reader.uint16();
  for (let i = 0; i < count; i++) {
    const index = reader.uint16();
    const since = reader.uint32() * 1000;
    const pathId = table.addPath ? reader.uint32() : undefined;
    const attributes = reader.take(reader.uint16());
    const peer = state.peers[index];
    if (peer === undefined) throw reader.fail(`an entry of peer ${index}, of which there is none`);
    yield {
      kind: 'message',
      at: since,
      from: { address: peer.address, port: 0 },
      message: announcementOf({ family, network, length, pathId, attributes, peer: peer.address }),
      context: tableContext(state, peer.as, true, table.addPath),
      made: 'table-entry',
    };
  }
}

function readPeers(reader: OctetReader): TablePeer[] {
  reader.uint32();
  reader.take(reader.uint16());
  const count = reader.uint16();
  const peers: TablePeer[] = [];
  for (let i = 0; i < count; i++) {
    const type = reader.uint8();
    reader.uint32();
    const address = addressFromBytes(reader.take(type & 1 ? 16 : 4));
    peers.push({ address, as: type & 2 ? reader.uint32() : reader.uint16() });
  }
  return peers;
}

function tableContext({ otherwise }: State, peerAs: number, as4: boolean, addPath: boolean): VerdictContext {
  return {
    ...otherwise,
    phase: 'established',
    peerAs,
    // Whoever wrote the table had it from this peer, of whichever kind: only the options can tell.
    localAs: otherwise.peerKind === 'ibgp' ? peerAs : otherwise.localAs,
    as4,
    extendedMessage: true,
    addPathReceive: { ipv4: addPath, ipv6: addPath },
  };
}

/** `192.0.2.1:179`, `[2001:db8::1]:179`, without the port where it is not known. */
export function formatEndpoint({ address, port }: Endpoint): string {
  const text = formatAddress(address);
  if (port === 0) return text;
  return address.family === 'ipv6' ? `[${text}]:${port}` : `${text}:${port}`;
}
