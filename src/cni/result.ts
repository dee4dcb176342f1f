/** The result of an ADD, in every version's form (specification 1.1.0 section 5; 0.2.0 has other shapes). Pure. */
import { type CniVersion, isAtLeast } from './version.ts';

/** An interface of the result. */
export interface ResultInterface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** path of the network namespace; absent: on the host */
  readonly sandbox?: string;
}

/** An address of the result. */
export interface ResultAddress {
  /** with its length */
  readonly address: string;
  readonly gateway: string;
  /** index into the interfaces */
  readonly interface: number;
}

/** A route of the result. */
export interface ResultRoute {
  readonly dst: string;
  readonly gw: string;
}

/** What an ADD made. */
export interface AttachmentResult {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultAddress[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Readonly<Record<string, unknown>>;
}

/** The result as JSON of a version. */
export function renderResult(result: AttachmentResult, version: CniVersion): Record<string, unknown> {
  if (!isAtLeast(version, '0.3.0')) return renderFirstForm(result, version);
  return {
    cniVersion: version,
    interfaces: result.interfaces.map(({ mtu, ...rest }) =>
      isAtLeast(version, '1.1.0') ? { ...rest, mtu } : rest,
    ),
    ips: result.ips.map((ip) =>
      isAtLeast(version, '1.0.0') ? ip : { version: isV6(ip.address) ? '6' : '4', ...ip },
    ),
    routes: result.routes,
    dns: result.dns,
  };
}

/** Appends to the result of an earlier plugin of the chain, which has made nothing that stands in the way. */
export function appendResult(
  earlier: Readonly<Record<string, unknown>>,
  rendered: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const list = (from: Readonly<Record<string, unknown>>, key: string): unknown[] => {
    const value = from[key];
    return Array.isArray(value) ? value : [];
  };
  const before = list(earlier, 'interfaces').length;
  const shifted = list(rendered, 'ips').map((ip) =>
    typeof ip === 'object' && ip !== null
      ? { ...ip, interface: Number(Reflect.get(ip, 'interface')) + before }
      : ip,
  );
  return {
    ...rendered,
    interfaces: [...list(earlier, 'interfaces'), ...list(rendered, 'interfaces')],
    ips: [...list(earlier, 'ips'), ...shifted],
    routes: [...list(earlier, 'routes'), ...list(rendered, 'routes')],
    dns: { ...asRecord(earlier['dns']), ...asRecord(rendered['dns']) },
  };
}

/** Versions 0.1.0 and 0.2.0: one address a family, no interfaces. */
function renderFirstForm(result: AttachmentResult, version: CniVersion): Record<string, unknown> {
  const of = (wantV6: boolean): Record<string, unknown> | undefined => {
    const ip = result.ips.find(({ address }) => isV6(address) === wantV6);
    if (ip === undefined) return undefined;
    return {
      ip: ip.address,
      gateway: ip.gateway,
      routes: result.routes.filter(({ dst }) => isV6(dst) === wantV6),
    };
  };
  const ip4 = of(false);
  const ip6 = of(true);
  return {
    cniVersion: version,
    ...(ip4 === undefined ? {} : { ip4 }),
    ...(ip6 === undefined ? {} : { ip6 }),
    dns: result.dns,
  };
}

function isV6(text: string): boolean {
  return text.includes(':');
}

function asRecord(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}
