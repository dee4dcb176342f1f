/** Resources that this host's kernel cannot carry out: refused with what to do, and never in force, rather than taken and not done. */
import { type KindSupport, probeIpip } from '../../fib/ipip/probe.ts';
import type { Problem } from '../model/schema.ts';
import type { Resource } from '../model/types.ts';

/** Reasons why a valid resource cannot be carried out on this host; empty: it can. The same answer in the whole life of a process. */
export type HostLimits = (resource: Resource) => readonly Problem[];

/**
 * Limits by the kernel's own answers. It is asked when the first resource needs to know, as asking may load a module; what has been
 * answered holds until the process ends. `askIpip`: default the kernel.
 */
export function kernelLimits(askIpip: () => KindSupport = probeIpip): HostLimits {
  let ipip: KindSupport | undefined;
  return (resource) => {
    if (resource.kind !== 'IPPool' || (resource.spec.ipipMode ?? 'Never') === 'Never') return [];
    ipip ??= askIpip();
    if (ipip.has) return [];
    return [
      {
        path: 'spec.ipipMode',
        reason: `this host's kernel cannot make IPIP tunnels (${ipip.reason}): use vxlanMode with the same value; or run a kernel with IPIP ("modprobe ipip" where it is a module) and restart the agent`,
      },
    ];
  };
}
