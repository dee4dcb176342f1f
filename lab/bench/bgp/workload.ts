/**
 * What the injectors announce: prefixes with the length mix of a full IPv4 table, and attribute sets of plausible shape, all from a seeded
 * generator, so that every device under test gets the same octets.
 */

/** A table: prefixes in ascending order, and for each the attribute set it is announced with. */
export interface Workload {
  readonly count: number;
  /** network addresses */
  readonly addresses: Uint32Array;
  readonly lengths: Uint8Array;
  /** index into `paths` */
  readonly setOf: Uint32Array;
  /** AS paths, of the injector's AS and what follows */
  readonly paths: readonly (readonly number[])[];
}

/** Share of each prefix length in a full table, per mille (CIDR report of 2024, rounded; /24 takes what is left). */
const LENGTH_MIX: readonly (readonly [length: number, perMille: number])[] = [
  [16, 14],
  [17, 8],
  [18, 14],
  [19, 25],
  [20, 45],
  [21, 52],
  [22, 110],
  [23, 107],
];
const ATTRIBUTE_TYPE = { origin: 1, asPath: 2, nextHop: 3 } as const;
const UPDATE = 2;
const HEADER_OCTETS = 19;
const MAX_MESSAGE_OCTETS = 4096;

/** A generator of 32-bit numbers with a seed (xorshift, Marsaglia 2003). */
export function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** `count` prefixes in runs of neighbours that share one of about `count * 0.08` attribute sets, at least 16. `firstAs` opens each path. */
export function makeWorkload(count: number, firstAs: number, seed = 1): Workload {
  const next = generator(seed);
  const addresses = new Uint32Array(count);
  const lengths = new Uint8Array(count);
  const setOf = new Uint32Array(count);
  const setCount = Math.max(16, Math.round(count * 0.08));
  const paths = Array.from({ length: setCount }, () => {
    const hops = 2 + (next() % 4);
    return [firstAs, ...Array.from({ length: hops }, () => 1000 + (next() % 60_000))];
  });
  // Ascending, without overlap, and the whole table within 1.0.0.0 to 223.255.255.255.
  let address = 0x0100_0000;
  const slack = Math.max(1, Math.floor((0xdf00_0000 - 0x0100_0000) / count / 2_000));
  let runLeft = 0;
  let set = 0;
  for (let index = 0; index < count; index++) {
    if (runLeft === 0) {
      runLeft = 1 + (next() % 24);
      set = next() % setCount;
    }
    runLeft--;
    const length = count > 500_000 && index % 3 !== 0 ? 24 : pickLength(next());
    const size = 2 ** (32 - length);
    address = Math.ceil(address / size) * size;
    addresses[index] = address;
    lengths[index] = length;
    setOf[index] = set;
    address += size + (next() % slack) * 256;
  }
  if (address > 0xdfff_ffff) throw new Error(`${count} prefixes do not fit into the unicast space`);
  return { count, addresses, lengths, setOf, paths };
}

function pickLength(random: number): number {
  let left = random % 1000;
  for (const [length, perMille] of LENGTH_MIX) {
    if (left < perMille) return length;
    left -= perMille;
  }
  return 24;
}

/** The UPDATEs that announce a table, one after the other, each at most 4096 octets (RFC 4271 section 4.3). `nextHop`: four octets. */
export function encodeAnnouncements(table: Workload, nextHop: readonly number[]): Buffer {
  const writer = new MessageWriter();
  let index = 0;
  while (index < table.count) {
    const set = table.setOf[index] ?? 0;
    const attributes = encodeAttributes(table.paths[set] ?? [], nextHop);
    const start = writer.begin();
    writer.uint16(0);
    writer.uint16(attributes.length);
    writer.octets(attributes);
    while (
      index < table.count &&
      table.setOf[index] === set &&
      writer.length - start < MAX_MESSAGE_OCTETS - 5
    )
      writer.prefix(table.addresses[index] ?? 0, table.lengths[index++] ?? 0);
    writer.end(start);
  }
  return writer.take();
}

/** The UPDATEs that withdraw a table. */
export function encodeWithdrawals(table: Workload): Buffer {
  const writer = new MessageWriter();
  let index = 0;
  while (index < table.count) {
    const start = writer.begin();
    const lengthAt = writer.length;
    writer.uint16(0);
    while (index < table.count && writer.length - start < MAX_MESSAGE_OCTETS - 8)
      writer.prefix(table.addresses[index] ?? 0, table.lengths[index++] ?? 0);
    writer.setUint16(lengthAt, writer.length - lengthAt - 2);
    writer.uint16(0);
    writer.end(start);
  }
  return writer.take();
}

/** ORIGIN IGP, AS_PATH (one AS_SEQUENCE of 4-octet numbers) and NEXT_HOP. */
export function encodeAttributes(path: readonly number[], nextHop: readonly number[]): Buffer {
  const asPath = Buffer.alloc(2 + 4 * path.length);
  asPath[0] = 2;
  asPath[1] = path.length;
  for (const [position, as] of path.entries()) asPath.writeUInt32BE(as, 2 + 4 * position);
  return Buffer.concat([
    Buffer.from([0x40, ATTRIBUTE_TYPE.origin, 1, 0]),
    Buffer.from([0x40, ATTRIBUTE_TYPE.asPath, asPath.length]),
    asPath,
    Buffer.from([0x40, ATTRIBUTE_TYPE.nextHop, 4, ...nextHop]),
  ]);
}

class MessageWriter {
  #buffer = Buffer.alloc(1 << 20);
  length = 0;

  begin(): number {
    this.#room(MAX_MESSAGE_OCTETS + 64);
    const start = this.length;
    this.#buffer.fill(0xff, start, start + 16);
    this.#buffer[start + 18] = UPDATE;
    this.length = start + HEADER_OCTETS;
    return start;
  }

  end(start: number): void {
    this.#buffer.writeUInt16BE(this.length - start, start + 16);
  }

  uint16(value: number): void {
    this.length = this.#buffer.writeUInt16BE(value, this.length);
  }

  setUint16(at: number, value: number): void {
    this.#buffer.writeUInt16BE(value, at);
  }

  octets(value: Uint8Array): void {
    this.#buffer.set(value, this.length);
    this.length += value.length;
  }

  prefix(address: number, length: number): void {
    this.#buffer[this.length++] = length;
    for (let bit = 0; bit < length; bit += 8) this.#buffer[this.length++] = (address >>> (24 - bit)) & 0xff;
  }

  take(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  #room(octets: number): void {
    if (this.length + octets <= this.#buffer.length) return;
    const larger = Buffer.alloc(this.#buffer.length * 2);
    larger.set(this.#buffer.subarray(0, this.length));
    this.#buffer = larger;
  }
}
