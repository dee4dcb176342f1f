/**
 * The resources of a file store: what each file holds, what of it is in force, and the rule that a file which changed under us is
 * read again before anything is written over it.
 */
import { constants, lstatSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kind } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { formatKey, keyOf, type Resource } from '../../model/types.ts';
import type { Admission, ResourceCodec } from '../codec.ts';
import { AlreadyExists, NotAdmitted, NotFound, NotStorable, RevisionConflict } from '../errors.ts';
import { KeyedMutex } from '../keyed-mutex.ts';
import type { Revision, Stored, StoreEvent, StoreProblem } from '../types.ts';
import { type AtomicFiles, type ContentHash, contentHash, errorCode, unavailable } from './atomic-files.ts';
import type { EventHub } from './event-hub.ts';
import type { LastGood } from './last-good.ts';
import { isEditorFile, keyOfFile, kindOfFolder, resourceFile } from './names.ts';
import { isSameRevision, type RevisionCounter } from './revision-counter.ts';

// etcd's default request limit, so that what is stored here can move there.
const MAX_FILE_OCTETS = 1_500_000;

/** Which version of a file's inode was looked at. */
interface FileVersion {
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

interface InForce {
  readonly stored: Stored;
  readonly hash: ContentHash;
}

interface FileRecord {
  readonly key: ResourceKey | undefined;
  version: FileVersion | undefined;
  /** of the file as it was last seen, valid or not; undefined when it could not be read */
  hash: ContentHash | undefined;
  inForce: InForce | undefined;
  /** the problem comes from the resources beside it, and may go when they change */
  isRefusedByOthers: boolean;
}

/** What this class works with. */
export interface ResourceFilesOptions {
  readonly root: string;
  readonly files: AtomicFiles;
  readonly lastGood: LastGood;
  readonly revisions: RevisionCounter;
  readonly codec: ResourceCodec;
  readonly admit: Admission;
  readonly hub: EventHub;
  /** asks for another look at a file that is being changed */
  readonly lookAgain: (file: string) => void;
}

type Reading =
  | { readonly state: 'absent' }
  | { readonly state: 'unsteady' }
  | { readonly state: 'unreadable'; readonly reason: string; readonly version: FileVersion | undefined }
  | { readonly state: 'content'; readonly content: Uint8Array; readonly version: FileVersion };

/** The resource files. File names are `folder/file`, relative to the root. */
export class ResourceFiles {
  readonly #options: ResourceFilesOptions;
  readonly #records = new Map<string, FileRecord>();
  readonly #mutex = new KeyedMutex();

  constructor(options: ResourceFilesOptions) {
    this.#options = options;
  }

  get(key: ResourceKey): Stored | undefined {
    return this.#records.get(resourceFile(key))?.inForce?.stored;
  }

  /** Every resource in force of a kind, in no particular order. */
  *ofKind(kind: Kind): Generator<Stored> {
    for (const { key, inForce } of this.#records.values()) {
      if (key?.kind === kind && inForce !== undefined) yield inForce.stored;
    }
  }

