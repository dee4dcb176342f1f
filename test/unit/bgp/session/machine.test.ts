import assert from 'node:assert/strict';
import type { Direction } from '../../../../bgp/session/collision.ts';
import { localSideWins, survivor } from '../../../../bgp/session/collision.ts';
import type { SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import { buildOpen, negotiate, type SessionConfig } from '../../../../bgp/session/negotiate.ts';
import { fsmState, initialSession, type Session, sessionState } from '../../../../bgp/session/state.ts';
import { notification, shutdownText } from '../../../../bgp/wire/notification.ts';
import { actionText, CONFIG, EVENTS, FRESH, peerOpen, runAll, sessionIn } from './fixtures.ts';

const GRACEFUL = { restartTimeSec: 60, maxHelperTimeSec: 180 };

/** Runs a script of [event, expected actions, expected state] from a session. */
function script(
  session: Session,
  lines: readonly (readonly [event: SessionEvent, actions: string, state: string, at?: number])[],
): Session {
  let state = session;
  let now = 0;
  for (const [event, actions, expected, at] of lines) {
    now = at ?? now + 1000;
    const result = step(state, event, now);
    state = result.state;
    assert.equal(result.actions.map(actionText).join(', '), actions, `${event.type}: actions`);
    assert.equal(sessionState(state), expected, `${event.type}: state`);
  }
  return state;
}

function dialFailed(): SessionEvent {
  return { type: 'TcpConnectionFails', connection: undefined, reason: 'refused' };
}

describe('session machine: dialling and waiting', () => {
  it('backs the dial off from the base to the cap and dials again when ConnectRetry fires', () => {
    const retry: SessionEvent = { type: 'ConnectRetryTimer_Expires' };
    script(initialSession(CONFIG, FRESH), [
      [{ type: 'ManualStart' }, '-idle-hold, dial, +connect-retry 5s~', 'Connect'],
      [dialFailed(), '-connect-retry, +connect-retry 10s~', 'Active'],
      [retry, 'dial, +connect-retry 10s~', 'Connect'],
      [dialFailed(), '-connect-retry, +connect-retry 20s~', 'Active'],
      [retry, 'dial, +connect-retry 20s~', 'Connect'],
      [retry, 'cancel-dial, dial, +connect-retry 30s~', 'Connect'],
      [dialFailed(), '-connect-retry, +connect-retry 30s~', 'Active'],
    ]);
  });

  it('never dials a passive peer', () => {
    script(initialSession({ ...CONFIG, passive: true }, FRESH), [
      [{ type: 'ManualStart' }, '-idle-hold', 'Active'],
      [{ type: 'ConnectRetryTimer_Expires' }, '', 'Active'],
      [
        { type: 'TcpConnectionConfirmed', connection: 1 },
        '-connect-retry, send-open#1, +hold#1 240s',
        'OpenSent',
      ],
      [{ type: 'TcpConnectionFails', connection: 1, reason: 'x' }, '-hold#1, close#1', 'Active'],
    ]);
  });

  it('doubles IdleHold with each failure up to 60 s, and forgets after five minutes up', () => {
    let session = initialSession(CONFIG, FRESH);
    session = step(session, { type: 'ManualStart' }, 0).state;
    const delays: string[] = [];
    for (let i = 1; i <= 8; i++) {
      session = step(session, { type: 'Tcp_CR_Acked', connection: i }, i).state;
      const result = step(session, { type: 'BGPOpen', connection: i, open: peerOpen({ localAs: 65099 }) }, i);
      delays.push(actionText(result.actions.at(-1) ?? { type: 'dial' }));
      session = step(result.state, { type: 'IdleHoldTimer_Expires' }, i).state;
    }
    assert.deepEqual(
      delays,
      ['1s~', '2s~', '4s~', '8s~', '16s~', '32s~', '60s~', '60s~'].map((s) => `+idle-hold ${s}`),
    );
    session = step(session, { type: 'Tcp_CR_Acked', connection: 9 }, 10).state;
    session = step(session, { type: 'BGPOpen', connection: 9, open: peerOpen() }, 10).state;
    session = step(session, { type: 'KeepAliveMsg', connection: 9 }, 10).state;
    const lost = step(session, { type: 'TcpConnectionFails', connection: 9, reason: 'x' }, 300_010);
    assert.equal(actionText(lost.actions.at(-1) ?? { type: 'dial' }), '+idle-hold 1s~');
  });

  it('lets a connection that comes in during IdleHold wait for its end', () => {
    script(sessionIn('Idle'), [
      [{ type: 'TcpConnectionConfirmed', connection: 5 }, '', 'Idle'],
      [{ type: 'TcpConnectionConfirmed', connection: 6 }, 'close#5 6/7', 'Idle'],
      [
        { type: 'IdleHoldTimer_Expires' },
        '-idle-hold, dial, +connect-retry 5s~, send-open#6, +hold#6 240s',
        'OpenSent',
      ],
    ]);
  });

  it('refuses a connection while administratively down (6/5), and closes one that waits', () => {
    script(sessionIn('Idle'), [
      [{ type: 'TcpConnectionConfirmed', connection: 5 }, '', 'Idle'],
      [{ type: 'ManualStop', text: '' }, 'close#5, -idle-hold', 'Idle(Admin)'],
      [{ type: 'TcpConnectionConfirmed', connection: 6 }, 'close#6 6/5', 'Idle(Admin)'],
      [{ type: 'IdleHoldTimer_Expires' }, '', 'Idle(Admin)'],
    ]);
  });

  it('says why it stops (RFC 9003)', () => {
    const { actions } = step(sessionIn('Established'), EVENTS.ManualStop, 1);
    const close = actions.find((action) => action.type === 'close');
    assert.equal(close?.type === 'close' && close.error && shutdownText(close.error.data), 'maintenance');
  });
});

describe('session machine: OPEN', () => {
  const cases: readonly [string, Partial<SessionConfig>, string][] = [
    ['another AS', { localAs: 65003 }, '2/2'],
    ['hold time 1', { holdTimeSec: 1 }, '2/6'],
    ['identifier 0', { routerId: 0 }, '2/3'],
    ['no family in common', { families: [] }, ''],
  ];
  for (const [name, change, code] of cases) {
    it(`${name}: ${code || 'IPv4 alone'}`, () => {
      const { actions, state } = step(
        sessionIn('OpenSent'),
        { type: 'BGPOpen', connection: 1, open: peerOpen(change) },
        1,
      );
      const close = actions.find((action) => action.type === 'close');
      assert.equal(close === undefined ? '' : actionText(close), code && `close#1 ${code}`);
      assert.equal(fsmState(state), code === '' ? 'OpenConfirm' : 'Idle');
    });
  }

  it('2/7 with our capabilities when no family is in common', () => {
    const session = sessionIn('OpenSent', { ...CONFIG, families: ['ipv6'] });
    const open = peerOpen({ families: ['ipv4'] });
    const { actions } = step(session, { type: 'BGPOpen', connection: 1, open }, 1);
    const close = actions.find((action) => action.type === 'close');
    assert.deepEqual(
      close?.type === 'close' && close.error,
      notification(2, 7, Uint8Array.of(1, 4, 0, 2, 0, 1)),
    );
  });

  it('negotiates the lower hold time, and 0 turns both timers off', () => {
    const low = step(
      sessionIn('OpenSent'),
      { type: 'BGPOpen', connection: 1, open: peerOpen({ holdTimeSec: 3 }) },
      1,
    );
    assert.equal(low.actions.map(actionText).join(', '), 'send-keepalive#1, +keepalive#1 1s~, +hold#1 3s');
    const off = step(
      sessionIn('OpenSent'),
      { type: 'BGPOpen', connection: 1, open: peerOpen({ holdTimeSec: 0 }) },
      1,
    );
    assert.equal(off.actions.map(actionText).join(', '), 'send-keepalive#1, -hold#1');
    const up = step(off.state, { type: 'KeepAliveMsg', connection: 1 }, 2);
    assert.equal(up.actions.map(actionText).join(', '), '+send-hold#1 480s, up#1');
  });

  it('takes a peer without multiprotocol capabilities for IPv4 unicast (RFC 4760 8)', () => {
    const mine = buildOpen(CONFIG, FRESH);
    const theirs = { ...peerOpen(), capabilities: [] };
    const result = negotiate(CONFIG, mine, theirs);
    assert.deepEqual(result?.context.families, { ipv4: true, ipv6: false });
    assert.equal(result?.context.as4, false);
    assert.equal(result?.routeRefresh, false);
  });

  it('tells a four-octet AS as AS_TRANS and in capability 65 (RFC 6793)', () => {
    const open = buildOpen({ ...CONFIG, localAs: 4_200_000_001 }, FRESH);
    assert.equal(open.as2, 23456);
    assert.deepEqual(open.capabilities.at(-1), { kind: 'four-octet-as', as: 4_200_000_001 });
  });
});

describe('session machine: collisions (RFC 4271 6.8, RFC 6286 2.3)', () => {
  it('the higher identifier wins, as unsigned 32-bit; equal ones leave it to the AS', () => {
    const parties = { localRouterId: 0xc0000201, peerRouterId: 0x0a000001, localAs: 1, peerAs: 2 };
    assert.equal(localSideWins(parties), true);
    assert.equal(localSideWins({ ...parties, peerRouterId: 0xc0000202 }), false);
    assert.equal(localSideWins({ ...parties, peerRouterId: 0xc0000201 }), false);
    assert.equal(localSideWins({ ...parties, peerRouterId: 0xc0000201, localAs: 3 }), true);
  });

  it('both sides keep the same connection', () => {
    for (const [a, b] of [
      [1, 2],
      [2, 1],
      [0x80000000, 0x7fffffff],
    ] as const) {
      const flip = (d: Direction): Direction => (d === 'outgoing' ? 'incoming' : 'outgoing');
      for (const [older, newer] of [
        ['outgoing', 'incoming'],
        ['incoming', 'outgoing'],
      ] as const) {
        const mine = survivor(older, newer, { localRouterId: a, peerRouterId: b, localAs: 1, peerAs: 2 });
        const theirs = survivor(flip(older), flip(newer), {
          localRouterId: b,
          peerRouterId: a,
          localAs: 2,
          peerAs: 1,
        });
        assert.equal(mine, theirs);
      }
    }
  });

  const higher = { ...CONFIG, routerId: 0x0b000001 };

  it('the higher side keeps its own connection and dumps the other with 6/7', () => {
    script(sessionIn('OpenSent', higher), [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'OpenSent',
      ],
      [{ type: 'BGPOpen', connection: 2, open: peerOpen() }, '-hold#2, close#2 6/7', 'OpenSent'],
      [EVENTS.BGPOpen, 'send-keepalive#1, +keepalive#1 30s~, +hold#1 90s', 'OpenConfirm'],
    ]);
  });

  it('the lower side dumps its own, even in OpenConfirm', () => {
    script(sessionIn('OpenConfirm'), [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'OpenConfirm',
      ],
      [
        { type: 'BGPOpen', connection: 2, open: peerOpen() },
        '-hold#1, -keepalive#1, -send-hold#1, close#1 6/7, send-keepalive#2, +keepalive#2 30s~, +hold#2 90s',
        'OpenConfirm',
      ],
      [{ type: 'KeepAliveMsg', connection: 2 }, '+hold#2 90s, +send-hold#2 480s, up#2', 'Established'],
    ]);
  });

  it('gives up a dial under way when an OPEN came on the other connection', () => {
    script(sessionIn('Connect'), [
      [{ type: 'TcpConnectionConfirmed', connection: 1 }, 'send-open#1, +hold#1 240s', 'OpenSent'],
      [
        EVENTS.BGPOpen,
        'cancel-dial, -connect-retry, send-keepalive#1, +keepalive#1 30s~, +hold#1 90s',
        'OpenConfirm',
      ],
    ]);
  });

  it('an established session survives a newcomer', () => {
    script(sessionIn('Established'), [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'Established',
      ],
      [{ type: 'BGPOpen', connection: 2, open: peerOpen() }, '-hold#2, close#2 6/7', 'Established'],
    ]);
  });

  it('unless the peer does graceful restart: then the old connection is lost (RFC 4724 5)', () => {
    const graceful = peerOpen({ gracefulRestart: GRACEFUL });
    script(sessionIn('Established', CONFIG, graceful), [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'Established',
      ],
      [
        { type: 'BGPOpen', connection: 2, open: graceful },
        '-hold#1, -keepalive#1, -send-hold#1, close#1, -stale, down ipv4 ipv6, +restart 60s, send-keepalive#2, +keepalive#2 30s~, +hold#2 90s',
        'OpenConfirm',
        60_000,
      ],
    ]);
  });

  it('but not right after the session came up: then the newcomer is what is left of a collision', () => {
    const graceful = peerOpen({ gracefulRestart: GRACEFUL });
    script(sessionIn('Established', CONFIG, graceful), [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'Established',
      ],
      [{ type: 'BGPOpen', connection: 2, open: graceful }, '-hold#2, close#2 6/7', 'Established', 4_000],
    ]);
  });

  it('the higher side goes on dialling: the peer may have seen that connection, and will drop its own for it', () => {
    script(sessionIn('Connect', higher), [
      [{ type: 'TcpConnectionConfirmed', connection: 1 }, 'send-open#1, +hold#1 240s', 'OpenSent'],
      [EVENTS.BGPOpen, 'send-keepalive#1, +keepalive#1 30s~, +hold#1 90s', 'OpenConfirm'],
      [
        { type: 'NotifMsg', connection: 1, error: notification(6, 7) },
        '-hold#1, -keepalive#1, -send-hold#1, close#1',
        'Connect',
      ],
      [{ type: 'Tcp_CR_Acked', connection: 2 }, '-connect-retry, send-open#2, +hold#2 240s', 'OpenSent'],
    ]);
    script(sessionIn('Connect', higher), [
      [{ type: 'TcpConnectionConfirmed', connection: 1 }, 'send-open#1, +hold#1 240s', 'OpenSent'],
      [EVENTS.BGPOpen, 'send-keepalive#1, +keepalive#1 30s~, +hold#1 90s', 'OpenConfirm'],
      [
        { type: 'KeepAliveMsg', connection: 1 },
        'cancel-dial, -connect-retry, +hold#1 90s, +send-hold#1 480s, up#1',
        'Established',
      ],
    ]);
  });

  it('the loser of a collision is no failure, also where the winner has not been seen yet: that one is taken up at once', () => {
    const after = script(sessionIn('OpenConfirm'), [
      [
        { type: 'NotifMsg', connection: 1, error: notification(6, 7) },
        '-hold#1, -keepalive#1, -send-hold#1, close#1, +connect-retry 10s~',
        'Active',
      ],
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-connect-retry, send-open#2, +hold#2 240s',
        'OpenSent',
      ],
    ]);
    assert.equal(after.failures, 0);
  });

  it('a second dial of the peer replaces its first while no OPEN came', () => {
    const waiting = runAll(
      initialSession({ ...CONFIG, passive: true }, FRESH),
      { type: 'ManualStart' },
      { type: 'TcpConnectionConfirmed', connection: 1 },
    );
    script(waiting, [
      [
        { type: 'TcpConnectionConfirmed', connection: 2 },
        '-hold#1, close#1, -connect-retry, send-open#2, +hold#2 240s',
        'OpenSent',
      ],
    ]);
  });
});

