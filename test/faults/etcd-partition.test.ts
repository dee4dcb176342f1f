/**
 * A real etcd whose members lose each other while the host still reaches them all: the watch must leave a member that is cut off from
 * the quorum, although its connection is in perfect health. Members and host have a namespace each, with one network for clients and
 * another for the members among themselves. Needs root.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.ts';
import { connect, createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const CHILD = fileURLToPath(new URL('./support/etcd-follower-child.ts', import.meta.url));
const MEMBERS = [1, 2, 3];

describe('etcd store over a cluster that falls apart', function () {
  this.timeout(90_000);
  let members: Netns[];
  let host: Netns;

  const endpoint = (member: number): string => `http://10.64.0.${member}:2379`;

  before(() => {
    const wires = createNetns();
    host = createNetns();
    for (const network of ['clients', 'members']) wires.sh(`ip link add ${network} type bridge`);
    for (const network of ['clients', 'members']) wires.sh(`ip link set ${network} up`);
    const plug = (netns: Netns, name: string, network: string, address: string): void => {
      const port = `${network.slice(0, 1)}${address.split('.')[3]?.replace('/24', '')}`;
      connect({ netns, name, addresses: [address] }, { netns: wires, name: port });
      wires.sh(`ip link set ${port} master ${network}`);
    };
    plug(host, 'eth0', 'clients', '10.64.0.100/24');
    const initial = MEMBERS.map((n) => `m${n}=http://10.65.0.${n}:2380`).join(',');
    members = MEMBERS.map((n) => {
      const netns = createNetns();
      plug(netns, 'eth0', 'clients', `10.64.0.${n}/24`);
      plug(netns, 'peers', 'members', `10.65.0.${n}/24`);
      const peer = `http://10.65.0.${n}:2380`;
      const child = netns.spawn(
        'setpriv',
        ...['--pdeathsig', 'KILL', 'etcd'],
        ...['--name', `m${n}`, '--data-dir', join(temporaryFolder(), `m${n}`), '--unsafe-no-fsync'],
        ...['--logger', 'zap', '--log-level', 'fatal'],
        ...[
          '--listen-client-urls',
          `${endpoint(n)},http://127.0.0.1:2379`,
          '--advertise-client-urls',
          endpoint(n),
        ],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', initial, '--initial-cluster-state', 'new'],
      );
      child.stdout?.resume();
      child.stderr?.resume();
      return netns;
    });
  });
  after(async () => {
    await removeAllNetns();
    removeTemporaryFolders();
  });

  it('no event is lost or invented while each member in turn is cut off from the others', async () => {
    const child = host.spawn(
      'setpriv',
      ...['--pdeathsig', 'KILL', process.execPath],
      CHILD,
      join(temporaryFolder(), 'etcd'),
      ...MEMBERS.map(endpoint),
    );
    let [said, complaint, ended] = ['', '', false];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1_000);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.once('exit', () => {
      ended = true;
    });
    const told = (): number => {
      assert(!ended, complaint);
      return Number([...said.matchAll(/^told (\d+) /gm)].at(-1)?.[1] ?? 0);
    };
    const goesOn = async (what: string): Promise<void> => {
      const before = told();
      await eventually(what, () => told() > before + 30, { timeoutMs: 30_000 });
    };
    await goesOn('it follows');
    for (const [index, member] of members.entries()) {
      member.sh('ip link set peers down');
      await goesOn(`events go on without m${index + 1}`);
      member.sh('ip link set peers up');
      await goesOn(`events go on with m${index + 1} again`);
    }
    child.stdin?.write('finish\n');
    await eventually('the ledger is whole', () => /^whole$/m.test(said) || ended, { timeoutMs: 30_000 });
    assert.match(said, /^whole$/m, complaint);
  });

  it('without any quorum it says so, and comes back by itself', async () => {
    const child = host.spawn(
      'setpriv',
      ...['--pdeathsig', 'KILL', process.execPath],
      CHILD,
      join(temporaryFolder(), 'etcd'),
      ...MEMBERS.map(endpoint),
    );
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1_000);
    });
    child.stderr?.resume();
    const state = async (expected: string): Promise<void> => {
      await eventually(expected, () => new RegExp(` ${expected}\\n$`).test(said), { timeoutMs: 30_000 });
    };
    await state('available');
    for (const member of members) member.sh('ip link set peers down');
    await state('unavailable');
    for (const member of members) member.sh('ip link set peers up');
    await state('available');
    child.kill('SIGKILL');
  });
});
