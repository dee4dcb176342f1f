/** Published ports and natOutgoing by a real agent: from the command line to packets, and back to nothing. */
import assert from 'node:assert/strict';
import type { EndpointView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const HOST = ['192.0.2.2', '2001:db8:2::2'] as const;
const ROUTER = ['192.0.2.1', '2001:db8:2::1'] as const;

function pool(name: string, cidr: string, natOutgoing: boolean): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}}\nspec: {cidr: '${cidr}', natOutgoing: ${natOutgoing}}\n`;
}

const POOLS = (natOutgoing: boolean): string[] => [
  pool('four', '10.65.1.0/24', natOutgoing),
  pool('six', 'fd00:65:1::/64', natOutgoing),
];

/** Answers each connection with `NAME PEER`. */
async function serve(on: Netns, name: string, port: number): Promise<void> {
  const child = on.spawn(
    process.execPath,
    '-e',
    `require('node:net').createServer((s) => { s.on('error', () => {}); s.end('${name} ' + s.remoteAddress.replace('::ffff:', '')); })
       .listen(${port}, '::', () => console.log('up'));`,
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`server ended with status ${code}`)));
  });
}

/** What a server says; empty if there is none. */
async function ask(from: Netns, address: string, port: number, waitSec = 5): Promise<string> {
  const script = `require('node:net').connect(${port}, '${address}').on('data', (d) => process.stdout.write(d)).on('error', () => process.exit(3))`;
  return (await from.tryRunAsync('timeout', String(waitSec), process.execPath, '-e', script)).stdout;
}

function natRules(host: AgentHost): string {
  return ['iptables-save', 'ip6tables-save'].map((command) => host.netns.run(command, '-t', 'nat')).join('');
}

describe('agent: published ports and natOutgoing', function () {
  this.timeout(60_000);
  afterEach(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('publishes ports with an endpoint, keeps them over a restart, takes them away with it', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS(false));
    const [one, two] = [createNetns(), createNetns()];
    await serve(one, 'one', 80);
    const line = `endpoint add one --netns ${one.path} --publish 8080:80 --publish [2001:db8:2::2]:8081:80/tcp -o json`;
    const view: EndpointView = JSON.parse(await host.ocicat(line));
    assert.deepEqual(view.published, [
      { protocol: 'TCP', port: 80, hostPort: 8080 },
      { protocol: 'TCP', port: 80, hostPort: 8081, hostIP: '2001:db8:2::2' },
    ]);
    assert.match(await host.ocicat('endpoints'), /8080->80\/tcp, \[2001:db8:2::2\]:8081->80\/tcp/);
    const works = async (): Promise<void> => {
      for (const index of [0, 1] as const)
        assert.equal(await ask(host.router, HOST[index], 8080), `one ${ROUTER[index]}`);
      assert.equal(await ask(host.router, HOST[1], 8081), `one ${ROUTER[1]}`);
      assert.equal(await ask(host.router, HOST[0], 8081, 1), '');
      assert.match(await ask(host.netns, '127.0.0.1', 8080), /^one /);
      assert.match(await ask(one, HOST[0], 8080), /^one /, 'hairpin');
      assert.match(await ask(one, HOST[1], 8080), /^one /, 'hairpin');
    };
    await works();
    const rules = natRules(host);
    await host.stop('SIGKILL');
    await works();
    await host.start();
    await works();
    assert.equal(natRules(host).replace(/^#.*$/gm, ''), rules.replace(/^#.*$/gm, ''), 'adopted as they are');

    // Added again without ports: they stay. With others: those replace them.
    await host.add('one', one);
    await works();
    await host.add('one', one, { ports: [{ protocol: 'TCP', port: 80, hostPort: 8090 }] });
    assert.equal(await ask(host.router, HOST[0], 8090), `one ${ROUTER[0]}`);
    assert.equal(await ask(host.router, HOST[0], 8080, 1), '');

    // The port is taken: a clear refusal that leaves nothing, also of an address.
    const refused = await host.cli(['endpoint', 'add', 'two', '--netns', two.path, '--publish', '8090:81']);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /port 8090\/tcp of this host is held by endpoint default\/one/);
    assert.equal((await host.endpoints()).length, 1);
    const both = await Promise.allSettled(
      [1, 2].map((n) =>
        host.add(`race${n}`, createNetns(), { ports: [{ protocol: 'UDP', port: n, hostPort: 5353 }] }),
      ),
    );
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);

    await host.delete('one');
    await eventually('the mapping is gone', () => !natRules(host).includes('8090'));
    assert.equal(await ask(host.router, HOST[0], 8090, 1), '');
    await host.ocicat(`endpoint add two --netns ${two.path} --publish 8090:81`);
  });

  it('natOutgoing is switched while connections and containers are there', async () => {
    const host = createHost();
    await host.start();
    await host.apply(...POOLS(false));
    const container = createNetns();
    const { addresses } = await host.add('c1', container);
    host.router.sh('ip route add 10.65.1.0/24 via 192.0.2.2');
    host.router.sh('ip route add fd00:65:1::/64 via 2001:db8:2::2');
    await serve(host.router, 'router', 80);
    const sources = async (): Promise<string[]> => [
      await ask(container, ROUTER[0], 80),
      await ask(container, ROUTER[1], 80),
    ];
    const plain = addresses.map((address) => `router ${address}`);
    const masqueraded = HOST.map((address) => `router ${address}`);
    const become = (expected: readonly string[]): Promise<unknown> =>
      eventually(`sources are ${expected.join(', ')}`, async () => {
        assert.deepEqual(await sources(), expected);
        return true;
      });
    assert.deepEqual(await sources(), plain);
    await host.apply(...POOLS(true));
    await become(masqueraded);
    // Another pool: what goes there is not masqueraded.
    await host.apply(pool('racks', '192.0.2.0/26', false));
    await become([plain[0] ?? '', masqueraded[1] ?? '']);
    await host.apply(...POOLS(false));
    await become(plain);
    assert.doesNotMatch(natRules(host), /-A oci-nat-out/);
  });

  it('also works over links that carry no routes: they forward once something needs it, and not before', async () => {
    const host = createHost();
    const office = createNetns();
    connect(
      { netns: host.netns, name: 'office0', addresses: ['198.51.100.2/24'] },
      { netns: office, name: 'eth0', addresses: ['198.51.100.9/24'] },
    );
    await host.start();
    await host.apply(...POOLS(false));
    const container = createNetns();
    await serve(container, 'c1', 80);
    await host.add('c1', container);
    const forwards = (): string => host.netns.sh('sysctl -n net.ipv4.conf.office0.forwarding').trim();
    assert.equal(forwards(), '0');
    await host.add('c1', container, { ports: [{ protocol: 'TCP', port: 80, hostPort: 8080 }] });
    await eventually('the link forwards', () => forwards() === '1');
    assert.equal(await ask(office, '198.51.100.2', 8080), 'c1 198.51.100.9');
    await host.apply(...POOLS(true));
    await serve(office, 'office', 80);
    await eventually(
      'connections from there are masqueraded',
      async () => (await ask(container, '198.51.100.9', 80, 1)) === 'office 198.51.100.2',
    );
  });

  it('says what cannot be published', async () => {
    const host = createHost();
    await host.start();
    await host.apply(pool('four', '10.65.1.0/24', false));
    const netns = createNetns();
    const refusal = async (publish: string): Promise<string> => {
      const result = await host.cli(['endpoint', 'add', 'c1', '--netns', netns.path, '--publish', publish]);
      assert.notEqual(result.status, 0);
      return result.stderr;
    };
    assert.match(await refusal('80'), /write \[HOST_IP:\]HOST_PORT:CONTAINER_PORT/);
    assert.match(await refusal('8080:80/icmp'), /protocol icmp is not tcp, udp or sctp/);
    assert.match(await refusal('0:80'), /port 0 is not 1 to 65535/);
    assert.match(await refusal('host:8080:80'), /host is no address/);
    assert.match(await refusal('[2001:db8:2::2]:8080:80'), /the endpoint has no IPv6 address/);
    assert.match(await refusal('[::1]:8080:80'), /::1, which the kernel never routes to a container/);
    // Of the agent's own listener for BGP: translation would take it away.
    assert.match(await refusal('179:80'), /a process of this host listens on port 179\/tcp/);
    await eventually('nothing is left', async () => (await host.endpoints()).length === 0);
  });
});
