/** `ocicat bgp routes`: the Loc-RIB and what peers sent or are sent, by prefix, AS path, community and state. */
import type { Command } from 'commander';
import type { PathRow } from '../../api/views.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { type OutputForm, outputOption } from '../output/emit.ts';
import { byPrefix, counted } from '../output/order.ts';
import { showList } from '../output/rows.ts';
import type { Column } from '../output/table.ts';
import { renderPaths } from './bgp-paths.ts';

interface RoutesOptions {
  readonly received?: string;
  readonly accepted?: string;
  readonly filtered?: string;
  readonly advertised?: string;
  readonly peer?: string;
  readonly longest?: boolean;
  readonly covering?: boolean;
  readonly covered?: boolean;
  readonly asPath: readonly string[];
  readonly community: readonly string[];
  readonly state: readonly string[];
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly output: OutputForm;
}

export function registerRoutesOf(bgp: Command, context: CommandContext): void {
  bgp
    .command('routes')
    .description('the Loc-RIB, or what one peer sent or is sent')
    .argument('[prefix]', 'a prefix, or an address for its longest match')
    .option('--longest', 'the longest match of the prefix')
    .option('--covering', 'prefixes that hold the prefix or address')
    .option('--covered', 'prefixes inside the prefix, itself included')
    .option(
      '--as-path <pattern>',
      "a regular expression such as _65001$, or a mask such as '[= 65001 * =]'",
      collect,
      [],
    )
    .option(
      '--community <community>',
      'such as 65001:100, 65001:*, no-export, 65001:1:2, rt:65001:100, soo:192.0.2.1:7 or bandwidth:65001:*',
      collect,
      [],
    )
    .option('--state <state>', 'best, multipath, valid, invalid or stale', collect, [])
    .option('--peer <peer>', 'paths of this peer in the Loc-RIB')
    .option('--received <peer>', 'what the peer sent, before policy')
    .option('--accepted <peer>', 'what policy let pass of it, as policy left it')
    .option('--filtered <peer>', 'what is kept out of it, and by what')
    .option('--advertised <peer>', 'what the peer is sent')
    .option('--ipv4', 'IPv4 only')
    .option('--ipv6', 'IPv6 only')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\n--as-path, --community and --state may be given more than once: all must hold.' +
        '\nIn a regular expression "_" is a space, brace, bracket, or either end of the path; braces stand for themselves.' +
        '\nExit code: 1 when nothing matches.',
    )
    .action((prefix: string | undefined, options: RoutesOptions) => showRoutes(context, prefix, options));
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function queryOf(prefix: string | undefined, options: RoutesOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (prefix !== undefined) query.set('prefix', prefix);
  const matches = (['longest', 'covering', 'covered'] as const).filter((match) => options[match] === true);
  const [match] = matches;
  if (matches.length > 1)
    throw new CommandFailure('choose one of --longest, --covering and --covered', EXIT.usage);
  if (match !== undefined) query.set('match', match);
  for (const name of ['peer', 'received', 'accepted', 'filtered', 'advertised'] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, value);
  }
  for (const pattern of options.asPath) query.append('as-path', pattern);
  for (const community of options.community) query.append('community', community);
  for (const state of options.state) query.append('state', state);
  if (options.ipv4 === true && options.ipv6 !== true) query.set('family', 'ipv4');
  if (options.ipv6 === true && options.ipv4 !== true) query.set('family', 'ipv6');
  return query;
}

async function showRoutes(
  context: CommandContext,
  prefix: string | undefined,
  options: RoutesOptions,
): Promise<void> {
  const path = `/v1/bgp/routes?${queryOf(prefix, options)}`;
  const { terminal } = context;
  const isOnePrefix = prefix !== undefined && options.covered !== true && options.covering !== true;
  if (isOnePrefix && (options.output === 'table' || options.output === 'wide')) {
    const rows: PathRow[] = [];
    for await (const row of context.client().rows<PathRow>(path)) rows.push(row);
    if (rows.length === 0) throw new CommandFailure(`no route for ${prefix}`, EXIT.failure);
    terminal.out(renderPaths(rows, terminal));
    return;
  }
  await showList<PathRow>(context, context.client(), {
    path,
    form: options.output,
    columns: routeColumns,
    nothing: prefix === undefined ? 'no routes' : `no route for ${prefix}`,
    legend:
      'Status: * valid, > best, = multipath, S stale, x not usable.  Origin: i IGP, e EGP, ? incomplete.\n',
    summary: (count) => counted(count, 'path'),
    compare: byPrefix,
  });
}

function routeColumns(wide: boolean): Column<PathRow>[] {
  const columns: Column<PathRow>[] = [
    {
      title: '   ',
      cell: (row) => ({ text: statusCodes(row), tone: row.best ? 'good' : row.valid ? 'plain' : 'dim' }),
    },
    { title: 'Network', cell: (row) => row.prefix },
    { title: 'Next Hop', cell: (row) => row.nextHop ?? (row.from === 'local' ? 'self' : '-') },
    { title: 'Metric', align: 'right', cell: (row) => (row.med === undefined ? '' : String(row.med)) },
    {
      title: 'LocPrf',
      align: 'right',
      cell: (row) => (row.localPref === undefined ? '' : String(row.localPref)),
    },
    {
      title: 'Path',
      cell: (row) => `${row.asPath} ${{ igp: 'i', egp: 'e', incomplete: '?' }[row.origin]}`.trim(),
    },
    { title: 'From', cell: (row) => row.from },
    { title: 'Reason', cell: (row) => row.unusable ?? row.reason ?? '' },
  ];
  if (!wide) return columns;
  return [
    ...columns,
    {
      title: 'Communities',
      cell: (row) => [...row.communities, ...row.largeCommunities, ...row.extendedCommunities].join(' '),
    },
    { title: 'Policy note', cell: (row) => row.policyNote ?? '' },
  ];
}

/** FRR's status columns: `*>` best, `*=` multipath, `S` stale, `x` not usable. */
export function statusCodes(row: PathRow): string {
  const stale = row.stale ? 'S' : '';
  if (!row.valid) return `${stale}x`;
  return `${stale}*${row.best ? '>' : row.multipath ? '=' : ''}`;
}
