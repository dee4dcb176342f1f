/** What the rest calls in the core. */

/** The inner loops, as src/core/assembly/index.ts offers them: addresses and numbers are 32-bit, signed or not. */
export interface CoreCalls {
  attributeIntern(attributes: number, key: number, octets: number): number;
  attributeInternForm(attributes: number, key: number, octets: number): number;
  attributeRetain(attributes: number, id: number, count: number): void;
  attributeRelease(attributes: number, id: number): void;
  attributeHold(attributes: number, id: number, count: number): void;
  attributeLetGo(attributes: number, id: number): void;
  attributeOccurrences(attributes: number, id: number, as: number): number;
  attributeSamePath(attributes: number, a: number, b: number): number;
  nextHopRelease(nextHops: number, id: number): void;
  prefixFind(table: number, length: number, w0: number, w1: number, w2: number, w3: number): number;
  prefixIntern(table: number, length: number, w0: number, w1: number, w2: number, w3: number): number;
  prefixDelete(table: number, id: number): void;
  prefixDispose(table: number): void;
  /** octets that were taken in */
  receivePlain(reader: number, start: number, end: number, most: number): number;
  /** 1: it is plain */
  readPlainUpdate(reader: number, start: number, end: number): number;
  familyMarkDirty(family: number, prefix: number): void;
  packBeginReach(packer: number, key: number, octets: number): number;
  packBeginWithdraw(packer: number): number;
  packWords(
    packer: number,
    bits: number,
    w0: number,
    w1: number,
    w2: number,
    w3: number,
    pathId: number,
  ): number;
  packFinish(packer: number): number;
  outputTakeLog(output: number, batch: number, limit: number, shared: number): number;
  outputTakeWalk(output: number, batch: number, from: number, end: number, isForced: number): number;
  outputClear(output: number): void;
  /** 1: it does */
  sharedSuits(shared: number, output: number): number;
  sharedTold(shared: number, output: number): void;
  batchAnnounce(batch: number, prefix: number, record: number, attribute: number): void;
  batchWithdraw(batch: number, prefix: number): void;
  batchClear(batch: number): void;
  batchWrite(batch: number, output: number): void;
  pathsWrite(batch: number, sent: number): void;
  /** 1: it was */
  packWithdrawal(packer: number, table: number, prefix: number, pathId: number): number;
  pathCount(paths: number, peer: number): number;
  pathFind(paths: number, prefix: number, peer: number, pathId: number): number;
  pathAdd(
    paths: number,
    prefix: number,
    peer: number,
    pathId: number,
    attribute: number,
    effective: number,
    tick: number,
    generation: number,
  ): number;
  pathAddFirst(
    paths: number,
    prefixes: number,
    count: number,
    peer: number,
    attribute: number,
    effective: number,
    tick: number,
    generation: number,
  ): void;
  pathMoveToFront(paths: number, prefix: number, record: number): void;
  pathRemove(paths: number, record: number): number;
  pathNextOf(paths: number, peer: number, walked: number): number;
  keyRewrite(edits: number, key: number, octets: number, to: number): number;
  familyDecide(family: number, limit: number): number;
  familyFreeIfUnused(family: number, prefix: number): void;
  isCandidate(family: number, record: number): number;
  groupForm(group: number, prefix: number): number;
  takeReach(
    family: number,
    input: number,
    start: number,
    end: number,
    addPath: number,
    attribute: number,
    effective: number,
    tick: number,
  ): void;
  takeWithdrawn(family: number, input: number, start: number, end: number, addPath: number): void;
  takeInstead(family: number, record: number, attribute: number, effective: number, tick: number): void;
  takeAway(family: number, input: number, record: number): void;
  takeOld(family: number, input: number, walked: number, beyond: number, limit: number): number;
  takeAnew(family: number, input: number, record: number, effective: number): void;
  groupReconsider(group: number, prefix: number): void;
  exportedForm(rules: number, attribute: number, peer: number): number;
}
