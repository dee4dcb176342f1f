/** The selector language as a tree: nodes, their canonical text and their stable id. */
import { createHash } from 'node:crypto';

/** Operators that compare a label with one text. `!=` also holds when the label is absent; the others do not. */
export type CompareOperator = '==' | '!=' | 'contains' | 'starts with' | 'ends with';

/** A node of a selector. `values` are sorted by octets and without duplicates. `and` and `or` have at least two operands. */
export type SelectorNode =
  | { readonly op: 'all' }
  | { readonly op: 'global' }
  | { readonly op: 'has'; readonly key: string }
  | { readonly op: CompareOperator; readonly key: string; readonly value: string }
  | { readonly op: 'in' | 'not in'; readonly key: string; readonly values: readonly string[] }
  | { readonly op: 'not'; readonly operand: SelectorNode }
  | { readonly op: 'and' | 'or'; readonly operands: readonly SelectorNode[] };

/** A parsed selector. Selectors with the same `canonical` are the same selector. */
export interface Selector {
  readonly root: SelectorNode;
  /** the text in Calico's canonical form */
  readonly canonical: string;
}

/** Makes a selector from its tree. */
export function makeSelector(root: SelectorNode): Selector {
  return { root, canonical: formatNode(root) };
}

/** Calico's canonical text: values quoted by `"` (by `'` when they hold a `"`), `&&` and `||` groups always in parentheses. */
export function formatNode(node: SelectorNode): string {
  switch (node.op) {
    case 'all':
    case 'global':
      return `${node.op}()`;
    case 'has':
      return `has(${node.key})`;
    case 'in':
    case 'not in':
      return `${node.key} ${node.op} {${node.values.map(quote).join(', ')}}`;
    case 'not':
      return `!${formatNode(node.operand)}`;
    case 'and':
      return `(${node.operands.map(formatNode).join(' && ')})`;
    case 'or':
      return `(${node.operands.map(formatNode).join(' || ')})`;
    default:
      return `${node.key} ${node.op} ${quote(node.value)}`;
  }
}

function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}

/** Sorts by octets and drops duplicates, as the canonical form of a set demands. */
export function sortedValues(values: readonly string[]): readonly string[] {
  return [...new Set(values)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** The id that Calico gives a selector: `s:` and the base64url SHA-224 of its canonical text. */
export function selectorId(canonical: string): string {
  return `s:${createHash('sha224').update(`s:${canonical}`).digest('base64url')}`;
}

/** A copy of the tree with every label key changed. */
export function mapKeys(node: SelectorNode, change: (key: string) => string): SelectorNode {
  switch (node.op) {
    case 'all':
    case 'global':
      return node;
    case 'not':
      return { op: 'not', operand: mapKeys(node.operand, change) };
    case 'and':
    case 'or':
      return { op: node.op, operands: node.operands.map((each) => mapKeys(each, change)) };
    default:
      return { ...node, key: change(node.key) };
  }
}
