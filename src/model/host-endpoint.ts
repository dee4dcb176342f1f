/** HostEndpoint: a host's own interface under policy. Read and checked; not enforced by this version. */

import {
  address,
  checkName,
  checkPortName,
  hasPorts,
  interfaceName,
  name,
  type Protocol,
  protocol,
} from './scalars.ts';
import { integer, list, object, optional, required, text } from './schema.ts';

export interface HostEndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

export interface HostEndpointSpec {
  readonly node: string;
  /** a link name, or `*` for all */
  readonly interfaceName?: string;
  readonly expectedIPs?: readonly string[];
  readonly profiles?: readonly string[];
  readonly ports?: readonly HostEndpointPort[];
}

export const hostEndpointSpec = object<HostEndpointSpec>(
  {
    node: required(text(checkName)),
    interfaceName: optional(interfaceName()),
    expectedIPs: optional(list(address())),
    profiles: optional(list(name())),
    ports: optional(
      list(
        object<HostEndpointPort>(
          {
            name: required(text(checkPortName)),
            protocol: required(protocol()),
            port: required(integer(1, 65535)),
          },
          (value, path, problems) => {
            if (!hasPorts(value.protocol)) {
              problems.add(`${path}.protocol`, 'a port needs protocol TCP, UDP or SCTP');
            }
          },
        ),
      ),
    ),
  },
  (value, path, problems) => {
    if (value.interfaceName === undefined && (value.expectedIPs ?? []).length === 0) {
      problems.add(path, 'at least one of interfaceName and expectedIPs must be given');
    }
  },
);
