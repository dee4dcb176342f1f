/** The least that turns a table as it is into the table as it should be, as lines for one iptables-restore. */
import type { RenderedRule } from '../rules/rendered.ts';
import type { Jump } from '../rules/static-chains.ts';
import type { BuiltinRule } from './save.ts';

/** A line of restore input and the chain on whose behalf it stands. */
export interface RestoreLine {
  readonly chain: string;
  readonly text: string;
}

/** Beyond this many edits by position a chain is written anew: each edit costs a walk through the chain. */
const MAX_EDITS = 64;

/**
 * Lines for one chain that exists with rules of the given hashes. Rules before and after the changed part are not touched and keep
 * their counters.
 */
export function editChain(
  chain: string,
  current: readonly string[],
  desired: readonly RenderedRule[],
): RestoreLine[] {
  let start = 0;
  while (start < current.length && start < desired.length && current[start] === desired[start]?.hash) start++;
  let tail = 0;
  while (
    tail < current.length - start &&
    tail < desired.length - start &&
    current[current.length - 1 - tail] === desired[desired.length - 1 - tail]?.hash
  ) {
    tail++;
  }
  const oldCount = current.length - start - tail;
  const fresh = desired.slice(start, desired.length - tail);
  if (oldCount + fresh.length > MAX_EDITS) return [declareChain(chain), ...appendRules(chain, desired)];

  const lines: RestoreLine[] = [];
  for (const [index, rule] of fresh.entries()) {
    const position = start + index + 1;
    if (index < oldCount) lines.push({ chain, text: `-R ${chain} ${position} ${rule.text}` });
    else if (tail > 0) lines.push({ chain, text: `-I ${chain} ${position} ${rule.text}` });
    else lines.push({ chain, text: `-A ${chain} ${rule.text}` });
  }
  for (let surplus = oldCount - fresh.length; surplus > 0; surplus--) {
    lines.push({ chain, text: `-D ${chain} ${start + fresh.length + 1}` });
  }
  return lines;
}

/** Makes a chain, or empties it if it exists. */
export function declareChain(chain: string): RestoreLine {
  return { chain, text: `:${chain} - [0:0]` };
}

/** Appends rules to a chain. */
export function appendRules(chain: string, rules: readonly RenderedRule[]): RestoreLine[] {
  return rules.map((rule) => ({ chain, text: `-A ${chain} ${rule.text}` }));
}

/**
 * Lines that leave exactly our jumps at the top of the builtin chains, in order, and no other rule of ours there. Others' rules are
 * neither read nor moved.
 */
export function placeJumps(
  jumps: readonly Jump[],
  builtins: ReadonlyMap<string, readonly BuiltinRule[]>,
): RestoreLine[] {
  const lines: RestoreLine[] = [];
  const chains = new Set([...jumps.map((jump) => jump.builtin), ...builtins.keys()]);
  for (const chain of chains) {
    const wanted = jumps.filter((jump) => jump.builtin === chain).map((jump) => jump.rule);
    const found = builtins.get(chain) ?? [];
    const inPlace =
      wanted.length === found.length &&
      found.every((rule, index) => rule.position === index + 1 && rule.hash === wanted[index]?.hash);
    if (inPlace) continue;
    // By content, not by position: another program may have changed this chain since it was read.
    for (const rule of found) lines.push({ chain, text: `-D ${chain} ${rule.text}` });
    for (const [index, rule] of wanted.entries()) {
      lines.push({ chain, text: `-I ${chain} ${index + 1} ${rule.text}` });
    }
  }
  return lines;
}
