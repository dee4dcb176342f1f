/** Docker's address pools as ours: one IPPool by its subnet or name, or whichever serves the node. Pure. */
import { problem } from '../api/problem.ts';
import type { Pool } from '../ipam/pools.ts';
import type { Family } from '../net/address.ts';
import { formatPrefix, parsePrefix, prefixesEqual } from '../net/prefix.ts';
import type { RequestPool } from './messages.ts';

/** `docker network create --ipam-opt ipv4-pool=NAME` */
const POOL_OPTIONS: Readonly<Record<Family, string>> = { ipv4: 'ipv4-pool', ipv6: 'ipv6-pool' };
const ANY: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };
const FAMILY_NAMES: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** What a network takes its addresses of a family from. */
export interface PoolReference {
  readonly family: Family;
  /** name of an IPPool; undefined: every pool that may serve this node */
  readonly pool?: string;
}

/** The id under which Docker keeps the choice; it needs no memory of ours. */
export function poolId({ family, pool }: PoolReference): string {
  return pool === undefined ? family : `${family}:${pool}`;
}

/** Throws `ApiError` for an id that is none of ours. */
export function readPoolId(id: string): PoolReference {
  const [family = '', ...rest] = id.split(':');
  if (family !== 'ipv4' && family !== 'ipv6') throw problem('invalid', `pool "${id}" is none of Ocicat's`);
  const pool = rest.join(':');
  return pool === '' ? { family } : { family, pool };
}

/** Chooses by what `docker network create` was given. `cidr`: what Docker shows as the subnet. Throws `ApiError`. */
export function choosePool(
  request: RequestPool,
  pools: readonly Pool[],
): PoolReference & { readonly cidr: string } {
  const family: Family = request.V6 || request.Pool.includes(':') ? 'ipv6' : 'ipv4';
  if (request.SubPool !== '') {
    throw problem('invalid', `--ip-range ${request.SubPool}: not supported; choose an IPPool by --subnet`);
  }
  for (const option of Object.keys(request.Options)) {
    if (option === POOL_OPTIONS.ipv4 || option === POOL_OPTIONS.ipv6) continue;
    throw problem(
      'invalid',
      `--ipam-opt ${option}: unknown; there are ${POOL_OPTIONS.ipv4} and ${POOL_OPTIONS.ipv6}`,
    );
  }
  const candidates = pools.filter(({ cidr }) => cidr.family === family);
  const known = candidates.map(({ name, cidr }) => `${name} (${formatPrefix(cidr)})`).join(', ');
  const there =
    known === ''
      ? `there is no ${FAMILY_NAMES[family]} IPPool; apply one`
      : `${FAMILY_NAMES[family]} IPPools are ${known}`;
  if (candidates.length === 0) throw problem('unavailable', there);
  const name = request.Options[POOL_OPTIONS[family]];
  if (name !== undefined) {
    const pool = candidates.find((each) => each.name === name);
    if (pool === undefined)
      throw problem('not-found', `--ipam-opt ${POOL_OPTIONS[family]}=${name}: ${there}`);
    return { family, pool: name, cidr: formatPrefix(pool.cidr) };
  }
  if (request.Pool === '') return { family, cidr: ANY[family] };
  const subnet = parsePrefix(request.Pool);
  const pool = subnet && candidates.find(({ cidr }) => prefixesEqual(cidr, subnet));
  if (pool === undefined)
    throw problem('not-found', `--subnet ${request.Pool}: is no IPPool's CIDR; ${there}`);
  return { family, pool: pool.name, cidr: formatPrefix(pool.cidr) };
}
