/**
 * Cells of the session table for the link under a single-hop session: fast external failover.
 *
 * FRR does it for every directly connected eBGP peer (`bgp fast-external-failover`, on by default; bgpd/bgp_zebra.c, `bgp_ifp_down`: event 2
 * without a NOTIFICATION, last reset "Interface down"), BIRD for every direct one (`check link`; proto/bgp/bgp.c, `bgp_neigh_notify`: "Link
 * down", Cease 6/0). Here no NOTIFICATION is sent: it could not leave, and would end what comes after it when the link is back. The peer sees its
 * own end of the link go, or our FIN once it is back.
 *
 * Graceful restart does not keep the routes, as with BIRD. (FRR marks them stale as for any loss of TCP, RFC 4724 4.2, and leaves it to the
 * resolution of next hops that nobody uses them.) What is behind a dead link cannot be reached; a neighbour whose links all went is
 * most often without power, so that it does not forward when the link is back, before it speaks BGP; and where nobody resolves next hops, kept
 * routes would go on being used and announced. So it is with BFD, whose word is no better (RFC 5882 4.3).
 */
import type { EventOf } from './events.ts';
import { forgetStale } from './stale-routes.ts';
import type { Turn } from './turn.ts';

/** Ends all, and nothing is tried until the link is back. Not held against the peer: no IdleHold grows by it. */
export function linkFails(turn: Turn, { reason }: EventOf<'LinkFails'>): void {
  turn.session.linkDown = { reason, resumes: true };
  turn.dropAll({ reason, loss: 'link' });
  forgetStale(turn);
  turn.toIdle();
}

/** What keeps the session Idle goes on keeping it: IdleHold runs, or somebody stopped it. */
export function linkFailsWhileIdle(turn: Turn, { reason }: EventOf<'LinkFails'>): void {
  turn.session.linkDown = { reason, resumes: turn.session.linkDown?.resumes ?? false };
  turn.dropAll({ reason, loss: 'link' });
  forgetStale(turn);
}

/** Dials at once: the kernel says when there is a reason to try, and how often. */
export function linkRecovers(turn: Turn): void {
  const { linkDown } = turn.session;
  turn.session.linkDown = undefined;
  if (linkDown?.resumes !== true || turn.session.admin === 'down') return;
  turn.session.dialFailures = 0;
  turn.begin();
}
