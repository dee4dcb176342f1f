/** `ocicat datastore export|import|migrate|lock|unlock`: contents of stores as a whole. Works on the stores themselves, without the agent. */
import type { Command } from 'commander';
import type { CommandContext } from '../context.ts';

const STORES = `
A store is named as
  file:/PATH               an embedded store; its agent must be stopped
  etcd:http://HOST:PORT,…  an etcd without TLS and users
  config:/PATH             the store of an agent's configuration file, with its certificates and secrets
  (nothing)                the store of this host's agent: /etc/ocicat/agent.yaml and OCICAT_* variables`;

/** Options of the commands that write. */
export interface WriteOptions {
  readonly dryRun?: boolean;
  readonly overwrite?: boolean;
  readonly leaveOut?: boolean;
}

export function registerDatastore(program: Command, context: CommandContext): void {
  const datastore = program
    .command('datastore')
    .description('move the contents of stores: embedded, etcd, Calico YAML');
  datastore
    .command('export')
    .description('write everything, IPAM included, in the form of "calicoctl datastore migrate export"')
    .option('--from <store>', 'default: the store of this host')
    .option('-f, --filename <path>', 'a file, a folder (one file a resource) or - for standard output', '-')
    .addHelpText('after', STORES)
    .action(async (options: { from?: string; filename: string }) => {
      const { exportStore } = await import('../datastore.ts');
      await exportStore(context, options.from, options.filename);
    });
  writing(
    datastore
      .command('import')
      .description('take over what export or calicoctl wrote, or plain Calico YAML: all of it or nothing')
      .requiredOption('-f, --filename <path>', 'a file, a folder or - (repeatable)', collect, [])
      .option('--to <store>', 'default: the store of this host'),
  ).action(async (options: WriteOptions & { filename: string[]; to?: string }) => {
    const { importStore } = await import('../datastore.ts');
    await importStore(context, options.filename, options.to, options);
  });
  writing(
    datastore
      .command('migrate')
      .description('bring everything from one store into another; the old one stays as it is, and locked')
      .option('--from <store>', 'default: the store of this host')
      .requiredOption('--to <store>'),
  ).action(async (options: WriteOptions & { from?: string; to: string }) => {
    const { migrateStore } = await import('../datastore.ts');
    await migrateStore(context, options.from, options.to, options);
  });
  for (const [name, description] of [
    ['lock', 'keep all agents from adding and removing endpoints (as "calicoctl datastore migrate lock")'],
    ['unlock', 'end a lock'],
  ] as const) {
    datastore
      .command(name)
      .description(description)
      .option('--store <store>', 'an etcd; default: that of this host')
      .addHelpText('after', STORES)
      .action(async (options: { store?: string }) => {
        const { lockStore } = await import('../datastore.ts');
        await lockStore(context, options.store, name === 'lock');
      });
  }
}

function writing(command: Command): Command {
  return command
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('--overwrite', 'replace what is there with another content')
    .option('--leave-out', 'go on without what the target cannot hold')
    .addHelpText('after', STORES)
    .addHelpText('after', '\nExit code: 2 when something stands against it; then nothing has been written.');
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}
