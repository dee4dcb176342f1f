/**
 * The embedded store: a folder with one YAML file per resource, which people may edit, and the IPAM documents beside. It knows one host:
 * one agent at a time has it open.
 */
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, realpath, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KINDS, type Kind } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import type { Resource, ResourceOfKind } from '../../model/types.ts';
import type { Admission, ResourceCodec } from '../codec.ts';
import { StoreUnavailable } from '../errors.ts';
import { IPAM_KINDS } from '../ipam-documents.ts';
import type { IpamStore } from '../ipam-store.ts';
import { listOfKind } from '../order.ts';
import type {
  Revision,
  Store,
  StoreAvailability,
  Stored,
  StoreListener,
  StoreProblem,
  Subscription,
} from '../types.ts';
import { yamlCodec } from '../yaml-codec.ts';
import { AtomicFiles, errorCode, unavailable } from './atomic-files.ts';
import { EventHub } from './event-hub.ts';
import { type FaultPoint, noFault } from './fault-point.ts';
import { FolderWatcher, type WatchTrouble } from './folder-watcher.ts';
import { IpamFiles } from './ipam-files.ts';
import { LastGood } from './last-good.ts';
import { lockStore, type StoreLock } from './lock.ts';
import {
  folderOfKind,
  INTERNAL_FOLDER,
  IPAM_FOLDER,
  isEditorFile,
  kindOfFolder,
  resourceFile,
} from './names.ts';
import { IPAM_README, STORE_README } from './readme-texts.ts';
import { ResourceFiles } from './resource-files.ts';
import { RevisionCounter } from './revision-counter.ts';

/** How to open a file store. */
export interface FileStoreOptions {
  /** the store folder; it is made when absent (its parent must be there), for its owner only */
  readonly root: string;
  /** default: the model's YAML */
  readonly codec?: ResourceCodec;
  /** default: everything is admitted */
  readonly admit?: Admission;
  /** for tests */
  readonly fault?: FaultPoint;
}

const KIND_FOLDERS: readonly string[] = KINDS.map(folderOfKind);
const README = 'README';

/**
 * Opens a store folder and reads all of it. Rejects with `StoreLocked` when another process has it open and with `StoreUnavailable`
 * when it cannot be read or written. Invalid files do not fail it; they are `problems()`.
 */
export async function openFileStore(options: FileStoreOptions): Promise<FileStore> {
  const given = resolve(options.root);
  let lock: StoreLock | undefined;
  try {
    await makeFolders(given);
    const root = await realpath(given);
    lock = lockStore(root);
    const store = new FileStore(root, lock, options);
    await store.load();
    return store;
  } catch (error) {
    lock?.release();
    if (errorCode(error) === 'locked') throw error;
    throw unavailable(`cannot open the store ${given}`, error);
  }
}

/** An open store folder. Made by `openFileStore`. */
export class FileStore implements Store {
  readonly #root: string;
  readonly #lock: StoreLock;
  readonly #hub: EventHub;
  readonly #files: AtomicFiles;
  readonly #lastGood: LastGood;
  readonly #resources: ResourceFiles;
  readonly #ipam: IpamFiles;
  readonly #watcher: FolderWatcher;
  /** looks at the disk that are under way */
  readonly #looks = new Set<Promise<void>>();
  #goneReason: string | undefined;
  #isClosed = false;

