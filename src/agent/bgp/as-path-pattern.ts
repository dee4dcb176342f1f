/**
 * Patterns for AS paths as people know them: regular expressions over the path's text, as in FRR and IOS (`^65001_`, `_64512$`,
 * `^65001( [0-9]+)*$`), and BIRD's path masks (`[= 65001 * =]`). Matching walks all ways through a pattern side by side, so it takes time in
 * proportion to text and pattern, whatever the pattern.
 */

/** Longest pattern that is taken, in characters. */
const PATTERN_MAX = 512;

/** Whether a path's text (`64512 65001 {64513,64514}`) matches. */
export type AsPathMatcher = (path: string) => boolean;

export type AsPathPattern =
  | { readonly ok: true; readonly matches: AsPathMatcher }
  | { readonly ok: false; readonly error: string };

/** Reads a pattern. */
export function parseAsPathPattern(text: string): AsPathPattern {
  if (text.length > PATTERN_MAX) {
    return { ok: false, error: `a pattern of ${text.length} characters is longer than ${PATTERN_MAX}` };
  }
  try {
    const mask = /^\s*\[=(.*)=\]\s*$/s.exec(text);
    const program = mask === null ? new Compiler(text).expression() : maskProgram(mask[1] ?? '');
    return { ok: true, matches: mask === null ? textMatcher(program) : listMatcher(program) };
  } catch (error) {
    if (error instanceof PatternError) return { ok: false, error: error.message };
    throw error;
  }
}

class PatternError extends Error {}

/**
 * A step of a program. `take` passes over one item, a character or an AS number, that its test likes; `split` goes both ways; `start` and
 * `end` hold at the ends of the text.
 */
type Step =
  | { readonly kind: 'take'; readonly test: (item: number) => boolean }
  | { kind: 'split'; readonly ways: number[] }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' };

type Program = readonly Step[];

/** Runs a program; `anywhere`: a match may begin at any item, and end at any. */
function run(program: Program, items: ArrayLike<number>, anywhere: boolean): boolean {
  const size = program.length;
  let current: number[] = [];
  let next: number[] = [];
  /** per step: the item before which it was reached last */
  const reached = new Int32Array(size).fill(-1);
  let done = false;
  const reach = (list: number[], first: number, at: number): void => {
    const pending = [first];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (index === size) {
        if (anywhere || at === items.length) done = true;
        continue;
      }
      if (reached[index] === at) continue;
      reached[index] = at;
      const step = program[index];
      if (step === undefined) continue;
      if (step.kind === 'take') list.push(index);
      else if (step.kind === 'split') pending.push(...step.ways);
      else if (step.kind === 'start' ? at === 0 : at === items.length) pending.push(index + 1);
    }
  };
  for (let at = 0; at <= items.length; at++) {
    if (anywhere || at === 0) reach(current, 0, at);
    if (done) return true;
    const item = items[at];
    if (item === undefined) break;
    next.length = 0;
    for (const index of current) {
      const step = program[index];
      if (step?.kind === 'take' && step.test(item)) reach(next, index + 1, at + 1);
    }
    [current, next] = [next, current];
    if (done) return true;
  }
  return false;
}

function textMatcher(program: Program): AsPathMatcher {
  return (path) => run(program, codesOf(path), true);
}

function codesOf(text: string): Uint16Array {
  const codes = new Uint16Array(text.length);
  for (let i = 0; i < text.length; i++) codes[i] = text.charCodeAt(i);
  return codes;
}

const code = (character: string): number => character.charCodeAt(0);
/** What `_` stands for beside the ends of the path. */
const DELIMITERS = new Set([...' ,{}()[]'].map(code));

/** Extended regular expressions: `.`, `[...]`, `_`, `^`, `$`, `|`, `( )`, `*`, `+`, `?` and `\` before a character. Braces stand for themselves. */
class Compiler {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  expression(): Program {
    const program = this.#alternatives();
    if (this.#at < this.#text.length) throw this.#error('")" without "("');
    return program;
  }

  #alternatives(): Step[] {
    const branches = [this.#sequence()];
    while (this.#text[this.#at] === '|') {
      this.#at++;
      branches.push(this.#sequence());
    }
    return branches.reduceRight((rest, branch) => either(branch, rest));
  }

  #sequence(): Step[] {
    let steps: Step[] = [];
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') return steps;
      steps = joined(steps, this.#repeated(this.#atom()));
    }
  }

  #repeated(atom: Step[]): Step[] {
    let steps = atom;
    for (;;) {
      const mark = this.#text[this.#at];
      if (mark === '*') steps = optional(many(steps));
      else if (mark === '+') steps = many(steps);
      else if (mark === '?') steps = optional(steps);
      else return steps;
      this.#at++;
    }
  }

