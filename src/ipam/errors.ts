/** Why IPAM could not serve a request. `code` is stable; the message is a sentence that names pool, block and holders. */

/** Calico's bound on retries of one operation. */
export const MAX_ATTEMPTS = 100;

/** Any refusal of IPAM. Nothing was given out, or what was has been taken back. */
export class IpamError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
  }
}

/** No pool of the family may serve this node. */
export class NoPool extends IpamError {
  constructor(message: string) {
    super('no-pool', message);
  }
}

/** Every pool that may serve is used up. */
export class PoolsExhausted extends IpamError {
  constructor(message: string) {
    super('exhausted', message);
  }
}

/** The address asked for by value cannot be had. */
export class AddressUnavailable extends IpamError {
  constructor(message: string) {
    super('address-unavailable', message);
  }
}

/** Others changed the same documents again and again. */
export class TooMuchContention extends IpamError {
  constructor(what: string, attempts: number) {
    super(
      'contention',
      `${what}: given up after ${attempts} attempts, because others keep changing the same blocks`,
    );
  }
}

/** The operation could not be finished in its time. Nothing was given out. */
export class TimeIsUp extends IpamError {
  constructor(what: string, limitMs: number) {
    super('timeout', `${what}: given up after ${limitMs / 1000} s; is the store slow?`);
  }
}