  /** Everything in force, as events. */
  *snapshot(): Generator<StoreEvent> {
    for (const { inForce } of this.#records.values()) if (inForce !== undefined) yield upsert(inForce.stored);
  }

  /** Names of the files known in a folder. */
  knownIn(folder: string): readonly string[] {
    return Array.from(this.#records.keys()).filter((file) => file.startsWith(`${folder}/`));
  }

  /** Whether nothing about the file has changed since it was last read or written here. */
  isKnown(file: string): boolean {
    if (isEditorFile(file.slice(file.indexOf('/') + 1))) return true;
    const stats = lstatSync(join(this.#options.root, file), { bigint: true, throwIfNoEntry: false });
    const record = this.#records.get(file);
    if (stats === undefined || record?.version === undefined)
      return stats === undefined && record === undefined;
    return isSameVersion(record.version, versionOf(stats));
  }

  async create(resource: Resource): Promise<Stored> {
    const key = keyOf(resource);
    const file = resourceFile(key);
    return await this.#mutex.run(file, async () => {
      if (this.#records.get(file) !== undefined) throw new AlreadyExists(formatKey(key));
      const content = this.#encode(resource, key);
      let stored: Stored | undefined;
      const onSwapped = (hash: ContentHash): void => {
        stored = this.#written(file, key, resource, content, hash);
      };
      const swap = await this.#options.files.create(file, content, { onSwapped });
      if (swap.ok && stored !== undefined) return stored;
      this.#options.lookAgain(file);
      throw new AlreadyExists(formatKey(key));
    });
  }

  async update(resource: Resource, expected: Revision): Promise<Stored> {
    const key = keyOf(resource);
    const file = resourceFile(key);
    return await this.#mutex.run(file, async () => {
      const record = this.#records.get(file);
      const hash = this.#hashToReplace(key, file, record, expected);
      const content = this.#encode(resource, key);
      if (record?.inForce?.hash === hash && contentHash(content) === hash) return record.inForce.stored;
      let stored: Stored | undefined;
      const onSwapped = (written: ContentHash): void => {
        stored = this.#written(file, key, resource, content, written);
      };
      const swap = await this.#options.files.replace(file, content, hash, { onSwapped });
      if (swap.ok && stored !== undefined) return stored;
      throw this.#changedByHand(key, file, expected);
    });
  }

  async delete(key: ResourceKey, expected: Revision | undefined): Promise<void> {
    const file = resourceFile(key);
    await this.#mutex.run(file, async () => {
      const record = this.#records.get(file);
      const revision =
        expected ?? this.#options.hub.problemAt(file)?.revision ?? record?.inForce?.stored.revision;
      if (record === undefined || revision === undefined) throw new NotFound(formatKey(key));
      const hash = this.#hashToReplace(key, file, record, revision);
      const swap = await this.#options.files.remove(file, hash, { onSwapped: () => void this.#gone(file) });
      if (!swap.ok) throw this.#changedByHand(key, file, revision);
    });
    this.#reconsiderRefused();
  }

  /** Reads a file and puts what it holds in force, or keeps what is in force and reports why. */
  async ingest(file: string): Promise<void> {
    const isChanged = await this.#mutex.run(file, async () => await this.#ingestLocked(file));
    if (isChanged) this.#reconsiderRefused();
  }

  async idle(): Promise<void> {
    await this.#mutex.idle();
  }

