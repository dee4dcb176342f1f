/** What a speaker on its own answers where an agent would tell of itself. */
import { formatRouterId } from '../../bgp/wire/format.ts';
import { surveySessions } from '../agent/bgp/session-survey.ts';
import type { Steps } from '../api/pieces.ts';
import { type ApiError, problem } from '../api/problem.ts';
import type { Finding, SpeakerStatusView } from '../api/views.ts';
import { VERSION } from '../version.ts';
import type { SpeakDaemon } from './daemon.ts';
import type { SpeakKernel } from './kernel.ts';

/** What the process knows beside its speaker. */
export interface SpeakState {
  readonly file: string;
  /** epoch milliseconds */
  readonly startedAt: number;
  readonly kernel: SpeakKernel | undefined;
  /** of the configuration in force */
  findings: readonly Finding[];
  /** why the file as it stands is not in force; empty: it is */
  faults: readonly string[];
}

/** `GET /v1/status` */
export function* speakStatus(daemon: SpeakDaemon, state: SpeakState): Steps<SpeakerStatusView> {
  const { speaker } = daemon;
  const sessions = yield* surveySessions(speaker, undefined);
  const fib = state.kernel?.routeCounts();
  return {
    kind: 'speaker',
    version: VERSION,
    pid: process.pid,
    startedAt: state.startedAt,
    ready: speaker !== undefined,
    file: state.file,
    ...(speaker && { routerId: formatRouterId(speaker.routerId), asNumber: speaker.localAs }),
    bgp: {
      listeningPorts: speaker?.listeningPorts ?? [],
      peers: sessions.peers,
      established: sessions.established,
      deferral: speaker?.deferred ?? [],
      locRib: speaker?.rib.sizes.prefixes ?? { ipv4: 0, ipv6: 0 },
    },
    staticRoutes: daemon.staticRoutes,
    ...(fib && { fib }),
    findings: [
      ...state.faults.map(
        (fault): Finding => ({
          severity: 'error',
          code: 'configuration-refused',
          message: `${fault}; the last good configuration stays in force`,
          remedy: `mend ${state.file}: it is read again as soon as it changes`,
        }),
      ),
      ...state.findings,
      ...(state.kernel?.findings() ?? []),
      ...(daemon.peers.length + daemon.ranges.length === 0 ? [noPeers(state.file)] : []),
      ...sessions.findings,
    ],
  };
}

function noPeers(file: string): Finding {
  return {
    severity: 'warning',
    code: 'no-peers',
    message: `${file} has no BGPPeer for this node`,
    remedy: [
      'add one to it:',
      '---',
      'apiVersion: projectcalico.org/v3',
      'kind: BGPPeer',
      'metadata: {name: tor}',
      'spec: {peerIP: 192.0.2.1, asNumber: 65001, filters: [all]}',
      '---',
      'apiVersion: projectcalico.org/v3',
      'kind: BGPFilter',
      'metadata: {name: all}',
      'spec: {}',
    ].join('\n'),
  };
}

/** The answer to what only an agent knows. */
export function onlyAgentKnows(method: string, path: string): ApiError {
  const isKernels = path.startsWith('/v1/routes');
  return problem('not-found', `a BGP speaker alone ("ocicat bgp speak") has no ${method} ${path}`, {
    hint: isKernels
      ? 'It was started without --fib: its routes go to no kernel. "ocicat bgp routes" shows them.'
      : 'It answers "ocicat bgp", "ocicat status" and, with --fib, "ocicat routes". The agent answers at a socket of its own (--socket, OCICAT_SOCKET).',
  });
}
