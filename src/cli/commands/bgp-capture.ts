/** `ocicat bgp capture`: a peer's messages as they come and go, decoded, and into a packet capture if wished. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { PcapPackets, pcapHeader } from '../../../bgp/capture/pcap-writer.ts';
import type { CapturedRow } from '../../api/views.ts';
import { parseAddress } from '../../net/address.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { type OutputForm, outputOption } from '../output/emit.ts';

interface CaptureOptions {
  readonly pcap?: string;
  readonly count?: number;
  readonly brief?: boolean;
  readonly output: OutputForm;
}

export function registerCapture(bgp: Command, context: CommandContext): void {
  bgp
    .command('capture')
    .description("a peer's messages as they come and go, until interrupted")
    .argument('<peer>', 'address or name of a peer')
    .option(
      '--pcap <file>',
      'write them to this file too, for tcpdump and tshark; IP and TCP headers are made up',
    )
    .option('-c, --count <n>', 'end after so many messages, not counting the earlier ones', parseCount)
    .option('--brief', 'one line for each message')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nOf a session that is up, its OPENs and first KEEPALIVEs are shown first: the rest is read by what they say.' +
        '\n-o json writes a line for each message, -o yaml a document for each.',
    )
    .action((peer: string, options: CaptureOptions) => capture(context, peer, options));
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('a number from 1 is expected.');
  return Number(text);
}

type MessageRow = Exclude<CapturedRow, { readonly lost: number }>;

async function capture(context: CommandContext, peer: string, options: CaptureOptions): Promise<void> {
  const { terminal } = context;
  const print = await printer(context, options);
  const file = options.pcap === undefined ? undefined : new PcapFile(options.pcap);
  let count = 0;
  try {
    const path = `/v1/bgp/peers/${encodeURIComponent(peer)}/capture`;
    for await (const row of context.client().rows<CapturedRow>(path)) {
      if ('lost' in row) {
        terminal.err(`${row.lost} messages were left out: they came faster than they could be shown\n`);
        continue;
      }
      print(row);
      file?.write(row);
      if (row.earlier !== true && ++count === options.count) return;
    }
  } finally {
    file?.close();
  }
}

async function printer(
  { terminal }: CommandContext,
  { output, brief }: CaptureOptions,
): Promise<(row: MessageRow) => void> {
  if (output === 'json') return (row) => terminal.out(`${JSON.stringify(row)}\n`);
  if (output === 'yaml') {
    const { stringify } = await import('yaml');
    return (row) => terminal.out(`---\n${stringify(row)}`);
  }
  const { renderMessage } = await import('../decode/file.ts');
  return (row) => {
    const { at, verdict, earlier } = row;
    const { from, to } = endsOf(row);
    const message = Uint8Array.fromHex(row.hex);
    const shown =
      earlier === true ? { ...verdict, why: `${verdict.why} (before the capture began)` } : verdict;
    terminal.out(renderMessage({ at, from, to, message }, shown, brief === true, terminal.colour));
  };
}

function endsOf({ direction, local, remote }: MessageRow) {
  const [from, to] = direction === 'sent' ? [local, remote] : [remote, local];
  return { from: endpointOf(from), to: endpointOf(to) };
}

function endpointOf({ address, port }: MessageRow['local']) {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw new CommandFailure(`the agent names an address ${address}`, EXIT.failure);
  return { address: parsed, port };
}

/** A capture file, whole after each message. */
class PcapFile {
  readonly #descriptor: number;
  readonly #packets = new PcapPackets();

  constructor(path: string) {
    try {
      this.#descriptor = openSync(path, 'w', 0o600);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new CommandFailure(`${path} cannot be written: ${message}`, EXIT.usage);
    }
    writeSync(this.#descriptor, pcapHeader());
  }

  write(row: MessageRow): void {
    const { from, to } = endsOf(row);
    writeSync(this.#descriptor, this.#packets.records(row.at, from, to, Uint8Array.fromHex(row.hex)));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
