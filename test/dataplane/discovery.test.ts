/** Neighbour discovery for unnumbered peers on real links, raw sockets and neighbour tables of the kernel. */
import assert from 'node:assert/strict';
import { type Discovered, NeighbourDiscovery } from '../../fib/discovery/discovery.ts';
import { ALL_NODES } from '../../fib/discovery/icmpv6-socket.ts';
import * as libc from '../../fib/netlink/libc.ts';
import { inNamespace, prepareNamespaces } from '../../fib/netlink/namespace.ts';
import { AF_INET6 } from '../../fib/netlink/registry.ts';
import { KernelWatch } from '../../fib/routes/kernel-watch.ts';
import { type Address, formatAddress, parseAddress } from '../../src/net/address.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const SOCK_RAW = 3;
const ICMPV6_PROTOCOL = 58;
const IPPROTO_IPV6 = 41;
const IPV6_MULTICAST_HOPS = 18;
const SLOW = { timeoutMs: 25_000 };

interface Side {
  readonly netns: Netns;
  readonly kernel: KernelWatch;
  readonly discovery: NeighbourDiscovery;
}

async function open(netns: Netns, ...interfaces: readonly string[]): Promise<Side> {
  const kernel = KernelWatch.open({ netns: netns.path });
  await kernel.start();
  const discovery = new NeighbourDiscovery({
    links: kernel.links,
    netns: netns.path,
    onChange: () => {},
    onError: (error) => assert.fail(String(error)),
  });
  discovery.setInterfaces(interfaces);
  return { netns, kernel, discovery };
}

function close({ kernel, discovery }: Side): void {
  discovery.close();
  kernel.close();
}

const textOf = (found: Discovered): string => (found.found ? formatAddress(found.address) : found.why);

/** A namespace without duplicate address detection and without addresses of the kernel's own making. */
function plainNetns(): Netns {
  const netns = createNetns();
  netns.sysctl('net/ipv6/conf/default/accept_dad', 0);
  netns.sysctl('net/ipv6/conf/default/addr_gen_mode', 1);
  return netns;
}

/** Sends an ICMPv6 message of the kernel's own checksum over `eth0`, as soon as source and way are there. */
async function send(
  netns: Netns,
  message: { readonly from: string; readonly to: Address; readonly hops: number; readonly hex: string },
): Promise<void> {
  const ifindex = Number(/^(\d+):/.exec(netns.sh('ip -o link show eth0'))?.[1]);
  const place = (address: Address): Uint8Array => {
    const octets = new Uint8Array(28);
    const view = new DataView(octets.buffer);
    view.setUint16(0, AF_INET6, true);
    octets.set(address.bytes, 8);
    view.setUint32(24, ifindex, true);
    return octets;
  };
  const opened = inNamespace(netns.path, () => libc.socket(AF_INET6, SOCK_RAW, ICMPV6_PROTOCOL));
  assert.ok('value' in opened);
  const fd = opened.value;
  libc.setsockoptInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, message.hops);
  await eventually(
    'the address is there',
    () => 'value' in libc.bind(fd, place(address(message.from))),
    SLOW,
  );
  const octets = Buffer.from(message.hex, 'hex');
  await eventually('it is sent', () => libc.sendTo(fd, octets, place(message.to)) > 0, SLOW);
  libc.close(fd);
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

