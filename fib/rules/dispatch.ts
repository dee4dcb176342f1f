/**
 * Dispatch by link name: few links stand in one chain, many are split by the next character after what they have in common, so
 * that a packet passes few rules and a new link changes few short chains.
 */
import { type Direction, dispatchBranchName, dispatchChainName, endpointChainName } from './names.ts';
import { type RenderedRule, type RuleSpec, renderRules } from './rendered.ts';
import { unknownLinkSpec } from './static-chains.ts';

/** A chain lists up to this many links before it is split. */
export const MAX_LINKS_PER_CHAIN = 8;

/** Changed chains: undefined for those that are gone. */
export type DispatchChanges = Map<string, readonly RenderedRule[] | undefined>;

interface Node {
  /** links in this subtree */
  count: number;
  /** a link ends here */
  isLink: boolean;
  readonly children: Map<string, Node>;
}

/**
 * Owns the names of one direction's links. `add` and `remove` note what changed, `drain` renders just that. The rules are the same
 * for both families.
 */
export class DispatchTree {
  readonly #direction: Direction;
  readonly #root: Node = newNode();
  /** prefixes whose chain may have changed */
  readonly #dirty = new Set<string>(['']);
  /** prefixes that have a chain, as last drained */
  readonly #rendered = new Set<string>();

  constructor(direction: Direction) {
    this.#direction = direction;
  }

  has(link: string): boolean {
    return this.#find(link)?.isLink === true;
  }

  add(link: string): void {
    if (this.has(link)) return;
    this.#walk(link, 1);
  }

  remove(link: string): void {
    if (!this.has(link)) return;
    this.#walk(link, -1);
  }

  /** Names of the chains that a packet of a link passes, root first. Only for links in the tree. */
  chainsOf(link: string): string[] {
    const chains: string[] = [];
    for (let depth = 0; depth <= link.length; depth++) {
      const prefix = link.slice(0, depth);
      if (this.#hasChain(prefix)) chains.push(this.#chainName(prefix));
    }
    return chains;
  }

  /** Renders the chains that changed since the last call. */
  drain(): DispatchChanges {
    const changes: DispatchChanges = new Map();
    for (const prefix of this.#dirty) {
      const node = this.#find(prefix);
      if (node === undefined || !this.#hasChain(prefix)) {
        if (this.#rendered.delete(prefix)) changes.set(this.#chainName(prefix), undefined);
        continue;
      }
      this.#rendered.add(prefix);
      changes.set(this.#chainName(prefix), this.#render(prefix, node));
    }
    this.#dirty.clear();
    return changes;
  }

  #walk(link: string, step: 1 | -1): void {
    const path = [
      { prefix: '', node: this.#root, before: this.#root.count, branched: isBranching(this.#root) },
    ];
    let node = this.#root;
    for (let depth = 0; depth < link.length; depth++) {
      const character = link.charAt(depth);
      let child = node.children.get(character);
      if (child === undefined) {
        child = newNode();
        node.children.set(character, child);
      } else if (step === -1 && child.count === 1) {
        node.children.delete(character);
      }
      node = child;
      path.push({
        prefix: link.slice(0, depth + 1),
        node,
        before: node.count,
        branched: isBranching(node),
      });
    }
    node.isLink = step === 1;
    for (const entry of path) entry.node.count += step;
    for (const { prefix, node: changed, before, branched } of path) {
      this.#dirty.add(prefix);
      // When a chain is split or joined, those of its branches come or go.
      if (Math.max(before, changed.count) <= MAX_LINKS_PER_CHAIN + 1) this.#markBelow(prefix, changed);
      if (branched !== isBranching(changed)) {
        for (const [character, child] of changed.children)
          this.#dirty.add(branching(prefix + character, child).prefix);
      }
    }
  }

  #markBelow(prefix: string, node: Node): void {
    for (const [character, child] of node.children) {
      this.#dirty.add(prefix + character);
      this.#markBelow(prefix + character, child);
    }
  }

  #find(prefix: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (let i = 0; i < prefix.length && node !== undefined; i++) node = node.children.get(prefix.charAt(i));
    return node;
  }

  /**
   * Whether a prefix has a chain of its own: links part here, more than one is left, and every chain above is split. Where links
   * part first is the root's own chain.
   */
  #hasChain(prefix: string): boolean {
    if (prefix === '') return true;
    let node = this.#root;
    let isBelowSplit = false;
    for (let i = 0; i < prefix.length; i++) {
      if (isBranching(node)) {
        if (node.count <= MAX_LINKS_PER_CHAIN) return false;
        isBelowSplit = true;
      }
      const child = node.children.get(prefix.charAt(i));
      if (child === undefined) return false;
      node = child;
    }
    return isBelowSplit && isBranching(node) && node.count > 1;
  }

  #chainName(prefix: string): string {
    return prefix === '' ? dispatchChainName(this.#direction) : dispatchBranchName(this.#direction, prefix);
  }

  #render(prefix: string, node: Node): RenderedRule[] {
    const option = this.#direction === 'egress' ? '-i' : '-o';
    const toLink = (link: string): RuleSpec => ({
      matches: [`${option} ${link}`],
      target: `-g ${endpointChainName(this.#direction, link)}`,
    });
    const specs: RuleSpec[] = [];
    if (node.count <= MAX_LINKS_PER_CHAIN) {
      specs.push(...linksBelow(prefix, node).sort().map(toLink));
    } else {
      const fork = branching(prefix, node);
      if (fork.node.isLink) specs.push(toLink(fork.prefix));
      for (const [character, child] of [...fork.node.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const branch = branching(fork.prefix + character, child);
        specs.push(
          branch.node.count === 1
            ? toLink(linksBelow(branch.prefix, branch.node)[0] ?? branch.prefix)
            : { matches: [`${option} ${branch.prefix}+`], target: `-g ${this.#chainName(branch.prefix)}` },
        );
      }
    }
    specs.push(unknownLinkSpec());
    return renderRules(this.#chainName(prefix), specs);
  }
}

function newNode(): Node {
  return { count: 0, isLink: false, children: new Map() };
}

/** Whether links part at the node, or one ends here. */
function isBranching(node: Node): boolean {
  return node.isLink || node.children.size > 1;
}

/** The first node at or below this one where links part. */
function branching(prefix: string, node: Node): { readonly prefix: string; readonly node: Node } {
  let at = { prefix, node };
  while (!isBranching(at.node)) {
    const [only] = at.node.children;
    if (only === undefined) break;
    at = { prefix: at.prefix + only[0], node: only[1] };
  }
  return at;
}

function linksBelow(prefix: string, node: Node): string[] {
  const links = node.isLink ? [prefix] : [];
  for (const [character, child] of node.children) links.push(...linksBelow(prefix + character, child));
  return links;
}
