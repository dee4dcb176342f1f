/** Which of the kernel's two rule sets iptables works on. They exist side by side, and mixing them up loses rules. */
import type { Family } from '../../src/net/address.ts';
import type { CommandRunner } from '../command.ts';
import { CHAIN_PREFIX } from '../rules/names.ts';

/** `nft`: iptables over nf_tables; `legacy`: the older x_tables. */
export type IptablesBackend = 'nft' | 'legacy';

/** A command of the chosen backend, `iptables-nft-restore`. */
export function backendCommand(family: Family, backend: IptablesBackend, verb: 'save' | 'restore'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-${verb}`;
}

/**
 * The backend of the host's own `iptables` command. It is asked once and the answer kept by the caller: a host's tools may be
 * switched later, and then our rules must not be left behind in the other one. Throws when there is no such command.
 */
export async function detectBackend(run: CommandRunner): Promise<IptablesBackend> {
  const outcome = await run('iptables', ['--version']);
  const backend = /\((nf_tables|legacy)\)/.exec(outcome.stdout)?.[1];
  if (backend === undefined) {
    throw new Error(
      `iptables --version does not say which backend it has (${oneLine(outcome.stdout + outcome.stderr)}): ` +
        'install iptables 1.8 or later, or set the backend to nft or legacy',
    );
  }
  return backend === 'nf_tables' ? 'nft' : 'legacy';
}

/**
 * Chains of ours that stand in the other backend, each as `COMMAND: CHAIN`. Both sets of rules are enforced at once, so leftovers
 * there drop packets that policy allows. Reading legacy tables that are not there would create them: they are looked up first.
 */
export async function chainsInOtherBackend(run: CommandRunner, backend: IptablesBackend): Promise<string[]> {
  const other: IptablesBackend = backend === 'nft' ? 'legacy' : 'nft';
  const found: string[] = [];
  for (const family of ['ipv4', 'ipv6'] as const) {
    if (other === 'legacy') {
      const names = await run('cat', [`/proc/net/${family === 'ipv4' ? 'ip' : 'ip6'}_tables_names`]);
      if (names.status !== 0 || names.stdout.trim() === '') continue;
    }
    const command = backendCommand(family, other, 'save');
    const outcome = await run(command, []);
    for (const line of outcome.stdout.split('\n')) {
      if (line.startsWith(`:${CHAIN_PREFIX}`)) found.push(`${command}: ${line.slice(1, line.indexOf(' '))}`);
    }
  }
  return found;
}

/** A tool's message without line breaks and at most 500 characters. */
export function oneLine(text: string): string {
  return text.trim().replace(/\s+/g, ' ').slice(0, 500);
}
