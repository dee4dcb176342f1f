/** Interfaces and addresses of a namespace, followed without anything else of the kernel. */
import assert from 'node:assert/strict';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import type { Link } from '../../fib/routes/link-table.ts';
import { LinkWatch } from '../../fib/routes/link-watch.ts';
import { formatAddress } from '../../src/net/address.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, removeAllNetns } from '../support/netns.ts';

describe('fib/routes links alone, in a real kernel', () => {
  before(prepareNamespaces);
  after(removeAllNetns);

  it('has what is there, and follows names, carrier, addresses and deletion', async () => {
    const [netns, other] = [createNetns(), createNetns()];
    for (const each of [netns, other]) each.sysctl('net/ipv6/conf/default/addr_gen_mode', 1);
    connect({ netns, name: 'eth0', addresses: ['192.0.2.1/24'] }, { netns: other, name: 'eth0' });
    const watch = LinkWatch.open({
      netns: netns.path,
      onError: (error) => assert.fail(String(error)),
    });
    try {
      const told: string[] = [];
      watch.links.onChange(({ before, after }) => told.push(`${before?.name ?? '-'} ${after?.name ?? '-'}`));
      const text = (link: Link | undefined): string =>
        link === undefined
          ? 'gone'
          : [
              link.isUp ? 'up' : 'down',
              link.hasCarrier && link.isRunning ? 'running' : 'dead',
              ...link.addresses.map(({ address }) => formatAddress(address)),
            ].join(' ');
      const becomes = (name: string, wanted: string): Promise<unknown> =>
        eventually(`${name} is ${wanted}`, () => text(watch.links.byName(name)) === wanted, {
          timeoutMs: 10_000,
        });
      assert.equal(text(watch.links.byName('eth0')), 'up running 192.0.2.1', 'at once');
      netns.sh('ip address add 2001:db8::1/64 dev eth0 nodad');
      await becomes('eth0', 'up running 192.0.2.1 2001:db8::1');
      other.sh('ip link set eth0 down');
      await becomes('eth0', 'up dead 192.0.2.1 2001:db8::1');
      other.sh('ip link set eth0 up');
      await becomes('eth0', 'up running 192.0.2.1 2001:db8::1');
      netns.sh('ip link set eth0 down');
      await becomes('eth0', 'down dead 192.0.2.1');
      netns.sh('ip link set eth0 name wan0');
      await becomes('wan0', 'down dead 192.0.2.1');
      assert.equal(watch.links.byName('eth0'), undefined);
      netns.sh('ip link del wan0');
      await becomes('wan0', 'gone');
      assert.deepEqual([told.at(-1), told.includes('eth0 wan0')], ['wan0 -', true]);
    } finally {
      watch.close();
    }
  });

  it('a flood of notifications that does not fit leads to a new reading', async () => {
    const netns = createNetns();
    const watch = LinkWatch.open({
      netns: netns.path,
      bufferBytes: 4096,
      onError: (error) => assert.fail(String(error)),
    });
    try {
      // Nothing is received meanwhile: the process waits for the command.
      const lines = Array.from(
        { length: 100 },
        (_, index) => `link add a${index} type veth peer name b${index}`,
      );
      const words = lines.map((line) => `'${line}'`).join(' ');
      netns.run('sh', '-c', `printf '%s\\n' ${words} | ip -batch -`);
      await eventually('all are known', () => watch.links.all().length === 201, { timeoutMs: 10_000 });
    } finally {
      watch.close();
    }
  });
});
