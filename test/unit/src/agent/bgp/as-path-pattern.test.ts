/** AS path patterns: the habits of FRR and BIRD, errors, and time in proportion. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseAsPathPattern } from '../../../../../src/agent/bgp/as-path-pattern.ts';

function matches(pattern: string, path: string): boolean {
  const parsed = parseAsPathPattern(pattern);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error);
  return parsed.matches(path);
}

const CASES: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
  ['^$', [''], ['65001']],
  ['', ['', '65001'], []],
  [
    '_65001_',
    ['65001', '1 65001', '65001 2', '1 65001 2', '1 {65001,7}', '(65001) 2'],
    ['650011', '165001', ''],
  ],
  ['^65001_', ['65001', '65001 7'], ['7 65001', '650012']],
  ['_65001$', ['65001', '7 65001'], ['65001 7', '765001']],
  ['_65001_65002_', ['65001 65002', '1 65001 65002 3'], ['65001 1 65002']],
  ['^65001( [0-9]+)*$', ['65001', '65001 1 2'], ['65001 {1,2}', '1']],
  ['^[0-9]+$', ['65001'], ['65001 65002', '']],
  ['^(65001|65002)_', ['65001 1', '65002'], ['65003 65001']],
  ['^65001|65002$', ['65001 3', '3 65002'], ['3 65001 3']],
  ['6500[1-3]', ['1 65002'], ['65004']],
  ['^[^6]', ['7 6'], ['65001']],
  ['1.?3', ['13', '1 3'], ['1 23']],
  ['\\{1,2\\}', ['3 {1,2}'], ['3 1,2']],
  ['{1,2}', ['3 {1,2}'], ['1 2']],
  ['^(_)*65001', ['65001'], ['1 65001']],
  ['[]]', ['[1,2]'], ['1']],
  ['[= 65001 * =]', ['65001', '65001 1 {2,3}'], ['1 65001', '']],
  ['[= * 65001 * =]', ['65001', '1 65001 2'], ['650011', '']],
  ['[= ? ? =]', ['1 2'], ['1', '1 2 3']],
  ['[= 65001+ 1 =]', ['65001 65001 1', '65001 1'], ['1', '65001 2 1']],
  ['[= [1, 5..7] 64512..65534 =]', ['6 64600', '1 65534'], ['4 64600', '1 65535']],
  ['[= =]', [''], ['1']],
];

describe('src/agent/bgp/as-path-pattern', () => {
  for (const [pattern, yes, no] of CASES) {
    it(`"${pattern}"`, () => {
      for (const path of yes) assert.ok(matches(pattern, path), `"${path}" should match`);
      for (const path of no) assert.ok(!matches(pattern, path), `"${path}" should not match`);
    });
  }

  for (const [pattern, error] of [
    ['(1', /"\(" without "\)"/],
    ['1)', /"\)" without "\("/],
    ['[1', /"\[" without "\]"/],
    ['[2-1]', /empty/],
    ['*', /without anything before it/],
    ['1\\', /at the end/],
    ['('.repeat(100), /50 parentheses/],
    ['1'.repeat(513), /longer than 512/],
    ['[= x =]', /"x" is no AS number/],
    ['[= + =]', /without anything before it/],
  ] as const) {
    it(`refuses "${pattern.slice(0, 20)}"`, () => {
      const parsed = parseAsPathPattern(pattern);
      assert.ok(!parsed.ok);
      assert.match(parsed.error, error);
    });
  }

  it('agrees with the language on what both know', () => {
    const piece = fc.constantFrom(
      '1',
      '2',
      ' ',
      '.',
      '[12]',
      '[^1]',
      '(1|2)',
      '(1 )',
      '1*',
      '2+',
      ' ?',
      '(12?)*',
      '^',
      '$',
      '|',
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }),
        fc.array(fc.constantFrom('1', '2', '12', '21'), { maxLength: 4 }),
        (pieces, numbers) => {
          const pattern = pieces.join('');
          const path = numbers.join(' ');
          assert.equal(matches(pattern, path), new RegExp(pattern).test(path), `${pattern} on "${path}"`);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('patterns that ruin others take steps in proportion', () => {
    const path = `${'1 '.repeat(2000)}2`;
    for (const pattern of [
      '^(1 ?)*$',
      '((1 )*)*$ ',
      '^(([0-9]+ ?)+)+x$',
      `${'(1 )?'.repeat(60)}${'1 '.repeat(60)}x`,
    ]) {
      assert.equal(matches(pattern, path), false);
    }
  });
});
