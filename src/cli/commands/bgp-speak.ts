/** `ocicat bgp speak` */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Choice, METRIC, PROTOCOL, TABLE } from '../../agent/route-limits.ts';
import { parseAddress } from '../../net/address.ts';
import type { LogFormat, LogLevel } from '../../speak/log.ts';
import type { SpeakOptions } from '../../speak/main.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';

const PRIVILEGED_SOCKET = '/run/ocicat/speak.sock';

interface Flags {
  readonly config: string;
  readonly node?: string;
  readonly listen?: SpeakOptions['listen'] | 'none';
  readonly fib?: boolean;
  readonly fibTable?: number;
  readonly fibMetric?: number;
  readonly fibProtocol?: number;
  readonly suppressFibPending: boolean;
  readonly check?: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

export function registerSpeak(bgp: Command, context: CommandContext): void {
  bgp
    .command('speak')
    .description('run the BGP speaker alone, as a plain BGP daemon; no root needed on a port above 1023')
    .requiredOption('--config <file>', 'YAML: Node, BGPConfiguration, BGPPeer, BGPFilter, StaticRoutes')
    .option(
      '--node <name>',
      'which Node of the file we are (default: its only one, or that of the host name)',
    )
    .addOption(
      new Option(
        '--listen <[address:]port>',
        'where peers reach us; repeatable for more addresses; "none": we only dial (default: all addresses, port ' +
          'of the BGPConfiguration or 179)',
      ).argParser(parseListen),
    )
    .option('--fib', 'best and static routes go to the kernel (needs CAP_NET_ADMIN)')
    .addOption(choice('--fib-table <number>', 'with --fib: the routing table (default: main, 254)', TABLE))
    .addOption(
      choice('--fib-metric <number>', 'with --fib: the metric of our routes (default: 1024)', METRIC),
    )
    .addOption(
      choice('--fib-protocol <number>', 'with --fib: routing protocol number (default: 171)', PROTOCOL),
    )
    .option(
      '--no-suppress-fib-pending',
      'with --fib: learned routes go to others before the kernel has taken them',
    )
    .option('--check', 'check the file, say what it asks for, and end')
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error']).default('info'))
    .addOption(new Option('--log-format <form>').choices(['json', 'pretty']).default('json'))
    .addHelpText(
      'after',
      `
The file is read again when it changes and at SIGHUP; a faulty one changes nothing. SIGTERM ends it.
Between eBGP peers nothing passes without filters (RFC 8212). One that accepts everything:
  {apiVersion: projectcalico.org/v3, kind: BGPFilter, metadata: {name: all}, spec: {}}
"ocicat --socket ${defaultSocket()} bgp peers" asks it; "ocicat --socket PATH bgp speak ..." puts it elsewhere.`,
    )
    .action(async (flags: Flags, command: Command) => {
      const { socket } = command.optsWithGlobals<{ socket?: string }>();
      await speak(context, flags, socket ?? process.env['OCICAT_SOCKET'] ?? defaultSocket());
    });
}

async function speak({ terminal }: CommandContext, flags: Flags, socket: string): Promise<void> {
  const { checkSpeakFile, runSpeak, SpeakFailure } = await import('../../speak/main.ts');
  const { config: file, node } = flags;
  const routes = { table: flags.fibTable, metric: flags.fibMetric, protocol: flags.fibProtocol };
  if (flags.fib !== true && Object.values(routes).some((value) => value !== undefined))
    throw new CommandFailure('--fib-table, --fib-metric and --fib-protocol need --fib', EXIT.usage);
  try {
    if (flags.check === true) {
      const { peers, statics, findings } = checkSpeakFile(file, node);
      for (const { message } of findings) terminal.err(`${message}\n`);
      terminal.out(`${file}: ${peers.length} peers, ${statics.length} static routes\n`);
      return;
    }
    const { makeLog } = await import('../../speak/log.ts');
    await runSpeak({
      file,
      node,
      socket,
      fib: flags.fib === true,
      routes,
      advertiseAtOnce: !flags.suppressFibPending,
      listen: flags.listen === 'none' ? undefined : (flags.listen ?? {}),
      log: makeLog((line) => terminal.out(line), flags.logLevel, flags.logFormat),
    });
  } catch (error) {
    if (error instanceof SpeakFailure) throw new CommandFailure(error.message, EXIT.usage);
    throw error;
  }
}

/** An option that takes one of the numbers that the agent's file takes too. */
function choice(flags: string, description: string, { allows, rule }: Choice): Option {
  return new Option(flags, description).argParser((text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!allows(value)) throw new InvalidArgumentError(`It ${rule}.`);
    return value;
  });
}

/** Where the API is without `--socket`: apart from the agent's, and where a user may write. */
function defaultSocket(): string {
  const uid = process.getuid?.();
  if (uid === 0) return PRIVILEGED_SOCKET;
  const own = process.env['XDG_RUNTIME_DIR'];
  return own === undefined
    ? join(tmpdir(), `ocicat-${uid}`, 'speak.sock')
    : join(own, 'ocicat', 'speak.sock');
}

/** `1179`, `192.0.2.1:1179`, `[2001:db8::1]:1179` or `none`; several are collected and must agree on the port. */
export function parseListen(text: string, before: Flags['listen']): NonNullable<Flags['listen']> {
  if (text === 'none') return 'none';
  const match = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? 0);
  const written = match?.[1] ?? match?.[2] ?? '';
  const address = written === '' ? undefined : parseAddress(written);
  if (port < 1 || port > 65535 || (written !== '' && address === undefined)) {
    throw new InvalidArgumentError('expected PORT, ADDRESS:PORT, [ADDRESS]:PORT or none.');
  }
  const earlier = before === 'none' ? undefined : before;
  if (earlier?.port !== undefined && earlier.port !== port) {
    throw new InvalidArgumentError(`all must be of one port, ${earlier.port} or ${port}.`);
  }
  const addresses = [...(earlier?.addresses ?? []), ...(address === undefined ? [] : [address])];
  return { port, ...(addresses.length > 0 && { addresses }) };
}
