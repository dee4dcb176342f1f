/** What the inner loops ask of their owners. Everything here is rare: a table that is full, an answer that is not known yet. */

/** Octets of memory, all zero, at a multiple of 64. */
export declare function allocate(octets: usize): usize;

/** Gives back what `allocate` gave for as many octets. */
export declare function release(address: usize, octets: usize): void;

/** The ids of a table of prefixes that were opened are used up: opens some more. */
export declare function openPrefixes(table: usize): void;

/** The list of prefixes of a family that wait for a decision needs room for so many. */
export declare function growDirty(family: usize, count: i32): void;

/** The first prefix of a family waits for a decision. */
export declare function dirtied(family: usize): void;
/** Puts the attributes of a key, all but the next hop, where a packer keeps those with two-octet AS numbers; returns how many octets they have. */
export declare function narrowAttributes(packer: usize, key: usize, octets: i32): i32;

/** The records of a table of paths are used up: makes room for more. */
export declare function growRecords(paths: usize): void;

/** A table of paths needs its column of path identifiers. */
export declare function addPathIds(paths: usize): void;
