/** What the inner loops offer to the rest, which calls them through `CoreCalls` (src/core/core.ts). */
export { prefixDelete, prefixDispose, prefixFind, prefixIntern } from './prefix-table';
