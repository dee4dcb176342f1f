/** `ocicat agent` */
import type { Command } from 'commander';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';

export function registerAgent(program: Command, _context: CommandContext): void {
  program
    .command('agent')
    .description('run the node agent (as root)')
    .option('--config <file>', 'bootstrap configuration (default: /etc/ocicat/agent.yaml, may be absent)')
    .action(async (options: { config?: string }) => {
      const { readConfig, ConfigError } = await import('../../agent/config.ts');
      const { runAgent } = await import('../../agent/main.ts');
      try {
        await runAgent(readConfig(options.config, process.env));
      } catch (error) {
        if (error instanceof ConfigError) throw new CommandFailure(error.message, EXIT.usage);
        throw error;
      }
    });
}
