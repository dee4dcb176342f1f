/** Parameters of rendering and the mark bits that it works with. Defaults are Calico's where Calico has the parameter. */

/** What becomes of a workload's packets to this host once its egress policy allowed them. */
export type EndpointToHostAction = 'DROP' | 'ACCEPT' | 'RETURN';

/** Parameters of the rendered rules. */
export interface RulesOptions {
  /** names of workload links start with this; links with the prefix that policy does not know are dropped */
  readonly interfacePrefix: string;
  /** bits of the packet mark that are ours; at least five must be set (Calico: IptablesMarkMask) */
  readonly markMask: number;
  /** Calico: DefaultEndpointToHostAction */
  readonly endpointToHostAction: EndpointToHostAction;
  /** an allowed packet is accepted at once, or goes on through the host's other rules (Calico: FilterAllowAction) */
  readonly allowAction: 'ACCEPT' | 'RETURN';
  /** Calico: FilterDenyAction */
  readonly denyAction: 'DROP' | 'REJECT';
  /** drop what connection tracking finds invalid; off for asymmetric paths (Calico: DisableConntrackInvalidCheck) */
  readonly dropInvalid: boolean;
  readonly allowVxlanFromWorkloads: boolean;
  readonly allowIpipFromWorkloads: boolean;
  /** UDP port of VXLAN */
  readonly vxlanPort: number;
  /** start of log lines, at most 27 characters; `: ` is appended */
  readonly logPrefix: string;
  /** bound of each log rule such as `10/minute`; unlimited if absent */
  readonly logRateLimit?: string;
  /** packets that pass before the rate limit bites */
  readonly logRateBurst: number;
}

export const DEFAULT_RULES_OPTIONS: RulesOptions = {
  interfacePrefix: 'oci',
  markMask: 0xffff0000,
  endpointToHostAction: 'DROP',
  allowAction: 'ACCEPT',
  denyAction: 'DROP',
  dropInvalid: true,
  allowVxlanFromWorkloads: false,
  allowIpipFromWorkloads: false,
  vxlanPort: 4789,
  logPrefix: 'ocicat-packet',
  logRateBurst: 5,
};

/** Single bits of the packet mark, each an unsigned 32-bit number. */
export interface MarkBits {
  /** policy or profile allowed the packet */
  readonly accept: number;
  /** policy passed the packet to the next tier */
  readonly pass: number;
  /** within one rule: every block so far matched */
  readonly allBlocks: number;
  /** within one rule: the present block matched */
  readonly thisBlock: number;
  /** the packet is addressed to this host, not forwarded */
  readonly toHost: number;
}

/** Takes the five lowest bits of the mask. Throws a RangeError when it has fewer. */
export function allocateMarkBits(mask: number): MarkBits {
  const bits: number[] = [];
  for (let i = 0; i < 32; i++) if ((mask >>> i) & 1) bits.push((1 << i) >>> 0);
  const [accept, pass, allBlocks, thisBlock, toHost] = bits;
  if (
    accept === undefined ||
    pass === undefined ||
    allBlocks === undefined ||
    thisBlock === undefined ||
    toHost === undefined
  ) {
    throw new RangeError(`the mark mask ${hex(mask)} has ${bits.length} bits, but 5 are needed: widen it`);
  }
  return { accept, pass, allBlocks, thisBlock, toHost };
}

/** A mark as iptables takes it, `0x10000`. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
