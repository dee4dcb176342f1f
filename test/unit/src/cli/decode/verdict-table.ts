/** Verdicts in one line of text each, and the `--jsonl` lines that they answer: what the tables of expected verdicts are made of. */
import assert from 'node:assert/strict';
import { answerDecodeLine } from '../../../../../src/cli/bgp-decode.ts';

/** `ctx` of an input line. */
export type LineContext = Readonly<Record<string, unknown>>;

const WORDS: Readonly<Record<string, string>> = {
  valid: 'valid',
  'attr-discard': 'discard',
  'treat-as-withdraw': 'withdraw',
  'session-reset': 'reset',
  close: 'close',
};

interface Route {
  readonly prefix: string;
  readonly pathId?: number;
  readonly nextHop?: string;
}

/**
 * The answer to one line: `valid +203.0.113.0/24@192.0.2.1 -198.51.100.0/24`, `reset 3/2 406300`; announced routes with `+`, withdrawn ones
 * with `-`, path identifiers after `#`, a NOTIFICATION's data after its numbers.
 */
export function outcome(hex: string, ctx: LineContext = {}): string {
  const line = JSON.stringify({ id: 'case', hex: hex.replace(/\s+/g, ''), ctx });
  const answer: Record<string, unknown> = JSON.parse(JSON.stringify(answerDecodeLine(line)));
  assert.equal(answer['inputError'], undefined);
  assert.equal(answer['id'], 'case');
  const { verdict, error, decoded } = answer;
  const words = [WORDS[String(verdict)] ?? `unknown verdict ${String(verdict)}`];
  if (isRecord(error)) {
    words.push(`${String(error['code'])}/${String(error['subcode'])}`);
    if (error['data'] !== '') words.push(String(error['data']));
  }
  if (isRecord(decoded)) {
    for (const [list, sign] of [
      ['announced', '+'],
      ['withdrawn', '-'],
    ] as const) {
      const routes: readonly Route[] = Array.isArray(decoded[list]) ? decoded[list] : [];
      for (const { prefix, pathId, nextHop } of routes) {
        words.push(
          `${sign}${prefix}${pathId === undefined ? '' : `#${pathId}`}${nextHop === undefined ? '' : `@${nextHop}`}`,
        );
      }
    }
  }
  return words.join(' ');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** What is looked at, the message, the verdict; context where it is not the default one. */
export type Row = readonly [name: string, hex: string, expected: string, ctx?: LineContext];

/** One test for each row; two rows of a table never are the same. */
export function tableOf(rows: readonly Row[]): void {
  const known = new Set<string>();
  for (const [name, hex, expected, ctx] of rows) {
    it(name, () => {
      const key = JSON.stringify([hex.replace(/\s+/g, ''), ctx]);
      assert.ok(!known.has(key), 'a case of its own');
      known.add(key);
      assert.equal(outcome(hex, ctx), expected.replace(/\s+/g, ' '));
    });
  }
}
