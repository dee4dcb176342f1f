/** Bandwidth limits as Calico's `qosControls` of a WorkloadEndpoint, and back. Pure. */
import type { EndpointBandwidth } from '../../../fib/endpoints/plan.ts';

/** The fields of Calico's qosControls that are carried out: bits per second, and bits. */
export function qosControls(bandwidth: EndpointBandwidth): Record<string, number> {
  const { ingress, egress } = bandwidth;
  return {
    ...(ingress === undefined ? {} : { ingressBandwidth: ingress.rateBits, ingressBurst: ingress.burstBits }),
    ...(egress === undefined ? {} : { egressBandwidth: egress.rateBits, egressBurst: egress.burstBits }),
  };
}

/** Undefined when nothing is limited. */
export function bandwidthOf(controls: unknown): EndpointBandwidth | undefined {
  if (typeof controls !== 'object' || controls === null) return undefined;
  const numberOf = (key: string): number => {
    const value: unknown = Reflect.get(controls, key);
    return typeof value === 'number' && value > 0 ? value : 0;
  };
  const limit = (direction: 'ingress' | 'egress') => {
    const rateBits = numberOf(`${direction}Bandwidth`);
    return rateBits === 0 ? {} : { [direction]: { rateBits, burstBits: numberOf(`${direction}Burst`) } };
  };
  const bandwidth: EndpointBandwidth = { ...limit('ingress'), ...limit('egress') };
  return bandwidth.ingress === undefined && bandwidth.egress === undefined ? undefined : bandwidth;
}
