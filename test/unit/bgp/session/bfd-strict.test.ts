/** BGP held back until BFD is up: draft-ietf-idr-bgp-bfd-strict-mode 8, by the states of a connection that waits. */
import assert from 'node:assert/strict';
import type { EventName, SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import type { SessionConfig } from '../../../../bgp/session/negotiate.ts';
import { fsmState, type Session } from '../../../../bgp/session/state.ts';
import { actionText, CONFIG, EVENTS, peerOpen, sessionIn } from './fixtures.ts';

const STRICT: SessionConfig = { ...CONFIG, bfdStrict: true };
const opened = (change: Partial<SessionConfig> = {}): SessionEvent => ({
  type: 'BGPOpen',
  connection: 1,
  open: peerOpen({ bfdStrict: true, ...change }),
});

/** Runs events; returns the texts of the last one's actions, and the session. */
function run(session: Session, ...events: readonly SessionEvent[]): { session: Session; text: string } {
  let state = session;
  let text = '';
  for (const event of events) {
    const result = step(state, event, 1000);
    state = result.state;
    text = result.actions.map(actionText).join(', ');
  }
  return { session: state, text };
}

/** A connection whose peer's OPEN came while BFD was down; `confirmed`: its KEEPALIVE too. */
function waiting(confirmed = false): Session {
  const { session } = run(sessionIn('OpenSent', STRICT), opened());
  return confirmed ? run(session, EVENTS.KeepAliveMsg).session : session;
}

const CONFIRM = 'send-keepalive#1, +keepalive#1 30s~, +hold#1 90s';
const ESTABLISH = '+hold#1 90s, +send-hold#1 480s, up#1';

describe('session machine: BFD strict mode', () => {
  it('the OPEN is not answered until BFD is up; the hold time bounds the wait, 30 s where there is none', () => {
    const { session, text } = run(sessionIn('OpenSent', STRICT), opened());
    assert.deepEqual([fsmState(session), text], ['OpenSent', '+hold#1 90s']);
    assert.equal(run(sessionIn('OpenSent', STRICT), opened({ holdTimeSec: 0 })).text, '+hold#1 30s');
    const { session: late, text: confirm } = run(session, { type: 'BfdUp' });
    assert.deepEqual([fsmState(late), confirm], ['OpenConfirm', CONFIRM]);
    const { session: up } = run(late, EVENTS.KeepAliveMsg);
    assert.equal(fsmState(up), 'Established');
  });

  it('a peer that saw BFD up first is established with it', () => {
    const { session, text } = run(waiting(), EVENTS.KeepAliveMsg);
    assert.deepEqual([fsmState(session), text], ['OpenSent', '+hold#1 90s']);
    const { session: up, text: both } = run(session, { type: 'BfdUp' });
    assert.deepEqual([fsmState(up), both], ['Established', `${CONFIRM}, ${ESTABLISH}`]);
  });

  it('where BFD is up already, or one side does not ask for it, nothing waits', () => {
    assert.equal(run(sessionIn('OpenSent', STRICT), { type: 'BfdUp' }, opened()).text, CONFIRM);
    assert.equal(run(sessionIn('OpenSent', STRICT), opened({ bfdStrict: false })).text, CONFIRM);
    assert.equal(run(sessionIn('OpenSent', CONFIG), opened()).text, CONFIRM);
    assert.equal(run(sessionIn('OpenSent', STRICT), { type: 'BfdAdminDown' }, opened()).text, CONFIRM);
  });

  it('BFD that is taken out of service on purpose lets the session go on', () => {
    assert.equal(fsmState(run(waiting(), { type: 'BfdAdminDown' }).session), 'OpenConfirm');
    assert.equal(fsmState(run(waiting(true), { type: 'BfdAdminDown' }).session), 'Established');
  });

  it('a second connection of the peer does not push out the one that waits: the identifiers decide', () => {
    const beside = run(waiting(), { type: 'TcpConnectionConfirmed', connection: 2 }).session;
    assert.deepEqual(
      beside.connections.map(({ id }) => id),
      [1, 2],
    );
    const second: SessionEvent = { type: 'BGPOpen', connection: 2, open: peerOpen({ bfdStrict: true }) };
    const { session } = run(beside, second);
    assert.deepEqual(
      session.connections.map(({ id, state }) => [id, state]),
      [[2, 'OpenSent']],
    );
    assert.equal(fsmState(run(session, { type: 'BfdUp' }).session), 'OpenConfirm');
  });

  const ends: readonly (readonly [EventName, string])[] = [
    ['HoldTimer_Expires', '6/10'],
    ['BGPOpen', '5/1'],
    ['UpdateMsg', '5/1'],
    ['RouteRefreshMsg', '5/1'],
    ['BGPHeaderErr', '1/1'],
    ['BGPOpenMsgErr', '2/2'],
    ['UpdateMsgErr', '5/1'],
    ['RouteRefreshMsgErr', '5/1'],
    ['OpenCollisionDump', '6/7'],
    ['NotifMsg', ''],
    ['NotifMsgVerErr', ''],
    ['TcpConnectionFails', ''],
    ['ManualStop', '6/2'],
    ['AutomaticStop', '6/4'],
  ];
  for (const confirmed of [false, true]) {
    describe(confirmed ? 'while the peer has confirmed' : 'while the peer waits too', () => {
      for (const [event, code] of ends) {
        it(`${event}: ${code || 'closed'}`, () => {
          const { session, text } = run(waiting(confirmed), EVENTS[event]);
          assert.ok(text.split(', ').includes(code === '' ? 'close#1' : `close#1 ${code}`), text);
          assert.deepEqual(session.connections, []);
        });
      }

      const stays: readonly EventName[] = [
        'ManualStart',
        'AutomaticStart',
        'ConnectRetryTimer_Expires',
        'KeepaliveTimer_Expires',
        'IdleHoldTimer_Expires',
        'SendHoldTimer_Expires',
        'BfdDown',
        'EndOfRib',
        'RestartTimer_Expires',
        'StaleTimer_Expires',
        'StaleForgotten',
        'LongLivedTimer_Expires',
      ];
      for (const event of stays) {
        it(`${event}: it goes on waiting`, () => {
          const before = waiting(confirmed);
          const { session, text } = run(before, EVENTS[event]);
          assert.deepEqual([session.connections, text], [before.connections, '']);
        });
      }
    });
  }
});
