/** `ocicat bgp decode`: lines in, lines out, and the form for people. */
import assert from 'node:assert/strict';
import { answerDecodeLine, runDecode, runDecodeLines } from '../../../../src/cli/bgp-decode.ts';
import { CommandFailure } from '../../../../src/cli/context.ts';

const HEADER = 'ff'.repeat(16);
/** 203.0.113.0/24 from AS 65001 by 192.0.2.1 */
const UPDATE = `${HEADER}002f0200000014 40010100 40020602010000fde9 400304c0000201 18cb0071`.replaceAll(
  ' ',
  '',
);

function answer(input: unknown): unknown {
  return answerDecodeLine(JSON.stringify(input));
}

async function* chunks(...parts: string[]): AsyncGenerator<string> {
  yield* parts;
}

function terminal() {
  const written: string[] = [];
  return {
    written,
    out: (text: string) => void written.push(text),
    err: () => undefined,
    colour: false,
    now: () => 0,
  };
}

describe('src/cli/bgp-decode', () => {
  it('answers a line with the verdict, defaults filled in', () => {
    assert.deepEqual(answer({ id: 7, hex: UPDATE }), {
      id: 7,
      verdict: 'valid',
      error: null,
      type: 'update',
      decoded: {
        announced: [{ prefix: '203.0.113.0/24', family: 'ipv4-unicast', nextHop: '192.0.2.1' }],
        withdrawn: [],
        attributes: {
          origin: 'igp',
          asPath: [{ type: 'sequence', asNumbers: [65001] }],
          nextHop: '192.0.2.1',
        },
      },
      why: '1 announced, 0 withdrawn',
    });
  });

  it('takes the context of a line', () => {
    const line = { id: 'x', hex: `${HEADER}001304`, ctx: { phase: 'opensent', peer: 'ibgp', more: 1 } };
    assert.deepEqual(answer(line), {
      id: 'x',
      verdict: 'session-reset',
      error: { code: 5, subcode: 1, data: '04' },
      type: 'keepalive',
      decoded: null,
      why: 'Finite State Machine Error/Receive Unexpected Message in OpenSent State (5/1): keepalive is not expected in this state',
    });
    const withPathId = UPDATE.replace('002f', '0033').replace(/18cb0071$/, '0000000518cb0071');
    const found = answer({ hex: withPathId, ctx: { addpath: ['ipv4-unicast'] } });
    assert.ok(JSON.stringify(found).includes('"pathId":5'), JSON.stringify(found));
    assert.ok(JSON.stringify(found).startsWith('{"id":null'));
  });

  for (const [name, line] of [
    ['no JSON', '{'],
    ['no object', '[1]'],
    ['null', 'null'],
    ['no hex', '{"id":1}'],
    ['empty hex', '{"id":1,"hex":""}'],
    ['odd hex', '{"id":1,"hex":"fff"}'],
    ['not hex', '{"id":1,"hex":"zz"}'],
    ['a wrong phase', '{"id":1,"hex":"ff","ctx":{"phase":"idle"}}'],
    ['a wrong AS', '{"id":1,"hex":"ff","ctx":{"localAs":-1}}'],
    ['a wrong family', '{"id":1,"hex":"ff","ctx":{"families":["ipx"]}}'],
    ['ctx that is no object', '{"id":1,"hex":"ff","ctx":7}'],
  ] as const) {
    it(`tells an input error: ${name}`, () => {
      const found = answerDecodeLine(line);
      assert.ok('inputError' in found && found.inputError !== '', JSON.stringify(found));
      assert.equal(found.id, line.includes('"id":1') ? 1 : null);
      assert.deepEqual(Object.keys(found), ['id', 'inputError']);
    });
  }

  it('answers every line of a stream in order, whatever the chunks, and goes on after a bad one', async () => {
    const text = `${JSON.stringify({ id: 1, hex: UPDATE })}\n\nnonsense\n${JSON.stringify({ id: 2, hex: `${HEADER}001304` })}`;
    for (const parts of [[text], [...text]]) {
      let out = '';
      const count = await runDecodeLines(chunks(...parts), (written) => {
        out += written;
      });
      const lines: unknown[] = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.equal(count, 3);
      assert.deepEqual(
        lines.map((line) =>
          typeof line === 'object' && line !== null && 'verdict' in line ? line.verdict : 'inputError',
        ),
        ['valid', 'inputError', 'valid'],
      );
    }
  });

  it('reads on only as fast as the answers are taken, and keeps no line that is too long', async () => {
    const line = `${JSON.stringify({ id: 1, hex: UPDATE })}\n`;
    let read = 0;
    async function* endless(): AsyncGenerator<string> {
      for (; read < 1000; read++) yield line;
    }
    let release = (): void => undefined;
    let written = 0;
    const done = runDecodeLines(endless(), () => {
      written++;
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    for (let taken = 1; taken <= 3; taken++) {
      await new Promise(setImmediate);
      assert.deepEqual([written, read], [taken, taken - 1]);
      release();
    }
    while (written < 1000) {
      await new Promise(setImmediate);
      release();
    }
    assert.equal(await done, 1000);

    const long = ['{"id":1,"hex":"', ...Array.from({ length: 3000 }, () => 'f'.repeat(1000)), '"}\n'];
    let out = '';
    await runDecodeLines(chunks(...long, line), (text) => {
      out += text;
    });
    const [first, second] = out.split('\n');
    assert.match(first ?? '', /^\{"id":null,"inputError":"the line is longer than 1048576 characters"\}$/);
    assert.match(second ?? '', /"verdict":"valid"/);
  });

  it('prints one message for people, from words or from the input', async () => {
    const first = terminal();
    await runDecode(first, [UPDATE.slice(0, 20), UPDATE.slice(20)], false);
    const second = terminal();
    await runDecode(second, [], false, chunks(UPDATE.slice(0, 5), `${UPDATE.slice(5)}\n`));
    assert.deepEqual(first.written, second.written);
    const text = first.written.join('');
    for (const part of ['UPDATE, 47 octets', 'valid', '203.0.113.0/24', '192.0.2.1', '65001']) {
      assert.ok(text.includes(part), `${part} in ${text}`);
    }
  });

  it('shows the NOTIFICATION that a bad message earns', async () => {
    const { written, ...rest } = terminal();
    await runDecode({ ...rest }, [`${HEADER}001309`], false);
    assert.ok(written.join('').includes('NOTIFICATION 1/3 data 09'), written.join(''));
  });

  it('refuses what is no hexadecimal text', async () => {
    await assert.rejects(runDecode(terminal(), ['xyz'], false), CommandFailure);
  });
});
