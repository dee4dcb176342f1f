/** The body of `ocicat bgp decode`: what a BGP message is and what we would do about it, for people and line by line as JSON. */
import { z } from 'zod';
import {
  DEFAULT_VERDICT_CONTEXT,
  type MessageVerdict,
  type VerdictContext,
  verdictOf,
} from '../../bgp/wire/verdict.ts';
import type { VerdictView } from '../api/views.ts';
import { CommandFailure, EXIT } from './context.ts';
import { emit, type OutputForm, type Terminal } from './output/emit.ts';

const asNumber = z.int().min(0).max(0xffffffff);
const family = z.enum(['ipv4-unicast', 'ipv6-unicast']);

/** `ctx` of an input line; what is absent has the default, names that are not known are left alone. */
export const contextSchema = z.object({
  phase: z.enum(['opensent', 'openconfirm', 'established']).default('established'),
  peer: z.enum(['ebgp', 'ibgp']).default('ebgp'),
  localAs: asNumber.default(DEFAULT_VERDICT_CONTEXT.localAs),
  peerAs: asNumber.default(DEFAULT_VERDICT_CONTEXT.peerAs),
  as4: z.boolean().default(true),
  extmsg: z.boolean().default(false),
  addpath: z.array(family).default([]),
  families: z.array(family).default(['ipv4-unicast', 'ipv6-unicast']),
  extnh: z.boolean().default(false),
  /** RFC 4271 6.3, optional there */
  enforceFirstAs: z.boolean().default(false),
  /** RFC 9774 3 */
  rejectAsSets: z.boolean().default(false),
});

const lineSchema = z.object({ hex: z.string(), ctx: contextSchema.prefault({}) });

/** One answer. `id` is the line's own, whatever JSON value it is; null when the line had none. */
export type DecodeAnswer =
  | ({ readonly id: unknown } & MessageVerdict)
  | { readonly id: unknown; readonly inputError: string };

/** Answers one line `{"id", "hex", "ctx"}`. Never throws. */
export function answerDecodeLine(line: string): DecodeAnswer {
  let input: unknown;
  try {
    input = JSON.parse(line);
  } catch (error) {
    return { id: null, inputError: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  const id = typeof input === 'object' && input !== null && 'id' in input ? (input.id ?? null) : null;
  const parsed = lineSchema.safeParse(input);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? 'the line' : issue.path.join('.');
    return { id, inputError: `${where}: ${issue?.message ?? 'not valid'}` };
  }
  const message = parseHex(parsed.data.hex);
  if (message === undefined) return { id, inputError: 'hex: expected pairs of hexadecimal digits' };
  return { id, ...verdictOf(message, contextOf(parsed.data.ctx)) };
}

/** The context that a line, or the command line, describes. */
export function contextOf(ctx: z.infer<typeof contextSchema>): VerdictContext {
  const perFamily = (names: readonly string[]) => ({
    ipv4: names.includes('ipv4-unicast'),
    ipv6: names.includes('ipv6-unicast'),
  });
  return {
    phase: ctx.phase,
    peerKind: ctx.peer,
    localAs: ctx.localAs,
    peerAs: ctx.peerAs,
    as4: ctx.as4,
    extendedMessage: ctx.extmsg,
    addPathReceive: perFamily(ctx.addpath),
    families: perFamily(ctx.families),
    extendedNextHop: ctx.extnh,
    enforceFirstAs: ctx.enforceFirstAs,
    rejectAsSets: ctx.rejectAsSets,
  };
}

/** Octets from hexadecimal text; white space and colons between them and a leading 0x do not matter. Undefined when it is none, or empty. */
export function parseHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/[\s:]+/g, '').replace(/^0x/i, '');
  if (digits === '' || digits.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(digits)) return undefined;
  return Uint8Array.fromHex(digits);
}

/** Longest line that is taken: far above a message of 65535 octets in hexadecimal. */
const LINE_LIMIT = 1 << 20;

/**
 * Answers every line of a stream in order; blank lines are skipped. What has been read and not been answered is never more than a line of
 * `LINE_LIMIT` and a chunk; `out` holds the reading up while it is pending. Resolves with the number of answers.
 */
