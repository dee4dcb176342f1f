/**
 * Calico's scalar values: names, labels, CIDRs, AS numbers, ports, protocols, durations, communities, selectors. What is accepted
 * follows libcalico-go's v3 validator and the schemas of Calico's CRDs (v3.34).
 */
import { parseSelector } from '../calc/selector/parse.ts';
import { type Address, type Family, parseAddress } from '../net/address.ts';
import { formatPrefix, parseInterfaceAddress, prefixOf } from '../net/prefix.ts';
import { atMost, type Problems, type Schema, show, stringMap, type TextCheck, text } from './schema.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const NAME = new RegExp(`^${SUBDOMAIN}$`);
const GLOBAL_POLICY_NAME = new RegExp(`^(${LABEL}\\.)?${LABEL}$`);
const POLICY_NAME = new RegExp(`^(${LABEL}(\\.${LABEL})?|(knp|ossg)\\.default\\.${SUBDOMAIN})$`);
const QUALIFIED_NAME_PART = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

function matching(pattern: RegExp, expectation: string): TextCheck {
  return (value) =>
    pattern.test(value) ? undefined : `${show(value)} is not valid: expected ${expectation}`;
}

const checkDnsName = matching(
  NAME,
  "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
);

/** The check that every resource name passes: a DNS subdomain of at most 253 characters. */
export const checkName: TextCheck = (value) =>
  value.length > 253
    ? `name is too long by ${value.length - 253} characters (at most 253)`
    : checkDnsName(value);

/** A namespace's name: a DNS label, so that `NAMESPACE.NAME` is unambiguous. */
export const checkNamespace = matching(
  new RegExp(`^(?=.{1,63}$)${LABEL}$`),
  "at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit",
);

/** A tier's name: a DNS label, since policy names begin with it. */
export const checkTierName: TextCheck = checkNamespace;

/** A GlobalNetworkPolicy's name: a DNS label, or two joined by one dot (tier.name). */
export const checkGlobalPolicyName = matching(
  GLOBAL_POLICY_NAME,
  "lower-case letters, digits and '-', with at most one '.' (between tier and name)",
);

/** A NetworkPolicy's name: as a global policy's, or prefixed by `knp.default.` or `ossg.default.`. */
export const checkPolicyName = matching(
  POLICY_NAME,
  "lower-case letters, digits and '-', with at most one '.' (between tier and name)",
);

/** A name of another resource: as `checkName`, but of any length. */
export const name = (): Schema<string> => text(checkDnsName);

/** What is wrong with a label or annotation key (Kubernetes' qualified name), or undefined. */
export function checkQualifiedName(key: string): string | undefined {
  const parts = key.split('/');
  if (parts.length > 2) return `${show(key)} is not a valid key: more than one '/'`;
  const [prefix, part] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (prefix !== undefined) {
    if (prefix === '') return `${show(key)} is not a valid key: the prefix before '/' is empty`;
    if (prefix.length > 253) return 'not a valid key: the prefix before "/" has more than 253 characters';
    if (!NAME.test(prefix))
      return `${show(key)} is not a valid key: the prefix must be a lower-case DNS name`;
  }
  if (part === undefined || part === '') return `${show(key)} is not a valid key: the name is empty`;
  if (part.length > 63) return 'not a valid key: the name has more than 63 characters';
  if (!QUALIFIED_NAME_PART.test(part)) {
    return `${show(key)} is not a valid key: expected letters, digits, '-', '_' and '.', beginning and ending with a letter or digit`;
  }
  return undefined;
}

function checkLabel(key: string, value: string, path: string, problems: Problems): void {
  const reason = checkQualifiedName(key);
  if (reason !== undefined) problems.add(path, reason);
  if (value.length > 63)
    problems.add(path, `label value is too long: ${value.length} characters, at most 63`);
  else if (!LABEL_VALUE.test(value)) {
    problems.add(
      path,
      `${show(value)} is not a valid label value: expected letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, or nothing`,
    );
  }
}

/** Labels: keys and values as in Kubernetes. */
export const labels = (): Schema<Readonly<Record<string, string>>> => stringMap(checkLabel);

/** A selector expression (at most 1024 characters). */
export function selector(...checks: readonly TextCheck[]): Schema<string> {
  return text(atMost(1024), checkSelector, ...checks);
}

/** What is wrong with a selector expression, or undefined. */
export const checkSelector: TextCheck = (value) => {
  const result = parseSelector(value);
  return result.ok ? undefined : `invalid selector ${show(value)}: ${result.error}`;
};

/** Refuses `global()` where it has no meaning. */
export const checkNotGlobal: TextCheck = (value) =>
  value.includes('global(') ? "global() can only be used in a rule's namespaceSelector" : undefined;

/** `global()` may only stand alone in a namespace selector. */
export const checkGlobalAlone: TextCheck = (value) => {
  if (!value.includes('global(')) return undefined;
  const parsed = parseSelector(value);
  return parsed.ok && parsed.selector.root.op === 'global'
    ? undefined
    : 'global() cannot be combined with other selectors';
};

