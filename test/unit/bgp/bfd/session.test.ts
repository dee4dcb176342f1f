import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BFD_STATES, type BfdState, type ControlPacket, DIAGNOSTIC } from '../../../../bgp/bfd/packet.ts';
import {
  type BfdAction,
  type BfdEvent,
  type BfdSession,
  begin,
  detectionTimeMs,
  initialSession,
  sendingInterval,
  step,
} from '../../../../bgp/bfd/session.ts';

const TIMERS = { minTxUs: 300_000, minRxUs: 200_000, multiplier: 3 };

function packet(state: BfdState, change: Partial<ControlPacket> = {}): ControlPacket {
  return {
    diagnostic: 0,
    state,
    poll: false,
    final: false,
    controlPlaneIndependent: false,
    demand: false,
    multiplier: 5,
    myDiscriminator: 77,
    yourDiscriminator: 42,
    desiredMinTxUs: 100_000,
    requiredMinRxUs: 50_000,
    requiredMinEchoRxUs: 0,
    ...change,
  };
}

/** Feeds events, one millisecond apart, and keeps what came out. */
class Script {
  session: BfdSession;
  actions: readonly BfdAction[] = [];
  now = 0;

  constructor(timers = TIMERS) {
    const first = begin(initialSession(42, timers), 0);
    this.session = first.session;
    this.actions = first.actions;
  }

  do(event: BfdEvent): this {
    this.now += 1;
    const { session, actions } = step(this.session, event, this.now);
    this.session = session;
    this.actions = actions;
    return this;
  }

  hear(state: BfdState, change: Partial<ControlPacket> = {}): this {
    return this.do({ type: 'packet', packet: packet(state, change) });
  }

  /** Leads to a state the way a peer would. */
  static in(state: BfdState, timers = TIMERS): Script {
    const script = new Script(timers);
    if (state === 'AdminDown') script.do({ type: 'admin-down' });
    if (state === 'Init') script.hear('Down');
    // With the poll sequence that the faster interval asks for answered.
    if (state === 'Up') script.hear('Init').hear('Up', { final: true });
    assert.equal(script.session.state, state);
    return script;
  }

  get sent(): ControlPacket[] {
    return this.actions.flatMap((action) => (action.type === 'send' ? [action.packet] : []));
  }

  action<T extends BfdAction['type']>(type: T): Extract<BfdAction, { type: T }> | undefined {
    return this.actions.find((action): action is Extract<BfdAction, { type: T }> => action.type === type);
  }
}

