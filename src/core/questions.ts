/** What the inner loops ask of the rest: rare things only, as a table that is full, or an answer that is not known yet. */

/** What the inner loops ask of the owner of a block (src/core/assembly/host.ts); he answers those questions that concern it. */
export interface BlockOwner {
  scopeKey?(): number;
  growAttributes?(): void;
  attributeFreed?(id: number): void;
  attributeOverReleased?(id: number): void;
  internNextHop?(address: number, octets: number): number;
  freeNextHop?(id: number): void;
  nextHopWanted?(id: number, wanted: boolean): void;
  openPrefixes?(): void;
  growDirty?(count: number): void;
  dirtied?(): void;
  narrowAttributes?(key: number, octets: number): number;
  growSent?(): void;
  lookAgain?(prefix: number): void;
  withdrawUnsendable?(prefix: number, record: number): void;
  isOwnNextHop?(nextHop: number): boolean;
  desiredForm?(prefix: number): number;
  growRecords?(): void;
  addPathIds?(): void;
  growLog?(): void;
  exportForm?(prefix: number): number;
  makeForm?(attribute: number, peer: number): number;
  growForms?(attribute: number): void;
  nextHopKind?(attribute: number): number;
  senderChanged?(prefix: number, oldPeer: number, peer: number): void;
  growChanged?(): void;
  shrinkLists?(): void;
  decideSteps?(prefix: number): number;
  beatenByTie?(best: number, record: number): boolean;
  selectSet?(best: number, bySteps: boolean): number;
  retainSet?(set: number, count: number): void;
  releaseSet?(set: number, count: number): void;
  decided?(from: number, to: number): void;
  evaluateImport?(length: number, w0: number, w1: number, w2: number, w3: number, attribute: number): number;
}

/** Answers the questions of src/core/assembly/host.ts, each by the owner of the block that it is about. */
export function answersOf(
  ownerOf: (block: number) => BlockOwner,
): Record<string, (...values: number[]) => number | undefined> {
  return {
    scopeKey: (reader: number) => ownerOf(reader).scopeKey?.(),
    growAttributes: (attributes: number) => void ownerOf(attributes).growAttributes?.(),
    attributeFreed: (attributes: number, id: number) => void ownerOf(attributes).attributeFreed?.(id),
    attributeOverReleased: (attributes: number, id: number) =>
      void ownerOf(attributes).attributeOverReleased?.(id),
    internNextHop: (nextHops: number, address: number, octets: number) =>
      ownerOf(nextHops).internNextHop?.(address >>> 0, octets),
    freeNextHop: (nextHops: number, id: number) => void ownerOf(nextHops).freeNextHop?.(id),
    nextHopWanted: (nextHops: number, id: number, wanted: number) =>
      void ownerOf(nextHops).nextHopWanted?.(id, wanted !== 0),
    openPrefixes: (table: number) => void ownerOf(table).openPrefixes?.(),
    growDirty: (family: number, count: number) => void ownerOf(family).growDirty?.(count),
    dirtied: (family: number) => void ownerOf(family).dirtied?.(),
    narrowAttributes: (packer: number, key: number, octets: number) =>
      ownerOf(packer).narrowAttributes?.(key >>> 0, octets),
    growSent: (sent: number) => void ownerOf(sent).growSent?.(),
    lookAgain: (sent: number, prefix: number) => void ownerOf(sent).lookAgain?.(prefix),
    withdrawUnsendable: (sent: number, prefix: number, record: number) =>
      void ownerOf(sent).withdrawUnsendable?.(prefix, record),
    isOwnNextHop: (output: number, nextHop: number) =>
      ownerOf(output).isOwnNextHop?.(nextHop) === true ? 1 : 0,
    desiredForm: (output: number, prefix: number) => ownerOf(output).desiredForm?.(prefix),
    growRecords: (paths: number) => void ownerOf(paths).growRecords?.(),
    addPathIds: (paths: number) => void ownerOf(paths).addPathIds?.(),
    growLog: (group: number) => void ownerOf(group).growLog?.(),
    exportForm: (group: number, prefix: number) => ownerOf(group).exportForm?.(prefix),
    makeForm: (rules: number, attribute: number, peer: number) => ownerOf(rules).makeForm?.(attribute, peer),
    growForms: (rules: number, attribute: number) => void ownerOf(rules).growForms?.(attribute),
    nextHopKind: (rules: number, attribute: number) => ownerOf(rules).nextHopKind?.(attribute),
    senderChanged: (group: number, prefix: number, oldPeer: number, peer: number) =>
      void ownerOf(group).senderChanged?.(prefix, oldPeer, peer),
    growChanged: (family: number) => void ownerOf(family).growChanged?.(),
    shrinkLists: (family: number) => void ownerOf(family).shrinkLists?.(),
    decideSteps: (family: number, prefix: number) => ownerOf(family).decideSteps?.(prefix),
    beatenByTie: (family: number, best: number, record: number) =>
      ownerOf(family).beatenByTie?.(best, record) === true ? 1 : 0,
    selectSet: (family: number, best: number, bySteps: number) =>
      ownerOf(family).selectSet?.(best, bySteps === 1),
    retainSet: (family: number, set: number, count: number) => void ownerOf(family).retainSet?.(set, count),
    releaseSet: (family: number, set: number, count: number) => void ownerOf(family).releaseSet?.(set, count),
    decided: (family: number, from: number, to: number) => void ownerOf(family).decided?.(from, to),
    evaluateImport: (
      input: number,
      length: number,
      w0: number,
      w1: number,
      w2: number,
      w3: number,
      attribute: number,
    ) => ownerOf(input).evaluateImport?.(length, w0, w1, w2, w3, attribute),
  };
}
