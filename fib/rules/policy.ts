/** Policy and profile chains: rules in order, each with its blocks, its match and its action. */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { type MatchBlock, type RuleMatch, ruleMatch } from './match.ts';
import type { Direction } from './names.ts';
import { hex, type MarkBits, type RulesOptions } from './options.ts';
import { type ChainContent, type RuleSpec, renderRules } from './rendered.ts';
import type { PolicyId, Rule } from './types.ts';

/** What rendering needs to know besides the rules. */
export interface RenderContext {
  readonly options: RulesOptions;
  readonly marks: MarkBits;
}

/** `-j MARK` that sets `set` and clears the other bits of `mask`. */
export function markTarget(set: number, mask: number): string {
  return `-j MARK --set-xmark ${hex(set)}/${hex(mask)}`;
}

/** Match of packets whose bit is set (`wanted`) or clear. */
export function markMatch(bit: number, wanted = true): string {
  return `-m mark --mark ${wanted ? hex(bit) : '0x0'}/${hex(bit)}`;
}

/** Renders the chain of one direction of a policy or profile, for both families. The rules must be valid (`policyProblem`). */
export function renderPolicyChain(
  chain: string,
  id: PolicyId,
  direction: Direction,
  rules: readonly Rule[],
  context: RenderContext,
): ChainContent {
  const content: Record<Family, ReturnType<typeof renderRules>> = { ipv4: [], ipv6: [] };
  for (const family of FAMILIES) {
    const specs: RuleSpec[] = [];
    for (const [index, rule] of rules.entries()) {
      const match = ruleMatch(rule, family);
      if (match === undefined) continue;
      const note = rule.comment === undefined ? '' : ` ${rule.comment}`;
      const comment = `${id} ${direction} ${index}${note}`;
      specs.push(...ruleSpecs(match, rule, comment, context));
    }
    content[family] = renderRules(chain, specs);
  }
  return content;
}

/** A chain that drops everything, in place of one that is unknown or cannot be rendered. */
export function renderDropChain(chain: string, comment: string, context: RenderContext): ChainContent {
  const rules = renderRules(chain, [{ matches: [], target: `-j ${context.options.denyAction}`, comment }]);
  return { ipv4: rules, ipv6: rules };
}

function ruleSpecs(
  match: RuleMatch,
  rule: Rule,
  comment: string,
  { options, marks }: RenderContext,
): RuleSpec[] {
  const specs = blockSpecs(match.blocks, marks);
  const matches = match.blocks.length > 0 ? [markMatch(marks.allBlocks), ...match.direct] : [...match.direct];
  switch (rule.action) {
    case 'deny':
      specs.push({ matches, target: `-j ${options.denyAction}`, comment });
      break;
    case 'log':
      if (options.logRateLimit !== undefined) {
        matches.push(`-m limit --limit ${options.logRateLimit} --limit-burst ${options.logRateBurst}`);
      }
      specs.push({ matches, target: `-j LOG --log-prefix "${options.logPrefix}: " --log-level 5`, comment });
      break;
    case 'allow':
    case 'pass': {
      const bit = rule.action === 'allow' ? marks.accept : marks.pass;
      specs.push({ matches, target: markTarget(bit, bit), comment });
      specs.push({ matches: [markMatch(bit)], target: '-j RETURN' });
      break;
    }
  }
  return specs;
}

/** Rules that leave `allBlocks` set exactly when every block holds. */
function blockSpecs(blocks: readonly MatchBlock[], { allBlocks, thisBlock }: MarkBits): RuleSpec[] {
  if (blocks.length === 0) return [];
  const positive = blocks.filter((block) => !block.negated);
  const negative = blocks.filter((block) => block.negated);
  const start = positive.length === 0 ? allBlocks : 0;
  const specs: RuleSpec[] = [{ matches: [], target: markTarget(start, allBlocks | thisBlock) }];
  for (const [index, block] of positive.entries()) {
    // The first block has nothing before it that could have failed.
    const bit = index === 0 ? allBlocks : thisBlock;
    if (index > 1) specs.push({ matches: [], target: markTarget(0, thisBlock) });
    for (const alternative of block.alternatives) {
      specs.push({ matches: [alternative], target: markTarget(bit, bit) });
    }
    if (index > 0) specs.push({ matches: [markMatch(thisBlock, false)], target: markTarget(0, allBlocks) });
  }
  for (const block of negative) {
    for (const alternative of block.alternatives) {
      specs.push({ matches: [alternative], target: markTarget(0, allBlocks) });
    }
  }
  return specs;
}
