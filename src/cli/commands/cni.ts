/** `ocicat cni install` */
import type { Command } from 'commander';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';

interface InstallCommandOptions {
  readonly binDir: string;
  readonly confDir: string;
  readonly name: string;
  readonly queue?: string;
  readonly output: OutputForm;
}

export function registerCni(program: Command, context: CommandContext): void {
  const cni = program.command('cni').description('the plugin for podman, containerd, CRI-O and nerdctl');
  cni
    .command('install')
    .description('write the CNI plugin and a network configuration (again after an upgrade)')
    .option('--bin-dir <folder>', 'where runtimes look for plugins', '/opt/cni/bin')
    .option('--conf-dir <folder>', 'where runtimes look for networks', '/etc/cni/net.d')
    .option('--name <network>', 'name of the network', 'ocicat')
    .option('--queue <folder>', "folder for DELs while the agent is down: cni-queue beside the agent's store")
    .addOption(outputOption())
    .action(async (options: InstallCommandOptions) => {
      const { installPlugin } = await import('../../cni/install.ts');
      const { DEFAULT_SOCKET_PATH } = await import('../../agent/paths.ts');
      const { resolve } = await import('node:path');
      const { socketPath } = context.client();
      try {
        const report = installPlugin({
          binDir: resolve(options.binDir),
          confDir: resolve(options.confDir),
          name: options.name,
          node: process.execPath,
          socket: socketPath === DEFAULT_SOCKET_PATH ? undefined : resolve(socketPath),
          queue: options.queue === undefined ? undefined : resolve(options.queue),
        });
        await emit(context.terminal, options.output, report, () =>
          [...report.written.map((path) => `wrote ${path}`), ...report.notes, ''].join('\n'),
        );
      } catch (error) {
        if (error instanceof RangeError) throw new CommandFailure(error.message, EXIT.usage);
        if (error instanceof Error && 'code' in error) {
          throw new CommandFailure(error.message, EXIT.failure, 'Run it as root, or name other folders.');
        }
        throw error;
      }
    });
}
