/** What BGP sessions are told of the kernel's links, out of the table that the notifications fill. */
import assert from 'node:assert/strict';
import type { LinkMessage } from '../../../../../fib/netlink/link-message.ts';
import { IFF } from '../../../../../fib/netlink/registry.ts';
import { LinkTable } from '../../../../../fib/routes/link-table.ts';
import { ConnectedSubnets } from '../../../../../src/agent/bgp/connected-subnets.ts';
import { KernelLinks } from '../../../../../src/agent/bgp/host-links.ts';
import { formatPrefix, prefixContainsAddress } from '../../../../../src/net/prefix.ts';
import { address, type prefix } from '../../../../support/net.ts';

const UP = IFF.UP | IFF.RUNNING;

function link(ifindex: number, name: string, change: Partial<LinkMessage> = {}): LinkMessage {
  return {
    ifindex,
    name,
    mtu: 1500,
    kind: 'veth',
    address: new Uint8Array(6),
    flags: UP,
    operState: 6,
    carrier: true,
    peerIfindex: 0,
    masterIfindex: 0,
    ...change,
  };
}

function addressed(table: LinkTable, ifindex: number, text: string, length: number): void {
  table.applyAddress({ ifindex, address: address(text), length, flags: 0, scope: 0 });
}

describe('the links of the kernel, for sessions', () => {
  it('are operational, without carrier, down or absent', () => {
    const table = new LinkTable();
    const links = new KernelLinks(table);
    assert.equal(links.stateOf('eth0'), 'absent');
    for (const [change, state] of [
      [{}, 'operational'],
      [{ flags: IFF.UP, carrier: false }, 'no-carrier'],
      // A VLAN whose lower link is down: its carrier is told apart.
      [{ flags: IFF.UP }, 'no-carrier'],
      [{ carrier: false }, 'no-carrier'],
      [{ flags: 0, carrier: false }, 'down'],
    ] as const) {
      table.applyLink(link(2, 'eth0', change));
      assert.equal(links.stateOf('eth0'), state);
    }
    table.removeLink(2);
    assert.equal(links.stateOf('eth0'), 'absent');
  });

  it('are told of when that changes, and not for anything else', () => {
    const table = new LinkTable();
    const links = new KernelLinks(table);
    const told: string[] = [];
    const stop = links.onChange((name) => told.push(`${name} ${links.stateOf(name)}`));
    table.applyLink(link(2, 'eth0'));
    table.applyLink(link(2, 'eth0', { mtu: 9000 }));
    addressed(table, 2, '192.0.2.1', 24);
    table.applyLink(link(2, 'eth0', { flags: IFF.UP, carrier: false }));
    table.removeLink(2);
    assert.deepEqual(told, ['eth0 operational', 'eth0 no-carrier', 'eth0 absent']);
    stop();
    table.applyLink(link(2, 'eth0'));
    assert.equal(told.length, 3);
  });

  it('go by the name that a session was given, also when the link got another one since', () => {
    const table = new LinkTable();
    const links = new KernelLinks(table);
    table.applyLink(link(2, 'eth0'));
    assert.equal(links.stateOf('eth0'), 'operational');
    table.applyLink(link(2, 'wan0'));
    assert.equal(links.stateOf('eth0'), 'operational', 'a bound socket goes on over it');
    const told: string[] = [];
    links.onChange((name) => told.push(`${name} ${links.stateOf(name)}`));
    table.applyLink(link(2, 'wan0', { flags: IFF.UP, carrier: false }));
    assert.deepEqual(told.sort(), ['eth0 no-carrier', 'wan0 no-carrier']);
    // Somebody else gets the name: that is the one from now on.
    table.applyLink(link(3, 'eth0'));
    assert.equal(links.stateOf('eth0'), 'operational');
    table.removeLink(3);
    assert.equal(links.stateOf('eth0'), 'absent');
  });
});

describe('the subnets of the host', () => {
  const all = (subnets: ConnectedSubnets): string[] => subnets.prefixes.map(formatPrefix);
  const never = (): boolean => false;

  it('lead to an address over one link, the one with the longest prefix, or over none alone', () => {
    const table = new LinkTable();
    for (const [ifindex, name] of [
      [2, 'eth0'],
      [3, 'eth1'],
      [4, 'oci1'],
    ] as const)
      table.applyLink(link(ifindex, name));
    addressed(table, 2, '10.0.0.1', 8);
    addressed(table, 3, '10.1.0.1', 16);
    addressed(table, 4, '10.2.0.1', 16);
    addressed(table, 3, '2001:db8::1', 64);
    const subnets = new ConnectedSubnets();
    subnets.update(table.all(), 'oci', never);
    assert.deepEqual(all(subnets), ['10.0.0.0/8', '10.1.0.0/16', '2001:db8::/64']);
    const ways = ['10.1.0.9', '10.2.0.9', '2001:db8::9', '192.0.2.1'].map((text) =>
      subnets.onlyLinkTo(address(text)),
    );
    assert.deepEqual(ways, ['eth1', 'eth0', 'eth1', undefined]);
    addressed(table, 2, '2001:db8::2', 64);
    subnets.update(table.all(), 'oci', never);
    assert.equal(subnets.onlyLinkTo(address('2001:db8::9')), undefined, 'two lead there');
    assert.equal(subnets.linkTo(address('2001:db8::9')), 'eth0');
  });

  it('are remembered with their link while a peer is in them, until they are somewhere again', () => {
    const table = new LinkTable();
    table.applyLink(link(2, 'eth0'));
    addressed(table, 2, '192.0.2.1', 24);
    addressed(table, 2, '198.51.100.1', 24);
    const subnets = new ConnectedSubnets();
    const peer = address('192.0.2.9');
    const needed = (subnet: ReturnType<typeof prefix>): boolean => prefixContainsAddress(subnet, peer);
    subnets.update(table.all(), 'oci', needed);
    table.removeLink(2);
    for (let again = 0; again < 2; again++) {
      subnets.update(table.all(), 'oci', needed);
      assert.deepEqual(all(subnets), ['192.0.2.0/24']);
      assert.deepEqual([subnets.onlyLinkTo(peer), subnets.linkTo(peer)], ['eth0', 'eth0']);
    }
    table.applyLink(link(7, 'eth7'));
    addressed(table, 7, '192.0.2.1', 24);
    subnets.update(table.all(), 'oci', needed);
    assert.deepEqual([subnets.onlyLinkTo(peer), all(subnets).length], ['eth7', 1]);
    table.removeLink(7);
    subnets.update(table.all(), 'oci', never);
    assert.deepEqual(all(subnets), []);
  });
});
