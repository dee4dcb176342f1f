import assert from 'node:assert/strict';
import { decodeControlPacket, encodeControlPacket } from '../../../../../bgp/bfd/packet.ts';
import { BFD_STATE, BfdPeer } from '../../../../../lab/bench/bgp/bfd-peer.ts';

const DELAY_MS = 1;

function peer(discriminator: number, intervalMs = 300): BfdPeer {
  return new BfdPeer({ intervalMs, multiplier: 3, discriminator, random: () => 0.5 }, 0);
}

interface UnderWay {
  readonly at: number;
  readonly to: BfdPeer;
  readonly octets: Uint8Array;
}

/** Two peers, and packets that take a millisecond. The second does not run while it is silent; what came meanwhile it hears afterwards. */
class Pair {
  readonly a: BfdPeer;
  readonly b: BfdPeer;
  now = 0;
  #underWay: UnderWay[] = [];

  constructor(a = peer(1), b = peer(2)) {
    this.a = a;
    this.b = b;
  }

  run(until: number, isSilent = false): void {
    for (; this.now < until; this.now++) {
      const isHeard = ({ at, to }: UnderWay): boolean => at <= this.now && !(isSilent && to === this.b);
      const due = this.#underWay.filter(isHeard);
      this.#underWay = this.#underWay.filter((packet) => !isHeard(packet));
      for (const { to, octets } of due) this.#send(to, to.receive(octets, this.now));
      for (const each of isSilent ? [this.a] : [this.a, this.b]) this.#send(each, each.tick(this.now));
    }
  }

  #send(from: BfdPeer, octets: Uint8Array | undefined): void {
    const to = from === this.a ? this.b : this.a;
    if (octets !== undefined) this.#underWay.push({ at: this.now + DELAY_MS, to, octets });
  }
}

describe('bench: BFD', () => {
  it('comes up, and hears the other side as often as was agreed on', () => {
    const pair = new Pair();
    pair.run(10_000);
    assert.deepEqual([pair.a.state, pair.b.state], [BFD_STATE.up, BFD_STATE.up]);
    assert.deepEqual([pair.a.flaps, pair.a.discarded], [0, 0]);
    const silences = pair.a.silences(pair.now);
    assert.ok(silences.length > 20);
    // 75 to 100 % of 300 ms (RFC 5880 6.8.7); here always the middle.
    for (const { ms } of silences) assert.ok(ms <= 265, `${ms} ms`);
  });

  it('keeps to the slower of the two', () => {
    const pair = new Pair(peer(1, 100), peer(2, 400));
    pair.run(6_000);
    const late = pair.b.silences(pair.now).filter(({ at }) => at > 3_000);
    for (const { ms } of late.slice(0, -1)) assert.ok(ms >= 300 && ms <= 400, `${ms} ms`);
    assert.equal(pair.a.flaps + pair.b.flaps, 0);
  });

  it('flaps when nothing comes for three intervals, not before, and says how long it was', () => {
    const pair = new Pair();
    pair.run(5_000);
    pair.run(5_600, true);
    pair.run(8_000);
    assert.equal(pair.a.flaps, 0);
    assert.ok(Math.max(...pair.a.silences(pair.now).map(({ ms }) => ms)) >= 600);
    pair.run(9_200, true);
    assert.equal(pair.a.flaps, 1);
    assert.equal(pair.a.state, BFD_STATE.down);
    assert.ok(Math.max(...pair.a.silences(pair.now).map(({ ms }) => ms)) >= 900);
    pair.run(15_000);
    assert.deepEqual([pair.a.state, pair.b.state], [BFD_STATE.up, BFD_STATE.up]);
  });

  it('notices a late packet even where it looks at it before its timer', () => {
    const pair = new Pair();
    pair.run(5_000);
    const up = { ...PACKET, state: 'Up' as const, yourDiscriminator: 1 };
    pair.a.receive(encodeControlPacket(up), pair.now + 950);
    assert.equal(pair.a.flaps, 1);
  });

  it('writes what the protocol says, and answers a poll', () => {
    const one = peer(7);
    const first = decodeControlPacket(one.tick(0) ?? new Uint8Array());
    assert.ok(first.ok);
    assert.deepEqual(
      [first.packet.state, first.packet.myDiscriminator, first.packet.yourDiscriminator],
      ['Down', 7, 0],
    );
    // Not yet up: one a second at most (6.8.3).
    assert.deepEqual([first.packet.desiredMinTxUs, first.packet.requiredMinRxUs], [1_000_000, 300_000]);
    const answer = one.receive(encodeControlPacket({ ...PACKET, poll: true }), 1);
    const final = decodeControlPacket(answer ?? new Uint8Array());
    assert.ok(final.ok && final.packet.final && final.packet.yourDiscriminator === PACKET.myDiscriminator);
  });

  it('throws away what RFC 5880 6.8.6 has it throw away', () => {
    const good = encodeControlPacket(PACKET);
    const wrong: readonly Uint8Array[] = [
      good.subarray(0, 23),
      encodeControlPacket({ ...PACKET, multiplier: 0 }),
      encodeControlPacket({ ...PACKET, myDiscriminator: 0 }),
      encodeControlPacket({ ...PACKET, yourDiscriminator: 99 }),
      encodeControlPacket({ ...PACKET, state: 'Up' }),
      good.with(0, 0),
      good.with(1, 0x44),
      good.with(3, 25),
    ];
    const one = peer(7);
    for (const octets of wrong) assert.equal(one.receive(octets, 0), undefined);
    assert.deepEqual([one.discarded, one.state], [wrong.length, BFD_STATE.down]);
    one.receive(good, 0);
    assert.equal(one.state, BFD_STATE.init);
  });
});

const PACKET = {
  diagnostic: 0,
  state: 'Down',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  multiplier: 3,
  myDiscriminator: 5,
  yourDiscriminator: 0,
  desiredMinTxUs: 300_000,
  requiredMinRxUs: 300_000,
  requiredMinEchoRxUs: 0,
} as const;
