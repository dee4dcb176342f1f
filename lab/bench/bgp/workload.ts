/**
 * What the injectors announce: prefixes with the length mix of a full table, and attribute sets of plausible shape, all from a seeded
 * generator, so that every device under test gets the same octets.
 */
import { type AttributeSet, plainSet } from './attributes.ts';
import type { RouteTable } from './routes.ts';

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

/** The same for IPv6, by estimate and not by count; /48 takes what is left. */
const LENGTH_MIX_IPV6: typeof LENGTH_MIX = [
  [29, 20],
  [32, 120],
  [36, 45],
  [40, 105],
  [42, 20],
  [44, 115],
  [46, 45],
  [47, 30],
];

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

/** `count` IPv4 prefixes in runs of neighbours that share one of about `count * 0.08` attribute sets, at least 16. `firstAs` opens each path. */
export function makeWorkload(count: number, firstAs: number, seed = 1): RouteTable {
  const next = generator(seed);
  const words = new Uint32Array(count);
  const lengths = new Uint8Array(count);
  const setOf = new Uint32Array(count);
  const runs = new SetRuns(count, firstAs, next);
  // Ascending, without overlap, and the whole table within 1.0.0.0 to 223.255.255.255.
  let address = 0x0100_0000;
  const slack = Math.max(1, Math.floor((0xdf00_0000 - 0x0100_0000) / count / 2_000));
  for (let index = 0; index < count; index++) {
    setOf[index] = runs.next();
    const length = count > 500_000 && index % 3 !== 0 ? 24 : pickLength(LENGTH_MIX, 24, next());
    const size = 2 ** (32 - length);
    address = Math.ceil(address / size) * size;
    words[index] = address;
    lengths[index] = length;
    address += size + (next() % slack) * 256;
  }
  if (address > 0xdfff_ffff) throw new Error(`${count} prefixes do not fit into the unicast space`);
  return { family: 'ipv4', count, words, lengths, setOf, sets: runs.sets };
}

/** The same in IPv6. */
export function makeIpv6Workload(count: number, firstAs: number, seed = 1): RouteTable {
  const next = generator(seed);
  const words = new Uint32Array(4 * count);
  const lengths = new Uint8Array(count);
  const setOf = new Uint32Array(count);
  const runs = new SetRuns(count, firstAs, next);
  // The upper 48 bits: ascending, without overlap, from 2400:: on.
  let address = 0x2400_0000_0000;
  for (let index = 0; index < count; index++) {
    setOf[index] = runs.next();
    const length = pickLength(LENGTH_MIX_IPV6, 48, next());
    const size = 2 ** (48 - length);
    address = Math.ceil(address / size) * size;
    words[4 * index] = Math.floor(address / 0x1_0000);
    words[4 * index + 1] = (address % 0x1_0000) * 0x1_0000;
    lengths[index] = length;
    address += size + (next() % 0x1_0000);
  }
  if (address > 0x3fff_ffff_ffff) throw new Error(`${count} prefixes do not fit into the unicast space`);
  return { family: 'ipv6', count, words, lengths, setOf, sets: runs.sets };
}

/** Attribute sets, and which of them the next route has. */
class SetRuns {
  readonly sets: readonly AttributeSet[];
  readonly #next: () => number;
  #left = 0;
  #set = 0;

  constructor(count: number, firstAs: number, next: () => number) {
    this.#next = next;
    this.sets = Array.from({ length: Math.max(16, Math.round(count * 0.08)) }, () => {
      const hops = 2 + (next() % 4);
      return plainSet([firstAs, ...Array.from({ length: hops }, () => 1000 + (next() % 60_000))]);
    });
  }

  next(): number {
    if (this.#left === 0) {
      this.#left = 1 + (this.#next() % 24);
      this.#set = this.#next() % this.sets.length;
    }
    this.#left--;
    return this.#set;
  }
}

function pickLength(mix: typeof LENGTH_MIX, other: number, random: number): number {
  let left = random % 1000;
  for (const [length, perMille] of mix) {
    if (left < perMille) return length;
    left -= perMille;
  }
  return other;
}
