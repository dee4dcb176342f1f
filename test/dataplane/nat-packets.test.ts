/** Address translation on real packets: published ports and natOutgoing, both families, both backends. */
import assert from 'node:assert/strict';
import { PublishedFlows } from '../../fib/conntrack/published-flows.ts';
import { prepareNamespaces } from '../../fib/netlink/namespace.ts';
import type { PolicyProgrammer } from '../../fib/policy-programmer.ts';
import type { NatChange, PolicyChange, PublishedPort } from '../../fib/rules/types.ts';
import { type Netns, removeAllNetns } from '../support/netns.ts';
import { ALLOW_ALL, endpointUpsert, PolicyLab, policyUpsert, type Workload } from './policy-fixture.ts';

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const ROUTER = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' };

/** A mapping for both families. */
function published(workload: Workload, hostPort: number, port: number, protocol = TCP): PublishedPort[] {
  return [
    { family: 'ipv4', protocol, hostPort, port, address: workload.ipv4 },
    { family: 'ipv6', protocol, hostPort, port, address: workload.ipv6 },
  ];
}

function publish(workload: Workload, ...ports: readonly PublishedPort[]): NatChange {
  return { kind: 'published-upsert', id: workload.link, ports };
}

/** Starts a server that answers each connection or datagram with `NAME PEER_ADDRESS`. */
async function serve(on: Netns, name: string, port: number): Promise<void> {
  const child = on.spawn(
    process.execPath,
    '-e',
    `const net = require('node:net'), dgram = require('node:dgram');
     const answer = (address) => '${name} ' + address.replace('::ffff:', '');
     net.createServer((s) => { s.on('error', () => {}); s.end(answer(s.remoteAddress)); }).listen(${port}, '::', () => {
       const udp = dgram.createSocket('udp6');
       udp.on('message', (_, from) => udp.send(answer(from.address), from.port, from.address));
       udp.bind(${port}, '::', () => console.log('up'));
     });`,
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`server ended with status ${code}`)));
  });
}

/** What a TCP server at the address says; empty if none answers within the time. */
async function ask(from: Netns, address: string, port: number, waitSec = 5): Promise<string> {
  const result = await from.tryRunAsync(
    'timeout',
    String(waitSec),
    process.execPath,
    '-e',
    `require('node:net').connect(${port}, '${address}').on('data', (d) => process.stdout.write(d)).on('error', () => process.exit(3))`,
  );
  return result.stdout;
}

/** A UDP client that keeps its port: each `ask` sends one datagram and returns the answer, or an empty text. */
function udpClient(from: Netns, address: string, port: number): { ask(waitMs?: number): Promise<string> } {
  const child = from.spawn(
    process.execPath,
    '-e',
    `const s = require('node:dgram').createSocket('${address.includes(':') ? 'udp6' : 'udp4'}');
     s.on('message', (m) => console.log(String(m))).on('error', () => {});
     process.stdin.on('data', () => s.send('x', ${port}, '${address}'));`,
  );
  child.stdout?.setEncoding('utf8');
  return {
    ask: (waitMs = 3000) =>
      new Promise((resolve) => {
        const finish = (text: string): void => {
          clearTimeout(timer);
          child.stdout?.off('data', finish);
          resolve(text.trim());
        };
        const timer = setTimeout(() => finish(''), waitMs);
        child.stdout?.on('data', finish);
        child.stdin?.write('x');
      }),
  };
}

