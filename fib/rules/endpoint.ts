/** The two chains of a workload endpoint: from it (its egress policy) and to it (its ingress policy). */
import { FAMILIES, type Family } from '../../src/net/address.ts';
import { type Direction, endpointChainName, policyChainName } from './names.ts';
import { markMatch, markTarget, type RenderContext } from './policy.ts';
import { type ChainContent, type RenderedRule, type RuleSpec, renderRules } from './rendered.ts';
import { ND_CHAIN } from './static-chains.ts';
import type { EndpointPolicy, PolicyId } from './types.ts';

/** Policies and profiles whose chains the endpoint's chain of a direction jumps to. */
export function referencedPolicies(endpoint: EndpointPolicy, direction: Direction): PolicyId[] {
  if (!endpoint.adminUp) return [];
  return [...new Set([...endpoint.tiers.flatMap((tier) => tier[direction]), ...endpoint.profiles])];
}

/** Renders `oci-fw-LINK` (egress) or `oci-tw-LINK` (ingress). */
export function renderEndpointChain(
  endpoint: EndpointPolicy,
  direction: Direction,
  context: RenderContext,
): ChainContent {
  const chain = endpointChainName(direction, endpoint.interfaceName);
  const content: Record<Family, RenderedRule[]> = { ipv4: [], ipv6: [] };
  for (const family of FAMILIES) {
    content[family] = renderRules(chain, endpointSpecs(endpoint, direction, family, context));
  }
  return content;
}

/** Rules that take established flows and drop what connection tracking finds invalid. */
function conntrackSpecs({ options, marks }: RenderContext): RuleSpec[] {
  const established = '-m conntrack --ctstate RELATED,ESTABLISHED';
  const specs: RuleSpec[] =
    options.allowAction === 'ACCEPT'
      ? [{ matches: [established], target: '-j ACCEPT' }]
      : [
          { matches: [established], target: markTarget(marks.accept, marks.accept) },
          { matches: [established], target: '-j RETURN' },
        ];
  if (options.dropInvalid) specs.push({ matches: ['-m conntrack --ctstate INVALID'], target: '-j DROP' });
  return specs;
}

function endpointSpecs(
  endpoint: EndpointPolicy,
  direction: Direction,
  family: Family,
  context: RenderContext,
): RuleSpec[] {
  const { options, marks } = context;
  const deny = `-j ${options.denyAction}`;
  if (!endpoint.adminUp)
    return [{ matches: [], target: '-j DROP', comment: 'endpoint is administratively down' }];

  const specs: RuleSpec[] = [];
  if (direction === 'egress' && family === 'ipv6') {
    specs.push({ matches: ['-p 58', markMatch(marks.toHost)], target: `-j ${ND_CHAIN}` });
  }
  specs.push(...conntrackSpecs(context));
  specs.push({ matches: [], target: markTarget(0, marks.accept | marks.pass) });
  const returnIfAccepted: RuleSpec = { matches: [markMatch(marks.accept)], target: '-j RETURN' };

  for (const [index, tier] of endpoint.tiers.entries()) {
    const policies = tier[direction];
    if (policies.length === 0) continue;
    if (index > 0) {
      specs.push({ matches: [], target: markTarget(0, marks.pass), comment: `tier ${tier.name}` });
    }
    for (const id of policies) {
      specs.push({ matches: [markMatch(marks.pass, false)], target: `-j ${policyChainName(direction, id)}` });
      specs.push(returnIfAccepted);
    }
    if (tier.defaultAction === 'deny') {
      specs.push({
        matches: [markMatch(marks.pass, false)],
        target: deny,
        comment: `end of tier ${tier.name}`,
      });
    }
  }
  for (const id of endpoint.profiles) {
    specs.push({ matches: [], target: `-j ${policyChainName(direction, id)}` });
    specs.push(returnIfAccepted);
  }
  specs.push({ matches: [], target: deny, comment: 'nothing allowed it' });
  return specs;
}
