/**
 * Small schemas that read untyped data (from YAML or JSON) into typed values and collect every problem with its path.
 *
 * They follow how Calico's Go types decode: null is absent, an empty string or list in an optional field is absent, a number or
 * boolean given for a text is taken as its text, and unknown fields are errors. That is why they are written here instead of
 * with a general schema library.
 */

import { nearest } from './nearest.ts';

/** Something wrong in a resource. */
export interface Problem {
  /** where, like `spec.ingress[0].source.nets[1]`; empty for the whole document */
  readonly path: string;
  /** what was found and what is expected */
  readonly reason: string;
}

/** Collects problems while a document is read. */
export class Problems {
  readonly list: Problem[] = [];

  add(path: string, reason: string): void {
    this.list.push({ path, reason });
  }

  get count(): number {
    return this.list.length;
  }
}

/** Reads a value of type T, or reports at least one problem and returns undefined. */
export interface Schema<T> {
  /** the empty value that stands for "absent" in an optional field */
  readonly empty?: 'text' | 'list';
  read(input: unknown, path: string, problems: Problems): T | undefined;
}

/** A field of an object. */
export interface Field<T> {
  readonly schema: Schema<T>;
  readonly required: boolean;
}

/** One field for each property of T. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/** A field that must be there. */
export function required<T>(schema: Schema<T>): Field<T> {
  return { schema, required: true };
}

/** A field that may be absent, null, or (for texts and lists) empty. */
export function optional<T>(schema: Schema<T>): Field<T> {
  return { schema, required: false };
}

/** How a value is named in an error: quoted and shortened text, or its type. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'a map';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}..."` : text;
}

export function join(path: string, key: string): string {
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isAbsent(value: unknown, schema: Schema<unknown>): boolean {
  return (
    (schema.empty === 'text' && value === '') ||
    (schema.empty === 'list' && Array.isArray(value) && value.length === 0)
  );
}

/**
 * A map with exactly the given fields. `check` runs over the whole value when every field was well formed; it reports through the
 * problems it is given. `strangers`: what to say of fields that others know and we do not.
 */
export function object<T extends object>(
  fields: Fields<T>,
  check?: (value: T, path: string, problems: Problems) => void,
  strangers: Readonly<Record<string, string>> = {},
): Schema<T> {
  const names = Object.keys(fields);
  return {
    read(input, path, problems) {
      if (!isMap(input)) {
        problems.add(path, `expected a map, found ${show(input)}`);
        return undefined;
      }
      const before = problems.count;
      for (const name of Object.keys(input)) {
        if (Object.hasOwn(fields, name)) continue;
        const known = Object.hasOwn(strangers, name) ? strangers[name] : undefined;
        problems.add(join(path, name), known ?? unknownField(name, names));
      }
      const out: Partial<T> = {};
      for (const name in fields) {
        const field = fields[name];
        const given = input[name];
        if (given === undefined || given === null || (!field.required && isAbsent(given, field.schema))) {
          if (field.required) problems.add(join(path, name), 'missing: this field is required');
          continue;
        }
        const value = field.schema.read(given, join(path, name), problems);
        if (value !== undefined) out[name] = value;
      }
      if (problems.count > before || !isComplete(out, fields)) return undefined;
      check?.(out, path, problems);
      return problems.count > before ? undefined : out;
    },
  };
}

function isComplete<T>(value: Partial<T>, fields: Fields<T>): value is T {
  for (const name in fields) if (fields[name].required && value[name] === undefined) return false;
  return true;
}

function unknownField(name: string, known: readonly string[]): string {
  const close = known.find((each) => each.toLowerCase() === name.toLowerCase());
  const near = close ?? nearest(name, known);
  if (near !== undefined) return `unknown field; did you mean "${near}"?`;
  return known.length <= 12 ? `unknown field; expected one of ${known.join(', ')}` : 'unknown field';
}

/** Checks a text: returns what is wrong with it, or undefined. */
export type TextCheck = (text: string) => string | undefined;

