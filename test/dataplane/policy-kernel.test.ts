import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandRunner, toolStarter } from '../../fib/command.ts';
import { PolicyProgrammer } from '../../fib/policy-programmer.ts';
import type { PolicyChange } from '../../fib/rules/types.ts';
import { removeAllNetns } from '../support/netns.ts';
import {
  ALLOW_ALL,
  applied,
  assertPings,
  endpointUpsert,
  PolicyLab,
  policyUpsert,
  type RecordedCommand,
  type Workload,
} from './policy-fixture.ts';

/** An endpoint whose link does not exist: rules do not need it. */
function absentWorkload(lab: PolicyLab, index: number): Workload {
  const link = `oci${((index + 1) * 2654435761).toString(16).slice(-8)}`;
  return {
    netns: lab.router,
    link,
    ipv4: `10.66.${index >> 8}.${index & 255}`,
    ipv6: `fd66::${index.toString(16)}`,
  };
}

/** Chains that restore inputs name as the object of a line. */
function chainsTouched(restores: readonly RecordedCommand[]): string[] {
  const chains = new Set<string>();
  for (const { input } of restores) {
    for (const line of input.split('\n')) {
      const chain = /^(?::|-[ARIDX] )(\S+)/.exec(line)?.[1];
      if (chain !== undefined) chains.add(chain);
    }
  }
  return [...chains].sort();
}

const webFrom = (...sets: string[]): PolicyChange =>
  policyUpsert('gnp/web', [{ action: 'allow', source: { sets } }]);

const netSet = (id: string, ...members: string[]): PolicyChange => ({
  kind: 'set-upsert',
  id,
  type: 'net',
  members: new Set(members),
});

