/**
 * Gives back what only the start needed: code that ran once, young generations grown by it, pages between what is left. 12 MiB of an idle
 * agent, which V8 would keep for good, since an idle process gives it no occasion to collect. Stops the thread for 50 to 100 ms: to be
 * called before anybody waits for it. Does nothing unless Node runs with --expose-gc, as the launcher starts it.
 */
export function releaseStartMemory(): void {
  globalThis.gc?.({ type: 'major', flavor: 'last-resort', execution: 'sync' });
}
