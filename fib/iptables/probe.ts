/** Finds out what this kernel's iptables takes by trying it: versions tell little about backports. */
import type { Family } from '../../src/net/address.ts';
import type { CommandRunner } from '../command.ts';
import { CHAIN_PREFIX } from '../rules/names.ts';
import { backendCommand, type IptablesBackend } from './backend.ts';

/** No packet comes here; a chain left by a crash is swept as any of ours that nobody wants. */
const PROBE_CHAIN = `${CHAIN_PREFIX}probe`;

/**
 * Whether MASQUERADE takes `--random-fully`, which lets two connections that start at once not race for one port. Undefined when even
 * plain MASQUERADE was refused: the answer is not known then.
 */
export async function probeRandomFully(
  run: CommandRunner,
  backend: IptablesBackend,
  family: Family,
  lockWaitSec: number,
): Promise<boolean | undefined> {
  const restore = async (...lines: readonly string[]): Promise<boolean> => {
    const input = ['*nat', `:${PROBE_CHAIN} - [0:0]`, ...lines, 'COMMIT', ''].join('\n');
    const command = backendCommand(family, backend, 'restore');
    const outcome = await run(command, ['--noflush', '--wait', String(lockWaitSec)], input);
    return outcome.status === 0;
  };
  const takes = async (target: string): Promise<boolean> => {
    const taken = await restore(`-A ${PROBE_CHAIN} -j ${target}`);
    if (taken) await restore(`-X ${PROBE_CHAIN}`);
    return taken;
  };
  if (await takes('MASQUERADE --random-fully')) return true;
  return (await takes('MASQUERADE')) ? false : undefined;
}
