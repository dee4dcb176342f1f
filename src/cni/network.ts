/** The plugin's network configuration: its own keys, what the runtime adds to them, and the result before it. Pure. */
import { z } from 'zod';
import { CNI_CODE, CniError } from './error.ts';

/** A port of the host that leads to one of the container. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly hostIP?: string;
}

/** What the runtime supplies by capability; keys are matched without regard to case, since containerd writes them as Go does. */
export interface RuntimeConfig {
  readonly portMappings: readonly PortMapping[] | undefined;
  readonly ips: readonly string[];
  readonly mac: string | undefined;
  /** bits per second and bits; 0: not limited */
  readonly bandwidth: Readonly<Record<'ingressRate' | 'ingressBurst' | 'egressRate' | 'egressBurst', number>>;
  readonly podAnnotations: Readonly<Record<string, string>>;
}

/** The configuration of one network. */
export interface NetworkConfig {
  readonly name: string;
  /** names or CIDRs of IPPools; undefined: any */
  readonly pools: {
    readonly ipv4: readonly string[] | undefined;
    readonly ipv6: readonly string[] | undefined;
  };
  /** `ipam.assign_ipv4` and `assign_ipv6`, as Calico has them; undefined: not said */
  readonly assign: { readonly ipv4: boolean | undefined; readonly ipv6: boolean | undefined };
  readonly mtu: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly profiles: readonly string[] | undefined;
  readonly dns: Readonly<Record<string, unknown>>;
  readonly runtime: RuntimeConfig;
  /** addresses asked for by `args.cni.ips` */
  readonly argumentIps: readonly string[];
  readonly prevResult: Readonly<Record<string, unknown>> | undefined;
  /** of a GC; undefined: the runtime named none, so nothing is known to be stale */
  readonly validAttachments: readonly { readonly containerID: string; readonly ifname: string }[] | undefined;
}

/** Keys that belong to the protocol. */
const PROTOCOL_KEYS = new Set([
  'cniVersion',
  'cniVersions',
  'name',
  'type',
  'capabilities',
  'runtimeConfig',
  'args',
  'prevResult',
  'dns',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
]);
const OWN_KEYS = ['socket', 'queue', 'ipam', 'mtu', 'labels', 'profiles', 'log'];
const IPAM_KEYS = ['ipv4_pools', 'ipv6_pools', 'assign_ipv4', 'assign_ipv6'];
const REMEDIES: Readonly<Record<string, string>> = {
  ipMasq: 'masquerading is set per pool: natOutgoing of the IPPool',
  bridge: 'this plugin makes no bridge: remove the key',
  'ipam.type':
    'addresses come from the IPPools of the agent: name them with ipam.ipv4_pools and ipam.ipv6_pools, or leave them out',
};

const path = z.string().startsWith('/', 'must be an absolute path');
const flag = z
  .union([z.boolean(), z.enum(['true', 'false'])])
  .transform((value) => value === true || value === 'true');
const ownSchema = z.object({
  name: z.string(),
  socket: path.optional(),
  queue: path.optional(),
  log: path.optional(),
  mtu: z.int().min(1280, 'must be at least 1280').max(65535).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  profiles: z.array(z.string()).optional(),
  ipam: z
    .object({
      ipv4_pools: z.array(z.string()).optional(),
      ipv6_pools: z.array(z.string()).optional(),
      assign_ipv4: flag.optional(),
      assign_ipv6: flag.optional(),
    })
    .optional(),
});
const protocolSchema = z.object({
  name: z.string(),
  dns: z.record(z.string(), z.unknown()).nullish(),
  prevResult: z.record(z.string(), z.unknown()).nullish(),
  runtimeConfig: z.record(z.string(), z.unknown()).nullish(),
  args: z
    .object({
      cni: z
        .object({
          ips: z.array(z.string()).nullish(),
          labels: z.array(z.object({ key: z.string(), value: z.string() })).nullish(),
        })
        .nullish(),
    })
    .nullish(),
});
const attachmentsSchema = z.array(z.object({ containerID: z.string(), ifname: z.string() })).nullish();
const portSchema = z.object({
  hostport: z.int().min(0).max(65535).default(0),
  containerport: z.int().min(1).max(65535),
  protocol: z.string().nullish(),
  hostip: z.string().nullish(),
});
const rateSchema = z.object({
  ingressrate: z.number().min(0).default(0),
  ingressburst: z.number().min(0).default(0),
  egressrate: z.number().min(0).default(0),
  egressburst: z.number().min(0).default(0),
});

/**
 * Reads a configuration. `strict`: own keys are needed, so unknown and malformed ones are refused; other commands look past them, since
 * the configuration may have changed after the ADD. Throws a `CniError`.
 */
