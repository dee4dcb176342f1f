/**
 * Cuts a selector into tokens. Words mean different things by place (`in` after a label is an operator, elsewhere a label), so the
 * tokenizer looks at the token before. Blanks are space and tab only, as in Calico.
 */

/** Longest label key in a selector, in characters (all of them ASCII). */
export const MAX_LABEL_LENGTH = 512;

export type TokenKind =
  | 'label'
  | 'string'
  | 'has'
  | 'all()'
  | 'global()'
  | '=='
  | '!='
  | 'contains'
  | 'starts with'
  | 'ends with'
  | 'in'
  | 'not in'
  | '!'
  | '&&'
  | '||'
  | '('
  | ')'
  | '{'
  | '}'
  | ','
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** the label key, the text of a string, or nothing */
  readonly value: string;
  /** offset in the selector, 0.. */
  readonly at: number;
}

export type Tokens =
  | { readonly ok: true; readonly tokens: readonly Token[] }
  | { readonly ok: false; readonly error: string; readonly at: number };

const SINGLE: ReadonlySet<string> = new Set(['(', ')', '{', '}', ',']);
const BLANK = /[ \t]*/y;
const IDENTIFIER = /[A-Za-z0-9_./-]+/y;
const OPERATOR_WORDS: readonly { readonly kind: TokenKind; readonly pattern: RegExp }[] = [
  { kind: 'contains', pattern: /contains(?![A-Za-z0-9_./-])/y },
  { kind: 'starts with', pattern: /starts[ \t]*with[ \t]*(?![A-Za-z0-9_./ \t-])/y },
  { kind: 'ends with', pattern: /ends[ \t]*with[ \t]*(?![A-Za-z0-9_./ \t-])/y },
  { kind: 'not in', pattern: /not[ \t]*in[ \t]*(?![A-Za-z0-9_./ \t-])/y },
  { kind: 'in', pattern: /in(?![A-Za-z0-9_./-])/y },
];
const CALLS: readonly { readonly kind: TokenKind; readonly name: string }[] = [
  { kind: 'has', name: 'has(' },
  { kind: 'all()', name: 'all(' },
  { kind: 'global()', name: 'global(' },
];

/** Tokenizes a selector; the last token is always `end`. */
export function tokenize(text: string): Tokens {
  const tokens: Token[] = [];
  let at = skip(BLANK, text, 0);
  while (at < text.length) {
    const step = next(text, at, tokens.at(-1));
    if ('error' in step) return { ok: false, error: step.error, at: step.at };
    tokens.push({ kind: step.kind, value: step.value, at });
    at = skip(BLANK, text, step.end);
  }
  tokens.push({ kind: 'end', value: '', at });
  return { ok: true, tokens };
}

type Step =
  | { readonly kind: TokenKind; readonly value: string; readonly end: number }
  | { readonly error: string; readonly at: number };

function next(text: string, at: number, before: Token | undefined): Step {
  const first = text.charAt(at);
  if (isSingle(first)) return { kind: first, value: '', end: at + 1 };
  if (first === '"' || first === "'") {
    const end = text.indexOf(first, at + 1);
    if (end === -1) return { error: `unterminated string, expected a closing ${first}`, at };
    return { kind: 'string', value: text.slice(at + 1, end), end: end + 1 };
  }
  for (const pair of ['==', '&&', '||'] as const) {
    if (first !== pair[0]) continue;
    return text.startsWith(pair, at)
      ? { kind: pair, value: '', end: at + 2 }
      : { error: `expected ${pair}`, at };
  }
  if (first === '!') {
    return text.startsWith('!=', at)
      ? { kind: '!=', value: '', end: at + 2 }
      : { kind: '!', value: '', end: at + 1 };
  }
  if (before?.kind === 'label') return operatorWord(text, at, before.value);
  for (const call of CALLS) if (text.startsWith(call.name, at)) return callToken(text, at, call);
  return label(text, at);
}

function isSingle(character: string): character is '(' | ')' | '{' | '}' | ',' {
  return SINGLE.has(character);
}

function operatorWord(text: string, at: number, key: string): Step {
  for (const { kind, pattern } of OPERATOR_WORDS) {
    const end = skip(pattern, text, at);
    if (end > at) return { kind, value: '', end };
  }
  return { error: `expected an operator after label "${key}"`, at };
}

function callToken(text: string, at: number, call: { kind: TokenKind; name: string }): Step {
  let end = skip(BLANK, text, at + call.name.length);
  let value = '';
  if (call.kind === 'has') {
    const key = label(text, end);
    if ('error' in key) return key;
    value = key.value;
    end = skip(BLANK, text, key.end);
  }
  if (text.charAt(end) !== ')') return { error: `no closing ')' after ${call.name}`, at: end };
  return { kind: call.kind, value, end: end + 1 };
}

function label(text: string, at: number): Step {
  const end = skip(IDENTIFIER, text, at);
  if (end === at)
    return { error: `expected a label or operator, found ${JSON.stringify(text.charAt(at))}`, at };
  if (end - at > MAX_LABEL_LENGTH) {
    return { error: `label too long: ${end - at} characters, at most ${MAX_LABEL_LENGTH}`, at };
  }
  return { kind: 'label', value: text.slice(at, end), end };
}

/** The end of a sticky pattern's match at `at`, or `at` when it does not match. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
