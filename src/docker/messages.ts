/**
 * What Docker's engine asks of a remote driver: JSON bodies of the plugin protocol (libnetwork, docs/remote.md and docs/ipam.md), as seen
 * from engine 20.10. Unknown fields are ignored; a body that does not fit is answered by name of the field.
 */
import { problem } from '../api/problem.ts';
import {
  isFlag,
  isText,
  listRead,
  type Member,
  type Members,
  mapOf,
  member,
  memberOr,
  orNull,
  pickedObject,
  value,
} from '../model/json-shape.ts';
import { isMap, Problems, type Schema } from '../model/schema.ts';

type Options = Readonly<Record<string, unknown>>;
type Texts = Readonly<Record<string, string>>;

const id = member(value(isText, 'a text'));
const text = memberOr(value(isText, 'a text'), '');
const number = value((input): input is number => typeof input === 'number', 'a number');
/** Go writes an empty map as null. */
const options: Member<Options> = memberOr(orNull(value(isMap, 'a map'), {}), {});
const texts: Member<Texts> = memberOr(orNull(mapOf(value(isText, 'a text')), {}), {});

/** The network's generic options: what `docker network create -o KEY=VALUE` gives. */
export const GENERIC_OPTIONS = 'com.docker.network.generic';
/** `--internal`, a boolean. */
export const INTERNAL_OPTION = 'com.docker.network.internal';
/** Published ports of an endpoint: a list of `portBinding`. */
export const PORT_MAP_OPTION = 'com.docker.network.portmap';
/** Key of RequestPool's answer: the address that the engine shows as the network's gateway. */
export const GATEWAY_DATA = 'com.docker.network.gateway';
/** Key and value that mark a RequestAddress for a gateway. */
export const ADDRESS_TYPE_OPTION = 'RequestAddressType';
export const GATEWAY_ADDRESS_TYPE = 'com.docker.network.gateway';

interface IpamData {
  readonly AddressSpace: string;
  readonly Pool: string;
  readonly Gateway: string;
}

const ipamList: Member<readonly IpamData[]> = memberOr(
  orNull(listRead(pickedObject<IpamData>({ AddressSpace: text, Pool: text, Gateway: text })), []),
  [],
);

/** A port of the container that is published on the host. `HostPort` 0: the driver is to choose. */
export interface PortBinding {
  readonly Proto: number;
  readonly Port: number;
  readonly HostIP: string;
  readonly HostPort: number;
  readonly HostPortEnd: number;
}

const portBinding = pickedObject<PortBinding>({
  Proto: member(number),
  Port: member(number),
  HostIP: text,
  HostPort: memberOr(number, 0),
  HostPortEnd: memberOr(number, 0),
});

interface OfNetwork {
  readonly NetworkID: string;
}

interface CreateNetwork extends OfNetwork {
  readonly Options: Options;
  readonly IPv4Data: readonly IpamData[];
  readonly IPv6Data: readonly IpamData[];
}

export const createNetwork = pickedObject<CreateNetwork>({
  NetworkID: id,
  Options: options,
  IPv4Data: ipamList,
  IPv6Data: ipamList,
});
export const networkOnly = pickedObject<OfNetwork>({ NetworkID: id });

interface OfEndpoint extends OfNetwork {
  readonly EndpointID: string;
}

const ofEndpoint: Members<OfEndpoint> = { NetworkID: id, EndpointID: id };
export const endpointOnly = pickedObject(ofEndpoint);

interface EndpointInterface {
  readonly Address: string;
  readonly AddressIPv6: string;
  readonly MacAddress: string;
}

interface WithOptions extends OfEndpoint {
  readonly Options: Options;
}

interface CreateEndpoint extends WithOptions {
  readonly Interface: EndpointInterface | null;
}

export const createEndpoint = pickedObject<CreateEndpoint>({
  ...ofEndpoint,
  Options: options,
  Interface: memberOr(
    orNull(pickedObject<EndpointInterface>({ Address: text, AddressIPv6: text, MacAddress: text }), null),
    null,
  ),
});
export const join = pickedObject<WithOptions & { readonly SandboxKey: string }>({
  ...ofEndpoint,
  SandboxKey: id,
  Options: options,
});
export const programConnectivity = pickedObject<WithOptions>({ ...ofEndpoint, Options: options });

export interface RequestPool {
  readonly AddressSpace: string;
  readonly Pool: string;
  readonly SubPool: string;
  readonly Options: Texts;
  readonly V6: boolean;
}

export const requestPool = pickedObject<RequestPool>({
  AddressSpace: text,
  Pool: text,
  SubPool: text,
  Options: texts,
  V6: memberOr(value(isFlag, 'true or false'), false),
});
export const requestAddress = pickedObject<{
  readonly PoolID: string;
  readonly Address: string;
  readonly Options: Texts;
}>({ PoolID: id, Address: text, Options: texts });
export const releaseAddress = pickedObject<{ readonly PoolID: string; readonly Address: string }>({
  PoolID: id,
  Address: id,
});

/** Reads a body. Throws `ApiError` that names the field. */
export function read<T>(schema: Schema<T>, body: unknown): T {
  const problems = new Problems();
  const request = schema.read(body ?? {}, '', problems);
  if (request !== undefined) return request;
  const [fault] = problems.list;
  throw problem('invalid', `${fault?.path || 'the request'}: ${fault?.reason ?? 'is malformed'}`);
}

/** The published ports among the options of an endpoint or sandbox. Throws `ApiError`. */
export function readPortMap(given: Readonly<Record<string, unknown>>): readonly PortBinding[] {
  return read(listRead(portBinding), given[PORT_MAP_OPTION] ?? []);
}
