/**
 * What the injectors announce: prefixes with the length mix of a full IPv4 table, and attribute sets of plausible shape, all from a seeded
 * generator, so that every device under test gets the same octets.
 */
import { plainSet } from './attributes.ts';
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
export function makeWorkload(count: number, firstAs: number, seed = 1): RouteTable {
  const next = generator(seed);
  const words = new Uint32Array(count);
  const lengths = new Uint8Array(count);
  const setOf = new Uint32Array(count);
  const setCount = Math.max(16, Math.round(count * 0.08));
  const sets = Array.from({ length: setCount }, () => {
    const hops = 2 + (next() % 4);
    return plainSet([firstAs, ...Array.from({ length: hops }, () => 1000 + (next() % 60_000))]);
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
    words[index] = address;
    lengths[index] = length;
    setOf[index] = set;
    address += size + (next() % slack) * 256;
  }
  if (address > 0xdfff_ffff) throw new Error(`${count} prefixes do not fit into the unicast space`);
  return { family: 'ipv4', count, words, lengths, setOf, sets };
}

function pickLength(random: number): number {
  let left = random % 1000;
  for (const [length, perMille] of LENGTH_MIX) {
    if (left < perMille) return length;
    left -= perMille;
  }
  return 24;
}
