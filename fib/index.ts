/** The FIB library: routes, containers' links and policy in the Linux kernel. */

export { EndpointError, type EndpointErrorCode } from './endpoints/endpoint-error.ts';
export { EndpointLinks } from './endpoints/endpoint-links.ts';
export type { EndpointSpec } from './endpoints/plan.ts';
export { PolicyProgrammer, type PolicyProgrammerOptions } from './policy-programmer.ts';
export { FibProgrammer, type FibProgrammerOptions } from './programmer.ts';
export { KernelWatch } from './routes/kernel-watch.ts';
export { NextHopTracker } from './routes/next-hops.ts';
export { RouteTable } from './routes/route-table.ts';
export type * from './routes/types.ts';
export type * from './rules/types.ts';
