/**
 * The verdict tables over real TCP sessions: what is sent to a speaker has just the effect that the table says on its routes, everything else
 * stays as it was, the session lives on or ends with just that NOTIFICATION, and no other session notices.
 */
import assert from 'node:assert/strict';
import type { SpeakerEvent } from '../../../../bgp/speaker/events.ts';
import { Speaker } from '../../../../bgp/speaker.ts';
import type { DynamicPeers } from '../../../../bgp/types.ts';
import type { Capability } from '../../../../bgp/wire/types.ts';
import { FAMILIES, type Family, formatAddress } from '../../../../src/net/address.ts';
import { formatPrefix } from '../../../../src/net/prefix.ts';
import { eventually } from '../../../support/eventually.ts';
import { RawPeer } from '../../../support/raw-peer.ts';
import { DAMAGE_TABLES } from '../wire/damage-rows.ts';
import type { LineContext, Row } from '../wire/rows.ts';
import { SESSION_TABLES } from '../wire/session-rows.ts';
import { attribute, MP_REACH_HEAD, octets, update } from '../wire/support.ts';
import { UPDATE_TABLES } from '../wire/update-rows.ts';
import { address, peerConfig, prefix } from './world.ts';

const WAIT = { timeoutMs: 60_000, intervalMs: 5 };
const OUR_AS = 65000;
/** routes of each session that no case is about: 10.200.0.0/24 to 10.200.9.0/24 */
const BYSTANDERS = 10;
const CASES_A_SESSION = 60;
/** sessions that end side by side */
const AT_A_TIME = 48;

/** A context of the tables as a session. */
class Kind {
  readonly ctx: LineContext;
  /** the second octet of its peers' addresses */
  readonly net: number;
  #peers = 0;

  constructor(ctx: LineContext, net: number) {
    this.ctx = ctx;
    this.net = net;
  }

  get as(): number {
    return typeof this.ctx['peerAs'] === 'number' ? this.ctx['peerAs'] : 65001;
  }

  has(list: 'addpath' | 'families', family: Family): boolean {
    const names = this.ctx[list];
    if (Array.isArray(names)) return names.includes(`${family}-unicast`);
    return list === 'families';
  }

  get families(): readonly Family[] {
    return FAMILIES.filter((family) => this.has('families', family));
  }

  group(): DynamicPeers {
    const { ctx } = this;
    const receive = FAMILIES.filter((family) => this.has('addpath', family));
    const {
      name: _name,
      address: _address,
      passive: _passive,
      adminDown: _down,
      ...base
    } = peerConfig('template', '127.0.0.1', OUR_AS, this.as);
    const { gracefulRestart: _none, ...template } = base;
    return {
      name: `127.${this.net}`,
      prefix: prefix(`127.${this.net}.0.0/16`),
      limit: 65535,
      template: {
        ...template,
        holdTimeSec: 90,
        families: this.families,
        ...(receive.length > 0 && { addPath: { receive } }),
        ...(ctx['extnh'] === true && { extendedNextHop: true }),
        ...(ctx['extmsg'] === true && { extendedMessages: true }),
        ...(ctx['enforceFirstAs'] === true && { enforceFirstAs: true }),
      },
    };
  }

  capabilities(): Capability[] {
    const { ctx } = this;
    const unicast = (family: Family) => ({ afi: family === 'ipv4' ? 1 : 2, safi: 1 });
    const sends = FAMILIES.filter((family) => this.has('addpath', family));
    return [
      ...this.families.map((family): Capability => ({ kind: 'multiprotocol', ...unicast(family) })),
      ...(ctx['as4'] === false ? [] : [{ kind: 'four-octet-as', as: this.as } as const]),
      ...(ctx['extmsg'] === true ? [{ kind: 'extended-message' } as const] : []),
      ...(ctx['extnh'] === true
        ? [{ kind: 'extended-next-hop', entries: [{ ...unicast('ipv4'), nextHopAfi: 2 }] } as const]
        : []),
      ...(sends.length > 0
        ? [
            {
              kind: 'add-path',
              entries: sends.map((family) => ({ ...unicast(family), send: true, receive: false })),
            } as const,
          ]
        : []),
      { kind: 'route-refresh' },
    ];
  }

  peer(port: number): RawPeer {
    const number = ++this.#peers;
    return new RawPeer({
      port,
      from: `127.${this.net}.${number >> 8}.${number & 255}`,
      as: this.as,
      capabilities: this.capabilities(),
    });
  }

  /** Announces prefixes as a proper peer would, so that what a case does to them shows. */
  announcement(): string {
    const path =
      this.ctx['peer'] === 'ibgp'
        ? '400200'
        : this.ctx['as4'] === false
          ? '4002040201fde9'
          : '40020602010000fde9';
    const id = (family: Family): string => (this.has('addpath', family) ? '00000001' : '');
    const four = BEFORE.ipv4.map((nlri) => `${id('ipv4')}${nlri}`).join('');
    const six = BEFORE.ipv6.map((nlri) => `${id('ipv6')}${nlri}`).join('');
    const reach = attribute('80', 14, MP_REACH_HEAD.replace(/01 00$/, '63 00') + six);
    return (
      (this.has('families', 'ipv4')
        ? update({ attributes: `40010102${path}400304c0000263`, nlri: four })
        : '') + (this.has('families', 'ipv6') ? update({ attributes: `${reach}40010102${path}` }) : '')
    );
  }

