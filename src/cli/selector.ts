/** The body of `ocicat selector --jsonl`: evaluates selectors against labels without an agent. */
import { matches } from '../calc/selector/evaluate.ts';
import { parseSelector } from '../calc/selector/parse.ts';
import { isMap } from '../model/schema.ts';

/** One answer. `id` is the line's own, whatever JSON value it is; null when the line had none. */
export type SelectorAnswer =
  | { readonly id: unknown; readonly match: boolean; readonly canonical: string }
  | { readonly id: unknown; readonly error: string };

/** Answers one line `{"id", "selector", "labels"}`. An absent selector is the empty one, absent labels are none. Never throws. */
export function answerLine(line: string): SelectorAnswer {
  let input: unknown;
  try {
    input = JSON.parse(line);
  } catch (error) {
    return { id: null, error: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!isMap(input)) return { id: null, error: 'expected an object {"id", "selector", "labels"}' };
  const id = input['id'] ?? null;
  const selector = input['selector'] ?? '';
  if (typeof selector !== 'string') return { id, error: 'selector: expected a text' };
  const labels = readLabels(input['labels'] ?? {});
  if ('error' in labels) return { id, error: labels.error };
  const parsed = parseSelector(selector);
  if (!parsed.ok) return { id, error: parsed.error };
  return {
    id,
    match: matches(parsed.selector.root, labels.map),
    canonical: parsed.selector.canonical,
  };
}

function readLabels(
  input: unknown,
): { readonly map: ReadonlyMap<string, string> } | { readonly error: string } {
  if (!isMap(input)) return { error: 'labels: expected a map of texts' };
  const map = new Map<string, string>();
  for (const [key, value] of Object.entries(input)) {
    if (typeof value !== 'string') return { error: `labels: ${JSON.stringify(key)} is not a text` };
    map.set(key, value);
  }
  return { map };
}

/**
 * Answers every line of a stream, in order, one JSON line each; blank lines are skipped, a bad line is answered by an error and the
 * rest goes on. Resolves with the number of answers. `out` gets complete lines and may return a promise to slow the reading down.
 */
export async function runSelectorLines(
  input: AsyncIterable<string | Uint8Array>,
  out: (text: string) => void | Promise<void>,
): Promise<number> {
  const decoder = new TextDecoder();
  let rest = '';
  let count = 0;
  const answer = async (lines: readonly string[]): Promise<void> => {
    const answers = lines
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.stringify(answerLine(line)));
    count += answers.length;
    if (answers.length > 0) await out(`${answers.join('\n')}\n`);
  };
  for await (const chunk of input) {
    const lines = (
      rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))
    ).split('\n');
    rest = lines.pop() ?? '';
    await answer(lines);
  }
  await answer([rest + decoder.decode()]);
  return count;
}
