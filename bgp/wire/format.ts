/** Words for attribute values as people write them, for logs, tables and JSON. */
import { COMMUNITY, MESSAGE_TYPE } from './registry.ts';
import type { AsPathSegment, LargeCommunity } from './types.ts';

const MESSAGE_NAMES: Readonly<Record<number, string>> = {
  [MESSAGE_TYPE.open]: 'open',
  [MESSAGE_TYPE.update]: 'update',
  [MESSAGE_TYPE.notification]: 'notification',
  [MESSAGE_TYPE.keepalive]: 'keepalive',
  [MESSAGE_TYPE.routeRefresh]: 'route-refresh',
};

/** `open`, `update`, `notification`, `keepalive`, `route-refresh`; undefined for other types. */
export function messageTypeName(type: number): string | undefined {
  return MESSAGE_NAMES[type];
}

/** `64512 65001 {64513,64514} (65100) [65101,65102]`: sets in braces, confederation sequences in parentheses, their sets in brackets. */
export function formatAsPath(segments: readonly AsPathSegment[]): string {
  return segments
    .map(({ type, asNumbers }) => {
      if (type === 'sequence') return asNumbers.join(' ');
      if (type === 'set') return `{${asNumbers.join(',')}}`;
      return type === 'confed-sequence' ? `(${asNumbers.join(' ')})` : `[${asNumbers.join(',')}]`;
    })
    .join(' ');
}

const COMMUNITY_NAMES: ReadonlyMap<number, string> = new Map([
  [COMMUNITY.gracefulShutdown, 'graceful-shutdown'],
  [COMMUNITY.acceptOwn, 'accept-own'],
  [COMMUNITY.llgrStale, 'llgr-stale'],
  [COMMUNITY.noLlgr, 'no-llgr'],
  [COMMUNITY.blackhole, 'blackhole'],
  [COMMUNITY.noExport, 'no-export'],
  [COMMUNITY.noAdvertise, 'no-advertise'],
  [COMMUNITY.noExportSubconfed, 'no-export-subconfed'],
  [COMMUNITY.noPeer, 'no-peer'],
]);

/** `65001:100`, or the name of a well-known community. */
export function formatCommunity(value: number): string {
  return COMMUNITY_NAMES.get(value >>> 0) ?? `${value >>> 16}:${value & 0xffff}`;
}

const COMMUNITY_VALUES: ReadonlyMap<string, number> = new Map([
  ...Array.from(COMMUNITY_NAMES, ([value, name]) => [name, value >>> 0] as const),
  // FRR's and IOS's name for it
  ['local-as', COMMUNITY.noExportSubconfed >>> 0],
]);

/** The well-known community of a name, `no-export` or `NO_EXPORT`; undefined for any other. */
export function communityOfName(name: string): number | undefined {
  return COMMUNITY_VALUES.get(name.toLowerCase().replaceAll('_', '-'));
}

/** `65001:1:2` (RFC 8092 5) */
export function formatLargeCommunity({ global, local1, local2 }: LargeCommunity): string {
  return `${global}:${local1}:${local2}`;
}

const EXTENDED_SUBTYPES: Readonly<Record<number, string>> = { 2: 'rt', 3: 'soo' };
/** type and sub-type */
const BANDWIDTH = 0x4004;
const BANDWIDTH_TRANSITIVE = 0x0004;

/**
 * `rt:65001:100`, `soo:192.0.2.1:7` (RFC 4360 3), `rt:4200000001:100` (RFC 5668); `bandwidth:65001:1250000000` in octets per second (RFC 10005),
 * `bandwidth-transitive` of the transitive type; other kinds as `0x` and 16 hexadecimal digits. No two values have the same text: a 4-octet AS
 * number that would fit into two octets has an L behind it, as JunOS writes it.
 */
export function formatExtendedCommunity(value: bigint): string {
  const raw = `0x${value.toString(16).padStart(16, '0')}`;
  const type = Number(value >> 56n);
  const bandwidth = bandwidthOf(value);
  if (bandwidth !== undefined)
    return `${type === 0 ? 'bandwidth-transitive' : 'bandwidth'}:${bandwidth.asNumber}:${bandwidth.octetsPerSec}`;
  const name = EXTENDED_SUBTYPES[Number((value >> 48n) & 0xffn)];
  if (name === undefined) return raw;
  const high32 = Number((value >> 16n) & 0xffffffffn);
  const low16 = Number(value & 0xffffn);
  if (type === 0) return `${name}:${high32 >>> 16}:${Number(value & 0xffffffffn)}`;
  if (type === 1) return `${name}:${formatRouterId(high32)}:${low16}`;
  return type === 2 ? `${name}:${high32}${high32 > 0xffff ? '' : 'L'}:${low16}` : raw;
}

const float = new DataView(new ArrayBuffer(4));

/** What a Link Bandwidth community says (RFC 10005); undefined for others, and for values that are no bandwidth. */
export function bandwidthOf(
  community: bigint,
): { readonly asNumber: number; readonly octetsPerSec: number } | undefined {
  const kind = Number(community >> 48n);
  if (kind !== BANDWIDTH && kind !== BANDWIDTH_TRANSITIVE) return undefined;
  float.setUint32(0, Number(community & 0xffffffffn));
  const octetsPerSec = float.getFloat32(0);
  if (!Number.isFinite(octetsPerSec) || octetsPerSec < 0 || Object.is(octetsPerSec, -0)) return undefined;
  return { asNumber: Number((community >> 32n) & 0xffffn), octetsPerSec };
}

/** A BGP identifier (or cluster id), unsigned 32-bit, as a dotted quad. */
export function formatRouterId(id: number): string {
  return `${id >>> 24}.${(id >>> 16) & 255}.${(id >>> 8) & 255}.${id & 255}`;
}
