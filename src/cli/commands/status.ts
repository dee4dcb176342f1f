/** `ocicat status` */
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { AgentUnreachable } from '../../api/client.ts';
import type { AddressCandidate, Finding, SpeakerStatusView, StatusView } from '../../api/views.ts';
import { type CommandContext, CommandFailure, EXIT } from '../context.ts';
import { emit, type OutputForm, outputOption } from '../output/emit.ts';
import { formatSince } from '../output/format.ts';
import { paint, renderTable, type Tone } from '../output/table.ts';

const RETRY_MS = 100;

export function registerStatus(program: Command, context: CommandContext): void {
  program
    .command('status')
    .description(
      'how the agent (or a speaker alone) is doing, what is missing and what on this host gets in its way',
    )
    .option(
      '--wait <time>',
      'wait this long for the agent to be ready, without errors, such as 30s',
      parseSeconds,
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExit code: 0 without errors, 1 with an error among the findings, 3 when no agent answers.',
    )
    .action(async (options: { wait?: number; output: OutputForm }) => {
      const status = await readStatus(context, options.wait ?? 0);
      const { terminal } = context;
      await emit(terminal, options.output, status, (wide) =>
        'kind' in status
          ? renderSpeaker(status, terminal.colour, terminal.now())
          : render(status, wide, terminal.colour, terminal.now()),
      );
      if (hasErrors(status)) throw new CommandFailure('', EXIT.failure);
    });
}

type AnyStatus = StatusView | SpeakerStatusView;

function hasErrors(status: AnyStatus): boolean {
  return status.findings.some((finding) => finding.severity === 'error');
}

async function readStatus(context: CommandContext, waitMs: number): Promise<AnyStatus> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      const status = await context.client().call<AnyStatus>('GET', '/v1/status');
      if ((status.ready && !hasErrors(status)) || Date.now() >= deadline) return status;
    } catch (error) {
      if (!(error instanceof AgentUnreachable) || Date.now() >= deadline) throw error;
    }
    await delay(RETRY_MS);
  }
}

function parseSeconds(text: string): number {
  const match = /^(\d+)(ms|s|m)?$/.exec(text);
  if (match?.[1] === undefined) throw new InvalidArgumentError('give a time such as 30s.');
  return Number(match[1]) * ({ ms: 1, s: 1000, m: 60_000 }[match[2] ?? 's'] ?? 1000);
}

type StatusRow = readonly [title: string, text: string, tone: Tone];

function renderRows(rows: readonly StatusRow[], colour: boolean): string {
  return rows
    .map(([title, text, tone]) => `${paint(title.padEnd(10), 'dim', colour)}  ${paint(text, tone, colour)}\n`)
    .join('');
}

/** Of `ocicat bgp speak`. */
export function renderSpeaker(status: SpeakerStatusView, colour: boolean, now: number): string {
  const { bgp, fib, staticRoutes } = status;
  const ports = [...new Set(bgp.listeningPorts)].join(', ');
  const rows: StatusRow[] = [
    ['Speaker', `${status.version}, pid ${status.pid}, up ${formatSince(status.startedAt, now)}`, 'plain'],
    ['File', status.file, 'plain'],
    [
      'Router ID',
      status.routerId === undefined ? 'none yet' : `${status.routerId}, AS ${status.asNumber}`,
      status.routerId === undefined ? 'warn' : 'plain',
    ],
    [
      'BGP',
      `${bgp.established} of ${bgp.peers} peers established, ${ports === '' ? 'not listening' : `listening on port ${ports}`}` +
        (bgp.deferral.length > 0 ? `, waiting for End-of-RIB (${bgp.deferral.join(', ')})` : ''),
      bgp.established === bgp.peers ? 'good' : 'warn',
    ],
    ['Loc-RIB', `${bgp.locRib.ipv4} IPv4, ${bgp.locRib.ipv6} IPv6 prefixes`, 'plain'],
    [
      'Static',
      `${staticRoutes.announced} of ${staticRoutes.configured} static routes announced`,
      staticRoutes.announced === staticRoutes.configured ? 'good' : 'warn',
    ],
    [
      'FIB',
      fib === undefined
        ? 'off: routes go to no kernel (--fib)'
        : `${fib.desired} routes desired, ${fib.pending} pending, ${fib.failed} failed`,
      fib === undefined ? 'plain' : fib.failed > 0 ? 'bad' : fib.pending > 0 ? 'warn' : 'good',
    ],
  ];
  return renderRows(rows, colour) + renderFindings(status.findings, colour);
}

