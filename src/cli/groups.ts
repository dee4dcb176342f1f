/** The groups of commands. Only the one that the command line asks for is loaded: the agent stays for good and needs no other. */
import type { Command } from 'commander';
import type { CommandContext } from './context.ts';

interface Group {
  /** the first words of its commands */
  readonly words: readonly string[];
  readonly load: () => Promise<(program: Command, context: CommandContext) => void>;
}

// In the order of the help.
const GROUPS: readonly Group[] = [
  { words: ['agent'], load: async () => (await import('./commands/agent.ts')).registerAgent },
  { words: ['status'], load: async () => (await import('./commands/status.ts')).registerStatus },
  { words: ['bgp'], load: async () => (await import('./commands/bgp.ts')).registerBgp },
  { words: ['routes'], load: async () => (await import('./commands/routes.ts')).registerRoutes },
  {
    words: ['endpoints', 'endpoint'],
    load: async () => (await import('./commands/endpoints.ts')).registerEndpoints,
  },
  { words: ['cni'], load: async () => (await import('./commands/cni.ts')).registerCni },
  { words: ['ipam'], load: async () => (await import('./commands/ipam.ts')).registerIpam },
  {
    words: ['apply', 'get', 'delete'],
    load: async () => (await import('./commands/resources.ts')).registerResources,
  },
  { words: ['datastore'], load: async () => (await import('./commands/datastore.ts')).registerDatastore },
  { words: ['validate', 'selector'], load: async () => (await import('./commands/tools.ts')).registerTools },
];

/**
 * Registers the commands of the group that `word`, the first of the command line, belongs to, or all of them if it belongs to none:
 * an option, help, or a word that is to be answered with what there is.
 */
export async function registerCommands(
  program: Command,
  context: CommandContext,
  word: string | undefined,
): Promise<void> {
  const asked = GROUPS.filter(({ words }) => word !== undefined && words.includes(word));
  for (const { load } of asked.length > 0 ? asked : GROUPS) (await load())(program, context);
}
