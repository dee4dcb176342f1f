/** Capabilities (RFC 5492): one table row for each code that we know, raw octets for the rest. */
import { hexOf, putUint16, putUint32, uint16, uint32 } from './bytes.ts';
import { printable } from './notification.ts';
import { AFI, CAPABILITY, SAFI_UNICAST } from './registry.ts';
import type { Capability } from './types.ts';

type KindOf<K extends Capability['kind']> = Extract<Capability, { readonly kind: K }>;

interface Row<K extends Capability['kind']> {
  readonly code: number;
  readonly name: string;
  /** undefined: malformed */
  readonly decode: (value: Uint8Array) => KindOf<K> | undefined;
  readonly encode: (capability: KindOf<K>) => Uint8Array;
}

type KnownKind = Exclude<Capability['kind'], 'unknown'>;

type FlagKind = 'route-refresh' | 'enhanced-route-refresh' | 'extended-message' | 'bfd-strict-mode';

/** The bare form of a capability without a value. */
function flagRow<K extends FlagKind>(code: number, name: string, capability: KindOf<K>): Row<K> {
  return {
    code,
    name,
    decode: (value) => (value.length === 0 ? capability : undefined),
    encode: () => new Uint8Array(0),
  };
}

const ROWS: { readonly [K in KnownKind]: Row<K> } = {
  // RFC 4760 8
  multiprotocol: {
    code: CAPABILITY.multiprotocol,
    name: 'Multiprotocol',
    decode: (value) =>
      value.length === 4 ? { kind: 'multiprotocol', afi: uint16(value, 0), safi: value[3] ?? 0 } : undefined,
    encode: ({ afi, safi }) => Uint8Array.of(afi >> 8, afi, 0, safi),
  },
  // RFC 2918 2
  'route-refresh': flagRow(CAPABILITY.routeRefresh, 'Route Refresh', { kind: 'route-refresh' }),
  // RFC 7313 3.1
  'enhanced-route-refresh': flagRow(CAPABILITY.enhancedRouteRefresh, 'Enhanced Route Refresh', {
    kind: 'enhanced-route-refresh',
  }),
  // RFC 8654 3
  'extended-message': flagRow(CAPABILITY.extendedMessage, 'Extended Message', { kind: 'extended-message' }),
  // draft-ietf-idr-bgp-bfd-strict-mode 5
  'bfd-strict-mode': flagRow(CAPABILITY.bfdStrictMode, 'BFD Strict Mode', { kind: 'bfd-strict-mode' }),
  // RFC 8950 4
  'extended-next-hop': {
    code: CAPABILITY.extendedNextHop,
    name: 'Extended Next Hop',
    decode: (value) => {
      if (value.length % 6 !== 0) return undefined;
      const entries = chunks(value, 6).map((entry) => ({
        afi: uint16(entry, 0),
        safi: uint16(entry, 2),
        nextHopAfi: uint16(entry, 4),
      }));
      return { kind: 'extended-next-hop', entries };
    },
    encode: ({ entries }) => {
      const value = new Uint8Array(6 * entries.length);
      for (const [index, entry] of entries.entries()) {
        putUint16(value, 6 * index, entry.afi);
        putUint16(value, 6 * index + 2, entry.safi);
        putUint16(value, 6 * index + 4, entry.nextHopAfi);
      }
      return value;
    },
  },
  // RFC 6793 3
  'four-octet-as': {
    code: CAPABILITY.fourOctetAs,
    name: '4-Octet AS',
    decode: (value) => (value.length === 4 ? { kind: 'four-octet-as', as: uint32(value, 0) } : undefined),
    encode: ({ as }) => {
      const value = new Uint8Array(4);
      putUint32(value, 0, as);
      return value;
    },
  },
  // RFC 9234 4.1
  role: {
    code: CAPABILITY.role,
    name: 'Role',
    decode: (value) => (value.length === 1 ? { kind: 'role', role: value[0] ?? 0 } : undefined),
    encode: ({ role }) => Uint8Array.of(role),
  },
  // RFC 4724 3; N bit: RFC 8538 2
  'graceful-restart': {
    code: CAPABILITY.gracefulRestart,
    name: 'Graceful Restart',
    decode: (value) => {
      if (value.length % 4 !== 2) return undefined;
      const flagsAndTime = uint16(value, 0);
      return {
        kind: 'graceful-restart',
        restarting: (flagsAndTime & 0x8000) !== 0,
        notification: (flagsAndTime & 0x4000) !== 0,
        restartTimeSec: flagsAndTime & 0xfff,
        families: chunks(value.subarray(2), 4).map((entry) => ({
          afi: uint16(entry, 0),
          safi: entry[2] ?? 0,
          forwarding: ((entry[3] ?? 0) & 0x80) !== 0,
        })),
      };
    },
    encode: ({ restarting, notification, restartTimeSec, families }) => {
      const value = new Uint8Array(2 + 4 * families.length);
      const flags = (restarting ? 0x8000 : 0) | (notification ? 0x4000 : 0);
      putUint16(value, 0, flags | Math.min(restartTimeSec, 0xfff));
      for (const [index, { afi, safi, forwarding }] of families.entries()) {
        putUint16(value, 2 + 4 * index, afi);
        value[4 + 4 * index] = safi;
        value[5 + 4 * index] = forwarding ? 0x80 : 0;
      }
      return value;
    },
  },
  // RFC 9494 3
  'long-lived-graceful-restart': {
    code: CAPABILITY.longLivedGracefulRestart,
    name: 'Long-Lived Graceful Restart',
    decode: (value) => {
      if (value.length % 7 !== 0) return undefined;
      const families = chunks(value, 7).map((entry) => ({
        afi: uint16(entry, 0),
        safi: entry[2] ?? 0,
        forwarding: ((entry[3] ?? 0) & 0x80) !== 0,
        staleTimeSec: uint32(entry, 3) & 0xffffff,
      }));
      return { kind: 'long-lived-graceful-restart', families };
    },
    encode: ({ families }) => {
      const value = new Uint8Array(7 * families.length);
      for (const [index, { afi, safi, forwarding, staleTimeSec }] of families.entries()) {
        putUint16(value, 7 * index, afi);
        value[7 * index + 2] = safi;
        putUint32(value, 7 * index + 3, Math.min(staleTimeSec, 0xffffff));
        value[7 * index + 3] = forwarding ? 0x80 : 0;
      }
      return value;
    },
  },
  // RFC 7911 4
  'add-path': {
    code: CAPABILITY.addPath,
    name: 'ADD-PATH',
    decode: (value) => {
      if (value.length % 4 !== 0) return undefined;
      const entries = chunks(value, 4)
        // Other values say nothing of their family; the rest of the list still holds.
        .filter((entry) => entry[3] === 1 || entry[3] === 2 || entry[3] === 3)
        .map((entry) => ({
          afi: uint16(entry, 0),
          safi: entry[2] ?? 0,
          receive: ((entry[3] ?? 0) & 1) !== 0,
          send: ((entry[3] ?? 0) & 2) !== 0,
        }));
      return { kind: 'add-path', entries };
    },
    encode: ({ entries }) => {
      const used = entries.filter((entry) => entry.send || entry.receive);
      const value = new Uint8Array(4 * used.length);
      for (const [index, { afi, safi, send, receive }] of used.entries()) {
        putUint16(value, 4 * index, afi);
        value[4 * index + 2] = safi;
        value[4 * index + 3] = (receive ? 1 : 0) | (send ? 2 : 0);
      }
      return value;
    },
  },
  // draft-walton-bgp-hostname-capability
  fqdn: {
    code: CAPABILITY.fqdn,
    name: 'FQDN',
    decode: (value) => {
      const host = shortText(value, 0);
      const domain = host && shortText(value, host.end);
      return host && domain && { kind: 'fqdn', host: host.text, domain: domain.text };
    },
    encode: ({ host, domain }) => {
      const first = shortOctets(host, 64);
      const second = shortOctets(domain, 64);
      return Uint8Array.of(first.length, ...first, second.length, ...second);
    },
  },
  // draft-abraitis-bgp-version-capability
  'software-version': {
    code: CAPABILITY.softwareVersion,
    name: 'Software Version',
    decode: (value) => {
      const version = shortText(value, 0);
      return version && { kind: 'software-version', version: version.text };
    },
    encode: ({ version }) => {
      const text = shortOctets(version, 64);
      return Uint8Array.of(text.length, ...text);
    },
  },
};