/** `ADDRESS/LENGTH` without host bits, in canonical text; a plain address is refused. */
export function network(family?: Family): Schema<string> {
  return {
    empty: 'text',
    read(input, path, problems) {
      const parsed = typeof input === 'string' ? parseInterfaceAddress(input) : undefined;
      if (parsed === undefined || !isOfFamily(parsed.address, family)) {
        problems.add(path, `${show(input)} is not ${expectCidr(family)}`);
        return undefined;
      }
      const prefix = prefixOf(parsed.address, parsed.length);
      if (!parsed.address.bytes.every((octet, index) => octet === prefix.bytes[index])) {
        problems.add(path, `${show(input)} has host bits set; did you mean ${formatPrefix(prefix)}?`);
        return undefined;
      }
      return String(input);
    },
  };
}

/** Go takes an IPv4-mapped address for IPv4; it is refused here in IPv6 fields, and in IPv4 fields as well. */
function isMapped(address: Address): boolean {
  return (
    address.family === 'ipv6' &&
    address.bytes.subarray(0, 12).every((octet, index) => octet === (index < 10 ? 0 : 0xff))
  );
}

function isOfFamily(address: Address, family: Family | undefined): boolean {
  return family === undefined || (address.family === family && !isMapped(address));
}

function expectCidr(family?: Family): string {
  if (family === 'ipv4') return 'an IPv4 CIDR like 10.0.0.0/16';
  if (family === 'ipv6') return 'an IPv6 CIDR like fd00::/48';
  return 'a CIDR like 10.0.0.0/16 or fd00::/48';
}

/** Reads an address or a CIDR: a plain address stands for its /32 or /128. */
export function parseCidrOrAddress(value: string): ReturnType<typeof parseInterfaceAddress> {
  const address = parseAddress(value);
  if (address === undefined) return parseInterfaceAddress(value);
  return { address, length: address.family === 'ipv4' ? 32 : 128 };
}

/** A CIDR, host bits allowed, or a plain address. */
export function cidrOrAddress(family?: Family): Schema<string> {
  return text((value) => {
    const parsed = parseCidrOrAddress(value);
    return parsed === undefined || !isOfFamily(parsed.address, family)
      ? `${show(value)} is not ${expectCidr(family)}, nor an address`
      : undefined;
  });
}

/** A CIDR without host bits, or a plain address. */
export function networkOrAddress(): Schema<string> {
  return text((value) => {
    const parsed = parseCidrOrAddress(value);
    if (parsed === undefined) return `${show(value)} is not ${expectCidr()}, nor an address`;
    const prefix = prefixOf(parsed.address, parsed.length);
    return parsed.address.bytes.every((octet, index) => octet === prefix.bytes[index])
      ? undefined
      : `${show(value)} has host bits set; did you mean ${formatPrefix(prefix)}?`;
  });
}

/** An address without length. */
export function address(family?: Family): Schema<string> {
  return text((value) => {
    const parsed = parseAddress(value);
    return parsed === undefined || !isOfFamily(parsed, family)
      ? `${show(value)} is not an ${family === 'ipv4' ? 'IPv4' : family === 'ipv6' ? 'IPv6' : 'IP'} address`
      : undefined;
  });
}

/** A MAC address of 6, 8 or 20 octets, as Go's net.ParseMAC reads it. */
export const mac = (): Schema<string> =>
  text((value) => {
    const octets = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2})+$/i.test(value)
      ? value.split(/[:-]/).length
      : /^[0-9a-f]{4}(\.[0-9a-f]{4})+$/i.test(value)
        ? value.split('.').length * 2
        : 0;
    return [6, 8, 20].includes(octets)
      ? undefined
      : `${show(value)} is not a MAC address like 02:00:00:00:00:01`;
  });

/**
 * An AS number (RFC 6793), 0..4294967295, given as a number, its text, or asdot `65000.1` (RFC 5396). Read as a number.
 */
export const asNumber = (): Schema<number> => ({
  read(input, path, problems) {
    const value = typeof input === 'string' ? parseAsNumber(input) : input;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffffffff)
      return value;
    problems.add(path, `${show(input)} is not an AS number (0 to 4294967295, or like "65000.1")`);
    return undefined;
  },
});

function parseAsNumber(value: string): number | undefined {
  if (/^\d+$/.test(value)) return Number(value);
  const match = /^(\d+)\.(\d+)$/.exec(value);
  if (match === null) return undefined;
  const high = Number(match[1]);
  const low = Number(match[2]);
  return high > 0xffff || low > 0xffff ? undefined : high * 65536 + low;
}

/** Protocols that Calico knows by name, with their IANA numbers. */
export const PROTOCOL_NUMBERS = {
  TCP: 6,
  UDP: 17,
  ICMP: 1,
  ICMPv6: 58,
  SCTP: 132,
  UDPLite: 136,
} as const;

