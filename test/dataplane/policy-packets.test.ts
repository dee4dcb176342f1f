import assert from 'node:assert/strict';
import type { PolicyProgrammer } from '../../fib/policy-programmer.ts';
import { removeAllNetns } from '../support/netns.ts';
import {
  ALLOW_ALL,
  applied,
  assertConnects,
  assertPings,
  endpointUpsert,
  GATEWAY_IPV6,
  listen,
  PolicyLab,
  policyUpsert,
  type Workload,
} from './policy-fixture.ts';

for (const backend of ['nft', 'legacy'] as const) {
  describe(`policy on real packets, ${backend} backend`, function () {
    this.timeout(60_000);
    let lab: PolicyLab;
    let programmer: PolicyProgrammer;
    let a: Workload;
    let b: Workload;
    let outside: Workload;

    beforeEach(async () => {
      lab = new PolicyLab();
      programmer = lab.programmer({ backend });
      await programmer.start();
      a = lab.addWorkload();
      b = lab.addWorkload();
      outside = lab.addOutside();
    });
    afterEach(async () => {
      lab.close();
      await removeAllNetns();
    });

    const reaches = (from: Workload, to: Workload, answered: boolean) =>
      assertPings(from, [to.ipv4, to.ipv6], answered);

    it('drops everything of unknown links, both ways and to the host', async () => {
      await reaches(a, outside, false);
      await reaches(outside, a, false);
      await reaches(a, b, false);
      await assertPings(a, ['192.0.2.1', '2001:db8::1', `${GATEWAY_IPV6}%eth0`], false);
    });

    it('passes what a profile allows, in both families, also between two workloads of this host', async () => {
      programmer.markInSync();
      await applied(
        programmer,
        ALLOW_ALL,
        endpointUpsert(a, {}, ['profile/open']),
        endpointUpsert(b, {}, ['profile/open']),
      );
      assert.ok(programmer.isReady(a.link));
      await reaches(a, outside, true);
      await reaches(outside, a, true);
      await reaches(a, b, true);
      // To the host: neighbour discovery only, though egress policy allows it.
      await assertPings(a, ['192.0.2.1', '2001:db8::1', `${GATEWAY_IPV6}%eth0`], false);
      // From the host: open.
      lab.router.run('ping', '-c1', '-W5', a.ipv4);
      lab.router.run('ping', '-c1', '-W5', a.ipv6);
    });

    it('enforces ports, ICMP types and both sides of local traffic', async () => {
      programmer.markInSync();
      await listen(b.netns, 80, 81, 1030);
      const manyPorts = Array.from({ length: 16 }, (_, i) => ({ first: 1000 + 2 * i, last: 1000 + 2 * i }));
      await applied(
        programmer,
        ALLOW_ALL,
        policyUpsert('gnp/web', [
          { action: 'allow', protocol: 6, destination: { ports: [{ first: 80, last: 80 }] } },
          {
            action: 'allow',
            protocol: 6,
            destination: { ports: manyPorts },
            source: { notNets: ['192.0.2.0/24', '2001:db8::/64'] },
          },
        ]),
        policyUpsert(
          'gnp/no-echo',
          [],
          [
            { action: 'deny', protocol: 1, icmp: { type: 8 } },
            { action: 'deny', protocol: 58, icmp: { type: 128, code: 0 } },
            { action: 'allow' },
          ],
        ),
        endpointUpsert(a, { egress: ['gnp/no-echo'] }, ['profile/open']),
        endpointUpsert(b, { ingress: ['gnp/web'] }, ['profile/open']),
      );
      const on = (...ports: number[]) =>
        ports.flatMap((port) => [[b.ipv4, port] as const, [b.ipv6, port] as const]);
      await assertConnects(a, on(80, 1030), true);
      await assertConnects(outside, on(80), true);
      await Promise.all([assertConnects(a, on(81), false), assertConnects(outside, on(81, 1030), false)]);
      await reaches(a, outside, false);
      await reaches(b, a, true);
      await reaches(b, outside, true);
    });

    it('drops spoofed sources, also those of a neighbour', async () => {
      programmer.markInSync();
      await applied(
        programmer,
        ALLOW_ALL,
        endpointUpsert(a, {}, ['profile/open']),
        endpointUpsert(b, {}, ['profile/open']),
      );
      a.netns.run('ip', 'address', 'add', `${b.ipv4}/32`, 'dev', 'eth0');
      a.netns.run('ip', 'address', 'add', `${b.ipv6}/128`, 'dev', 'eth0', 'nodad');
      for (const [source, target] of [
        [b.ipv4, outside.ipv4],
        [b.ipv6, outside.ipv6],
      ] as const) {
        a.netns.tryRun('ping', '-c2', '-i0.2', '-W0.2', '-I', source, target);
      }
      for (const command of [`iptables-${backend}-save`, `ip6tables-${backend}-save`]) {
        const saved = lab.router.run(command, '-c', '-t', 'raw');
        assert.match(saved, /\[[1-9]\d*:\d+\] .*not an address of this workload/, command);
      }
      // Its own addresses still work; the source must be named, since the kernel prefers the newest.
      a.netns.run('ping', '-c1', '-W5', '-I', a.ipv4, outside.ipv4);
      a.netns.run('ping', '-c1', '-W5', '-I', a.ipv6, outside.ipv6);
    });

    it('drops VXLAN from workloads', async () => {
      programmer.markInSync();
      await applied(programmer, ALLOW_ALL, endpointUpsert(a, {}, ['profile/open']));
      await Promise.all(
        [outside.ipv4, outside.ipv6].map((address) =>
          a.netns.tryRunAsync('sh', '-c', `echo x | nc -u -w1 -n ${address} 4789`),
        ),
      );
      for (const command of [`iptables-${backend}-save`, `ip6tables-${backend}-save`]) {
        assert.match(
          lab.router.run(command, '-c', '-t', 'filter'),
          /\[[1-9]\d*:\d+\] .*VXLAN from a workload/,
        );
      }
    });

    it('a missing profile, no profile and a downed endpoint drop', async () => {
      programmer.markInSync();
      programmer.enqueue([ALLOW_ALL, endpointUpsert(a, {}, ['profile/gone'])]);
      const result = await programmer.apply();
      assert.deepEqual(result.failures, [
        { subject: 'policy profile/gone', reason: 'is referred to, but unknown' },
      ]);
      await reaches(a, outside, false);
      await applied(programmer, endpointUpsert(a, {}, []));
      await reaches(a, outside, false);
      await applied(programmer, endpointUpsert(a, {}, ['profile/open'], { adminUp: false }));
      await reaches(a, outside, false);
      await applied(programmer, endpointUpsert(a, {}, ['profile/open']));
      await reaches(a, outside, true);
      await applied(programmer, { kind: 'endpoint-remove', id: a.link });
      await reaches(a, outside, false);
    });

    it('Log counts and never decides', async () => {
      programmer.markInSync();
      await applied(
        programmer,
        ALLOW_ALL,
        policyUpsert('gnp/log', [], [{ action: 'log' }, { action: 'allow' }]),
        policyUpsert('gnp/log-only', [{ action: 'log' }]),
        endpointUpsert(a, { egress: ['gnp/log'], ingress: ['gnp/log-only'] }, ['profile/open']),
      );
      await reaches(a, outside, true);
      await reaches(outside, a, false); // the end of the tier
      const saved = lab.router.run(`iptables-${backend}-save`, '-c', '-t', 'filter');
      assert.match(
        saved,
        /\[[1-9]\d*:\d+\] -A oci-po-log\S* .*gnp\/log egress 0.* -j LOG --log-prefix "ocicat-packet: "/,
      );
      assert.match(saved, /\[[1-9]\d*:\d+\] -A oci-pi-log-only\S* .* -j LOG/);
    });
  });
}
