/** Asks the nodes of a lab what they see: kernels by `ip`, FRR by vtysh, BIRD by birdc. */
import type { Engine } from './engine.ts';
import {
  parseBirdRoutes,
  parseBirdSessions,
  parseFrrRoutes,
  parseFrrSessions,
  parseIpRoutes,
  type SeenSession,
} from './parse-tables.ts';
import { LabError, said } from './process.ts';
import type { SeenRoute } from './routes.ts';
import type { Role } from './topology.ts';

/** The number that Ocicat marks its routes with. */
const ROUTE_PROTOCOL = '171';

/** The routes that the agent has put into a host's kernel, both families. */
export async function kernelRoutes(engine: Engine, node: string): Promise<SeenRoute[]> {
  const both = await Promise.all(
    ['-4', '-6'].map((family) =>
      ask(engine, node, ['ip', family, '-j', 'route', 'show', 'proto', ROUTE_PROTOCOL]),
    ),
  );
  return both.flatMap(parseIpRoutes);
}

/** The best routes that a router has learnt by BGP, both families. */
export async function bgpRoutes(engine: Engine, node: string): Promise<SeenRoute[]> {
  if (roleOf(engine, node) === 'bird') {
    const command = ['birdc', '-r', 'show route primary all where source = RTS_BGP'];
    return parseBirdRoutes(await ask(engine, node, command));
  }
  const both = await Promise.all(
    ['ipv4', 'ipv6'].map((family) => ask(engine, node, ['vtysh', '-c', `show bgp ${family} unicast json`])),
  );
  return both.flatMap(parseFrrRoutes);
}

/** The BGP sessions of a router. */
export async function bgpSessions(engine: Engine, node: string): Promise<SeenSession[]> {
  if (roleOf(engine, node) === 'bird') {
    return parseBirdSessions(await ask(engine, node, ['birdc', '-r', 'show protocols all']));
  }
  return parseFrrSessions(await ask(engine, node, ['vtysh', '-c', 'show bgp summary json']));
}

/** What runs in a node. */
export function roleOf(engine: Engine, node: string): Role {
  const role = engine.topology.nodes.find((candidate) => candidate.name === node)?.role;
  if (role === undefined) throw new LabError(`there is no node "${node}" in this lab`);
  return role;
}

async function ask(engine: Engine, node: string, command: readonly string[]): Promise<string> {
  const finished = await engine.run(node, command, 10_000);
  if (finished.status !== 0) throw new ObservationError(`${node}: ${command.join(' ')}: ${said(finished)}`);
  return finished.stdout;
}

/** A node could not be asked; it may be starting. */
export class ObservationError extends Error {
  override readonly name = 'ObservationError';
}
