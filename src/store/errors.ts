/** What a store can refuse, as classes. `code` is stable and meant for programs; the message is a sentence for people. */
import type { Revision } from './types.ts';

/** Any failure of a store. */
export class StoreError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The key is not in the store. */
export class NotFound extends StoreError {
  constructor(what: string) {
    super('not-found', `${what} does not exist`);
  }
}

/** The key is in the store already. */
export class AlreadyExists extends StoreError {
  constructor(what: string) {
    super('already-exists', `${what} exists already`);
  }
}

/** The key is at another version than the writer thinks: read again, decide again, write again. */
export class RevisionConflict extends StoreError {
  readonly expected: Revision;
  /** the version in the store; undefined when the key is gone or cannot be read */
  readonly actual: Revision | undefined;

  constructor(what: string, expected: Revision, actual: Revision | undefined, detail?: string) {
    super(
      'revision-conflict',
      detail === undefined
        ? `${what} was changed by someone else meanwhile (expected revision ${expected}, found ${actual ?? 'none'})`
        : `${what}: ${detail}`,
    );
    this.expected = expected;
    this.actual = actual;
  }
}

/** The name or size of something does not fit into the store. */
export class NotStorable extends StoreError {
  constructor(message: string) {
    super('not-storable', message);
  }
}

/** A resource may not stand beside those that are there (overlapping pools, for instance). Nothing was applied. */
export class NotAdmitted extends StoreError {
  readonly reasons: readonly string[];

  constructor(what: string, reasons: readonly string[]) {
    super('not-admitted', `${what} is refused: ${reasons.join('; ')}`);
    this.reasons = reasons;
  }
}

/** The store cannot be reached, read or written now: disk full, no permission, connection lost. Nothing was applied, but see below. */
export class StoreUnavailable extends StoreError {
  constructor(message: string, options?: ErrorOptions) {
    super('unavailable', message, options);
  }
}

/**
 * A write was sent and its answer never came: it may have taken effect, and it may still do so a moment later. The next `get` of the key
 * asks the store itself; so read again before anything is decided, and undo nothing that the write would need if it did take effect.
 */
export class OutcomeUnknown extends StoreUnavailable {}

/** Another living process has the store open. */
export class StoreLocked extends StoreError {
  constructor(message: string) {
    super('locked', message);
  }
}

/** An IPAM document cannot be read. It is never guessed at: its addresses stay taken until a person mends or removes it. */
export class DocumentDamaged extends StoreError {
  readonly location: string;

  constructor(location: string, reason: string) {
    super('document-damaged', `${location} is damaged: ${reason}`);
    this.location = location;
  }
}