export function readNetwork(config: Readonly<Record<string, unknown>>, strict: boolean): NetworkConfig {
  if (strict) refuseUnknown(config);
  const protocol = check(protocolSchema, config, 'the network configuration');
  const own = strict ? check(ownSchema, config, 'the network configuration') : undefined;
  const listed = check(
    attachmentsSchema,
    config['cni.dev/valid-attachments'] ?? config['cni.dev/attachments'],
    'cni.dev/valid-attachments',
  );
  const { cni } = protocol.args ?? {};
  const argumentLabels = (cni?.labels ?? []).map(({ key, value }) => [key, value] as const);
  return {
    name: protocol.name,
    pools: { ipv4: own?.ipam?.ipv4_pools, ipv6: own?.ipam?.ipv6_pools },
    assign: { ipv4: own?.ipam?.assign_ipv4, ipv6: own?.ipam?.assign_ipv6 },
    mtu: own?.mtu,
    labels: { ...own?.labels, ...Object.fromEntries(argumentLabels) },
    profiles: own?.profiles,
    dns: protocol.dns ?? {},
    runtime: strict ? readRuntime(protocol.runtimeConfig ?? {}) : NO_RUNTIME,
    argumentIps: cni?.ips ?? [],
    prevResult: protocol.prevResult ?? undefined,
    validAttachments: listed ?? undefined,
  };
}

function refuseUnknown(config: Readonly<Record<string, unknown>>): void {
  const refuse = (key: string, value: unknown, known: readonly string[]): never => {
    throw new CniError(
      CNI_CODE.unsupportedField,
      `unsupported field ${key}: ${JSON.stringify(value)}`,
      REMEDIES[key] ?? `known are ${known.join(', ')}; remove it or correct its spelling`,
    );
  };
  for (const [key, value] of Object.entries(config)) {
    if (!PROTOCOL_KEYS.has(key) && !key.startsWith('cni.dev/') && !OWN_KEYS.includes(key))
      refuse(key, value, OWN_KEYS);
  }
  const { ipam } = config;
  if (typeof ipam !== 'object' || ipam === null) return;
  for (const [key, value] of Object.entries(ipam)) {
    if (!IPAM_KEYS.includes(key)) refuse(`ipam.${key}`, value, IPAM_KEYS);
  }
}

const NO_RUNTIME: RuntimeConfig = {
  portMappings: undefined,
  ips: [],
  mac: undefined,
  bandwidth: { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 },
  podAnnotations: {},
};

function readRuntime(runtime: Readonly<Record<string, unknown>>): RuntimeConfig {
  const given = lowerKeys(runtime);
  const ports = check(
    z.array(z.record(z.string(), z.unknown())).nullish(),
    given['portmappings'],
    'runtimeConfig.portMappings',
  );
  const ips = check(z.array(z.string()).nullish(), given['ips'], 'runtimeConfig.ips');
  const mac = check(z.string().nullish(), given['mac'], 'runtimeConfig.mac');
  const bandwidth = check(
    z.record(z.string(), z.unknown()).nullish(),
    given['bandwidth'],
    'runtimeConfig.bandwidth',
  );
  const annotations = check(
    z.record(z.string(), z.string()).nullish(),
    given['io.kubernetes.cri.pod-annotations'],
    'runtimeConfig["io.kubernetes.cri.pod-annotations"]',
  );
  const rates = check(rateSchema, lowerKeys(bandwidth ?? {}), 'runtimeConfig.bandwidth');
  return {
    // A mapping to host port 0 asks for nothing: containerd hands on what pods declare.
    portMappings:
      ports?.flatMap((each, index) => readPort(each, `runtimeConfig.portMappings[${index}]`)) ?? undefined,
    ips: ips ?? [],
    mac: mac === null || mac === '' ? undefined : mac,
    bandwidth: {
      ingressRate: rates.ingressrate,
      ingressBurst: rates.ingressburst,
      egressRate: rates.egressrate,
      egressBurst: rates.egressburst,
    },
    podAnnotations: annotations ?? {},
  };
}

function readPort(input: Readonly<Record<string, unknown>>, where: string): PortMapping[] {
  const { hostport, containerport, protocol, hostip } = check(portSchema, lowerKeys(input), where);
  const name = (
    protocol === undefined || protocol === null || protocol === '' ? 'tcp' : protocol
  ).toUpperCase();
  if (name !== 'TCP' && name !== 'UDP' && name !== 'SCTP') {
    throw new CniError(
      CNI_CODE.badConfiguration,
      `${where}.protocol "${protocol}": must be tcp, udp or sctp`,
    );
  }
  if (hostport === 0) return [];
  const hostIP = hostip === undefined || hostip === null || hostip === '' ? {} : { hostIP: hostip };
  return [{ hostPort: hostport, containerPort: containerport, protocol: name, ...hostIP }];
}

function lowerKeys(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key.toLowerCase(), each]));
}

function check<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path: at, message }) => `${at.length === 0 ? '' : `${at.join('.')}: `}${message}`,
  );
  throw new CniError(CNI_CODE.badConfiguration, `${where}: ${faults.join('; ')}`);
}