  async #ingestLocked(file: string): Promise<boolean> {
    const { root, hub } = this.#options;
    const reading = await readResourceFile(join(root, file));
    const record = this.#records.get(file) ?? newRecord(file);
    switch (reading.state) {
      case 'absent':
        return this.#gone(file);
      case 'unsteady':
        this.#options.lookAgain(file);
        return false;
      case 'unreadable':
        this.#records.set(file, record);
        record.version = reading.version;
        record.hash = undefined;
        return await this.#keepLastGood(file, record, [reading.reason]);
      case 'content':
        break;
    }
    const { content } = reading;
    const hash = contentHash(content);
    record.version = reading.version;
    if (record.hash === hash && !record.isRefusedByOthers) return false;
    this.#records.set(file, record);
    record.hash = hash;
    record.isRefusedByOthers = false;
    if (record.inForce?.hash === hash) {
      hub.solve(file);
      return false;
    }
    const decoded = this.#decode(file, record.key, content);
    if (!decoded.ok) {
      record.isRefusedByOthers = decoded.isRefusedByOthers;
      return await this.#keepLastGood(file, record, decoded.reasons);
    }
    this.#putInForce(file, record, decoded.resource, hash);
    this.#saveLastGood(file, content);
    return true;
  }

  /** Reports the reasons; when nothing is in force (at the start), the copy of the last valid content comes into force. */
  async #keepLastGood(file: string, record: FileRecord, reasons: readonly string[]): Promise<boolean> {
    const { hub, revisions } = this.#options;
    let isChanged = false;
    if (record.inForce === undefined && record.key !== undefined) {
      const copy = await this.#options.lastGood.load(file);
      const decoded = copy && this.#decode(file, record.key, copy);
      if (copy !== undefined && decoded?.ok) {
        this.#putInForce(file, record, decoded.resource, contentHash(copy));
        isChanged = true;
      }
    }
    const problem: StoreProblem = {
      location: file,
      reasons,
      ...(record.key && { key: record.key }),
      ...(record.inForce && { inForce: record.inForce.stored.revision }),
      ...(record.hash !== undefined && { revision: revisions.next(record.hash) }),
    };
    hub.report(problem);
    return isChanged;
  }

  #written(
    file: string,
    key: ResourceKey,
    resource: Resource,
    content: Uint8Array,
    hash: ContentHash,
  ): Stored {
    const record = this.#records.get(file) ?? { ...newRecord(file), key };
    this.#records.set(file, record);
    const stats = lstatSync(join(this.#options.root, file), { bigint: true, throwIfNoEntry: false });
    record.version = stats && versionOf(stats);
    record.hash = hash;
    record.isRefusedByOthers = false;
    this.#saveLastGood(file, content);
    const stored = this.#putInForce(file, record, resource, hash);
    this.#reconsiderRefused();
    return stored;
  }

  #putInForce(file: string, record: FileRecord, resource: Resource, hash: ContentHash): Stored {
    const stored: Stored = { resource, revision: this.#options.revisions.next(hash) };
    record.inForce = { stored, hash };
    this.#options.hub.emit(upsert(stored));
    this.#options.hub.solve(file);
    return stored;
  }

  #gone(file: string): boolean {
    const record = this.#records.get(file);
    this.#records.delete(file);
    this.#options.lastGood.forget(file);
    this.#options.hub.solve(file);
    if (record?.inForce === undefined || record.key === undefined) return false;
    this.#options.hub.emit({ type: 'delete', key: record.key, revision: record.inForce.stored.revision });
    return true;
  }

  #saveLastGood(file: string, content: Uint8Array): void {
    try {
      this.#options.lastGood.save(file, content);
    } catch (error) {
      // The resource itself is safe; only the fallback is missing until the next change.
      this.#options.hub.report({
        location: `${file} (copy)`,
        reasons: [unavailable('the copy of the last good version was not written', error).message],
      });
      return;
    }
    this.#options.hub.solve(`${file} (copy)`);
  }

  /** The content hash that a writer with this revision means to replace. Throws when it is not what is there. */
  #hashToReplace(
    key: ResourceKey,
    file: string,
    record: FileRecord | undefined,
    expected: Revision,
  ): ContentHash {
    const problem = this.#options.hub.problemAt(file);
    if (record === undefined) throw new NotFound(formatKey(key));
    if (problem !== undefined) {
      if (
        problem.revision !== undefined &&
        isSameRevision(problem.revision, expected) &&
        record.hash !== undefined
      ) {
        return record.hash;
      }
      const detail = `its file ${file} holds an invalid edit (${problem.reasons.join('; ')}): mend or remove the file first`;
      throw new RevisionConflict(formatKey(key), expected, problem.revision, detail);
    }
    const current = record.inForce;
    if (current === undefined) throw new NotFound(formatKey(key));
    if (isSameRevision(current.stored.revision, expected)) return current.hash;
    throw new RevisionConflict(formatKey(key), expected, current.stored.revision);
  }

  #changedByHand(key: ResourceKey, file: string, expected: Revision): RevisionConflict {
    this.#options.lookAgain(file);
    return new RevisionConflict(
      formatKey(key),
      expected,
      undefined,
      `its file ${file} was just changed by hand; read it again`,
    );
  }

  #encode(resource: Resource, key: ResourceKey): Uint8Array {
    const reasons = this.#options.admit(resource, this.#others(key));
    if (reasons.length > 0) throw new NotAdmitted(formatKey(key), reasons);
    const content = Buffer.from(this.#options.codec.encode(resource));
    if (content.length > MAX_FILE_OCTETS) {
      throw new NotStorable(
        `${formatKey(key)} is too large: ${content.length} octets of at most ${MAX_FILE_OCTETS}`,
      );
    }
    return content;
  }

  #decode(
    file: string,
    key: ResourceKey | undefined,
    content: Uint8Array,
  ):
    | { readonly ok: true; readonly resource: Resource }
    | { readonly ok: false; readonly reasons: readonly string[]; readonly isRefusedByOthers: boolean } {
    const invalid = (...reasons: string[]) => ({ ok: false, reasons, isRefusedByOthers: false }) as const;
    if (key === undefined) return invalid(reasonOfName(file));
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(content);
    } catch {
      return invalid('the file is not UTF-8 text');
    }
    if (text.trim() === '') return invalid('the file is empty');
    const decoded = this.#options.codec.decode(text);
    if (!decoded.ok) return invalid(...decoded.reasons);
    const found = keyOf(decoded.resource);
    if (formatKey(found) !== formatKey(key)) {
      return invalid(
        `the file holds ${formatKey(found)}, but its name stands for ${formatKey(key)}: move it to ${resourceFile(found)} or change its content`,
      );
    }
    const reasons = this.#options.admit(decoded.resource, this.#others(key));
    if (reasons.length > 0) return { ok: false, reasons, isRefusedByOthers: true };
    return { ok: true, resource: decoded.resource };
  }

  *#others(key: ResourceKey): Generator<Resource> {
    const own = formatKey(key);
    for (const { inForce } of this.#records.values()) {
      if (inForce !== undefined && formatKey(keyOf(inForce.stored.resource)) !== own)
        yield inForce.stored.resource;
    }
  }

  #reconsiderRefused(): void {
    for (const [file, record] of this.#records) if (record.isRefusedByOthers) this.#options.lookAgain(file);
  }
}