describe('policy programmer and the kernel', function () {
  this.timeout(60_000);
  let lab: PolicyLab;
  beforeEach(() => {
    lab = new PolicyLab();
  });
  afterEach(async () => {
    lab.close();
    await removeAllNetns();
  });

  for (const backend of ['nft', 'legacy'] as const) {
    const save = (table: string, ...options: string[]) =>
      ['iptables', 'ip6tables']
        .map((command) => lab.router.run(`${command}-${backend}-save`, '-t', table, ...options))
        .join('')
        .replace(/^#.*\n/gm, '');
    const iptables = (...args: string[]) => lab.router.run(`iptables-${backend}`, ...args);

    it(`${backend}: takes over what an earlier run left without a write, and sweeps only after sync`, async () => {
      const first = lab.programmer({ backend });
      await first.start();
      const workload = absentWorkload(lab, 1);
      const state = [
        netSet('clients', '192.0.2.0/24', '2001:db8::/32'),
        webFrom('clients'),
        ALLOW_ALL,
        endpointUpsert(workload, { ingress: ['gnp/web'] }, ['profile/open']),
      ];
      first.markInSync();
      await applied(first, ...state, endpointUpsert(absentWorkload(lab, 2), {}, ['profile/open']));
      const rules = save('filter');

      const second = lab.programmer({ backend });
      lab.takeRestores();
      await second.start();
      const early = await second.apply();
      assert.equal(early.state, 'waiting-for-sync');
      second.enqueue(state);
      assert.equal((await second.apply()).state, 'waiting-for-sync');
      assert.deepEqual(lab.takeRestores(), [], 'nothing is written before the store is in sync');
      assert.equal(save('filter'), rules);

      second.enqueue([endpointUpsert(absentWorkload(lab, 2), {}, ['profile/open'])]);
      second.markInSync();
      const result = await second.apply();
      assert.equal(result.linesWritten, 0);
      assert.deepEqual(
        result.becameReady.toSorted(),
        [workload.link, absentWorkload(lab, 2).link].toSorted(),
      );
      assert.deepEqual(lab.takeRestores(), [], 'what is right already is left alone');

      const third = lab.programmer({ backend });
      await third.start();
      third.markInSync();
      await applied(third);
      assert.doesNotMatch(save('filter'), /oci-(fw|tw|pi|po|pri|pro)-/);
      assert.deepEqual(lab.router.run('ipset', 'list', '-n').trim().split('\n').sort(), [
        'oci4-:source',
        'oci6-:source',
      ]);
    });

    it(`${backend}: a member change writes the set and no rule, and counters stay`, async () => {
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      const workload = lab.addWorkload();
      const outside = lab.addOutside();
      await applied(
        programmer,
        netSet('clients', '198.51.100.0/24'),
        webFrom('clients'),
        endpointUpsert(workload, { ingress: ['gnp/web'] }),
      );
      await assertPings(outside, [workload.ipv4, workload.ipv6], false);
      const chains = iptables('-S').match(/oci-\S+/g)?.length;
      lab.takeRestores();
      await applied(programmer, {
        kind: 'set-delta',
        id: 'clients',
        added: ['192.0.2.9/32', '2001:db8::/32'],
        removed: ['198.51.100.0/24'],
      });
      assert.deepEqual(
        lab.takeRestores().map(({ input }) => input),
        ['del oci4-clients 198.51.100.0/24\nadd oci4-clients 192.0.2.9\nadd oci6-clients 2001:db8::/32\n'],
      );
      await assertPings(outside, [workload.ipv4, workload.ipv6], true);
      assert.equal(iptables('-S').match(/oci-\S+/g)?.length, chains);

      const counted =
        /\[[1-9]\d*:\d+\] -A oci-tw-\S+ .*nothing allowed it|\[[1-9]\d*:\d+\] .*end of tier default/;
      assert.match(save('filter', '-c'), counted);
      await applied(
        programmer,
        endpointUpsert(workload, { ingress: ['gnp/web', 'gnp/web2'] }),
        policyUpsert('gnp/web2'),
      );
      assert.match(save('filter', '-c'), counted, 'rules around a change keep their counters');
    });

    it(`${backend}: others' rules are kept, our jumps come back to the top, edited chains and sets are put right`, async () => {
      iptables('-N', 'THEIRS');
      iptables(
        '-A',
        'THEIRS',
        '-p',
        'tcp',
        '--dport',
        '22',
        '-m',
        'comment',
        '--comment',
        'it says "oci:" too',
        '-j',
        'ACCEPT',
      );
      iptables('-A', 'FORWARD', '-j', 'THEIRS');
      lab.router.sh('ipset create theirs hash:net');
      lab.router.sh('ipset add theirs 10.9.0.0/16');
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      const workload = absentWorkload(lab, 1);
      await applied(
        programmer,
        netSet('clients', '192.0.2.0/24'),
        webFrom('clients'),
        endpointUpsert(workload, { ingress: ['gnp/web'] }),
      );
      const before = save('filter');
      assert.deepEqual((await programmer.check()).drift, []);

      iptables('-D', 'INPUT', '1');
      iptables('-I', 'FORWARD', '1', '-s', '203.0.113.1', '-j', 'DROP');
      iptables('-F', `oci-tw-${workload.link}`);
      iptables('-I', `oci-fw-${workload.link}`, '1', '-j', 'ACCEPT');
      iptables('-N', 'oci-stranger');
      lab.router.sh('ipset flush oci4-clients');
      lab.router.sh('ipset add oci4-clients 203.0.113.0/24');
      const result = await programmer.check();
      assert.deepEqual(result.drift.toSorted(), [
        'chain FORWARD (ipv4 filter)',
        'chain INPUT (ipv4 filter)',
        `chain oci-fw-${workload.link} (ipv4 filter)`,
        'chain oci-stranger (ipv4 filter)',
        `chain oci-tw-${workload.link} (ipv4 filter)`,
        'set oci4-clients',
      ]);
      assert.deepEqual(result.failures, []);
      const after = save('filter');
      assert.equal(after.replace(/^-A FORWARD -s 203.*\n/m, ''), before);
      assert.match(
        after,
        /-A FORWARD -m comment --comment "?oci:\S+ -j oci-FORWARD\n-A FORWARD -s 203\S+ -j DROP\n-A FORWARD -j THEIRS/,
      );
      assert.match(lab.router.run('ipset', 'save'), /add theirs 10\.9\.0\.0\/16/);
      assert.doesNotMatch(lab.router.run('ipset', 'save'), /203\.0\.113/);
    });

    it(`${backend}: rules that others write while we apply are all there afterwards`, async () => {
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      iptables('-N', 'THEIRS');
      const others = (async () => {
        for (let i = 0; i < 25; i++) {
          const result = await lab.router.tryRunAsync(
            `iptables-${backend}`,
            '--wait',
            ...['-A', i % 2 ? 'THEIRS' : 'FORWARD', '-s', `203.0.113.${i}`, '-j', 'RETURN'],
          );
          assert.equal(result.status, 0, result.stderr);
        }
      })();
      for (let i = 0; i < 25; i++) {
        await applied(programmer, endpointUpsert(absentWorkload(lab, i), {}, ['profile/open']), ALLOW_ALL);
      }
      await others;
      const rules = save('filter');
      for (let i = 0; i < 25; i++) assert.match(rules, new RegExp(`-s 203\\.0\\.113\\.${i}/32 -j RETURN`));
      assert.deepEqual((await programmer.check()).drift, []);
    });

    it(`${backend}: with 200 endpoints, a change of one touches only its own chains`, async () => {
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      const workloads = Array.from({ length: 200 }, (_, i) => absentWorkload(lab, i));
      await applied(programmer, ALLOW_ALL, ...workloads.map((w) => endpointUpsert(w, {}, ['profile/open'])));
      lab.takeRestores();

      const [one, last] = [workloads[77], absentWorkload(lab, 200)];
      assert.ok(one);
      await applied(
        programmer,
        policyUpsert('gnp/mine', [{ action: 'allow', protocol: 6 }]),
        endpointUpsert(one, { ingress: ['gnp/mine'] }, ['profile/open']),
      );
      const touched = chainsTouched(lab.takeRestores());
      assert.equal(touched.length, 2);
      assert.match(touched[0] ?? '', /^oci-pi-mine\./);
      assert.equal(touched[1], `oci-tw-${one.link}`);

      await applied(programmer, endpointUpsert(last, {}, ['profile/open']));
      const added = lab.takeRestores();
      const own = [`oci-fw-${last.link}`, `oci-tw-${last.link}`];
      const dispatch = chainsTouched(added).filter((chain) => !own.includes(chain));
      assert.ok(dispatch.length <= 4, dispatch.join());
      for (const chain of dispatch) assert.match(chain, /^oci-(from|to)-wl-dispatch-oci/);
      assert.ok(added.every(({ input }) => input.split('\n').length < 60));

      await applied(programmer, { kind: 'endpoint-remove', id: last.link });
      await applied(programmer, policyUpsert('gnp/unused', [{ action: 'deny' }]));
      assert.doesNotMatch(save('filter'), new RegExp(`${last.link}|unused`));
    });

    it(`${backend}: a chain rewritten under a stream of packets lets none through and loses none`, async () => {
      const programmer = lab.programmer({ backend });
      await programmer.start();
      programmer.markInSync();
      const workload = lab.addWorkload();
      const outside = lab.addOutside();
      const port = (value: number) => ({
        protocol: 17,
        destination: { ports: [{ first: value, last: value }] },
      });
      const version = (i: number) =>
        policyUpsert(
          'gnp/stream',
          [],
          [
            ...Array.from({ length: i % 7 }, (_, n) => ({ action: 'deny' as const, ...port(5000 + n) })),
            { action: 'deny', ...port(9999), comment: `version ${i}` },
            { action: 'allow', ...port(9998), comment: `version ${i}` },
          ],
        );
      await applied(programmer, version(0), endpointUpsert(workload, { egress: ['gnp/stream'] }));

      const receiver = outside.netns.spawn(
        process.execPath,
        '-e',
        `const dgram = require('node:dgram'); const counts = { 9998: 0, 9999: 0 }; let up = 0;
         for (const port of [9998, 9999]) { const s = dgram.createSocket({ type: 'udp4', recvBufferSize: 4194304 }); s.on('message', () => counts[port]++); s.bind(port, () => ++up === 2 && console.log('up')); }
         process.stdin.on('data', () => setTimeout(() => console.log(JSON.stringify(counts)), 200));`,
      );
      const line = (child: typeof receiver) =>
        new Promise<string>((resolve) => child.stdout?.once('data', (data) => resolve(String(data))));
      await line(receiver);
      const sender = workload.netns.spawn(
        process.execPath,
        '-e',
        `const s = require('node:dgram').createSocket('udp4'); let sent = 0; let going = true;
         const tick = () => { if (!going) { console.log(sent); return; }
           let left = 20; for (let i = 0; i < 10; i++) for (const port of [9998, 9999]) s.send('x', port, '${outside.ipv4}', () => { if (--left === 0) { sent += 10; if (sent === 1000) console.log('enough'); setTimeout(tick, 2); } }); };
         s.bind(4000, () => { console.log('up'); tick(); });
         process.stdin.on('data', () => { going = false; });`,
      );
      await line(sender);
      let hasEnough = false;
      void line(sender).then(() => {
        hasEnough = true;
      });
      for (let i = 1; i <= 40 || !hasEnough; i++) await applied(programmer, version(i));
      const total = line(sender);
      sender.stdin?.write('stop\n');
      const sent = Number(await total);
      const report = line(receiver);
      receiver.stdin?.write('report\n');
      const counts = JSON.parse(await report);
      assert.ok(sent >= 1000, `only ${sent} packets sent`);
      assert.deepEqual(counts, { 9998: sent, 9999: 0 });
    });
  }

  it('one refused set holds back only what uses it', async () => {
    const programmer = lab.programmer({ backend: 'nft' });
    await programmer.start();
    programmer.markInSync();
    const [good, bad] = [absentWorkload(lab, 1), absentWorkload(lab, 2)];
    programmer.enqueue([
      netSet('fine', '192.0.2.0/24'),
      netSet('broken', '192.0.2.0/99'),
      webFrom('fine'),
      policyUpsert('gnp/uses-broken', [{ action: 'allow', source: { sets: ['broken'] } }]),
      endpointUpsert(good, { ingress: ['gnp/web'] }),
      endpointUpsert(bad, { ingress: ['gnp/uses-broken'] }),
    ]);
    const result = await programmer.apply();
    assert.equal(result.state, 'failing');
    assert.deepEqual(result.becameReady, [good.link]);
    assert.deepEqual(result.notReady, [bad.link]);
    assert.ok(
      result.failures.some(
        ({ subject, reason }) => subject === 'set oci4-broken' && reason.includes('192.0.2.0/99'),
      ),
    );
    assert.match(lab.router.run('iptables-nft-save'), /-A oci-pi-uses-b\S+ .*cannot be programmed" -j DROP/);
    assert.ok(result.retryAfterMs !== undefined);
    const again = await programmer.apply();
    assert.equal(again.retryAfterMs, 2 * result.retryAfterMs);
    assert.ok(programmer.isReady(good.link));

    await applied(programmer, netSet('broken', '192.0.2.0/25'));
    assert.ok(programmer.isReady(bad.link));
    assert.doesNotMatch(lab.router.run('iptables-nft-save'), /cannot be programmed/);
  });

  it('sets hold everything, grow beyond their capacity, and change type while rules use them', async () => {
    const programmer = lab.programmer({ backend: 'nft', maxSetElem: 4 });
    await programmer.start();
    programmer.markInSync();
    const workload = absentWorkload(lab, 1);
    await applied(
      programmer,
      netSet('s', '0.0.0.0/0', '::/0', '0.0.0.0/1'),
      webFrom('s'),
      endpointUpsert(workload, { ingress: ['gnp/web'] }),
    );
    const entries = (name: string) =>
      (lab.router.run('ipset', 'save', name).match(/^add \S+ (\S+)/gm) ?? [])
        .map((text) => text.split(' ')[2])
        .sort();
    assert.deepEqual(entries('oci4-s'), ['0.0.0.0/1', '128.0.0.0/1']);
    assert.deepEqual(entries('oci6-s'), ['8000::/1', '::/1']);
    await applied(programmer, { kind: 'set-delta', id: 's', added: [], removed: ['0.0.0.0/0', '::/0'] });
    assert.deepEqual(entries('oci4-s'), ['0.0.0.0/1']);
    assert.deepEqual(entries('oci6-s'), []);

    const many = Array.from({ length: 20 }, (_, i) => `10.0.${i}.0/24`);
    await applied(programmer, {
      kind: 'set-delta',
      id: 's',
      added: [...many, '::ffff:1.2.3.4/128'],
      removed: ['0.0.0.0/1'],
    });
    assert.equal(entries('oci4-s').length, 20);
    assert.match(lab.router.run('ipset', 'list', '-t', 'oci4-s'), /maxelem 32/);
    assert.deepEqual((await programmer.check()).drift, []);
    assert.doesNotMatch(lab.router.run('ipset', 'list', '-n'), /tmp/);

    await applied(
      programmer,
      {
        kind: 'set-upsert',
        id: 's',
        type: 'ip-port',
        members: new Set(['10.0.0.1,tcp:80', 'fd00::1,udp:53']),
      },
      policyUpsert('gnp/web', [{ action: 'allow', destination: { portSets: ['s'] } }]),
    );
    assert.deepEqual(entries('oci4-s:port'), ['10.0.0.1,tcp:80']);
    assert.deepEqual(entries('oci6-s:port'), ['fd00::1,udp:53']);
    assert.doesNotMatch(lab.router.run('ipset', 'list', '-n'), /^oci[46]-s$/m);

    // Someone puts a set of another type in our set's place.
    await applied(programmer, webFrom(), { kind: 'set-remove', id: 's' });
    lab.router.sh('ipset create oci4-s hash:ip');
    await applied(programmer, netSet('s', '192.0.2.0/24'), webFrom('s'));
    await programmer.check();
    assert.deepEqual(entries('oci4-s'), ['192.0.2.0/24']);
  });

  it('waits for the lock of the legacy backend, tries again, and tells who failed', async () => {
    const lockFile = join(tmpdir(), `ocit-${process.pid}.lock`);
    const prefix = ['nsenter', `--net=${lab.router.path}`, 'env', `XTABLES_LOCKFILE=${lockFile}`];
    const programmer = new PolicyProgrammer({
      run: commandRunner(prefix),
      startTool: toolStarter(prefix),
      backend: 'legacy',
      lockWaitSec: 1,
    });
    await programmer.start();
    programmer.markInSync();
    const holder = lab.router.spawn('flock', lockFile, 'sh', '-c', 'echo held; read _');
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    programmer.enqueue([ALLOW_ALL, endpointUpsert(absentWorkload(lab, 1), {}, ['profile/open'])]);
    const applying = programmer.apply();
    // Let it fail at least once before the lock is given up.
    const busy = () => programmer.inspect().tables.some((table) => table.busy > 0);
    while (!busy()) await new Promise((resolve) => setImmediate(resolve));
    holder.stdin?.write('\n');
    const result = await applying;
    assert.equal(result.state, 'applied');
    // The tools that stay hold it within a change only.
    lab.router.run('flock', '--nonblock', lockFile, 'true');
    await programmer.close();
    rmSync(lockFile, { force: true });
  });

  it('calls that wait for their turn share one run, and changes during a run are not lost', async () => {
    const programmer = lab.programmer({ backend: 'nft' });
    await programmer.start();
    programmer.markInSync();
    const [one, two] = [absentWorkload(lab, 1), absentWorkload(lab, 2)];
    programmer.enqueue([ALLOW_ALL, endpointUpsert(one, {}, ['profile/open'])]);
    const first = programmer.apply();
    await Promise.resolve();
    await Promise.resolve();
    programmer.enqueue([endpointUpsert(two, {}, ['profile/open'])]);
    assert.ok(!programmer.isReady(two.link));
    const second = programmer.apply();
    const third = programmer.apply();
    assert.equal(second, third);
    await Promise.all([first, second]);
    assert.ok(programmer.isReady(one.link) && programmer.isReady(two.link));
  });

  it('checks less and less often while nothing is found, and soon again after what was written during a check', async () => {
    let onRead = (): void => {};
    const programmer = lab.programmer({
      backend: 'nft',
      run: (command, args, input) => {
        if (command.endsWith('-save')) onRead();
        return lab.run(command, args, input);
      },
    });
    await programmer.start();
    programmer.markInSync();
    await applied(programmer, ALLOW_ALL);
    const delays = [(await programmer.check()).checkAfterMs, (await programmer.check()).checkAfterMs];
    assert.deepEqual(delays, [10_000, 20_000]);
    const late = absentWorkload(lab, 1);
    onRead = () => {
      onRead = () => {};
      programmer.enqueue([endpointUpsert(late, {}, ['profile/open'])]);
    };
    const checked = await programmer.check();
    assert.deepEqual([checked.drift, checked.becameReady], [[], [late.link]]);
    assert.equal(checked.checkAfterMs, 5000);
  });

  it('the static drops are there from the first moment, and a missing tool is a clear error', async () => {
    const missing = new PolicyProgrammer({
      run: async () => ({ status: undefined, stdout: '', stderr: 'spawn ipset ENOENT' }),
    });
    await assert.rejects(missing.start(), /iptables --version does not say which backend/);
    const { backend, warnings } = await lab.programmer().start();
    assert.equal(backend, 'nft');
    assert.deepEqual(warnings, []);
    const rules = lab.router.run('ip6tables-nft-save');
    assert.match(rules, /-A oci-from-wl-dispatch .*unknown workload link" -j DROP/);
    const other = await lab.programmer({ backend: 'legacy' }).start();
    assert.match(other.warnings.join(), /stand in the other iptables backend/);
  });
});
