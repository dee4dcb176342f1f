import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeAddress, writeAddressAddition } from '../../../../fib/netlink/address-message.ts';
import { decodeDone, decodeVerdict, errnoName, NetlinkError } from '../../../../fib/netlink/error-message.ts';
import {
  decodeLink,
  writeLinkChange,
  writeLinkQuery,
  writeVethCreation,
} from '../../../../fib/netlink/link-message.ts';
import { decodeNeighbour, writePermanentNeighbour } from '../../../../fib/netlink/neighbour-message.ts';
import { decodeNetconf } from '../../../../fib/netlink/netconf-message.ts';
import { decodeNextHop, type NextHopObject, writeNextHop } from '../../../../fib/netlink/nexthop-message.ts';
import { type MessageBody, MessageCursor } from '../../../../fib/netlink/reader.ts';
import { AF_INET, AF_INET6, NLM_F, RTM } from '../../../../fib/netlink/registry.ts';
import {
  decodeRoute,
  forEachNextHop,
  RouteRecord,
  repeatRoute,
  writeRoute,
  writeRouteDeletion,
  writeRouteDump,
} from '../../../../fib/netlink/route-message.ts';
import { MessageWriter } from '../../../../fib/netlink/writer.ts';
import { type Address, addressFromBytes, formatAddress, parseAddress } from '../../../../src/net/address.ts';

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

function written(write: (writer: MessageWriter) => void): string {
  const writer = new MessageWriter(16);
  write(writer);
  return Buffer.from(writer.bytes()).toString('hex');
}

function first(bytes: Uint8Array): MessageCursor {
  const cursor = new MessageCursor(bytes);
  assert.ok(cursor.next());
  return cursor;
}

