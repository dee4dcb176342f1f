/** What iptables-restore says when it refuses its input. */
import type { CommandOutcome } from '../command.ts';
import { oneLine } from './backend.ts';
import type { RestoreLine } from './delta.ts';

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

/** Reads a failed outcome. `input` are the lines after the first (`*TABLE`). */
export function restoreFailure(outcome: CommandOutcome, input: readonly RestoreLine[]): RestoreFailure {
  const message = oneLine(
    outcome.stderr.replace(/Try `[^\n]*/g, '') || outcome.stdout || `status ${outcome.status}`,
  );
  if (outcome.status === RESOURCE_PROBLEM || BUSY.test(message)) return { kind: 'busy', reason: message };
  const number = LINE.exec(message)?.[1];
  const line = number === undefined ? undefined : input[Number(number) - 2];
  if (line === undefined) return { kind: 'other', reason: message };
  return { kind: 'line', line, reason: `${message}: ${line.text}` };
}
