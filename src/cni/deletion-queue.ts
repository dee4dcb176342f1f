/**
 * The folder in which the plugin leaves DELs while no agent takes them. Worked off at start and whenever something appears there; what
 * fails stays and is tried again with back-off. One file for an attachment, whose name both sides make of its three values.
 */
import { createHash } from 'node:crypto';
import {
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
} from 'node:fs';
import { join } from 'node:path';
import { CoalescedTask } from '../agent/coalesced.ts';
import type { Log } from '../agent/log.ts';
import { isRecord } from '../model/record.ts';
import type { Attachment } from './call.ts';

/** `HASH.json`; what begins with a dot is being written. */
const ENTRY = /^[0-9a-f]{40}\.json$/;

/** The name of an attachment's file. `ocicat-cni.cjs` makes the same. */
export function entryName({ network, containerId, ifname }: Attachment): string {
  const hash = createHash('sha256').update(`${network}\0${containerId}\0${ifname}`).digest('hex');
  return `${hash.slice(0, 40)}.json`;
}

// Throws when it is none.
function readEntry(content: string): Attachment {
  const entry: unknown = JSON.parse(content);
  const member = (name: keyof Attachment): string => {
    const given = isRecord(entry) ? entry[name] : undefined;
    if (typeof given !== 'string' || given === '') throw new Error(`${name}: expected a text`);
    return given;
  };
  return { network: member('network'), containerId: member('containerId'), ifname: member('ifname') };
}

/** Owns the folder's work. */
export class DeletionQueue {
  readonly #folder: string;
  readonly #log: Log;
  readonly #work: (attachment: Attachment) => Promise<void>;
  readonly #task: CoalescedTask;
  #watcher: FSWatcher | undefined;
  /** identity of the folder that the watcher follows */
  #watched: string | undefined;

  /** `work` deletes one attachment and then calls `done` for it; it may find that somebody else did so meanwhile. */
  constructor(folder: string, log: Log, work: (attachment: Attachment) => Promise<void>) {
    this.#folder = folder;
    this.#log = log;
    this.#work = work;
    this.#task = new CoalescedTask(
      () => this.#run(),
      (error) => log.error({ error, folder }, 'queued DELs cannot be worked off; tried again'),
    );
  }

  /** Works off what is there and follows the folder. */
  start(): void {
    this.#task.trigger();
  }

  async close(): Promise<void> {
    this.#watcher?.close();
    await this.#task.close();
  }

  /** Whether a DEL of the attachment is queued. */
  holds(attachment: Attachment): boolean {
    return statSync(this.#path(attachment), { throwIfNoEntry: false }) !== undefined;
  }

  /** The attachment is deleted: its file goes. */
  done(attachment: Attachment): void {
    rmSync(this.#path(attachment), { force: true });
  }

  /** How many DELs wait. */
  get length(): number {
    try {
      return readdirSync(this.#folder).filter((name) => ENTRY.test(name)).length;
    } catch {
      return 0;
    }
  }

  #path(attachment: Attachment): string {
    return join(this.#folder, entryName(attachment));
  }

  async #run(): Promise<{ afterMs?: number }> {
    this.#follow();
    let failure: unknown;
    for (const name of readdirSync(this.#folder)) {
      if (!ENTRY.test(name)) continue;
      const attachment = this.#read(name);
      if (attachment === undefined) continue;
      try {
        await this.#work(attachment);
        this.#log.info({ ...attachment }, 'a queued DEL is done');
      } catch (error) {
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    return {};
  }

  // Somebody may remove the folder; the plugin makes it again. The new folder often has the inode number of the old one.
  #follow(): void {
    const made = mkdirSync(this.#folder, { recursive: true, mode: 0o700 }) !== undefined;
    const { ino, birthtimeNs } = statSync(this.#folder, { bigint: true });
    const identity = `${ino} ${birthtimeNs}`;
    if (!made && identity === this.#watched) return;
    this.#watcher?.close();
    this.#watcher = watch(this.#folder, { persistent: false }, () => this.#task.trigger());
    this.#watcher.on('error', () => this.#task.trigger());
    this.#watched = identity;
  }

  #read(name: string): Attachment | undefined {
    const path = join(this.#folder, name);
    try {
      return readEntry(readFileSync(path, 'utf8'));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      this.#log.error({ error, path }, 'a queued DEL cannot be read; it is put aside');
      renameSync(path, `${path}.unreadable`);
      return undefined;
    }
  }
}
