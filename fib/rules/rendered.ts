/** Rules as text for iptables-restore, each with an identity that is read back from its comment. */
import type { Family } from '../../src/net/address.ts';
import { shortHash } from './names.ts';

/** A rule before it stands in a chain. */
export interface RuleSpec {
  /** iptables match options in order, such as `-p 6`; empty matches everything */
  readonly matches: readonly string[];
  /** `-j TARGET ...` or `-g CHAIN` */
  readonly target: string;
  /** for people; reduced to harmless characters and 120 of them */
  readonly comment?: string;
}

/** A rule of a certain chain. Equal rules of equal chains have equal hashes. */
export interface RenderedRule {
  /** 16 characters, stands in the rule's comment as `oci:HASH` */
  readonly hash: string;
  /** everything after `-A CHAIN ` */
  readonly text: string;
}

/** A chain's rules for both families. */
export type ChainContent = Readonly<Record<Family, readonly RenderedRule[]>>;

/** Prefix of identity comments. */
export const HASH_COMMENT_PREFIX = 'oci:';

/** Cleans a comment so that it needs no quoting but blanks, and bounds it. */
export function cleanComment(text: string): string {
  return text.replace(/[^\w ./:=,+@-]/g, '_').slice(0, 120);
}

/**
 * Renders the rules of a chain. The hash covers chain and rule but not the rules before it (Calico chains them): the list of
 * hashes shows every drift just as well, and a rule put in or taken out leaves its neighbours and their counters alone.
 */
export function renderRules(chain: string, specs: readonly RuleSpec[]): RenderedRule[] {
  return specs.map((spec) => {
    const parts: string[] = [];
    if (spec.comment !== undefined) parts.push(`-m comment --comment "${cleanComment(spec.comment)}"`);
    parts.push(...spec.matches, spec.target);
    const body = parts.join(' ');
    const hash = shortHash(`${chain} ${body}`, 16);
    return { hash, text: `-m comment --comment "${HASH_COMMENT_PREFIX}${hash}" ${body}` };
  });
}
