/** Whether a path is a network namespace that a container can be attached in. Looked at before anything is written. */
import { statSync } from 'node:fs';
import { inNamespace } from '../../../fib/netlink/namespace.ts';
import { problem } from '../../api/problem.ts';

/** Throws `ApiError` for what cannot be entered, and for the host's own: its default route would lead into a container's link. */
export function checkNamespace(path: string): void {
  let inode: string;
  try {
    inode = inNamespace(path, presentNamespace);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw problem('invalid', `--netns ${path}: is no network namespace that can be entered: ${reason}`);
  }
  if (inode === presentNamespace())
    throw problem('invalid', `--netns ${path}: is the host's own network namespace; name the container's`);
}

function presentNamespace(): string {
  const { dev, ino } = statSync('/proc/thread-self/ns/net', { bigint: true });
  return `${dev} ${ino}`;
}
