/** `ocicat routes`: what we want in the kernel beside what it has. */
import type { Command } from 'commander';
import type { FibRouteView, ReleasedRoutesView, TakenRoutesView } from '../../api/views.ts';
import type { CommandContext } from '../context.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { byPrefix, counted } from '../output/order.ts';
import { showList } from '../output/rows.ts';
import type { Cell, Column } from '../output/table.ts';

export function registerRoutes(program: Command, context: CommandContext): void {
  const routes = program
    .command('routes')
    .description('routes that we want beside what the kernel has')
    .argument('[prefix]', 'a prefix, or an address for its longest match')
    .option(
      '--state <state>',
      'only those that are installed, partial, pending, waiting, failed, conflict, stale, removing or held; repeatable: in any of these',
      (state: string, before: string[]) => [...before, state],
      [],
    )
    .addOption(outputOption())
    .addHelpText('after', '\nExit code: 1 when nothing matches.')
    .action(async (prefix: string | undefined, options: { output: OutputForm; state: string[] }) => {
      const query = new URLSearchParams(options.state.map((state) => ['state', state]));
      if (prefix !== undefined) query.set('prefix', prefix);
      await showList<FibRouteView>(context, context.client(), {
        path: `/v1/routes${query.size === 0 ? '' : `?${query}`}`,
        form: options.output,
        columns,
        nothing: nothingText(prefix, options.state),
        summary: (count) => counted(count, 'route'),
        compare: byPrefix,
      });
    });
  routes
    .command('release')
    .description('let go the routes that the brake on mass deletion holds')
    .addOption(outputOption())
    .action(async (options: { output: OutputForm }) => {
      const answer = await context.client().call<ReleasedRoutesView>('POST', '/v1/routes/release', {});
      await emit(context.terminal, options.output, answer, () =>
        answer.released.length === 0
          ? 'no route is held\n'
          : answer.released
              .map(({ family, count }) => `${family}: ${counted(count, 'route')} released\n`)
              .join(''),
      );
    });
  routes
    .command('take')
    .description('take a prefix of ours over from the routes of others that block or beat ours')
    .argument('<prefix>', 'such as 10.1.0.0/16')
    .addOption(outputOption())
    .action(async (prefix: string, options: { output: OutputForm }) => {
      const answer = await context.client().call<TakenRoutesView>('POST', '/v1/routes/take', { prefix });
      await emit(context.terminal, options.output, answer, () =>
        answer.taken.map((route) => `${answer.prefix}: taken over from ${route}\n`).join(''),
      );
    });
}

function nothingText(prefix: string | undefined, states: readonly string[]): string {
  if (prefix !== undefined) return `no route of ours covers ${prefix}`;
  return states.length === 0 ? 'no routes' : `no route of ours is ${states.join(' or ')}`;
}

const STATE_TONE: Readonly<Record<string, 'good' | 'bad' | 'warn' | 'dim'>> = {
  installed: 'good',
  partial: 'warn',
  pending: 'warn',
  stale: 'warn',
  foreign: 'dim',
};

function columns(wide: boolean): Column<FibRouteView>[] {
  const state = (row: FibRouteView): Cell => ({ text: row.state, tone: STATE_TONE[row.state] ?? 'bad' });
  const base: Column<FibRouteView>[] = [
    { title: 'Prefix', cell: (row) => row.prefix },
    { title: 'Source', cell: (row) => row.source },
    { title: 'Desired', cell: (row) => (row.kind === 'unicast' ? row.nextHops.join(', ') : row.kind) },
    { title: 'State', cell: state },
    { title: 'Kernel', cell: (row) => row.kernel },
    { title: 'Error', cell: (row) => row.error ?? '' },
  ];
  if (!wide) return base;
  return [
    ...base,
    { title: 'Metric', align: 'right', cell: (row) => String(row.metric) },
    { title: 'Table', align: 'right', cell: (row) => String(row.table) },
  ];
}
