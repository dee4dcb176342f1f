/** What optional capabilities come to, and what they change in the machine: RFC 7911, 8538, 8654, 8950, 9234, 9494. */
import assert from 'node:assert/strict';
import type { SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import {
  buildOpen,
  negotiate,
  type RestartFlags,
  type SessionConfig,
} from '../../../../bgp/session/negotiate.ts';
import type { Session } from '../../../../bgp/session/state.ts';
import { fsmState } from '../../../../bgp/session/state.ts';
import { hardReset, notification, withoutHardReset } from '../../../../bgp/wire/notification.ts';
import { actionText, CONFIG, EVENTS, FRESH, peerOpen, sessionIn } from './fixtures.ts';

const GRACEFUL = { restartTimeSec: 60, maxHelperTimeSec: 180, notification: true };
const LONG = { staleTimeSec: 600, maxHelperTimeSec: 300 };
const lost: SessionEvent = { type: 'TcpConnectionFails', connection: 1, reason: 'reset' };

function terms(ours: Partial<SessionConfig>, theirs: Partial<SessionConfig>) {
  const config = { ...CONFIG, ...ours };
  const negotiated = negotiate(config, buildOpen(config, FRESH), peerOpen(theirs));
  assert.ok(negotiated);
  return negotiated;
}

/** Runs an event at a time; returns the actions' texts and the new session. */
function run(session: Session, event: SessionEvent, now: number): { session: Session; texts: string[] } {
  const { state, actions } = step(session, event, now);
  return { session: state, texts: actions.map(actionText) };
}

describe('negotiated options', () => {
  it('both sides must offer', () => {
    for (const [field, of] of [
      [
        'extendedMessages',
        (n: ReturnType<typeof terms>) => n.context.extendedMessage && n.maxMessage === 65535,
      ],
      ['extendedNextHop', (n: ReturnType<typeof terms>) => n.context.extendedNextHop],
      ['enhancedRouteRefresh', (n: ReturnType<typeof terms>) => n.enhancedRouteRefresh],
    ] as const) {
      assert.equal(of(terms({ [field]: true }, { [field]: true })), true, field);
      assert.equal(of(terms({ [field]: true }, {})), false, field);
      assert.equal(of(terms({}, { [field]: true })), false, field);
    }
  });

  it('ADD-PATH: one side sends what the other receives, by family (RFC 7911 4)', () => {
    const none = { send: false, receive: false };
    const negotiated = terms(
      { addPath: { ipv4: { send: true, receive: true }, ipv6: { send: true, receive: false } } },
      { addPath: { ipv4: { send: false, receive: true }, ipv6: none } },
    );
    assert.deepEqual(negotiated.addPathSend, { ipv4: true, ipv6: false });
    assert.deepEqual(negotiated.context.addPathReceive, { ipv4: false, ipv6: false });
  });

  it('the peer may have any AS of several; its OPEN says which', () => {
    const config: SessionConfig = { ...CONFIG, peerAs: 1, acceptedAs: [65002, 65003] };
    const up = sessionIn('Established', config);
    assert.equal(fsmState(up), 'Established');
    assert.equal(up.config.peerAs, 65002);
    const refused = run(sessionIn('OpenSent', { ...config, acceptedAs: [65003] }), EVENTS.BGPOpen, 1);
    assert.ok(refused.texts.includes('close#1 2/2'));
    const own = { ...CONFIG, peerAs: 1, acceptedAs: 'external' as const, localAs: 65002 };
    assert.ok(run(sessionIn('OpenSent', own), EVENTS.BGPOpen, 1).texts.includes('close#1 2/2'));
  });

  it('a keepalive time of our own holds unless a third of the hold time is less', () => {
    const every = (keepaliveTimeSec: number): number | undefined =>
      negotiate({ ...CONFIG, keepaliveTimeSec }, buildOpen(CONFIG, FRESH), peerOpen())?.keepaliveTimeSec;
    assert.deepEqual([every(5), every(30), every(80)], [5, 30, 30]);
  });

  it('roles that do not go together are 2/11 (RFC 9234 4.2)', () => {
    const config: SessionConfig = { ...CONFIG, role: { local: 3, strict: true } };
    const event = (role: number | undefined): SessionEvent => ({
      type: 'BGPOpen',
      connection: 1,
      open: peerOpen(role === undefined ? {} : { role: { local: role, strict: false } }),
    });
    assert.ok(run(sessionIn('OpenSent', config), event(0), 1).texts.includes('send-keepalive#1'));
    assert.ok(run(sessionIn('OpenSent', config), event(3), 1).texts.includes('close#1 2/11'));
    assert.ok(run(sessionIn('OpenSent', config), event(undefined), 1).texts.includes('close#1 2/11'));
  });

  describe('NOTIFICATIONs under graceful restart, RFC 8538', () => {
    const config: SessionConfig = { ...CONFIG, gracefulRestart: GRACEFUL };
    const both = (): Session => sessionIn('Established', config, peerOpen({ gracefulRestart: GRACEFUL }));
    const downText = (session: Session, event: SessionEvent): string =>
      run(session, event, 1).texts.find((text) => text.startsWith('down')) ?? '';

    it('routes are kept over any but a hard reset, when both sides set the N bit', () => {
      assert.equal(downText(both(), EVENTS.NotifMsg), 'down ipv4 ipv6');
      assert.equal(downText(both(), EVENTS.HoldTimer_Expires), 'down ipv4 ipv6');
      const hard: SessionEvent = { type: 'NotifMsg', connection: 1, error: hardReset(notification(6, 2)) };
      assert.equal(downText(both(), hard), 'down');
      const one = { ...GRACEFUL, notification: false };
      const half = sessionIn('Established', config, peerOpen({ gracefulRestart: one }));
      assert.equal(downText(half, EVENTS.NotifMsg), 'down');
    });

    it('what ends the session for good goes inside a hard reset', () => {
      assert.ok(run(both(), EVENTS.ManualStop, 1).texts.includes('close#1 6/9'));
      assert.ok(run(both(), EVENTS.AutomaticStop, 1).texts.includes('close#1 6/9'));
      const changed: SessionEvent = { type: 'AutomaticStop', error: notification(6, 6), reason: 'changed' };
      assert.ok(run(both(), changed, 1).texts.includes('close#1 6/6'));
    });

    it('the end of BFD is such an end (RFC 9384 4): routes over a way that is broken are not kept', () => {
      const down: SessionEvent = { type: 'AutomaticStop', error: notification(6, 10), reason: 'BFD' };
      const after = run(both(), down, 1);
      assert.ok(after.texts.includes('close#1 6/9'));
      assert.ok(after.texts.includes('down'));
      const { error } = after.session.lastReset ?? {};
      assert.deepEqual(error && withoutHardReset(error), notification(6, 10));
      assert.deepEqual(withoutHardReset(notification(6, 9)), notification(6, 9));
    });
  });

  describe('long-lived graceful restart, RFC 9494 4.2', () => {
    const config: SessionConfig = {
      ...CONFIG,
      gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 180 },
      longLivedGracefulRestart: LONG,
    };
    const theirs = {
      gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 1 },
      longLivedGracefulRestart: LONG,
    };
    const established = (): Session => sessionIn('Established', config, peerOpen(theirs));

    it('takes over when the restart time is over, for the shorter of the two times', () => {
      const gone = run(established(), lost, 1000);
      assert.ok(gone.texts.includes('+restart 60s'));
      const long = run(gone.session, { type: 'RestartTimer_Expires' }, 61_000);
      assert.deepEqual(long.texts, ['long-lived ipv4 ipv6', '+long-lived 300s']);
      const early = run(long.session, { type: 'LongLivedTimer_Expires' }, 100_000);
      assert.deepEqual(early.texts, ['+long-lived 261s']);
      const over = run(early.session, { type: 'LongLivedTimer_Expires' }, 361_000);
      assert.deepEqual(over.texts, ['purge ipv4 ipv6', '-long-lived']);
      assert.deepEqual(over.session.stale, []);
    });

    it('begins at once where the restart time is 0', () => {
      const zero = { ...theirs, gracefulRestart: { restartTimeSec: 0, maxHelperTimeSec: 1 } };
      const gone = run(sessionIn('Established', config, peerOpen(zero)), lost, 1000);
      assert.ok(gone.texts.includes('long-lived ipv4 ipv6'));
      assert.ok(gone.texts.includes('+long-lived 300s'));
    });

    it('counts only beside graceful restart, and only when both offer it', () => {
      const alone = peerOpen({ longLivedGracefulRestart: LONG });
      assert.ok(!alone.capabilities.some(({ kind }) => kind === 'long-lived-graceful-restart'));
      assert.equal(terms({ gracefulRestart: GRACEFUL }, theirs).longLived, undefined);
    });

    it('a peer that comes back without the F bit loses its routes at once', () => {
      const gone = run(established(), lost, 1000);
      let session = run(gone.session, { type: 'RestartTimer_Expires' }, 61_000).session;
      for (const event of [
        { type: 'IdleHoldTimer_Expires' },
        { type: 'Tcp_CR_Acked', connection: 2 },
        { type: 'BGPOpen', connection: 2, open: peerOpen(theirs) },
      ] as const) {
        session = run(session, event, 70_000).session;
      }
      const back = run(session, { type: 'KeepAliveMsg', connection: 2 }, 70_000);
      assert.ok(back.texts.includes('purge ipv4 ipv6'));
      assert.ok(back.texts.includes('-long-lived'));
    });
  });

  describe('long-lived graceful restart over several sessions, RFC 9494 4.2', () => {
    const config: SessionConfig = {
      ...CONFIG,
      gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 180 },
      longLivedGracefulRestart: LONG,
    };
    const forwarding: RestartFlags = { restarting: true, forwarding: { ipv4: true, ipv6: true } };
    const theirs = {
      gracefulRestart: { restartTimeSec: 60, maxHelperTimeSec: 1 },
      longLivedGracefulRestart: LONG,
    };

    /** Lost at 1 s, long-lived stale from 61 s on, up again as connection 2 at 100 s. */
    function back(): { readonly session: Session; readonly texts: readonly string[] } {
      const open = peerOpen(theirs, forwarding);
      let { session } = run(sessionIn('Established', config, open), lost, 1000);
      session = run(session, { type: 'RestartTimer_Expires' }, 61_000).session;
      for (const event of [
        { type: 'IdleHoldTimer_Expires' },
        { type: 'Tcp_CR_Acked', connection: 2 },
        { type: 'BGPOpen', connection: 2, open },
      ] as const) {
        session = run(session, event, 100_000).session;
      }
      return run(session, { type: 'KeepAliveMsg', connection: 2 }, 100_000);
    }
    const lostAgain: SessionEvent = { type: 'TcpConnectionFails', connection: 2, reason: 'reset' };

    it('its time runs on after the return, until End-of-RIB', () => {
      const returned = back();
      assert.ok(returned.texts.includes('+long-lived 261s'));
      assert.ok(!returned.texts.some((text) => text.startsWith('+stale')), 'it has its own bound');
      const one = run(returned.session, { type: 'EndOfRib', family: 'ipv4' }, 110_000);
      assert.deepEqual(one.texts, ['+long-lived 251s']);
      assert.deepEqual(one.session.stale, ['ipv6']);
      const both = run(one.session, { type: 'EndOfRib', family: 'ipv6' }, 111_000);
      assert.deepEqual(both.texts, ['-long-lived']);
      const anew = run(both.session, lostAgain, 120_000);
      const long = run(anew.session, { type: 'RestartTimer_Expires' }, 180_000);
      assert.deepEqual(long.texts, ['long-lived ipv4 ipv6', '+long-lived 300s']);
    });

    it('is not begun anew by a session that ends before End-of-RIB', () => {
      const again = run(back().session, lostAgain, 120_000);
      assert.ok(again.texts.includes('down ipv4 ipv6'));
      assert.ok(again.texts.includes('+restart 60s'));
      const long = run(again.session, { type: 'RestartTimer_Expires' }, 180_000);
      assert.deepEqual(long.texts, ['long-lived ipv4 ipv6', '+long-lived 181s']);
    });

    it('over before End-of-RIB: what is still stale goes, and all of it should the session end then', () => {
      const over = run(back().session, { type: 'LongLivedTimer_Expires' }, 361_000);
      assert.deepEqual(over.texts, ['purge ipv4 ipv6', '-long-lived']);
      assert.ok(run(over.session, lostAgain, 362_000).texts.includes('down'));
      const synchronous = run(over.session, { type: 'EndOfRib', family: 'ipv4' }, 362_000).session;
      assert.ok(run(synchronous, lostAgain, 363_000).texts.includes('down ipv4'));
    });

    it('a family that is not in the other capability has no restart time', () => {
      const open = peerOpen(theirs, forwarding);
      const capabilities = open.capabilities.map((capability) =>
        capability.kind === 'graceful-restart'
          ? { ...capability, families: capability.families.filter(({ afi }) => afi === 1) }
          : capability,
      );
      const gone = run(sessionIn('Established', config, { ...open, capabilities }), lost, 1000);
      assert.ok(gone.texts.includes('down ipv4 ipv6'));
      assert.ok(gone.texts.includes('+restart 60s'));
      assert.ok(gone.texts.includes('long-lived ipv6'));
      assert.ok(gone.texts.includes('+long-lived 300s'));
      const long = run(gone.session, { type: 'RestartTimer_Expires' }, 61_000);
      assert.deepEqual(long.texts, ['long-lived ipv4 ipv6', '+long-lived 240s']);
    });
  });

  it('a session that is stopped for a while, or until somebody starts it (RFC 4486 4)', () => {
    const stop = (idle: number | 'until-started'): SessionEvent => ({
      type: 'AutomaticStop',
      error: notification(6, 1),
      reason: 'too much',
      idle,
    });
    const waiting = run(sessionIn('Established'), stop(60_000), 1);
    assert.ok(waiting.texts.includes('+idle-hold 60s'));
    assert.equal(waiting.session.admin, 'up');
    const stopped = run(sessionIn('Established'), stop('until-started'), 1);
    assert.equal(stopped.session.admin, 'down');
    assert.ok(!stopped.texts.some((text) => text.startsWith('+')));
  });
});
