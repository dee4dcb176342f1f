/** Fast external failover: what a session does when the link under it fails and recovers. */
import assert from 'node:assert/strict';
import type { SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import { fsmState, type Session, sessionState } from '../../../../bgp/session/state.ts';
import { notification } from '../../../../bgp/wire/notification.ts';
import { actionText, CONFIG, EVENTS, peerOpen, sessionIn } from './fixtures.ts';

const DIAL = '-idle-hold, dial, +connect-retry 5s~';
const graceful = (): Session =>
  sessionIn(
    'Established',
    CONFIG,
    peerOpen({ gracefulRestart: { restartTimeSec: 100, maxHelperTimeSec: 100 } }),
  );

function run(session: Session, ...events: readonly SessionEvent[]): { session: Session; text: string } {
  let state = session;
  let text = '';
  for (const event of events) {
    const result = step(state, event, 100_000);
    state = result.state;
    text = result.actions.map(actionText).join(', ');
  }
  return { session: state, text };
}

describe('session machine: the link under the session', () => {
  it('its failure is the last reset, without a NOTIFICATION, and held against nobody', () => {
    const before = sessionIn('Established');
    const { session } = run(before, EVENTS.LinkFails);
    assert.deepEqual(session.lastReset, {
      at: 100_000,
      direction: 'none',
      error: undefined,
      reason: 'link eth0 is down: no carrier',
    });
    assert.equal(session.failures, before.failures);
  });

  it('graceful restart keeps no routes over it, nor those that a lost session left before', () => {
    const kept = run(graceful(), EVENTS.TcpConnectionFails);
    assert.match(kept.text, /down ipv4 ipv6/);
    assert.match(run(graceful(), EVENTS.LinkFails).text, /down,/);
    const { session, text } = run(kept.session, EVENTS.LinkFails);
    assert.equal(text, 'purge ipv4 ipv6, -restart, -stale');
    assert.deepEqual(session.stale, []);
  });

  it('nothing is tried until it recovers, and then at once', () => {
    const down = run(sessionIn('Established'), EVENTS.LinkFails, EVENTS.AutomaticStart);
    assert.deepEqual([fsmState(down.session), down.text], ['Idle', '-idle-hold']);
    const up = run(down.session, EVENTS.LinkRecovers);
    assert.deepEqual([fsmState(up.session), up.text], ['Connect', DIAL]);
    assert.equal(up.session.linkDown, undefined);
    // Told again, it is no news.
    assert.equal(run(up.session, EVENTS.LinkRecovers).text, '');
  });

  it('a connection that comes in before the word of the link does is taken up with it', () => {
    const { session, text } = run(
      sessionIn('Connect'),
      EVENTS.LinkFails,
      EVENTS.TcpConnectionConfirmed,
      EVENTS.LinkRecovers,
    );
    assert.equal(text, `${DIAL}, send-open#2, +hold#2 240s`);
    assert.equal(fsmState(session), 'OpenSent');
  });

  it('a peer that waits in IdleHold goes on waiting, whichever ends first', () => {
    const idle = sessionIn('Idle');
    const back = run(idle, EVENTS.LinkFails, EVENTS.LinkRecovers);
    assert.deepEqual([fsmState(back.session), back.text], ['Idle', '']);
    assert.equal(run(back.session, EVENTS.IdleHoldTimer_Expires).text, DIAL);
    const later = run(idle, EVENTS.LinkFails, EVENTS.IdleHoldTimer_Expires, EVENTS.LinkRecovers);
    assert.deepEqual([fsmState(later.session), later.text], ['Connect', DIAL]);
  });

  it('a session that was stopped stays so; started meanwhile it waits for the link', () => {
    const stopped = run(sessionIn('Established'), EVENTS.LinkFails, EVENTS.ManualStop, EVENTS.LinkRecovers);
    assert.deepEqual([sessionState(stopped.session), stopped.text], ['Idle(Admin)', '']);
    const started = run(stopped.session, EVENTS.LinkFails, EVENTS.ManualStart);
    assert.deepEqual([sessionState(started.session), started.text], ['Idle', '-idle-hold']);
    assert.equal(run(started.session, EVENTS.LinkRecovers).text, DIAL);
  });

  it('one that is to stay away until it is started by hand does so over the failure of its link', () => {
    const stop: SessionEvent = {
      type: 'AutomaticStop',
      error: notification(6, 1),
      reason: 'too many prefixes',
      idle: 'until-started',
    };
    const { session } = run(sessionIn('Established'), stop, EVENTS.LinkFails, EVENTS.LinkRecovers);
    assert.equal(fsmState(session), 'Idle');
  });
});
