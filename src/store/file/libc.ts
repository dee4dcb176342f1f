/** The two calls of the C library that Node lacks and a safe file store needs. Linux only; glibc 2.28 or later, or musl. */
import koffi from 'koffi';

const libc = koffi.load(null);
const nativeFlock: unknown = libc.func('int flock(int fd, int operation)');
const nativeRenameat2: unknown = libc.func(
  'int renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned int flags)',
);

// asm-generic: the same numbers on x86-64 and arm64
const LOCK_EX = 2;
const LOCK_NB = 4;
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
const ERRNO = new Map<number, string>(
  Object.entries(koffi.os.errno).flatMap(([name, value]) =>
    typeof value === 'number' ? [[value, name]] : [],
  ),
);

/** A failed call: `code` is the errno name, as in Node's own file errors. */
export class LibcError extends Error {
  readonly code: string;

  constructor(call: string, path: string, code: string) {
    super(`${code}: ${call} '${path}'`);
    this.name = 'LibcError';
    this.code = code;
  }
}

/**
 * Takes an exclusive advisory lock on an open file (flock(2)) without waiting. False when another open file has it. The lock ends
 * with the last descriptor, so also when the process dies in any way.
 */
export function tryLockFile(fd: number, path: string): boolean {
  if (invoke(nativeFlock, [fd, LOCK_EX | LOCK_NB]) === 0) return true;
  const code = lastError();
  if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return false;
  throw new LibcError('flock', path, code);
}

/** Exchanges two files atomically (renameat2(2), RENAME_EXCHANGE). Throws ENOENT when one is missing, EINVAL when the file system cannot. */
export function exchangeFiles(a: string, b: string): void {
  if (invoke(nativeRenameat2, [AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE]) === 0) return;
  throw new LibcError('exchange', `${a}' with '${b}`, lastError());
}

function invoke(call: unknown, args: readonly unknown[]): unknown {
  if (typeof call !== 'function') throw new TypeError('the C library call is not available');
  return Reflect.apply(call, undefined, args);
}

function lastError(): string {
  const number = koffi.errno();
  return ERRNO.get(number) ?? `errno ${number}`;
}
