/** Whether the kernel looks into our table at all: the main one it does by itself, others by rules that are the operator's. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { NetlinkError } from '../netlink/error-message.ts';
import { AF_INET, AF_INET6 } from '../netlink/registry.ts';
import { decodeRuleTable, writeRuleDump } from '../netlink/rule-message.ts';
import { routeCounts } from './inspect.ts';
import type { RouteTable } from './route-table.ts';

/** Families in which we have routes, in a table to which no rule leads. Asks the kernel each time. */
export function familiesWithoutRule(routes: RouteTable): Family[] {
  const { socket, table } = routes.kernel;
  return FAMILIES.filter((family) => {
    const af = family === 'ipv4' ? AF_INET : AF_INET6;
    try {
      const tables = socket.dumpList(
        'read the routing rules',
        (writer) => writeRuleDump(writer, af),
        decodeRuleTable,
      );
      return !tables.includes(table) && routeCounts(routes, family).desired > 0;
    } catch (error) {
      // A kernel without rules, or without the family, has the main table alone.
      if (!(error instanceof NetlinkError)) throw error;
      return false;
    }
  });
}
