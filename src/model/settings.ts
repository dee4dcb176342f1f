/**
 * Settings that are written as texts, as in annotations: how each is read, and what it means. Small on purpose: a speaker on its own reads
 * them too, and a general schema library costs it more memory than everything else that it loads.
 */
import type { Family } from '../net/address.ts';
import { type Prefix, parsePrefix, prefixContains } from '../net/prefix.ts';
import { checkName, parseDurationMs } from './scalars.ts';

/** A value, or what it must be instead: `must be ...`. */
export type ReadText<T> = { readonly value: T } | { readonly fault: string };

/** Reads a text. */
export type TextReader<T> = (text: string) => ReadText<T>;

export interface Setting<T> {
  readonly read: TextReader<T>;
  /** for people, with the default */
  readonly meaning: string;
}

/** A setting that may be absent. */
export function setting<T>(read: TextReader<T>, meaning: string): Setting<T> {
  return { read, meaning };
}

type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** The values of a table of settings. */
export type ValuesOf<S extends Readonly<Record<string, Setting<unknown>>>> = {
  readonly [K in keyof S]?: ValueOf<S[K]>;
};

/** `true` or `false` */
export const flag: TextReader<boolean> = (text) =>
  text === 'true' || text === 'false' ? { value: text === 'true' } : { fault: 'must be "true" or "false"' };

/** Decimal digits. */
export function integer(min: number, max: number): TextReader<number> {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? { value } : { fault: `must be an integer from ${min} to ${max}` };
  };
}

/** Whole seconds, `90`, or a duration, `90s`, `1m30s`. `also`: a value beside the range. */
export function seconds(min: number, max: number, also?: number): TextReader<number> {
  const example = Math.min(max, 90);
  const expected = `${also === undefined ? '' : `${also} or `}${min} to ${max} seconds, such as ${example} or ${example}s`;
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : (parseDurationMs(text) ?? Number.NaN) / 1000;
    const isGood = Number.isInteger(value) && ((value >= min && value <= max) || value === also);
    return isGood ? { value } : { fault: `must be ${expected}` };
  };
}

/** One of some words. */
export function oneOf<const T extends readonly string[]>(...values: T): TextReader<T[number]> {
  return (text) => {
    const value = values.find((each) => each === text);
    return value === undefined ? { fault: `must be one of ${values.join(', ')}` } : { value };
  };
}

const FAMILY_NAMES: Readonly<Record<string, Family>> = {
  'ipv4-unicast': 'ipv4',
  'ipv6-unicast': 'ipv6',
  ipv4: 'ipv4',
  ipv6: 'ipv6',
};

const listOf = (text: string): string[] => text.split(',').map((each) => each.trim());

/** `ipv4-unicast,ipv6-unicast` */
export const families: TextReader<readonly Family[]> = (text) => {
  const found: Family[] = [];
  for (const name of listOf(text)) {
    const family = Object.hasOwn(FAMILY_NAMES, name) ? FAMILY_NAMES[name] : undefined;
    if (family === undefined || found.includes(family))
      return { fault: `must be ipv4-unicast, ipv6-unicast or both with a comma between; "${name}" is not` };
    found.push(family);
  }
  return { value: found };
};

/** Whose AS number is taken: 'internal' is ours, 'external' any other. */
export type RemoteAs = 'internal' | 'external' | readonly number[];

const AS_NUMBERS_MAX = 64;

/** `internal`, `external`, or AS numbers. */
export const remoteAs: TextReader<RemoteAs> = (text) => {
  if (text === 'internal' || text === 'external') return { value: text };
  const numbers = listOf(text);
  const isGood = (number: string): boolean => 'value' in integer(1, 4294967295)(number);
  if (numbers.length <= AS_NUMBERS_MAX && numbers.every(isGood))
    return { value: [...new Set(numbers.map(Number))] };
  return {
    fault: `must be internal, external, or AS numbers from 1 to 4294967295 with commas between, up to ${AS_NUMBERS_MAX}`,
  };
};

const RANGES_MAX = 64;

/** Prefixes of either family, none inside another. */
export const prefixes: TextReader<readonly Prefix[]> = (text) => {
  const found: Prefix[] = [];
  for (const each of listOf(text)) {
    const prefix = parsePrefix(each);
    if (prefix === undefined)
      return {
        fault: `must be prefixes with commas between, such as 10.0.0.0/24,2001:db8::/64; "${each}" is none`,
      };
    if (found.some((other) => prefixContains(other, prefix) || prefixContains(prefix, other)))
      return { fault: `must be prefixes that do not overlap; "${each}" does` };
    found.push(prefix);
  }
  return found.length > RANGES_MAX ? { fault: `must be ${RANGES_MAX} prefixes at most` } : { value: found };
};

/** Name of a BGPPeer. */
export const peerName: TextReader<string> = (text) => {
  const fault = checkName(text);
  return fault === undefined ? { value: text } : { fault: `must be the name of a BGPPeer: ${fault}` };
};

/** Name of a network interface. */
export const interfaceName: TextReader<string> = (text) =>
  /^[^\s/%]{1,15}$/.test(text)
    ? { value: text }
    : { fault: 'must be the name of an interface, up to 15 characters' };

/** A text for a shutdown communication (RFC 9003 2). */
export const shutdownText: TextReader<string> = (text) =>
  text !== '' && new TextEncoder().encode(text).length <= 255
    ? { value: text }
    : { fault: 'must be 1..255 octets of text (RFC 9003)' };

/** A file on the host. */
export const absolutePath: TextReader<string> = (text) =>
  text.startsWith('/') ? { value: text } : { fault: 'must be an absolute path' };
