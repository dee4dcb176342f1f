/** Verdicts in one line of text each, and the `--jsonl` lines that they answer: what the tables of expected verdicts are made of. */
import assert from 'node:assert/strict';
import { answerDecodeLine } from '../../../../../src/cli/bgp-decode.ts';
import type { LineContext, Row } from '../../../bgp/wire/rows.ts';

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

/** The answer to one line, as `Row` has it. */
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

/** A group of tests for each table. */
export function tablesOf(tables: Readonly<Record<string, readonly Row[]>>): void {
  for (const [name, rows] of Object.entries(tables)) describe(name, () => tableOf(rows));
}