/** A text. Numbers and booleans are taken as their text, as Calico's YAML reader does. */
export function text(...checks: readonly TextCheck[]): Schema<string> {
  return {
    empty: 'text',
    read(input, path, problems) {
      const value = typeof input === 'number' || typeof input === 'boolean' ? String(input) : input;
      if (typeof value !== 'string') {
        problems.add(path, `expected a text, found ${show(input)}`);
        return undefined;
      }
      for (const check of checks) {
        const reason = check(value);
        if (reason !== undefined) {
          problems.add(path, reason);
          return undefined;
        }
      }
      return value;
    },
  };
}

/** At most `limit` characters. */
export function atMost(limit: number): TextCheck {
  return (value) =>
    [...value].length > limit
      ? `too long: ${[...value].length} characters, at most ${limit} are allowed`
      : undefined;
}

/** One of the given words, in exactly this spelling. */
export function oneOf<const T extends string>(...words: readonly T[]): Schema<T> {
  return {
    empty: 'text',
    read(input, path, problems) {
      const found = words.find((word) => word === input);
      if (found === undefined)
        problems.add(path, `expected one of ${words.join(', ')}; found ${show(input)}`);
      return found;
    },
  };
}

/** As `oneOf`, but the empty text is not the same as absent (Calico's fields behind a pointer). */
export function strictlyOneOf<const T extends string>(...words: readonly T[]): Schema<T> {
  const inner = oneOf(...words);
  return { read: (input, path, problems) => inner.read(input, path, problems) };
}

/** A whole number in an inclusive range. */
export function integer(minimum: number, maximum: number): Schema<number> {
  return {
    read(input, path, problems) {
      if (typeof input === 'number' && Number.isInteger(input) && input >= minimum && input <= maximum) {
        return Object.is(input, -0) ? 0 : input;
      }
      problems.add(path, `expected a whole number from ${minimum} to ${maximum}, found ${show(input)}`);
      return undefined;
    },
  };
}

/** A finite number. */
export function number(): Schema<number> {
  return {
    read(input, path, problems) {
      if (typeof input === 'number' && Number.isFinite(input)) return input;
      problems.add(path, `expected a number, found ${show(input)}`);
      return undefined;
    },
  };
}

/** true or false. */
export function boolean(): Schema<boolean> {
  return {
    read(input, path, problems) {
      if (typeof input === 'boolean') return input;
      problems.add(path, `expected true or false, found ${show(input)}`);
      return undefined;
    },
  };
}

/** A list of at most `limit` elements. */
export function list<T>(element: Schema<T>, limit = Number.POSITIVE_INFINITY): Schema<readonly T[]> {
  return {
    empty: 'list',
    read(input, path, problems) {
      if (!Array.isArray(input)) {
        problems.add(path, `expected a list, found ${show(input)}`);
        return undefined;
      }
      if (input.length > limit) {
        problems.add(path, `too long: ${input.length} elements, at most ${limit} are allowed`);
        return undefined;
      }
      const out: T[] = [];
      input.forEach((each: unknown, index) => {
        const value = element.read(each ?? '', `${path}[${index}]`, problems);
        if (value !== undefined) out.push(value);
      });
      return out.length === input.length ? out : undefined;
    },
  };
}

/** A map of texts (labels, annotations); null is the empty text. `check` gets each entry and reports at its path. */
export function stringMap(
  check?: (key: string, value: string, path: string, problems: Problems) => void,
): Schema<Readonly<Record<string, string>>> {
  const value = text();
  return {
    read(input, path, problems) {
      if (!isMap(input)) {
        problems.add(path, `expected a map of texts, found ${show(input)}`);
        return undefined;
      }
      const before = problems.count;
      const entries: [string, string][] = [];
      for (const [key, given] of Object.entries(input)) {
        const read = value.read(given ?? '', join(path, key), problems);
        if (read === undefined) continue;
        check?.(key, read, join(path, key), problems);
        entries.push([key, read]);
      }
      return problems.count > before ? undefined : Object.fromEntries(entries);
    },
  };
}

/** Anything, kept as it is. */
export function anything(): Schema<unknown> {
  return { read: (input) => input };
}