describe('fib/netlink codec', () => {
  describe('requests as octets (struct layouts of the kernel headers)', () => {
    const ipv4 = { type: 1, table: 254, protocol: 171, metric: 1024, scope: 0 };
    const cases: { name: string; write: (writer: MessageWriter) => void; hex: string }[] = [
      {
        name: 'IPv4 route with one gateway',
        write: (w) =>
          writeRoute(w, RTM.NEWROUTE, NLM_F.CREATE | NLM_F.EXCL, AF_INET, 16, 0x0a010000, 0, 0, 0, {
            ...ipv4,
            nextHops: [{ ifindex: 2, weight: 1, flags: 0, gateway: address('192.0.2.2').bytes }],
          }),
        hex: `3c000000 1800 0006 00000000 00000000  02 10 00 00 fe ab 00 01 00000000
              0800 0100 0a010000  0800 0600 00040000  0800 0400 02000000  0800 0500 c0000202`,
      },
      {
        name: 'IPv4 multipath route, weights 3 and 1, one onlink',
        write: (w) =>
          writeRoute(w, RTM.NEWROUTE, NLM_F.CREATE | NLM_F.REPLACE, AF_INET, 0, 0, 0, 0, 0, {
            ...ipv4,
            metric: 0,
            nextHops: [
              { ifindex: 2, weight: 3, flags: 0, gateway: address('192.0.2.2').bytes },
              { ifindex: 3, weight: 1, flags: 4, gateway: address('192.0.2.6').bytes },
            ],
          }),
        hex: `40000000 1800 0005 00000000 00000000  02 00 00 00 fe ab 00 01 00000000
              2400 0980  1000 00 02 02000000 0800 0500 c0000202  1000 04 00 03000000 0800 0500 c0000206`,
      },
      {
        name: 'IPv4 route via an IPv6 gateway (RTA_VIA)',
        write: (w) =>
          writeRoute(w, RTM.NEWROUTE, 0, AF_INET, 8, 0x0a000000, 0, 0, 0, {
            ...ipv4,
            metric: 0,
            nextHops: [{ ifindex: 2, weight: 1, flags: 0, gateway: address('fe80::1').bytes }],
          }),
        hex: `44000000 1800 0000 00000000 00000000  02 08 00 00 fe ab 00 01 00000000
              0800 0100 0a000000  0800 0400 02000000  1600 1200 0a00 fe800000000000000000000000000001 0000`,
      },
      {
        name: 'IPv6 blackhole in table 1000 by next-hop id',
        write: (w) =>
          writeRoute(w, RTM.NEWROUTE, 0, AF_INET6, 32, 0x20010db8, 0, 0, 0, {
            ...ipv4,
            type: 6,
            table: 1000,
            metric: 0,
            nextHops: [],
            nextHopId: 7,
          }),
        hex: `40000000 1800 0000 00000000 00000000  0a 20 00 00 00 ab 00 06 00000000
              1400 0100 20010db8000000000000000000000000  0800 0f00 e8030000  0800 1e00 07000000`,
      },
      {
        name: 'deletion: any scope, exact protocol and metric',
        write: (w) =>
          writeRouteDeletion(
            w,
            AF_INET,
            16,
            0x0a010000,
            0,
            0,
            0,
            { table: 254, protocol: 171, metric: 1024, type: 0 },
            RTM.DELROUTE,
          ),
        hex: `2c000000 1900 0000 00000000 00000000  02 10 00 00 fe ab ff 00 00000000
              0800 0100 0a010000  0800 0600 00040000`,
      },
      {
        name: 'dump of one table',
        write: (w) => writeRouteDump(w, RTM.GETROUTE, AF_INET6, 254, 171),
        hex: '1c000000 1a00 0000 00000000 00000000  0a 00 00 00 fe ab 00 00 00000000',
      },
      {
        name: 'veth pair with its peer in another namespace',
        write: (w) =>
          writeVethCreation(
            w,
            { name: 'oci1', mac: new Uint8Array(6).fill(0xee), mtu: 1500 },
            { name: 'eth0', mtu: 1500, netnsFd: 9 },
          ),
        hex: `84000000 1000 0006 00000000 00000000  00 00 0000 00000000 00000000 00000000
              0900 0300 6f63693100 000000  0a00 0100 eeeeeeeeeeee 0000  0800 0400 dc050000
              4400 1280  0900 0100 7665746800 000000  3400 0280  3000 0180
                00 00 0000 00000000 00000000 00000000
                0900 0300 6574683000 000000  0800 0400 dc050000  0800 1c00 09000000`,
      },
      {
        name: 'interface up',
        write: (w) => writeLinkChange(w, 5, { up: true }),
        hex: '20000000 1000 0000 00000000 00000000  00 00 0000 05000000 01000000 01000000',
      },
      {
        name: 'interface renamed',
        write: (w) => writeLinkChange(w, 5, { name: 'oci1' }),
        hex: '2c000000 1000 0000 00000000 00000000  00 00 0000 05000000 00000000 00000000  0900 0300 6f63693100 000000',
      },
      {
        name: 'interface by index',
        write: (w) => writeLinkQuery(w, 5),
        hex: '20000000 1200 0000 00000000 00000000  00 00 0000 05000000 00000000 00000000',
      },
      {
        name: 'interface by name',
        write: (w) => writeLinkQuery(w, 'lo'),
        hex: '28000000 1200 0000 00000000 00000000  00 00 0000 00000000 00000000 00000000  0700 0300 6c6f00 00',
      },
      {
        name: 'IPv6 address without duplicate address detection',
        write: (w) => writeAddressAddition(w, 5, { address: address('2001:db8::1'), length: 128 }, 0),
        hex: `40000000 1400 0005 00000000 00000000  0a 80 82 00 05000000
              1400 0200 20010db8000000000000000000000001  1400 0100 20010db8000000000000000000000001`,
      },
      {
        name: 'permanent neighbour',
        write: (w) => writePermanentNeighbour(w, 5, address('169.254.1.1'), new Uint8Array(6).fill(0xee)),
        hex: `30000000 1c00 0005 00000000 00000000  02 00 0000 05000000 8000 00 00
              0800 0100 a9fe0101  0a00 0200 eeeeeeeeeeee 0000`,
      },
      {
        name: 'next-hop group',
        write: (w) =>
          writeNextHop(
            w,
            {
              id: 9,
              protocol: 171,
              kind: 'group',
              ifindex: 0,
              onlink: false,
              flags: 0,
              members: [
                { id: 1, weight: 1 },
                { id: 2, weight: 4 },
              ],
            },
            'ipv4',
          ),
        hex: `34000000 6800 0005 00000000 00000000  00 00 ab 00 00000000
              0800 0100 09000000  1400 0200 01000000 00 00 0000 02000000 03 00 0000`,
      },
    ];
    for (const { name, write, hex } of cases) {
      it(name, () => assert.equal(written(write), Buffer.from(bytesOf(hex)).toString('hex')));
    }
  });

  describe('replies', () => {
    it('NLMSG_ERROR with capped request and extended text', () => {
      const cursor = first(
        bytesOf(`4c000000 0200 0003 07000000 01000000  9bffffff  3c000000 1800 0506 07000000 00000000
                 2000 0100 4e657874686f702068617320696e76616c6964206761746577617900
                 0800 0200 24000000`),
      );
      assert.deepEqual(decodeVerdict(cursor, cursor.flags), {
        errno: 101,
        text: 'Nexthop has invalid gateway',
        offset: 0x24,
      });
      assert.equal(errnoName(101), 'ENETUNREACH');
      assert.equal(errnoName(99999), 'errno 99999');
      assert.equal(new NetlinkError('add it', 17, 'File exists').message, 'add it: EEXIST (File exists)');
    });

    it('NLMSG_ERROR that echoes the whole request before its attributes', () => {
      const cursor = first(
        bytesOf(`34000000 0200 0002 01000000 00000000  edffffff  14000000 1200 0500 01000000 00000000 deadbeef
                 0900 0100 6e6f706500 000000`),
      );
      assert.deepEqual(decodeVerdict(cursor, cursor.flags), { errno: 19, text: 'nope' });
    });

    it('acknowledgement, and the end of a dump with an error', () => {
      const ack = first(
        bytesOf('24000000 0200 0001 01000000 00000000  00000000 14000000 1200 0500 01000000 00000000'),
      );
      assert.deepEqual(decodeVerdict(ack, ack.flags), { errno: 0, text: '' });
      const done = first(bytesOf('14000000 0300 0200 01000000 00000000  f4ffffff'));
      assert.deepEqual(decodeDone(done), { errno: 12, text: '' });
    });

    it('RTM_NEWNETCONF', () => {
      const cursor = first(
        bytesOf(
          '2c000000 5000 0000 00000000 00000000  02000000 0800 0100 ffffffff 0800 0200 01000000 0800 0300 02000000',
        ),
      );
      assert.deepEqual(decodeNetconf(cursor), { family: 'ipv4', ifindex: -1, forwarding: true, rpFilter: 2 });
    });

    it('RTM_NEWLINK with kind, carrier, peer', () => {
      const cursor = first(
        bytesOf(
          `54000000 1000 0000 00000000 00000000  00 00 0100 05000000 43100100 00000000
                 0900 0300 6f63693100 000000  0800 0400 dc050000  0800 0500 02000000  0500 2100 01 000000
                 1000 1200 0900 0100 7665746800 000000`,
        ),
      );
      const link = decodeLink(cursor);
      assert.ok(link);
      assert.deepEqual(
        [link.ifindex, link.name, link.mtu, link.kind, link.carrier, link.peerIfindex, link.flags & 1],
        [5, 'oci1', 1500, 'veth', true, 2, 1],
      );
    });
  });

  describe('properties', () => {
    const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
    const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const gateway = fc.option(fc.oneof(octets(4), octets(16)), { nil: undefined });
    const hop = fc.record(
      {
        ifindex: fc.integer({ min: 1, max: 0x7fffffff }),
        weight: fc.integer({ min: 1, max: 256 }),
        flags: fc.constantFrom<number>(0, 4),
        gateway,
      },
      { noNullPrototype: true },
    );

    it('a message that is repeated for another destination is as if written for it', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(AF_INET, AF_INET6),
          fc.array(fc.tuple(word, word, word, word, fc.integer({ min: 1, max: 32 })), { minLength: 2 }),
          fc.array(hop, { maxLength: 3 }),
          fc.boolean(),
          (family, destinations, nextHops, isDeletion) => {
            const fields = { type: 1, table: 300, protocol: 171, metric: 7, scope: 0, nextHops };
            const write = (
              to: MessageWriter,
              [w0, w1, w2, w3, length]: (typeof destinations)[number],
            ): void => {
              if (isDeletion) writeRouteDeletion(to, family, length, w0, w1, w2, w3, fields, RTM.DELROUTE);
              else writeRoute(to, RTM.NEWROUTE, NLM_F.CREATE, family, length, w0, w1, w2, w3, fields);
            };
            const expected = new MessageWriter();
            for (const destination of destinations) write(expected, destination);
            const writer = new MessageWriter(16);
            let message: Int32Array | undefined;
            for (const destination of destinations) {
              const [w0, w1, w2, w3, length] = destination;
              if (message === undefined) {
                write(writer, destination);
                message = writer.copyFrom(0);
              } else repeatRoute(writer, message, family, length, w0, w1, w2, w3);
            }
            assert.deepEqual(writer.bytes(), expected.bytes());
          },
        ),
      );
    });

    it('a route survives encoding and decoding', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(AF_INET, AF_INET6),
          fc.tuple(word, word, word, word),
          fc.record(
            {
              type: fc.integer({ min: 1, max: 8 }),
              table: fc.integer({ min: 1, max: 0xffffffff }),
              protocol: fc.integer({ min: 0, max: 255 }),
              metric: fc.integer({ min: 0, max: 0xffffffff }),
              scope: fc.constantFrom(0, 253),
              nextHops: fc.array(hop, { maxLength: 5 }),
            },
            { noNullPrototype: true },
          ),
          (family, words, fields) => {
            const writer = new MessageWriter();
            const length = family === AF_INET ? 32 : 128;
            const [w0, w1, w2, w3] = family === AF_INET ? [words[0], 0, 0, 0] : words;
            writeRoute(writer, RTM.NEWROUTE, 0, family, length, w0, w1, w2, w3, fields);
            const record = new RouteRecord();
            assert.ok(decodeRoute(first(writer.bytes()), record));
            const { type, table, protocol, metric, scope } = record;
            assert.deepEqual([record.w0, record.w1, record.w2, record.w3], [w0, w1, w2, w3]);
            const hops: (typeof fields.nextHops)[number][] = [];
            forEachNextHop(record, (each) => {
              const octetCount = each.gatewayFamily === AF_INET ? 4 : 16;
              hops.push({
                ifindex: each.ifindex,
                weight: each.weight,
                flags: each.flags,
                gateway:
                  each.gatewayAt < 0
                    ? undefined
                    : record.bytes.slice(each.gatewayAt, each.gatewayAt + octetCount),
              });
            });
            const expected =
              fields.nextHops.length === 1
                ? fields.nextHops.map((h) => ({ ...h, weight: 1 }))
                : fields.nextHops;
            assert.deepEqual(
              { type, table, protocol, metric, scope, nextHops: hops },
              { ...fields, nextHops: expected },
            );
          },
        ),
      );
    });

    it('next-hop objects, neighbours and addresses survive encoding and decoding', () => {
      const id = fc.integer({ min: 1, max: 0xffffffff });
      fc.assert(
        fc.property(
          fc.constantFrom('path', 'group', 'blackhole' as const),
          id,
          fc.option(fc.oneof(octets(4), octets(16)), { nil: undefined }),
          fc.array(fc.record({ id, weight: fc.integer({ min: 1, max: 256 }) }, { noNullPrototype: true }), {
            minLength: 1,
            maxLength: 4,
          }),
          (kind, objectId, gatewayOctets, members) => {
            const isPath = kind === 'path';
            const object: NextHopObject = {
              id: objectId,
              protocol: 171,
              kind: kind === 'path' || kind === 'group' ? kind : 'blackhole',
              ifindex: isPath ? 3 : 0,
              onlink: isPath,
              flags: isPath ? 4 : 0,
              members: kind === 'group' ? members : [],
              ...(isPath && gatewayOctets !== undefined ? { gateway: addressFromBytes(gatewayOctets) } : {}),
            };
            const writer = new MessageWriter();
            writeNextHop(writer, object, 'ipv6');
            assert.deepEqual(decodeNextHop(first(writer.bytes())), object);
          },
        ),
      );
      fc.assert(
        fc.property(fc.oneof(octets(4), octets(16)), octets(6), (ip, mac) => {
          const writer = new MessageWriter();
          const value = addressFromBytes(ip);
          writePermanentNeighbour(writer, 4, value, mac);
          assert.deepEqual(decodeNeighbour(first(writer.bytes())), {
            ifindex: 4,
            address: value,
            mac,
            state: 0x80,
          });
          writer.reset();
          writeAddressAddition(writer, 4, { address: value, length: ip.length * 8 }, 253);
          const decoded = decodeAddress(first(writer.bytes()));
          assert.deepEqual(
            [decoded && formatAddress(decoded.address), decoded?.length, decoded?.scope],
            [formatAddress(value), ip.length * 8, 253],
          );
        }),
      );
    });

    it('arbitrary octets never throw, nor lead outside the message', () => {
      const record = new RouteRecord();
      const decoders: ((message: MessageBody) => unknown)[] = [
        decodeLink,
        decodeAddress,
        decodeNeighbour,
        decodeNextHop,
        decodeNetconf,
        decodeDone,
        (message) => decodeVerdict(message, NLM_F.ACK_TLVS),
        (message) => decodeVerdict(message, NLM_F.ACK_TLVS | NLM_F.CAPPED),
        (message) => {
          if (decodeRoute(message, record)) {
            forEachNextHop(record, ({ gatewayAt }) => assert.ok(gatewayAt + 4 <= message.bodyEnd));
          }
        },
      ];
      const all = (bytes: Uint8Array): void => {
        const cursor = new MessageCursor(bytes);
        while (cursor.next()) for (const decode of decoders) decode(cursor);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        for (const decode of decoders)
          decode({
            type: 0,
            flags: 0,
            sequence: 0,
            portId: 0,
            bytes,
            view,
            bodyStart: 0,
            bodyEnd: bytes.length,
          });
      };
      fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), all), { numRuns: 2000 });
      // Damaged real messages get deeper than noise.
      const writer = new MessageWriter();
      writeRoute(writer, RTM.NEWROUTE, 0, AF_INET6, 32, 0x20010db8, 0, 0, 0, {
        type: 1,
        table: 254,
        protocol: 171,
        metric: 1,
        scope: 0,
        nextHops: [
          { ifindex: 2, weight: 3, flags: 0, gateway: address('fe80::1').bytes },
          { ifindex: 3, weight: 1, flags: 4, gateway: address('192.0.2.6').bytes },
        ],
      });
      const whole = writer.bytes().slice();
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
          fc.nat(whole.length),
          (edits, cut) => {
            const bytes = whole.slice(0, Math.max(1, cut));
            for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
            all(bytes);
          },
        ),
        { numRuns: 3000 },
      );
    });
  });
});
