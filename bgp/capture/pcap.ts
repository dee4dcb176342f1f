/** Packet captures: the classic format of libpcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng), either byte order. */
import { CaptureError } from './capture-error.ts';

/** A packet as it was captured. */
export interface CapturedPacket {
  /** epoch milliseconds, with a fraction */
  readonly at: number;
  /** LINKTYPE_ number */
  readonly linkType: number;
  /** what was kept of it: borrowed from the file's octets */
  readonly octets: Uint8Array;
}

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_PCAPNG = 0x0a0d0d0a;
const PCAPNG_ORDER = 0x1a2b3c4d;
/** More than any packet: a length beyond is damage. */
const PACKET_OCTETS_MAX = 1 << 24;

/** Whether a file that begins so is a packet capture. */
export function isPacketCapture(octets: Uint8Array): boolean {
  return octets.length >= 4 && (isClassic(octets) || viewOf(octets).getUint32(0) === MAGIC_PCAPNG);
}

function isClassic(octets: Uint8Array): boolean {
  const view = viewOf(octets);
  return [true, false].some((little) => {
    const magic = view.getUint32(0, little);
    return magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS;
  });
}

function viewOf(octets: Uint8Array): DataView {
  return new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
}

/** All packets in the order of the file. Throws a CaptureError where the file is damaged or cut short, after the packets before that. */
export function* readPackets(file: Uint8Array): Generator<CapturedPacket> {
  if (!isPacketCapture(file))
    throw new CaptureError('not a packet capture: the first octets are not those of pcap or pcapng');
  if (isClassic(file)) yield* readClassic(file);
  else yield* readPcapng(file);
}

function* readClassic(file: Uint8Array): Generator<CapturedPacket> {
  const view = viewOf(file);
  if (file.length < 24) throw new CaptureError('the pcap file ends within its header', file.length);
  const bigMagic = view.getUint32(0);
  const little = bigMagic !== MAGIC_MICROSECONDS && bigMagic !== MAGIC_NANOSECONDS;
  const perMs = view.getUint32(0, little) === MAGIC_NANOSECONDS ? 1_000_000 : 1_000;
  // The upper bits tell of the frame check sequence.
  const linkType = view.getUint32(20, little) & 0xffff;
  for (let at = 24; at < file.length; ) {
    if (at + 16 > file.length) throw new CaptureError('the pcap file ends within a packet header', at);
    const length = view.getUint32(at + 8, little);
    if (length > PACKET_OCTETS_MAX)
      throw new CaptureError(`a packet of ${length} octets: the pcap file is damaged`, at);
    const start = at + 16;
    if (start + length > file.length) throw new CaptureError('the pcap file ends within a packet', at);
    yield {
      at: view.getUint32(at, little) * 1000 + view.getUint32(at + 4, little) / perMs,
      linkType,
      octets: file.subarray(start, start + length),
    };
    at = start + length;
  }
}

const BLOCK = { interfaceDescription: 1, obsoletePacket: 2, simplePacket: 3, enhancedPacket: 6 } as const;

/** One interface of a pcapng section. */
interface CaptureInterface {
  readonly linkType: number;
  /** octets kept of a packet at most; 0: all */
  readonly snapLength: number;
  readonly ticksPerMs: number;
  /** epoch milliseconds */
  readonly offsetMs: number;
}

function* readPcapng(file: Uint8Array): Generator<CapturedPacket> {
  const view = viewOf(file);
  let little = false;
  let interfaces: CaptureInterface[] = [];
  for (let at = 0; at < file.length; ) {
    if (at + 12 > file.length) throw new CaptureError('the pcapng file ends within a block', at);
    if (view.getUint32(at) === MAGIC_PCAPNG) {
      little = view.getUint32(at + 8, true) === PCAPNG_ORDER;
      if (!little && view.getUint32(at + 8) !== PCAPNG_ORDER) {
        throw new CaptureError('a pcapng section without a byte order', at);
      }
      interfaces = [];
    }
    const type = view.getUint32(at, little);
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0 || at + length > file.length) {
      throw new CaptureError(`a block of ${length} octets: the pcapng file is damaged or cut short`, at);
    }
    const body = file.subarray(at + 8, at + length - 4);
    if (type === BLOCK.interfaceDescription) interfaces.push(readInterface(body, little, at));
    else {
      const packet = readPacketBlock(type, body, little, interfaces, at);
      if (packet !== undefined) yield packet;
    }
    at += length;
  }
}

function readInterface(body: Uint8Array, little: boolean, at: number): CaptureInterface {
  if (body.length < 8) throw new CaptureError('an interface description that is cut short', at);
  const view = viewOf(body);
  let ticksPerMs = 1000;
  let offsetMs = 0;
  for (let option = 8; option + 4 <= body.length; ) {
    const code = view.getUint16(option, little);
    const length = view.getUint16(option + 2, little);
    const value = option + 4;
    if (code === 0 || value + length > body.length) break;
    if (code === 9 && length === 1) {
      const resolution = body[value] ?? 6;
      const exponent = resolution & 0x7f;
      ticksPerMs = (resolution & 0x80 ? 2 ** exponent : 10 ** exponent) / 1000;
    }
    if (code === 14 && length === 8) offsetMs = Number(view.getBigInt64(value, little)) * 1000;
    option = value + length + (-length & 3);
  }
  return { linkType: view.getUint16(0, little), snapLength: view.getUint32(4, little), ticksPerMs, offsetMs };
}

/** The packet of a block; undefined for blocks of other kinds. */
function readPacketBlock(
  type: number,
  body: Uint8Array,
  little: boolean,
  interfaces: readonly CaptureInterface[],
  at: number,
): CapturedPacket | undefined {
  const view = viewOf(body);
  const known = (index: number): CaptureInterface => {
    const found = interfaces[index];
    if (found === undefined)
      throw new CaptureError(`a packet of interface ${index}, which is not described`, at);
    return found;
  };
  if (type === BLOCK.simplePacket) {
    if (body.length < 4) throw new CaptureError('a packet block that is cut short', at);
    const { linkType, snapLength } = known(0);
    const original = view.getUint32(0, little);
    const length = Math.min(original, snapLength === 0 ? original : snapLength, body.length - 4);
    return { at: 0, linkType, octets: body.subarray(4, 4 + length) };
  }
  if (type !== BLOCK.enhancedPacket && type !== BLOCK.obsoletePacket) return undefined;
  if (body.length < 20) throw new CaptureError('a packet block that is cut short', at);
  const { linkType, ticksPerMs, offsetMs } = known(
    type === BLOCK.enhancedPacket ? view.getUint32(0, little) : view.getUint16(0, little),
  );
  const ticks = view.getUint32(4, little) * 2 ** 32 + view.getUint32(8, little);
  const length = view.getUint32(12, little);
  if (20 + length > body.length) throw new CaptureError('a packet longer than its block', at);
  return { at: ticks / ticksPerMs + offsetMs, linkType, octets: body.subarray(20, 20 + length) };
}
