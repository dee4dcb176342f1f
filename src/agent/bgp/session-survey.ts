/** All sessions of a speaker for `status`, one after the other: hundreds of them are looked at while the event loop turns. */
import type { Speaker } from '../../../bgp/speaker.ts';
import type { Steps } from '../../api/pieces.ts';
import type { Finding } from '../../api/views.ts';
import { FAMILIES } from '../../net/address.ts';
import type { Prefix } from '../../net/prefix.ts';
import { peerDownFinding, prefixLimitFindings } from './peer-findings.ts';

/** Received paths of a peer that are looked at for our own AS. */
const MAX_PATHS_READ = 20_000;
/** Paths looked at in a step: some ten microseconds' work. */
const PATHS_A_STEP = 16;

/** What is found. Each session is as it was at one moment, which need not be that of the next one. */
export interface SessionSurvey {
  readonly peers: number;
  readonly established: number;
  readonly findings: readonly Finding[];
}

/** What is asked of a speaker. */
export type SurveyedSpeaker = Pick<Speaker, 'peerNames' | 'peer' | 'ribPeerId'> & {
  readonly rib: Pick<Speaker['rib'], 'familyStatus' | 'received'>;
};

/** This node, for findings about its AS. */
export interface SurveyingNode {
  readonly name: string;
  /** whether this node advertises a prefix by itself: routers send such routes back, which is no fault */
  originates(prefix: Prefix): boolean;
}

/** Looks at all peers of a speaker; `node`: also for routes that have its AS in their path. */
export function* surveySessions(
  speaker: SurveyedSpeaker | undefined,
  node: SurveyingNode | undefined,
): Steps<SessionSurvey> {
  const findings: Finding[] = [];
  let peers = 0;
  let established = 0;
  for (const name of speaker?.peerNames() ?? []) {
    const peer = speaker?.peer(name);
    if (speaker === undefined || peer === undefined) continue;
    peers++;
    if (peer.state === 'Established') established++;
    const down = peerDownFinding(peer);
    if (down !== undefined) findings.push(down);
    findings.push(...prefixLimitFindings(peer));
    if (node !== undefined) {
      const looped = yield* countOwnAs(speaker, name, node);
      if (looped > 0) findings.push(ownAsFinding(node.name, name, peer.localAs, looped));
    }
    yield '';
  }
  return { peers, established, findings };
}

function* countOwnAs(speaker: SurveyedSpeaker, peer: string, node: SurveyingNode): Steps<number> {
  let looped = 0;
  for (const family of FAMILIES) {
    // Between two steps a peer may go.
    const id = speaker.ribPeerId(peer);
    if (id === undefined || speaker.rib.familyStatus(id, family).filtered === 0) continue;
    let read = 0;
    for (const path of speaker.rib.received(id, family)) {
      if (path.unusable === 'as-path-loop' && !node.originates(path.prefix)) looped++;
      if (++read >= MAX_PATHS_READ) break;
      if (read % PATHS_A_STEP === 0) yield '';
    }
  }
  return looped;
}

function ownAsFinding(node: string, peer: string, localAs: number, looped: number): Finding {
  const [routes, are] = looped === 1 ? ['a route', 'is'] : [`${looped} routes`, 'are'];
  return {
    severity: 'warning',
    code: 'own-as-in-path',
    message: `${routes} of peer ${peer} with our own AS ${localAs} in the AS path ${are} not used: other hosts share this AS`,
    remedy: `give each host an AS of its own (Node ${node}: spec.bgp.asNumber), or let the router replace it (FRR: neighbor X as-override)`,
  };
}
