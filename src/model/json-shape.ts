/**
 * Schemas of JSON that other programs write and read too: nothing is taken for something else, members that are not known are no fault, what Go
 * leaves out has a value of its own. A few lines in place of a schema library, which is several MiB of every agent.
 */
import { isMap, join, type Problems, type Schema, show } from './schema.ts';

/** A member of an object: how it is read, and what it is when it is left out. */
export interface Member<T> {
  readonly schema: Schema<T>;
  /** absent: it must be there; `undefined`: it stays out */
  readonly otherwise?: { readonly value: T | undefined };
}

/** One for each member that is known. */
export type Members<T> = { readonly [K in keyof T]-?: Member<T[K]> };

/** A member that must be there. */
export function member<T>(schema: Schema<T>): Member<T> {
  return { schema };
}

/** A member that has this value when it is left out; `undefined`: none. */
export function memberOr<T>(schema: Schema<T>, value: T): Member<T> {
  return { schema, otherwise: { value } };
}

/** An object; members that are not known follow those that are. */
export function openObject<T extends object>(members: Members<T>): Schema<T> {
  return objectWith(members, true);
}

/** An object; members that are not known are left behind. */
export function pickedObject<T extends object>(members: Members<T>): Schema<T> {
  return objectWith(members, false);
}

function objectWith<T extends object>(members: Members<T>, keepsOthers: boolean): Schema<T> {
  return {
    read(input, path, problems) {
      if (!isMap(input)) return refuse(problems, path, 'a map', input);
      const before = problems.count;
      const known: Partial<T> = {};
      for (const name in members) {
        const { schema, otherwise } = members[name];
        const given = input[name];
        if (given === undefined) {
          if (otherwise === undefined) problems.add(join(path, name), 'missing');
          else if (otherwise.value !== undefined) known[name] = otherwise.value;
          continue;
        }
        const value = schema.read(given, join(path, name), problems);
        if (value !== undefined) known[name] = value;
      }
      const out: Partial<T> = keepsOthers ? { ...known, ...input, ...known } : known;
      return problems.count === before && isComplete(out, members) ? out : undefined;
    },
  };
}

function isComplete<T>(value: Partial<T>, members: Members<T>): value is T {
  for (const name in members)
    if (members[name].otherwise === undefined && value[name] === undefined) return false;
  return true;
}

/** A value that a test takes as it is; `what` is said to be expected of another. */
export function value<T>(isOne: (input: unknown) => input is T, what: string): Schema<T> {
  return {
    read: (input, path, problems) => (isOne(input) ? input : refuse(problems, path, what, input)),
  };
}

/** A list whose elements a test takes as they are. */
export function listOf<T>(isOne: (input: unknown) => input is T, what: string): Schema<readonly T[]> {
  return {
    read(input, path, problems) {
      if (!Array.isArray(input)) return refuse(problems, path, 'a list', input);
      const given: readonly unknown[] = input;
      if (given.every(isOne)) return given;
      const odd = given.findIndex((each) => !isOne(each));
      return refuse(problems, `${path}[${odd}]`, what, given[odd]);
    },
  };
}

/** A list of what a schema reads. */
export function listRead<T>(schema: Schema<T>): Schema<readonly T[]> {
  return {
    read(input, path, problems) {
      if (!Array.isArray(input)) return refuse(problems, path, 'a list', input);
      const out: T[] = [];
      input.forEach((each: unknown, index) => {
        const read = schema.read(each, `${path}[${index}]`, problems);
        if (read !== undefined) out.push(read);
      });
      return out.length === input.length ? out : undefined;
    },
  };
}

/** A map of what a schema reads. */
export function mapOf<T>(schema: Schema<T>): Schema<Readonly<Record<string, T>>> {
  return {
    read(input, path, problems) {
      if (!isMap(input)) return refuse(problems, path, 'a map', input);
      const entries: [string, T][] = [];
      const keys = Object.keys(input);
      for (const key of keys) {
        const read = schema.read(input[key], join(path, key), problems);
        if (read !== undefined) entries.push([key, read]);
      }
      return entries.length === keys.length ? Object.fromEntries(entries) : undefined;
    },
  };
}

/** null too, as `whenNull`. */
export function orNull<T, N>(schema: Schema<T>, whenNull: N): Schema<T | N> {
  return {
    read: (input, path, problems) => (input === null ? whenNull : schema.read(input, path, problems)),
  };
}

function refuse(problems: Problems, path: string, what: string, input: unknown): undefined {
  problems.add(path, `expected ${what}, found ${typeof input === 'bigint' ? String(input) : show(input)}`);
  return undefined;
}

/** A whole number from `least` to `most`. */
export function wholeWithin(least: number, most: number): Schema<number> {
  return value(
    (input): input is number => isWhole(input) && input >= least && input <= most,
    `a whole number from ${least} to ${most}`,
  );
}

/** A text. */
export const isText = (input: unknown): input is string => typeof input === 'string';

/** true or false. */
export const isFlag = (input: unknown): input is boolean => typeof input === 'boolean';

/** A whole number that is held exactly. */
export const isWhole = (input: unknown): input is number => Number.isSafeInteger(input);

/** As `isWhole`, not below 0. */
export const isCount = (input: unknown): input is number => isWhole(input) && input >= 0;