export type ProtocolName = keyof typeof PROTOCOL_NUMBERS;

/** A protocol: name or number 1..255. */
export type Protocol = ProtocolName | number;

export function isProtocolName(value: string): value is ProtocolName {
  return Object.hasOwn(PROTOCOL_NUMBERS, value);
}

/** The IANA number of a protocol. */
export function protocolNumber(protocol: Protocol): number {
  return typeof protocol === 'number' ? protocol : PROTOCOL_NUMBERS[protocol];
}

/** Whether ports can be matched: TCP, UDP, SCTP. */
export function hasPorts(protocol: Protocol): boolean {
  return [6, 17, 132].includes(protocolNumber(protocol));
}

export const protocol = (): Schema<Protocol> => ({
  read(input, path, problems) {
    const value = typeof input === 'string' && /^\d+$/.test(input) ? Number(input) : input;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 255) return value;
    if (typeof value === 'string' && isProtocolName(value)) return value;
    const names = Object.keys(PROTOCOL_NUMBERS);
    const close = names.find((each) => each.toLowerCase() === String(value).toLowerCase());
    problems.add(
      path,
      `${show(input)} is not a protocol: expected ${names.join(', ')} or a number from 1 to 255${
        close === undefined ? '' : `; did you mean ${close}?`
      }`,
    );
    return undefined;
  },
});

/** A port in a rule: a number 1..65535, a range `first:last`, or the name of an endpoint's port. */
export type Port = number | string;

/** A port taken apart. */
export type ParsedPort = { readonly first: number; readonly last: number } | { readonly name: string };

/** Takes a port apart, or says what is wrong with it. */
export function parsePort(input: unknown): ParsedPort | { readonly error: string } {
  const range = typeof input === 'string' ? /^(\d+)(?::(\d+))?$/.exec(input) : null;
  if (typeof input === 'number' || range !== null) {
    const first = range === null ? Number(input) : Number(range[1]);
    const last = range?.[2] === undefined ? first : Number(range[2]);
    for (const each of [first, last]) {
      if (!Number.isInteger(each) || each < 1 || each > 65535) {
        return { error: `${show(input)} is not a port: expected numbers from 1 to 65535` };
      }
    }
    return first > last
      ? { error: `${show(input)} is not a port range: the first port is above the last` }
      : { first, last };
  }
  if (typeof input === 'string') {
    const reason = checkPortName(input);
    if (reason === undefined) return { name: input };
  }
  return {
    error: `${show(input)} is not a port: expected a number, a range like "1000:2000" or the name of a port (lower-case letters, digits and '-', at least one letter, at most 15 characters)`,
  };
}

/** What is wrong with a port's name (an IANA service name, RFC 6335 5.1), or undefined. */
export const checkPortName: TextCheck = (value) =>
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value) &&
  /[a-z]/.test(value) &&
  !value.includes('--') &&
  value.length <= 15
    ? undefined
    : `${show(value)} is not a port name: expected lower-case letters, digits and single '-', at least one letter, at most 15 characters`;

export const port = (): Schema<Port> => ({
  read(input, path, problems) {
    const parsed = parsePort(input);
    if ('error' in parsed) {
      problems.add(path, parsed.error);
      return undefined;
    }
    if ('name' in parsed) return parsed.name;
    return parsed.first === parsed.last ? parsed.first : `${parsed.first}:${parsed.last}`;
  },
});

const DURATION = /^[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a duration like `90s` or `1m30s`; undefined when malformed. */
export function parseDurationMs(value: string): number | undefined {
  if (!DURATION.test(value)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    sum += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return value.startsWith('-') ? -sum : sum;
}

/** A duration in Go's notation, `90s`, `1m30s`, `2h`. */
export const duration = (): Schema<string> => ({
  read(input, path, problems) {
    if (typeof input === 'string' && parseDurationMs(input) !== undefined) return input;
    problems.add(path, `${show(input)} is not a duration like 90s or 1m30s`);
    return undefined;
  },
});

/** `aa:nn` (RFC 1997, two 16-bit numbers) or `aa:nn:mm` (RFC 8092, three 32-bit numbers). */
export function isCommunity(value: string): boolean {
  const parts = value.split(':');
  const limit = parts.length === 2 ? 0xffff : 0xffffffff;
  return (
    (parts.length === 2 || parts.length === 3) &&
    parts.every((part) => /^\d+$/.test(part) && Number(part) <= limit)
  );
}

const INTERFACE = /^[a-zA-Z0-9_.-]{1,15}$/;

/** A link name, or `*` for any. */
export const interfaceName = (): Schema<string> =>
  text((value) =>
    value === '*' || INTERFACE.test(value)
      ? undefined
      : `${show(value)} is not a link name: expected 1 to 15 letters, digits, '_', '.', '-'`,
  );
