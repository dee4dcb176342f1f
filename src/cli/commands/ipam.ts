/** `ocicat ipam show|check|release|split|configure`: names and flags as calicoctl has them, `-o` as everywhere here. */
import { type Command, InvalidArgumentError } from 'commander';
import type {
  AddressView,
  ReleaseOrder,
  ReleaseView,
  SettingsView,
  SplitView,
} from '../../agent/ipam/views.ts';
import type { IpamSettings } from '../../ipam/configuration.ts';
import type { CheckReport } from '../../ipam/report.ts';
import type { BorrowedAddress, PoolUsage } from '../../ipam/utilization.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { renderTable } from '../output/table.ts';

interface ShowOptions {
  readonly ip?: string;
  readonly showBlocks?: boolean;
  readonly showBorrowed?: boolean;
  readonly showConfiguration?: boolean;
  readonly output: OutputForm;
}

interface CheckOptions {
  readonly showAllIps?: boolean;
  readonly showProblemIps?: boolean;
  readonly output: OutputForm;
}

interface ReleaseOptions {
  readonly ip: readonly string[];
  readonly fromReport: readonly string[];
  readonly force?: boolean;
  readonly output: OutputForm;
}

interface ConfigureOptions {
  readonly strictaffinity?: boolean;
  readonly autoAllocateBlocks?: boolean;
  readonly maxBlocksPerHost?: number;
  readonly ipCooldownSeconds?: number;
  readonly output: OutputForm;
}

export function registerIpam(program: Command, context: CommandContext): void {
  const ipam = program.command('ipam').description('addresses: who has which, what is left over, settings');
  ipam
    .command('show')
    .description('how full the pools are, or who has an address')
    .option('--ip <address>', 'who has this address')
    .option('--show-blocks', 'the blocks of each pool too')
    .option('--show-borrowed', "addresses that hosts use out of other hosts' blocks")
    .option('--show-configuration', 'the settings for all hosts')
    .addOption(outputOption())
    .action((options: ShowOptions) => show(context, options));
  ipam
    .command('check')
    .description('check every record: leaked addresses, broken invariants')
    .option('--show-all-ips', 'list every allocation')
    .option('--show-problem-ips', 'list every address with a problem')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExit code: 0 when all is well, 1 with problems. Keep the report for "ipam release": ocicat ipam check -o json > report.json',
    )
    .action((options: CheckOptions) => check(context, options));
  ipam
    .command('release')
    .description('give addresses back whose containers are gone')
    .option('--ip <address>', 'this address (repeatable)', collect, [])
    .option(
      '--from-report <file>',
      'what "ipam check -o json" found leaked; of several, what all of them say',
      collect,
      [],
    )
    .option('--force', 'also what is in use, and from old reports')
    .addOption(outputOption())
    .action((options: ReleaseOptions) => release(context, options));
  ipam
    .command('split')
    .description('cut a pool into equal smaller ones; addresses in use stay')
    .argument('<number>', 'how many: a power of two', parseCount)
    .option('--cidr <cidr>', 'the pool with this CIDR')
    .option('--name <name>', 'the pool of this name')
    .addOption(outputOption())
    .action((parts: number, options: { cidr?: string; name?: string; output: OutputForm }) =>
      split(context, parts, options),
    );
  ipam
    .command('configure')
    .description('settings for all hosts')
    .option(
      '--strictaffinity <true|false>',
      "false: hosts may borrow addresses out of others' blocks",
      parseBoolean,
    )
    .option('--max-blocks-per-host <number>', 'of each family; 0: 20', parseCount)
    .option('--ip-cooldown-seconds <number>', 'how long a released address rests, 0 to 1200', parseCount)
    .option('--auto-allocate-blocks <true|false>', 'false: no new blocks are made', parseBoolean)
    .addOption(outputOption())
    .action((options: ConfigureOptions) => configure(context, options));
}

async function show(context: CommandContext, options: ShowOptions): Promise<void> {
  const { addressText, borrowedTable, settingsTable, usageTable } = await import('./ipam-tables.ts');
  const { terminal } = context;
  const client = context.client();
  if (options.ip !== undefined) {
    const view = await client.call<AddressView>(
      'GET',
      `/v1/ipam/addresses/${encodeURIComponent(options.ip)}`,
    );
    await emit(terminal, options.output, view, () => addressText(view));
  } else if (options.showBorrowed === true) {
    const view = await client.call<{ borrowed: BorrowedAddress[]; unknown: number }>(
      'GET',
      '/v1/ipam/borrowed',
    );
    await emit(terminal, options.output, view, () => borrowedTable(view, terminal.colour));
  } else if (options.showConfiguration === true) {
    const view = await client.call<SettingsView>('GET', '/v1/ipam/configuration');
    await emit(terminal, options.output, view, () => settingsTable(view, terminal.colour));
  } else {
    const view = await client.call<PoolUsage[]>('GET', '/v1/ipam/usage');
    await emit(terminal, options.output, view, (wide) =>
      usageTable(view, wide || options.showBlocks === true, terminal.colour),
    );
  }
}

