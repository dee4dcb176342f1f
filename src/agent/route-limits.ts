/** What an operator may choose for the routes that we put into the kernel: of an agent in its file, of a speaker alone by options. */

/** Zebra, BIRD, BGP and keepalived: others take such routes for theirs. */
const TAKEN_PROTOCOLS: readonly number[] = [11, 12, 80, 186];
const LOCAL_TABLE = 255;

/** A number that may be chosen: the test, and the sentence for one that fails it. */
export interface Choice {
  readonly allows: (value: number) => boolean;
  readonly rule: string;
}

/** Routing protocol number. */
export const PROTOCOL: Choice = {
  allows: (value) => isWithin(value, 5, 254) && !TAKEN_PROTOCOLS.includes(value),
  rule: `must be a whole number from 5 to 254, but none of ${TAKEN_PROTOCOLS.join(', ')}`,
};

/** Route metric, lower is better. */
export const METRIC: Choice = {
  allows: (value) => isWithin(value, 1, 0xffff_fffe),
  rule: 'must be a whole number from 1 to 4294967294',
};

/** Routing table. */
export const TABLE: Choice = {
  allows: (value) => isWithin(value, 1, 0xffff_ffff) && value !== LOCAL_TABLE,
  rule: `must be the number of a routing table, 1 to 4294967295, but not ${LOCAL_TABLE} (local)`,
};

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
