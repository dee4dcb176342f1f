/** What the crashing process and the test that examines its remains agree on. */

import type { Pool } from '../../../src/ipam/pools.ts';
import type { GlobalNetworkSet } from '../../../src/model/network-set.ts';
import { prefix } from '../../support/net.ts';

export const HOST = 'host-a';

const COMMON = {
  isDisabled: false,
  nodeSelector: '',
  namespaceSelector: '',
  allowedUses: ['Workload'],
  assignmentMode: 'Automatic',
} as const;

/** Small blocks, so that blocks are claimed again and again. */
export const POOLS: readonly Pool[] = [
  { name: 'lab4', cidr: prefix('10.1.0.0/28'), blockSize: 30, ...COMMON },
  { name: 'lab6', cidr: prefix('fd01::/124'), blockSize: 126, ...COMMON },
];

/** Names of the resources that are written. */
export const NAMES: readonly string[] = ['one', 'two', 'three'];

// Long enough that a half-written file is one.
const NETS = Array.from({ length: 200 }, (_, i) => `10.${i}.0.0/16`);

/** A resource that carries a mark. */
export function networkSet(name: string, mark: string): GlobalNetworkSet {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'GlobalNetworkSet',
    metadata: { name, labels: { mark } },
    spec: { nets: NETS },
  };
}