export async function runDecodeLines(
  input: AsyncIterable<string | Uint8Array>,
  out: (text: string) => void | Promise<void>,
): Promise<number> {
  let count = 0;
  for await (const lines of linesOf(input)) {
    const answers = lines
      .filter((line) => line === TOO_LONG || line.trim() !== '')
      .map((line) => JSON.stringify(line === TOO_LONG ? TOO_LONG_ANSWER : answerDecodeLine(line)));
    count += answers.length;
    if (answers.length > 0) await out(`${answers.join('\n')}\n`);
  }
  return count;
}

/** Stands for a line above `LINE_LIMIT`, whose text is not kept. */
const TOO_LONG = Symbol('too long');
const TOO_LONG_ANSWER: DecodeAnswer = {
  id: null,
  inputError: `the line is longer than ${LINE_LIMIT} characters`,
};

async function* linesOf(
  input: AsyncIterable<string | Uint8Array>,
): AsyncGenerator<(string | typeof TOO_LONG)[]> {
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let length = 0;
  const keep = (piece: string): void => {
    length += piece.length;
    if (length <= LINE_LIMIT) pieces.push(piece);
  };
  const take = (): string | typeof TOO_LONG => {
    const line = length > LINE_LIMIT ? TOO_LONG : pieces.join('');
    pieces = [];
    length = 0;
    return line;
  };
  for await (const chunk of input) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const parts = text.split('\n');
    const last = parts.pop() ?? '';
    const lines = parts.map((part) => {
      keep(part);
      return take();
    });
    keep(last);
    if (lines.length > 0) yield lines;
  }
  keep(decoder.decode());
  yield [take()];
}

/**
 * Runs the command: with `jsonl`, lines from `input`; else one message, from the words of the command line or, without any, from `input`, printed
 * for people. Throws `CommandFailure` (exit code 2) when that is no hexadecimal text.
 */
export async function runDecode(
  terminal: Terminal,
  hex: readonly string[],
  jsonl: boolean,
  input: AsyncIterable<string | Uint8Array> = process.stdin,
  context: VerdictContext = DEFAULT_VERDICT_CONTEXT,
  form: OutputForm = 'table',
): Promise<void> {
  if (jsonl) {
    await runDecodeLines(input, (text) => {
      terminal.out(text);
      return terminal.drained?.();
    });
    return;
  }
  const text = hex.length > 0 ? hex.join('') : await readAll(input);
  const message = parseHex(text);
  if (message === undefined)
    throw new CommandFailure(
      'expected one message in hexadecimal digits, or a packet capture or MRT file: give either, or its file, or standard input',
      EXIT.usage,
    );
  const verdict = verdictOf(message, context);
  await emit(terminal, form, verdict, () => renderVerdict(verdict, message.length));
}

async function readAll(input: AsyncIterable<string | Uint8Array>): Promise<string> {
  let text = '';
  for await (const lines of linesOf(input)) text += lines.filter((line) => line !== TOO_LONG).join('');
  return text;
}

/** A verdict for people: what it is, what is done about it, what it says. */
export function renderVerdict(verdict: VerdictView, octets: number): string {
  const lines = [
    `${(verdict.type ?? 'unknown').toUpperCase()}, ${octets} octets`,
    `verdict  ${verdict.verdict}`,
    `why      ${verdict.why}`,
  ];
  if (verdict.error !== null) {
    const { code, subcode, data } = verdict.error;
    lines.push(`sends    NOTIFICATION ${code}/${subcode}${data === '' ? '' : ` data ${data}`}`);
  }
  if (verdict.decoded !== null) lines.push(...renderFields(verdict.decoded, ''));
  return `${lines.join('\n')}\n`;
}

function renderFields(fields: object, indent: string): string[] {
  return Object.entries(fields).flatMap(([name, value]: [string, unknown]) => {
    if (Array.isArray(value)) {
      if (value.length === 0) return [];
      return [`${indent}${name}`, ...value.map((item: unknown) => `${indent}  ${renderValue(item)}`)];
    }
    if (typeof value === 'object' && value !== null) {
      const inner = renderFields(value, `${indent}  `);
      return inner.length === 0 ? [] : [`${indent}${name}`, ...inner];
    }
    return [`${indent}${name} ${String(value)}`];
  });
}

function renderValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if ('text' in value) return String(value.text);
  if ('type' in value && 'asNumbers' in value && Array.isArray(value.asNumbers)) {
    return `${String(value.type)} ${value.asNumbers.join(' ')}`;
  }
  return Object.entries(value)
    .map(
      ([name, item]: [string, unknown]) => `${name} ${Array.isArray(item) ? item.join(' ') : String(item)}`,
    )
    .join(', ');
}
