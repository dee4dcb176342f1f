/**
 * Doing something inside another network namespace, synchronously, on the calling thread: 28 us there and back. Sockets opened
 * inside stay in that namespace for ever; `/proc/sys/net` shows the namespace of the thread that opens a file.
 */
import { closeSync, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { NetlinkError } from './error-message.ts';
import { setns } from './libc.ts';

const CLONE_NEWNET = 0x40000000;

let poolPrimed = false;

/**
 * Must be awaited once before the first `inNamespace`: threads of libuv's pool are made on first use and inherit the namespace of the
 * thread that needs them, so the pool has to exist before anybody leaves home.
 */
export async function prepareNamespaces(): Promise<void> {
  await stat('/');
  poolPrimed = true;
}

/**
 * Runs `action` inside the network namespace that `path` names (`/run/netns/NAME`, `/proc/PID/ns/net`) and comes back. The action
 * must be synchronous. Throws if the namespace cannot be opened or entered. Ends the process if the way back fails: everything done
 * after that would happen to the wrong machine.
 */
export function inNamespace<T>(path: string, action: () => T): T {
  if (!poolPrimed) throw new Error('prepareNamespaces() must be awaited before a namespace is entered');
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const target = openSync(path, 'r');
    try {
      const entered = setns(target, CLONE_NEWNET);
      if ('errno' in entered) throw new NetlinkError(`enter network namespace ${path}`, entered.errno);
      try {
        return action();
      } finally {
        const back = setns(home, CLONE_NEWNET);
        if ('errno' in back) {
          console.error(`cannot return from network namespace ${path}: errno ${back.errno}; aborting`);
          process.abort();
        }
      }
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(home);
  }
}

/** `inNamespace`, or just the action when there is no path: for owners that may live in either. */
export function inNamespaceOrHere<T>(path: string | undefined, action: () => T): T {
  return path === undefined ? action() : inNamespace(path, action);
}
