/** What is not as desired in the kernel, and how it is named to people. */
import type { SetFailure } from '../ipset/kernel-sets.ts';
import type { Table } from '../iptables/table.ts';

/** Something that is not as desired. */
export interface PolicyFailure {
  /** `policy ID`, `endpoint ID`, `set NAME`, `chain NAME (ipv4 filter)`, `table ipv6 raw`, `sets`, `connection tracking` */
  readonly subject: string;
  readonly reason: string;
}

/** A set's failure, or that of all of them. */
export function setFailure({ name, reason }: SetFailure): PolicyFailure {
  return { subject: name === undefined ? 'sets' : setSubject(name), reason };
}

/** The failures of a table's chains, or of the whole table. */
export function tableFailures(
  table: Table,
  failures: readonly { readonly chain: string | undefined; readonly reason: string }[],
): PolicyFailure[] {
  return failures.map(({ chain, reason }) => ({
    subject: chain === undefined ? `table ${table.family} ${table.name}` : chainSubject(table, chain),
    reason,
  }));
}

export function setSubject(name: string): string {
  return `set ${name}`;
}

export function chainSubject(table: Table, chain: string): string {
  return `chain ${chain} (${table.family} ${table.name})`;
}
