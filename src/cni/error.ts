/** Errors of CNI calls (specification 1.1.0, section 5, Error). */

/** Codes of the specification; from 100 on they are the plugin's own. */
export const CNI_CODE = {
  unsupportedVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  undecodable: 6,
  badConfiguration: 7,
  tryAgain: 11,
  notAvailable: 50,
  notAvailableAndLimited: 51,
  /** what is asked for belongs to somebody else: an address, a port of the host, an interface's name */
  conflict: 100,
  /** the container cannot be attached as asked */
  notAttachable: 101,
  /** a CHECK found something missing */
  damaged: 102,
  /** a GC could not remove everything */
  incomplete: 103,
  internal: 999,
} as const;

export type CniCode = (typeof CNI_CODE)[keyof typeof CNI_CODE];

/** A refusal: the message says what is wrong, the details what to do about it. */
export class CniError extends Error {
  readonly code: CniCode;
  readonly details: string | undefined;

  constructor(code: CniCode, message: string, details?: string) {
    super(message);
    this.name = 'CniError';
    this.code = code;
    this.details = details;
  }
}
