/** Making test messages out of hexadecimal text, and comparing verdicts. White space in hexadecimal text does not matter. */
import assert from 'node:assert/strict';
import {
  DEFAULT_VERDICT_CONTEXT,
  type MessageVerdict,
  type RouteOutput,
  type VerdictContext,
  verdictOf,
} from '../../../../bgp/wire/verdict.ts';

export const MARKER = 'ff'.repeat(16);

/** Octets of hexadecimal text. */
export function octets(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replace(/\s+/g, ''));
}

function count(hex: string): number {
  return hex.replace(/\s+/g, '').length / 2;
}

function hex16(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** A message with a right header. */
export function message(type: number, body: string): string {
  return `${MARKER}${hex16(19 + count(body))}${type.toString(16).padStart(2, '0')}${body}`;
}

/** An UPDATE whose length fields are right. */
export function update(parts: { withdrawn?: string; attributes?: string; nlri?: string }): string {
  const { withdrawn = '', attributes = '', nlri = '' } = parts;
  return message(2, `${hex16(count(withdrawn))}${withdrawn}${hex16(count(attributes))}${attributes}${nlri}`);
}

/** An attribute with a one-octet length. */
export function attribute(flags: string, code: number, value: string): string {
  return `${flags}${code.toString(16).padStart(2, '0')}${count(value).toString(16).padStart(2, '0')}${value}`;
}

export const ORIGIN_IGP = '40010100';
/** one sequence: 65001 */
export const AS_PATH = '40020602010000fde9';
/** 192.0.2.1 */
export const NEXT_HOP = '400304c0000201';
export const MANDATORY = `${ORIGIN_IGP}${AS_PATH}${NEXT_HOP}`;
/** 203.0.113.0/24 */
export const NLRI = '18cb0071';
/** 198.51.100.0/24 */
export const OTHER_NLRI = '18c63364';
/** IPv6 unicast, next hop 2001:db8::1 */
export const MP_REACH_HEAD = '0002 01 10 20010db8000000000000000000000001 00';
/** 2001:db8:1::/48 */
export const NLRI6 = '3020010db80001';
export const MP_REACH = attribute('80', 14, `${MP_REACH_HEAD}${NLRI6}`);

export interface Expected {
  readonly verdict: MessageVerdict['verdict'];
  /** `3/1`, with data `3/9:800e03...`; absent: no NOTIFICATION */
  readonly error?: string;
  readonly announced?: readonly string[];
  readonly withdrawn?: readonly string[];
  /** a part of the decoded attributes */
  readonly attributes?: Readonly<Record<string, unknown>>;
  /** names that must not be among the attributes */
  readonly without?: readonly string[];
}

export interface Case {
  readonly name: string;
  readonly hex: string;
  readonly context?: Partial<VerdictContext>;
  readonly expect: Expected;
}

/** One test for each case. */
export function verdictTests(cases: readonly Case[]): void {
  for (const { name, hex, context, expect } of cases) {
    it(name, () => {
      const found = verdictOf(octets(hex), { ...DEFAULT_VERDICT_CONTEXT, ...context });
      assert.equal(found.verdict, expect.verdict, found.why);
      assert.equal(errorText(found), expect.error?.replace(/\s+/g, '') ?? 'none', found.why);
      if (expect.announced || expect.withdrawn || expect.attributes || expect.without) {
        const { announced, withdrawn, attributes } = updateOf(found);
        assert.deepEqual(announced.map(routeText), expect.announced ?? []);
        assert.deepEqual(withdrawn.map(routeText), expect.withdrawn ?? []);
        for (const [key, value] of Object.entries(expect.attributes ?? {})) {
          assert.deepEqual(attributes[key], value, key);
        }
        for (const key of expect.without ?? []) assert.ok(!(key in attributes), key);
      }
    });
  }
}

function errorText({ error }: MessageVerdict): string {
  if (error === null) return 'none';
  return `${error.code}/${error.subcode}${error.data === '' ? '' : `:${error.data}`}`;
}

/** The decoded UPDATE of a verdict. */
export function updateOf(found: MessageVerdict): {
  readonly announced: readonly RouteOutput[];
  readonly withdrawn: readonly RouteOutput[];
  readonly attributes: Readonly<Record<string, unknown>>;
} {
  const { decoded } = found;
  assert.ok(decoded !== null && 'announced' in decoded, 'a decoded UPDATE');
  const { announced, withdrawn, attributes } = decoded;
  assert.ok(Array.isArray(announced) && Array.isArray(withdrawn));
  assert.ok(typeof attributes === 'object' && attributes !== null);
  return { announced, withdrawn, attributes: { ...attributes } };
}

/** `203.0.113.0/24`, `203.0.113.0/24#7 via 192.0.2.1` */
function routeText(route: RouteOutput): string {
  const id = route.pathId === undefined ? '' : `#${route.pathId}`;
  return `${route.prefix}${id}${route.nextHop === undefined ? '' : ` via ${route.nextHop}`}`;
}
