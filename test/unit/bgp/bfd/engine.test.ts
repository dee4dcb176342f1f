import assert from 'node:assert/strict';
import { BfdEngine } from '../../../../bgp/bfd/engine.ts';
import type { BfdNetwork, Datagram } from '../../../../bgp/bfd/network.ts';
import { type FromThread, newCounters, type SessionReport } from '../../../../bgp/bfd/thread-messages.ts';
import type { BfdSessionConfig } from '../../../../bgp/bfd/types.ts';
import { type Address, formatAddress, parseAddress } from '../../../../src/net/address.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

/** A link: packets arrive at once, or wait in the receiver's socket while it sleeps. */
class Link {
  ttl = 255;
  interfaceIndex = 2;
  readonly hosts = new Map<string, Host>();

  deliver(from: Address, to: Address, port: number, octets: Uint8Array): void {
    const datagram: Datagram = {
      octets: octets.slice(),
      source: from,
      destination: to,
      interfaceIndex: this.interfaceIndex,
      ttl: this.ttl,
    };
    this.hosts.get(formatAddress(to))?.take(port, datagram);
  }
}

class Host implements BfdNetwork {
  readonly counters = newCounters();
  readonly engine: BfdEngine;
  readonly told: FromThread[] = [];
  asleep = false;
  portTaken = false;
  #queue: (() => void)[] = [];
  readonly #ears = new Map<number, (datagram: Datagram) => void>();
  readonly #link: Link;
  readonly #own: Address;

