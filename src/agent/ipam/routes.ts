/** The API's paths about addresses. */

import { problem } from '../../api/problem.ts';
import type { ApiRoutes } from '../../api/server.ts';
import type { IpamSettings } from '../../ipam/configuration.ts';
import { isRecord } from '../../model/record.ts';
import { prometheusText } from './metrics.ts';
import type { IpamService } from './service.ts';
import type { ReleaseOrder } from './views.ts';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** `ready` throws while the agent cannot answer yet. */
export function ipamRoutes(service: IpamService, ready: () => void): ApiRoutes {
  return {
    'GET /v1/ipam/usage': async () => ({ json: await service.usage() }),
    'GET /v1/ipam/borrowed': async () => ({ json: await service.borrowed() }),
    'GET /v1/ipam/addresses/:ip': async ({ params }) => ({ json: await service.address(params['ip'] ?? '') }),
    'GET /v1/ipam/configuration': () => ({ json: service.settings() }),
    'PUT /v1/ipam/configuration': async ({ body }) => {
      ready();
      return { json: await service.configure(readSettings(body)) };
    },
    'GET /v1/ipam/check': async () => {
      ready();
      return { json: await service.check() };
    },
    'POST /v1/ipam/release': async ({ body }) => {
      ready();
      return { json: await service.release(readOrder(body)) };
    },
    'POST /v1/ipam/split': async ({ body }) => {
      ready();
      const { pool, parts } = isRecord(body) ? body : {};
      if (typeof pool !== 'string' || typeof parts !== 'number')
        throw problem('invalid', 'expected {"pool": name or CIDR, "parts": number}');
      return { json: await service.split(pool, parts) };
    },
    'GET /v1/metrics': () => ({ text: prometheusText(service.metrics()), contentType: METRICS_TYPE }),
  };
}

function readSettings(body: unknown): Partial<IpamSettings> {
  if (!isRecord(body)) throw problem('invalid', 'expected {"strictAffinity", "maxBlocksPerHost", ...}');
  const change: { -readonly [K in keyof IpamSettings]?: IpamSettings[K] } = {};
  for (const [key, value] of Object.entries(body)) {
    if ((key === 'strictAffinity' || key === 'autoAllocateBlocks') && typeof value === 'boolean')
      change[key] = value;
    else if ((key === 'maxBlocksPerHost' || key === 'ipCooldownSeconds') && typeof value === 'number')
      change[key] = value;
    else throw problem('invalid', `${key}: is no setting of IPAM, or not of its type`);
  }
  return change;
}

function readOrder(body: unknown): ReleaseOrder {
  const { addresses, handles = [], force = false } = isRecord(body) ? body : {};
  if (!Array.isArray(addresses) || !Array.isArray(handles) || typeof force !== 'boolean')
    throw problem('invalid', 'expected {"addresses": [{"ip"}], "handles": [{"ID", "Revision"}], "force"}');
  return {
    force,
    addresses: addresses.map((each: unknown) => {
      const { ip, handle, sequenceNumber } = isRecord(each) ? each : {};
      if (typeof ip !== 'string') throw problem('invalid', 'addresses: each needs an ip');
      return {
        ip,
        ...(typeof handle === 'string' && { handle }),
        ...(typeof sequenceNumber === 'string' && { sequenceNumber }),
      };
    }),
    handles: handles.map((each: unknown) => {
      const { ID, Revision } = isRecord(each) ? each : {};
      if (typeof ID !== 'string' || typeof Revision !== 'string')
        throw problem('invalid', 'handles: each needs an ID and a Revision');
      return { ID, Revision };
    }),
  };
}