describe('session machine: graceful restart helper (RFC 4724 4.2)', () => {
  const forwarding = { restarting: true, forwarding: { ipv4: true, ipv6: false } };
  const graceful = peerOpen({ gracefulRestart: GRACEFUL });
  const drop = '-hold#1, -keepalive#1, -send-hold#1, close#1';
  const lost: SessionEvent = { type: 'TcpConnectionFails', connection: 1, reason: 'reset' };

  it('keeps the listed families on the loss of TCP, for the shorter of the two times', () => {
    script(sessionIn('Established', CONFIG, graceful), [
      [lost, `${drop}, -stale, down ipv4 ipv6, +restart 60s, -connect-retry, +idle-hold 1s~`, 'Idle'],
      [{ type: 'RestartTimer_Expires' }, 'purge ipv4 ipv6', 'Idle'],
    ]);
    const capped = { ...CONFIG, gracefulRestart: { restartTimeSec: 120, maxHelperTimeSec: 10 } };
    const { actions } = step(sessionIn('Established', capped, graceful), lost, 1);
    assert.ok(actions.map(actionText).includes('+restart 10s'));
  });

  it('keeps nothing of a peer that listed no family, nor after a NOTIFICATION either way', () => {
    const empty = { ...peerOpen(), capabilities: [...peerOpen().capabilities] };
    empty.capabilities.push({
      kind: 'graceful-restart',
      restarting: false,
      notification: false,
      restartTimeSec: 120,
      families: [],
    });
    const down = (session: Session, event: SessionEvent): string =>
      step(session, event, 1)
        .actions.map(actionText)
        .find((text) => text.startsWith('down')) ?? '';
    assert.equal(down(sessionIn('Established', CONFIG, empty), lost), 'down');
    assert.equal(down(sessionIn('Established', CONFIG, graceful), EVENTS.NotifMsg), 'down');
    assert.equal(down(sessionIn('Established', CONFIG, graceful), EVENTS.HoldTimer_Expires), 'down');
    assert.equal(down(sessionIn('Established', CONFIG, graceful), EVENTS.ManualStop), 'down');
    const without: SessionConfig = { ...CONFIG, gracefulRestart: undefined };
    assert.equal(down(sessionIn('Established', without, graceful), lost), 'down');
  });

  it('purges what the returning peer no longer forwards, and bounds the rest', () => {
    const back = peerOpen({ gracefulRestart: GRACEFUL }, forwarding);
    script(sessionIn('Established', CONFIG, graceful), [
      [lost, `${drop}, -stale, down ipv4 ipv6, +restart 60s, -connect-retry, +idle-hold 1s~`, 'Idle'],
      [{ type: 'IdleHoldTimer_Expires' }, '-idle-hold, dial, +connect-retry 5s~', 'Connect'],
      [{ type: 'Tcp_CR_Acked', connection: 2 }, '-connect-retry, send-open#2, +hold#2 240s', 'OpenSent'],
      [
        { type: 'BGPOpen', connection: 2, open: back },
        'send-keepalive#2, +keepalive#2 30s~, +hold#2 90s',
        'OpenConfirm',
      ],
      [
        { type: 'KeepAliveMsg', connection: 2 },
        '+hold#2 90s, +send-hold#2 480s, up#2, -restart, purge ipv6, +stale 180s',
        'Established',
      ],
      [{ type: 'StaleTimer_Expires' }, 'purge ipv4', 'Established'],
    ]);
  });

  it('gives stale routes up when the peer is stopped', () => {
    const stale = step(sessionIn('Established', CONFIG, graceful), lost, 1).state;
    script(stale, [
      [{ type: 'ManualStop', text: '' }, '-idle-hold, purge ipv4 ipv6, -restart, -stale', 'Idle(Admin)'],
    ]);
  });

  it('sets R and F only when it is told so, and F of families that were up in this run', () => {
    const capability = (session: Session): unknown =>
      session.connections[0]?.sentOpen.capabilities.find(({ kind }) => kind === 'graceful-restart');
    const families = (ipv4: boolean, ipv6: boolean): unknown => [
      { afi: 1, safi: 1, forwarding: ipv4 },
      { afi: 2, safi: 1, forwarding: ipv6 },
    ];
    const base = { kind: 'graceful-restart', notification: false, restartTimeSec: 120 };
    assert.deepEqual(capability(sessionIn('OpenSent')), {
      ...base,
      restarting: false,
      families: families(false, false),
    });
    const restarted = runAll(
      initialSession(CONFIG, forwarding),
      { type: 'ManualStart' },
      { type: 'Tcp_CR_Acked', connection: 1 },
    );
    assert.deepEqual(capability(restarted), { ...base, restarting: true, families: families(true, false) });
    const again = runAll(
      sessionIn('Established'),
      lost,
      { type: 'IdleHoldTimer_Expires' },
      { type: 'Tcp_CR_Acked', connection: 2 },
    );
    assert.deepEqual(capability(again), { ...base, restarting: false, families: families(true, true) });
  });
});

describe('session machine: the short way of an UPDATE', () => {
  // bgp/speaker/peer.ts does what this cell says without asking it: `deliverUpdate`.
  for (const holdTimeSec of [0, 90]) {
    it(`is all that Established makes of one, with a hold time of ${holdTimeSec} s`, () => {
      const config = { ...CONFIG, holdTimeSec };
      const session = sessionIn('Established', config, peerOpen({ holdTimeSec }));
      const { state, actions } = step(session, { type: 'UpdateMsg', connection: 1 }, 5_000);
      assert.deepEqual(state, session);
      const expected = holdTimeSec === 0 ? 'deliver#1' : `+hold#1 ${holdTimeSec}s, deliver#1`;
      assert.equal(actions.map(actionText).join(', '), expected);
    });
  }
});
