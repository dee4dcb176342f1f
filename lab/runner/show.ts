/** The tables that a person wants to see of a lab: sessions, routes and endpoints as each node itself tells them, and who reaches whom. */
import { FAMILIES } from '../../src/net/address.ts';
import type { PhaseResult } from './check.ts';
import type { Engine } from './engine.ts';
import { bgpRoutes, bgpSessions } from './observe.ts';
import { said } from './process.ts';
import { reachMatrix } from './reach.ts';
import { formatTable } from './table.ts';

/** What the hosts are asked: their own command line shows it. */
const HOST_COMMANDS = [
  ['ocicat', 'bgp', 'peers'],
  ['ocicat', 'routes'],
  ['ocicat', 'endpoints'],
];

export type Print = (text: string) => void;

/** Prints every node's view. A node that cannot be asked gets a line that says why. */
export async function showLab(engine: Engine, print: Print, title: (text: string) => string): Promise<void> {
  for (const { name, role } of engine.topology.nodes) {
    if (role === 'host') {
      for (const command of HOST_COMMANDS) {
        print(`\n${title(`${name}: ${command.join(' ')}`)}`);
        const finished = await engine.run(name, command, 15_000);
        print(finished.status === 0 ? finished.stdout.trimEnd() : said(finished));
      }
      continue;
    }
    const program = role === 'frr' ? 'FRR, by vtysh' : 'BIRD, by birdc';
    print(`\n${title(`${name}: BGP sessions (${program})`)}`);
    print(await routerSessions(engine, name).catch(reason));
    print(`\n${title(`${name}: best BGP routes (${program})`)}`);
    print(await routerRoutes(engine, name).catch(reason));
  }
}

async function routerSessions(engine: Engine, node: string): Promise<string> {
  const rows = (await bgpSessions(engine, node)).map((session) => [
    session.neighbor,
    String(session.as),
    session.state,
    String(session.received ?? '-'),
    String(session.sent ?? '-'),
  ]);
  return formatTable([['NEIGHBOR', 'AS', 'STATE', 'RECEIVED', 'SENT'], ...rows]);
}

async function routerRoutes(engine: Engine, node: string): Promise<string> {
  const rows = (await bgpRoutes(engine, node)).map((route) => [
    route.prefix,
    route.hops.map((hop) => hop.via ?? '-').join(', '),
    (route.asPath ?? []).join(' '),
  ]);
  return formatTable([['PREFIX', 'NEXT HOP', 'AS PATH'], ...rows]);
}

/** Prints who reached whom in a phase, one matrix a family. */
export function showReach(result: PhaseResult, print: Print, title: (text: string) => string): void {
  if (result.reach === undefined) return;
  const { expected, results } = result.reach;
  print(`\n${title(`who reaches whom: ${result.title}`)}`);
  print('ping: ICMP echo; a number: TCP connect to that port; "!": not as the checks file says');
  for (const family of FAMILIES) print(`\n${formatTable(reachMatrix(family, expected, results))}`);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
