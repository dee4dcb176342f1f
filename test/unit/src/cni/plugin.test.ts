/** The plugin's own file against a socket that answers as told; and what installs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entryName } from '../../../../src/cni/deletion-queue.ts';
import { installPlugin, networkList } from '../../../../src/cni/install.ts';
import { CNI_VERSIONS } from '../../../../src/cni/version.ts';

interface Run {
  readonly status: number | null;
  readonly stdout: string;
}

describe('CNI plugin', () => {
  let folder: string;
  let plugin: string;
  let server: Server | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ocit-cni-'));
    installPlugin({
      binDir: join(folder, 'bin'),
      confDir: join(folder, 'net.d'),
      name: 'net1',
      node: process.execPath,
    });
    plugin = join(folder, 'bin/ocicat-cni');
  });
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    server = undefined;
    rmSync(folder, { recursive: true });
  });

  /** Answers every call with a status and a body; null: breaks off. */
  async function agent(body: unknown, status = 200): Promise<unknown[]> {
    const seen: unknown[] = [];
    server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.on('end', () => {
        seen.push(JSON.parse(text));
        if (body === null) response.destroy();
        else {
          const payload = JSON.stringify(body);
          response.writeHead(status, { 'content-length': Buffer.byteLength(payload) }).end(payload);
        }
      });
    });
    await new Promise<void>((resolve) => server?.listen(join(folder, 'api.sock'), resolve));
    return seen;
  }

  function run(command: string, config: object = {}, environment: object = {}): Promise<Run> {
    const child = spawn(plugin, [], {
      env: {
        PATH: '/usr/bin:/bin',
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'c1',
        CNI_IFNAME: 'eth0',
        CNI_NETNS: '/run/netns/c1',
        ...environment,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const paths = {
      socket: join(folder, 'api.sock'),
      queue: join(folder, 'queue'),
      log: join(folder, 'cni.log'),
    };
    child.stdin.end(
      JSON.stringify({ cniVersion: '1.0.0', name: 'net1', type: 'ocicat-cni', ...paths, ...config }),
    );
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => resolve({ status, stdout }));
    });
  }

  const queued = (): string[] => readdirSync(join(folder, 'queue'));

  it('VERSION names all versions that the agent speaks', async () => {
    const { status, stdout } = await run('VERSION', { cniVersion: '0.4.0' });
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), { cniVersion: '0.4.0', supportedVersions: [...CNI_VERSIONS] });
  });

  it('hands environment and configuration on unchanged, and prints what the agent decides', async () => {
    const seen = await agent({ ok: true, output: { cniVersion: '1.0.0', ips: [] } });
    const { status, stdout } = await run('ADD', { odd: ['ä', 1] }, { CNI_ARGS: 'A=ü', SECRET: 'x' });
    assert.deepEqual([status, stdout], [0, '{"cniVersion":"1.0.0","ips":[]}\n']);
    const [body] = seen;
    assert.ok(typeof body === 'object' && body !== null);
    assert.deepEqual(Reflect.get(body, 'environment'), {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: '/run/netns/c1',
      CNI_ARGS: 'A=ü',
    });
    assert.deepEqual(Reflect.get(Reflect.get(body, 'config'), 'odd'), ['ä', 1]);
  });

  it('prints nothing where there is nothing to print', async () => {
    await agent({ ok: true });
    assert.deepEqual(await run('DEL'), { status: 0, stdout: '' });
  });

  it('a refusal ends with 1 and the error; the log has it', async () => {
    await agent({ ok: false, output: { cniVersion: '1.0.0', code: 7, msg: 'no' } });
    assert.deepEqual(await run('DEL'), { status: 1, stdout: '{"cniVersion":"1.0.0","code":7,"msg":"no"}\n' });
    assert.match(readFileSync(join(folder, 'cni.log'), 'utf8'), /^\S+Z DEL c1 eth0 failed: .*"msg":"no"/);
  });

  it('a DEL is queued under the name that the agent looks for, once', async () => {
    assert.deepEqual(await run('DEL'), { status: 0, stdout: '' });
    assert.deepEqual(await run('DEL', {}, { CNI_NETNS: '' }), { status: 0, stdout: '' });
    assert.deepEqual(queued(), [entryName({ network: 'net1', containerId: 'c1', ifname: 'eth0' })]);
    const entry: unknown = JSON.parse(readFileSync(join(folder, 'queue', queued()[0] ?? ''), 'utf8'));
    assert.ok(typeof entry === 'object' && entry !== null);
    assert.equal(Reflect.get(entry, 'containerId'), 'c1');
  });

  it('a DEL is queued when the agent says so, breaks off or fails; a refusal for good is not', async () => {
    await agent({ ok: false, output: { code: 11 }, queue: true, reason: 'the store is full' });
    assert.deepEqual(await run('DEL'), { status: 0, stdout: '' });
    assert.equal(queued().length, 1);
    server?.close();
    rmSync(join(folder, 'queue'), { recursive: true });
    await agent(null);
    assert.deepEqual(await run('DEL'), { status: 0, stdout: '' });
    server?.close();
    await agent({ error: { code: 'internal', message: 'x' } }, 500);
    assert.deepEqual(await run('DEL', {}, { CNI_CONTAINERID: 'c2' }), { status: 0, stdout: '' });
    assert.equal(queued().length, 2);
  });

  it('says so when a DEL can be neither done nor queued', async () => {
    const { status, stdout } = await run('DEL', { queue: '/proc/nowhere' });
    assert.equal(status, 1);
    assert.match(stdout, /"code":11.*cannot be queued.*make \/proc\/nowhere writable/);
  });

  it('without an agent: ADD, CHECK and GC 11, STATUS 50, in the version asked for', async () => {
    for (const [command, code] of [
      ['ADD', 11],
      ['CHECK', 11],
      ['GC', 11],
      ['STATUS', 50],
    ] as const) {
      const { status, stdout } = await run(command, { cniVersion: '1.1.0' });
      assert.equal(status, 1);
      const error: unknown = JSON.parse(stdout);
      assert.ok(typeof error === 'object' && error !== null);
      assert.deepEqual([Reflect.get(error, 'code'), Reflect.get(error, 'cniVersion')], [code, '1.1.0']);
    }
  });

  it('is installed executable, with a list that old runtimes take; another name is another list', () => {
    assert.equal(statSync(plugin).mode & 0o777, 0o755);
    assert.match(readFileSync(plugin, 'utf8'), /^#!\/bin\/sh\nexec '\/.*\/node' '.*ocicat-cni\.cjs'\n$/);
    const report = installPlugin({
      binDir: join(folder, 'bin'),
      confDir: join(folder, 'net.d'),
      name: 'other',
      node: process.execPath,
      socket: '/run/x.sock',
    });
    assert.match(report.notes.join(), /loopback/);
    assert.deepEqual(readdirSync(join(folder, 'net.d')).sort(), ['10-net1.conflist', '10-other.conflist']);
    assert.deepEqual(readdirSync(join(folder, 'bin')).sort(), ['ocicat-cni', 'ocicat-cni.cjs']);
    const list = networkList({ name: 'n', socket: '/run/x.sock' });
    assert.equal(list['cniVersion'], '1.0.0');
    assert.throws(
      () => installPlugin({ binDir: folder, confDir: folder, name: '../x', node: 'n' }),
      /network name/,
    );
  });
});