/** RFC 5880 6.2 and 6.8.6: state, what is heard, the state then and its diagnostic. */
const HEARD: readonly (readonly [BfdState, BfdState, BfdState, number])[] = [
  ['AdminDown', 'AdminDown', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['AdminDown', 'Down', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['AdminDown', 'Init', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['AdminDown', 'Up', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Down', 'AdminDown', 'Down', DIAGNOSTIC.none],
  ['Down', 'Down', 'Init', DIAGNOSTIC.none],
  ['Down', 'Init', 'Up', DIAGNOSTIC.none],
  ['Down', 'Up', 'Down', DIAGNOSTIC.none],
  ['Init', 'AdminDown', 'Down', DIAGNOSTIC.neighborSignaledSessionDown],
  ['Init', 'Down', 'Init', DIAGNOSTIC.none],
  ['Init', 'Init', 'Up', DIAGNOSTIC.none],
  ['Init', 'Up', 'Up', DIAGNOSTIC.none],
  ['Up', 'AdminDown', 'Down', DIAGNOSTIC.neighborSignaledSessionDown],
  ['Up', 'Down', 'Down', DIAGNOSTIC.neighborSignaledSessionDown],
  ['Up', 'Init', 'Up', DIAGNOSTIC.none],
  ['Up', 'Up', 'Up', DIAGNOSTIC.none],
];

/** The events that are no packets, in every state. */
const OTHERS: readonly (readonly [
  BfdState,
  'detection-timer' | 'admin-down' | 'admin-up' | 'transmit-timer',
  BfdState,
  number,
])[] = [
  ['AdminDown', 'detection-timer', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Down', 'detection-timer', 'Down', DIAGNOSTIC.none],
  ['Init', 'detection-timer', 'Down', DIAGNOSTIC.controlDetectionTimeExpired],
  ['Up', 'detection-timer', 'Down', DIAGNOSTIC.controlDetectionTimeExpired],
  ['AdminDown', 'admin-down', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Down', 'admin-down', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Init', 'admin-down', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Up', 'admin-down', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['AdminDown', 'admin-up', 'Down', DIAGNOSTIC.none],
  ['Down', 'admin-up', 'Down', DIAGNOSTIC.none],
  ['Init', 'admin-up', 'Init', DIAGNOSTIC.none],
  ['Up', 'admin-up', 'Up', DIAGNOSTIC.none],
  ['AdminDown', 'transmit-timer', 'AdminDown', DIAGNOSTIC.administrativelyDown],
  ['Down', 'transmit-timer', 'Down', DIAGNOSTIC.none],
  ['Init', 'transmit-timer', 'Init', DIAGNOSTIC.none],
  ['Up', 'transmit-timer', 'Up', DIAGNOSTIC.none],
];

describe('BFD session (RFC 5880 6.8)', () => {
  for (const [before, heard, after, diagnostic] of HEARD) {
    it(`${before} hears ${heard}: ${after}`, () => {
      const script = Script.in(before).hear(heard);
      assert.deepEqual([script.session.state, script.session.diagnostic], [after, diagnostic]);
      assert.deepEqual(
        script.action('state'),
        before === after ? undefined : { type: 'state', from: before, to: after },
      );
      // Said at once, with the peer's discriminator.
      assert.deepEqual(
        script.sent.map(({ state, yourDiscriminator }) => [state, yourDiscriminator]),
        before === after ? [] : [[after, 77]],
      );
      assert.equal(script.action('start-detection') !== undefined, before !== 'AdminDown');
    });
  }

  for (const [before, type, after, diagnostic] of OTHERS) {
    it(`${before} with ${type}: ${after}`, () => {
      const script = Script.in(before).do({ type });
      assert.deepEqual([script.session.state, script.session.diagnostic], [after, diagnostic]);
      const says = before !== after || type === 'transmit-timer';
      assert.deepEqual(
        script.sent.map(({ state }) => state),
        says ? [after] : [],
      );
    });
  }

  it('6.8.3: slow until up, then as configured, told by a poll sequence', () => {
    const script = new Script();
    assert.equal(script.sent[0]?.desiredMinTxUs, 1_000_000);
    assert.equal(script.sent[0]?.poll, false);
    script.hear('Init');
    assert.deepEqual(
      script.sent.map(({ state, poll, desiredMinTxUs, requiredMinRxUs }) => ({
        state,
        poll,
        desiredMinTxUs,
        requiredMinRxUs,
      })),
      [{ state: 'Up', poll: true, desiredMinTxUs: 300_000, requiredMinRxUs: 200_000 }],
    );
    script.do({ type: 'transmit-timer' });
    assert.equal(script.sent[0]?.poll, true);
    script.hear('Up', { final: true }).do({ type: 'transmit-timer' });
    assert.equal(script.sent[0]?.poll, false);
    script.do({ type: 'detection-timer' });
    assert.equal(script.sent[0]?.desiredMinTxUs, 1_000_000);
    assert.equal(sendingInterval(script.session), 1_000_000);
  });

  it('6.5: a Poll is answered at once with Final and never with both bits, even while we poll', () => {
    const script = Script.in('Up').do({ type: 'configure', timers: { ...TIMERS, minTxUs: 400_000 } });
    assert.deepEqual(
      script.sent.map(({ poll, final }) => [poll, final]),
      [[true, false]],
    );
    script.hear('Up', { poll: true });
    assert.deepEqual(
      script.sent.map(({ poll, final }) => [poll, final]),
      [[false, true]],
    );
    assert.equal(script.session.poll, 'active');
  });

  it('6.8.3: a longer interval counts after the poll, a shorter one at once', () => {
    const script = Script.in('Up').do({ type: 'configure', timers: { ...TIMERS, minTxUs: 900_000 } });
    assert.equal(script.sent[0]?.desiredMinTxUs, 900_000);
    assert.equal(sendingInterval(script.session), 300_000);
    script.hear('Up', { final: true });
    assert.equal(sendingInterval(script.session), 900_000);
    script.do({ type: 'configure', timers: { ...TIMERS, minTxUs: 100_000 } });
    assert.equal(sendingInterval(script.session), 100_000);
  });

  it('6.8.3: a shorter detection time counts after the poll, a longer one at once', () => {
    const script = Script.in('Up');
    assert.equal(detectionTimeMs(script.session), 5 * 200);
    script.do({ type: 'configure', timers: { ...TIMERS, minRxUs: 120_000 } });
    assert.equal(detectionTimeMs(script.session), 5 * 200);
    script.hear('Up', { final: true });
    assert.equal(detectionTimeMs(script.session), 5 * 120);
    script.do({ type: 'configure', timers: { ...TIMERS, minRxUs: 500_000 } });
    assert.equal(detectionTimeMs(script.session), 5 * 500);
  });

  it('a change during a poll is polled for again before it counts', () => {
    const script = Script.in('Up')
      .do({ type: 'configure', timers: { ...TIMERS, minTxUs: 400_000 } })
      .do({ type: 'configure', timers: { ...TIMERS, minTxUs: 500_000 } })
      .hear('Up', { final: true });
    assert.equal(script.session.poll, 'active');
    assert.equal(sendingInterval(script.session), 300_000);
    assert.deepEqual(
      script.sent.map(({ poll, desiredMinTxUs }) => [poll, desiredMinTxUs]),
      [[true, 500_000]],
    );
    script.hear('Up', { final: true });
    assert.equal(script.session.poll, 'none');
    assert.equal(sendingInterval(script.session), 500_000);
  });

  it('6.8.4: the detection time is the peer’s multiplier by the slower of its sending and our receiving', () => {
    const script = Script.in('Up').hear('Up', { desiredMinTxUs: 700_000, multiplier: 4 });
    assert.deepEqual(script.action('start-detection'), { type: 'start-detection', delayMs: 2_800 });
    script.hear('Up', { desiredMinTxUs: 1, multiplier: 2 });
    assert.deepEqual(script.action('start-detection'), { type: 'start-detection', delayMs: 400 });
  });

  it('6.8.7: the slower of our sending and its receiving, less 0 to 25 %; at most 90 % with a multiplier of 1', () => {
    const script = Script.in('Up').do({ type: 'transmit-timer' });
    assert.deepEqual(script.action('start-transmit'), {
      type: 'start-transmit',
      earliestMs: 225,
      latestMs: 300,
    });
    script.hear('Up', { requiredMinRxUs: 800_000 });
    // One millisecond after the last packet.
    assert.deepEqual(script.action('start-transmit'), {
      type: 'start-transmit',
      earliestMs: 599,
      latestMs: 799,
    });
    const once = Script.in('Up', { ...TIMERS, multiplier: 1 }).do({ type: 'transmit-timer' });
    assert.equal(once.action('start-transmit')?.latestMs, 270);
  });

  it('6.8.7: nothing is sent to a peer that takes nothing, until it does or is forgotten', () => {
    const script = Script.in('Up').hear('Up', { requiredMinRxUs: 0 });
    assert.ok(script.action('stop-transmit'));
    assert.deepEqual(script.do({ type: 'transmit-timer' }).sent, []);
    script.do({ type: 'detection-timer' });
    assert.equal(script.sent[0]?.state, 'Down');
    assert.ok(script.action('start-transmit'));
  });

  it('6.6: obeys a peer in demand mode, but answers and sends its own polls', () => {
    const script = Script.in('Up').hear('Up', { demand: true });
    assert.ok(script.action('stop-transmit'));
    script.hear('Up', { demand: true, poll: true });
    assert.deepEqual(
      script.sent.map(({ final, demand }) => [final, demand]),
      [[true, false]],
    );
    script.do({ type: 'configure', timers: { ...TIMERS, minTxUs: 250_000 } });
    assert.ok(script.action('start-transmit'));
    assert.equal(script.sent[0]?.poll, true);
    script.hear('Up', { demand: true, final: true });
    assert.ok(script.action('stop-transmit'));
    assert.equal(sendingInterval(script.hear('Up').session), 250_000);
  });

  it('6.8.1: the peer’s discriminator is forgotten with the detection time, in Down too', () => {
    const script = Script.in('Down').hear('AdminDown');
    assert.equal(script.session.remote.discriminator, 77);
    script.do({ type: 'detection-timer' }).do({ type: 'transmit-timer' });
    assert.equal(script.sent[0]?.yourDiscriminator, 0);
  });

  it('property: whatever comes, it stays within its rules', () => {
    const heard = fc.record({
      state: fc.constantFrom(...BFD_STATES),
      poll: fc.boolean(),
      final: fc.boolean(),
      demand: fc.boolean(),
      multiplier: fc.integer({ min: 1, max: 255 }),
      desiredMinTxUs: fc.integer({ min: 0, max: 0xffffffff }),
      requiredMinRxUs: fc.constantFrom(0, 1, 50_000, 0xffffffff),
    });
    const events: fc.Arbitrary<BfdEvent> = fc.oneof(
      heard.map((change): BfdEvent => ({ type: 'packet', packet: packet(change.state, change) })),
      fc.constantFrom<BfdEvent>(
        { type: 'transmit-timer' },
        { type: 'detection-timer' },
        { type: 'admin-down' },
        { type: 'admin-up' },
      ),
      fc.integer({ min: 10, max: 60_000 }).map(
        (ms): BfdEvent => ({
          type: 'configure',
          timers: { ...TIMERS, minTxUs: ms * 1000, minRxUs: ms * 700 },
        }),
      ),
    );
    fc.assert(
      fc.property(fc.array(events, { maxLength: 60 }), (list) => {
        const script = new Script();
        for (const event of list) {
          script.do(event);
          const { session } = script;
          for (const sent of script.sent) {
            assert.ok(!(sent.poll && sent.final));
            assert.ok(!sent.demand);
            if (sent.state !== 'Up') assert.ok(sent.desiredMinTxUs >= 1_000_000);
          }
          if (session.poll !== 'none') assert.equal(session.state, 'Up');
          assert.equal(session.sendingEveryUs, sendingInterval(session));
          const start = script.action('start-transmit');
          if (start) assert.ok(start.earliestMs >= 0 && start.earliestMs <= start.latestMs);
        }
      }),
    );
  });
});