  #atom(): Step[] {
    const character = this.#text[this.#at++] ?? '';
    switch (character) {
      case '.':
        return [{ kind: 'take', test: () => true }];
      case '^':
        return [{ kind: 'start' }];
      case '$':
        return [{ kind: 'end' }];
      case '_':
        return either(
          [{ kind: 'start' }],
          either([{ kind: 'end' }], [{ kind: 'take', test: (item) => DELIMITERS.has(item) }]),
        );
      case '[':
        return [this.#set()];
      case '(': {
        if (++this.#depth > 50) throw this.#error('more than 50 parentheses within each other');
        const inner = this.#alternatives();
        if (this.#text[this.#at] !== ')') throw this.#error('"(" without ")"');
        this.#at++;
        this.#depth--;
        return inner;
      }
      case '*':
      case '+':
      case '?':
        throw this.#error(`"${character}" without anything before it`);
      case '\\': {
        const escaped = this.#text[this.#at++];
        if (escaped === undefined) throw this.#error('"\\" at the end');
        return [exactly(escaped)];
      }
      default:
        return [exactly(character)];
    }
  }

  /** `[0-9]`, `[^ ]`; a `]` that comes first stands for itself. */
  #set(): Step {
    const isNegated = this.#text[this.#at] === '^';
    if (isNegated) this.#at++;
    const ranges: (readonly [number, number])[] = [];
    for (let isFirst = true; ; isFirst = false) {
      const from = this.#text[this.#at++];
      if (from === undefined) throw this.#error('"[" without "]"');
      if (from === ']' && !isFirst) break;
      const isRange = this.#text[this.#at] === '-' && (this.#text[this.#at + 1] ?? ']') !== ']';
      const to = isRange ? (this.#text[this.#at + 1] ?? from) : from;
      if (isRange) this.#at += 2;
      if (code(to) < code(from)) throw this.#error(`the range ${from}-${to} is empty`);
      ranges.push([code(from), code(to)]);
    }
    return {
      kind: 'take',
      test: (item) => ranges.some(([from, to]) => item >= from && item <= to) !== isNegated,
    };
  }

  #error(reason: string): PatternError {
    return new PatternError(
      `${reason} (character ${Math.min(this.#at, this.#text.length)} of "${this.#text}")`,
    );
  }
}

function exactly(character: string): Step {
  const wanted = code(character);
  return { kind: 'take', test: (item) => item === wanted };
}

/** `steps` moved to begin at `by`: ways are places in the whole program. */
function moved(steps: readonly Step[], by: number): Step[] {
  return steps.map((step) =>
    step.kind === 'split' ? { kind: 'split', ways: step.ways.map((way) => way + by) } : step,
  );
}

function joined(first: readonly Step[], second: readonly Step[]): Step[] {
  return [...first, ...moved(second, first.length)];
}

function either(one: readonly Step[], other: readonly Step[]): Step[] {
  const otherAt = one.length + 2;
  return [
    { kind: 'split', ways: [1, otherAt] },
    ...moved(one, 1),
    { kind: 'split', ways: [otherAt + other.length] },
    ...moved(other, otherAt),
  ];
}

function optional(steps: readonly Step[]): Step[] {
  return [{ kind: 'split', ways: [1, steps.length + 1] }, ...moved(steps, 1)];
}

function many(steps: readonly Step[]): Step[] {
  return [...steps, { kind: 'split', ways: [0, steps.length + 1] }];
}

/** BIRD's masks: AS numbers, ranges `64512..65534`, sets `[65001, 65010..65020]`, `?` any one AS, `*` any number of them, `+` after an item. */
function maskProgram(text: string): Program {
  const tokens = text.match(/\[[^\]]*\]|\d+\s*\.\.\s*\d+|\d+|[*?+]|\S/g) ?? [];
  let program: Step[] = [];
  let last: Step[] = [];
  for (const token of tokens) {
    if (token === '+') {
      if (last.length === 0) throw new PatternError('"+" without anything before it');
      program = joined(program, optional(many(last)));
      continue;
    }
    const any: Step = { kind: 'take', test: () => true };
    if (token === '*') last = optional(many([any]));
    else if (token === '?') last = [any];
    else last = [{ kind: 'take', test: numberTest(token) }];
    program = joined(program, last);
  }
  return program;
}

function numberTest(token: string): (as: number) => boolean {
  const parts = token.startsWith('[') ? token.slice(1, -1).split(',') : [token];
  const ranges = parts.map((part) => {
    const range = /^\s*(\d+)\s*(?:\.\.\s*(\d+)\s*)?$/.exec(part);
    if (range === null) throw new PatternError(`"${part.trim()}" is no AS number, range, "*", "?" or "+"`);
    return [Number(range[1]), Number(range[2] ?? range[1])] as const;
  });
  return (as) => ranges.some(([from, to]) => as >= from && as <= to);
}

/** Masks see the numbers; a set counts as its members in the order given. */
function listMatcher(program: Program): AsPathMatcher {
  return (path) => run(program, (path.match(/\d+/g) ?? []).map(Number), false);
}
