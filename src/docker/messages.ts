/**
 * What Docker's engine asks of a remote driver: JSON bodies of the plugin protocol (libnetwork, docs/remote.md and docs/ipam.md), as seen
 * from engine 20.10. Unknown fields are ignored; a body that does not fit is answered by name of the field.
 */
import { z } from 'zod';
import { problem } from '../api/problem.ts';

const text = z.string().default('');
/** Go writes an empty map as null. */
const options = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {});
const texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

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

const ipamData = z.object({ AddressSpace: text, Pool: text, Gateway: text });
const ipamList = z
  .array(ipamData)
  .nullish()
  .transform((value) => value ?? []);

/** A port of the container that is published on the host. `HostPort` 0: the driver is to choose. */
export const portBinding = z.object({
  Proto: z.number(),
  Port: z.number(),
  HostIP: text,
  HostPort: z.number().default(0),
  HostPortEnd: z.number().default(0),
});
export type PortBinding = z.infer<typeof portBinding>;

export const createNetwork = z.object({
  NetworkID: z.string(),
  Options: options,
  IPv4Data: ipamList,
  IPv6Data: ipamList,
});
export const networkOnly = z.object({ NetworkID: z.string() });
export const endpointOnly = z.object({ NetworkID: z.string(), EndpointID: z.string() });
export const createEndpoint = endpointOnly.extend({
  Options: options,
  Interface: z.object({ Address: text, AddressIPv6: text, MacAddress: text }).nullish(),
});
export const join = endpointOnly.extend({ SandboxKey: z.string(), Options: options });
export const programConnectivity = endpointOnly.extend({ Options: options });

export const requestPool = z.object({
  AddressSpace: text,
  Pool: text,
  SubPool: text,
  Options: texts,
  V6: z.boolean().default(false),
});
export type RequestPool = z.infer<typeof requestPool>;
export const requestAddress = z.object({ PoolID: z.string(), Address: text, Options: texts });
export const releaseAddress = z.object({ PoolID: z.string(), Address: z.string() });

/** Reads a body. Throws `ApiError` that names the field. */
export function read<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw problem('invalid', `${issue?.path.join('.') || 'the request'}: ${issue?.message ?? 'is malformed'}`);
}

/** The published ports among the options of an endpoint or sandbox. Throws `ApiError`. */
export function readPortMap(given: Readonly<Record<string, unknown>>): readonly PortBinding[] {
  return read(z.array(portBinding), given[PORT_MAP_OPTION] ?? []);
}
