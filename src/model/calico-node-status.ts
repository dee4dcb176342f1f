/** CalicoNodeStatus: a request for a node's state, answered in its status. Read and checked; not answered by this version. */

import { checkName } from './scalars.ts';
import { integer, list, object, oneOf, required, text } from './schema.ts';

export interface CalicoNodeStatusSpec {
  readonly node: string;
  readonly classes: readonly ('Agent' | 'BGP' | 'Routes')[];
  /** 0 stands for once */
  readonly updatePeriodSeconds: number;
}

export const calicoNodeStatusSpec = object<CalicoNodeStatusSpec>(
  {
    node: required(text(checkName)),
    classes: required(list(oneOf('Agent', 'BGP', 'Routes'))),
    updatePeriodSeconds: required(integer(0, 86_400)),
  },
  (value, path, problems) => {
    if (new Set(value.classes).size !== value.classes.length) {
      problems.add(`${path}.classes`, 'a class is listed twice');
    }
  },
);
