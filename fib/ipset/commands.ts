/** What is done to kernel sets, and who does it. */
import type { Family } from '../../src/net/address.ts';
import type { CommandOutcome, CommandRunner } from '../command.ts';
import { oneLine } from '../iptables/backend.ts';
import { parseIpsetSave, type SavedSet } from './save.ts';

/** `hash:net`: the kernel's name of a set type. */
export type KernelTypeName = 'hash:net' | 'hash:ip,port' | 'hash:net,iface';

/** One change. Entries are in ipset's text: `10.0.0.0/8`, `fd00::1`, `10.0.0.1,tcp:80`, `10.0.0.1,oci1234`. */
export type SetCommand =
  | {
      readonly verb: 'create';
      readonly set: string;
      readonly type: KernelTypeName;
      readonly family: Family;
      /** capacity, in entries */
      readonly maxElem: number;
    }
  | { readonly verb: 'add' | 'del'; readonly set: string; readonly entry: string }
  | { readonly verb: 'flush' | 'destroy'; readonly set: string }
  | { readonly verb: 'swap'; readonly set: string; readonly other: string };

/** Why changes were not carried out to the end. Those beside the refused one may or may not have taken effect. */
export interface SetRefusal {
  /** of the refused command; undefined when it is not known */
  readonly index: number | undefined;
  readonly reason: string;
  /** the set that was to be changed does not exist */
  readonly isAbsent: boolean;
}

/** Reads and changes the sets of one network namespace. Calls must not overlap; none rejects. */
export interface SetDriver {
  /** Our sets, or what went wrong. */
  read(): Promise<ReadonlyMap<string, SavedSet> | { readonly problem: string }>;
  /**
   * Carries out commands in order, up to a refused one. `isLenient`: making what exists and removing what does not is fine. Undefined:
   * all took effect.
   */
  write(commands: readonly SetCommand[], isLenient: boolean): Promise<SetRefusal | undefined>;
  close(): void;
}

/** A line of `ipset restore`. */
export function commandText(command: SetCommand): string {
  const { verb, set } = command;
  switch (verb) {
    case 'create': {
      const family = command.family === 'ipv4' ? 'inet' : 'inet6';
      return `create ${set} ${command.type} family ${family} maxelem ${command.maxElem}`;
    }
    case 'add':
    case 'del':
      return `${verb} ${set} ${command.entry}`;
    case 'swap':
      return `swap ${set} ${command.other}`;
    case 'flush':
    case 'destroy':
      return `${verb} ${set}`;
  }
}

/** Drives sets by the `ipset` tool, a process for each call: its work costs this process's event loop nothing beyond the start. */
export function ipsetTool(run: CommandRunner): SetDriver {
  return {
    read: async () => {
      const outcome = await run('ipset', ['save']);
      if (outcome.status !== 0) return { problem: `ipset save: ${reasonOf(outcome)}` };
      return parseIpsetSave(outcome.stdout);
    },
    write: async (commands, isLenient) => {
      const args = ['restore', ...(isLenient ? ['-exist'] : [])];
      const outcome = await run('ipset', args, `${commands.map(commandText).join('\n')}\n`);
      if (outcome.status === 0) return undefined;
      const number = /Error in line (\d+)/.exec(outcome.stderr)?.[1];
      const index = number === undefined ? undefined : Number(number) - 1;
      return {
        index: index !== undefined && index < commands.length ? index : undefined,
        reason: reasonOf(outcome),
        isAbsent: /does not exist/.test(outcome.stderr),
      };
    },
    close: () => {},
  };
}

function reasonOf(outcome: CommandOutcome): string {
  return oneLine(outcome.stderr || outcome.stdout || `status ${outcome.status}`);
}
