/** What iptables-restore says when it refuses its input. */
import { oneLine } from './backend.ts';
import type { RestoreLine } from './delta.ts';
import type { RestoreOutcome } from './restore-conversation.ts';

/** Why a restore changed nothing. */
export type RestoreFailure =
  /** someone else holds the lock or changed the rules at the same moment: try again */
  | { readonly kind: 'busy'; readonly reason: string }
  /** one line was refused */
  | { readonly kind: 'line'; readonly line: RestoreLine; readonly reason: string }
  | { readonly kind: 'other'; readonly reason: string };

/** iptables' exit status RESOURCE_PROBLEM */
const RESOURCE_PROBLEM = 4;
const BUSY = /holding the xtables lock|temporarily unavailable|ERESTART/;
const LINE = /line(?: |: )(\d+)/;

/** Which line of the input an outcome complains of, from 1; undefined when it names none. */
export function failedLineNumber({ stderr, linesBefore }: RestoreOutcome): number | undefined {
  const number = LINE.exec(oneLine(stderr))?.[1];
  return number === undefined ? undefined : Number(number) - linesBefore;
}

/** Reads a failed outcome. `input` are the lines after the first (`*TABLE`). */
export function restoreFailure(outcome: RestoreOutcome, input: readonly RestoreLine[]): RestoreFailure {
  const message = oneLine(
    outcome.stderr.replace(/Try `[^\n]*/g, '') || outcome.stdout || `status ${outcome.status}`,
  );
  if (outcome.status === RESOURCE_PROBLEM || BUSY.test(message)) return { kind: 'busy', reason: message };
  const number = failedLineNumber(outcome);
  const line = number === undefined ? undefined : input[number - 2];
  if (line === undefined) return { kind: 'other', reason: message };
  return { kind: 'line', line, reason: `${message}: ${line.text}` };
}
