/** Who reaches whom: the pairs that a checks file allows, the comparison with what was tried, and the matrix for people. Pure. */
import type { Family } from '../../src/net/address.ts';
import type { Reach } from './checks-file.ts';

/** ICMP echo, or a TCP connect to a port. */
export type Probe = 'ping' | number;

/**
 * How a try ended. `timeout`: no answer, as when policy drops. `unreachable`: no route, or an ICMP error. `refused`: a TCP
 * reset, so the packet got to a machine. `wrong`: somebody else answered.
 */
export type Outcome = 'pass' | 'timeout' | 'refused' | 'unreachable' | 'wrong';

export interface Attempt {
  readonly family: Family;
  readonly from: string;
  readonly to: string;
  readonly probe: Probe;
}

export interface AttemptResult extends Attempt {
  readonly outcome: Outcome;
}

/** Everything to try: every container to every other and to every target, in both families. */
export function attemptsFor(
  containers: readonly string[],
  targets: readonly string[],
  ports: readonly number[],
): Attempt[] {
  const result: Attempt[] = [];
  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const from of containers) {
      for (const to of [...containers, ...targets]) {
        if (from === to) continue;
        result.push({ family, from, to, probe: 'ping' });
        if (targets.includes(to)) continue;
        for (const port of ports) result.push({ family, from, to, probe: port });
      }
    }
  }
  return result;
}

/** Whether the checks say that this try gets through. */
export function isExpected(reach: Reach, attempt: Attempt): boolean {
  const fits = (names: 'all' | readonly string[], name: string) => names === 'all' || names.includes(name);
  const rules =
    attempt.probe === 'ping' ? reach.ping : reach.tcp.filter((rule) => rule.port === attempt.probe);
  return rules.some((rule) => fits(rule.from, attempt.from) && fits(rule.to, attempt.to));
}

/** Whether a result is what the checks say: what may not pass must vanish without an answer from the other side. */
export function isAsExpected(reach: Reach, result: AttemptResult): boolean {
  if (isExpected(reach, result)) return result.outcome === 'pass';
  return result.outcome === 'timeout' || result.outcome === 'unreachable';
}

/** One sentence for each result that is not as expected. */
export function compareReach(reach: Reach, results: readonly AttemptResult[]): string[] {
  return results
    .filter((result) => !isAsExpected(reach, result))
    .map((result) => {
      const what = result.probe === 'ping' ? 'ping' : `TCP port ${result.probe}`;
      const wanted = isExpected(reach, result) ? 'should pass' : 'should be dropped';
      return `${result.family} ${result.from} to ${result.to}, ${what}: ${wanted}, but the outcome was ${result.outcome}`;
    });
}

/** The matrix of one family: a row for each source, a column for each destination, in a cell what got through; `!` marks a surprise. */
export function reachMatrix(family: Family, reach: Reach, results: readonly AttemptResult[]): string[][] {
  const mine = results.filter((result) => result.family === family);
  const sources = [...new Set(mine.map((result) => result.from))];
  const destinations = [...new Set([...sources, ...mine.map((result) => result.to)])];
  const rows = sources.map((from) => [
    from,
    ...destinations.map((to) => {
      if (from === to) return '-';
      const cell = mine.filter((result) => result.from === from && result.to === to);
      const words = cell.flatMap((result) => {
        const surprise = isAsExpected(reach, result) ? '' : '!';
        if (result.outcome === 'pass') return [`${result.probe}${surprise}`];
        return surprise === '' ? [] : [`no-${result.probe}!`];
      });
      return words.length === 0 ? '.' : words.join(' ');
    }),
  ]);
  return [[`${family === 'ipv4' ? 'IPv4' : 'IPv6'} from / to`, ...destinations], ...rows];
}