describe('neighbour discovery on links', function () {
  this.timeout(60_000);
  const sides: Side[] = [];
  const start = async (netns: Netns, ...interfaces: readonly string[]): Promise<Side> => {
    const side = await open(netns, ...interfaces);
    sides.push(side);
    return side;
  };
  const finds = (side: Side, name: string, expected: string): Promise<unknown> =>
    eventually(
      `${name} finds ${expected}`,
      () => {
        assert.equal(textOf(side.discovery.neighbourOn(name)), expected);
        return true;
      },
      SLOW,
    );

  before(prepareNamespaces);
  afterEach(async () => {
    for (const side of sides.splice(0)) close(side);
    await removeAllNetns();
  });

  it('two that look for each other find each other; the same address on two links is two neighbours', async () => {
    const [a, b, c] = [plainNetns(), plainNetns(), plainNetns()];
    for (const [index, other] of [b, c].entries()) {
      connect(
        { netns: a, name: `to${index}`, addresses: [`fe80::a${index}/64`] },
        { netns: other, name: 'up0', addresses: ['fe80::1/64'] },
      );
    }
    const one = await start(a, 'to0', 'to1', 'absent');
    assert.equal(textOf(one.discovery.neighbourOn('absent')), 'no-such-interface');
    const two = await start(b, 'up0');
    const three = await start(c, 'up0');
    await Promise.all([
      finds(one, 'to0', 'fe80::1'),
      finds(one, 'to1', 'fe80::1'),
      finds(two, 'up0', 'fe80::a0'),
      finds(three, 'up0', 'fe80::a1'),
    ]);
    assert.deepEqual(
      a.run('ip', '-6', 'maddress', 'show', 'dev', 'to0').match(/inet6 +ff02::[12](?=\s)/g)?.length,
      2,
      'it is in ff02::1 and ff02::2',
    );
    one.discovery.setInterfaces([]);
    assert.equal(textOf(one.discovery.neighbourOn('to0')), 'no-such-interface');
  });

  it('one that advertises nothing is found all the same', async () => {
    const [a, b] = [plainNetns(), plainNetns()];
    connect(
      { netns: a, name: 'eth0', addresses: ['fe80::a/64'] },
      { netns: b, name: 'eth0', addresses: ['fe80::b/64', '2001:db8::b/64'] },
    );
    const side = await start(a, 'eth0');
    await finds(side, 'eth0', 'fe80::b');
    // A second one, neither a router: the first holds.
    b.sh('ip address add fe80::c/64 dev eth0 nodad');
    await send(b, { from: 'fe80::c', to: address('fe80::a'), hops: 64, hex: '8000000000010001' });
    await eventually(
      'the second is seen',
      () => side.discovery.neighbourOn('eth0').rivals.length === 1,
      SLOW,
    );
    assert.equal(textOf(side.discovery.neighbourOn('eth0')), 'fe80::b');
  });

  it('waits for the link and its address; its end, down or gone, is noticed; a successor is followed', async () => {
    const [a, b] = [plainNetns(), plainNetns()];
    const side = await start(a, 'eth0');
    connect({ netns: a, name: 'eth0' }, { netns: b, name: 'eth0', addresses: ['fe80::b/64'] });
    await finds(side, 'eth0', 'no-link-local-address');
    a.sh('ip address add fe80::a/64 dev eth0 nodad');
    const other = await start(b, 'eth0');
    await finds(side, 'eth0', 'fe80::b');
    // A flap keeps it: the session may survive.
    b.sh('ip link set eth0 down');
    await eventually('the link is down', () => side.kernel.links.byName('eth0')?.isRunning === false, SLOW);
    assert.equal(textOf(side.discovery.neighbourOn('eth0')), 'fe80::b');
    // Another neighbour on the link that comes up again.
    b.sh('ip -6 address flush dev eth0');
    b.sh('ip link set eth0 up');
    b.sh('ip address add fe80::beef/64 dev eth0 nodad');
    await finds(side, 'eth0', 'fe80::beef');
    // Another address without any change of the link: the former one stops answering.
    b.sh('ip address add fe80::cafe/64 dev eth0 nodad');
    b.sh('ip address del fe80::beef/64 dev eth0');
    await finds(side, 'eth0', 'fe80::cafe');
    assert.equal(other.discovery.neighbourOn('eth0').found, true);
    a.sh('ip link del eth0');
    await finds(side, 'eth0', 'no-such-interface');
  });

  it('what did not come from the link itself, or is malformed, is not heard', async () => {
    const [a, b] = [plainNetns(), plainNetns()];
    connect(
      { netns: a, name: 'eth0', addresses: ['fe80::a/64'] },
      { netns: b, name: 'eth0', addresses: ['fe80::b/64', 'fe80::bad/64'] },
    );
    // Neighbour entries would tell of it as well: without answers of the kernel there are none.
    b.sysctl('net/ipv6/icmp/echo_ignore_multicast', 1);
    const side = await start(a, 'eth0');
    const advertisement = `8600${'0'.repeat(4)}${'0'.repeat(24)}`;
    const multicast = (from: string, hops: number, hex: string): Promise<void> =>
      send(b, { from, to: ALL_NODES, hops, hex });
    await multicast('fe80::bad', 64, advertisement);
    await multicast('fe80::bad', 255, `8601${'0'.repeat(28)}`);
    await multicast('fe80::bad', 255, `${advertisement}0100020000000001`);
    await multicast('fe80::bad', 255, advertisement.slice(0, 24));
    assert.equal(textOf(side.discovery.neighbourOn('eth0')), 'silent');
    await multicast('fe80::b', 255, advertisement);
    await finds(side, 'eth0', 'fe80::b');
    assert.deepEqual(side.discovery.neighbourOn('eth0').rivals, [], 'the good one alone was heard');
  });
});
