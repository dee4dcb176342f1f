/** `ocicat endpoints`, `ocicat endpoint add|delete` */
import { type Command, InvalidArgumentError } from 'commander';
import type { EndpointRequest, EndpointView } from '../../api/views.ts';
import type { WorkloadPort } from '../../model/workload-endpoint.ts';
import type { CommandContext } from '../context.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { type Column, renderTable } from '../output/table.ts';
import { parsePublish, publishedText } from '../publish.ts';

interface AddOptions {
  readonly netns: string;
  readonly label: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly ip: readonly string[];
  readonly interface?: string;
  readonly profile: readonly string[];
  readonly publish: readonly WorkloadPort[];
  readonly output: OutputForm;
}

export function registerEndpoints(program: Command, context: CommandContext): void {
  program
    .command('endpoints')
    .description('the containers that are attached to this host')
    .addOption(outputOption())
    .action((options: { output: OutputForm }) => list(context, options.output));
  const endpoint = program.command('endpoint').description('attach and detach network namespaces');
  endpoint
    .command('add')
    .description('attach a network namespace: link, addresses, routes, policy')
    .argument('<name>', 'name of the endpoint, unique in its namespace')
    .requiredOption('--netns <path>', 'the network namespace, such as /run/netns/c1 or /proc/PID/ns/net')
    .option(
      '--label <key=value>',
      'a label for selectors (repeatable); none: those it has stay',
      collectLabel,
      {},
    )
    .option('--namespace <name>', 'policy namespace', 'default')
    .option('--ip <address>', 'a fixed address inside a pool (one a family)', collect, [])
    .option('--interface <name>', 'name of the link inside the namespace', 'eth0')
    .option('--profile <name>', 'profile that holds where no policy decides (repeatable)', collect, [])
    .option(
      '--publish <mapping>',
      'a port of this host: [HOST_IP:]HOST_PORT:CONTAINER_PORT[/tcp|udp|sctp] (repeatable)',
      collectPort,
      [],
    )
    .addOption(outputOption())
    .action((name: string, options: AddOptions) => add(context, name, options));
  endpoint
    .command('delete')
    .description('detach: takes everything away, whatever is already gone')
    .argument('<name>')
    .option('--namespace <name>', 'policy namespace', 'default')
    .addOption(outputOption())
    .action(async (name: string, options: { namespace: string; output: OutputForm }) => {
      const path = `/v1/endpoints/${encodeURIComponent(options.namespace)}/${encodeURIComponent(name)}`;
      const answer = await context.client().call<{ existed: boolean; released: string[] }>('DELETE', path);
      await emit(context.terminal, options.output, answer, () =>
        answer.existed
          ? `endpoint ${options.namespace}/${name} detached, ${answer.released.join(', ') || 'no address'} released\n`
          : `endpoint ${options.namespace}/${name} was not there\n`,
      );
    });
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function collectPort(value: string, previous: readonly WorkloadPort[]): WorkloadPort[] {
  const port = parsePublish(value);
  if (typeof port === 'string') throw new InvalidArgumentError(`${port}.`);
  return [...previous, port];
}

function collectLabel(value: string, previous: Readonly<Record<string, string>>): Record<string, string> {
  const at = value.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('write a label as key=value.');
  return { ...previous, [value.slice(0, at)]: value.slice(at + 1) };
}

async function list(context: CommandContext, form: OutputForm): Promise<void> {
  const endpoints = await context.client().call<EndpointView[]>('GET', '/v1/endpoints');
  await emit(context.terminal, form, endpoints, (wide) =>
    endpoints.length === 0
      ? 'No endpoints: attach one with "ocicat endpoint add NAME --netns PATH".\n'
      : renderTable(columns(wide), endpoints, context.terminal.colour),
  );
}

function columns(wide: boolean): Column<EndpointView>[] {
  const labels = (row: EndpointView): string =>
    Object.entries(row.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
  const base: Column<EndpointView>[] = [
    { title: 'Namespace', cell: (row) => row.namespace },
    { title: 'Endpoint', cell: (row) => row.name },
    { title: 'Addresses', cell: (row) => row.addresses.join(', ') },
    { title: 'Interface', cell: (row) => row.interface },
    { title: 'Published', cell: (row) => row.published.map(publishedText).join(', ') },
    { title: 'State', cell: (row) => ({ text: row.state, tone: row.state === 'up' ? 'good' : 'bad' }) },
    { title: 'Labels', cell: labels },
    { title: 'Policies', cell: (row) => row.policies.join(', ') || row.profiles.join(', ') || '-' },
    { title: 'Info', cell: (row) => row.reason ?? '' },
  ];
  if (!wide) return base;
  return [
    ...base,
    { title: 'MAC', cell: (row) => row.mac },
    { title: 'MTU', align: 'right', cell: (row) => String(row.mtu) },
    { title: 'Netns', cell: (row) => row.netns },
    { title: 'Profiles', cell: (row) => row.profiles.join(', ') },
  ];
}

async function add(context: CommandContext, name: string, options: AddOptions): Promise<void> {
  const request: EndpointRequest = {
    name,
    netns: options.netns,
    ips: options.ip,
    ...(Object.keys(options.label).length === 0 ? {} : { labels: options.label }),
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    ...(options.interface === undefined ? {} : { interface: options.interface }),
    ...(options.profile.length === 0 ? {} : { profiles: options.profile }),
    ...(options.publish.length === 0 ? {} : { ports: options.publish }),
  };
  const view = await context.client().call<EndpointView>('POST', '/v1/endpoints', request);
  await emit(
    context.terminal,
    options.output,
    view,
    () =>
      `endpoint ${view.namespace}/${view.name} attached: ${view.addresses.join(', ')} on ${view.interface}\n`,
  );
}