function render(status: StatusView, wide: boolean, colour: boolean, now: number): string {
  const { bgp, fib, policy } = status;
  const rows: StatusRow[] = [
    ['Node', `${status.node}${status.asNumber === undefined ? '' : `, AS ${status.asNumber}`}`, 'plain'],
    ['Router ID', status.routerId ?? 'none yet', status.routerId === undefined ? 'warn' : 'plain'],
    [
      'Addresses',
      [status.addresses.ipv4, status.addresses.ipv6].filter(Boolean).join(', ') || 'none',
      'plain',
    ],
    ['Agent', `${status.version}, pid ${status.pid}, up ${formatSince(status.startedAt, now)}`, 'plain'],
    [
      'Store',
      `${status.store.kind} ${status.store.path}, ${status.store.inSync ? 'in sync' : 'not in sync'}`,
      status.store.inSync ? 'good' : 'bad',
    ],
    [
      'BGP',
      `${bgp.established} of ${bgp.peers} peers established, ${bgp.listening ? `listening on port ${bgp.port}` : 'not listening'}` +
        (bgp.deferral.length > 0 ? `, waiting for End-of-RIB (${bgp.deferral.join(', ')})` : ''),
      bgp.established === bgp.peers ? 'good' : 'warn',
    ],
    ['Loc-RIB', `${bgp.locRib.ipv4} IPv4, ${bgp.locRib.ipv6} IPv6 prefixes`, 'plain'],
    [
      'FIB',
      `${fib.desired} routes desired, ${fib.pending} pending, ${fib.failed} failed${fib.mtu === undefined ? '' : `, endpoint MTU ${fib.mtu}`}`,
      fib.failed > 0 ? 'bad' : fib.pending > 0 ? 'warn' : 'good',
    ],
    [
      'Policy',
      `${policy.policies} policies, ${policy.sets} sets, ${policy.endpointsReady} of ${status.endpoints} endpoints enforced (${policy.backend})`,
      policy.pending ? 'warn' : 'good',
    ],
    ['Blocks', status.blocks.join(', ') || 'none', 'plain'],
  ];
  return (
    renderRows(rows, colour) +
    renderFindings(status.findings, colour) +
    (wide ? renderCandidates(status.addressCandidates, colour) : '')
  );
}

const SEVERITY_TONE = { error: 'bad', warning: 'warn', info: 'dim' } as const;

function renderFindings(findings: readonly Finding[], colour: boolean): string {
  if (findings.length === 0) return `\n${paint('Nothing to complain about.', 'good', colour)}\n`;
  return findings
    .map((finding) => {
      const head = `\n${paint(finding.severity.toUpperCase(), SEVERITY_TONE[finding.severity], colour)} ${finding.code}: ${finding.message}\n`;
      return finding.remedy === undefined ? head : `${head}${finding.remedy.replace(/^/gm, '    ')}\n`;
    })
    .join('');
}

function renderCandidates(candidates: readonly AddressCandidate[], colour: boolean): string {
  if (candidates.length === 0) return '';
  const table = renderTable<AddressCandidate>(
    [
      { title: 'Interface', cell: (row) => row.interface },
      { title: 'Address', cell: (row) => row.address },
      { title: 'Chosen', cell: (row) => (row.chosen ? { text: 'yes', tone: 'good' } : 'no') },
      { title: 'Reason', cell: (row) => row.reason },
    ],
    candidates,
    colour,
  );
  return `\nAddress candidates\n${table}`;
}
