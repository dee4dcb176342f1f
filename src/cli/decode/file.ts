/** `ocicat bgp decode` of a packet capture or an MRT file: every message with the verdict on it. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { CaptureError } from '../../../bgp/capture/capture-error.ts';
import type { CapturedMessage, CaptureItem } from '../../../bgp/capture/messages.ts';
import { formatEndpoint } from '../../../bgp/capture/mrt.ts';
import { captureFormat, type ReadOptions, readCapture } from '../../../bgp/capture/read.ts';
import { type MessageVerdict, verdictOf } from '../../../bgp/wire/verdict.ts';
import type { VerdictView } from '../../api/views.ts';
import { renderVerdict } from '../bgp-decode.ts';
import { CommandFailure, EXIT } from '../context.ts';
import type { OutputForm, Terminal } from '../output/emit.ts';
import { paint } from '../output/table.ts';

/** A compressed file may not become larger than this. */
const UNPACKED_OCTETS_MAX = 2 ** 31 - 1;
/** Output is written in pieces of about this many characters. */
const CHUNK = 1 << 16;
/** Messages that are written before the reader's pace is looked at. */
const MESSAGES_AHEAD = 256;

/** How messages are written: `lines` one line of JSON each, `brief` one line of text each. */
export type FileForm = OutputForm | 'lines' | 'brief';

/** A message of a file as JSON. */
export type FileAnswer = {
  /** number within the file, from 1 */
  readonly id: number;
  /** epoch milliseconds; absent when not recorded */
  readonly at?: number;
  readonly from?: string;
  readonly to?: string;
  readonly octets: number;
  /** the message is made of an entry of a table */
  readonly made?: string;
} & MessageVerdict;

/** Reads a file. Throws a CommandFailure (exit code 2) when that fails. */
export function readBinary(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(`${path} cannot be read: ${message}`, EXIT.usage);
  }
}

/** The file without its compression. Throws a CommandFailure for what cannot be undone here. */
export function unpacked(file: Uint8Array, name: string): Uint8Array {
  const format = captureFormat(file);
  if (format === 'bzip2' || format === 'xz' || format === 'zstd') {
    const program = { bzip2: 'bunzip2', xz: 'unxz', zstd: 'unzstd' }[format];
    throw new CommandFailure(
      `${name} is compressed with ${format}, which is not read`,
      EXIT.usage,
      `Unpack it first: ${program} < ${name} | ocicat bgp decode --file -`,
    );
  }
  if (format !== 'gzip') return file;
  try {
    return gunzipSync(file, { maxOutputLength: UNPACKED_OCTETS_MAX });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(`${name} cannot be unpacked: ${message}`, EXIT.usage);
  }
}

/**
 * Writes every message of an unpacked capture or dump. What is damaged ends it with a CommandFailure (exit code 1) after everything that stands
 * before the damage, and so does a file without a message.
 */
export async function runDecodeFile(
  terminal: Terminal,
  file: Uint8Array,
  name: string,
  form: FileForm,
  options: ReadOptions,
): Promise<void> {
  const writer = makeWriter(terminal, form);
  let count = 0;
  try {
    for (const item of readCapture(file, options)) {
      if (item.kind === 'note') writer.note(item);
      else writer.message(item, answerOf(item, ++count));
      if (count % MESSAGES_AHEAD === 0) await terminal.drained?.();
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    await writer.end();
    throw new CommandFailure(`${name}: ${error.message}`, EXIT.failure);
  }
  await writer.end();
  if (count === 0) {
    throw new CommandFailure(
      `${name} holds no BGP message`,
      EXIT.failure,
      'BGP on another port? See --port.',
    );
  }
}

function answerOf(item: CapturedMessage, id: number): FileAnswer {
  const { at, from, to, message, made } = item;
  return {
    id,
    ...(at !== 0 && { at }),
    ...(from && { from: formatEndpoint(from) }),
    ...(to && { to: formatEndpoint(to) }),
    octets: message.length,
    ...(made && { made }),
    ...verdictOf(message, item.context),
  };
}

interface Writer {
  message(item: CapturedMessage, answer: FileAnswer): void;
  note(item: Extract<CaptureItem, { kind: 'note' }>): void;
  end(): Promise<void>;
}

function makeWriter(terminal: Terminal, form: FileForm): Writer {
  let pending = '';
  const put = (text: string): void => {
    pending += text;
    if (pending.length < CHUNK) return;
    terminal.out(pending);
    pending = '';
  };
  const flush = (): void => {
    if (pending !== '') terminal.out(pending);
    pending = '';
  };
  // What is no message goes where it does not disturb programs.
  const aside = (item: CaptureItem & { kind: 'note' }): void =>
    terminal.err(`${placeOf(item)}${item.text}\n`);
  if (form === 'lines') {
    return {
      message: (_, answer) => put(`${JSON.stringify(answer)}\n`),
      note: aside,
      end: async () => flush(),
    };
  }
  if (form === 'json') {
    let first = true;
    return {
      message: (_, answer) => {
        put(`${first ? '[' : ','}\n  ${JSON.stringify(answer)}`);
        first = false;
      },
      note: aside,
      end: async () => {
        put(first ? '[]\n' : '\n]\n');
        flush();
      },
    };
  }
  if (form === 'yaml') {
    const answers: FileAnswer[] = [];
    return {
      message: (_, answer) => void answers.push(answer),
      note: aside,
      end: async () => {
        const { stringify } = await import('yaml');
        terminal.out(stringify(answers));
      },
    };
  }
  return {
    message: (item, answer) => put(renderMessage(item, answer, form === 'brief', terminal.colour)),
    note: (item) => put(`${placeOf(item)}${paint(item.text, 'dim', terminal.colour)}\n`),
    end: async () => flush(),
  };
}

const TONES = {
  valid: 'good',
  'attr-discard': 'warn',
  'treat-as-withdraw': 'bad',
  'session-reset': 'bad',
  close: 'warn',
} as const;

/** One message for people: a line with time, ends, type and verdict, and below it, unless `brief`, what it says. */
export function renderMessage(
  item: Pick<CapturedMessage, 'at' | 'from' | 'to' | 'message'>,
  verdict: VerdictView,
  brief: boolean,
  colour: boolean,
): string {
  const type = (verdict.type ?? 'unknown').toUpperCase();
  const head = `${placeOf(item)}${type}, ${item.message.length} octets: ${paint(verdict.verdict, TONES[verdict.verdict], colour)}, ${verdict.why}\n`;
  if (brief) return head;
  const fields = renderVerdict(verdict, item.message.length).split('\n').slice(3, -1);
  return head + fields.map((line) => `  ${line}\n`).join('');
}

/** `2026-01-01T00:00:00.000001Z 192.0.2.1:179 > 192.0.2.2:40000 `, as much as is known. */
function placeOf({ at, from, to }: Pick<CapturedMessage, 'at' | 'from' | 'to'>): string {
  const time = at === 0 ? '' : `${formatTime(at)} `;
  if (from === undefined) return time;
  return `${time}${formatEndpoint(from)}${to === undefined ? '' : ` > ${formatEndpoint(to)}`} `;
}

function formatTime(at: number): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const microseconds = Math.round((at - Math.floor(at)) * 1000) % 1000;
  return date.toISOString().replace('Z', `${String(microseconds).padStart(3, '0')}Z`);
}
