/** `ocicat bgp decode`: its options, and which of hexadecimal text, capture and dump it was given. */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { captureFormat } from '../../../bgp/capture/read.ts';
import type { VerdictContext } from '../../../bgp/wire/verdict.ts';
import { contextOf, contextSchema, parseHex, runDecode } from '../bgp-decode.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import type { OutputForm } from '../output/emit.ts';
import { outputOption } from '../output/emit.ts';
import { type FileForm, readBinary, runDecodeFile, unpacked } from './file.ts';

const FAMILY_NAMES: Readonly<Record<string, readonly string[]>> = {
  none: [],
  ipv4: ['ipv4-unicast'],
  ipv6: ['ipv6-unicast'],
  'ipv4-unicast': ['ipv4-unicast'],
  'ipv6-unicast': ['ipv6-unicast'],
  all: ['ipv4-unicast', 'ipv6-unicast'],
};

interface DecodeOptions {
  readonly jsonl?: boolean;
  readonly file?: string;
  readonly brief?: boolean;
  readonly port: number;
  readonly output: OutputForm;
  readonly phase?: string;
  readonly peer?: string;
  readonly localAs?: number;
  readonly peerAs?: number;
  readonly as4: boolean;
  readonly extmsg?: boolean;
  readonly extnh?: boolean;
  readonly addpath?: readonly string[];
  readonly families?: readonly string[];
  readonly enforceFirstAs?: boolean;
  readonly rejectAsSets?: boolean;
}

export function registerDecode(bgp: Command, context: CommandContext): void {
  bgp
    .command('decode')
    .description('what BGP messages are and what we would do with them')
    .argument('[hex...]', 'one message in hexadecimal, or the name of a file; standard input if absent')
    .option(
      '-f, --file <path>',
      'a packet capture (pcap, pcapng) or MRT file, also with gzip; - for standard input',
    )
    .option(
      '--jsonl',
      'read lines of {"id", "hex", "ctx"} and answer each with a line; with a file: a line for each message',
    )
    .option('--brief', 'of a file: one line for each message')
    .option('--port <port>', 'TCP port of BGP in a packet capture', parseNumber, 179)
    .addOption(outputOption())
    .addOption(
      new Option('--phase <phase>', 'state of the session').choices([
        'opensent',
        'openconfirm',
        'established',
      ]),
    )
    .addOption(new Option('--peer <kind>', 'kind of the peer').choices(['ebgp', 'ibgp']))
    .option('--local-as <number>', 'our AS number (default: 65000)', parseNumber)
    .option('--peer-as <number>', "the peer's AS number (default: 65001)", parseNumber)
    .option('--as4', '4-octet AS numbers were negotiated (the default)', true)
    .option('--no-as4', 'they were not')
    .option('--extmsg', 'extended messages were negotiated')
    .option('--extnh', 'IPv4 routes may have IPv6 next hops')
    .option('--addpath <families>', 'families with path identifiers: ipv4, ipv6, all', parseFamilies)
    .option('--families <families>', 'negotiated families (default: all)', parseFamilies)
    .option('--enforce-first-as', "an external peer's paths must begin with its AS")
    .option('--reject-as-sets', 'paths with AS sets are withdrawn')
    .addHelpText(
      'after',
      '\nIn a file, what its OPEN messages or records tell of a session goes before these options.' +
        '\nExit code: 1 for a damaged file or one without BGP, 2 for input that is neither hexadecimal text nor such a file.',
    )
    .action((words: string[], options: DecodeOptions) => decode(context, words, options));
}

async function decode(
  context: CommandContext,
  words: readonly string[],
  options: DecodeOptions,
): Promise<void> {
  const { terminal } = context;
  const [only] = words;
  const isFileName =
    words.length === 1 && only !== undefined && parseHex(only) === undefined && existsSync(only);
  const path = options.file ?? (isFileName ? only : undefined);
  if (path === undefined && (options.jsonl === true || words.length > 0)) {
    await runDecode(
      terminal,
      words,
      options.jsonl === true,
      process.stdin,
      contextFrom(options),
      options.output,
    );
    return;
  }
  const name = path === undefined || path === '-' ? 'standard input' : path;
  const packed = name === 'standard input' ? await readStandardInput() : readBinary(name);
  const octets = unpacked(packed, name);
  if (captureFormat(octets) === undefined) {
    const text = new TextDecoder().decode(octets.subarray(0, TEXT_OCTETS_MAX));
    if (parseHex(text) === undefined && name !== 'standard input') {
      throw new CommandFailure(
        `${name} is neither a packet capture, nor an MRT file, nor hexadecimal text`,
        EXIT.usage,
      );
    }
    await runDecode(terminal, [text], false, process.stdin, contextFrom(options), options.output);
    return;
  }
  await runDecodeFile(terminal, octets, name, formOf(options), {
    port: options.port,
    otherwise: contextFrom(options),
  });
}

/** More than any message in hexadecimal, white space included. */
const TEXT_OCTETS_MAX = 1 << 20;

function formOf({ jsonl, brief, output }: DecodeOptions): FileForm {
  if (jsonl === true) return 'lines';
  return brief === true && output === 'table' ? 'brief' : output;
}

function contextFrom(options: DecodeOptions): VerdictContext {
  const { phase, peer, localAs, peerAs, as4, extmsg, extnh, addpath, families } = options;
  const given = { phase, peer, localAs, peerAs, as4, extmsg, extnh, addpath, families };
  const parsed = contextSchema.safeParse({
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    // An internal peer has our own AS.
    ...(peer === 'ibgp' && { localAs: localAs ?? peerAs ?? 65000, peerAs: peerAs ?? localAs ?? 65000 }),
    enforceFirstAs: options.enforceFirstAs === true,
    rejectAsSets: options.rejectAsSets === true,
  });
  if (parsed.success) return contextOf(parsed.data);
  const [issue] = parsed.error.issues;
  throw new CommandFailure(
    `${issue?.path.join('.') ?? 'options'}: ${issue?.message ?? 'not valid'}`,
    EXIT.usage,
  );
}

function parseFamilies(text: string): string[] {
  return text.split(',').flatMap((name) => {
    const families = FAMILY_NAMES[name.trim()];
    if (families === undefined) {
      throw new InvalidArgumentError(`choose of ${Object.keys(FAMILY_NAMES).join(', ')}.`);
    }
    return [...families];
  });
}

function parseNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a number is expected.');
  return Number(text);
}

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
