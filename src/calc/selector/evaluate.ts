/** Does a selector match these labels, and which labels must an endpoint have so that it can. */
import type { SelectorNode } from './ast.ts';

/** Where labels are looked up: a Map, or anything with its `get`. */
export interface LabelSource {
  get(key: string): string | undefined;
}

/** Evaluates a selector. `global()` matches everything, as in Calico: it is resolved before, where it has a meaning. */
export function matches(node: SelectorNode, labels: LabelSource): boolean {
  switch (node.op) {
    case 'all':
    case 'global':
      return true;
    case 'has':
      return labels.get(node.key) !== undefined;
    case '==':
      return labels.get(node.key) === node.value;
    case '!=':
      return labels.get(node.key) !== node.value;
    case 'contains':
      return labels.get(node.key)?.includes(node.value) ?? false;
    case 'starts with':
      return labels.get(node.key)?.startsWith(node.value) ?? false;
    case 'ends with':
      return labels.get(node.key)?.endsWith(node.value) ?? false;
    case 'in': {
      const value = labels.get(node.key);
      return value !== undefined && node.values.includes(value);
    }
    case 'not in': {
      const value = labels.get(node.key);
      return value === undefined || !node.values.includes(value);
    }
    case 'not':
      return !matches(node.operand, labels);
    case 'and':
      return node.operands.every((each) => matches(each, labels));
    case 'or':
      return node.operands.some((each) => matches(each, labels));
  }
}

/**
 * What must hold of one label so that the selector can match. `values` absent: any value; empty: the selector matches nothing.
 */
export interface LabelRestriction {
  readonly present: boolean;
  readonly absent: boolean;
  readonly values?: readonly string[];
}

/** Necessary conditions for a match, by label key. A selector without an entry may match any endpoint. */
export function restrictions(node: SelectorNode): ReadonlyMap<string, LabelRestriction> {
  switch (node.op) {
    case '==':
      return new Map([[node.key, { present: true, absent: false, values: [node.value] }]]);
    case 'in':
      return new Map([[node.key, { present: true, absent: false, values: node.values }]]);
    case 'has':
    case 'contains':
    case 'starts with':
    case 'ends with':
      return new Map([[node.key, { present: true, absent: false }]]);
    case 'not':
      return node.operand.op === 'has'
        ? new Map([[node.operand.key, { present: false, absent: true }]])
        : new Map();
    case 'and':
      return node.operands.map(restrictions).reduce(both);
    case 'or':
      return node.operands.map(restrictions).reduce(either);
    default:
      return new Map();
  }
}

type Restrictions = ReadonlyMap<string, LabelRestriction>;

function both(a: Restrictions, b: Restrictions): Restrictions {
  const out = new Map(a);
  for (const [key, right] of b) {
    const left = out.get(key);
    if (left === undefined) {
      out.set(key, right);
      continue;
    }
    const values =
      left.values === undefined
        ? right.values
        : left.values.filter((value) => right.values?.includes(value) ?? true);
    out.set(key, {
      present: left.present || right.present,
      absent: left.absent || right.absent,
      ...(values === undefined ? {} : { values }),
    });
  }
  return out;
}

function either(a: Restrictions, b: Restrictions): Restrictions {
  const out = new Map<string, LabelRestriction>();
  for (const [key, left] of a) {
    const right = b.get(key);
    if (right === undefined) continue;
    const present = left.present && right.present;
    const absent = left.absent && right.absent;
    if (!present && !absent) continue;
    const values =
      present && left.values !== undefined && right.values !== undefined
        ? [...new Set([...left.values, ...right.values])]
        : undefined;
    out.set(key, { present, absent, ...(values === undefined ? {} : { values }) });
  }
  return out;
}