for (const backend of ['nft', 'legacy'] as const) {
  describe(`address translation on real packets, ${backend} backend`, function () {
    this.timeout(60_000);
    let lab: PolicyLab;
    let programmer: PolicyProgrammer;
    let a: Workload;
    let b: Workload;
    let outside: Workload;

    async function apply(...changes: readonly (PolicyChange | NatChange)[]): Promise<void> {
      programmer.enqueue(changes);
      const result = await programmer.apply();
      assert.deepEqual(result.failures, []);
      assert.equal(result.state, 'applied');
    }

    const save = (family: 'ipv4' | 'ipv6') =>
      lab.router.run(`${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save`, '-t', 'nat');

    before(prepareNamespaces);
    beforeEach(async () => {
      lab = new PolicyLab();
      programmer = lab.programmer({ backend, flows: new PublishedFlows(lab.router.path) });
      await programmer.start();
      a = lab.addWorkload();
      b = lab.addWorkload();
      outside = lab.addOutside();
      programmer.markInSync();
      const open = ['profile/open'];
      await apply(ALLOW_ALL, endpointUpsert(a, {}, open), endpointUpsert(b, {}, open));
    });
    afterEach(async () => {
      lab.close();
      await removeAllNetns();
    });

    it('published ports: from outside, from workloads, from itself and from this host', async () => {
      await serve(b.netns, 'b', 80);
      lab.router.sysctl(`net/ipv4/conf/${b.link}/route_localnet`, 1);
      await apply(publish(b, ...published(b, 8080, 80)));
      assert.ok(programmer.isReady(b.link));
      for (const family of ['ipv4', 'ipv6'] as const) {
        const host = ROUTER[family];
        // The client's own address arrives, so that policy can decide by it.
        assert.equal(await ask(outside.netns, host, 8080), `b ${outside[family]}`);
        assert.equal(await ask(a.netns, host, 8080), `b ${a[family]}`);
        assert.equal(await ask(b.netns, host, 8080), `b ${host}`, 'hairpin');
        assert.equal(await ask(lab.router, host, 8080), `b ${host}`, 'this host by its address');
      }
      assert.equal(await ask(lab.router, '127.0.0.1', 8080), `b ${ROUTER.ipv4}`, 'localhost');
      // The kernel would not send it: nothing is translated, and the client is told at once.
      assert.equal(await ask(lab.router, '::1', 8080, 1), '');
      // Other ports and addresses are as before.
      assert.equal(await ask(outside.netns, ROUTER.ipv4, 80, 1), '');
      assert.equal(await ask(outside.netns, b.ipv4, 80), `b ${outside.ipv4}`);
    });

    it('a published port is subject to the ingress policy of its workload, by port and client', async () => {
      await serve(b.netns, 'b', 80);
      await apply(
        policyUpsert('gnp/web', [
          {
            action: 'allow',
            protocol: TCP,
            source: { nets: [`${outside.ipv4}/32`, `${outside.ipv6}/128`] },
            destination: { ports: [{ first: 80, last: 80 }] },
          },
        ]),
        endpointUpsert(b, { ingress: ['gnp/web'] }, ['profile/open']),
        publish(b, ...published(b, 8080, 80)),
      );
      for (const family of ['ipv4', 'ipv6'] as const) {
        assert.equal(await ask(outside.netns, ROUTER[family], 8080), `b ${outside[family]}`);
        assert.equal(await ask(a.netns, ROUTER[family], 8080, 1), '', 'another client');
      }
      await apply(endpointUpsert(b, {}, []));
      for (const family of ['ipv4', 'ipv6'] as const)
        assert.equal(await ask(outside.netns, ROUTER[family], 8080, 1), '');
    });

    it('one host address, and 127.0.0.1 alone: neighbours cannot reach it', async () => {
      await serve(b.netns, 'b', 80);
      lab.router.sysctl(`net/ipv4/conf/${b.link}/route_localnet`, 1);
      lab.router.sh('ip address add 192.0.2.7/24 dev up0');
      const base = { family: 'ipv4', protocol: TCP, port: 80, address: b.ipv4 } as const;
      await apply(
        publish(
          b,
          { ...base, hostPort: 8080, hostAddress: '192.0.2.7' },
          { ...base, hostPort: 8081, hostAddress: '127.0.0.1' },
        ),
      );
      assert.equal(await ask(outside.netns, '192.0.2.7', 8080), `b ${outside.ipv4}`);
      assert.equal(await ask(outside.netns, '192.0.2.1', 8080, 1), '');
      // A neighbour, and a workload, that route 127.0.0.1 to this host.
      for (const { netns } of [outside, a]) {
        netns.sysctl('net/ipv4/conf/all/route_localnet', 1);
        netns.sysctl('net/ipv4/conf/eth0/route_localnet', 1);
        netns.sh('ip route del local 127.0.0.0/8 dev lo table local');
        netns.tryRun('ip', 'route', 'del', 'local', '127.0.0.1', 'dev', 'lo', 'table', 'local');
      }
      outside.netns.sh('ip route add 127.0.0.1/32 via 192.0.2.1 src 192.0.2.9');
      a.netns.run('ip', 'route', 'add', '127.0.0.1/32', 'via', '169.254.1.1', 'dev', 'eth0', 'src', a.ipv4);
      for (const { netns } of [outside, a]) assert.equal(await ask(netns, '127.0.0.1', 8081, 1), '');
      const raw = lab.router.run(`iptables-${backend}-save`, '-c', '-t', 'raw');
      assert.match(raw, /\[[1-9]\d*:\d+\] .*loopback from a workload/);
      const nat = lab.router.run(`iptables-${backend}-save`, '-c', '-t', 'nat');
      assert.match(nat, /^\[0:0\] .*-d 127\.0\.0\.1\/32 .*--dports 8081/m, 'no packet was translated');
      assert.match(nat, /^\[[1-9]\d*:\d+\] .*-d 192\.0\.2\.7\/32 .*--dports 8080/m, 'packets are counted');
      assert.match(await ask(lab.router, '127.0.0.1', 8081), /^b 192\.0\.2\./);
      assert.equal(await ask(lab.router, '192.0.2.1', 8081, 1), '');
    });

    it('natOutgoing: masqueraded towards the outside only, and pools change by set members alone', async () => {
      await serve(outside.netns, 'out', 80);
      await serve(b.netns, 'b', 80);
      const pools = (masquerade: readonly string[]): NatChange => ({
        kind: 'nat-pools',
        masquerade,
        all: ['10.65.0.0/16', 'fd65::/32'],
      });
      await apply(pools([]));
      for (const family of ['ipv4', 'ipv6'] as const)
        assert.equal(await ask(a.netns, outside[family], 80), `out ${a[family]}`);
      await apply(pools(['10.65.0.0/16', 'fd65::/32']));
      for (const family of ['ipv4', 'ipv6'] as const) {
        assert.equal(await ask(a.netns, outside[family], 80), `out ${ROUTER[family]}`);
        assert.equal(await ask(a.netns, b[family], 80), `b ${a[family]}`, 'within the pools');
        assert.match(save(family), /-A oci-nat-out .*MASQUERADE --random-fully/);
        assert.doesNotMatch(save(family), /oci-probe/);
      }
      lab.takeRestores();
      await apply(pools(['10.65.0.0/17', 'fd65::/32']));
      assert.deepEqual(
        lab.takeRestores().map(({ command, args }) => `${command} ${args[0]}`),
        ['ipset restore'],
      );
      // Replies and hairpin of published ports work together with it.
      await apply(publish(b, ...published(b, 8080, 80)));
      for (const family of ['ipv4', 'ipv6'] as const) {
        assert.equal(await ask(outside.netns, ROUTER[family], 8080), `b ${outside[family]}`);
        assert.equal(await ask(b.netns, ROUTER[family], 8080), `b ${ROUTER[family]}`);
        assert.equal(await ask(a.netns, ROUTER[family], 8080), `b ${a[family]}`);
      }
      await apply(pools([]));
      assert.doesNotMatch(save('ipv4') + save('ipv6'), /-A oci-nat-out/);
      assert.doesNotMatch(lab.router.run('ipset', 'list', '-n'), /:masq|:pools/);
      for (const family of ['ipv4', 'ipv6'] as const)
        assert.equal(await ask(a.netns, outside[family], 80), `out ${a[family]}`);
    });

    it('UDP: a client that goes on sending follows the mapping at once when it comes, moves and goes', async () => {
      await serve(a.netns, 'a', 53);
      await serve(b.netns, 'b', 53);
      const clients = [['ipv4', ROUTER.ipv4] as const, ['ipv6', ROUTER.ipv6] as const].map(
        ([family, host]) => ({ family, client: udpClient(outside.netns, host, 5353) }),
      );
      // Before there is a mapping the flow is known as one to this host.
      for (const { client } of clients) assert.equal(await client.ask(200), '');
      await apply(publish(a, ...published(a, 5353, 53, UDP)));
      for (const { family, client } of clients) assert.equal(await client.ask(), `a ${outside[family]}`);
      await apply({ kind: 'published-remove', id: a.link }, publish(b, ...published(b, 5353, 53, UDP)));
      for (const { family, client } of clients) assert.equal(await client.ask(), `b ${outside[family]}`);
      await apply({ kind: 'published-remove', id: b.link });
      for (const { client } of clients) assert.equal(await client.ask(300), '');
    });

    it('UDP: what was unpublished while nobody watched is forgotten at the next start', async () => {
      await serve(a.netns, 'a', 53);
      const clients = [5353, 5354].map((port) => udpClient(outside.netns, ROUTER.ipv4, port));
      const ports = [...published(a, 5353, 53, UDP), ...published(a, 5354, 53, UDP)];
      await apply({ kind: 'nat-pools', masquerade: [], all: ['10.65.0.0/16'] }, publish(a, ...ports));
      for (const client of clients) assert.equal(await client.ask(), `a ${outside.ipv4}`);
      const open = ['profile/open'];
      programmer = lab.programmer({ backend, flows: new PublishedFlows(lab.router.path) });
      await programmer.start();
      programmer.markInSync();
      await apply(
        ALLOW_ALL,
        endpointUpsert(a, {}, open),
        { kind: 'nat-pools', masquerade: [], all: ['10.65.0.0/16'] },
        publish(a, ...published(a, 5354, 53, UDP)),
      );
      const answers = await Promise.all(clients.map((client) => client.ask(1000)));
      assert.deepEqual(answers, ['', `a ${outside.ipv4}`]);
    });

    it('among 500 published ports a change writes its own rules only', async () => {
      const many = Array.from({ length: 500 }, (_, i) => published(a, 10_000 + i, 80)).flat();
      await apply(publish(a, ...many));
      lab.takeRestores();
      await apply(publish(b, ...published(b, 10_250, 80, UDP)));
      const lines = lab.takeRestores().flatMap(({ input }) => input.split('\n'));
      assert.deepEqual(
        lines
          .filter((line) => /^-[ARID]/.test(line))
          .map((line) => line.split(' ')[1])
          .sort(),
        ['oci-hairpin', 'oci-hairpin', 'oci-publish', 'oci-publish'],
      );
    });

    it('SCTP is mapped, others keep their rules, drift is put right, a removal leaves nothing', async () => {
      lab.router.run(
        `iptables-${backend}`,
        '-t',
        'nat',
        '-A',
        'POSTROUTING',
        '-s',
        '198.51.100.0/24',
        '-j',
        'MASQUERADE',
      );
      await apply(publish(b, ...published(b, 3868, 3868, SCTP), ...published(b, 8080, 80)));
      assert.match(
        save('ipv4'),
        /-A oci-publish .*-p sctp .*--dports 3868 -j DNAT --to-destination 10\.65\.0\.2:3868/,
      );
      assert.match(save('ipv6'), /-A oci-publish .*-p sctp .*--to-destination \[fd65::2\]:3868/);
      lab.router.run(`iptables-${backend}`, '-t', 'nat', '-F', 'oci-publish');
      const { drift } = await programmer.check();
      assert.deepEqual(drift, ['chain oci-publish (ipv4 nat)']);
      assert.match(save('ipv4'), /-A oci-publish .*--dports 8080/);
      await apply({ kind: 'published-remove', id: b.link });
      assert.doesNotMatch(save('ipv4') + save('ipv6'), /DNAT --to/);
      assert.match(save('ipv4'), /-A POSTROUTING -s 198\.51\.100\.0\/24 -j MASQUERADE/);
    });
  });
}
