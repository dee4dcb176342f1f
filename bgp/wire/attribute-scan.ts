/** Where each path attribute of an UPDATE stands and whether it may be used: one pass, no allocation for a good message. */
import type { Family } from '../../src/net/address.ts';
import { ATTRIBUTE_TABLE, attributeName } from './attribute-table.ts';
import { uint16 } from './bytes.ts';
import { type Findings, finding } from './findings.ts';
import { ATTRIBUTE, FLAG, familyOf, UPDATE_ERROR } from './registry.ts';
import type { DecodeContext } from './types.ts';

const KIND_MASK = FLAG.optional | FLAG.transitive;

const MALFORMED_LIST = UPDATE_ERROR.malformedAttributeList;

/** Attributes are numbered in the order in which they stand in the message; the number indexes all columns. */
export class AttributeScan {
  /** attributes noted, first occurrences only, those found wrong included */
  count = 0;
  readonly #codes = new Uint8Array(256);
  readonly #flags = new Uint8Array(256);
  /** of the whole attribute */
  readonly #heads = new Int32Array(256);
  /** of the value */
  readonly #starts = new Int32Array(256);
  readonly #ends = new Int32Array(256);
  /** 1: it may be used */
  readonly #usable = new Uint8Array(256);
  /** code -> number + 1 if `#stampOf[code]` is the present stamp */
  readonly #numberOf = new Int16Array(256);
  readonly #stampOf = new Int32Array(256);
  #stamp = 0;

  /** Notes the attributes in `body[start..end)` and adds what is wrong with them to `findings`. */
  read(body: Uint8Array, start: number, end: number, context: DecodeContext, findings: Findings): void {
    if (++this.#stamp === 0x7fffffff) {
      this.#stampOf.fill(0);
      this.#stamp = 1;
    }
    this.count = 0;
    let at = start;
    while (at < end) {
      const flags = body[at] ?? 0;
      const extended = (flags & FLAG.extendedLength) !== 0;
      // RFC 7606 4: too few octets for an attribute, or for its value.
      if (end - at < (extended ? 4 : 3)) {
        findings.add(
          finding(
            'treat-as-withdraw',
            MALFORMED_LIST,
            `${end - at} octets are left after the last attribute`,
          ),
          0,
        );
        return;
      }
      const code = body[at + 1] ?? 0;
      const valueStart = at + (extended ? 4 : 3);
      const valueEnd = valueStart + (extended ? uint16(body, at + 2) : (body[at + 2] ?? 0));
      if (valueEnd > end) {
        // An MP_REACH_NLRI or MP_UNREACH_NLRI that cannot be parsed leaves nothing that could be withdrawn: 3(j).
        const action =
          code === ATTRIBUTE.mpReachNlri || code === ATTRIBUTE.mpUnreachNlri
            ? 'session-reset'
            : 'treat-as-withdraw';
        findings.add(
          finding(action, MALFORMED_LIST, `${attributeName(code)} runs past the end of the attributes`),
          code,
        );
        return;
      }
      if (this.#stampOf[code] === this.#stamp) this.#repeated(code, findings);
      else this.#note(body, at, code, flags, valueStart, valueEnd, context, findings);
      at = valueEnd;
    }
  }

  /** RFC 7606 3(g) */
  #repeated(code: number, findings: Findings): void {
    const action =
      code === ATTRIBUTE.mpReachNlri || code === ATTRIBUTE.mpUnreachNlri
        ? 'session-reset'
        : 'attribute-discard';
    findings.add(finding(action, MALFORMED_LIST, `${attributeName(code)} appears more than once`), code);
  }

  #note(
    body: Uint8Array,
    at: number,
    code: number,
    flags: number,
    valueStart: number,
    valueEnd: number,
    context: DecodeContext,
    findings: Findings,
  ): void {
    const number = this.count++;
    this.#stampOf[code] = this.#stamp;
    this.#numberOf[code] = number;
    this.#codes[number] = code;
    this.#flags[number] = flags;
    this.#heads[number] = at;
    this.#starts[number] = valueStart;
    this.#ends[number] = valueEnd;
    const row = ATTRIBUTE_TABLE[code];
    if (row === undefined) {
      this.#usable[number] = 1;
      if ((flags & FLAG.optional) !== 0) return;
      // RFC 4271 6.3, left as it is by RFC 7606.
      findings.add(
        finding(
          'session-reset',
          UPDATE_ERROR.unrecognizedWellKnownAttribute,
          `well-known attribute ${code} is unknown`,
        ),
        code,
        body.subarray(at, valueEnd),
      );
      return;
    }
    if ((flags & KIND_MASK) !== row.flags) {
      this.#usable[number] = 0;
      const subcode =
        row.onFlagConflict === 'session-reset' ? UPDATE_ERROR.optionalAttribute : UPDATE_ERROR.attributeFlags;
      const found = finding(
        row.onFlagConflict,
        subcode,
        `${row.name} with flags 0x${flags.toString(16).padStart(2, '0')}`,
      );
      findings.add(found, code, body.subarray(at, valueEnd));
      return;
    }
    const found = row.check(body, valueStart, valueEnd, context);
    this.#usable[number] = found === undefined ? 1 : 0;
    if (found !== undefined) findings.add(found, code, body.subarray(at, valueEnd));
  }

  /** Whether the attribute was there, usable or not. */
  has(code: number): boolean {
    return this.#stampOf[code] === this.#stamp;
  }

  /** The number of a usable attribute, or -1. */
  indexOf(code: number): number {
    if (this.#stampOf[code] !== this.#stamp) return -1;
    const number = this.#numberOf[code] ?? 0;
    return this.#usable[number] === 1 ? number : -1;
  }

  code(number: number): number {
    return this.#codes[number] ?? 0;
  }

  flags(number: number): number {
    return this.#flags[number] ?? 0;
  }

  /** First octet of the value. */
  start(number: number): number {
    return this.#starts[number] ?? 0;
  }

  /** First octet after the value. */
  end(number: number): number {
    return this.#ends[number] ?? 0;
  }

  isUsable(number: number): boolean {
    return this.#usable[number] === 1;
  }

  /** The whole attribute, type and length included: what a NOTIFICATION carries (RFC 4271 6.3). Borrowed. */
  octets(body: Uint8Array, number: number): Uint8Array {
    return body.subarray(this.#heads[number] ?? 0, this.end(number));
  }

  /** The negotiated family that an MP attribute names, or undefined: then it is ignored intact. */
  familyAt(body: Uint8Array, number: number, context: DecodeContext): Family | undefined {
    const at = this.start(number);
    const family = familyOf(uint16(body, at), body[at + 2] ?? 0);
    return family !== undefined && context.families[family] ? family : undefined;
  }
}
