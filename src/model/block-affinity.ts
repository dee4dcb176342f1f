/** BlockAffinity: which node a block belongs to. Written by address allocation, read-only for people. */
import type { ResourceOf } from './metadata-types.ts';
import { network } from './scalars.ts';
import { boolean, object, oneOf, optional, required, text } from './schema.ts';

export interface BlockAffinitySpec {
  readonly state?: 'confirmed' | 'pending' | 'pendingDeletion';
  readonly node: string;
  readonly type?: string;
  readonly cidr: string;
  readonly deleted?: boolean;
}

export type BlockAffinity = ResourceOf<'BlockAffinity', BlockAffinitySpec>;

export const blockAffinitySpec = object<BlockAffinitySpec>(
  {
    state: optional(oneOf('confirmed', 'pending', 'pendingDeletion')),
    node: required(text()),
    type: optional(text()),
    cidr: required(network()),
    deleted: optional(boolean()),
  },
  (value, path, problems) => {
    if (value.deleted === true) problems.add(`${path}.deleted`, 'cannot be set to true');
  },
);
