/** `ocicat bgp drain` and `undrain`: the node out of service and back, without loss on the way. */
import { type Command, InvalidArgumentError } from 'commander';
import type { CommandContext } from '../context.ts';

interface Service {
  readonly state: 'in-service' | 'draining' | 'drained';
}

export function registerDrain(bgp: Command, context: CommandContext): void {
  bgp
    .command('drain')
    .description(
      'takes the node out of service: tells the peers to find other ways (RFC 8326), then ends the sessions',
    )
    .option('--wait <time>', 'time for the peers to find them, such as 60s', parseSeconds, 30)
    .option('--text <text>', 'what the peers are told when the sessions end (RFC 9003)')
    .addHelpText(
      'after',
      '\nIt comes back with "ocicat bgp undrain", or when the agent is started again. Containers and their routes on this node stay.',
    )
    .action(async ({ wait, text }: { wait: number; text?: string }) => {
      const body = { waitSec: wait, ...(text !== undefined && { text }) };
      const { state } = await context.client().call<Service>('POST', '/v1/bgp/drain', body);
      context.terminal.out(
        state === 'drained'
          ? 'drained: all sessions have been ended\n'
          : `draining: all routes are tagged 65535:0, the sessions end in ${wait} s\n`,
      );
    });
  bgp
    .command('undrain')
    .description('puts the node back into service')
    .action(async () => {
      await context.client().call<Service>('POST', '/v1/bgp/undrain', {});
      context.terminal.out('in service\n');
    });
}

function parseSeconds(text: string): number {
  const seconds = Number(/^(\d+)s?$/.exec(text)?.[1]);
  if (!(seconds <= 3600)) throw new InvalidArgumentError('expected seconds up to 3600, such as 60s');
  return seconds;
}