type Decode = (value: Uint8Array) => Capability | undefined;

const DECODERS = new Map<number, Decode>(Object.values(ROWS).map((row) => [row.code, row.decode]));

/** Capabilities that only inform: a bad one is kept as octets and is no error. */
const INFORMATIVE: readonly number[] = [CAPABILITY.fqdn, CAPABILITY.softwareVersion];

/** Decodes one capability value. Undefined: its length cannot be right. Unknown codes keep a copy of their octets. */
export function decodeCapability(code: number, value: Uint8Array): Capability | undefined {
  const decode = DECODERS.get(code);
  if (decode === undefined) return { kind: 'unknown', code, value: value.slice() };
  const decoded = decode(value);
  if (decoded === undefined && INFORMATIVE.includes(code))
    return { kind: 'unknown', code, value: value.slice() };
  return decoded;
}

/** Code, length and value. A value above 255 octets cannot be sent: RangeError. */
export function encodeCapability(capability: Capability): Uint8Array {
  const value = capabilityValue(capability);
  if (value.length > 255) {
    throw new RangeError(`capability ${capability.kind} has ${value.length} octets, 255 is the most`);
  }
  const encoded = new Uint8Array(2 + value.length);
  encoded[0] = capabilityCode(capability);
  encoded[1] = value.length;
  encoded.set(value, 2);
  return encoded;
}

