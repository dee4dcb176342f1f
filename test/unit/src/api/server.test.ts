import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentUnreachable, ApiClient } from '../../../../src/api/client.ts';
import { ApiError, problem } from '../../../../src/api/problem.ts';
import { ApiServer } from '../../../../src/api/server.ts';
import { eventually } from '../../../support/eventually.ts';

const PIECES = 40;
/** more than what goes out at once */
const LONG_PIECE = 'x'.repeat(300_000);

describe('src/api', () => {
  let folder: string;
  let server: ApiServer;
  let client: ApiClient;
  const internal: unknown[] = [];
  /** what `longAnswer` has come to: turns of the event loop while it was asked for, and whether it was asked to the end, or left */
  let turns = 0;
  let pieces = 0;
  let isOver = false;
  let waits = 0;

  function* longAnswer(): Generator<string> {
    let isCounting = true;
    const count = (): void => {
      turns++;
      if (isCounting) setImmediate(count);
    };
    setImmediate(count);
    try {
      for (pieces = 0; pieces < PIECES; pieces++) yield `${pieces === 0 ? '[' : ','}"${LONG_PIECE}"`;
      yield ']';
    } finally {
      isCounting = false;
      isOver = true;
    }
  }

  /** An answer of which nothing is known for three turns of the event loop, however long those take; it gives up after some seconds without. */
  function* late(isFailing: boolean): Generator<string> {
    const until = performance.now() + 5000;
    const enough = turns + 3;
    let isCounting = true;
    const count = (): void => {
      turns++;
      if (isCounting) setImmediate(count);
    };
    setImmediate(count);
    while (turns < enough && performance.now() < until) yield '';
    isCounting = false;
    if (isFailing) throw problem('unavailable', 'out of words');
    yield '"at last"';
  }

  function* failing(at: number): Generator<string> {
    for (let piece = 0; piece < PIECES; piece++) {
      if (piece === at) throw problem('unavailable', 'out of words');
      yield LONG_PIECE;
    }
  }

  beforeEach(() => {
    turns = 0;
    isOver = false;
    waits = 0;
    internal.length = 0;
  });
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-api-'));
    server = new ApiServer(
      {
        'GET /v1/thing/:name': ({ params, query }) => ({ json: { name: params['name'], q: query.get('q') } }),
        'POST /v1/echo': ({ body }) => ({ json: body }),
        'GET /v1/many': () => ({ rows: Array.from({ length: 2000 }, (_, index) => ({ index })) }),
        'GET /v1/short': () => ({ jsonPieces: ['{"a":', '[1,', '"é"', ']}'] }),
        'GET /v1/long': () => ({ jsonPieces: longAnswer() }),
        'GET /v1/fails-at-once': () => ({ jsonPieces: failing(0) }),
        'GET /v1/fails-later': () => ({ jsonPieces: failing(PIECES - 1) }),
        'GET /v1/late': () => ({ jsonPieces: late(false) }),
        'GET /v1/fails-late': () => ({ jsonPieces: late(true) }),
        'GET /v1/bad': () => {
          throw problem('invalid', 'no good', { hint: 'do better', details: [{ reason: 'because' }] });
        },
        'GET /v1/crash': () => {
          throw new Error('boom');
        },
      },
      (error) => internal.push(error),
      undefined,
      () => waits++,
    );
    await server.listen(join(folder, 'sub', 'api.sock'));
    client = new ApiClient(join(folder, 'sub', 'api.sock'));
  });
  after(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  it('serves only its owner', () => {
    assert.equal(statSync(join(folder, 'sub', 'api.sock')).mode & 0o777, 0o600);
  });

  it('decodes path parameters and the query', async () => {
    assert.deepEqual(await client.call('GET', '/v1/thing/a%2Fb?q=1'), { name: 'a/b', q: '1' });
  });

  it('takes and gives JSON', async () => {
    assert.deepEqual(await client.call('POST', '/v1/echo', { a: [1, 'é'] }), { a: [1, 'é'] });
  });

  it('streams rows', async () => {
    let next = 0;
    for await (const row of client.rows<{ index: number }>('/v1/many')) assert.equal(row.index, next++);
    assert.equal(next, 2000);
  });

  it('puts pieces together', async () => {
    assert.deepEqual(await client.call('GET', '/v1/short'), { a: [1, 'é'] });
  });

  it('gives the event loop back between the pieces of a long answer', async () => {
    const answer = await client.call<string[]>('GET', '/v1/long');
    assert.equal(answer.length, PIECES);
    assert.ok(answer.every((piece) => piece === LONG_PIECE));
    assert.ok(isOver);
    assert.ok(turns >= PIECES - 1, `${turns} turns`);
  });

  it('tells whenever another turn of the event loop is needed: for a new client, its question, and each piece', async () => {
    await client.call('GET', '/v1/short');
    assert.equal(waits, 2);
    await client.call('GET', '/v1/long');
    assert.ok(waits >= 2 + 2 + PIECES - 1, String(waits));
  });

  it('gives the event loop back while nothing of an answer is known, and can still say that it failed', async () => {
    assert.equal(await client.call('GET', '/v1/late'), 'at last');
    assert.ok(turns >= 3, `${turns} turns`);
    assert.ok(waits >= 2 + 2, `${waits} waits`);
    await assert.rejects(client.call('GET', '/v1/fails-late'), /out of words/);
    assert.deepEqual(internal, []);
  });

  it('makes no more of an answer than its client reads', async () => {
    const request = httpRequest({ socketPath: client.socketPath, agent: false, path: '/v1/long' });
    const response = await new Promise<IncomingMessage>((resolve) => request.once('response', resolve).end());
    response.pause();
    await eventually('nothing more fits', async () => {
      const before = pieces;
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      return before === pieces;
    });
    assert.ok(pieces < PIECES, `${pieces} pieces`);
    assert.ok(!isOver);
    request.destroy();
    await eventually('left when the client has gone', () => isOver);
    assert.ok(pieces < PIECES);
    assert.deepEqual(internal, []);
  });

  it('an answer in pieces that fails: a problem while nothing of it is out, broken off later', async () => {
    await assert.rejects(client.call('GET', '/v1/fails-at-once'), /out of words/);
    await assert.rejects(client.call('GET', '/v1/fails-later'), /aborted|socket hang up|broke off/);
    assert.deepEqual(internal, []);
  });

  it('answers a problem with its code, hint and details', async () => {
    await assert.rejects(client.call('GET', '/v1/bad'), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual(error.problem, {
        code: 'invalid',
        message: 'no good',
        hint: 'do better',
        details: [{ reason: 'because' }],
      });
      return true;
    });
  });

  it('answers a fault of its own, and reports it', async () => {
    await assert.rejects(client.call('GET', '/v1/crash'), /boom/);
    assert.equal(internal.length, 1);
  });

  it('says which path it does not have', async () => {
    await assert.rejects(client.call('GET', '/v1/none'), /no GET \/v1\/none/);
  });

  it('does not take a live socket over', async () => {
    const second = new ApiServer({}, () => {});
    await assert.rejects(second.listen(join(folder, 'sub', 'api.sock')), /served by another process/);
  });

  it('says when no agent answers', async () => {
    await assert.rejects(
      new ApiClient(join(folder, 'absent.sock')).call('GET', '/v1/status'),
      AgentUnreachable,
    );
  });
});
