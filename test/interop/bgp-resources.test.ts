/**
 * Calico's BGP resources on a real agent, between FRR as its external router and two BIRDs as clients of its route reflector: what filters
 * let in and out, what changes under a session and what resets it, and keys out of files.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PathRow, PeerView } from '../../src/api/views.ts';
import { type AgentHost, createHost, disposeHosts, POOLS, poolYaml } from '../support/agent.ts';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router, type RouterRoute } from '../support/routers.ts';

const TOR = '192.0.2.1';
const SLOW = { timeoutMs: 30_000 };

const document = (
  kind: string,
  name: string,
  spec: unknown,
  annotations: Record<string, string> = {},
): string =>
  JSON.stringify({ apiVersion: 'projectcalico.org/v3', kind, metadata: { name, annotations }, spec });

const NODE = document('Node', 'h1', {
  bgp: { ipv4Address: '192.0.2.2/24', asNumber: 65101, routeReflectorClusterID: '10.255.0.1' },
});
const tor = (spec: object = {}, annotations: Record<string, string> = {}): string =>
  document(
    'BGPPeer',
    'tor',
    { node: 'h1', peerIP: TOR, asNumber: 65001, filters: ['f'], ...spec },
    Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`ocicat.dev/${key}`, value])),
  );
const client = (name: string, ip: string): string =>
  document('BGPPeer', name, { node: 'h1', peerIP: ip, asNumber: 65101 });

describe("Calico's BGP resources and FRR and BIRD", function () {
  this.timeout(120_000);
  let host: AgentHost;
  let frr: Router;
  const birds: Router[] = [];

  const peer = (name = TOR): Promise<PeerView> =>
    host.api.call<PeerView>('GET', `/v1/bgp/peers/${encodeURIComponent(name)}`);
  const established = (name = TOR): Promise<PeerView> =>
    eventually(
      `${name} is established`,
      async () => {
        const view = await peer(name);
        return view.state === 'Established' ? view : undefined;
      },
      SLOW,
    );
  /** Prefixes from FRR that are used. */
  const used = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const row of host.api.rows<PathRow>('/v1/bgp/routes?family=ipv4'))
      if (row.from === TOR && row.valid) found.push(row.prefix);
    return found.sort();
  };
  const block = async (): Promise<RouterRoute | undefined> =>
    (await frr.routes('ipv4')).find(({ prefix }) => prefix.startsWith('10.65.1.'));
  const dryRun = async (...documents: readonly string[]): Promise<string> => {
    const result = await host.cli(['apply', '--dry-run', '-f', '-'], documents.join('\n---\n'));
    assert.equal(result.status, 0, result.stderr);
    return result.stdout;
  };

  before(async () => {
    host = createHost();
    frr = createRouter('frr', host.router, {
      routerId: TOR,
      as: 65001,
      local: TOR,
      neighbour: '192.0.2.2',
      neighbourAs: 65101,
      announce: ['0.0.0.0/0', '10.20.0.0/16', '10.20.30.0/24', '172.16.0.0/12'],
    });
    for (const [index, announce] of [['10.66.1.0/26', '10.99.0.0/16'], []].entries()) {
      const netns = createNetns();
      const subnet = `198.51.100.${16 * index}`;
      const [own, theirs] = [
        subnet.replace(/\d+$/, String(16 * index + 2)),
        subnet.replace(/\d+$/, String(16 * index + 1)),
      ];
      connect(
        { netns: host.netns, name: `rr${index}`, addresses: [`${own}/28`] },
        { netns, name: 'up0', addresses: [`${theirs}/28`] },
      );
      birds.push(
        createRouter('bird', netns, {
          routerId: theirs,
          as: 65101,
          local: theirs,
          neighbour: own,
          neighbourAs: 65101,
          holdTimeSec: 180,
          announce,
        }),
      );
    }
    await Promise.all([frr.start(), ...birds.map((bird) => bird.start())]);
    await host.start();
    await host.apply(
      NODE,
      ...POOLS,
      poolYaml('others', '10.66.0.0/16', '  disabled: true'),
      tor({ filters: [] }),
      client('client-a', '198.51.100.1'),
      client('client-b', '198.51.100.17'),
    );
    await host.add('c1', createNetns());
    await established();
  });
  after(async () => {
    disposeHosts();
    for (const router of [frr, ...birds]) {
      await router?.kill();
      router?.dispose();
    }
    await removeAllNetns();
  });

  it('a filter is put into force and changed under the session, and that is said beforehand', async () => {
    await eventually(
      'without filters no default route is taken',
      async () => {
        assert.deepEqual(await used(), ['10.20.0.0/16', '10.20.30.0/24', '172.16.0.0/12']);
        return true;
      },
      SLOW,
    );
    const before = await established();
    const filter = (spec: object): string => document('BGPFilter', 'f', spec);
    const first = filter({
      importV4: [
        { cidr: '10.20.0.0/16', matchOperator: 'In', prefixLength: { min: 24 }, action: 'Reject' },
        { asPathPrefix: [65001], cidr: '172.16.0.0/12', matchOperator: 'Equal', action: 'Reject' },
      ],
      exportV4: [
        {
          cidr: '10.65.1.0/24',
          matchOperator: 'In',
          action: 'Accept',
          operations: [{ addCommunity: { value: '65101:5' } }, { prependASPath: { prefix: [65101, 65101] } }],
        },
      ],
    });
    const told = await dryRun(first, tor());
    assert.match(
      told,
      /BGPFilter f would be created\n {2}BGP session 192\.0\.2\.1, BGPPeer tor: changed without a reset \(.*importPolicy/,
    );
    assert.match(told, /BGPPeer tor would be updated/);
    await host.apply(first, tor());
    await eventually(
      'import is filtered, and the default route comes',
      async () => {
        assert.deepEqual(await used(), ['0.0.0.0/0', '10.20.0.0/16']);
        return true;
      },
      SLOW,
    );
    await eventually(
      'export has its operations',
      async () => (await block())?.asPath.join(' ') === '65101 65101 65101',
      SLOW,
    );
    assert.match(await frr.command('show bgp ipv4 unicast community 65101:5'), /10\.65\.1\./);
    await host.apply(filter({ importV4: [{ action: 'Reject' }], exportV4: [{ action: 'Reject' }] }));
    await eventually(
      'nothing passes any more',
      async () => (await used()).length === 0 && (await block()) === undefined,
      SLOW,
    );
    await host.apply(
      filter({ importV4: [{ cidr: '10.20.0.0/16', matchOperator: 'NotEqual', action: 'Reject' }] }),
    );
    await eventually(
      'one route in, our block out',
      async () => (await used()).join() === '10.20.0.0/16' && (await block()) !== undefined,
      SLOW,
    );
    const after = await peer();
    assert.deepEqual([after.establishedAt, after.policy.import], [before.establishedAt, 'f']);
  });

  it('communities of prefixAdvertisements go out with our blocks and with what is reflected, without a reset', async () => {
    const { establishedAt } = await established();
    await host.apply(
      document('BGPConfiguration', 'default', {
        communities: [{ name: 'containers', value: '65101:77' }],
        prefixAdvertisements: [
          // NO_EXPORT is for the peer to heed, not for us.
          { cidr: '10.65.1.0/24', communities: ['containers', '65101:1:2', '65535:65281'] },
          { cidr: '10.66.0.0/16', communities: ['containers'] },
        ],
      }),
    );
    await eventually(
      'FRR has the community',
      async () => /10\.65\.1\./.test(await frr.command('show bgp ipv4 unicast community no-export')),
      SLOW,
    );
    await eventually(
      'the other client has it with what this one announced',
      async () => /\(65101,77\)/.test((await birds[1]?.command('show route 10.66.1.0/26 all')) ?? ''),
      SLOW,
    );
    assert.equal((await peer()).establishedAt, establishedAt);
  });

  it('ignoredInterfaces: the subnets of such links may be learned', async () => {
    const { establishedAt } = await established();
    await host.apply(tor({ filters: [] }));
    await frr.announce(['10.20.0.0/16', '192.0.2.0/24']);
    const uses = (what: string, ...wanted: readonly string[]): Promise<unknown> =>
      eventually(what, async () => (await used()).join() === wanted.join(), SLOW);
    await uses('our own subnet is not learned', '10.20.0.0/16');
    await host.apply(document('BGPConfiguration', 'default', { ignoredInterfaces: ['up*'] }));
    await uses('now it is', '10.20.0.0/16', '192.0.2.0/24');
    await host.apply(document('BGPConfiguration', 'default', {}));
    await uses('and no more', '10.20.0.0/16');
    assert.equal((await peer()).establishedAt, establishedAt, 'the session stays');
  });

  it('as a route reflector it passes on what clients announce out of the pools, and nothing else, and not outwards', async () => {
    const [, second] = birds;
    assert.ok(second);
    await established('198.51.100.1');
    await established('198.51.100.17');
    await eventually(
      'the other client has the route',
      async () => (await second.routes('ipv4')).some(({ prefix }) => prefix === '10.66.1.0/26'),
      SLOW,
    );
    const text = await second.command('show route 10.66.1.0/26 all');
    assert.match(text, /BGP\.originator_id: 198\.51\.100\.1/);
    assert.match(text, /BGP\.cluster_list: 10\.255\.0\.1/);
    assert.ok(!(await second.routes('ipv4')).some(({ prefix }) => prefix === '10.99.0.0/16'));
    assert.ok(!(await frr.routes('ipv4')).some(({ prefix }) => prefix === '10.66.1.0/26'));
  });

  it('export rules with an interface: by the way of each route, also when that changes', async () => {
    const { establishedAt } = await established();
    const byInterface = (pattern: string): Promise<unknown> =>
      host.apply(
        document('BGPFilter', 'f', {
          exportV4: [{ interface: pattern, action: 'Accept' }, { action: 'Reject' }],
        }),
        tor(),
      );
    const has = (what: string, ...wanted: readonly string[]): Promise<unknown> =>
      eventually(
        what,
        async () => {
          const found = (await frr.routes('ipv4')).filter(({ asPath }) => asPath[0] === 65101);
          return (
            found
              .map(({ prefix }) => prefix)
              .sort()
              .join() === wanted.join()
          );
        },
        SLOW,
      );
    await byInterface('rr1');
    await has('the second client announced nothing');
    await byInterface('r*0');
    await has('what the first announced, and not our block', '10.66.1.0/26', '10.99.0.0/16');
    host.netns.run('ip', 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
    for (const end of ['other0', 'other1']) host.netns.run('ip', 'link', 'set', end, 'up');
    host.netns.run('ip', 'route', 'add', '198.51.100.1/32', 'dev', 'other0');
    const client = (await peer('198.51.100.1')).establishedAt;
    await has('they lead elsewhere now');
    assert.equal(
      (await peer('198.51.100.1')).establishedAt,
      client,
      'by their way, not by the end of the session',
    );
    host.netns.run('ip', 'link', 'del', 'other0');
    await has('and back', '10.66.1.0/26', '10.99.0.0/16');
    // An address that is advertised by itself leads to its container.
    await host.apply(poolYaml('single', '10.67.0.8/29', '  blockSize: 32'));
    const { interface: link } = await host.add('c2', createNetns(), { ips: ['10.67.0.9'] });
    await byInterface(link);
    await has('the one address', '10.67.0.9/32');
    await host.delete('c2');
    await has('and no more');
    await host.apply(tor({ filters: [] }));
    assert.equal((await peer()).establishedAt, establishedAt, 'the session stays');
  });

  it('another hold time resets this session alone, and that is said beforehand', async () => {
    const before = await established();
    const other = await established('198.51.100.1');
    assert.match(
      await dryRun(tor({}, { 'hold-time': '30' })),
      /BGP session 192\.0\.2\.1, BGPPeer tor: reset \(holdTimeSec\)/,
    );
    assert.equal((await peer()).establishedAt, before.establishedAt, 'a dry run changes nothing');
    await host.apply(tor({}, { 'hold-time': '30' }));
    await eventually(
      'it was reset and is up again',
      async () => {
        const { state, establishedAt = 0 } = await peer();
        return state === 'Established' && establishedAt > (before.establishedAt ?? 0);
      },
      SLOW,
    );
    assert.equal((await peer('198.51.100.1')).establishedAt, other.establishedAt);
  });

  it('a key out of a file: missing it keeps the session down, a changed one is taken over', async () => {
    const file = join(host.folder, 'tor.key');
    await host.apply(tor({}, { 'password-file': file }));
    await eventually(
      'it is down and said why',
      async () => {
        const [finding] = await host.findings('password-unavailable');
        return (
          (await peer()).state === 'Idle(Admin)' &&
          finding?.message.includes(`${file} cannot be read`) === true
        );
      },
      SLOW,
    );
    const setFrr = (key: string): Promise<string> =>
      frr.command('configure terminal', 'router bgp 65001', `neighbor 192.0.2.2 password ${key}`);
    await setFrr('first');
    writeFileSync(file, 'first\n', { mode: 0o600 });
    const first = await established();
    await setFrr('second');
    writeFileSync(file, 'second\n');
    await eventually(
      'the session is up with the new key',
      async () => {
        const { state, establishedAt = 0 } = await peer();
        return state === 'Established' && establishedAt > (first.establishedAt ?? 0);
      },
      SLOW,
    );
    assert.ok(!host.log.includes('"second"') && !(await host.ocicat('bgp peers -o json')).includes('second'));
  });

  it('a client that comes by itself, out of a range: reflected to, seen in a preview, changed live', async () => {
    const range = (annotations: Record<string, string> = {}): string =>
      document(
        'BGPPeer',
        'clients',
        { node: 'h1' },
        { 'ocicat.dev/listen-range': '198.51.100.16/28', 'ocicat.dev/remote-as': 'internal', ...annotations },
      );
    const [, second] = birds;
    assert.ok(second);
    await host.ocicat('delete bgppeer client-b');
    await host.apply(range());
    const view = await established('198.51.100.17');
    assert.deepEqual([view.dynamic, view.resource, view.kind], [true, 'BGPPeer clients', 'ibgp']);
    await eventually(
      'it has the route of the other client',
      async () => (await second.routes('ipv4')).some(({ prefix }) => prefix === '10.66.1.0/26'),
      SLOW,
    );
    const told = await dryRun(range({ 'ocicat.dev/hold-time': '30' }));
    assert.match(told, /BGP session 198\.51\.100\.17, BGPPeer clients: reset \(holdTimeSec\)/);
    assert.equal((await peer('198.51.100.17')).establishedAt, view.establishedAt);
    await host.ocicat('delete bgppeer clients');
    await eventually(
      'it goes with its range',
      async () => !JSON.stringify(await host.api.call('GET', '/v1/bgp/peers')).includes('198.51.100.17'),
      SLOW,
    );
  });
});
