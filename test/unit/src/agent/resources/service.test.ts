import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResourceService } from '../../../../../src/agent/resources/service.ts';
import { ApiError } from '../../../../../src/api/problem.ts';
import { type FileStore, openFileStore } from '../../../../../src/store/file/file-store.ts';

const pool = (name: string, cidr: string): string =>
  `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: ${name}}\nspec: {cidr: ${cidr}}\n`;

describe('src/agent/resources/service on a real file store', () => {
  let folder: string;
  let store: FileStore;
  let service: ResourceService;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-service-'));
    store = await openFileStore({ root: join(folder, 'store') });
    service = new ResourceService(store);
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const apply = (...texts: string[]): ReturnType<ResourceService['apply']> =>
    service.apply([{ file: 'in.yaml', text: texts.join('---\n') }]);

  const faultsOf = async (call: Promise<unknown>): Promise<string[]> => {
    try {
      await call;
    } catch (error) {
      assert.ok(error instanceof ApiError, String(error));
      return (error.problem.details ?? []).map(
        (d) => `${d.file}:${d.document}:${d.name}:${d.path ?? ''}:${d.reason}`,
      );
    }
    return assert.fail('it was accepted');
  };

  it('creates, leaves alone, updates', async () => {
    assert.deepEqual(
      (await apply(pool('a', '10.1.0.0/24'))).map(({ action }) => action),
      ['created'],
    );
    assert.deepEqual(
      (await apply(pool('a', '10.1.0.0/24'))).map(({ action }) => action),
      ['unchanged'],
    );
    assert.deepEqual(
      (await apply(pool('a', '10.2.0.0/24'))).map(({ action }) => action),
      ['updated'],
    );
    const stored = await service.get('ippool', 'a', undefined);
    assert.equal(stored.kind === 'IPPool' && stored.spec.cidr, '10.2.0.0/24');
  });

  it('a dry run says what would be, sessions included, and writes nothing', async () => {
    const peer = (port: number): string =>
      `apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: '10.0.0.1:${port}', asNumber: 65001}\n`;
    const sessions = [{ peer: '10.0.0.1', resource: 'BGPPeer p', effect: 'added', reasons: [] }] as const;
    const told = new ResourceService(
      store,
      () => [],
      () => sessions,
    );
    const dry = async (...texts: string[]) =>
      (await told.apply([{ file: 'in.yaml', text: texts.join('---\n') }], { dryRun: true })).map((view) => [
        view.kind,
        view.action,
        view.sessions,
      ]);
    assert.deepEqual(await dry(pool('a', '10.1.0.0/24'), peer(179)), [
      ['IPPool', 'created', sessions],
      ['BGPPeer', 'created', undefined],
    ]);
    await assert.rejects(service.get('bgppeer', 'p', undefined), /does not exist/);
    await apply(peer(179));
    assert.deepEqual(await dry(peer(1179)), [['BGPPeer', 'updated', sessions]]);
    assert.deepEqual(await dry(peer(179)), [['BGPPeer', 'unchanged', sessions]]);
  });

  it('applies nothing when one document is bad, and names file, document, path', async () => {
    const faults = await faultsOf(apply(pool('a', '10.1.0.0/24'), pool('b', '10.1.0.0/99')));
    assert.equal(faults.length, 1);
    assert.match(faults[0] ?? '', /^in\.yaml:2:b:spec\.cidr:/);
    assert.deepEqual(await service.list('ippools', undefined), []);
  });

  it('refuses a pool that overlaps one in the store or in the same input', async () => {
    await apply(pool('a', '10.1.0.0/24'));
    assert.match(
      (await faultsOf(apply(pool('b', '10.1.0.128/25'))))[0] ?? '',
      /overlaps 10\.1\.0\.0\/24 of IPPool a/,
    );
    assert.match(
      (await faultsOf(apply(pool('c', '10.3.0.0/24'), pool('d', '10.3.0.0/16'))))[0] ?? '',
      /overlaps/,
    );
    await apply(pool('a', '10.9.0.0/24'), pool('b', '10.1.0.128/25'));
  });

  it('refuses the same resource twice in one input', async () => {
    assert.match(
      (await faultsOf(apply(pool('a', '10.1.0.0/24'), pool('a', '10.2.0.0/24'))))[0] ?? '',
      /twice; first in in\.yaml, document 1/,
    );
  });

  it('refuses by name what is valid Calico but not supported yet', async () => {
    const services =
      'apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: default}\nspec: {serviceClusterIPs: [{cidr: 10.96.0.0/12}]}\n';
    assert.match((await faultsOf(apply(services)))[0] ?? '', /spec\.serviceClusterIPs:not supported/);
  });

  it('deletes, and says what was not there', async () => {
    await apply(pool('a', '10.1.0.0/24'));
    assert.equal((await service.delete('pool', 'a', undefined)).action, 'deleted');
    await assert.rejects(service.delete('pool', 'a', undefined), /does not exist/);
    await assert.rejects(service.get('nonsense', 'a', undefined), /no kind that this version knows/);
  });
});