  constructor(root: string, lock: StoreLock, options: FileStoreOptions) {
    this.#root = root;
    this.#lock = lock;
    const fault = options.fault ?? noFault;
    const revisions = new RevisionCounter(root);
    this.#files = new AtomicFiles(root, fault);
    this.#lastGood = new LastGood(root);
    this.#hub = new EventHub(() => this.#resources.snapshot());
    this.#watcher = new FolderWatcher(root, KIND_FOLDERS, {
      isKnown: (file) => this.#resources.isKnown(file),
      onChanged: async (file) => await this.#look(() => this.#resources.ingest(file), file),
      onRescan: (folder) => void this.#look(() => this.#rescan(folder), folder ?? '.'),
      onTrouble: (trouble) => this.#onTrouble(trouble),
    });
    this.#resources = new ResourceFiles({
      root,
      files: this.#files,
      lastGood: this.#lastGood,
      revisions,
      codec: options.codec ?? yamlCodec,
      admit: options.admit ?? (() => []),
      hub: this.#hub,
      lookAgain: (file) => this.#watcher.markChanged(file),
    });
    this.#ipam = new IpamFiles({ root, files: this.#files, revisions, hub: this.#hub });
  }

  get ipam(): IpamStore {
    return this.#ipam;
  }

  /** Ends what a crash interrupted, starts to watch, reads everything. Called once, by `openFileStore`. */
  async load(): Promise<void> {
    const files = await this.#allFiles();
    for (const file of await this.#files.recover(files)) {
      // Shown once: the person whose edit met our write sees that it has won.
      this.#hub.report({
        location: `${file} (restored)`,
        reasons: ['an edit made during a crash was put back in force'],
      });
    }
    await this.#ipam.load();
    this.#watcher.start();
    for (const folder of KIND_FOLDERS) {
      const found = await this.#listFolder(folder);
      await this.#lastGood.prune(folder, new Set(found));
      for (const file of found) await this.#resources.ingest(file);
    }
    await this.#reportStrangers();
  }

  async get(key: ResourceKey): Promise<Stored | undefined> {
    this.#assertOpen();
    const file = resourceFile(key);
    if (!this.#resources.isKnown(file)) {
      this.#watcher.markChanged(file);
      await this.#watcher.settled(file);
    }
    return this.#resources.get(key);
  }

  async list<K extends Kind>(kind: K): Promise<readonly Stored<ResourceOfKind<K>>[]> {
    this.#assertOpen();
    return listOfKind(kind, this.#resources.ofKind(kind));
  }

  async create(resource: Resource): Promise<Stored> {
    this.#assertOpen();
    return await this.#resources.create(resource);
  }

  async update(resource: Resource, expected: Revision): Promise<Stored> {
    this.#assertOpen();
    return await this.#resources.update(resource, expected);
  }

  async delete(key: ResourceKey, expected?: Revision): Promise<void> {
    this.#assertOpen();
    await this.#resources.delete(key, expected);
  }

  watch(listener: StoreListener): Subscription {
    return this.#hub.watch(listener);
  }

  problems(): readonly StoreProblem[] {
    return this.#hub.problems;
  }

  availability(): StoreAvailability {
    return this.#hub.availability;
  }

  /** Never: whoever moves the contents has the folder open alone. */
  lockReason(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watcher.close();
    this.#hub.closeAll();
    await Promise.all(this.#looks);
    await this.#resources.idle();
    await this.#ipam.close();
    this.#lock.release();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new StoreUnavailable(`the store ${this.#root} is closed`);
    if (this.#goneReason !== undefined) throw new StoreUnavailable(this.#goneReason);
  }

  #onTrouble(trouble: WatchTrouble | undefined): void {
    this.#goneReason = trouble?.isRootGone ? trouble.reason : undefined;
    if (this.#goneReason === undefined) this.#hub.setAvailability({ state: 'available' });
    else this.#hub.setAvailability({ state: 'unavailable', reason: this.#goneReason });
    if (trouble === undefined || trouble.isRootGone) this.#hub.solve('.');
    else this.#hub.report({ location: '.', reasons: [trouble.reason] });
  }

  /** Looks at the disk; a failure is reported and cured by the next look. */
  async #look(work: () => Promise<void>, location: string): Promise<void> {
    if (this.#isClosed || this.#goneReason !== undefined) return;
    const looking = (async () => {
      try {
        await work();
        this.#hub.solve(`${location} (reading)`);
      } catch (error) {
        this.#hub.report({
          location: `${location} (reading)`,
          reasons: [unavailable(`cannot read ${join(this.#root, location)}`, error).message],
        });
      }
    })();
    this.#looks.add(looking);
    await looking;
    this.#looks.delete(looking);
  }

  /** Compares a folder ('' the root, undefined everything) with what is known and has each difference looked at. */
  async #rescan(folder: string | undefined): Promise<void> {
    for (const each of folder === undefined ? KIND_FOLDERS : folder === '' ? [] : [folder]) {
      const files = new Set([...(await this.#listFolder(each)), ...this.#resources.knownIn(each)]);
      for (const file of files) if (!this.#resources.isKnown(file)) this.#watcher.markChanged(file);
    }
    if (folder === undefined || folder === '') await this.#reportStrangers();
  }

  async #listFolder(folder: string): Promise<readonly string[]> {
    try {
      const names = await readdir(join(this.#root, folder));
      return names
        .filter((name) => !isEditorFile(name))
        .sort()
        .map((name) => `${folder}/${name}`);
    } catch (error) {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return [];
      throw error;
    }
  }

  async #allFiles(): Promise<readonly string[]> {
    const folders = [...KIND_FOLDERS, ...IPAM_KINDS.map((kind) => `${IPAM_FOLDER}/${kind}`)];
    return (await Promise.all(folders.map(async (folder) => await this.#listFolder(folder)))).flat();
  }

  async #reportStrangers(): Promise<void> {
    const names = await readdir(this.#root);
    const strangers = names.filter(
      (name) =>
        !isEditorFile(name) &&
        !name.startsWith(README) &&
        name !== IPAM_FOLDER &&
        kindOfFolder(name) === undefined,
    );
    for (const { location } of this.problems()) {
      if (!location.includes('/') && location !== '.' && !strangers.includes(location))
        this.#hub.solve(location);
    }
    for (const name of strangers) {
      if (this.#hub.problemAt(name) !== undefined) continue;
      this.#hub.report({
        location: name,
        reasons: [
          `this is no folder of resources and is ignored: the folders are ${KIND_FOLDERS.join(', ')}`,
        ],
      });
    }
  }
}

async function makeFolders(root: string): Promise<void> {
  if (!existsSync(root)) {
    await mkdir(root, { mode: 0o700 });
    await writeFile(join(root, README), STORE_README, { mode: 0o600 });
  }
  const stats = await lstat(await realpath(root));
  if (!stats.isDirectory()) throw new StoreUnavailable(`${root} is not a folder`);
  // Passwords may stand in resources.
  if ((stats.mode & 0o077) !== 0) await chmod(root, 0o700);
  const internal = [INTERNAL_FOLDER, `${INTERNAL_FOLDER}/tmp`, `${INTERNAL_FOLDER}/good`, IPAM_FOLDER];
  for (const folder of [
    ...internal,
    ...IPAM_KINDS.map((kind) => `${IPAM_FOLDER}/${kind}`),
    ...KIND_FOLDERS,
  ]) {
    await mkdir(join(root, folder), { recursive: true, mode: 0o700 });
  }
  const ipamReadme = join(root, IPAM_FOLDER, README);
  if (!existsSync(ipamReadme)) await writeFile(ipamReadme, IPAM_README, { mode: 0o600 });
}
