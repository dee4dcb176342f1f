/** The received set, compared with what must have come, prefix by prefix, after the clock has stopped. */
import { PrefixTable } from '../../../src/net/prefix-table.ts';
import { encodeAttributes, type Workload } from './workload.ts';

const UPDATE = 2;
const WELL_KNOWN = new Map([
  [1, 'ORIGIN'],
  [2, 'AS_PATH'],
  [3, 'NEXT_HOP'],
]);

/**
 * Throws unless the UPDATEs in `octets` leave the receiver with exactly the prefixes of `expected`, each with ORIGIN and AS_PATH as injected
 * behind `deviceAs`, and `nextHop`. `expected` undefined: with nothing.
 */
export function verifyReceived(
  octets: Buffer,
  expected: Workload | undefined,
  deviceAs: number,
  nextHop: readonly number[],
): void {
  const table = new PrefixTable('ipv4', 1 << 20);
  // By prefix id: where the attributes of its last announcement stand, 0 once withdrawn.
  let attributesAt = new Int32Array(table.capacity);
  table.onGrow((capacity) => {
    const larger = new Int32Array(capacity);
    larger.set(attributesAt);
    attributesAt = larger;
  });
  walk(octets, table, (id, at) => {
    attributesAt[id] = at;
  });
  let present = 0;
  for (let id = 0; id < table.idLimit; id++) if ((attributesAt[id] ?? 0) > 0) present++;
  const wanted = expected?.count ?? 0;
  if (present !== wanted) throw new Error(`the receiver has ${present} prefixes, not ${wanted}`);
  if (expected === undefined) return;
  const attributes = expected.paths.map((path) => encodeAttributes([deviceAs, ...path], nextHop));
  for (let index = 0; index < expected.count; index++) {
    const id = table.find(expected.lengths[index] ?? 0, expected.addresses[index] ?? 0);
    const at = attributesAt[id] ?? 0;
    const wantedOctets = attributes[expected.setOf[index] ?? 0];
    if (id < 0 || at === 0) throw new Error(`prefix ${index} of the table has not come`);
    const length = octets.readUInt16BE(at);
    const got = octets.subarray(at + 2, at + 2 + length);
    if (wantedOctets === undefined || !sameAttributes(got, wantedOctets))
      throw new Error(
        `prefix ${index}: attributes ${got.toString('hex')}, not ${wantedOctets?.toString('hex')}`,
      );
  }
}

function walk(
  octets: Buffer,
  table: PrefixTable,
  onPrefix: (id: number, attributesAt: number) => void,
): void {
  const each = (from: number, to: number, attributesAt: number): void => {
    for (let at = from; at < to; ) {
      const length = octets[at++] ?? 0;
      let address = 0;
      for (let bit = 0; bit < length; bit += 8) address |= (octets[at++] ?? 0) << (24 - bit);
      onPrefix(table.intern(length, address), attributesAt);
    }
  };
  for (let at = 0; at + 19 <= octets.length; at += octets.readUInt16BE(at + 16)) {
    if (octets[at + 18] !== UPDATE) continue;
    const end = at + octets.readUInt16BE(at + 16);
    const withdrawnEnd = at + 21 + octets.readUInt16BE(at + 19);
    each(at + 21, withdrawnEnd, 0);
    each(withdrawnEnd + 2 + octets.readUInt16BE(withdrawnEnd), end, withdrawnEnd);
  }
}

// Attribute by attribute: the order and the extended-length flag are the sender's choice.
function sameAttributes(got: Buffer, wanted: Buffer): boolean {
  if (got.equals(wanted)) return true;
  const mine = attributeMap(wanted);
  const theirs = attributeMap(got);
  return (
    [...WELL_KNOWN.keys()].every((type) => mine.get(type) === theirs.get(type)) && theirs.size === mine.size
  );
}

function attributeMap(octets: Buffer): Map<number, string> {
  const map = new Map<number, string>();
  for (let at = 0; at < octets.length; ) {
    const isExtended = ((octets[at] ?? 0) & 0x10) !== 0;
    const length = isExtended ? octets.readUInt16BE(at + 2) : (octets[at + 2] ?? 0);
    const start = at + (isExtended ? 4 : 3);
    map.set(octets[at + 1] ?? 0, octets.toString('hex', start, start + length));
    at = start + length;
  }
  return map;
}
