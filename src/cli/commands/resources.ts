/** `ocicat apply|get|delete`: Calico resources. Text goes to the agent as it is, so that its rules decide. */
import type { Command } from 'commander';
import type { AppliedView, SessionEffect } from '../../api/views.ts';
import { KINDS, kindByName, kindInfo } from '../../model/kinds.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { readInputs } from '../input.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { paint, renderTable } from '../output/table.ts';
import { resourceColumns } from './resource-columns.ts';

/** A resource as the API answers it. */
export interface ResourceJson {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly spec?: Readonly<Record<string, unknown>>;
}

export function registerResources(program: Command, context: CommandContext): void {
  program
    .command('apply')
    .description('create or change resources from YAML or JSON; all of them or none')
    .option('-f, --filename <path>', 'file, folder or - for standard input (repeatable)', collect, [])
    .option('--dry-run', 'say what would change, BGP sessions included, and change nothing')
    .addOption(outputOption())
    .addHelpText('after', '\nExit code: 2 when a resource is invalid; then nothing is applied.')
    .action(async (options: { filename: string[]; dryRun?: boolean; output: OutputForm }) => {
      const documents = await readInputs(options.filename);
      const dryRun = options.dryRun === true;
      const applied = await context
        .client()
        .call<AppliedView[]>('POST', '/v1/apply', { documents, ...(dryRun && { dryRun }) });
      await showApplied(context, options.output, applied, dryRun);
    });
  program
    .command('get')
    .description('show resources')
    .argument('<kind>', `such as ${KINDS.map((kind) => kindInfo(kind).plural).join(', ')}`)
    .argument('[name]')
    .option('--namespace <name>', 'namespace of a namespaced kind')
    .addOption(outputOption())
    .action((kind: string, name: string | undefined, options: { namespace?: string; output: OutputForm }) =>
      get(context, kind, name, options),
    );
  program
    .command('delete')
    .description('delete resources')
    .argument('[kind]')
    .argument('[name...]')
    .option('-f, --filename <path>', 'delete what the file, folder or - names (repeatable)', collect, [])
    .option('--namespace <name>', 'namespace of a namespaced kind')
    .addOption(outputOption())
    .action(
      async (
        kind: string | undefined,
        names: string[],
        options: { filename: string[]; namespace?: string; output: OutputForm },
      ) => {
        const client = context.client();
        if (options.filename.length > 0) {
          if (kind !== undefined)
            throw new CommandFailure(
              `give either ${[kind, ...names].join(' ')} or -f, not both: nothing was deleted`,
              EXIT.usage,
            );
          const documents = await readInputs(options.filename);
          await showApplied(
            context,
            options.output,
            await client.call<AppliedView[]>('POST', '/v1/delete', { documents }),
          );
          return;
        }
        if (kind === undefined || names.length === 0)
          throw new CommandFailure('name a kind and a resource, or give -f', EXIT.usage);
        const info = kindInfo(resolveKind(kind));
        refuseNamespace(info, options.namespace);
        const query =
          options.namespace === undefined ? '' : `?namespace=${encodeURIComponent(options.namespace)}`;
        const deleted: AppliedView[] = [];
        try {
          for (const name of names) {
            const path = `/v1/resources/${info.plural}/${encodeURIComponent(name)}${query}`;
            deleted.push(await client.call<AppliedView>('DELETE', path));
          }
        } finally {
          // Those before one that fails are gone.
          if (deleted.length > 0) await showApplied(context, options.output, deleted);
        }
      },
    );
}

function refuseNamespace(
  { plural, namespaced }: ReturnType<typeof kindInfo>,
  namespace: string | undefined,
): void {
  if (namespace === undefined || namespaced) return;
  throw new CommandFailure(`${plural} are in no namespace: leave --namespace out`, EXIT.usage);
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function resolveKind(text: string): (typeof KINDS)[number] {
  const kind = kindByName(text);
  if (kind === undefined) {
    throw new CommandFailure(
      `"${text}" is no kind that this version knows; known are ${KINDS.map((known) => kindInfo(known).plural).join(', ')}`,
      EXIT.usage,
    );
  }
  return kind;
}

async function showApplied(
  context: CommandContext,
  form: OutputForm,
  applied: readonly AppliedView[],
  dryRun = false,
): Promise<void> {
  await emit(context.terminal, form, applied, () =>
    applied
      .map((item) => {
        const name = item.namespace === undefined ? item.name : `${item.namespace}/${item.name}`;
        const tone = item.action === 'unchanged' ? 'dim' : 'good';
        const warnings = (item.warnings ?? []).map(
          (warning) => `  ${paint('warning:', 'warn', context.terminal.colour)} ${warning}\n`,
        );
        const sessions = (item.sessions ?? []).map((session) => `  ${sessionText(session, context)}\n`);
        const would = dryRun && item.action !== 'unchanged' ? 'would be ' : '';
        return `${item.kind} ${name} ${would}${paint(item.action, tone, context.terminal.colour)}\n${warnings.join('')}${sessions.join('')}`;
      })
      .join(''),
  );
}

/** `BGP session 192.0.2.1 (BGPPeer tor1): reset, for holdTimeSec`. */
function sessionText({ peer, resource, effect, reasons }: SessionEffect, context: CommandContext): string {
  const words = { added: 'added', removed: 'removed', reset: 'reset', live: 'changed without a reset' };
  const tone = effect === 'reset' || effect === 'removed' ? 'warn' : 'dim';
  const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`;
  return `BGP session ${peer}, ${resource}: ${paint(words[effect], tone, context.terminal.colour)}${why}`;
}

async function get(
  context: CommandContext,
  kindText: string,
  name: string | undefined,
  options: { namespace?: string; output: OutputForm },
): Promise<void> {
  const kind = resolveKind(kindText);
  const info = kindInfo(kind);
  refuseNamespace(info, options.namespace);
  const query = options.namespace === undefined ? '' : `?namespace=${encodeURIComponent(options.namespace)}`;
  const client = context.client();
  const { terminal } = context;
  if (name !== undefined) {
    const path = `/v1/resources/${info.plural}/${encodeURIComponent(name)}${query}`;
    const resource = await client.call<ResourceJson>('GET', path);
    await emit(terminal, options.output, resource, (wide) =>
      renderTable(resourceColumns(kind, wide), [resource], terminal.colour),
    );
    return;
  }
  const resources = await client.call<ResourceJson[]>('GET', `/v1/resources/${info.plural}${query}`);
  const list = { apiVersion: 'projectcalico.org/v3', kind: `${kind}List`, items: resources };
  await emit(terminal, options.output, list, (wide) =>
    resources.length === 0
      ? `No ${info.plural}.\n`
      : renderTable(resourceColumns(kind, wide), resources, terminal.colour),
  );
}
