/**
 * Finds nft base chains of others that end in drop or reject, in the JSON that `nft -j list ruleset` prints (libnftables-json(5)).
 */
import { isRecord } from '../../model/record.ts';

/** A base chain that would drop packets which our own chains accepted. */
export interface ForeignDrop {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly hook: 'forward' | 'input';
  readonly why: string;
}

interface BaseChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: 'forward' | 'input';
  readonly policy: string;
}

/**
 * The foreign drops. A chain that jumps to one of our chains (prefix `ownChainPrefix`) is the iptables chain we live in: our accept ends
 * it, so its policy does not matter. Anything that is not of the documented shape is passed over.
 */
export function foreignDrops(ruleset: unknown, ownChainPrefix: string): ForeignDrop[] {
  const items =
    isRecord(ruleset) && Array.isArray(ruleset['nftables']) ? ruleset['nftables'].filter(isRecord) : [];
  const chains: BaseChain[] = [];
  const lastRule = new Map<string, unknown[]>();
  const ours = new Set<string>();
  for (const item of items) {
    const chain = item['chain'];
    if (isRecord(chain)) {
      const hook = chain['hook'];
      if (
        (hook === 'forward' || hook === 'input') &&
        chain['family'] !== 'arp' &&
        chain['family'] !== 'bridge'
      ) {
        chains.push({
          family: text(chain['family']),
          table: text(chain['table']),
          name: text(chain['name']),
          hook,
          policy: text(chain['policy']) || 'accept',
        });
      }
    }
    const rule = item['rule'];
    if (isRecord(rule) && Array.isArray(rule['expr'])) {
      const key = `${text(rule['family'])} ${text(rule['table'])} ${text(rule['chain'])}`;
      lastRule.set(key, rule['expr']);
      if (rule['expr'].some((expression) => jumpsTo(expression).startsWith(ownChainPrefix))) ours.add(key);
    }
  }
  return chains.flatMap((chain) => {
    const key = `${chain.family} ${chain.table} ${chain.name}`;
    if (ours.has(key)) return [];
    const verdict = unconditionalVerdict(lastRule.get(key) ?? []);
    const why =
      verdict !== undefined ? `last rule: ${verdict}` : chain.policy === 'drop' ? 'policy drop' : undefined;
    if (why === undefined) return [];
    return [{ family: chain.family, table: chain.table, chain: chain.name, hook: chain.hook, why }];
  });
}

function jumpsTo(expression: unknown): string {
  if (!isRecord(expression)) return '';
  for (const verb of ['jump', 'goto']) {
    const target = expression[verb];
    if (isRecord(target)) return text(target['target']);
  }
  return '';
}

// A drop or reject that nothing but counters, comments and logs stand before.
function unconditionalVerdict(expressions: readonly unknown[]): string | undefined {
  for (const expression of expressions) {
    if (!isRecord(expression)) return undefined;
    if ('drop' in expression) return 'drop';
    if ('reject' in expression) return 'reject';
    if (!('counter' in expression) && !('log' in expression) && !('comment' in expression)) return undefined;
  }
  return undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
