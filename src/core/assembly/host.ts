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

/** The log of an update group is full: makes room. */
export declare function growLog(group: usize): void;

/** The form in which the best path of a prefix, which has one, is exported by rules that look at prefixes, or NOT_EXPORTED. */
export declare function exportForm(group: usize, prefix: i32): i32;

/** The same for a path of a peer, by rules that look at attributes alone. */
export declare function makeForm(rules: usize, attribute: i32, peer: i32): i32;

/** The column of exported forms needs room for this attribute id. */
export declare function growForms(rules: usize, attribute: i32): void;

/** What becomes of the next hop of these attributes: NO_NEXT_HOP, OWN_NEXT_HOP or KEEPS_NEXT_HOP. */
export declare function nextHopKind(rules: usize, attribute: i32): i32;

/** What is exported of a prefix is the same as before, but its best path came from `oldPeer` and now comes from `peer`. */
export declare function senderChanged(group: usize, prefix: i32, oldPeer: i32, peer: i32): void;

/** The columns of a store of attributes are full: makes them longer. */
export declare function growAttributes(attributes: usize): void;

/** An attribute id goes away of which somebody remembers something; its octets can still be read. */
export declare function attributeFreed(attributes: usize, id: i32): void;

/** An attribute id was released more often than taken: throws. */
export declare function attributeOverReleased(attributes: usize, id: i32): void;

/** The id of the next hop whose octets stand at an address, with a reference taken. */
export declare function internNextHop(nextHops: usize, address: usize, octets: i32): i32;

/** The last reference on a next hop is gone. */
export declare function freeNextHop(nextHops: usize, id: i32): void;

/** The first route with a next hop has come (1), or the last one is gone (0). */
export declare function nextHopWanted(nextHops: usize, id: i32, wanted: i32): void;
/** The list of changed prefixes of a family is full. */
export declare function growChanged(family: usize): void;

/** The lists of prefixes of a family are empty and larger than they need be. */
export declare function shrinkLists(family: usize): void;

/** The record of the best path to a prefix by all steps of the decision, or -1. */
export declare function decideSteps(family: usize, prefix: i32): i32;

/** Whether a new path of the best path's rank loses to it by all steps of the decision. */
export declare function beatenByTie(family: usize, best: i32, record: i32): i32;

/** The set of next hops of the best path, or NO_PATH or LOCAL_PATH, with a reference taken. `bySteps`: `decideSteps` just gave the path, and perhaps others. */
export declare function selectSet(family: usize, best: i32, bySteps: i32): i32;

/** Takes further references on a set of next hops. */
export declare function retainSet(family: usize, nextHops: i32, count: i32): void;

/** Gives references on a set of next hops back. */
export declare function releaseSet(family: usize, nextHops: i32, count: i32): void;

/** The prefixes of the list that is worked off were decided, from `from` to before `to`. */
export declare function decided(family: usize, from: i32, to: i32): void;

/** Whether a next hop is a peer's own address. */
export declare function isOwnNextHop(output: usize, nextHop: i32): i32;

/** What a peer is to be told of a prefix where its update group exports one with its own address as next hop: a form, or NOT_EXPORTED. */
export declare function desiredForm(output: usize, prefix: i32): i32;

/** What import policy makes of a path to a prefix: attributes, or a negative code. Asked for each path, where the answer depends on the prefix. */
export declare function evaluateImport(
  input: usize,
  length: i32,
  w0: i32,
  w1: i32,
  w2: i32,
  w3: i32,
  attribute: i32,
): i32;

/** Brings the link-local next hop of the key in a reader's key room into the RIB's own form; returns the octets of the key. */
export declare function scopeKey(reader: usize): i32;

/** What a peer has been sent of paths needs room for further prefix ids or records. */
export declare function growSent(sent: usize): void;

/** A prefix is to be looked at again for a peer that takes several paths. */
export declare function lookAgain(sent: usize, prefix: i32): void;

/** The attributes of a path fit into no message for a peer: it must not keep what it had of it (RFC 8654 5). */
export declare function withdrawUnsendable(sent: usize, prefix: i32, record: i32): void;
