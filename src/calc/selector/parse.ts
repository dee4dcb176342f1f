/** Reads a selector: `||` binds least, then `&&`, then `!`; parentheses group. The empty selector is `all()`. */
import { makeSelector, type Selector, type SelectorNode, sortedValues } from './ast.ts';
import { type Token, tokenize } from './tokens.ts';

export type SelectorResult =
  | { readonly ok: true; readonly selector: Selector }
  /** `error` is a sentence that ends in the place, `(at character 5)`, counted from 1 */
  | { readonly ok: false; readonly error: string };

/** Parentheses may nest this deep; it bounds the stack. */
const MAX_DEPTH = 1000;

/** Reads a selector expression. Never throws. */
export function parseSelector(text: string): SelectorResult {
  const tokens = tokenize(text);
  if (!tokens.ok) return failure(tokens.error, tokens.at);
  if (tokens.tokens.length === 1) return { ok: true, selector: makeSelector({ op: 'all' }) };
  const parser = new Parser(tokens.tokens);
  const root = parser.or(0);
  if ('error' in root) return failure(root.error, root.at);
  const rest = parser.peek();
  if (rest.kind !== 'end')
    return failure(`unexpected ${describe(rest)} after the end of the selector`, rest.at);
  return { ok: true, selector: makeSelector(root) };
}

function failure(error: string, at: number): SelectorResult {
  return { ok: false, error: `${error} (at character ${at + 1})` };
}

interface Failure {
  readonly error: string;
  readonly at: number;
}

function describe(token: Token): string {
  if (token.kind === 'end') return 'end of the selector';
  if (token.kind === 'label') return `label "${token.value}"`;
  if (token.kind === 'string') return `string "${token.value}"`;
  return token.kind === 'has' ? `has(${token.value})` : `"${token.kind}"`;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** The token that comes next; `end` stays the last for ever. */
  peek(): Token {
    return this.#tokens[this.#next] ?? { kind: 'end', value: '', at: 0 };
  }

  #take(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#next++;
    return token;
  }

  or(depth: number): SelectorNode | Failure {
    return this.#chain('||', 'or', () => this.#chain('&&', 'and', () => this.#operation(depth)));
  }

  #chain(
    separator: '||' | '&&',
    op: 'or' | 'and',
    operand: () => SelectorNode | Failure,
  ): SelectorNode | Failure {
    const operands: SelectorNode[] = [];
    for (;;) {
      const node = operand();
      if ('error' in node) return node;
      operands.push(node);
      if (this.peek().kind !== separator) break;
      this.#take();
    }
    const [only] = operands;
    return operands.length === 1 && only !== undefined ? only : { op, operands };
  }

  #operation(depth: number): SelectorNode | Failure {
    let negated = false;
    while (this.peek().kind === '!') {
      this.#take();
      negated = !negated;
    }
    const node = this.#term(depth);
    return negated && !('error' in node) ? { op: 'not', operand: node } : node;
  }

  #term(depth: number): SelectorNode | Failure {
    const token = this.#take();
    switch (token.kind) {
      case 'has':
        return { op: 'has', key: token.value };
      case 'all()':
        return { op: 'all' };
      case 'global()':
        return { op: 'global' };
      case 'label':
        return this.#comparison(token);
      case '(': {
        if (depth >= MAX_DEPTH) return { error: `more than ${MAX_DEPTH} nested parentheses`, at: token.at };
        const inner = this.or(depth + 1);
        if ('error' in inner) return inner;
        const close = this.#take();
        if (close.kind === ')') return inner;
        return { error: `expected ) before ${describe(close)}`, at: close.at };
      }
      default:
        return { error: `expected a condition, found ${describe(token)}`, at: token.at };
    }
  }

  #comparison(label: Token): SelectorNode | Failure {
    const operator = this.#take();
    const key = label.value;
    switch (operator.kind) {
      case '==':
      case '!=':
      case 'contains':
      case 'starts with':
      case 'ends with': {
        const value = this.#take();
        if (value.kind === 'string') return { op: operator.kind, key, value: value.value };
        return {
          error: `expected a quoted string after ${operator.kind}, found ${describe(value)}`,
          at: value.at,
        };
      }
      case 'in':
      case 'not in': {
        const values = this.#set(operator.kind);
        return 'error' in values ? values : { op: operator.kind, key, values: sortedValues(values) };
      }
      default:
        return {
          error: `expected an operator after label "${key}", found ${describe(operator)}`,
          at: operator.at,
        };
    }
  }

  #set(operator: string): readonly string[] | Failure {
    const open = this.#take();
    if (open.kind !== '{') {
      return {
        error: `expected a set like {"a", "b"} after ${operator}, found ${describe(open)}`,
        at: open.at,
      };
    }
    const values: string[] = [];
    while (this.peek().kind === 'string') {
      values.push(this.#take().value);
      if (this.peek().kind !== ',') break;
      this.#take();
    }
    const close = this.#take();
    if (close.kind === '}') return values;
    return { error: `expected }, found ${describe(close)}`, at: close.at };
  }
}
