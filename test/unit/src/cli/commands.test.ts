/** The shipped command against an API server of the test's own: exit codes, output forms, texts of errors. No agent, no root. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { parse } from 'yaml';
import { problem } from '../../../../src/api/problem.ts';
import { type ApiRoutes, ApiServer } from '../../../../src/api/server.ts';
import type { EndpointView, FibRouteView } from '../../../../src/api/views.ts';
import { runCli } from '../../../support/agent.ts';
import type { CommandResult } from '../../../support/netns.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../support/temporary-folder.ts';

const ENDPOINT: EndpointView = {
  name: 'c1',
  namespace: 'default',
  interface: 'oci0123456789a',
  addresses: ['10.65.1.7', 'fd00:65:1::7'],
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  netns: '/run/netns/c1',
  state: 'up',
  labels: { app: 'web' },
  profiles: ['projectcalico-default-allow'],
  policies: [],
  published: [],
};

const ROUTE: FibRouteView = {
  prefix: '10.65.1.0/26',
  family: 'ipv4',
  kind: 'blackhole',
  source: 'block',
  state: 'installed',
  nextHops: [],
  kernel: 'blackhole',
  metric: 1024,
  table: 254,
};

describe('the command line', function () {
  this.timeout(30_000);
  let server: ApiServer;
  let socket: string;
  const asked: { readonly path: string; readonly body: unknown }[] = [];

  const routes: ApiRoutes = {
    'DELETE /v1/resources/:kind/:name': ({ params }) => {
      if (params['name'] === 'absent') throw problem('not-found', 'IPPool/absent does not exist');
      return { json: { kind: 'IPPool', name: params['name'], action: 'deleted' } };
    },
    'GET /v1/endpoints': () => ({ json: [ENDPOINT] }),
    'POST /v1/endpoints': ({ body }) => {
      asked.push({ path: '/v1/endpoints', body });
      return { json: ENDPOINT };
    },
    'GET /v1/routes': ({ query }) => {
      if (query.has('state')) asked.push({ path: '/v1/routes', body: query.getAll('state') });
      return { rows: query.get('prefix') === '203.0.113.1' || query.has('state') ? [] : [ROUTE, ROUTE] };
    },
    'POST /v1/routes/release': () => ({ json: { released: [{ family: 'ipv4', count: 199 }] } }),
    'POST /v1/routes/take': ({ body }) => {
      asked.push({ path: '/v1/routes/take', body });
      return { json: { prefix: '10.1.0.0/16', taken: ['static via 10.0.0.1 dev eth0 metric 1024'] } };
    },
    'POST /v1/apply': () => {
      throw problem('invalid', 'nothing was applied: one fault in the input', {
        details: [
          { file: 'a.yaml', document: 2, kind: 'IPPool', name: 'p', path: 'spec.cidr', reason: 'is no CIDR' },
        ],
        hint: 'See the manual.',
      });
    },
    'GET /v1/resources/:kind/:name': ({ params }) => {
      throw problem('not-found', `${params['kind']}/${params['name']} does not exist`);
    },
    'GET /v1/resources/:kind': () => {
      throw new Error('broken inside');
    },
  };

  before(async () => {
    socket = join(temporaryFolder(), 'api.sock');
    server = new ApiServer(routes, () => {});
    await server.listen(socket);
  });
  after(async () => {
    await server.close();
    removeTemporaryFolders();
  });

  const ocicat = (line: string, input?: string): Promise<CommandResult> =>
    runCli(line.split(' '), { socket, ...(input === undefined ? {} : { input }) });

  it('3 and a hint when no agent answers', async () => {
    for (const line of ['status', 'endpoints', 'bgp peers', 'get ippools', 'apply -f -']) {
      const { status, stdout, stderr } = await runCli(line.split(' '), {
        socket: '/nonexistent/api.sock',
        input: 'kind: IPPool',
      });
      assert.equal(status, 3, line);
      assert.equal(stdout, '');
      assert.match(stderr, /^ocicat: the agent does not answer on \/nonexistent\/api\.sock/);
      assert.match(stderr, /Start it with "ocicat agent"/);
    }
    assert.equal((await runCli(['--socket', '/nonexistent/x', 'endpoints'], { socket })).status, 3);
  });

  it('2 for what it does not understand', async () => {
    for (const [line, text] of [
      ['nonsense', /unknown command 'nonsense'/],
      ['endpoints --nonsense', /unknown option '--nonsense'/],
      ['endpoints -o xml', /choose one of table, wide, json, yaml/],
      ['endpoint add c1', /--netns <path>' not specified/],
      ['endpoint add c1 --netns /x --label nonsense', /key=value/],
      ['get nonsense', /"nonsense" is no kind/],
      ['delete', /name a kind and a resource, or give -f/],
      ['apply', /name a file, a folder or - with -f/],
      ['apply -f /nonexistent.yaml', /\/nonexistent\.yaml cannot be read: ENOENT/],
      ['selector', /give an expression, or --jsonl/],
      ['status --wait soon', /--wait/],
      ['bgp reset', /^ocicat: missing required argument 'peer'\n\(see "ocicat bgp reset --help"\)/],
      ['endpoint --nonsense', /^ocicat: unknown option[^\n]*\n\(see "ocicat endpoint --help"\)/],
      ['help nonsense', /there is no command "ocicat nonsense"/],
      ['help ipam nonsense', /there is no command "ocicat ipam nonsense"\n\(see "ocicat ipam --help"\)/],
      ['delete ippool a -f /dev/null', /either ippool a or -f, not both: nothing was deleted/],
      ['delete ippool a --namespace x', /ippools are in no namespace/],
      ['get ippools --namespace x', /ippools are in no namespace: leave --namespace out/],
      ['ipam split 4', /by one of --name and --cidr/],
      ['ipam split 4 --name a --cidr 10.0.0.0/8', /by one of --name and --cidr/],
      ['ipam release --from-report /dev/null', /\/dev\/null is no report of .*: it is not JSON/],
      ['bgp decode /nonexistent', /"\/nonexistent" is neither hexadecimal text nor the name of a file/],
    ] as const) {
      const { status, stdout, stderr } = await ocicat(line);
      assert.equal(status, 2, `${line}: ${stdout}${stderr}`);
      assert.match(stderr, text);
      assert.doesNotMatch(stderr, /\n\s+at /, line);
    }
  });

  it('says what was deleted before something that cannot be', async () => {
    const { status, stdout, stderr } = await ocicat('delete ippool a b absent c');
    assert.equal(status, 1);
    assert.equal(stdout, 'IPPool a deleted\nIPPool b deleted\n');
    assert.equal(stderr, 'ocicat: IPPool/absent does not exist\n');
    const none = await ocicat('delete ippool absent -o json');
    assert.deepEqual([none.status, none.stdout], [1, '']);
  });

  it('0 for help and version', async () => {
    assert.match((await ocicat('--version')).stdout, /^\d+\.\d+\.\d+/);
    for (const line of ['--help', 'bgp --help', 'endpoint add --help', 'help', 'help endpoint add']) {
      const { status, stdout } = await ocicat(line);
      assert.equal(status, 0);
      assert.match(stdout, /^Usage: ocicat/);
    }
    assert.match((await ocicat('help endpoint add')).stdout, /^Usage: ocicat endpoint add .* <name>/);
  });

  it('tables, JSON and YAML of the same thing', async () => {
    const table = await ocicat('endpoints');
    assert.equal(table.status, 0);
    assert.match(table.stdout, /^Namespace +Endpoint +Addresses +Interface +Published +State/);
    assert.match(table.stdout, /default +c1 +10\.65\.1\.7, fd00:65:1::7 +oci0123456789a +up +app=web/);
    assert.match((await ocicat('endpoints -o wide')).stdout, /02:00:00:00:00:01 +1500 +\/run\/netns\/c1/);
    assert.deepEqual(JSON.parse((await ocicat('endpoints -o json')).stdout), [ENDPOINT]);
    assert.deepEqual(parse((await ocicat('endpoints -o yaml')).stdout), [ENDPOINT]);
    assert.deepEqual(JSON.parse((await ocicat('routes -o json')).stdout), [ROUTE, ROUTE]);
    assert.deepEqual(parse((await ocicat('routes -o yaml')).stdout), [ROUTE, ROUTE]);
    assert.match(
      (await ocicat('routes')).stdout,
      /10\.65\.1\.0\/26 +block +blackhole +installed[\s\S]*2 routes/,
    );
  });

  it('releases held routes and takes prefixes over, beside showing them', async () => {
    assert.equal((await ocicat('routes release')).stdout, 'ipv4: 199 routes released\n');
    asked.length = 0;
    const { stdout } = await ocicat('routes take 10.1.0.0/16');
    assert.equal(stdout, '10.1.0.0/16: taken over from static via 10.0.0.1 dev eth0 metric 1024\n');
    assert.deepEqual(asked, [{ path: '/v1/routes/take', body: { prefix: '10.1.0.0/16' } }]);
    assert.deepEqual(JSON.parse((await ocicat('routes release -o json')).stdout), {
      released: [{ family: 'ipv4', count: 199 }],
    });
    assert.equal((await ocicat('routes take')).status, 2);
  });

  it('1 when nothing matches, with valid JSON and YAML still', async () => {
    for (const [form, out] of [
      ['', ''],
      [' -o json', '[]\n'],
      [' -o yaml', '[]\n'],
    ] as const) {
      const { status, stdout, stderr } = await ocicat(`routes 203.0.113.1${form}`);
      assert.equal(status, 1);
      assert.equal(stdout, out);
      assert.match(stderr, /^ocicat: no route of ours covers 203\.0\.113\.1/);
    }
    asked.length = 0;
    const failing = await ocicat('routes --state failed --state partial');
    assert.equal(failing.status, 1);
    assert.match(failing.stderr, /^ocicat: no route of ours is failed or partial/);
    assert.deepEqual(asked, [{ path: '/v1/routes', body: ['failed', 'partial'] }]);
    const missing = await ocicat('get ippool nowhere');
    assert.equal(missing.status, 1);
    assert.equal(missing.stderr, 'ocicat: ippools/nowhere does not exist\n');
  });

  it('errors of the agent: message, details, hint; a fault of its own says so', async () => {
    const invalid = await ocicat('apply -f -', 'kind: IPPool');
    assert.equal(invalid.status, 2);
    assert.equal(
      invalid.stderr,
      'ocicat: nothing was applied: one fault in the input\n' +
        '  a.yaml: document 2: IPPool p: spec.cidr: is no CIDR\nSee the manual.\n',
    );
    const internal = await ocicat('get ippools');
    assert.equal(internal.status, 1);
    assert.equal(
      internal.stderr,
      'ocicat: broken inside\nThis is a fault of the agent; its log has the details.\n',
    );
    const older = await ocicat('bgp peers');
    assert.equal(older.status, 1);
    assert.match(older.stderr, /the agent has no GET \/v1\/bgp\/peers[\s\S]*of the same version/);
  });

  it('sends what was given on the command line, and no labels when none were given', async () => {
    asked.length = 0;
    await ocicat('endpoint add c1 --netns /run/netns/c1');
    await ocicat(
      'endpoint add c1 --netns /run/netns/c1 --label a=b --label c= --ip 10.65.1.7 --namespace prod',
    );
    assert.deepEqual(
      asked.map(({ body }) => body),
      [
        { name: 'c1', netns: '/run/netns/c1', namespace: 'default', interface: 'eth0', ips: [] },
        {
          name: 'c1',
          netns: '/run/netns/c1',
          namespace: 'prod',
          interface: 'eth0',
          ips: ['10.65.1.7'],
          labels: { a: 'b', c: '' },
        },
      ],
    );
  });
});
