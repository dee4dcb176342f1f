import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentUnreachable, ApiClient } from '../../../../src/api/client.ts';
import { ApiError, problem } from '../../../../src/api/problem.ts';
import { ApiServer } from '../../../../src/api/server.ts';

describe('src/api', () => {
  let folder: string;
  let server: ApiServer;
  let client: ApiClient;
  const internal: unknown[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-api-'));
    server = new ApiServer(
      {
        'GET /v1/thing/:name': ({ params, query }) => ({ json: { name: params['name'], q: query.get('q') } }),
        'POST /v1/echo': ({ body }) => ({ json: body }),
        'GET /v1/many': () => ({ rows: Array.from({ length: 2000 }, (_, index) => ({ index })) }),
        'GET /v1/bad': () => {
          throw problem('invalid', 'no good', { hint: 'do better', details: [{ reason: 'because' }] });
        },
        'GET /v1/crash': () => {
          throw new Error('boom');
        },
      },
      (error) => internal.push(error),
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
