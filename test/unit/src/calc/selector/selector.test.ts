import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatNode,
  makeSelector,
  type SelectorNode,
  selectorId,
  sortedValues,
} from '../../../../../src/calc/selector/ast.ts';
import { matches, restrictions } from '../../../../../src/calc/selector/evaluate.ts';
import { parseSelector } from '../../../../../src/calc/selector/parse.ts';

function canonical(text: string): string {
  const result = parseSelector(text);
  return result.ok ? result.selector.canonical : `error: ${result.error}`;
}

function evaluate(text: string, labels: Record<string, string>): boolean {
  const result = parseSelector(text);
  assert(result.ok, text);
  return matches(result.selector.root, new Map(Object.entries(labels)));
}

describe('selector: canonical form', () => {
  const table: readonly [string, string][] = [
    ['', 'all()'],
    ['  \t', 'all()'],
    ['all( )', 'all()'],
    ['global()', 'global()'],
    ['has( a/b.c-d_e )', 'has(a/b.c-d_e)'],
    ["a=='b'", 'a == "b"'],
    ['a != "b"', 'a != "b"'],
    [`a == 'say "hi"'`, `a == 'say "hi"'`],
    ['a in{"b","a",\'b\',}', 'a in {"a", "b"}'],
    ['a in {}', 'a in {}'],
    ['a notin {"x"}', 'a not in {"x"}'],
    ['a not\tin {"x"}', 'a not in {"x"}'],
    ['a contains"x"', 'a contains "x"'],
    ['a startswith "x"', 'a starts with "x"'],
    ['a starts  with "x"', 'a starts with "x"'],
    ['a endswith "x"', 'a ends with "x"'],
    ['!a == "b"', '!a == "b"'],
    ['!!has(a)', 'has(a)'],
    ['!!!has(a)', '!has(a)'],
    ['((a == "b"))', 'a == "b"'],
    ['a == "1" && b == "2" || has(c)', '((a == "1" && b == "2") || has(c))'],
    ['(has(a) || has(b)) && !(has(c) && has(d))', '((has(a) || has(b)) && !(has(c) && has(d)))'],
    ['in in {"in"}', 'in in {"in"}'],
    ['has == "x"', 'has == "x"'],
    // Octets, not UTF-16 units, order the values.
    ['a in {"\u{1F600}", "\uE000"}', 'a in {"\uE000", "\u{1F600}"}'],
  ];
  for (const [text, expected] of table)
    it(JSON.stringify(text), () => assert.equal(canonical(text), expected));

  it('has the id that Calico computes', () => {
    assert.equal(selectorId('all()'), 's:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug');
  });
});

describe('selector: errors say where', () => {
  const table: readonly [string, RegExp][] = [
    ['a', /expected an operator after label "a", found end of the selector \(at character 2\)/],
    ['a = "b"', /expected == \(at character 3\)/],
    ['a == b', /expected a quoted string after ==, found label "b" \(at character 6\)/],
    ['a == "b', /unterminated string/],
    ['a & b', /expected &&/],
    ['a == "b" | c', /expected \|\|/],
    ['a == "b" c', /unexpected label "c" after the end/],
    ['(a == "b"', /expected \) before end of the selector/],
    ['a in "b"', /expected a set/],
    ['a in {"b" "c"}', /expected }, found string "c"/],
    ['a in {,}', /expected }/],
    ['has (a)', /expected an operator after label "has"/],
    ['has(a', /no closing '\)' after has\(/],
    ['has()', /expected a label/],
    ['!', /expected a condition, found end/],
    ['a == "b"\n', /expected a label or operator, found "\\n"/],
    ['a is "b"', /expected an operator after label "a"/],
    [`${'a'.repeat(513)} == "b"`, /label too long/],
    ['('.repeat(5000), /nested parentheses/],
  ];
  for (const [text, expected] of table) {
    it(JSON.stringify(text.slice(0, 30)), () => assert.match(canonical(text), expected));
  }
});

describe('selector: evaluation', () => {
  const labels = { app: 'web-front', tier: '', env: 'prod' };
  const table: readonly [string, boolean][] = [
    ['app == "web-front"', true],
    ['tier == ""', true],
    ['has(tier)', true],
    ['has(toString)', false],
    ['missing != "x"', true],
    ['missing not in {"x"}', true],
    ['missing == ""', false],
    ['missing in {""}', false],
    ['missing contains ""', false],
    ['app contains "-"', true],
    ['app starts with "web"', true],
    ['app ends with "web"', false],
    ['!has(app) || env in {"dev", "prod"}', true],
    ['has(app) && !(env == "prod")', false],
    ['global()', true],
    ['!all()', false],
  ];
  for (const [text, expected] of table) it(text, () => assert.equal(evaluate(text, labels), expected));
});

describe('selector: properties', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'in', 'x.y/z');
  const value = fc.constantFrom('', 'x', 'xy', 'y z', 'say "hi"', 'é');
  const { node } = fc.letrec<{ node: SelectorNode }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom<SelectorNode>({ op: 'all' }, { op: 'global' }),
      key.map((each): SelectorNode => ({ op: 'has', key: each })),
      fc
        .tuple(
          fc.constantFrom(
            '==' as const,
            '!=' as const,
            'contains' as const,
            'starts with' as const,
            'ends with' as const,
          ),
          key,
          value,
        )
        .map(([op, label, text]): SelectorNode => ({ op, key: label, value: text })),
      fc
        .tuple(fc.constantFrom('in' as const, 'not in' as const), key, fc.array(value, { maxLength: 3 }))
        .map(([op, label, texts]): SelectorNode => ({ op, key: label, values: sortedValues(texts) })),
      tie('node').map((operand): SelectorNode => (operand.op === 'not' ? operand : { op: 'not', operand })),
      fc
        .tuple(
          fc.constantFrom('and' as const, 'or' as const),
          fc.array(tie('node'), { minLength: 2, maxLength: 3 }),
        )
        .map(([op, operands]): SelectorNode => ({ op, operands })),
    ),
  }));
  const labels = fc.dictionary(key, value).map((each) => new Map(Object.entries(each)));

  it('the canonical text reads back as the same tree', () => {
    fc.assert(
      fc.property(node, (tree) => {
        const result = parseSelector(formatNode(tree));
        assert(result.ok);
        assert.deepEqual(result.selector, makeSelector(tree));
      }),
    );
  });

  it('restrictions are necessary for a match', () => {
    fc.assert(
      fc.property(node, labels, (tree, map) => {
        if (!matches(tree, map)) return;
        for (const [label, demand] of restrictions(tree)) {
          const has = map.get(label);
          assert(!demand.present || has !== undefined);
          assert(!demand.absent || has === undefined);
          assert(demand.values === undefined || demand.values.includes(has ?? ''));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('no text throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        parseSelector(text);
      }),
      { numRuns: 1000 },
    );
  });
});
