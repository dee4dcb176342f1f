/** Sets changed by netlink, beside the ipset tool, in a real kernel. */
import assert from 'node:assert/strict';
import { commandRunner } from '../../fib/command.ts';
import { ipsetTool, type SetCommand, type SetDriver } from '../../fib/ipset/commands.ts';
import { KernelSets } from '../../fib/ipset/kernel-sets.ts';
import { NetlinkSetDriver } from '../../fib/ipset/netlink-driver.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';

const COMMANDS: readonly SetCommand[] = [
  { verb: 'create', set: 'oci4-n', type: 'hash:net', family: 'ipv4', maxElem: 1_048_576 },
  { verb: 'create', set: 'oci6-n', type: 'hash:net', family: 'ipv6', maxElem: 100 },
  { verb: 'create', set: 'oci4-p:port', type: 'hash:ip,port', family: 'ipv4', maxElem: 100 },
  { verb: 'create', set: 'oci6-p:port', type: 'hash:ip,port', family: 'ipv6', maxElem: 100 },
  { verb: 'create', set: 'oci4-:source', type: 'hash:net,iface', family: 'ipv4', maxElem: 100 },
  { verb: 'create', set: 'oci6-:source', type: 'hash:net,iface', family: 'ipv6', maxElem: 100 },
  ...['0.0.0.0/1', '10.0.0.0/8', '10.0.0.1'].map((entry) => add('oci4-n', entry)),
  ...['8000::/1', 'fd00::/64', 'fd00::1', '::ffff:102:304'].map((entry) => add('oci6-n', entry)),
  ...['tcp:80', 'udp:53', 'sctp:65535', 'udplite:1'].flatMap((port) => [
    add('oci4-p:port', `10.0.0.1,${port}`),
    add('oci6-p:port', `fd00::1,${port}`),
  ]),
  add('oci4-:source', '10.65.0.1,oci0123456789a'),
  add('oci4-:source', '10.65.1.0/24,ocix'),
  add('oci6-:source', 'fd65::1,oci0123456789a'),
  add('oci4-n', '192.0.2.1'),
  { verb: 'del', set: 'oci4-n', entry: '192.0.2.1' },
];

function add(set: string, entry: string): SetCommand {
  return { verb: 'add', set, entry };
}

describe('sets by netlink', function () {
  this.timeout(60_000);
  let netns: Netns;
  let processes: number;
  let driver: NetlinkSetDriver;
  function toolIn(where: Netns): SetDriver {
    const run = commandRunner(['nsenter', `--net=${where.path}`]);
    return ipsetTool((...args) => {
      processes++;
      return run(...args);
    });
  }
  /** What is there, without what differs from set to set by chance. */
  const saved = (where: Netns) =>
    where
      .run('ipset', 'save')
      .trim()
      .split('\n')
      .map((line) => line.replace(/ initval \S+/, ''))
      .sort();

  beforeEach(() => {
    processes = 0;
    netns = createNetns();
    driver = new NetlinkSetDriver(toolIn(netns), netns.path);
  });
  afterEach(async () => {
    driver.close();
    await removeAllNetns();
  });

  it('are as the tool would have made them', async () => {
    assert.equal(await driver.write(COMMANDS, false), undefined);
    assert.equal(processes, 0);
    const other = createNetns();
    assert.equal(await toolIn(other).write(COMMANDS, false), undefined);
    assert.deepEqual(saved(netns), saved(other));
    assert.equal(saved(netns).length, 6 + 3 + 4 + 8 + 3);
    // The same again is fine for who is lenient.
    assert.equal(await driver.write(COMMANDS, true), undefined);
    assert.deepEqual(saved(netns), saved(other));
  });

  it('say which change was refused and why, and what is fine for the lenient only', async () => {
    assert.equal(await driver.write(COMMANDS, false), undefined);
    const refusal = async (command: SetCommand, isLenient = true) => {
      const result = await driver.write([add('oci4-n', '198.51.100.1'), command], isLenient);
      await driver.write([{ verb: 'del', set: 'oci4-n', entry: '198.51.100.1' }], true);
      return result === undefined
        ? undefined
        : `${result.index} ${result.reason}${result.isAbsent ? '!' : ''}`;
    };
    assert.equal(await refusal(add('oci4-absent', '10.0.0.1')), '1 the set does not exist!');
    assert.equal(await refusal(add('oci4-n', '10.0.0.0/40')), '1 the entry is malformed');
    assert.match((await refusal(add('oci4-n', 'fd00::1'))) ?? '', /^1 /);
    assert.match((await refusal(add('oci4-p:port', '10.0.0.1'))) ?? '', /^1 /);
    assert.equal(await refusal({ verb: 'destroy', set: 'oci4-absent' }, false), '1 the set does not exist!');
    assert.match((await refusal(add('oci4-n', '10.0.0.1'), false)) ?? '', /^1 the entry is there already/);
    assert.equal(await refusal(add('oci4-n', '10.0.0.1')), undefined);
    assert.equal(await refusal({ verb: 'del', set: 'oci4-n', entry: '203.0.113.1' }), undefined);
    netns.sh('iptables-legacy -A INPUT -m set --match-set oci4-n src -j ACCEPT');
    assert.match((await refusal({ verb: 'destroy', set: 'oci4-n' })) ?? '', /^1 the set is in use/);
    const many = Array.from({ length: 200 }, (_, i) => add('oci6-n', `fd01::${i.toString(16)}`));
    const full = await driver.write(many, true);
    assert.equal(full?.reason, 'the set is full');
    assert.ok(full?.index !== undefined && full.index < 200);
    assert.equal(processes, 0);
  });

  it('leave large changes to the tool, and others work on sets meanwhile', async () => {
    const sets = new KernelSets({ driver });
    const members = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    sets.upsert('oci4-n', 'ipv4', 'net', members);
    assert.deepEqual(await sets.apply('full'), []);
    const before = processes;
    assert.ok(before > 0);
    for (let i = 0; i < 10; i++) {
      netns.run('ipset', 'create', `theirs${i}`, 'hash:ip');
      sets.change('oci4-n', [`192.0.2.${i}/32`], [`10.0.${i}.0/24`]);
      sets.upsert(`oci6-${i}`, 'ipv6', 'net', [`fd00::${i}/128`]);
      assert.deepEqual(await sets.apply('full'), []);
    }
    for (let i = 0; i < 10; i++) sets.remove(`oci6-${i}`);
    assert.deepEqual(await sets.destroyUnwanted(), []);
    assert.equal(processes, before);
    assert.deepEqual(await sets.check(), []);
    assert.equal(saved(netns).filter((line) => line.startsWith('add oci4-n')).length, 20_000);
    assert.equal(saved(netns).filter((line) => /^create theirs/.test(line)).length, 10);
    assert.equal(saved(netns).filter((line) => /^create oci6/.test(line)).length, 0);
  });

  it('where netlink cannot be had the tool does it all', async () => {
    const without = new NetlinkSetDriver(toolIn(netns), '/run/netns/ocit-absent');
    assert.equal(await without.write(COMMANDS, false), undefined);
    assert.equal(processes, 1);
    assert.equal(saved(netns).length, 24);
  });
});
