/** What the tables of verdicts on UPDATE messages share: the message that they vary, and the verdicts that are expected most. */
import { MANDATORY, NLRI, update } from './support.ts';

export const PREFIX = '203.0.113.0/24';
export const ROUTE = `${PREFIX} via 192.0.2.1`;
export const ROUTE6 = '2001:db8:1::/48 via 2001:db8::1';
export const VALID = { verdict: 'valid', announced: [ROUTE] } as const;
export const WITHDRAW = { verdict: 'treat-as-withdraw', withdrawn: [PREFIX] } as const;
export const DISCARD = { verdict: 'attr-discard', announced: [ROUTE] } as const;
export const IBGP = { peerKind: 'ibgp', localAs: 65001 } as const;
export const OLD = { as4: false } as const;
/** one sequence of 2-octet numbers: 65001 */
export const OLD_PATH = '4002040201fde9';

/** An UPDATE for 203.0.113.0/24 with the mandatory attributes and these. */
export function plus(attributes: string): string {
  return update({ attributes: `${MANDATORY}${attributes}`, nlri: NLRI });
}

/** The same with these instead of the mandatory ones. */
export function only(attributes: string): string {
  return update({ attributes, nlri: NLRI });
}

/** Sequences, given as JSON shows them. */
export function sequence(...asNumbers: number[]): { type: string; asNumbers: number[] }[] {
  return [{ type: 'sequence', asNumbers }];
}
