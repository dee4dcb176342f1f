/** What the inner loops offer to the rest, which calls them through `CoreCalls` (src/core/core.ts). */
export { familyMarkDirty, familyMarkNew } from './family';
export { prefixDelete, prefixDispose, prefixFind, prefixIntern } from './prefix-table';
