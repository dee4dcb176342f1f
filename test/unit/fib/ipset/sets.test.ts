import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { CommandRunner } from '../../../../fib/command.ts';
import { ipsetTool } from '../../../../fib/ipset/commands.ts';
import { KernelSets } from '../../../../fib/ipset/kernel-sets.ts';
import { canonicalEntry, MemberSet, memberFamily } from '../../../../fib/ipset/members.ts';
import { parseIpsetSave } from '../../../../fib/ipset/save.ts';

const MEMBERS = ['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '10.0.0.1/32', '10.0.0.0/8'];

/** What the kernel must hold for the members. */
function entriesOf(members: Iterable<string>): string[] {
  const entries = new Set<string>();
  for (const member of members) {
    if (member === '0.0.0.0/0') entries.add('0.0.0.0/1').add('128.0.0.0/1');
    else entries.add(member.replace('/32', ''));
  }
  return [...entries].sort();
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('upsert' as const), members: fc.uniqueArray(fc.constantFrom(...MEMBERS)) }),
  fc.record({
    kind: fc.constant('change' as const),
    added: fc.uniqueArray(fc.constantFrom(...MEMBERS)),
    removed: fc.uniqueArray(fc.constantFrom(...MEMBERS)),
  }),
  fc.record({ kind: fc.constant('apply' as const) }),
);

describe('set members', () => {
  it('everything is two halves, which may be members of their own', () => {
    const set = new MemberSet('ipv6', 'net', ['::/0', '::/1', 'fd00::1/128']);
    assert.deepEqual([...set].sort(), ['8000::/1', '::/1', 'fd00::1']);
    assert.equal(set.size, 3);
    assert.deepEqual(set.change('remove', 'net', '::/1'), []);
    assert.deepEqual(set.change('add', 'net', '::/1'), []);
    assert.deepEqual(set.change('remove', 'net', '::/0'), ['8000::/1']);
    assert.deepEqual(set.change('remove', 'net', '::/1'), ['::/1']);
    assert.deepEqual([...set], ['fd00::1']);
  });

  it('the family is told by the address, and printed entries are recognised', () => {
    assert.equal(memberFamily('10.0.0.1,tcp:80'), 'ipv4');
    assert.equal(memberFamily('fd00::1,tcp:80'), 'ipv6');
    assert.equal(memberFamily('::/0'), 'ipv6');
    assert.equal(canonicalEntry('ipv6', '::ffff:1.2.3.4'), '::ffff:102:304');
    assert.equal(canonicalEntry('ipv6', '2001:db8::/32'), '2001:db8::/32');
    assert.equal(canonicalEntry('ipv4', '10.0.0.1,ocix'), '10.0.0.1,ocix');
    assert.equal(canonicalEntry('ipv4', 'what?'), 'what?');
  });

  it('deltas lead to the same kernel set as the whole, whatever happened in between', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const kernel = new Map<string, Set<string>>();
        const run: CommandRunner = async (_command, args, input = '') => {
          if (args[0] === 'restore') {
            for (const line of input.trim().split('\n')) {
              const [verb, name = '', entry = ''] = line.split(' ');
              if (verb === 'create') kernel.set(name, new Set());
              else if (verb === 'add') kernel.get(name)?.add(entry);
              else if (verb === 'del') assert.ok(kernel.get(name)?.delete(entry), `${line}: was not there`);
              else assert.fail(line);
            }
          }
          return { status: 0, stdout: '', stderr: '' };
        };
        const sets = new KernelSets({ driver: ipsetTool(run) });
        const model = new Set<string>();
        sets.upsert('oci4-s', 'ipv4', 'net', []);
        for (const action of steps) {
          if (action.kind === 'apply') {
            assert.deepEqual(await sets.apply('full'), []);
            assert.ok(sets.isProgrammed('oci4-s'));
            assert.deepEqual([...(kernel.get('oci4-s') ?? [])].sort(), entriesOf(model));
          } else if (action.kind === 'upsert') {
            model.clear();
            for (const member of action.members) model.add(member);
            sets.upsert('oci4-s', 'ipv4', 'net', action.members);
          } else {
            for (const member of action.removed) model.delete(member);
            for (const member of action.added) model.add(member);
            sets.change('oci4-s', action.added, action.removed);
          }
        }
        await sets.apply('full');
        assert.deepEqual([...(kernel.get('oci4-s') ?? [])].sort(), entriesOf(model));
      }),
    );
  });
});

describe('ipset save output', () => {
  it('is read for our sets only', () => {
    const sets = parseIpsetSave(
      'create theirs hash:net family inet hashsize 1024 maxelem 5\nadd theirs 10.0.0.0/8\n' +
        'create oci6-a:port hash:ip,port family inet6 hashsize 64 maxelem 77 bucketsize 12 initval 0x1\n' +
        'add oci6-a:port fd00::1,tcp:80 timeout 0\nadd oci4-gone 1.2.3.4\nnonsense\n',
    );
    assert.deepEqual(
      [...sets],
      [
        [
          'oci6-a:port',
          { type: 'hash:ip,port', family: 'inet6', maxElem: 77, entries: new Set(['fd00::1,tcp:80']) },
        ],
      ],
    );
  });
});
