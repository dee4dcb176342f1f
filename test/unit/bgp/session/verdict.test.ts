/** What a session does with a message is what the verdict says of it, in every state that a connection has. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { eventOf } from '../../../../bgp/session/classify.ts';
import type { SessionEvent } from '../../../../bgp/session/events.ts';
import { step } from '../../../../bgp/session/machine.ts';
import type { Session } from '../../../../bgp/session/state.ts';
import { hexOf } from '../../../../bgp/wire/bytes.ts';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { decodeMessage, encodeKeepalive, encodeRouteRefresh } from '../../../../bgp/wire/messages.ts';
import { encodeNotification, notification } from '../../../../bgp/wire/notification.ts';
import { encodeOpen } from '../../../../bgp/wire/open.ts';
import {
  DEFAULT_VERDICT_CONTEXT,
  type SessionPhase,
  type VerdictContext,
  verdictOf,
} from '../../../../bgp/wire/verdict.ts';
import { CONFIG, peerOpen, sessionIn } from './fixtures.ts';

const STATES = { opensent: 'OpenSent', openconfirm: 'OpenConfirm', established: 'Established' } as const;
const PHASES: readonly SessionPhase[] = ['opensent', 'openconfirm', 'established'];

/** A message of a type with any body. */
function message(type: number, body: string): Uint8Array {
  const octets = Buffer.from(body, 'hex');
  const whole = new Uint8Array(19 + octets.length).fill(0xff, 0, 16);
  whole.set([whole.length >> 8, whole.length & 0xff, type], 16);
  whole.set(octets, 19);
  return whole;
}

const OPEN = encodeOpen({ ...peerOpen(), as: 65002 });

function changed(octets: Uint8Array, at: number, value: number): Uint8Array {
  return octets.map((octet, index) => (index === at ? value : octet));
}

const MESSAGES: Readonly<Record<string, Uint8Array>> = {
  OPEN,
  'OPEN, version 5': changed(OPEN, 19, 5),
  'OPEN, another AS': encodeOpen({ ...peerOpen({ localAs: 65009 }), as: 65009 }),
  'OPEN, hold time 2': encodeOpen({ ...peerOpen({ holdTimeSec: 2 }), as: 65002 }),
  'OPEN, identifier 0': encodeOpen({ ...peerOpen({ routerId: 0 }), as: 65002 }),
  'OPEN, parameters too long': changed(OPEN, 28, 255),
  KEEPALIVE: encodeKeepalive(),
  'KEEPALIVE with a body': message(4, '00'),
  UPDATE: message(2, '00000000'),
  'UPDATE, withdrawn too long': message(2, '00ff0000'),
  'UPDATE, bad NLRI': message(2, '00000000ff'),
  'ROUTE-REFRESH': encodeRouteRefresh(1, 1, 0),
  'ROUTE-REFRESH, too long': message(5, '0001010100'),
  'NOTIFICATION 6/2': encodeNotification(notification(6, 2)),
  'NOTIFICATION 2/1': encodeNotification(notification(2, 1)),
  'unknown type': message(9, ''),
  'bad marker': changed(encodeKeepalive(), 3, 0),
};

/** What a session in that state sends when it gets a message: `none` as long as it stays, `closed` without a NOTIFICATION. */
function answer(phase: SessionPhase, octets: Uint8Array): string {
  const session: Session = sessionIn(STATES[phase]);
  const connection = session.connections[0];
  assert.ok(connection);
  const context = connection.state === 'Established' ? connection.negotiated.context : undefined;
  const { actions } = step(session, eventFor(octets, context), 50_000);
  const close = actions.find((action) => action.type === 'close');
  if (close?.type !== 'close') return 'none';
  return close.error === undefined
    ? 'closed'
    : `${close.error.code}/${close.error.subcode} ${hexOf(close.error.data)}`.trim();
}

function eventFor(octets: Uint8Array, context: Parameters<typeof decodeMessage>[2]): SessionEvent {
  const frame = nextFrame(octets, 0, octets.length, false);
  if (frame.kind === 'error') {
    return { type: 'BGPHeaderErr', connection: 1, error: frame.error, reason: frame.reason };
  }
  assert.equal(frame.kind, 'message');
  if (frame.kind !== 'message') throw new Error('a whole message');
  if (frame.type === 2 && context === undefined) return { type: 'UpdateMsg', connection: 1 };
  return eventOf(1, decodeMessage(frame.type, octets.subarray(frame.bodyStart, frame.end), context));
}

function verdict(phase: SessionPhase, octets: Uint8Array): string {
  const context: VerdictContext = {
    ...DEFAULT_VERDICT_CONTEXT,
    phase,
    localAs: CONFIG.localAs,
    peerAs: CONFIG.peerAs,
    localRouterId: CONFIG.routerId,
  };
  const { verdict: name, error } = verdictOf(octets, context);
  if (name === 'close') return 'closed';
  return error === null ? 'none' : `${error.code}/${error.subcode} ${error.data}`.trim();
}

describe('session machine and wire verdict', () => {
  for (const phase of PHASES) {
    for (const [name, octets] of Object.entries(MESSAGES)) {
      it(`${phase}: ${name}`, () => assert.equal(answer(phase, octets), verdict(phase, octets)));
    }
  }

  it('agree on whatever else comes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...PHASES),
        fc.constantFrom(...Object.values(MESSAGES)),
        fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (phase, seed, changes) => {
          let octets = seed;
          // The length field stays: what a stream is cut into is the frame's affair.
          for (const [at, value] of changes) if (at !== 16 && at !== 17) octets = changed(octets, at, value);
          const answered = answer(phase, octets);
          // No family in common: that is for the two OPENs together to say, not for one message.
          if (!answered.startsWith('2/7')) assert.equal(answered, verdict(phase, octets));
        },
      ),
      { numRuns: 3000 },
    );
  });
});
