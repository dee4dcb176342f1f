import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { NetlinkError } from '../../fib/netlink/error-message.ts';
import {
  decodeLink,
  writeLinkChange,
  writeLinkDump,
  writeLinkQuery,
} from '../../fib/netlink/link-message.ts';
import { NetlinkMonitor } from '../../fib/netlink/monitor.ts';
import { inNamespace, prepareNamespaces } from '../../fib/netlink/namespace.ts';
import {
  decodeNextHop,
  writeNextHop,
  writeNextHopDeletion,
  writeNextHopDump,
} from '../../fib/netlink/nexthop-message.ts';
import { AF_INET, NLM_F, RTM, RTN, RTNLGRP } from '../../fib/netlink/registry.ts';
import { decodeRoute, RouteRecord, writeRoute, writeRouteDump } from '../../fib/netlink/route-message.ts';
import { NetlinkSocket } from '../../fib/netlink/socket.ts';
import { MessageWriter } from '../../fib/netlink/writer.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

function writeHostRoute(writer: MessageWriter, word: number, ifindex: number, flags: number): void {
  writeRoute(writer, RTM.NEWROUTE, flags, AF_INET, 32, word, 0, 0, 0, {
    type: RTN.UNICAST,
    table: 254,
    protocol: 171,
    metric: 1024,
    scope: 253,
    nextHops: [{ ifindex, weight: 1, flags: 0 }],
  });
}

describe('fib/netlink in a real kernel', () => {
  const open: { close(): void }[] = [];
  let netns: Netns;
  let socket: NetlinkSocket;
  before(prepareNamespaces);
  beforeEach(() => {
    netns = createNetns();
    socket = NetlinkSocket.open({ netns: netns.path });
    open.push(socket);
  });
  afterEach(async () => {
    for (const each of open.splice(0)) each.close();
    await removeAllNetns();
  });

  const loopback = (): number => {
    const link = socket.query('lo', (writer) => writeLinkQuery(writer, 'lo'), decodeLink);
    assert.ok(link);
    return link.ifindex;
  };

  it('enters a namespace and comes back, also from an error', () => {
    const here = readlinkSync('/proc/thread-self/ns/net');
    const there = inNamespace(netns.path, () => readlinkSync('/proc/thread-self/ns/net'));
    assert.notEqual(there, here);
    assert.throws(() =>
      inNamespace(netns.path, () => {
        throw new Error('inside');
      }),
    );
    assert.throws(() => inNamespace('/run/netns/ocit-none', () => {}), /ENOENT/);
    assert.throws(() => inNamespace('/dev/null', () => {}), NetlinkError);
    assert.equal(readlinkSync('/proc/thread-self/ns/net'), here);
  });

  it("names the errno and gives the kernel's own words", () => {
    assert.throws(
      () => socket.request('set it up', (writer) => writeLinkChange(writer, 4242, { up: true })),
      (error) =>
        error instanceof NetlinkError && error.code === 'ENODEV' && /^set it up: ENODEV/.test(error.message),
    );
    const verdict = socket.tryRequest((writer) => writeHostRoute(writer, 0x0a000001, 4242, NLM_F.CREATE));
    assert.deepEqual([verdict.errno, verdict.text], [19, '']);
    assert.equal(
      socket.query('none', (writer) => writeLinkQuery(writer, 'none'), decodeLink),
      undefined,
    );
    assert.deepEqual(
      socket.dumpList('links', writeLinkDump, decodeLink).map(({ name }) => name),
      ['lo'],
    );
  });

  it('a batch goes through to its end and names the messages that failed by index', () => {
    const lo = loopback();
    const writer = new MessageWriter();
    const failing = new Set([0, 250, 498, 499]);
    for (let i = 0; i < 500; i++)
      writeHostRoute(writer, 0x0a000000 + i, failing.has(i) ? 4242 : lo, NLM_F.CREATE | NLM_F.EXCL);
    const { failures, uncertain } = socket.batch(writer, 500);
    assert.equal(uncertain, false);
    assert.deepEqual(
      [...failures].map(([index, { errno }]) => [index, errno]),
      [...failing].map((index) => [index, 19]),
    );
    const record = new RouteRecord();
    const read = socket.dumpList(
      'routes',
      (w) => writeRouteDump(w, RTM.GETROUTE, AF_INET, 254, 171),
      (message) => (decodeRoute(message, record) ? record.w0 : undefined),
    );
    assert.equal(read.length, 496);
    assert.equal(new Set(read).size, 496);
  });

  it('a monitor hears others at once, not the ignored socket, and says when it was overrun and goes on', async () => {
    const lo = loopback();
    const heard = { filtered: 0, all: 0, small: 0, overruns: 0 };
    const watch = (
      key: 'filtered' | 'all' | 'small',
      options: { ignorePortId?: number; bufferBytes?: number },
    ): void => {
      const handlers = {
        message: () => {
          heard[key]++;
        },
        overrun: () => {
          heard.overruns++;
        },
      };
      open.push(
        NetlinkMonitor.open({ groups: [RTNLGRP.IPV4_ROUTE], netns: netns.path, ...options }, handlers),
      );
    };
    watch('filtered', { ignorePortId: socket.portId });
    watch('all', {});
    watch('small', { bufferBytes: 4096 });
    const writer = new MessageWriter();
    for (let i = 0; i < 500; i++) writeHostRoute(writer, 0x0a000000 + i, lo, NLM_F.CREATE);
    socket.batch(writer, 500);
    await eventually('all are heard, and the overrun', () => heard.all === 500 && heard.overruns === 1);
    assert.equal(heard.filtered, 0);
    const few = heard.small;
    assert.ok(few > 0 && few < 500, String(few));
    netns.sh('ip route add 10.9.9.9/32 dev lo');
    await eventually(
      'one more is heard by all',
      () => heard.filtered === 1 && heard.all === 501 && heard.small === few + 1,
    );
  });

  it('makes next-hop objects and groups, and a route through one', () => {
    const lo = loopback();
    const base = { protocol: 171, onlink: false, flags: 0, members: [] };
    const path = { ...base, id: 11, kind: 'path', ifindex: lo } as const;
    const group = { ...base, id: 13, kind: 'group', ifindex: 0, members: [{ id: 11, weight: 2 }] } as const;
    for (const object of [path, { ...base, id: 12, kind: 'blackhole', ifindex: 0 } as const, group]) {
      socket.request('next hop', (writer) => writeNextHop(writer, object, 'ipv4'));
    }
    const read = socket.dumpList('next hops', writeNextHopDump, decodeNextHop);
    assert.deepEqual(
      read.map(({ id, kind, protocol, members }) => [id, kind, protocol, members]),
      [
        [11, 'path', 171, []],
        [12, 'blackhole', 171, []],
        [13, 'group', 171, [{ id: 11, weight: 2 }]],
      ],
    );
    socket.request('route', (writer) =>
      writeRoute(writer, RTM.NEWROUTE, NLM_F.CREATE, AF_INET, 24, 0x0a000000, 0, 0, 0, {
        type: RTN.UNICAST,
        table: 254,
        protocol: 171,
        metric: 1024,
        scope: 0,
        nextHops: [],
        nextHopId: 13,
      }),
    );
    assert.match(netns.sh('ip route show'), /10\.0\.0\.0\/24 nhid 13 .*proto 171 metric 1024/);
    socket.request('delete', (writer) => writeNextHopDeletion(writer, 13));
    assert.equal(netns.sh('ip route show'), '');
  });
});
