/** The iptables-restore that stays, with the real tools and kernel. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandRunner, toolStarter } from '../../fib/command.ts';
import { RestoreChannel } from '../../fib/iptables/restore-channel.ts';
import { failedLineNumber } from '../../fib/iptables/restore-error.ts';
import { parseListing } from '../../fib/iptables/save.ts';
import { eventually } from '../support/eventually.ts';
import { createNetns, type Netns, removeAllNetns } from '../support/netns.ts';
import { ALLOW_ALL, applied, endpointUpsert, PolicyLab } from './policy-fixture.ts';

const HASH = (index: number) => `-m comment --comment "oci:${String(index).padStart(16, '0')}"`;

describe('iptables-restore that stays', function () {
  this.timeout(60_000);
  const lockFile = join(tmpdir(), `ocit-restore-${process.pid}.lock`);
  let router: Netns;
  let channel: RestoreChannel;
  let started: number;
  afterEach(async () => {
    await channel.close();
    await removeAllNetns();
    rmSync(lockFile, { force: true });
  });

  for (const backend of ['nft', 'legacy'] as const) {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const tool = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`;
      describe(tool, () => {
        beforeEach(() => {
          router = createNetns();
          started = 0;
          const prefix = ['nsenter', `--net=${router.path}`, 'env', `XTABLES_LOCKFILE=${lockFile}`];
          const start = toolStarter(prefix);
          channel = new RestoreChannel({
            family,
            backend,
            run: commandRunner(prefix),
            start: (...args) => {
              started++;
              return start(...args);
            },
            lockWaitSec: 1,
          });
        });
        const restore = async (...lines: string[]) => {
          const outcome = await channel.restore(lines);
          assert.equal(outcome.status, 0, outcome.stderr);
          return parseListing(outcome.stdout);
        };

        it('takes several tables in one go, and lists what it wrote', async () => {
          const listed = await restore(
            ...['filter', 'nat', 'raw', 'mangle'].flatMap((table) => [
              `*${table}`,
              `:oci-${table} - [0:0]`,
              `-A oci-${table} ${HASH(1)} -j RETURN`,
              'COMMIT',
            ]),
            ...['*filter', '-S oci-filter', '-S FORWARD', 'COMMIT'],
          );
          assert.deepEqual(
            [...listed],
            [
              ['oci-filter', ['0000000000000001']],
              ['FORWARD', []],
            ],
          );
          for (const table of ['filter', 'nat', 'raw', 'mangle']) {
            assert.match(router.run(`${tool}-save`, '-t', table), new RegExp(`-A oci-${table} .*RETURN`));
          }
        });

        it('sees what others changed between two of its changes, and keeps it', async () => {
          await restore('*filter', ':oci-a - [0:0]', `-A oci-a ${HASH(1)} -j RETURN`, 'COMMIT');
          for (let round = 0; round < 5; round++) {
            router.run(tool, '-I', 'oci-a', '1', '-j', 'DROP');
            router.run(tool, '-N', `THEIRS${round}`);
            router.run(tool, '-A', 'FORWARD', '-j', `THEIRS${round}`);
            // By position: where it stood before the other's insertion there is now the other's rule.
            const listed = await restore(
              ...['*filter', `-R oci-a 2 ${HASH(round)} -j RETURN`, `-A THEIRS${round} -j oci-a`, 'COMMIT'],
              ...['*filter', '-S oci-a', '-S FORWARD', 'COMMIT'],
            );
            assert.deepEqual(listed.get('oci-a'), ['', `000000000000000${round}`]);
            assert.equal(listed.get('FORWARD')?.length, round + 1);
            router.run(tool, '-D', 'oci-a', '1');
          }
          const saved = router.run(`${tool}-save`, '-t', 'filter');
          assert.equal(saved.match(/^-A FORWARD -j THEIRS/gm)?.length, 5);
          assert.equal(saved.match(/^-A THEIRS\d -j oci-a/gm)?.length, 5);
          assert.equal(started, 1);
        });

        it('holds no lock between changes, and names a refused line by its place in its own input', async () => {
          await restore('*filter', ':oci-a - [0:0]', 'COMMIT');
          await restore('*filter', `-A oci-a ${HASH(1)} -j RETURN`, 'COMMIT');
          if (backend === 'legacy') router.run('flock', '--nonblock', lockFile, 'true');
          const refused = await channel.restore([
            '*filter',
            `-A oci-a ${HASH(2)} -j RETURN`,
            '-A oci-a -m set --match-set oci4-absent src -j RETURN',
            'COMMIT',
          ]);
          assert.notEqual(refused.status, 0);
          assert.equal(failedLineNumber(refused), 3, refused.stderr);
          // Nothing of it took effect, and the next finds a new process.
          const listed = await restore('*filter', '-S oci-a', 'COMMIT');
          assert.deepEqual(listed.get('oci-a'), ['0000000000000001']);
          assert.equal(started, 2);
          assert.equal(channel.problem, undefined);
        });

        it('takes a large change whole', async () => {
          const rules = Array.from({ length: 3_000 }, (_, i) => `-A oci-a ${HASH(i)} -j RETURN`);
          await restore('*filter', ':oci-a - [0:0]', ...rules, 'COMMIT');
          const listed = await restore('*filter', '-S oci-a', 'COMMIT');
          assert.equal(listed.get('oci-a')?.length, 3_000);
        });
      });
    }
  }
});

describe('processes of the policy programmer', function () {
  this.timeout(60_000);
  let lab: PolicyLab;
  afterEach(async () => {
    lab.close();
    await removeAllNetns();
  });

  for (const backend of ['nft', 'legacy'] as const) {
    it(`${backend}: an endpoint that comes or goes starts none`, async () => {
      lab = new PolicyLab();
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      const endpoint = (index: number) =>
        endpointUpsert(
          { netns: lab.router, link: `ocilink${index}`, ipv4: `10.65.1.${index}`, ipv6: `fd65::1:${index}` },
          {},
          ['profile/open'],
        );
      await applied(programmer, ALLOW_ALL, endpoint(1));
      const rulesTools = () => lab.commands.splice(0).filter(({ command }) => command !== 'ipset');
      rulesTools();
      const before = lab.processCount;
      await applied(programmer, endpoint(2));
      const added = rulesTools();
      assert.deepEqual(added.map(({ command }) => command).sort(), [
        `ip6tables-${backend}-restore`,
        `iptables-${backend}-restore`,
      ]);
      await applied(programmer, { kind: 'endpoint-remove', id: 'ocilink2' });
      assert.equal(rulesTools().length, 2);
      await applied(programmer, endpoint(1));
      assert.deepEqual(rulesTools(), [], 'nothing changed');
      assert.equal(lab.processCount, before);
      assert.deepEqual((await programmer.check()).drift, []);
      await programmer.close();
    });
  }

  it('the tools that stay end with the process that started them', async () => {
    lab = new PolicyLab();
    const script = `
      import { toolStarter } from ${JSON.stringify(new URL('../../fib/command.ts', import.meta.url).href)};
      const tool = toolStarter()('sh', ['-c', 'echo $$; exec iptables-nft-restore --noflush --verbose'], {
        stdout: (text) => console.log(text.trim()), stderr: () => {}, closed: () => {},
      });
      setInterval(() => tool, 1000);`;
    const owner = lab.router.spawn(process.execPath, '--input-type=module', '-e', script);
    const pid = await new Promise<string>((resolve) =>
      owner.stdout?.once('data', (data) => resolve(String(data).trim())),
    );
    const runs = () =>
      existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('iptables');
    await eventually('the tool runs', () => runs(), { timeoutMs: 20_000 });
    owner.kill('SIGKILL');
    await eventually('the tool is gone', () => !runs(), { timeoutMs: 20_000 });
  });
});
