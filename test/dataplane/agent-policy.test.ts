/**
 * Policy applied through `ocicat apply`, enforced on real packets: between containers of one host, and to and from a machine behind a
 * router, both families each time.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { type AgentHost, createHost, disposeHosts, POOLS } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { listen } from './policy-fixture.ts';

const SENDER = fileURLToPath(new URL('../support/stream-child.ts', import.meta.url));

/** A machine that can be reached, and its addresses. */
interface Place {
  readonly name: string;
  readonly netns: Netns;
  readonly addresses: readonly string[];
}

/** `web:80 client`: client connects to port 80 of web in both families. */
type Reach = Readonly<Record<string, boolean>>;

const SETTLE = { timeoutMs: 15_000 };

function policy(name: string, spec: string, kind = 'GlobalNetworkPolicy'): string {
  const namespace = kind === 'NetworkPolicy' ? ', namespace: default' : '';
  return `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}${namespace}}\nspec: ${spec}`;
}

async function tries(from: Place, address: string, port: number): Promise<boolean> {
  const result = await from.netns.tryRunAsync('nc', '-z', '-w1', '-n', address, String(port));
  return result.status === 0;
}

describe('agent: policy on real packets', function () {
  this.timeout(90_000);
  let host: AgentHost;
  const places = new Map<string, Place>();

  const place = (name: string): Place => {
    const found = places.get(name);
    assert.ok(found !== undefined, name);
    return found;
  };

  const container = async (
    name: string,
    labels: Record<string, string>,
    rest: Record<string, unknown> = {},
  ): Promise<Place> => {
    const netns = createNetns();
    const { addresses } = await host.add(name, netns, { labels, ...rest });
    const made = { name, netns, addresses };
    places.set(name, made);
    await listen(netns, 80, 81, 443);
    return made;
  };

  /** Waits until exactly these connections are made, the others not. */
  const reaches = async (expected: Reach): Promise<void> => {
    await eventually(
      'policy is as expected',
      async () => {
        const seen = await Promise.all(
          Object.keys(expected).map(async (key) => {
            const [, to = '', port = '', from = ''] = /^(.+):(\d+) (.+)$/.exec(key) ?? [];
            const outcomes = await Promise.all(
              place(to).addresses.map((address) => tries(place(from), address, Number(port))),
            );
            const same = new Set(outcomes).size === 1;
            return [key, same ? outcomes[0] : outcomes];
          }),
        );
        assert.deepEqual(Object.fromEntries(seen), expected);
        return true;
      },
      SETTLE,
    );
  };

  before(async () => {
    host = createHost();
    await host.start();
    await host.apply(...POOLS);
    const remote = createNetns();
    connect(
      { netns: host.router, name: 'down1', addresses: ['198.51.100.1/24', '2001:db8:9::1/64'] },
      { netns: remote, name: 'eth0', addresses: ['198.51.100.9/24', '2001:db8:9::9/64'] },
    );
    remote.sh('ip route add default via 198.51.100.1');
    remote.sh('ip -6 route add default via 2001:db8:9::1');
    host.netns.sh('ip route add 198.51.100.0/24 via 192.0.2.1');
    host.netns.sh('ip -6 route add 2001:db8:9::/64 via 2001:db8:2::1');
    host.router.sh('ip route add 10.65.0.0/16 via 192.0.2.2');
    host.router.sh('ip -6 route add fd00:65::/32 via 2001:db8:2::2');
    places.set('remote', { name: 'remote', netns: remote, addresses: ['198.51.100.9', '2001:db8:9::9'] });
    await listen(remote, 80, 81, 443);
    await container('web', { app: 'web' });
    await container('client', { role: 'client' });
    await container('other', { team: 'x' });
  });

  afterEach(async () => {
    for (const kind of ['globalnetworkpolicies', 'networkpolicies', 'globalnetworksets', 'networksets']) {
      const list = await host.api.call<{ metadata: { name: string; namespace?: string } }[]>(
        'GET',
        `/v1/resources/${kind}`,
      );
      for (const { metadata } of list) {
        const query = metadata.namespace === undefined ? '' : `?namespace=${metadata.namespace}`;
        await host.api.call('DELETE', `/v1/resources/${kind}/${metadata.name}${query}`);
      }
    }
  });

  after(async () => {
    disposeHosts();
    await removeAllNetns();
  });

  it('without policy the default profile lets everything pass', async () => {
    await reaches({
      'web:80 client': true,
      'web:81 remote': true,
      'remote:80 web': true,
      'other:443 web': true,
    });
  });

  it('order decides, ports and selectors match, what no rule allows is dropped, and deletion opens again', async () => {
    const allow = policy(
      'allow',
      `{order: 20, selector: app == 'web', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, '440:450']}}]}`,
    );
    const deny = (order: number): string =>
      policy(
        'deny',
        `{order: ${order}, selector: app == 'web', types: [Ingress], ingress: [{action: Deny, source: {selector: role == 'client'}}]}`,
      );
    await host.apply(allow, deny(10));
    await reaches({
      'web:80 client': false,
      'web:80 other': true,
      'web:443 other': true,
      'web:81 other': false,
      'web:80 remote': true,
      'web:81 remote': false,
      'client:81 other': true,
    });
    assert.deepEqual(
      (await host.endpoints()).find(({ name }) => name === 'web')?.policies.map((id) => id.split('/').at(-1)),
      ['deny', 'allow'],
    );
    await host.apply(deny(30));
    await reaches({ 'web:80 client': true, 'web:81 client': false, 'web:80 other': true });
    await host.ocicat('delete globalnetworkpolicy allow deny');
    await reaches({ 'web:81 client': true, 'web:81 remote': true });
  });

  it('a change of labels, of either side, moves enforcement', async () => {
    await host.apply(
      policy(
        'web',
        `{selector: app == 'web', types: [Ingress], ingress: [{action: Allow, source: {selector: role == 'client'}}]}`,
      ),
    );
    await reaches({ 'web:80 client': true, 'web:80 other': false });
    const { netns } = place('other');
    await host.ocicat(`endpoint add other --netns ${netns.path} --label role=client`);
    await reaches({ 'web:80 client': true, 'web:80 other': true });
    await host.ocicat(`endpoint add other --netns ${netns.path} --label team=x`);
    await reaches({ 'web:80 other': false });
    // By `apply` of the resource itself, as people do it.
    const resource: { metadata: { labels: Record<string, string> } }[] = JSON.parse(
      JSON.stringify(
        (
          await host.api.call<{ spec: { workload: string } }[]>('GET', '/v1/resources/workloadendpoints')
        ).filter(({ spec }) => spec.workload === 'web'),
      ),
    );
    const [web] = resource;
    assert.ok(web !== undefined);
    web.metadata.labels = { app: 'was-web' };
    await host.apply(JSON.stringify(web));
    await reaches({ 'web:80 other': true });
    web.metadata.labels = { app: 'web' };
    await host.apply(JSON.stringify(web));
    await reaches({ 'web:80 other': false, 'web:80 client': true });
  });

  it('egress: nets, exceptions and ports, towards containers and the network', async () => {
    await host.apply(
      policy(
        'client-egress',
        `
  selector: role == 'client'
  types: [Egress]
  egress:
    - {action: Deny, destination: {nets: [198.51.100.0/24], ports: [443]}, protocol: TCP}
    - {action: Deny, destination: {nets: ['2001:db8:9::/64'], ports: [443]}, protocol: TCP}
    - {action: Allow, destination: {nets: [0.0.0.0/0], notNets: [10.65.0.0/16]}}
    - {action: Allow, destination: {nets: ['::/0'], notNets: ['fd00:65::/32']}}
    - {action: Allow, protocol: TCP, destination: {selector: app == 'web', ports: [81]}}`,
      ),
    );
    await reaches({
      'remote:80 client': true,
      'remote:443 client': false,
      'web:81 client': true,
      'web:80 client': false,
      'other:81 client': false,
      'client:80 other': true,
      'remote:443 other': true,
    });
  });

  it('network sets name machines beyond this host, global and of a namespace', async () => {
    const set = (kind: string, name: string, nets: string): string =>
      `apiVersion: projectcalico.org/v3\nkind: ${kind}\nmetadata: {name: ${name}${kind === 'NetworkSet' ? ', namespace: default' : ''}, labels: {zone: ${name}}}\nspec: {nets: ${nets}}`;
    const nets = "[198.51.100.9/32, '2001:db8:9::9/128']";
    const rule = (zone: string): string =>
      `{selector: app == 'web', types: [Ingress], ingress: [{action: Allow, source: {selector: zone == '${zone}'}}]}`;
    await host.apply(set('GlobalNetworkSet', 'office', nets), policy('from-office', rule('office')));
    await reaches({ 'web:80 remote': true, 'web:80 client': false });
    await host.apply(set('GlobalNetworkSet', 'office', '[203.0.113.0/24]'));
    await reaches({ 'web:80 remote': false });
    await host.ocicat('delete globalnetworkpolicy from-office');
    await host.apply(
      set('NetworkSet', 'branch', nets),
      policy('from-branch', rule('branch'), 'NetworkPolicy'),
    );
    await reaches({ 'web:80 remote': true, 'web:80 client': false });
  });

  it('Log never changes the verdict; Pass hands over to the profile', async () => {
    await host.apply(
      policy(
        'log',
        `{selector: app == 'web', types: [Ingress], ingress: [{action: Log}, {action: Allow, protocol: TCP, destination: {ports: [80]}}, {action: Log}]}`,
      ),
    );
    await reaches({ 'web:80 client': true, 'web:81 client': false });
    await host.apply(
      policy(
        'log',
        `{selector: app == 'web', types: [Ingress], ingress: [{action: Log}, {action: Pass, source: {selector: role == 'client'}}, {action: Deny}]}`,
      ),
    );
    await reaches({
      'web:80 client': true,
      'web:81 client': true,
      'web:80 other': false,
      'web:80 remote': false,
    });
  });

  it('a profile decides where no policy does; a missing profile drops, until it is there', async () => {
    const made = await container('profiled', { team: 'y' }, { profiles: ['team-y'] });
    await reaches({ 'profiled:80 client': false, 'profiled:80 remote': false, 'remote:80 profiled': false });
    const profile = (ingress: string): string =>
      `apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: team-y}\nspec: {ingress: ${ingress}, egress: [{action: Allow}]}`;
    await host.apply(profile('[{action: Allow, protocol: TCP, destination: {ports: [80]}}]'));
    await reaches({ 'profiled:80 client': true, 'profiled:81 client': false, 'remote:80 profiled': true });
    await host.apply(profile('[{action: Allow}]'));
    await reaches({ 'profiled:81 remote': true });
    await host.delete(made.name);
  });

  it('a link with our prefix that nobody knows carries nothing', async () => {
    const stranger = createNetns();
    connect(
      { netns: host.netns, name: 'ocistranger', addresses: ['10.77.0.1/24', 'fd77::1/64'] },
      { netns: stranger, name: 'eth0', addresses: ['10.77.0.2/24', 'fd77::2/64'] },
    );
    stranger.sh('ip route add default via 10.77.0.1');
    stranger.sh('ip -6 route add default via fd77::1');
    host.router.sh('ip route add 10.77.0.0/24 via 192.0.2.2');
    host.router.sh('ip -6 route add fd77::/64 via 2001:db8:2::2');
    await listen(stranger, 80);
    places.set('stranger', { name: 'stranger', netns: stranger, addresses: ['10.77.0.2', 'fd77::2'] });
    await reaches({ 'remote:80 stranger': false, 'web:80 stranger': false, 'stranger:80 remote': false });
    await reaches({ 'stranger:80 web': false, 'remote:80 web': true });
  });

  it('an endpoint sends nothing before its policy is in force, however often it comes and goes', async () => {
    await host.apply(policy('quarantine', `{selector: quarantined == 'yes', types: [Ingress, Egress]}`));
    const { netns } = place('remote');
    for (const tool of ['iptables', 'ip6tables'])
      netns.run(tool, '-A', 'INPUT', '-p', 'udp', '--dport', '7777');
    const arrived = (): number =>
      ['iptables', 'ip6tables'].reduce(
        (sum, tool) =>
          sum + Number(netns.run(tool, '-nvxL', 'INPUT').trim().split('\n').at(-1)?.trim().split(/\s+/)[0]),
        0,
      );
    const suspect = createNetns();
    const sender = suspect.spawn(
      process.execPath,
      SENDER,
      'send',
      '1000',
      '7777',
      ...place('remote').addresses,
    );
    sender.stdout?.resume();
    for (let round = 0; round < 10; round++) {
      await host.add('suspect', suspect, { labels: { quarantined: 'yes' } });
      suspect.sh('ip -o address show dev eth0');
      await host.delete('suspect');
    }
    await host.add('suspect', suspect, { labels: { quarantined: 'yes' } });
    assert.equal(arrived(), 0);
    // The sender does send: free of the label, its packets arrive.
    await host.ocicat(`endpoint add suspect --netns ${suspect.path} --label quarantined=no`);
    await eventually('packets arrive', () => arrived() > 100);
    await host.delete('suspect');
  });
});
