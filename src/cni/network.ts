/** The plugin's network configuration: its own keys, what the runtime adds to them, and the result before it. Pure. */
import {
  isText,
  listOf,
  listRead,
  mapOf,
  member,
  memberOr,
  orNull,
  pickedObject,
  value,
  wholeWithin,
} from '../model/json-shape.ts';
import { isMap, Problems, type Schema } from '../model/schema.ts';
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

const text = value(isText, 'a text');
const texts = listOf(isText, 'a text');
const anyMap = value(isMap, 'a map');
const path = value((input): input is string => isText(input) && input.startsWith('/'), 'an absolute path');
const flag: Schema<boolean> = {
  read(input, at, problems) {
    if (input === true || input === 'true') return true;
    if (input === false || input === 'false') return false;
    problems.add(at, 'expected true or false');
    return undefined;
  },
};

interface OwnKeys {
  readonly socket?: string | undefined;
  readonly queue?: string | undefined;
  readonly log?: string | undefined;
  readonly mtu?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly profiles?: readonly string[] | undefined;
  readonly ipam?: IpamKeys | undefined;
}

interface IpamKeys {
  readonly ipv4_pools?: readonly string[] | undefined;
  readonly ipv6_pools?: readonly string[] | undefined;
  readonly assign_ipv4?: boolean | undefined;
  readonly assign_ipv6?: boolean | undefined;
}

const ownKeys = pickedObject<OwnKeys>({
  socket: memberOr(path, undefined),
  queue: memberOr(path, undefined),
  log: memberOr(path, undefined),
  mtu: memberOr(wholeWithin(1280, 65535), undefined),
  labels: memberOr(mapOf(text), undefined),
  profiles: memberOr(texts, undefined),
  ipam: memberOr(
    pickedObject<IpamKeys>({
      ipv4_pools: memberOr(texts, undefined),
      ipv6_pools: memberOr(texts, undefined),
      assign_ipv4: memberOr(flag, undefined),
      assign_ipv6: memberOr(flag, undefined),
    }),
    undefined,
  ),
});

interface Label {
  readonly key: string;
  readonly value: string;
}

interface CniArguments {
  readonly ips: readonly string[] | null;
  readonly labels: readonly Label[] | null;
}

interface ProtocolKeys {
  readonly name: string;
  readonly dns: Readonly<Record<string, unknown>> | null;
  readonly prevResult: Readonly<Record<string, unknown>> | null;
  readonly runtimeConfig: Readonly<Record<string, unknown>> | null;
  readonly args: { readonly cni: CniArguments | null } | null;
}

const nullableMap = memberOr(orNull(anyMap, null), null);
const label = pickedObject<Label>({ key: member(text), value: member(text) });
const cniArguments = pickedObject<CniArguments>({
  ips: memberOr(orNull(texts, null), null),
  labels: memberOr(orNull(listRead(label), null), null),
});
const protocolKeys = pickedObject<ProtocolKeys>({
  name: member(text),
  dns: nullableMap,
  prevResult: nullableMap,
  runtimeConfig: nullableMap,
  args: memberOr(
    orNull(
      pickedObject<NonNullable<ProtocolKeys['args']>>({ cni: memberOr(orNull(cniArguments, null), null) }),
      null,
    ),
    null,
  ),
});
const attachments = listRead(
  pickedObject<{ readonly containerID: string; readonly ifname: string }>({
    containerID: member(text),
    ifname: member(text),
  }),
);

interface PortKeys {
  readonly hostport: number;
  readonly containerport: number;
  readonly protocol: string | null;
  readonly hostip: string | null;
}

const portKeys = pickedObject<PortKeys>({
  hostport: memberOr(wholeWithin(0, 65535), 0),
  containerport: member(wholeWithin(1, 65535)),
  protocol: memberOr(orNull(text, null), null),
  hostip: memberOr(orNull(text, null), null),
});

type RateKeys = Readonly<Record<'ingressrate' | 'ingressburst' | 'egressrate' | 'egressburst', number>>;

const rate = memberOr(
  value(
    (input): input is number => typeof input === 'number' && Number.isFinite(input) && input >= 0,
    'a number, not below 0',
  ),
  0,
);
const rateKeys = pickedObject<RateKeys>({
  ingressrate: rate,
  ingressburst: rate,
  egressrate: rate,
  egressburst: rate,
});

/**
 * Reads a configuration. `strict`: own keys are needed, so unknown and malformed ones are refused; other commands look past them, since
 * the configuration may have changed after the ADD. Throws a `CniError`.
 */
export function readNetwork(config: Readonly<Record<string, unknown>>, strict: boolean): NetworkConfig {
  if (strict) refuseUnknown(config);
  const protocol = check(protocolKeys, config, 'the network configuration');
  const own = strict ? check(ownKeys, config, 'the network configuration') : undefined;
  const listed = checkGiven(
    attachments,
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
    validAttachments: listed,
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
  const ports = checkGiven(listOf(isMap, 'a map'), given['portmappings'], 'runtimeConfig.portMappings');
  const ips = checkGiven(texts, given['ips'], 'runtimeConfig.ips');
  const mac = checkGiven(text, given['mac'], 'runtimeConfig.mac');
  const bandwidth = checkGiven(anyMap, given['bandwidth'], 'runtimeConfig.bandwidth');
  const annotations = checkGiven(
    mapOf(text),
    given['io.kubernetes.cri.pod-annotations'],
    'runtimeConfig["io.kubernetes.cri.pod-annotations"]',
  );
  const rates = check(rateKeys, lowerKeys(bandwidth ?? {}), 'runtimeConfig.bandwidth');
  return {
    // A mapping to host port 0 asks for nothing: containerd hands on what pods declare.
    portMappings: ports?.flatMap((each, index) => readPort(each, `runtimeConfig.portMappings[${index}]`)),
    ips: ips ?? [],
    mac: mac === '' ? undefined : mac,
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
  const { hostport, containerport, protocol, hostip } = check(portKeys, lowerKeys(input), where);
  const name = (protocol === null || protocol === '' ? 'tcp' : protocol).toUpperCase();
  if (name !== 'TCP' && name !== 'UDP' && name !== 'SCTP') {
    throw new CniError(
      CNI_CODE.badConfiguration,
      `${where}.protocol "${protocol}": must be tcp, udp or sctp`,
    );
  }
  if (hostport === 0) return [];
  const hostIP = hostip === null || hostip === '' ? {} : { hostIP: hostip };
  return [{ hostPort: hostport, containerPort: containerport, protocol: name, ...hostIP }];
}

function lowerKeys(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key.toLowerCase(), each]));
}

function checkGiven<T>(schema: Schema<T>, input: unknown, where: string): T | undefined {
  return input === undefined || input === null ? undefined : check(schema, input, where);
}

function check<T>(schema: Schema<T>, input: unknown, where: string): T {
  const problems = new Problems();
  const read = schema.read(input, '', problems);
  if (read !== undefined) return read;
  const faults = problems.list.map(({ path: at, reason }) => `${at === '' ? '' : `${at}: `}${reason}`);
  throw new CniError(CNI_CODE.badConfiguration, `${where}: ${faults.join('; ')}`);
}
