/** What the racing processes and their test agree on. */
import type { Pool } from '../../../src/ipam/pools.ts';
import { prefix } from '../../support/net.ts';

/** Two blocks of four addresses, for more hosts than blocks. */
export const RACE_POOLS: readonly Pool[] = [
  {
    name: 'race4',
    cidr: prefix('10.1.0.0/29'),
    blockSize: 30,
    isDisabled: false,
    nodeSelector: '',
    namespaceSelector: '',
    allowedUses: ['Workload'],
    assignmentMode: 'Automatic',
  },
];

/** Addresses of all pools together. */
export const RACE_CAPACITY = 8;
