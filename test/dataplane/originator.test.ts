/** What a node advertises follows the kernel: a route that is not there is not advertised, whoever took it away. */
import assert from 'node:assert/strict';
import { FibProgrammer } from '../../fib/programmer.ts';
import { followRoutes, originRoutes } from '../../src/agent/bgp/origin-routes.ts';
import { Originator } from '../../src/agent/bgp/originator.ts';
import { formatPrefix, hostPrefix } from '../../src/net/prefix.ts';
import { eventually } from '../support/eventually.ts';
import { address, prefix } from '../support/net.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const BLOCKS = ['10.65.1.0/26', 'fd00:65::/122'];
/** of a container on `oci1`; the first two lie in the blocks */
const ADDRESSES = ['10.65.1.7', 'fd00:65::7', '10.66.0.7', 'fd00:66::7'];
const ADVERTISED = [...BLOCKS, '10.66.0.7/32', 'fd00:66::7/128'].sort();

describe('what a node originates, and its kernel', () => {
  let host: Netns;
  let fib: FibProgrammer;
  let originator: Originator;
  /** with the link, if it leads to one */
  const told = new Map<string, string | undefined>();

  before(async () => {
    host = createNetns();
    host.sh('ip link add oci1 type veth peer name c1');
    host.sh('ip link set c1 up');
    host.sh('ip link set oci1 up');
    fib = await FibProgrammer.open({
      netns: host.path,
      onError: (error) => {
        throw error;
      },
    });
    originator = new Originator({ routes: originRoutes(fib), mayExport: () => true });
    followRoutes(fib, originator);
    originator.attach({
      originate: (announced, _, link) => void told.set(formatPrefix(announced), link),
      withdraw: (withdrawn) => told.delete(formatPrefix(withdrawn)),
    });
    originator.changeBlocks({ added: BLOCKS.map(prefix), removed: [] });
    for (const text of ADDRESSES) setRoute(text);
    originator.setEndpoint('default.c1', ADDRESSES.map(address));
    assert.equal(told.size, 0);
    fib.release();
  });

  after(async () => {
    fib.close();
    await removeAllNetns();
  });

  function setRoute(text: string): void {
    const ifindex = fib.kernel.links.byName('oci1')?.ifindex;
    assert.ok(ifindex);
    fib.routes.setRoute(hostPrefix(address(text)), 'endpoint', { kind: 'unicast', nextHops: [{ ifindex }] });
  }

  async function advertises(what: string, wanted: readonly string[]): Promise<void> {
    await eventually(what, () => [...told.keys()].sort().join() === [...wanted].sort().join());
  }

  it('advertises blocks, and addresses outside them, once they are in the kernel', async () => {
    await advertises('everything', ADVERTISED);
    assert.equal(originator.isComplete, true);
    assert.equal(told.get('10.66.0.7/32'), 'oci1');
    assert.equal(told.get('fd00:66::7/128'), 'oci1');
    assert.equal(told.get('10.65.1.0/26'), undefined);
  });

  it('withdraws a route in whose place somebody else has put one, until that is gone', async () => {
    // Where it takes ours away with one message, of which the kernel tells the new route alone.
    host.sh('ip route replace blackhole 10.65.1.0/26 metric 1024 proto static');
    await advertises(
      'all but the block',
      ADVERTISED.filter((text) => text !== '10.65.1.0/26'),
    );
    host.sh('ip route delete blackhole 10.65.1.0/26 metric 1024 proto static');
    await advertises('the block again', ADVERTISED);
  });

  it('withdraws a route that somebody deletes again and again, while it waits', async () => {
    await eventually('the route is held', () => {
      host.tryRun('ip', 'route', 'delete', '10.66.0.7/32', 'proto', '171');
      return !told.has('10.66.0.7/32');
    });
    await advertises('it again', ADVERTISED);
  });

  it('withdraws what leads to a link that goes down', async () => {
    host.sh('ip link set oci1 down');
    await advertises('the blocks alone', BLOCKS);
    host.sh('ip link set oci1 up');
    await advertises('everything again', ADVERTISED);
  });

  it('tells the name of a link that got another one', async () => {
    host.sh('ip link set oci1 down');
    host.sh('ip link set oci1 name oci9');
    host.sh('ip link set oci9 up');
    await eventually('the new name is told', () => told.get('10.66.0.7/32') === 'oci9');
    await advertises('everything again', ADVERTISED);
    host.sh('ip link set oci9 down');
    host.sh('ip link set oci9 name oci1');
    host.sh('ip link set oci1 up');
    await eventually('the old name is told', () => told.get('10.66.0.7/32') === 'oci1');
    await advertises('everything again', ADVERTISED);
  });

  it('looks at everything after a new reading of the kernel', async () => {
    host.sh('ip route replace blackhole 10.65.1.0/26 metric 1024 proto static');
    // The notification comes before, while or after everything is read.
    fib.kernel.readAgain();
    await advertises(
      'all but the block',
      ADVERTISED.filter((text) => text !== '10.65.1.0/26'),
    );
    host.sh('ip route delete blackhole 10.65.1.0/26 metric 1024 proto static');
    await advertises('the block again', ADVERTISED);
  });

  it('withdraws the addresses of an endpoint that goes, and a block that is given up', async () => {
    originator.setEndpoint('default.c1', []);
    await advertises('the blocks alone', BLOCKS);
    originator.changeBlocks({ added: [], removed: [prefix('fd00:65::/122')] });
    await advertises('one block', ['10.65.1.0/26']);
    await eventually(
      'its blackhole is gone',
      () => !host.sh('ip -6 route').includes('blackhole fd00:65::/122'),
    );
  });
});
