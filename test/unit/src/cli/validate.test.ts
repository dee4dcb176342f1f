import assert from 'node:assert/strict';
import { answerLine, runSelectorLines } from '../../../../src/cli/selector.ts';
import { runValidate, validateInputs } from '../../../../src/cli/validate.ts';

const pool = (name: string, cidr: string): string =>
  `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: ${name}\nspec:\n  cidr: ${cidr}\n`;

function terminal(): { out: string; err: string; terminal: Parameters<typeof runValidate>[2] } {
  const sink = {
    out: '',
    err: '',
    terminal: {
      out: (text: string): void => {
        sink.out += text;
      },
      err: (text: string): void => {
        sink.err += text;
      },
      colour: false,
      now: () => 0,
    },
  };
  return sink;
}

describe('ocicat validate', () => {
  it('gives one entry a document, in order, and 1 when any is invalid', () => {
    const sink = terminal();
    const text = `${pool('good', '10.0.0.0/24')}---\n${pool('bad', '10.0.0.1/24')}`;
    assert.equal(runValidate([{ file: 'f.yaml', text }], 'json', sink.terminal), 1);
    assert.deepEqual(JSON.parse(sink.out), [
      { document: 1, kind: 'IPPool', name: 'good', valid: true, errors: [] },
      {
        document: 2,
        kind: 'IPPool',
        name: 'bad',
        valid: false,
        errors: [{ path: 'spec.cidr', reason: '"10.0.0.1/24" has host bits set; did you mean 10.0.0.0/24?' }],
      },
    ]);
    assert.equal(sink.err, '');
  });

  it('prints a table that names file, document, path and reason', () => {
    const sink = terminal();
    assert.equal(runValidate([{ file: 'f.yaml', text: pool('bad', 'x') }], 'table', sink.terminal), 1);
    assert.match(sink.out, /f\.yaml +1 +IPPool +bad +invalid +spec\.cidr +"x" is not a CIDR/);
  });

  it('counts documents over all files, and returns 0 when all are valid', () => {
    const inputs = [
      { file: 'a', text: `${pool('a', '10.0.0.0/24')}---\n${pool('b', '10.0.1.0/24')}` },
      { file: 'b', text: pool('c', '10.0.2.0/24') },
    ];
    assert.deepEqual(
      validateInputs(inputs).entries.map((entry) => entry.document),
      [1, 2, 3],
    );
    assert.equal(runValidate(inputs, 'json', terminal().terminal), 0);
  });

  it('gives 2 when there is nothing to validate', () => {
    assert.equal(runValidate([{ file: 'f', text: '# nothing\n' }], 'json', terminal().terminal), 2);
  });

  it('leaves valid what only this version cannot do, and says so', () => {
    const sink = terminal();
    const text = '{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n}, spec: {wireguard: {}}}';
    assert.equal(runValidate([{ file: 'f', text }], 'table', sink.terminal), 0);
    assert.match(sink.err, /would refuse this: f: document 1 \(Node\): spec\.wireguard/);
  });
});

describe('ocicat validate of kinds that come later', () => {
  it('gives the verdict of Calico where it can, and says that nothing is done with them', () => {
    const kind = (name: string, spec: string): string =>
      `{apiVersion: projectcalico.org/v3, kind: ${name}, metadata: {name: x}, spec: ${spec}}`;
    const sink = terminal();
    const text = [kind('Tier', '{order: 1}'), kind('Tier', '{order: x}'), kind('FelixConfiguration', '{}')];
    assert.equal(runValidate([{ file: 'f', text: text.join('\n---\n') }], 'json', sink.terminal), 1);
    const entries: unknown = JSON.parse(sink.out);
    assert(Array.isArray(entries));
    assert.deepEqual(
      entries.map((entry: { valid: boolean }) => entry.valid),
      [true, false, false],
    );
    assert.match(sink.err, /document 1: this version does not carry out Tier/);
  });
});

describe('ocicat selector --jsonl', () => {
  it('answers each line in order and goes on after a bad one', async () => {
    async function* input(): AsyncGenerator<Uint8Array> {
      const text = [
        '{"id":"a","selector":"x == \'é\'","labels":{"x":"é"}}',
        'not json',
        '{"id":3,"selector":"x ==","labels":{}}',
        '',
        '{"id":null,"labels":null}',
        '[1]',
        '{"id":6,"selector":"","labels":{"a":1}}',
      ].join('\n');
      // Cut inside a multi-octet character.
      const bytes = new TextEncoder().encode(text);
      for (const octet of bytes) yield Uint8Array.of(octet);
    }
    let out = '';
    const count = await runSelectorLines(input(), (text) => {
      out += text;
    });
    const answers = out
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    assert.equal(count, 6);
    assert.deepEqual(answers[0], { id: 'a', match: true, canonical: 'x == "é"' });
    assert.match(JSON.stringify(answers[1]), /"id":null,"error":"not JSON/);
    assert.match(JSON.stringify(answers[2]), /"id":3,"error":"expected a quoted string/);
    assert.deepEqual(answers[3], { id: null, match: true, canonical: 'all()' });
    assert.match(JSON.stringify(answers[4]), /expected an object/);
    assert.match(JSON.stringify(answers[5]), /"id":6,"error":"labels/);
  });

  it('sees labels named like properties of every object only when they are given', () => {
    assert.deepEqual(answerLine('{"id":1,"selector":"has(constructor)","labels":{}}'), {
      id: 1,
      match: false,
      canonical: 'has(constructor)',
    });
    assert.deepEqual(answerLine('{"id":1,"selector":"has(__proto__)","labels":{"__proto__":"x"}}'), {
      id: 1,
      match: true,
      canonical: 'has(__proto__)',
    });
  });
});
