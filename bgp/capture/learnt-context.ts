/** What the OPENs seen on a connection say of how its messages are to be read. */
import { negotiate } from '../session/negotiate.ts';
import { openAs } from '../wire/open.ts';
import type { OpenMessage } from '../wire/types.ts';
import type { SessionPhase, VerdictContext } from '../wire/verdict.ts';

/** Context of messages from the sender of `theirs` to the sender of `ours`; what no OPEN tells is as in `otherwise`. */
export function learntContext(
  phase: SessionPhase,
  ours: OpenMessage | undefined,
  theirs: OpenMessage | undefined,
  otherwise: VerdictContext,
): VerdictContext {
  const localAs = ours === undefined ? otherwise.localAs : openAs(ours);
  // An OPEN is judged by itself: whom the receiver expected, the capture does not tell.
  const peerAs = theirs === undefined ? otherwise.peerAs : openAs(theirs);
  const known: VerdictContext = { ...otherwise, phase, localAs, peerAs };
  if (ours === undefined || theirs === undefined) return known;
  const peerKind = localAs === peerAs ? 'ibgp' : 'ebgp';
  const terms = negotiate(
    {
      localAs,
      peerAs,
      routerId: ours.routerId,
      passive: false,
      holdTimeSec: ours.holdTimeSec,
      connectRetrySec: 0,
      connectRetryMaxSec: 0,
      families: [],
      gracefulRestart: undefined,
    },
    ours,
    theirs,
  );
  // Without a common family nothing is negotiated, and every route is ignored.
  if (terms === undefined) return { ...known, peerKind, families: { ipv4: false, ipv6: false } };
  return { ...known, ...terms.context };
}
