/** Drives sets by netlink where a change is small, which costs no process, and by another driver where it is not. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Family } from '../../src/net/address.ts';
import { NETLINK_NETFILTER } from '../conntrack/message.ts';
import { prepareNamespaces } from '../netlink/namespace.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { MessageWriter } from '../netlink/writer.ts';
import type { KernelTypeName, SetCommand, SetDriver, SetRefusal } from './commands.ts';
import {
  decodeProtocol,
  decodeTypeRevision,
  type IpsetDialect,
  refusalText,
  type SmallSetCommand,
  writeProtocolQuery,
  writeSetCommand,
  writeTypeQuery,
} from './message.ts';

/** Beyond this another driver is better: what it does goes on beside the event loop. */
const MAX_COMMANDS = 1_000;
/** sent between two turns of the event loop: well under a millisecond */
const COMMANDS_PER_BATCH = 250;
const ENOENT = 2;

interface Connection {
  readonly socket: NetlinkSocket;
  readonly dialect: IpsetDialect;
}

/** Owns a netlink socket in one network namespace, opened when it is needed first. */
export class NetlinkSetDriver implements SetDriver {
  readonly #others: SetDriver;
  readonly #netns: string | undefined;
  readonly #writer = new MessageWriter(32 * 1024);
  #connection: Connection | undefined;

  /** `others` works in the same namespace, and does what is large, and everything where netlink cannot be had. */
  constructor(others: SetDriver, netns?: string) {
    this.#others = others;
    this.#netns = netns;
  }

  read(): ReturnType<SetDriver['read']> {
    return this.#others.read();
  }

  async write(commands: readonly SetCommand[], isLenient: boolean): Promise<SetRefusal | undefined> {
    // A swap makes some kernels wait for all readers of the set.
    if (commands.length > MAX_COMMANDS || !commands.every(isSmall)) {
      return this.#others.write(commands, isLenient);
    }
    const connection = await this.#connect();
    if (connection === undefined) return this.#others.write(commands, isLenient);
    try {
      for (let start = 0; start < commands.length; start += COMMANDS_PER_BATCH) {
        if (start > 0) await nextTurn();
        const batch = commands.slice(start, start + COMMANDS_PER_BATCH);
        const refusal = this.#send(connection, batch, isLenient);
        if (refusal === undefined) continue;
        return refusal.index === undefined ? refusal : { ...refusal, index: start + refusal.index };
      }
      return undefined;
    } catch (error) {
      this.close();
      return { index: undefined, reason: messageOf(error), isAbsent: false };
    }
  }

  close(): void {
    this.#connection?.socket.close();
    this.#connection = undefined;
  }

  #send(
    { socket, dialect }: Connection,
    commands: readonly SmallSetCommand[],
    isLenient: boolean,
  ): SetRefusal | undefined {
    this.#writer.reset();
    let count = 0;
    while (count < commands.length) {
      const command = commands[count];
      if (command === undefined || !writeSetCommand(this.#writer, command, isLenient, dialect)) break;
      count++;
    }
    if (count > 0) {
      const { failures, uncertain } = socket.batch(this.#writer, count);
      const index = failures.size === 0 ? undefined : Math.min(...failures.keys());
      const verdict = index === undefined ? undefined : failures.get(index);
      if (verdict !== undefined) {
        return { index, reason: refusalText(verdict), isAbsent: verdict.errno === ENOENT };
      }
      if (uncertain) return { index: undefined, reason: "the kernel's answers were lost", isAbsent: false };
    }
    if (count === commands.length) return undefined;
    return { index: count, reason: 'the entry is malformed', isAbsent: false };
  }

  /** Undefined when the kernel speaks no ipset over netlink, or does not let us: the other driver will say so. */
  async #connect(): Promise<Connection | undefined> {
    if (this.#connection !== undefined) return this.#connection;
    let socket: NetlinkSocket | undefined;
    try {
      if (this.#netns !== undefined) await prepareNamespaces();
      const opened = NetlinkSocket.open({ netns: this.#netns, protocol: NETLINK_NETFILTER });
      socket = opened;
      const protocol = opened.query('ask for the ipset protocol', writeProtocolQuery, decodeProtocol);
      if (protocol === undefined) throw new Error('no common ipset protocol');
      const revisions = new Map<string, number>();
      const revisionOf = (type: KernelTypeName, family: Family): number => {
        const key = `${type} ${family}`;
        const known = revisions.get(key);
        if (known !== undefined) return known;
        const revision =
          opened.query(
            `ask for the set type ${type}`,
            (writer) => writeTypeQuery(writer, protocol, type, family),
            decodeTypeRevision,
          ) ?? 0;
        revisions.set(key, revision);
        return revision;
      };
      this.#connection = { socket: opened, dialect: { protocol, revisionOf } };
      return this.#connection;
    } catch {
      socket?.close();
      return undefined;
    }
  }
}

function isSmall(command: SetCommand): command is SmallSetCommand {
  return command.verb !== 'swap' && command.verb !== 'flush';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
