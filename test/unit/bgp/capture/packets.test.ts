/** BGP out of packet captures: file formats, link layers, TCP in any order, contexts learnt from OPENs. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { CapturedMessage, CaptureItem } from '../../../../bgp/capture/messages.ts';
import { PcapPackets, pcapHeader } from '../../../../bgp/capture/pcap-writer.ts';
import { captureFormat, readCapture } from '../../../../bgp/capture/read.ts';
import { TcpStream } from '../../../../bgp/capture/tcp-stream.ts';
import { encodeKeepalive } from '../../../../bgp/wire/messages.ts';
import { encodeOpen } from '../../../../bgp/wire/open.ts';
import type { Capability } from '../../../../bgp/wire/types.ts';
import { DEFAULT_VERDICT_CONTEXT, verdictOf } from '../../../../bgp/wire/verdict.ts';
import { MANDATORY, NLRI, OTHER_NLRI, octets, update } from '../wire/support.ts';
import { concat, endpoint, frame, ipPacket, pcap, pcapng, RST, SYN, taggedFrame } from './build.ts';
import { assertSurvivesDamage } from './damage.ts';

const A = endpoint('192.0.2.1', 179);
const B = endpoint('192.0.2.2', 40000);
const A6 = endpoint('2001:db8::1', 40001);
const B6 = endpoint('2001:db8::2', 179);
const UPDATE = octets(update({ attributes: MANDATORY, nlri: NLRI }));
const OTHER = octets(update({ attributes: MANDATORY, nlri: OTHER_NLRI }));
const OPTIONS = { port: 179, otherwise: DEFAULT_VERDICT_CONTEXT };

function read(file: Uint8Array, port = 179): CaptureItem[] {
  return [...readCapture(file, { ...OPTIONS, port })];
}
const messagesOf = (items: readonly CaptureItem[]): CapturedMessage[] =>
  items.filter((item) => item.kind === 'message');
const hexes = (file: Uint8Array): string[] => messagesOf(read(file)).map(({ message }) => message.toHex());

function open(as: number, ...capabilities: Capability[]): Uint8Array {
  const always: Capability[] = [
    { kind: 'multiprotocol', afi: 1, safi: 1 },
    { kind: 'four-octet-as', as },
  ];
  return encodeOpen({ as, holdTimeSec: 90, routerId: as, capabilities: [...always, ...capabilities] });
}

describe('bgp/capture: packets', () => {
  for (const [ends, from, to] of [
    ['IPv4', A, B],
    ['IPv6', A6, B6],
  ] as const) {
    const packet = ipPacket(from, to, 7, UPDATE);
    for (const linkType of [0, 1, 101, 113, 276]) {
      for (const little of [true, false]) {
        const order = little ? 'little' : 'big';
        it(`${ends}, link type ${linkType}, ${order}-endian pcap and pcapng`, () => {
          const framed = frame(linkType, packet);
          for (const file of [
            pcap([framed], { linkType, little }),
            pcap([framed], { linkType, little, nano: true }),
            pcapng([framed, framed], { linkType, little }),
          ]) {
            assert.equal(captureFormat(file), 'packets');
            const [first, ...more] = messagesOf(read(file));
            assert.deepEqual(more, []);
            assert.deepEqual(first?.message, UPDATE);
            assert.deepEqual([first?.from, first?.to], [from, to]);
            assert.equal(first?.at, 100_000);
          }
        });
      }
    }
    it(`${ends} with VLAN tags, and Ethernet padding behind the packet`, () => {
      assert.deepEqual(hexes(pcap([concat(taggedFrame(packet), new Uint8Array(6))], { linkType: 1 })), [
        UPDATE.toHex(),
      ]);
    });
  }

  it('IPv6 extension headers are passed over, fragments and other protocols left out', () => {
    const packet = ipPacket(A6, B6, 7, UPDATE);
    const withOptions = concat(
      packet.subarray(0, 40),
      Uint8Array.of(60, 0, 1, 4, 0, 0, 0, 0),
      Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0),
      packet.subarray(40),
    );
    withOptions[6] = 0;
    new DataView(withOptions.buffer).setUint16(4, withOptions.length - 40);
    const fragment = ipPacket(A, B, 7, OTHER);
    fragment[6] = 0x20;
    const udp = ipPacket(A, B, 7, OTHER);
    udp[9] = 17;
    assert.deepEqual(hexes(pcap([fragment, udp, withOptions])), [UPDATE.toHex()]);
  });

  it('of other ports nothing, unless asked for', () => {
    const file = pcap([ipPacket(endpoint('192.0.2.1', 1790), B, 1, UPDATE)]);
    assert.deepEqual(read(file), []);
    assert.equal(messagesOf(read(file, 1790)).length, 1);
  });

  it('an unknown link type is told once', () => {
    const texts = read(pcap([UPDATE, UPDATE], { linkType: 147 })).map(
      (item) => item.kind === 'note' && item.text,
    );
    assert.deepEqual(texts, ['packets of link type 147, which are not looked into']);
  });

  it('segments in any order, twice, overlapping: the messages are the same', () => {
    const messages = [open(65001), encodeKeepalive(), UPDATE, OTHER, encodeKeepalive()];
    const stream = concat(...messages);
    const expected = messages.map((each) => each.toHex());
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.array(fc.tuple(fc.nat(stream.length - 1), fc.integer({ min: 1, max: 90 })), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        (isn, extra, sizes, random) => {
          const cuts: (readonly [number, number])[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            cuts.push([at, size]);
            at += size;
          }
          const keyed = [...cuts, ...extra].map((cut) => ({ cut, key: random.next().value }));
          keyed.sort((one, two) => one.key - two.key);
          const packets = keyed.map(({ cut: [at, size] }) =>
            ipPacket(A, B, (isn + 1 + at) % 2 ** 32, stream.slice(at, at + size)),
          );
          const syn = ipPacket(A, B, isn, new Uint8Array(0), SYN);
          assert.deepEqual(hexes(pcap([syn, ...packets])), expected);
        },
      ),
    );
  });

  it('a capture that begins within a message finds the next, and one that lacks octets tells how many', () => {
    const stream = concat(UPDATE, OTHER, UPDATE, OTHER);
    const cut = UPDATE.length;
    const items = read(
      pcap([
        ipPacket(A, B, 1000, stream.slice(10, cut + OTHER.length)),
        ipPacket(A, B, 1000 + 2 * cut + 3, stream.slice(2 * cut + 13)),
      ]),
    );
    assert.deepEqual(
      items.map((item) => (item.kind === 'note' ? item.text : item.message.toHex())),
      [OTHER.toHex(), '13 octets are not in the capture', OTHER.toHex()],
    );
  });

  it('packets of which only the front was kept leave a gap', () => {
    const packet = ipPacket(A, B, 1, UPDATE).slice(0, 60);
    const items = read(pcap([packet, ipPacket(A, B, 1 + UPDATE.length, OTHER)]));
    assert.deepEqual(
      items.map((item) => (item.kind === 'note' ? item.text : item.message.toHex())),
      [`${UPDATE.length - 20} octets are not in the capture`, OTHER.toHex()],
    );
  });

  it('what is left of a message is told, also when the connection is reset or its ports come again', () => {
    const front = UPDATE.slice(0, 30);
    const text = '30 octets of a message that does not end';
    for (const [name, more] of [
      ['end', []],
      ['RST', [ipPacket(A, B, 31, new Uint8Array(0), RST)]],
      ['SYN', [ipPacket(A, B, 900, new Uint8Array(0), SYN), ipPacket(A, B, 901, OTHER)]],
    ] as const) {
      const items = read(pcap([ipPacket(A, B, 1, front), ...more]));
      assert.ok(
        items.some((item) => item.kind === 'note' && item.text === text),
        name,
      );
      assert.equal(messagesOf(items).length, name === 'SYN' ? 1 : 0, name);
    }
  });

  it('a marker that is none is judged, and reading goes on at the next', () => {
    const bad = UPDATE.slice();
    bad[3] = 0;
    const syn = ipPacket(A, B, 0, new Uint8Array(0), SYN);
    const [first, second] = messagesOf(read(pcap([syn, ipPacket(A, B, 1, concat(bad, OTHER))])));
    assert.ok(first !== undefined);
    assert.deepEqual(verdictOf(first.message, first.context).error, { code: 1, subcode: 1, data: '' });
    assert.deepEqual(second?.message, OTHER);
  });

  it('learns from the OPENs of both sides, each direction by itself', () => {
    const addPath = (send: boolean, receive: boolean): Capability => ({
      kind: 'add-path',
      entries: [{ afi: 1, safi: 1, send, receive }],
    });
    const handshake = [
      ipPacket(A, B, 0, new Uint8Array(0), SYN),
      ipPacket(B, A, 0, new Uint8Array(0), SYN | 16),
      ipPacket(A, B, 1, open(65010, addPath(true, false), { kind: 'extended-message' })),
      ipPacket(B, A, 1, open(65010, addPath(false, true), { kind: 'extended-message' })),
    ];
    const at = 1 + open(65010, addPath(true, false), { kind: 'extended-message' }).length;
    const items = read(
      pcap([
        ...handshake,
        ipPacket(A, B, at, concat(encodeKeepalive(), UPDATE)),
        ipPacket(B, A, at, concat(encodeKeepalive(), UPDATE)),
      ]),
    );
    const contexts = messagesOf(items).map(({ context }) => context);
    assert.deepEqual(
      contexts.map(({ phase }) => phase),
      ['opensent', 'opensent', 'openconfirm', 'established', 'openconfirm', 'established'],
    );
    const [fromA, fromB] = [contexts[3], contexts[5]];
    assert.deepEqual(
      [fromA, fromB].map((each) => [each?.peerKind, each?.extendedMessage, each?.localAs, each?.families]),
      new Array(2).fill(['ibgp', true, 65010, { ipv4: true, ipv6: false }]),
    );
    assert.deepEqual(fromA?.addPathReceive, { ipv4: true, ipv6: false });
    assert.deepEqual(fromB?.addPathReceive, { ipv4: false, ipv6: false });
  });

  it('what the writer writes is read again, large messages too', () => {
    const packets = new PcapPackets();
    const large = new Uint8Array(40_000).fill(0xff, 0, 16);
    large.set([40_000 >> 8, 40_000 & 255, 2], 16);
    const file = concat(
      pcapHeader(),
      packets.records(1234.5, A, B, UPDATE),
      packets.records(1235, B, A, OTHER),
      packets.records(1236, A, B, large),
      packets.records(1237, A, B, OTHER),
    );
    const found = messagesOf(read(file));
    assert.deepEqual(
      found.map(({ at, from, message }) => [at, from, message.toHex()]),
      [
        [1234.5, A, UPDATE.toHex()],
        [1235, B, OTHER.toHex()],
        [1236, A, large.toHex()],
        [1237, A, OTHER.toHex()],
      ],
    );
  });

  it('a stream holds back a bounded number of segments', () => {
    let gaps = 0;
    let octetsOut = 0;
    const stream = new TcpStream({
      onData: (data) => {
        octetsOut += data.length;
      },
      onGap: (count) => {
        gaps += count;
      },
    });
    stream.start(0);
    for (let i = 0; i < 10_000; i++) stream.add(10 + 2 * i, Uint8Array.of(1), 1, 0);
    assert.ok(octetsOut > 5000, `${octetsOut}`);
    stream.end();
    assert.equal(octetsOut, 10_000);
    assert.equal(gaps, 9 + 9_999);
  });

  it('damage anywhere is a CaptureError or fewer messages, and nothing else', () => {
    const packets = [open(65001), UPDATE, OTHER].map((each, index) =>
      frame(1, ipPacket(A, B, 1 + 100 * index, each)),
    );
    const files = [pcap(packets, { linkType: 1 }), pcapng(packets, { linkType: 1 })];
    assertSurvivesDamage(files, 'packets');
  });

  it('a file cut short gives what is whole, then the error', () => {
    const file = pcap([ipPacket(A, B, 1, UPDATE), ipPacket(A, B, 1 + UPDATE.length, OTHER)]);
    const found: CaptureItem[] = [];
    assert.throws(() => {
      for (const item of readCapture(file.subarray(0, -1), OPTIONS)) found.push(item);
    }, /ends within a packet \(at octet \d+\)/);
    assert.equal(messagesOf(found).length, 1);
  });
});
