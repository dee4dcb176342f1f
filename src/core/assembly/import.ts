/** What import makes of a path by its attributes (bgp/rib/import-group.ts), where that is simple; else its owner is asked. */
import { attributeOccurrences } from './attributes';
import { get, pointer } from './fields';
import { evaluateImport } from './host';
import {
  ATTRIBUTE_CLUSTER_LENGTH,
  ATTRIBUTE_FLAGS,
  EFFECTIVE_AS_PATH_LOOP,
  IMPORT_ALLOWED_OWN,
  IMPORT_ASKS_ALWAYS,
  IMPORT_ASKS_FLAGS,
  IMPORT_BY_PREFIX,
  IMPORT_KIND,
  IMPORT_LOCAL_AS,
  IMPORT_RESULT,
  IMPORT_SPEAKER_AS,
  TAKE_EVALUATE,
} from './layout';

/** The attributes with which paths of a peer enter the decision, or a negative code; TAKE_EVALUATE: it depends on the prefix. */
export function importAnswer(group: usize, input: usize, attributes: usize, attribute: i32): i32 {
  const kind = get(group, IMPORT_KIND);
  if (kind === IMPORT_BY_PREFIX) return TAKE_EVALUATE;
  const flags = <i32>load<u16>(pointer(attributes, ATTRIBUTE_FLAGS) + ((<usize>attribute) << 1));
  if (
    kind === IMPORT_ASKS_ALWAYS ||
    (flags & get(group, IMPORT_ASKS_FLAGS)) !== 0 ||
    load<u16>(pointer(attributes, ATTRIBUTE_CLUSTER_LENGTH) + ((<usize>attribute) << 1)) !== 0
  ) {
    return evaluateImport(input, 0, 0, 0, 0, 0, attribute);
  }
  const speakerAs = get(group, IMPORT_SPEAKER_AS);
  let own = attributeOccurrences(attributes, attribute, get(group, IMPORT_LOCAL_AS));
  if (speakerAs !== 0) own += attributeOccurrences(attributes, attribute, speakerAs);
  if (own > get(group, IMPORT_ALLOWED_OWN)) return EFFECTIVE_AS_PATH_LOOP;
  const result = get(group, IMPORT_RESULT);
  return result < 0 ? result : attribute;
}