function upsert(stored: Stored): StoreEvent {
  return {
    type: 'upsert',
    key: keyOf(stored.resource),
    resource: stored.resource,
    revision: stored.revision,
  };
}

function newRecord(file: string): FileRecord {
  return {
    key: canonicalKey(file),
    version: undefined,
    hash: undefined,
    inForce: undefined,
    isRefusedByOthers: false,
  };
}

function canonicalKey(file: string): ResourceKey | undefined {
  const [folder = '', name = ''] = file.split('/');
  const kind = kindOfFolder(folder);
  const key = kind && keyOfFile(kind, name);
  return key === undefined || 'reason' in key || resourceFile(key) !== file ? undefined : key;
}

function reasonOfName(file: string): string {
  const [folder = '', name = ''] = file.split('/');
  const kind = kindOfFolder(folder);
  const key = kind && keyOfFile(kind, name);
  if (key === undefined) return 'this folder is not one of a resource kind';
  return 'reason' in key ? key.reason : `the file must be named ${resourceFile(key)}`;
}

async function readResourceFile(path: string): Promise<Reading> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    switch (errorCode(error)) {
      case 'ENOENT':
      case 'ENOTDIR':
        return { state: 'absent' };
      case 'ELOOP':
        return unreadable('symbolic links are not followed: put the file itself here');
      default:
        return unreadable(
          `the file cannot be read: ${error instanceof Error ? error.message : String(error)}`,
        );
    }
  }
  try {
    const before = await handle.stat({ bigint: true });
    const version = versionOf(before);
    if (!before.isFile()) return { ...unreadable('this is not a regular file'), version };
    if (before.size > BigInt(MAX_FILE_OCTETS)) {
      return { ...unreadable(`the file is larger than ${MAX_FILE_OCTETS} octets`), version };
    }
    const content = await handle.readFile();
    const after = versionOf(await handle.stat({ bigint: true }));
    return isSameVersion(version, after) ? { state: 'content', content, version } : { state: 'unsteady' };
  } catch (error) {
    return unreadable(`the file cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await handle.close();
  }
}

function unreadable(reason: string): Extract<Reading, { state: 'unreadable' }> {
  return { state: 'unreadable', reason, version: undefined };
}

function versionOf(stats: { ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): FileVersion {
  return { inode: stats.ino, size: stats.size, modifiedNs: stats.mtimeNs, changedNs: stats.ctimeNs };
}

function isSameVersion(a: FileVersion, b: FileVersion): boolean {
  return (
    a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs
  );
}
