/**
 * `podman run --rm` end to end, with Ocicat and with Debian's stock plugins, turn by turn in one run.
 * Usage (as root): node lab/bench/podman.ts [--count N] [--json]. Everything happens in network namespaces and folders of its own.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeRootfs } from '../../test/runtimes/support/busybox.ts';
import { install } from '../../test/runtimes/support/nodes.ts';
import { Podman } from '../../test/runtimes/support/podman.ts';
import { createHost, disposeHosts, poolYaml } from '../../test/support/agent.ts';
import { removeAllNetns } from '../../test/support/netns.ts';
import { median } from './measure.ts';

const WARM_UP = 2;

const { values } = parseArgs({
  options: { count: { type: 'string', default: '40' }, json: { type: 'boolean', default: false } },
});

/** A network of the stock plugins: `bridge` alone, or the chain that Podman's own default network has. */
function stockNetwork(name: string, bridge: string, third: number, chained: readonly object[]): string {
  const ranges = [[{ subnet: `10.${third}.0.0/18` }], [{ subnet: `fd00:${third}::/112` }]];
  const plugin = {
    type: 'bridge',
    bridge,
    isGateway: true,
    ipMasq: chained.length > 0,
    hairpinMode: true,
    ipam: { type: 'host-local', ranges, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] },
  };
  return JSON.stringify({ cniVersion: '0.4.0', name, plugins: [plugin, ...chained] });
}

async function main(): Promise<void> {
  const count = Number(values.count);
  const host = createHost();
  await host.start();
  await host.apply(poolYaml('four', '10.65.0.0/18'), poolYaml('six', 'fd00:65:1::/112'));
  const node = await install(host, 'pods');
  mkdirSync(node.confDir, { recursive: true });
  const chained = [
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'firewall' },
    { type: 'tuning' },
  ];
  writeFileSync(join(node.confDir, '87-plain.conflist'), stockNetwork('plain', 'br1', 66, []));
  writeFileSync(join(node.confDir, '88-stock.conflist'), stockNetwork('stock', 'br2', 67, chained));
  const rootfs = join(host.folder, 'rootfs');
  makeRootfs(rootfs);
  const podman = new Podman(node, rootfs, 'pods');
  const networks = ['plain', 'stock', 'pods'];
  const times = new Map<string, number[]>(networks.map((network) => [network, []]));
  for (let turn = -WARM_UP; turn < count; turn++) {
    for (const network of networks) {
      const startedAt = performance.now();
      await podman.run('run', '--rm', '--network', network, '--rootfs', rootfs, 'true');
      if (turn >= 0) times.get(network)?.push(performance.now() - startedAt);
    }
  }
  const ours = median(times.get('pods') ?? []);
  const rows = [
    ['bridge + host-local', 'plain'],
    ["Podman's default chain", 'stock'],
    ['ocicat', 'pods'],
  ].map(([name = '', network = '']) => {
    const own = median(times.get(network) ?? []);
    return { network: name, medianMs: Math.round(own), ocicatRatio: Math.round((ours / own) * 100) / 100 };
  });
  if (values.json) console.log(JSON.stringify(rows, undefined, 2));
  else {
    console.log(`${'podman run --rm'.padEnd(26)} ${'median'.padStart(8)}   ocicat takes`);
    for (const row of rows)
      console.log(`${row.network.padEnd(26)} ${`${row.medianMs} ms`.padStart(8)}   ${row.ocicatRatio} x`);
  }
}

try {
  await main();
} finally {
  disposeHosts();
  await removeAllNetns();
}