  constructor(link: Link, clock: FakeClock, own: string, seed: number) {
    this.#link = link;
    this.#own = address(own);
    link.hosts.set(own, this);
    let state = seed;
    const random = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state / 2_147_483_648;
    };
    this.engine = new BfdEngine({
      network: this,
      clock,
      random,
      tell: (message) => void this.told.push(message),
    });
  }

  take(port: number, datagram: Datagram): void {
    const receive = (): void => this.#ears.get(port)?.(datagram);
    if (this.asleep) this.#queue.push(receive);
    else receive();
  }

  drain(): void {
    for (const receive of this.#queue.splice(0)) receive();
  }

  listen(_family: string, port: number, onPacket: (datagram: Datagram) => void) {
    if (this.portTaken) return 'the port is taken';
    this.#ears.set(port, onPacket);
    return { drain: () => this.drain(), close: () => void this.#ears.delete(port) };
  }

  openSender({ peer, port, interface: device }: Parameters<BfdNetwork['openSender']>[0]) {
    return {
      interfaceIndex: device === undefined ? undefined : 2,
      send: (octets: Uint8Array) => {
        this.#link.deliver(this.#own, peer, port, octets);
        return undefined;
      },
      close: () => undefined,
    };
  }

  get listening(): readonly number[] {
    return [...this.#ears.keys()];
  }

  get report(): SessionReport | undefined {
    for (const message of this.told.toReversed()) if (message.type !== 'warning') return message.report;
    return undefined;
  }

  get changes(): readonly string[] {
    return this.told.flatMap((message) => (message.type === 'state' ? [message.change.to] : []));
  }
}

function pair(change: Partial<BfdSessionConfig> = {}, first = '192.0.2.1', second = '192.0.2.2') {
  const clock = new FakeClock();
  const link = new Link();
  const one = new Host(link, clock, first, 1);
  const two = new Host(link, clock, second, 2);
  const timers = { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false };
  const start = (host: Host, peer: string, own: string): void =>
    host.engine.add(1, { ...timers, peer: address(peer), local: address(own), ...change }, host.counters);
  start(one, second, first);
  start(two, first, second);
  return { clock, link, one, two };
}

describe('BFD engine: two of them on a link', () => {
  for (const [first, second] of [
    ['192.0.2.1', '192.0.2.2'],
    ['2001:db8::1', '2001:db8::2'],
  ] as const) {
    it(`${first}: both come up, agree on the intervals and stay up`, () => {
      const { clock, one, two } = pair({}, first, second);
      clock.until('up', () => one.report?.state === 'Up' && two.report?.state === 'Up', 5_000);
      clock.advance(600_000);
      assert.deepEqual([one.report?.upCount, one.report?.downCount, two.report?.downCount], [1, 0, 0]);
      assert.deepEqual([one.report?.txIntervalMs, one.report?.detectionTimeMs], [300, 900]);
      // 75 to 100 % of 300 ms for ten minutes.
      const sent = one.counters[0] ?? 0;
      assert.ok(sent >= 2_000 && sent <= 2_700, `${sent} packets`);
    });
  }

  it('a silent peer is down after the detection time, and not before', () => {
    const { clock, link, one } = pair();
    clock.until('up', () => one.report?.state === 'Up');
    clock.advance(5_000);
    link.hosts.delete('192.0.2.1');
    clock.advance(599);
    assert.equal(one.report?.state, 'Up');
    clock.advance(302);
    assert.equal(one.report?.state, 'Down');
    assert.equal(one.report?.lastDown?.diagnosticText, 'Control Detection Time Expired');
  });

  it('packets that wait in the socket are heard before a late timer is believed', () => {
    const { clock, one } = pair();
    clock.until('up', () => one.report?.state === 'Up');
    clock.advance(5_000);
    one.asleep = true;
    clock.advance(850);
    one.asleep = false;
    clock.advance(100);
    assert.deepEqual([one.report?.state, one.report?.downCount], ['Up', 0]);
  });

  it('single hop: a TTL below 255 does not count (RFC 5881 5); multihop: below minTtl', () => {
    const single = pair();
    single.link.ttl = 254;
    single.clock.advance(10_000);
    assert.equal(single.one.report?.state, 'Down');
    assert.ok((single.one.counters[2] ?? 0) > 5);
    const multi = pair({ multihop: true, minTtl: 253 });
    multi.link.ttl = 253;
    multi.clock.until('up', () => multi.one.report?.state === 'Up');
    multi.link.ttl = 252;
    multi.clock.until('down', () => multi.one.report?.state === 'Down', 5_000);
  });

  it('a packet from another interface does not count', () => {
    const { clock, link, one } = pair({ interface: 'eth0' });
    clock.until('up', () => one.report?.state === 'Up');
    link.interfaceIndex = 3;
    clock.until('down', () => one.report?.state === 'Down', 5_000);
    const received = one.counters[1];
    clock.advance(5_000);
    assert.deepEqual([one.report?.state, one.counters[1]], ['Down', received]);
  });

  it('removed: the peer learns that it is on purpose, and the port is closed', () => {
    const { clock, one, two } = pair();
    clock.until('up', () => one.report?.state === 'Up' && two.report?.state === 'Up');
    assert.deepEqual(one.listening, [3784]);
    one.engine.remove(1);
    assert.equal(two.report?.state, 'Down');
    assert.equal(two.report?.remote?.state, 'AdminDown');
    assert.equal(two.report?.diagnosticText, 'Neighbor Signaled Session Down');
    assert.deepEqual(one.listening, []);
    const sent = one.counters[0];
    clock.advance(10_000);
    assert.equal(one.counters[0], sent);
  });

  it('a port that is taken is told of and tried again', () => {
    const clock = new FakeClock();
    const link = new Link();
    const one = new Host(link, clock, '192.0.2.1', 1);
    one.portTaken = true;
    one.engine.add(
      1,
      { minTxMs: 300, minRxMs: 300, multiplier: 3, multihop: false, peer: address('192.0.2.2') },
      one.counters,
    );
    assert.equal(one.report?.problem, 'the port is taken');
    one.portTaken = false;
    clock.advance(2_000);
    assert.deepEqual(one.listening, [3784]);
    assert.equal(one.report?.problem, undefined);
    assert.equal(one.told.filter(({ type }) => type === 'warning').length, 2);
  });
});
