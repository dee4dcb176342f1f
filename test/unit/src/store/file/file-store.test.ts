import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { IpPool } from '../../../../../src/model/ip-pool.ts';
import { makeKey } from '../../../../../src/model/types.ts';
import { admitByModel } from '../../../../../src/store/admission.ts';
import {
  AlreadyExists,
  DocumentDamaged,
  NotAdmitted,
  NotFound,
  RevisionConflict,
  StoreLocked,
  StoreUnavailable,
} from '../../../../../src/store/errors.ts';
import { type FileStore, openFileStore } from '../../../../../src/store/file/file-store.ts';
import { affinityKey, blockKey, handleKey } from '../../../../../src/store/ipam-documents.ts';
import type { StoreEvent } from '../../../../../src/store/types.ts';
import { eventually } from '../../../../support/eventually.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../../support/temporary-folder.ts';

const LAB4 = makeKey('IPPool', 'lab4');

function pool(name: string, cidr: string): IpPool {
  return { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr } };
}

function yaml(name: string, cidr: string): string {
  return `apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: ${name}\nspec:\n  cidr: ${cidr}\n`;
}

describe('file store', () => {
  let root: string;
  let store: FileStore;
  let events: string[];

  const file = (name = 'lab4') => join(root, 'IPPool', `${name}.yaml`);
  const cidr = async (name = 'lab4') => {
    const [found] = (await store.list('IPPool')).filter(({ resource }) => resource.metadata.name === name);
    return found?.resource.spec.cidr;
  };
  const inForce = async (expected: string | undefined, name = 'lab4') =>
    await eventually(`IPPool ${name} is ${expected}`, async () => (await cidr(name)) === expected);
  const problem = async (pattern: RegExp) =>
    await eventually(`a problem ${pattern}`, () =>
      store.problems().find(({ location, reasons }) => pattern.test(`${location}: ${reasons.join('; ')}`)),
    );

  function describeEvent(event: StoreEvent): string {
    switch (event.type) {
      case 'upsert':
        return event.resource.kind === 'IPPool'
          ? `+${event.key.name} ${event.resource.spec.cidr}`
          : `+${event.key.name}`;
      case 'delete':
        return `-${event.key.name}`;
      default:
        return event.type;
    }
  }

  async function open(): Promise<void> {
    store = await openFileStore({ root, admit: admitByModel });
    events = [];
    store.watch((event) => events.push(describeEvent(event)));
    await eventually('in sync', () => events.includes('in-sync'));
  }

  async function reopen(): Promise<void> {
    await store.close();
    await open();
  }

  beforeEach(async () => {
    root = join(temporaryFolder(), 'store');
    await open();
  });
  afterEach(async () => {
    await store.close();
    removeTemporaryFolders();
  });

  describe('by program', () => {
    it('creates, reads, lists, replaces and deletes with compare-and-swap', async () => {
      const one = await store.create(pool('lab4', '10.1.0.0/24'));
      assert.deepEqual(await store.get(LAB4), one);
      await assert.rejects(store.create(pool('lab4', '10.1.0.0/24')), AlreadyExists);
      const two = await store.update(pool('lab4', '10.2.0.0/24'), one.revision);
      assert.notEqual(two.revision, one.revision);
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), one.revision), RevisionConflict);
      await assert.rejects(store.delete(LAB4, one.revision), RevisionConflict);
      await store.create(pool('a', '10.9.0.0/24'));
      assert.deepEqual(
        (await store.list('IPPool')).map(({ resource }) => resource.metadata.name),
        ['a', 'lab4'],
      );
      await store.delete(LAB4, two.revision);
      await assert.rejects(store.delete(LAB4), NotFound);
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), two.revision), NotFound);
      assert.deepEqual(events, [
        'in-sync',
        '+lab4 10.1.0.0/24',
        '+lab4 10.2.0.0/24',
        '+a 10.9.0.0/24',
        '-lab4',
      ]);
    });

    it('files are for people, and for their owner only', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      assert.equal(readFileSync(file(), 'utf8'), yaml('lab4', '10.1.0.0/24'));
      assert.equal(statSync(file()).mode & 0o777, 0o600);
      assert.equal(statSync(root).mode & 0o777, 0o700);
      assert.match(readFileSync(join(root, 'ipam', 'README'), 'utf8'), /Do not edit/);
    });

    it('a revision still holds after a restart', async () => {
      const { revision } = await store.create(pool('lab4', '10.1.0.0/24'));
      await reopen();
      assert.deepEqual(events, ['+lab4 10.1.0.0/24', 'in-sync']);
      await store.update(pool('lab4', '10.2.0.0/24'), revision);
    });

    it('twenty writers that retry lose no change', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      const increment = async () => {
        for (;;) {
          const current = await store.get(LAB4);
          assert(current?.resource.kind === 'IPPool');
          const { resource, revision } = current;
          const count = Number(resource.metadata.labels?.['count'] ?? '0') + 1;
          try {
            await store.update(
              { ...resource, metadata: { name: 'lab4', labels: { count: `${count}` } } },
              revision,
            );
            return;
          } catch (error) {
            if (!(error instanceof RevisionConflict)) throw error;
          }
        }
      };
      await Promise.all(Array.from({ length: 20 }, increment));
      assert.equal((await store.get(LAB4))?.resource.metadata.labels?.['count'], '20');
    });

    it('refuses what may not stand beside the others', async () => {
      await store.create(pool('lab4', '10.1.0.0/16'));
      await assert.rejects(store.create(pool('b', '10.1.2.0/24')), (error: unknown) => {
        assert(error instanceof NotAdmitted);
        assert.match(error.message, /overlaps IPPool lab4/);
        return true;
      });
    });

    it('a second store on the same folder is refused while the first is open', async () => {
      await assert.rejects(openFileStore({ root }), (error: unknown) => {
        assert(error instanceof StoreLocked);
        assert.match(error.message, new RegExp(`pid ${process.pid}`));
        return true;
      });
    });

    it('a closed watch is told nothing more', async () => {
      let count = 0;
      const watch = store.watch(() => count++);
      watch.close();
      await store.create(pool('lab4', '10.1.0.0/24'));
      assert.equal(count, 0);
    });
  });

  describe('by hand', () => {
    const editors: [string, (path: string, text: string) => void][] = [
      ['in place', (path, text) => writeFileSync(path, text)],
      [
        'by rename',
        (path, text) => {
          writeFileSync(`${path}.tmp`, text);
          renameSync(`${path}.tmp`, path);
        },
      ],
      [
        'as vim does: away with the old file, then a new one',
        (path, text) => {
          writeFileSync(join(path, '..', '4913'), '');
          unlinkSync(join(path, '..', '4913'));
          renameSync(path, `${path}~`);
          writeFileSync(path, text);
          unlinkSync(`${path}~`);
        },
      ],
      [
        'in pieces, some of which are valid by themselves',
        (path, text) => {
          truncateSync(path);
          for (const line of `${text}  disabled: true\n`.split(/(?<=\n)/)) appendFileSync(path, line);
        },
      ],
    ];
    for (const [name, edit] of editors) {
      it(`an edit ${name} is picked up, as one change`, async () => {
        await store.create(pool('lab4', '10.1.0.0/24'));
        edit(file(), yaml('lab4', '10.2.0.0/24'));
        await inForce('10.2.0.0/24');
        assert.deepEqual(events, ['in-sync', '+lab4 10.1.0.0/24', '+lab4 10.2.0.0/24']);
      });
    }

    it('a new file is a new resource, a removed one is gone', async () => {
      writeFileSync(file(), yaml('lab4', '10.1.0.0/24'));
      await inForce('10.1.0.0/24');
      unlinkSync(file());
      await inForce(undefined);
      assert.deepEqual(events, ['in-sync', '+lab4 10.1.0.0/24', '-lab4']);
    });

    it('reading sees an edit that was made just before', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      writeFileSync(file(), yaml('lab4', '10.2.0.0/24'));
      const stored = await store.get(LAB4);
      assert(stored?.resource.kind === 'IPPool');
      assert.equal(stored.resource.spec.cidr, '10.2.0.0/24');
    });

    it('a write that meets a newer file is refused and does not overwrite it', async () => {
      const { revision } = await store.create(pool('lab4', '10.1.0.0/24'));
      writeFileSync(file(), yaml('lab4', '10.2.0.0/24'));
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), revision), RevisionConflict);
      assert.match(readFileSync(file(), 'utf8'), /10\.2\.0\.0/);
      const again = await store.get(LAB4);
      assert(again !== undefined);
      await store.update(pool('lab4', '10.3.0.0/24'), again.revision);
      assert.match(readFileSync(file(), 'utf8'), /10\.3\.0\.0/);
    });

    it('an invalid edit keeps the last good version in force, over a restart too, until it is mended', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      writeFileSync(file(), yaml('lab4', '10.1.0.0/99'));
      const found = await problem(/IPPool\/lab4\.yaml: spec\.cidr: .*10\.1\.0\.0\/99/);
      assert.deepEqual(found.key, LAB4);
      assert(found.inForce !== undefined);
      assert.equal(await cidr(), '10.1.0.0/24');
      await reopen();
      assert.deepEqual(events, ['+lab4 10.1.0.0/24', 'problem', 'in-sync']);
      writeFileSync(file(), yaml('lab4', '10.2.0.0/24'));
      await inForce('10.2.0.0/24');
      await eventually('no problem left', () => store.problems().length === 0);
      assert(events.includes('problem-solved'));
    });

    it('an invalid edit made while the agent was down keeps the last good version too', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      await store.close();
      writeFileSync(file(), 'half a fi');
      await open();
      assert.equal(await cidr(), '10.1.0.0/24');
      await problem(/lab4/);
    });

    it('an invalid edit is overwritten only by who has seen it', async () => {
      const { revision } = await store.create(pool('lab4', '10.1.0.0/24'));
      writeFileSync(file(), 'spec: [');
      const { revision: seen } = await problem(/lab4/);
      assert(seen !== undefined);
      await assert.rejects(store.update(pool('lab4', '10.3.0.0/24'), revision), /holds an invalid edit/);
      assert.equal(readFileSync(file(), 'utf8'), 'spec: [');
      await store.update(pool('lab4', '10.3.0.0/24'), seen);
      assert.equal(await cidr(), '10.3.0.0/24');
      assert.deepEqual(store.problems(), []);
    });

    it('a file that was removed while the agent was down is gone, and so is its copy', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      await store.close();
      unlinkSync(file());
      await open();
      assert.equal(await cidr(), undefined);
      writeFileSync(file(), 'broken');
      await problem(/lab4/);
      assert.equal(await cidr(), undefined);
    });

    const refused: [string, () => void, RegExp][] = [
      [
        'another name than its file',
        () => writeFileSync(file('x'), yaml('other', '10.1.0.0/24')),
        /holds IPPool\/other, but its name stands for IPPool\/x/,
      ],
      [
        'two resources',
        () => writeFileSync(file('x'), `${yaml('x', '10.1.0.0/24')}---\n${yaml('y', '10.2.0.0/24')}`),
        /2 resources/,
      ],
      ['nothing', () => writeFileSync(file('x'), '\n'), /the file is empty/],
      ['no UTF-8', () => writeFileSync(file('x'), Buffer.from([0xff, 0xfe, 0x41])), /not UTF-8/],
      ['a symbolic link', () => symlinkSync('/etc/hostname', file('x')), /symbolic links are not followed/],
      ['a folder', () => mkdirSync(file('x')), /not a regular file/],
      [
        'another ending',
        () => writeFileSync(join(root, 'IPPool', 'x.yml'), yaml('x', '10.1.0.0/24')),
        /ends in \.yaml/,
      ],
      ['no namespace', () => writeFileSync(join(root, 'NetworkSet', 'x.yaml'), 'a'), /NAMESPACE\.NAME\.yaml/],
      ['an unknown folder', () => mkdirSync(join(root, 'ippool')), /no folder of resources/],
      [
        'more than a store takes',
        () => writeFileSync(file('x'), Buffer.alloc(1_600_000, 'a')),
        /larger than/,
      ],
    ];
    for (const [name, edit, pattern] of refused) {
      it(`a file with ${name} is reported and changes nothing`, async () => {
        edit();
        await problem(pattern);
        assert.deepEqual(
          events.filter((event) => /^[+-]/.test(event)),
          [],
        );
        await reopen();
        await problem(pattern);
      });
    }

    it('a pool that overlaps another comes into force when the other goes', async () => {
      await store.create(pool('a', '10.1.0.0/16'));
      writeFileSync(file('b'), yaml('b', '10.1.2.0/24'));
      await problem(/b\.yaml: .*overlaps IPPool a/);
      await store.delete(makeKey('IPPool', 'a'));
      await inForce('10.1.2.0/24', 'b');
      assert.deepEqual(store.problems(), []);
    });

    it('a folder that was removed and made again is followed', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      rmSync(join(root, 'IPPool'), { recursive: true });
      await inForce(undefined);
      mkdirSync(join(root, 'IPPool'));
      writeFileSync(file(), yaml('lab4', '10.2.0.0/24'));
      await inForce('10.2.0.0/24');
      writeFileSync(file(), yaml('lab4', '10.3.0.0/24'));
      await inForce('10.3.0.0/24');
    });

    it('a store folder that was moved away is unavailable, keeps all in force, and comes back', async () => {
      await store.create(pool('lab4', '10.1.0.0/24'));
      renameSync(root, `${root}-away`);
      await eventually('unavailable', () => store.availability().state === 'unavailable');
      await assert.rejects(store.list('IPPool'), StoreUnavailable);
      await assert.rejects(store.create(pool('b', '10.2.0.0/24')), StoreUnavailable);
      assert(!events.includes('-lab4'));
      renameSync(`${root}-away`, root);
      await eventually('available', () => store.availability().state === 'available');
      writeFileSync(file(), yaml('lab4', '10.2.0.0/24'));
      await inForce('10.2.0.0/24');
    });
  });

  describe('ipam documents', () => {
    it('are kept with compare-and-swap and followed', async () => {
      const seen: string[] = [];
      store.ipam.watch((event) =>
        seen.push(event.type === 'upsert' ? `+${event.entry.key.name}` : event.type),
      );
      const key = affinityKey('host-a', '10.0.0.0/26');
      const one = await store.ipam.create(key, { state: 'pending', deleted: false });
      await assert.rejects(store.ipam.create(key, { state: 'pending', deleted: false }), AlreadyExists);
      const two = await store.ipam.update(key, { state: 'confirmed', deleted: false }, one.revision);
      await assert.rejects(store.ipam.update(key, one.value, one.revision), RevisionConflict);
      await assert.rejects(store.ipam.delete(key, one.revision), RevisionConflict);
      assert.deepEqual(await store.ipam.list('affinity', { host: 'host-b' }), []);
      assert.deepEqual(await store.ipam.list('affinity', { host: 'host-a', family: 'ipv4' }), [two]);
      await reopen();
      const again = await store.ipam.get(key);
      assert.deepEqual(again?.value, two.value);
      await store.ipam.delete(key, two.revision);
      assert.equal(await store.ipam.get(key), undefined);
      assert.deepEqual(seen, ['in-sync', '+host-a/10.0.0.0/26', '+host-a/10.0.0.0/26']);
    });

    it('a damaged block stays taken and is reported; a damaged index is dropped', async () => {
      await store.close();
      writeFileSync(join(root, 'ipam/block/10.0.0.0-26.json'), '{"kind":"block"');
      writeFileSync(join(root, 'ipam/handle/h.json'), '');
      await open();
      await assert.rejects(store.ipam.get(blockKey('10.0.0.0/26')), DocumentDamaged);
      const [problemOfBlock] = store.problems();
      assert.equal(problemOfBlock?.location, 'ipam/block/10.0.0.0-26.json');
      const block = {
        cidr: '10.0.0.0/26',
        affinity: null,
        allocations: [],
        unallocated: [],
        attributes: [],
        sequenceNumber: 0n,
        sequenceNumberForAllocation: {},
        deleted: false,
      };
      await assert.rejects(store.ipam.create(blockKey('10.0.0.0/26'), block), AlreadyExists);
      assert.equal(await store.ipam.get(handleKey('h')), undefined);
      await store.ipam.create(handleKey('h'), { block: {}, deleted: false });
    });
  });
});
