/** An entry of a routing table dump as the UPDATE message that announces it, so that one function judges both. */
import type { Address, Family } from '../../src/net/address.ts';
import { putUint16, putUint32, uint16 } from '../wire/bytes.ts';
import {
  AFI,
  ATTRIBUTE,
  FLAG,
  HEADER_OCTETS,
  MAX_EXTENDED_MESSAGE_OCTETS,
  MESSAGE_TYPE,
  SAFI_UNICAST,
} from '../wire/registry.ts';
import { CaptureError } from './capture-error.ts';

/** One path of a table. */
export interface TableEntry {
  readonly family: Family;
  /** at least the octets that `length` needs */
  readonly network: Uint8Array;
  /** bits */
  readonly length: number;
  readonly pathId: number | undefined;
  /** path attributes as on the wire */
  readonly attributes: Uint8Array;
  /** from whom it is: stands in for a next hop that was not dumped */
  readonly peer: Address;
}

/** The message. Throws a CaptureError when the entry is too large for one. */
export function announcementOf(entry: TableEntry): Uint8Array {
  const nlri = nlriOf(entry);
  const attributes =
    entry.family === 'ipv4' && !hasReach(entry.attributes) ? entry.attributes : withReach(entry, nlri);
  const inBody = attributes === entry.attributes ? nlri : new Uint8Array(0);
  const length = HEADER_OCTETS + 4 + attributes.length + inBody.length;
  if (length > MAX_EXTENDED_MESSAGE_OCTETS)
    throw new CaptureError(`a table entry with ${attributes.length} octets of attributes`);
  const message = new Uint8Array(length).fill(0xff, 0, 16);
  putUint16(message, 16, length);
  message[18] = MESSAGE_TYPE.update;
  putUint16(message, 21, attributes.length);
  message.set(attributes, 23);
  message.set(inBody, 23 + attributes.length);
  return message;
}

function nlriOf({ network, length, pathId }: TableEntry): Uint8Array {
  const octets = (length + 7) >> 3;
  const head = pathId === undefined ? 1 : 5;
  const nlri = new Uint8Array(head + octets);
  if (pathId !== undefined) putUint32(nlri, 0, pathId);
  nlri[head - 1] = length;
  nlri.set(network.subarray(0, octets), head);
  return nlri;
}

/** One attribute of a run: where it stands and what it holds. */
interface RawAttribute {
  readonly start: number;
  readonly end: number;
  readonly code: number;
  readonly value: Uint8Array;
}

/** Attributes one by one; stops where a length leads out of the run, which the decoder then judges. */
function* rawAttributes(run: Uint8Array): Generator<RawAttribute> {
  for (let at = 0; at + 3 <= run.length; ) {
    const isLong = ((run[at] ?? 0) & FLAG.extendedLength) !== 0;
    const valueAt = at + (isLong ? 4 : 3);
    const end = valueAt + (isLong ? uint16(run, at + 2) : (run[at + 2] ?? 0));
    if (end > run.length) return;
    yield { start: at, end, code: run[at + 1] ?? 0, value: run.subarray(valueAt, end) };
    at = end;
  }
}

function hasReach(run: Uint8Array): boolean {
  for (const { code } of rawAttributes(run)) if (code === ATTRIBUTE.mpReachNlri) return true;
  return false;
}

/** The attributes with an MP_REACH_NLRI that carries the prefix in place of the one that stands there, if any. */
function withReach(entry: TableEntry, nlri: Uint8Array): Uint8Array {
  const run = entry.attributes;
  let nextHop = entry.peer.bytes;
  let before: Uint8Array = run;
  let after: Uint8Array = new Uint8Array(0);
  for (const { start, end, code, value } of rawAttributes(run)) {
    if (code !== ATTRIBUTE.mpReachNlri) continue;
    nextHop = nextHopOf(value);
    before = run.subarray(0, start);
    after = run.subarray(end);
    break;
  }
  const length = 5 + nextHop.length + nlri.length;
  const reach = new Uint8Array(4 + length);
  reach[0] = FLAG.optional | FLAG.extendedLength;
  reach[1] = ATTRIBUTE.mpReachNlri;
  putUint16(reach, 2, length);
  putUint16(reach, 4, AFI[entry.family]);
  reach[6] = SAFI_UNICAST;
  reach[7] = nextHop.length;
  reach.set(nextHop, 8);
  reach.set(nlri, 9 + nextHop.length);
  const attributes = new Uint8Array(before.length + reach.length + after.length);
  attributes.set(before);
  attributes.set(reach, before.length);
  attributes.set(after, before.length + reach.length);
  return attributes;
}

/** The next hop of a dumped MP_REACH_NLRI: short form, or the whole attribute as some writers have it. */
function nextHopOf(value: Uint8Array): Uint8Array {
  const short = value[0] ?? 0;
  if (value.length === short + 1) return value.subarray(1);
  return value.subarray(4, 4 + (value[3] ?? 0));
}