  bystanders(): string {
    const id = this.has('addpath', 'ipv4') ? '00000001' : '';
    const path = this.ctx['as4'] === false ? '4002040201fde9' : '40020602010000fde9';
    const nlri = Array.from(
      { length: BYSTANDERS },
      (_, i) => `${id}180ac8${i.toString(16).padStart(2, '0')}`,
    );
    return update({ attributes: `40010102${path}400304c0000263`, nlri: nlri.join('') });
  }
}

/** What the tables announce and withdraw, and the default routes. */
const BEFORE: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['18cb0071', '18c63364', '00'],
  ipv6: ['3020010db80001', '2020010db9'],
};
const BEFORE_NEXT_HOP = { ipv4: '192.0.2.99', ipv6: '2001:db8::63' } as const;

const kinds = new Map<string, Kind>();

/** The session for a row; undefined where no session can be had that is so. */
function kindOf(ctx: LineContext): Kind | undefined {
  const { phase: _phase, more: _more, ...rest } = ctx;
  if (rest['rejectAsSets'] === true) return undefined;
  const key = JSON.stringify(rest);
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const made = new Kind(rest, kinds.size + 1);
  kinds.set(key, made);
  return made;
}

interface Case {
  readonly name: string;
  readonly octets: Uint8Array;
  readonly expected: string;
  readonly phase: string;
  readonly kind: Kind;
}

function casesOf(tables: Readonly<Record<string, readonly Row[]>>): Case[] {
  return Object.entries(tables).flatMap(([table, rows]) =>
    rows.flatMap(([name, hex, expected, ctx = {}]) => {
      const kind = kindOf(ctx);
      const message = octets(hex);
      if (kind === undefined || !standsAlone(message, expected)) return [];
      const phase = String(ctx['phase'] ?? 'established');
      return [
        { name: `${table}: ${name}`, octets: message, expected: expected.replace(/\s+/g, ' '), phase, kind },
      ];
    }),
  );
}

/** In a stream nothing says where a message ends but its own length: one that is too long waits for the rest. */
function standsAlone(message: Uint8Array, expected: string): boolean {
  if (expected.startsWith('reset 1/1')) return true;
  if (message.length < 19) return false;
  const length = ((message[16] ?? 0) << 8) | (message[17] ?? 0);
  return length === message.length || length < 19 || length > 4096;
}

const CASES = [...casesOf(DAMAGE_TABLES), ...casesOf(UPDATE_TABLES), ...casesOf(SESSION_TABLES)];
const SURVIVED = CASES.filter(
  ({ expected, phase }) => phase === 'established' && !/^(reset|close)/.test(expected),
);
const ENDING = CASES.filter(({ expected }) => /^(reset|close)/.test(expected));

