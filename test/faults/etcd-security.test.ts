/** The etcd store with TLS, with users, and with an etcd whose space is used up. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreUnavailable } from '../../src/store/errors.ts';
import type { EtcdEndpoints } from '../../src/store/etcd/endpoints.ts';
import { type EtcdStore, openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { EtcdCluster } from '../support/etcd.ts';
import { Ledger, writeStep } from '../support/etcd-ledger.ts';
import { eventually } from '../support/eventually.ts';
import { peer } from '../support/store-conformance.ts';
import { removeTemporaryFolders, temporaryFolder } from '../support/temporary-folder.ts';

const TIMES = { guardMs: 300, lagMs: 1_000, toleranceMs: 500 };
const PASSWORD = 'long-and-secret';

describe('etcd store: TLS, users, space', function () {
  this.timeout(45_000);
  let etcd: EtcdCluster | undefined;
  const stores: EtcdStore[] = [];

  const open = async (options: EtcdEndpoints): Promise<EtcdStore> => {
    const store = await openEtcdStore({
      etcd: options,
      cacheFolder: join(temporaryFolder(), 'etcd'),
      times: TIMES,
    });
    stores.push(store);
    return store;
  };
  const reason = (store: EtcdStore): string => {
    const availability = store.availability();
    return availability.state === 'available' ? '' : availability.reason;
  };
  const available = async (store: EtcdStore): Promise<void> => {
    await eventually(`available (${reason(store)})`, () => store.availability().state === 'available', {
      timeoutMs: 20_000,
    });
  };

  afterEach(async () => {
    await Promise.all(stores.splice(0).map(async (store) => await store.close()));
    await etcd?.close();
    etcd = undefined;
    removeTemporaryFolders();
  });

  it('speaks TLS with a certificate of its own, under a server name, and refuses a stranger', async () => {
    const folder = temporaryFolder();
    const ours = authority(folder, 'ca');
    const server = certificate(folder, 'server', ours, 'DNS:etcd.example,DNS:localhost');
    const host = certificate(folder, 'host', ours, 'DNS:h1');
    const stranger = authority(folder, 'other');
    etcd = await EtcdCluster.start({ tls: { ...server, caFile: ours.certFile } });
    const { endpoints } = etcd;
    const tls = { caFile: ours.certFile, certFile: host.certFile, keyFile: host.keyFile };

    const store = await open({ endpoints, ...tls, serverName: 'etcd.example' });
    await available(store);
    await store.create(peer('tor', '192.0.2.1'));
    const byName = await open({
      endpoints: endpoints.map((each) => each.replace('127.0.0.1', 'localhost')),
      ...tls,
    });
    await available(byName);
    assert.equal((await byName.list('BGPPeer')).length, 1);

    const wrongName = await open({ endpoints, ...tls, serverName: 'elsewhere.example' });
    const wrongAuthority = await open({
      endpoints,
      ...tls,
      caFile: stranger.certFile,
      serverName: 'etcd.example',
    });
    const noCertificate = await open({ endpoints, caFile: ours.certFile, serverName: 'etcd.example' });
    const noFile = await open({
      endpoints,
      ...tls,
      caFile: join(folder, 'absent.pem'),
      serverName: 'etcd.example',
    });
    for (const refused of [wrongName, wrongAuthority, noCertificate, noFile]) {
      await eventually('says why', () => /yet$/.test(reason(refused)) === false && reason(refused) !== '');
      await assert.rejects(refused.list('BGPPeer'), StoreUnavailable);
    }
    assert.match(reason(noFile), /absent\.pem/);
    // A certificate that comes later is taken up without a restart.
    execFileSync('cp', [ours.certFile, join(folder, 'absent.pem')]);
    await available(noFile);
  });

  it('logs in, says what is wrong without the password, takes a new password, survives a restart of etcd', async () => {
    const folder = temporaryFolder();
    const usernameFile = join(folder, 'user');
    const passwordFile = join(folder, 'password');
    writeFileSync(usernameFile, 'ocicat\n');
    writeFileSync(passwordFile, 'wrong\n');
    etcd = await EtcdCluster.start();
    const [member] = etcd.members;
    const { endpoints } = etcd;
    const anybody = etcd.client();
    await anybody.role('root').create();
    const root = await anybody.user('root').create('root-password');
    await root.addRole('root');
    const role = await anybody.role('calico').create();
    await role.grant({ permission: 'Readwrite', range: anybody.range({ prefix: '/calico/' }) });
    await (await anybody.user('ocicat').create(PASSWORD)).addRole(role);
    await anybody.user('other').create(PASSWORD);
    await anybody.auth.authEnable();
    const client = etcd.client({ auth: { username: 'root', password: 'root-password' } });

    const store = await open({ endpoints, usernameFile, passwordFile });
    const nobody = await open({ endpoints });
    await eventually('says what is wrong', () => /refuses user name and password/.test(reason(store)));
    await eventually('wants a name', () => /set usernameFile/.test(reason(nobody)));
    writeFileSync(passwordFile, `${PASSWORD}\n`);
    await available(store);
    const ledger = new Ledger(store);
    await ledger.inSync();
    for (let step = 0; step < 10; step++) await writeStep(client, step);

    writeFileSync(join(folder, 'other'), 'other\n');
    const denied = await open({ endpoints, usernameFile: join(folder, 'other'), passwordFile });
    await eventually('says what it needs', () => /readwrite on the prefix \/calico\//.test(reason(denied)));

    await member?.signal('SIGKILL');
    member?.start();
    const again = etcd.client({ auth: { username: 'root', password: 'root-password' } });
    await eventually('etcd is back', async () => {
      await writeStep(again, 10);
      return true;
    });
    for (let step = 11; step < 20; step++) await writeStep(again, step);
    await ledger.assertWhole(again);
    await store.create(peer('tor', '192.0.2.1'));
    await available(store);
    const said = JSON.stringify([reason(nobody), reason(denied), store.problems()]);
    assert(!said.includes(PASSWORD) && !said.includes('wrong'));
  });

  it('a full etcd: reads and events go on, writes say what to do, and it is over when there is room', async () => {
    etcd = await EtcdCluster.start({ quotaOctets: 8 * 1024 * 1024 });
    const client = etcd.client();
    const store = await open({ endpoints: etcd.endpoints });
    await available(store);
    const { revision } = await store.create(peer('tor', '192.0.2.1'));
    await assert.rejects(async () => {
      for (let i = 0; i < 100; i++) await client.put('/filler').value(Buffer.alloc(1_000_000, i));
    });
    const refused = await store.update(peer('tor', '192.0.2.2'), revision).catch((error: unknown) => error);
    assert(refused instanceof StoreUnavailable);
    assert.match(refused.message, /space quota.*disarm/);
    assert.match(reason(store), /space quota/);
    assert.equal((await store.list('BGPPeer')).length, 1);
    // Deleting is what a full etcd still does.
    await store.delete({ kind: 'BGPPeer', name: 'tor' });

    const healthy = etcd.client();
    const { header } = await healthy.get('/filler').exec();
    await healthy.delete().key('/filler');
    await healthy.kv.compact({ revision: header.revision, physical: true });
    await healthy.maintenance.defragment({ deadline: Date.now() + 10_000 });
    const { alarms } = await healthy.maintenance.alarm({ action: 'Get', alarm: 'None' });
    for (const { memberID, alarm } of alarms) {
      await healthy.maintenance.alarm({ action: 'Deactivate', memberID, alarm });
    }
    await available(store);
    await store.create(peer('tor', '192.0.2.3'));
  });
});

interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

function authority(folder: string, name: string): CertificateFiles {
  const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  openssl(
    'req',
    '-x509',
    ...newKey(files.keyFile),
    '-out',
    files.certFile,
    '-subj',
    `/CN=${name}`,
    '-days',
    '2',
  );
  return files;
}

function certificate(folder: string, name: string, by: CertificateFiles, names: string): CertificateFiles {
  const files = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  writeFileSync(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
  openssl('req', ...newKey(files.keyFile), '-out', request, '-subj', `/CN=${name}`);
  openssl(
    ...['x509', '-req', '-in', request, '-CA', by.certFile, '-CAkey', by.keyFile, '-CAcreateserial'],
    ...['-out', files.certFile, '-days', '2', '-extfile', extensions],
  );
  return files;
}

function newKey(path: string): readonly string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', path];
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
