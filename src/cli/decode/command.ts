/** `ocicat bgp decode`: its options. What it does is loaded when it runs. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from '../context.ts';
import { type OutputForm, outputOption } from '../output/emit.ts';

const FAMILY_NAMES: Readonly<Record<string, readonly string[]>> = {
  none: [],
  ipv4: ['ipv4-unicast'],
  ipv6: ['ipv6-unicast'],
  'ipv4-unicast': ['ipv4-unicast'],
  'ipv6-unicast': ['ipv6-unicast'],
  all: ['ipv4-unicast', 'ipv6-unicast'],
};

/** As commander reads them. */
export interface DecodeOptions {
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
    .action(async (words: string[], options: DecodeOptions) => {
      const { decode } = await import('./action.ts');
      await decode(context, words, options);
    });
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
