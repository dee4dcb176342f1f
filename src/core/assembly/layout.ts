/**
 * Where things stand in the tables that the inner loops and their owners share: numbers of 32-bit fields of a table's block. Read by both sides, so
 * this file is TypeScript and AssemblyScript at once: constants only.
 */

/** What one call may pass through the scratch room: the largest attribute key, four messages of 65,535 octets. */
export const CORE_SCRATCH_OCTETS = 1 << 18;

/** A table of prefixes (src/net/prefix-table.ts). */
/** words an address: 1 or 4 */
export const PREFIX_WORDS_EACH = 0;
/** by prefix id: its address, `PREFIX_WORDS_EACH` words */
export const PREFIX_WORDS = 1;
/** by prefix id: its length, FREE_LENGTH for an id that is free again (octets) */
export const PREFIX_LENGTHS = 2;
/** by prefix id: chain of free ids */
export const PREFIX_NEXT_FREE = 3;
export const PREFIX_FIRST_FREE = 4;
/** one more than the highest id given out */
export const PREFIX_USED = 5;
/** ids below this one have been opened */
export const PREFIX_OPENED = 6;
export const PREFIX_SIZE = 7;
/** two words a bucket: address of its slots, and prefixes * 32 + slots as a power of two */
export const PREFIX_BUCKETS = 8;
/** buckets - 1 */
export const PREFIX_BUCKET_MASK = 9;
/** buckets with slots */
export const PREFIX_BUCKETS_TAKEN = 10;
/** makes the slots unknown to a peer that would choose its prefixes so that they collide */
export const PREFIX_SEED = 11;
/** where the next piece of slots begins, and how many octets are left there */
export const PREFIX_ARENA = 12;
export const PREFIX_ARENA_LEFT = 13;
/** by power of two: chain of pieces of slots that are free again */
export const PREFIX_FREE_PIECES = 14;
/** the first of a chain of pieces of memory, which slots are made of */
export const PREFIX_CHUNKS = 46;
export const PREFIX_FIELDS = 47;
export const FREE_LENGTH = 255;
