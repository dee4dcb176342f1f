/** Reads what iptables-save prints, as far as it concerns us: our chains, and our rules in builtin chains. */
import { CHAIN_PREFIX } from '../rules/names.ts';
import { HASH_COMMENT_PREFIX } from '../rules/rendered.ts';

/** A rule with our identity comment that stands in a builtin chain. */
export interface BuiltinRule {
  readonly hash: string;
  /** 1 is the top of the chain */
  readonly position: number;
  /** everything after `-A CHAIN `, as printed */
  readonly text: string;
}

/** One table as far as it is ours. */
export interface SavedTable {
  /** our chains and the hashes of their rules in order; an empty string for a rule without our comment */
  readonly chains: Map<string, string[]>;
  /** our rules in builtin chains, in order */
  readonly builtins: Map<string, BuiltinRule[]>;
  /** lines in our chains and ours in others */
  readonly ruleCount: number;
}

const HASH = new RegExp(`--comment "?${HASH_COMMENT_PREFIX}([A-Za-z0-9_-]{16})"?(?: |$)`);

/** Parses the output for one table. Lines that it does not understand are others' and are passed over. */
export function parseSave(output: string, table: string): SavedTable {
  const chains = new Map<string, string[]>();
  const builtins = new Map<string, BuiltinRule[]>();
  const positions = new Map<string, number>();
  let ruleCount = 0;
  let inTable = false;
  for (const line of output.split('\n')) {
    if (line.startsWith('*')) {
      inTable = line === `*${table}`;
    } else if (!inTable) {
    } else if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '));
      if (name.startsWith(CHAIN_PREFIX)) chains.set(name, []);
    } else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3);
      const chain = end === -1 ? line.slice(3) : line.slice(3, end);
      const text = end === -1 ? '' : line.slice(end + 1);
      const ours = chains.get(chain);
      if (ours) {
        ours.push(HASH.exec(text)?.[1] ?? '');
        ruleCount++;
        continue;
      }
      const position = (positions.get(chain) ?? 0) + 1;
      positions.set(chain, position);
      const hash = text.includes(HASH_COMMENT_PREFIX) ? HASH.exec(text)?.[1] : undefined;
      if (hash === undefined) continue;
      const rules = builtins.get(chain) ?? [];
      rules.push({ hash, position, text });
      builtins.set(chain, rules);
      ruleCount++;
    }
  }
  return { chains, builtins, ruleCount };
}

/** Reads what `-S CHAIN` lines print: the hashes of the rules of each chain in order, an empty string for a rule without our comment. */
export function parseListing(output: string): Map<string, string[]> {
  const chains = new Map<string, string[]>();
  for (const line of output.split('\n')) {
    const [verb, name = ''] = line.split(' ', 2);
    if (verb === '-N' || verb === '-P') chains.set(name, []);
    else if (verb === '-A') chains.get(name)?.push(HASH.exec(line)?.[1] ?? '');
  }
  return chains;
}
