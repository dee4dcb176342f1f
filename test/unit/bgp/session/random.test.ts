/** Any events in any order: the machine never throws and never leaves what a machine may be. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Action, SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import { fsmState, initialSession, type Session } from '../../../../bgp/session/state.ts';
import { CONFIG, EVENTS, FRESH, peerOpen } from './fixtures.ts';

/** What whoever runs the machine would have: timers and connections. */
class Driver {
  session: Session = initialSession(CONFIG, FRESH);
  readonly timers = new Set<string>();
  readonly open = new Set<number>();
  dialling = false;
  up = false;
  now = 0;

  run(event: SessionEvent): void {
    this.now += 1000;
    const result = step(this.session, event, this.now);
    this.session = result.state;
    if (event.type === 'Tcp_CR_Acked') this.dialling = false;
    if (event.type === 'TcpConnectionFails' && event.connection === undefined) this.dialling = false;
    if (event.type === 'Tcp_CR_Acked' || event.type === 'TcpConnectionConfirmed')
      this.open.add(event.connection);
    if (event.type === 'TcpConnectionFails' && event.connection !== undefined)
      this.open.delete(event.connection);
    for (const action of result.actions) this.#perform(action);
  }

  #perform(action: Action): void {
    switch (action.type) {
      case 'start-timer':
        this.timers.add(action.timer);
        break;
      case 'stop-timer':
        this.timers.delete(action.timer);
        break;
      case 'start-connection-timer':
        assert.ok(this.open.has(action.connection), 'timer of a live connection');
        this.timers.add(`${action.timer}#${action.connection}`);
        break;
      case 'stop-connection-timer':
        this.timers.delete(`${action.timer}#${action.connection}`);
        break;
      case 'dial':
        assert.ok(!this.dialling, 'one dial at a time');
        this.dialling = true;
        break;
      case 'cancel-dial':
        this.dialling = false;
        break;
      case 'close':
        this.open.delete(action.connection);
        for (const timer of this.timers) {
          assert.ok(!timer.endsWith(`#${action.connection}`), `${timer} runs on after close`);
        }
        break;
      case 'session-up':
        assert.ok(!this.up);
        this.up = true;
        break;
      case 'session-down':
        assert.ok(this.up);
        this.up = false;
        break;
      default:
        break;
    }
  }

  check(): void {
    const { session } = this;
    const { connections, parked } = session;
    assert.ok(connections.length <= 2);
    assert.ok(
      connections.filter(({ state }) => state === 'Established').length <= 1,
      'one established at most',
    );
    assert.equal(
      this.up,
      connections.some(({ state }) => state === 'Established'),
    );
    assert.equal(this.dialling, session.base === 'Connect');
    if (session.linkDown !== undefined)
      assert.equal(fsmState(session), 'Idle', 'nothing is tried over a dead link');
    const owned = new Set([...connections.map(({ id }) => id), ...(parked === undefined ? [] : [parked])]);
    assert.deepEqual(this.open, owned, 'no connection is forgotten');
    for (const { id, state } of connections) {
      if (state === 'OpenSent') assert.ok(this.timers.has(`hold#${id}`), 'OpenSent is bounded');
    }
    if (fsmState(session) === 'Idle') {
      const left = [...this.timers].filter((timer) => timer !== 'restart' && timer !== 'stale');
      const waits = session.admin === 'up' && session.linkDown?.resumes !== true;
      assert.deepEqual(left, waits ? ['idle-hold'] : [], 'IdleHold or the link ends Idle, nothing else runs');
    }
    if (fsmState(session) === 'Active') assert.ok(this.timers.has('connect-retry'), 'Active dials again');
    if (session.stale.length > 0) {
      assert.ok(this.timers.has('restart') || this.timers.has('stale'), 'stale routes are bounded');
    }
  }
}

const kinds = Object.values(EVENTS);
const opens = [
  peerOpen(),
  peerOpen({ routerId: 0x09000000 }),
  peerOpen({ localAs: 1 }),
  peerOpen({ gracefulRestart: { restartTimeSec: 100, maxHelperTimeSec: 0 } }),
  peerOpen({ holdTimeSec: 0 }),
];

/** An event and which of the live connections it is about. */
const input = fc.record({
  event: fc.constantFrom(...kinds),
  which: fc.nat(2),
  open: fc.constantFrom(...opens),
  likely: fc.nat(5),
});

describe('session machine: random orders of events', () => {
  it('keeps its invariants', () => {
    fc.assert(
      fc.property(fc.array(input, { maxLength: 120 }), (inputs) => {
        const driver = new Driver();
        driver.run({ type: 'ManualStart' });
        let nextId = 10;
        for (const { event, which, open, likely } of inputs) {
          // Half of the time the event is the one that leads on, so that the far states are reached.
          const ids = [...driver.open];
          const id = ids[which % Math.max(ids.length, 1)];
          const state = driver.session.connections.find((connection) => connection.id === id)?.state;
          let next: SessionEvent = event;
          if (likely > 2 && driver.dialling && id === undefined) next = EVENTS.Tcp_CR_Acked;
          else if (likely > 2 && state === 'OpenSent') next = EVENTS.BGPOpen;
          else if (likely > 3 && state === 'OpenConfirm') next = EVENTS.KeepAliveMsg;
          else if (likely > 3 && id === undefined) next = EVENTS.IdleHoldTimer_Expires;
          if (next.type === 'IdleHoldTimer_Expires' && !driver.timers.delete('idle-hold')) continue;
          if (next.type === 'ConnectRetryTimer_Expires' && !driver.timers.delete('connect-retry')) continue;
          if (next.type === 'Tcp_CR_Acked') {
            if (!driver.dialling) continue;
            next = { ...next, connection: nextId++ };
          } else if (next.type === 'TcpConnectionConfirmed') {
            next = { ...next, connection: nextId++ };
          } else if (next.type === 'BGPOpen') {
            next = { ...next, open, connection: id ?? 1 };
          } else if ('connection' in next) {
            if (next.type === 'HoldTimer_Expires' && !driver.timers.delete(`hold#${id}`)) continue;
            next = { ...next, connection: id ?? 1 };
          }
          driver.run(next);
          driver.check();
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('never throws, whatever the event says', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...kinds), fc.nat(4)), { maxLength: 60 }), (inputs) => {
        let session = initialSession(CONFIG, FRESH);
        let now = 0;
        for (const [event, id] of inputs) {
          now += 1;
          const about = 'connection' in event ? { ...event, connection: id } : event;
          session = step(session, about, now).state;
          assert.ok(session.connections.length <= 2);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
