/** Matching a Calico selector against one set of labels. */
import { matches } from '../../calc/selector/evaluate.ts';
import { parseSelector } from '../../calc/selector/parse.ts';

/** Whether the labels satisfy the selector. One that does not parse matches nothing: the model refuses it before it comes here. */
export function matchesSelector(selector: string, labels: Readonly<Record<string, string>>): boolean {
  const parsed = parseSelector(selector);
  return parsed.ok && matches(parsed.selector.root, new Map(Object.entries(labels)));
}
