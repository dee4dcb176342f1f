/** Order of rows by what they stand for, not by their text. */
import { comparePrefixes, parsePrefix } from '../../net/prefix.ts';

/** Orders rows by prefix: IPv4 first, numerically, shorter first. */
export function byPrefix(a: { readonly prefix: string }, b: { readonly prefix: string }): number {
  const [left, right] = [parsePrefix(a.prefix), parsePrefix(b.prefix)];
  return left === undefined || right === undefined ? 0 : comparePrefixes(left, right);
}

/** `1 route`, `2 routes`; `plural` where an "s" is not enough. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
