import assert from 'node:assert/strict';
import fc from 'fast-check';
import { editChain, placeJumps, type RestoreLine } from '../../../../fib/iptables/delta.ts';
import { restoreFailure } from '../../../../fib/iptables/restore-error.ts';
import { parseSave } from '../../../../fib/iptables/save.ts';
import { type RenderedRule, renderRules } from '../../../../fib/rules/rendered.ts';

/** Does to a list of rules what iptables-restore does. */
function play(rules: readonly string[], lines: readonly RestoreLine[]): string[] {
  let result = [...rules];
  for (const { text } of lines) {
    const [, verb = '', position, rest = ''] = /^(:|-[ARID])\s?c(?: (\d+))?(?: (.*))?$/.exec(text) ?? [];
    const at = Number(position) - 1;
    if (verb === '-R' || verb === '-D') assert.ok(at < result.length, text);
    if (verb === '-I') assert.ok(at <= result.length, text);
    if (verb === ':') result = [];
    else if (verb === '-A') result.push(rest);
    else if (verb === '-R') result[at] = rest;
    else if (verb === '-I') result.splice(at, 0, rest);
    else if (verb === '-D') result.splice(at, 1);
    else assert.fail(text);
  }
  return result;
}

const rule = (id: number): RenderedRule => ({ hash: `h${id}`, text: `rule ${id}` });
const ids = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 90 });

describe('iptables delta', () => {
  it('edits lead from any chain to any other, and what is equal at both ends is not touched', () => {
    fc.assert(
      fc.property(ids, ids, ids, ids, (head, oldMiddle, newMiddle, tail) => {
        const current = [...head, ...oldMiddle, ...tail];
        const desired = [...head, ...newMiddle, ...tail].map(rule);
        const lines = editChain(
          'c',
          current.map((id) => `h${id}`),
          desired,
        );
        assert.deepEqual(
          play(
            current.map((id) => `rule ${id}`),
            lines,
          ),
          desired.map(({ text }) => text),
        );
        if (oldMiddle.length + newMiddle.length <= 64) {
          assert.ok(lines.length <= Math.max(oldMiddle.length, newMiddle.length));
        }
      }),
    );
    assert.deepEqual(editChain('c', ['h1', 'h2'], [rule(1), rule(2)]), []);
    // A rule by someone else has no hash.
    assert.deepEqual(
      editChain('c', ['h1', '', 'h2'], [rule(1), rule(2)]).map(({ text }) => text),
      ['-D c 2'],
    );
  });

  it('jumps: placed at the top, moved there, and doubles and leftovers removed by content', () => {
    const [wanted] = renderRules('FORWARD', [{ matches: [], target: '-j oci-FORWARD' }]);
    assert.ok(wanted);
    const jumps = [{ builtin: 'FORWARD', rule: wanted }];
    const at = (position: number, hash = wanted.hash) => ({ hash, position, text: `T${position}` });
    const texts = (...found: ReturnType<typeof at>[]) =>
      placeJumps(jumps, new Map([['FORWARD', found]])).map(({ text }) => text);
    const insert = `-I FORWARD 1 ${wanted.text}`;
    assert.deepEqual(texts(at(1)), []);
    assert.deepEqual(texts(), [insert]);
    assert.deepEqual(texts(at(2)), ['-D FORWARD T2', insert]);
    assert.deepEqual(texts(at(1), at(3)), ['-D FORWARD T1', '-D FORWARD T3', insert]);
    assert.deepEqual(texts(at(1, 'old')), ['-D FORWARD T1', insert]);
    assert.deepEqual(
      placeJumps([], new Map([['INPUT', [at(4)]]])).map(({ text }) => text),
      ['-D INPUT T4'],
    );
  });
});

describe('iptables-save output', () => {
  it('is read for our chains and jumps only, whatever else it says', () => {
    const output = `# Generated
*nat
:oci-OTHER - [0:0]
-A oci-OTHER -j DROP
COMMIT
# Warning: something odd
*filter
:FORWARD DROP [5:400]
:DOCKER - [0:0]
:oci-FORWARD - [0:0]
:oci-x - [0:0]
what is this?
-A FORWARD -m comment --comment "not oci:abcdefghijklmnop of ours" -j DOCKER
-A FORWARD -m comment --comment "oci:0123456789abcdef" -j oci-FORWARD
-A DOCKER -m comment --comment "say \\"oci:\\" \\" twice" -j RETURN
-A oci-x -i oci+ -m comment --comment oci:ABCDEFGHIJKLM_-0 -m comment --comment "gnp/x 0" -j DROP
-A oci-x -j ACCEPT
COMMIT
`;
    const saved = parseSave(output, 'filter');
    assert.deepEqual(
      [...saved.chains],
      [
        ['oci-FORWARD', []],
        ['oci-x', ['ABCDEFGHIJKLM_-0', '']],
      ],
    );
    assert.deepEqual([...saved.builtins.keys()], ['FORWARD']);
    assert.deepEqual(
      saved.builtins.get('FORWARD')?.map(({ hash, position }) => [hash, position]),
      [['0123456789abcdef', 2]],
    );
    assert.equal(saved.ruleCount, 3);
  });

  it('any text is read without a throw', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom('*filter', ':oci-a - [0:0]', '-A oci-a', '-A', ':', '-A X ', '', 'COMMIT', '"'),
        ),
        (lines) => {
          parseSave(lines.join('\n'), 'filter');
        },
      ),
    );
  });
});

describe('iptables-restore refusals', () => {
  const lines: RestoreLine[] = [
    { chain: 'a', text: ':a - [0:0]' },
    { chain: 'b', text: '-A b -j nope' },
  ];
  const cases: readonly [number, string, object][] = [
    [4, 'Another app is currently holding the xtables lock. Stopped waiting after 1s.', { kind: 'busy' }],
    [
      2,
      "iptables-restore v1.8.9 (nf_tables): Set nope doesn't exist.\n\nError occurred at line: 3\nTry `x -h'",
      { kind: 'line', chain: 'b' },
    ],
    [1, 'iptables-restore: line 2 failed: No chain', { kind: 'line', chain: 'a' }],
    [1, 'iptables-restore: line 4 failed', { kind: 'other' }],
    [127, 'not found', { kind: 'other' }],
  ];
  for (const [status, stderr, expected] of cases) {
    it(stderr.split('\n')[0] ?? '', () => {
      const failure = restoreFailure({ linesBefore: 0, status, stdout: '', stderr }, lines);
      const chain = failure.kind === 'line' ? { chain: failure.line.chain } : {};
      assert.deepEqual({ kind: failure.kind, ...chain }, expected);
      if (failure.kind === 'line') assert.ok(failure.reason.endsWith(failure.line.text));
    });
  }
});
