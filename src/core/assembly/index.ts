/** What the inner loops offer to the rest, which calls them through `CoreCalls` (src/core/calls.ts). */
export {
  attributeHold,
  attributeIntern,
  attributeInternForm,
  attributeLetGo,
  attributeOccurrences,
  attributeRelease,
  attributeRetain,
  attributeSamePath,
} from './attributes';
export { isCandidate } from './decision';
export { exportedForm } from './exports';
export {
  familyDecide,
  familyFreeIfUnused,
  familyMarkDirty,
} from './family';
export { groupForm, groupReconsider } from './groups';
export { nextHopRelease } from './next-hops';
export { outputClear, outputTakeLog, outputTakeWalk, sharedSuits, sharedTold } from './output';
export { batchAnnounce, batchClear, batchWithdraw, batchWrite } from './output-batch';
export { packBeginReach, packBeginWithdraw, packFinish, packWithdrawal, packWords } from './packer';
export {
  pathAdd,
  pathAddFirst,
  pathCount,
  pathFind,
  pathMoveToFront,
  pathNextOf,
  pathRemove,
} from './paths';
export { prefixDelete, prefixDispose, prefixFind, prefixIntern } from './prefix-table';
export { readPlainUpdate } from './read-update';
export { receivePlain } from './receive';
export { keyRewrite } from './rewrite';
export { pathsWrite } from './sent-paths';
export { takeAnew, takeAway, takeInstead, takeOld, takeReach, takeWithdrawn } from './take';
