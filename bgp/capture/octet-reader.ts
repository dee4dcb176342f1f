/** A cursor over one record of a dump. Reading past its end throws a CaptureError that tells where. */

import { uint16, uint32 } from '../wire/bytes.ts';
import { AFI } from '../wire/registry.ts';
import { CaptureError } from './capture-error.ts';

export class OctetReader {
  readonly #octets: Uint8Array;
  /** of the record within the file */
  readonly #offset: number;
  #at = 0;

  constructor(octets: Uint8Array, offset: number) {
    this.#octets = octets;
    this.#offset = offset;
  }

  /** Octets that are left. */
  get rest(): number {
    return this.#octets.length - this.#at;
  }

  uint8(): number {
    return this.#octets[this.#move(1)] ?? 0;
  }

  uint16(): number {
    return uint16(this.#octets, this.#move(2));
  }

  uint32(): number {
    return uint32(this.#octets, this.#move(4));
  }

  /** The next octets, borrowed. */
  take(count: number): Uint8Array {
    const start = this.#move(count);
    return this.#octets.subarray(start, start + count);
  }

  /** An error at the present place. */
  fail(message: string): CaptureError {
    return new CaptureError(message, this.#offset + this.#at);
  }

  #move(count: number): number {
    if (count > this.rest) throw this.fail('a record is shorter than what it says it holds');
    const start = this.#at;
    this.#at += count;
    return start;
  }
}

/** Octets of an address of this AFI. Throws a CaptureError for others than IPv4 and IPv6. */
export function addressBody(afi: number, reader: OctetReader): 4 | 16 {
  if (afi === AFI.ipv4) return 4;
  if (afi === AFI.ipv6) return 16;
  throw reader.fail(`an address family ${afi}, where IPv4 (1) or IPv6 (2) is meant`);
}
