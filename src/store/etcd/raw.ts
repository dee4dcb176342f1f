/** What comes out of etcd before anybody has looked into it. */

/** A key with its value. Revisions are etcd's; they stay far below 2^53. */
export interface RawEntry {
  readonly key: string;
  /** UTF-8 text; octets that are none become U+FFFD and fail later as JSON or as a name */
  readonly text: string;
  readonly modRevision: number;
  readonly createRevision: number;
}

/** Takes the changes of keys. Called once a version, in the order of the revisions of each key. */
export interface KeySink {
  /** `isBulk`: of the first list of this run, or of what is known from the last one */
  put(entry: RawEntry, isBulk: boolean): void;
  /** `revision` is that of the version which went */
  remove(key: string, revision: number): void;
}
