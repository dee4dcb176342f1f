/** Two FRR routers tell how wide their way to the same prefix is (RFC 10005): `bgp speak --fib` shares the traffic in proportion. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { createRouter, type Router } from '../support/routers.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const LAUNCHER = fileURLToPath(new URL('../../src/cli/ocicat.sh', import.meta.url));
const PREFIX = '10.30.0.0/16';
const WAIT = { timeoutMs: 30_000, intervalMs: 100 };
const NETS = [
  { ours: '192.0.2.1', theirs: '192.0.2.2', as: 65002, link: 'left' },
  { ours: '198.51.100.1', theirs: '198.51.100.2', as: 65003, link: 'right' },
] as const;

function file(): string {
  return [
    '{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: r1}, spec: {bgp: {asNumber: 65001, ipv4Address: 192.0.2.1/24}}}',
    '{apiVersion: projectcalico.org/v3, kind: BGPFilter, metadata: {name: all}, spec: {}}',
    ...NETS.map(
      ({ theirs, as, link }) =>
        `{apiVersion: projectcalico.org/v3, kind: BGPPeer, metadata: {name: ${link}}, spec: {peerIP: ${theirs}, asNumber: ${as}, filters: [all]}}`,
    ),
    '',
  ].join('\n---\n');
}

describe('link bandwidth from FRR', function () {
  this.timeout(120_000);
  const routers: Router[] = [];
  let host: Netns;

  before(() => {
    host = createNetns();
    for (const { ours, theirs, as, link } of NETS) {
      const netns = createNetns();
      connect(
        { netns: host, name: link, addresses: [`${ours}/24`] },
        { netns, name: 'eth0', addresses: [`${theirs}/24`] },
      );
      routers.push(
        createRouter('frr', netns, {
          routerId: theirs,
          as,
          local: theirs,
          neighbour: ours,
          neighbourAs: 65001,
          holdTimeSec: 9,
          announce: [PREFIX],
        }),
      );
    }
  });
  after(async () => {
    await Promise.all(routers.map((router) => router.kill()));
    for (const router of routers) router.dispose();
    await removeAllNetns();
    removeTemporaryFolders();
  });

  /** What a router says of its way: megabits per second, or nothing. */
  async function tell(index: 0 | 1, megabits: number | undefined): Promise<void> {
    const { ours, as } = NETS[index];
    await routers[index]?.command(
      'configure terminal',
      'route-map width permit 10',
      megabits === undefined ? 'no set extcommunity bandwidth' : `set extcommunity bandwidth ${megabits}`,
      'exit',
      `router bgp ${as}`,
      'address-family ipv4 unicast',
      `neighbor ${ours} route-map width out`,
    );
    await routers[index]?.command(`clear bgp ipv4 unicast ${ours} soft out`);
  }

  const shares = (): string =>
    host
      .run('ip', '-4', 'route', 'show', PREFIX)
      .replaceAll(/\s+/g, ' ')
      .match(/dev (left|right) weight \d+/g)
      ?.sort()
      .join(', ') ?? '';

  it('the kernel has the weights, and equal ones when one router tells none', async () => {
    await Promise.all(routers.map((router) => router.start()));
    await tell(0, 5_000);
    await tell(1, 20_000);
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'run'));
    writeFileSync(join(folder, 'speak.yaml'), file());
    const child = host.spawn(
      'sh',
      LAUNCHER,
      '--socket',
      join(folder, 'run', 'speak.sock'),
      'bgp',
      'speak',
      '--config',
      join(folder, 'speak.yaml'),
      '--fib',
    );
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    const become = (wanted: string): Promise<unknown> =>
      eventually(
        `${wanted}; the log:\n${log}`,
        () => {
          assert.equal(shares(), wanted);
          return true;
        },
        WAIT,
      );
    await become('dev left weight 1, dev right weight 4');
    await tell(0, 12_500);
    await become('dev left weight 5, dev right weight 8');
    await tell(0, undefined);
    await become('dev left weight 1, dev right weight 1');
    child.kill('SIGTERM');
    await eventually('it ends', () => child.exitCode !== null || child.signalCode !== null, WAIT);
  });
});