async function check(context: CommandContext, options: CheckOptions): Promise<void> {
  const { checkText } = await import('./ipam-tables.ts');
  const report = await context.client().call<CheckReport>('GET', '/v1/ipam/check');
  await emit(context.terminal, options.output, report, (wide) =>
    checkText(
      report,
      { all: options.showAllIps === true, problems: wide || options.showProblemIps === true },
      context.terminal.colour,
    ),
  );
  if (report.counts.problems > 0) throw new CommandFailure('', EXIT.failure);
}

async function release(context: CommandContext, options: ReleaseOptions): Promise<void> {
  if (options.ip.length === 0 && options.fromReport.length === 0)
    throw new CommandFailure('name what to release: --ip or --from-report', EXIT.usage);
  const { orderOfReports } = await import('./ipam-reports.ts');
  const fromReports =
    options.fromReport.length === 0
      ? { addresses: [], handles: [] }
      : await orderOfReports(options.fromReport, options.force === true, context.terminal.now());
  const order: ReleaseOrder = {
    addresses: [...options.ip.map((ip) => ({ ip })), ...fromReports.addresses],
    handles: fromReports.handles,
    force: options.force === true,
  };
  const view = await context.client().call<ReleaseView>('POST', '/v1/ipam/release', order);
  await emit(context.terminal, options.output, view, () => {
    const lines = view.addresses.map(({ ip, outcome, reason }) =>
      outcome === 'released'
        ? `${ip} released\n`
        : `${ip} ${outcome === 'refused' ? 'not released' : 'is not assigned'}${reason === undefined ? '' : `: ${reason}`}\n`,
    );
    const { handlesDeleted, handlesSkipped } = view;
    if (order.handles.length > 0)
      lines.push(`${handlesDeleted} empty handles deleted, ${handlesSkipped} left because they changed\n`);
    return lines.length === 0 ? 'the reports agree on nothing to release\n' : lines.join('');
  });
  if (view.addresses.some(({ outcome }) => outcome === 'refused')) throw new CommandFailure('', EXIT.failure);
  // As calicoctl: a single address that nobody had is an error, one of a report was cleaned up meanwhile.
  if (
    options.ip.some((ip) => view.addresses.some((each) => each.ip === ip && each.outcome === 'not-allocated'))
  )
    throw new CommandFailure('', EXIT.failure);
}

async function split(
  context: CommandContext,
  parts: number,
  options: { readonly cidr?: string; readonly name?: string; readonly output: OutputForm },
): Promise<void> {
  const pool = options.name ?? options.cidr;
  if (pool === undefined || (options.name !== undefined && options.cidr !== undefined))
    throw new CommandFailure('name the pool by one of --name and --cidr', EXIT.usage);
  const view = await context.client().call<SplitView>('POST', '/v1/ipam/split', { pool, parts });
  await emit(context.terminal, options.output, view, () => {
    const table = renderTable(
      [
        { title: 'Pool', cell: ({ name }) => name },
        { title: 'CIDR', cell: ({ cidr }) => cidr },
      ],
      view.created,
      context.terminal.colour,
    );
    return `IPPool ${view.pool} is now ${view.created.length} pools:\n${table}`;
  });
}

async function configure(context: CommandContext, options: ConfigureOptions): Promise<void> {
  const change: Partial<IpamSettings> = {
    ...(options.strictaffinity !== undefined && { strictAffinity: options.strictaffinity }),
    ...(options.autoAllocateBlocks !== undefined && { autoAllocateBlocks: options.autoAllocateBlocks }),
    ...(options.maxBlocksPerHost !== undefined && { maxBlocksPerHost: options.maxBlocksPerHost }),
    ...(options.ipCooldownSeconds !== undefined && { ipCooldownSeconds: options.ipCooldownSeconds }),
  };
  if (Object.keys(change).length === 0)
    throw new CommandFailure('nothing to change: see "ocicat ipam configure --help"', EXIT.usage);
  const { settingsTable } = await import('./ipam-tables.ts');
  const view = await context.client().call<SettingsView>('PUT', '/v1/ipam/configuration', change);
  await emit(context.terminal, options.output, view, () => settingsTable(view, context.terminal.colour));
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function parseBoolean(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new InvalidArgumentError('choose true or false.');
  return text === 'true';
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('give a whole number of at most nine digits.');
  return Number(text);
}
