/** Reading of `metadata`: names, labels and annotations by Kubernetes' rules. */
import type { ObjectMeta } from './metadata-types.ts';
import { checkName, checkNamespace, checkQualifiedName, labels } from './scalars.ts';
import {
  anything,
  integer,
  list,
  object,
  optional,
  required,
  type Schema,
  stringMap,
  type TextCheck,
  text,
} from './schema.ts';

/** Keys and values of all annotations together, in octets. */
const ANNOTATIONS_LIMIT = 256 * 1024;

/** Annotations: qualified names as keys (in any case), any text as value, 256 KiB in all. */
export const annotations = (): Schema<Readonly<Record<string, string>>> => {
  const entries = stringMap((key, _value, path, problems) => {
    const reason = checkQualifiedName(key.toLowerCase());
    if (reason !== undefined) problems.add(path, reason);
  });
  return {
    read(input, path, problems) {
      const map = entries.read(input, path, problems);
      if (map === undefined) return undefined;
      const octets = Object.entries(map).reduce(
        (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
        0,
      );
      if (octets <= ANNOTATIONS_LIMIT) return map;
      problems.add(
        path,
        `annotations are too large by ${octets - ANNOTATIONS_LIMIT} octets (at most 256 KiB)`,
      );
      return undefined;
    },
  };
};

/** What a kind demands of its metadata beyond the common rules. */
export interface MetadataRules {
  readonly namespaced: boolean;
  /** a stricter rule for the name */
  readonly checkName?: TextCheck | undefined;
  /** label keys that this kind must not carry */
  readonly forbiddenLabels?: readonly string[] | undefined;
}

/** The schema of `metadata` for a kind. */
export function metadata(rules: MetadataRules): Schema<ObjectMeta> {
  const nameChecks = rules.checkName === undefined ? [checkName] : [checkName, rules.checkName];
  return object<ObjectMeta>(
    {
      name: required(text(...nameChecks)),
      namespace: optional(text(checkNamespace)),
      labels: optional(labels()),
      annotations: optional(annotations()),
      generateName: optional(text()),
      uid: optional(text()),
      resourceVersion: optional(text()),
      generation: optional(integer(0, Number.MAX_SAFE_INTEGER)),
      creationTimestamp: optional(text()),
      deletionTimestamp: optional(text()),
      deletionGracePeriodSeconds: optional(integer(0, Number.MAX_SAFE_INTEGER)),
      selfLink: optional(text()),
      finalizers: optional(list(text())),
      ownerReferences: optional(list(anything())),
      managedFields: optional(list(anything())),
    },
    (value, path, problems) => {
      if (!rules.namespaced && value.namespace !== undefined) {
        problems.add(`${path}.namespace`, 'this kind is not in a namespace; remove the field');
      }
      for (const key of rules.forbiddenLabels ?? []) {
        if (value.labels !== undefined && Object.hasOwn(value.labels, key)) {
          problems.add(`${path}.labels["${key}"]`, 'this label is reserved and cannot be set');
        }
      }
    },
  );
}
