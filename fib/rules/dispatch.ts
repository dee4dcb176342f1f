/**
 * Dispatch by link name: few links stand in one chain, many are split by their next character, so that a packet passes few rules
 * and a new link changes one short chain.
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
    let node: Node | undefined = this.#root;
    for (let depth = 0; node !== undefined; depth++) {
      if (depth === 0 || node.count > 1) chains.push(this.#chainName(link.slice(0, depth)));
      if (node.count <= MAX_LINKS_PER_CHAIN || depth >= link.length) break;
      node = node.children.get(link.charAt(depth));
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
    let node = this.#root;
    for (let depth = 0; ; depth++) {
      const before = node.count;
      node.count += step;
      this.#dirty.add(link.slice(0, depth));
      // When a chain is split or joined, those of its branches come or go.
      if (Math.max(before, node.count) === MAX_LINKS_PER_CHAIN + 1)
        this.#markBelow(link.slice(0, depth), node);
      if (depth === link.length) break;
      const character = link.charAt(depth);
      let child = node.children.get(character);
      if (child === undefined) {
        child = newNode();
        node.children.set(character, child);
      }
      if (step === -1 && child.count === 1) {
        node.children.delete(character);
        for (let i = depth + 1; i <= link.length; i++) this.#dirty.add(link.slice(0, i));
        return;
      }
      node = child;
    }
    node.isLink = step === 1;
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

  /** Whether each chain above is split and this one holds more than one link. */
  #hasChain(prefix: string): boolean {
    let node: Node | undefined = this.#root;
    for (let i = 0; i < prefix.length; i++) {
      if (node === undefined || node.count <= MAX_LINKS_PER_CHAIN) return false;
      node = node.children.get(prefix.charAt(i));
    }
    return node !== undefined && (prefix === '' || node.count > 1);
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
      if (node.isLink) specs.push(toLink(prefix));
      for (const [character, child] of [...node.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const branch = prefix + character;
        specs.push(
          child.count === 1
            ? toLink(linksBelow(branch, child)[0] ?? branch)
            : { matches: [`${option} ${branch}+`], target: `-g ${this.#chainName(branch)}` },
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

function linksBelow(prefix: string, node: Node): string[] {
  const links = node.isLink ? [prefix] : [];
  for (const [character, child] of node.children) links.push(...linksBelow(prefix + character, child));
  return links;
}