/** The registered code of a capability. */
export function capabilityCode(capability: Capability): number {
  return capability.kind === 'unknown' ? capability.code : ROWS[capability.kind].code;
}

// Spelled out so that each row is called with its own kind.
function capabilityValue(capability: Capability): Uint8Array {
  switch (capability.kind) {
    case 'unknown':
      return capability.value;
    case 'multiprotocol':
      return ROWS.multiprotocol.encode(capability);
    case 'extended-next-hop':
      return ROWS['extended-next-hop'].encode(capability);
    case 'four-octet-as':
      return ROWS['four-octet-as'].encode(capability);
    case 'role':
      return ROWS.role.encode(capability);
    case 'graceful-restart':
      return ROWS['graceful-restart'].encode(capability);
    case 'long-lived-graceful-restart':
      return ROWS['long-lived-graceful-restart'].encode(capability);
    case 'add-path':
      return ROWS['add-path'].encode(capability);
    case 'fqdn':
      return ROWS.fqdn.encode(capability);
    case 'software-version':
      return ROWS['software-version'].encode(capability);
    default:
      return new Uint8Array(0);
  }
}

const ROLE_NAMES = ['provider', 'rs', 'rs-client', 'customer', 'peer'];

/** Name and parameters of a capability in words. */
export function capabilityParts(capability: Capability): {
  readonly name: string;
  readonly parameters: string;
} {
  if (capability.kind === 'unknown') {
    return { name: `Capability ${capability.code}`, parameters: hexOf(capability.value) };
  }
  return { name: ROWS[capability.kind].name, parameters: capabilityDetail(capability).join(' ') };
}

/** `Multiprotocol ipv4-unicast`, `Graceful Restart 120 s ipv4-unicast(F) restarting`: what a capability says, for tables and logs. */
export function capabilityName(capability: Capability): string {
  if (capability.kind === 'unknown')
    return `Capability ${capability.code} (${capability.value.length} octets)`;
  return [ROWS[capability.kind].name, ...capabilityDetail(capability)].join(' ');
}

function capabilityDetail(capability: Capability): string[] {
  switch (capability.kind) {
    case 'multiprotocol':
      return [familyName(capability)];
    case 'extended-next-hop':
      return capability.entries.map((entry) => `${familyName(entry)}/${afiName(entry.nextHopAfi)}`);
    case 'four-octet-as':
      return [String(capability.as)];
    case 'role':
      return [ROLE_NAMES[capability.role] ?? String(capability.role)];
    case 'graceful-restart':
      return [
        `${capability.restartTimeSec} s`,
        ...capability.families.map((entry) => `${familyName(entry)}${entry.forwarding ? '(F)' : ''}`),
        ...(capability.restarting ? ['restarting'] : []),
        ...(capability.notification ? ['notification'] : []),
      ];
    case 'long-lived-graceful-restart':
      return capability.families.map(
        (entry) => `${familyName(entry)}${entry.forwarding ? '(F)' : ''} ${entry.staleTimeSec} s`,
      );
    case 'add-path':
      return capability.entries.map((entry) => {
        const how = entry.send && entry.receive ? 'both' : entry.send ? 'send' : 'receive';
        return `${familyName(entry)} ${how}`;
      });
    case 'fqdn':
      return [
        printable(capability.domain === '' ? capability.host : `${capability.host}.${capability.domain}`),
      ];
    case 'software-version':
      return [printable(capability.version)];
    default:
      return [];
  }
}

/** `ipv4-unicast`, `ipv6-unicast`, or numbers for what we do not know. */
export function familyName({ afi, safi }: { readonly afi: number; readonly safi: number }): string {
  return `${afiName(afi)}-${safi === SAFI_UNICAST ? 'unicast' : `safi${safi}`}`;
}

function afiName(afi: number): string {
  if (afi === AFI.ipv4) return 'ipv4';
  return afi === AFI.ipv6 ? 'ipv6' : `afi${afi}`;
}

function chunks(value: Uint8Array, octets: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at + octets <= value.length; at += octets) parts.push(value.subarray(at, at + octets));
  return parts;
}

function shortText(value: Uint8Array, at: number): { text: string; end: number } | undefined {
  const length = value[at];
  if (length === undefined || at + 1 + length > value.length) return undefined;
  const end = at + 1 + length;
  return { text: new TextDecoder().decode(value.subarray(at + 1, end)), end };
}

function shortOctets(text: string, most: number): Uint8Array {
  const scratch = new Uint8Array(most);
  return scratch.subarray(0, new TextEncoder().encodeInto(text, scratch).written);
}