describe('speaker: the verdict tables over real sessions (RFC 7606)', function () {
  this.timeout(180_000);

  const events: SpeakerEvent[] = [];
  const peers: RawPeer[] = [];
  let speaker: Speaker;
  let port = 0;

  before(async () => {
    speaker = new Speaker({
      routerId: 0x7f000001,
      localAs: OUR_AS,
      listen: { port: 0, addresses: [address('127.0.0.1')] },
      nextHopTracking: false,
      gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
      log: (event) => {
        events.push(event);
        if (event.type === 'listening') port = event.port;
      },
    });
    speaker.setPeers([]);
    speaker.setDynamicPeers([...kinds.values()].map((kind) => kind.group()));
    speaker.start();
    await eventually('listening', () => port !== 0, WAIT);
  });

  after(async () => {
    for (const peer of peers) peer.end();
    await speaker.stop({ mode: 'keep-forwarding' });
  });

  function connect(kind: Kind): RawPeer {
    const peer = kind.peer(port);
    peers.push(peer);
    return peer;
  }

  async function established(kind: Kind): Promise<RawPeer> {
    const peer = connect(kind).open().keepalive();
    await eventually(
      `${JSON.stringify(kind.ctx)} is established`,
      () => speaker.peer(peer.from)?.state === 'Established' || (peer.isClosed && failed(peer)),
      WAIT,
    );
    return peer;
  }

  function messagesFrom(peer: RawPeer): number {
    return speaker.peer(peer.from)?.counters.messagesReceived ?? 0;
  }

  function failed(peer: RawPeer): never {
    throw new Error(`closed with ${peer.notification}`);
  }

  /** All routes of a session, `203.0.113.0/24#7` -> next hop. */
  function routesOf(peer: RawPeer, kind: Kind): Map<string, string> {
    const found = new Map<string, string>();
    const id = speaker.ribPeerId(peer.from);
    if (id === undefined) return found;
    for (const family of FAMILIES) {
      for (const { prefix, pathId, attributes } of speaker.rib.received(id, family)) {
        const key = `${formatPrefix(prefix)}${kind.has('addpath', family) ? `#${pathId ?? 0}` : ''}`;
        found.set(key, attributes.nextHop ? formatAddress(attributes.nextHop) : 'none');
      }
    }
    return found;
  }

  const textOf = (routes: ReadonlyMap<string, string>): string =>
    [...routes]
      .map(([key, nextHop]) => `${key}@${nextHop}`)
      .sort()
      .join(' ');

  it('nearly all rows of the tables can be had in a session', () => {
    assert.ok(SURVIVED.length > 600 && ENDING.length > 250, `${SURVIVED.length} and ${ENDING.length}`);
  });

  it('what does not end the session has its effect and no other', async () => {
    const sessions = [...Map.groupBy(SURVIVED, ({ kind }) => kind)].flatMap(([kind, cases]) =>
      Array.from({ length: Math.ceil(cases.length / CASES_A_SESSION) }, (_, i) => ({
        kind,
        cases: cases.slice(i * CASES_A_SESSION, (i + 1) * CASES_A_SESSION),
      })),
    );
    await Promise.all(
      sessions.map(async ({ kind, cases }) => {
        const peer = await established(kind);
        peer.send(octets(kind.bystanders()));
        // OPEN, KEEPALIVE and these.
        let messages = 3;
        await eventually('bystanders', () => messagesFrom(peer) === messages, WAIT);
        const routes = routesOf(peer, kind);
        assert.equal(routes.size, kind.has('families', 'ipv4') ? BYSTANDERS : 0);
        for (const { name, octets: message, expected } of cases) {
          for (const family of kind.families) {
            for (const text of BEFORE_TEXT[family]) {
              routes.set(`${text}${kind.has('addpath', family) ? '#1' : ''}`, BEFORE_NEXT_HOP[family]);
            }
          }
          const [word, ...effects] = expected.split(' ');
          for (const effect of effects) {
            const [key = '', nextHop = ''] = effect.slice(1).split('@');
            if (effect.startsWith('+')) routes.set(key, nextHop);
            else routes.delete(key);
          }
          messages += kind.families.length + 1;
          const { counters } = speaker.peer(peer.from) ?? assert.fail('no peer');
          peer.send(octets(kind.announcement())).send(message);
          await eventually(
            `${name}: ${expected}`,
            () => {
              if (peer.isClosed) failed(peer);
              const now = speaker.peer(peer.from)?.counters;
              if (now?.messagesReceived !== messages) return false;
              assert.equal(textOf(routesOf(peer, kind)), textOf(routes));
              assert.equal(now.treatAsWithdraw, counters.treatAsWithdraw + (word === 'withdraw' ? 1 : 0));
              const discards = now.attributeDiscards - counters.attributeDiscards;
              if (word === 'discard') assert.ok(discards > 0);
              if (word === 'valid') assert.equal(discards, 0);
              return true;
            },
            WAIT,
          );
        }
        assert.equal(peer.notification, undefined);
      }),
    );
    const told = events.filter((event) => event.type === 'malformed');
    assert.ok(told.length > 0 && told.every(({ reason, hex }) => reason !== '' && hex.startsWith('ffff')));
    assert.ok(!events.some((event) => event.type === 'session-down'));
  });

  it('what ends a session ends it with that NOTIFICATION, and that session alone', async () => {
    const kind = kindOf({}) ?? assert.fail('no default session');
    const witness = await established(kind);
    witness.send(octets(kind.bystanders()));
    for (let at = 0; at < ENDING.length; at += AT_A_TIME) {
      await Promise.all(ENDING.slice(at, at + AT_A_TIME).map(endsWith));
    }
    assert.equal(speaker.peer(witness.from)?.state, 'Established');
    assert.equal(routesOf(witness, kind).size, BYSTANDERS);
  });

  async function endsWith({ name, octets: message, expected, phase, kind }: Case): Promise<void> {
    let peer: RawPeer;
    if (phase === 'established') {
      peer = await established(kind);
      peer.send(octets(kind.bystanders()));
      const wanted = kind.has('families', 'ipv4') ? BYSTANDERS : 0;
      await eventually(`${name}: routes`, () => routesOf(peer, kind).size === wanted, WAIT);
    } else {
      peer = connect(kind);
      if (phase === 'openconfirm') {
        peer.open();
        await eventually(`${name}: answered`, () => peer.isAnswered, WAIT);
      }
    }
    peer.send(message);
    await eventually(`${name}: closed`, () => peer.isClosed, WAIT);
    const told = peer.notification === undefined ? 'close' : `reset ${peer.notification}`;
    assert.equal(told, expected, name);
    const direction = expected === 'close' ? 'received' : 'sent';
    assert.ok(
      events.some(
        (event) => event.type === 'notification' && event.peer === peer.from && event.direction === direction,
      ),
      `${name}: logged`,
    );
    await eventually(`${name}: gone`, () => routesOf(peer, kind).size === 0, WAIT);
  }
});

const BEFORE_TEXT: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['203.0.113.0/24', '198.51.100.0/24', '0.0.0.0/0'],
  ipv6: ['2001:db8:1::/48', '2001:db9::/32'],
};
