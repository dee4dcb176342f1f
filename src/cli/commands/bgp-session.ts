/** `ocicat bgp reset` and `ocicat bgp capture`: what is done to one session. */
import type { Command } from 'commander';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';

export function registerSession(bgp: Command, context: CommandContext): void {
  bgp
    .command('reset')
    .description('resets a session, or has routes sent again without that')
    .argument('<peer>', 'address or name of a peer')
    .argument(
      '[kind...]',
      'hard: the session ends and comes back; soft in: the peer is asked for its routes again; soft out: it is sent ours again; soft: both',
    )
    .option('--text <text>', 'what the peer is told with a hard reset (RFC 9003)')
    .addHelpText(
      'after',
      '\nWithout a kind: hard.\nExit code: 1 for an unknown peer, or a soft reset of a session that is not up.',
    )
    .action((peer: string, words: string[], { text }: { text?: string }) =>
      reset(context, peer, words, text),
    );
}

const KINDS: Readonly<Record<string, readonly string[]>> = {
  '': ['hard'],
  hard: ['hard'],
  soft: ['soft-in', 'soft-out'],
  'soft in': ['soft-in'],
  'soft out': ['soft-out'],
};

async function reset(
  context: CommandContext,
  peer: string,
  words: readonly string[],
  text: string | undefined,
): Promise<void> {
  const named = words.join(' ').replace('soft-', 'soft ');
  const kinds = Object.hasOwn(KINDS, named) ? KINDS[named] : undefined;
  if (kinds === undefined) {
    throw new CommandFailure(
      `"${named}" is no kind of reset: choose hard, soft in, soft out or soft`,
      EXIT.usage,
    );
  }
  for (const kind of kinds) {
    const path = `/v1/bgp/peers/${encodeURIComponent(peer)}/reset`;
    const done = await context.client().call<{ peer: string }>('POST', path, {
      kind,
      ...(text !== undefined && { text }),
    });
    context.terminal.out(
      `peer ${done.peer}: ${kind === 'hard' ? 'session reset' : `${kind.replace('-', ' ')} requested`}\n`,
    );
  }
}
