/**
 * What a BGPPeer can say beyond Calico's fields: `ocicat.dev/NAME` annotations. On a BGPConfiguration (`default` or `node.NAME`) they hold for
 * the node-to-node mesh. This is the one schema of them; values are texts, as in all annotations.
 */
import { z } from 'zod';
import type { Family } from '../net/address.ts';
import { type Prefix, parsePrefix, prefixContains } from '../net/prefix.ts';
import { checkName, parseDurationMs } from './scalars.ts';
import type { Problem } from './schema.ts';

const PREFIX = 'ocicat.dev/';

const flag = () =>
  z.enum(['true', 'false'], 'must be "true" or "false"').transform((value) => value === 'true');

const integer = (min: number, max: number, expected = `an integer from ${min} to ${max}`) =>
  z
    .string()
    .regex(/^\d{1,10}$/, `must be ${expected}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be ${expected}`);

/** Whole seconds, `90`, or a duration, `90s`, `1m30s`. */
const seconds = (min: number, max: number, also?: number) => {
  const expected = `${also === undefined ? '' : `${also} or `}${min} to ${max} seconds, such as ${Math.min(max, 90)} or ${Math.min(max, 90)}s`;
  return z
    .string()
    .transform((value) =>
      /^\d+$/.test(value) ? Number(value) : (parseDurationMs(value) ?? Number.NaN) / 1000,
    )
    .refine(
      (value) => Number.isInteger(value) && ((value >= min && value <= max) || value === also),
      `must be ${expected}`,
    );
};

const FAMILY_NAMES: Readonly<Record<string, Family>> = {
  'ipv4-unicast': 'ipv4',
  'ipv6-unicast': 'ipv6',
  ipv4: 'ipv4',
  ipv6: 'ipv6',
};

const families = () =>
  z.string().transform((value, context): readonly Family[] => {
    const found: Family[] = [];
    for (const name of value.split(',').map((each) => each.trim())) {
      const family = FAMILY_NAMES[name];
      if (family !== undefined && !found.includes(family)) found.push(family);
      else
        context.addIssue(`must be ipv4-unicast, ipv6-unicast or both with a comma between; "${name}" is not`);
    }
    return found;
  });

/** Whose AS number is taken: 'internal' is ours, 'external' any other. */
export type RemoteAs = 'internal' | 'external' | readonly number[];

const AS_NUMBERS_MAX = 64;

const remoteAs = () =>
  z.string().transform((value, context): RemoteAs => {
    if (value === 'internal' || value === 'external') return value;
    const numbers = value.split(',').map((each) => each.trim());
    const valid = (text: string): boolean =>
      /^\d{1,10}$/.test(text) && Number(text) >= 1 && Number(text) <= 4294967295;
    if (numbers.length <= AS_NUMBERS_MAX && numbers.every(valid)) return [...new Set(numbers.map(Number))];
    context.addIssue(
      `must be internal, external, or AS numbers from 1 to 4294967295 with commas between, up to ${AS_NUMBERS_MAX}`,
    );
    return [];
  });

const RANGES_MAX = 64;

const prefixes = () =>
  z.string().transform((value, context): readonly Prefix[] => {
    const found: Prefix[] = [];
    for (const text of value.split(',').map((each) => each.trim())) {
      const prefix = parsePrefix(text);
      if (prefix === undefined)
        context.addIssue(
          `must be prefixes with commas between, such as 10.0.0.0/24,2001:db8::/64; "${text}" is none`,
        );
      else if (found.some((other) => prefixContains(other, prefix) || prefixContains(prefix, other)))
        context.addIssue(`must be prefixes that do not overlap; "${text}" does`);
      else found.push(prefix);
    }
    if (found.length > RANGES_MAX) context.addIssue(`must be ${RANGES_MAX} prefixes at most`);
    return found;
  });

const resourceName = () =>
  z.string().transform((value, context) => {
    const fault = checkName(value);
    if (fault !== undefined) context.addIssue(`must be the name of a BGPPeer: ${fault}`);
    return value;
  });

const interfaceName = () =>
  z.string().regex(/^[^\s/%]{1,15}$/, 'must be the name of an interface, up to 15 characters');

const oneOf = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, `must be one of ${values.join(', ')}`);

/** Names, values and meaning. Absent ones leave what Calico's fields and the agent's defaults say. */
export const bgpAnnotations = z.object({
  template: flag()
    .optional()
    .describe('makes this BGPPeer a peer group: no session by itself; others name it in `peer-group`'),
  'peer-group': resourceName()
    .optional()
    .describe(
      'what this BGPPeer does not say (fields and annotations, not whom and where) is taken from that one',
    ),
  'listen-range': prefixes()
    .optional()
    .describe(
      'in place of peerIP: whoever dials us from these prefixes is a peer, until its session is gone',
    ),
  'listen-limit': integer(1, 65535)
    .optional()
    .describe('sessions from `listen-range` at a time; default 100'),
  'remote-as': remoteAs()
    .optional()
    .describe('in place of asNumber: any of these AS numbers, `external` (any but ours) or `internal`'),
  families: families().optional().describe('address families; default: that of the peer address'),
  'password-file': z
    .string()
    .startsWith('/', 'must be an absolute path')
    .optional()
    .describe(
      'file on the host with the TCP MD5 key (RFC 2385); only its owner, root, may read it; followed when it changes',
    ),
  'hold-time': seconds(3, 65535, 0).optional().describe('hold time to offer, in seconds; default 90'),
  'keepalive-time': seconds(1, 21845)
    .optional()
    .describe('seconds between KEEPALIVEs at most; default a third of the hold time'),
  'connect-retry': seconds(1, 3600).optional().describe('seconds before the second dial; doubles; default 2'),
  'connect-retry-max': seconds(1, 3600).optional().describe('its cap; default 30'),
  passive: flag().optional().describe('waits for the peer to dial'),
  shutdown: flag().optional().describe('administratively down: never dials, refuses connections'),
  interface: interfaceName()
    .optional()
    .describe('binds the session to this interface; needed for a link-local peer'),
  ttl: integer(1, 255).optional().describe('TTL of what is sent; default 1 for a connected peer, else 64'),
  'graceful-restart': oneOf('on', 'off', 'notification')
    .optional()
    .describe('RFC 4724, with "notification" also RFC 8538; default on'),
  'long-lived-graceful-restart': seconds(1, 0xffffff)
    .optional()
    .describe('RFC 9494: stale time in seconds, ours and the most that is granted to the peer; default none'),
  'graceful-shutdown': flag()
    .optional()
    .describe('RFC 8326: what the peer gets is tagged 65535:0, so that it looks for other ways'),
  'max-prefix-ipv4': integer(1, 0xffffffff)
    .optional()
    .describe('how many IPv4 prefixes are taken from the peer'),
  'max-prefix-ipv6': integer(1, 0xffffffff)
    .optional()
    .describe('how many IPv6 prefixes are taken from the peer'),
  'max-prefix-count': oneOf('received', 'accepted')
    .optional()
    .describe('counts before or after import filters; default received'),
  'max-prefix-warning': integer(1, 100).optional().describe('warns at this percentage; default 75'),
  'max-prefix-action': oneOf('warn', 'discard', 'stop')
    .optional()
    .describe('beyond the limit: only say so, take no more, or end the session with 6/1; default stop'),
  'max-prefix-restart': seconds(1, 86_400)
    .optional()
    .describe('a session that was stopped starts again after this time; default: never by itself'),
  'add-path': oneOf('receive', 'send', 'both')
    .optional()
    .describe('RFC 7911, in all families of the session'),
  'add-path-max': integer(1, 64).optional().describe('how many paths are sent; default all'),
  bfd: flag()
    .optional()
    .describe('RFC 5880: watches the peer, over one hop when it is connected, else over several (RFC 5883)'),
  'bfd-interval': integer(10, 60_000)
    .optional()
    .describe('milliseconds between BFD packets, both ways; default 300'),
  'bfd-multiplier': integer(1, 255).optional().describe('packets missed in a row; default 3'),
  'bfd-strict': flag()
    .optional()
    .describe('the session waits for BFD to come up, where the peer asks for that too (capability 74)'),
  role: oneOf('provider', 'rs', 'rs-client', 'customer', 'peer')
    .optional()
    .describe('RFC 9234, eBGP: what we are to the peer'),
  'role-strict': flag().optional().describe('refuses a peer that tells no role'),
  'enhanced-route-refresh': flag().optional().describe('RFC 7313'),
  'extended-messages': flag().optional().describe('RFC 8654'),
  'extended-next-hop': flag().optional().describe('RFC 8950: IPv4 routes with IPv6 next hops'),
  'enforce-first-as': flag()
    .optional()
    .describe('eBGP: routes that do not start with the AS of the peer are withdrawn'),
  'local-as-mode': oneOf('replace', 'prepend', 'no-prepend')
    .optional()
    .describe('RFC 7705, with localASNumber: how our own AS shows; default replace: not at all'),
  'as-override': flag().optional().describe('eBGP: the AS of the peer is replaced by ours in what it gets'),
  'remove-private-as': oneOf('remove', 'replace')
    .optional()
    .describe('eBGP: private AS numbers are taken out of what the peer gets, or replaced by ours'),
});

/** Settings as they were written. */
export type BgpSettings = z.output<typeof bgpAnnotations>;

/** What the annotations say, with what is wrong with them. Settings with a problem are left out. */
export interface ReadSettings {
  readonly settings: BgpSettings;
  /** values that cannot be */
  readonly problems: readonly Problem[];
  /** `ocicat.dev/` annotations that mean nothing here */
  readonly unknown: readonly Problem[];
}

/** Reads the `ocicat.dev/` annotations of a BGPPeer or BGPConfiguration. Others' annotations are none of its business. */
export function readBgpSettings(annotations: Readonly<Record<string, string>> | undefined): ReadSettings {
  const values: Record<string, string> = {};
  const unknown: Problem[] = [];
  for (const [key, value] of Object.entries(annotations ?? {})) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    if (Object.hasOwn(bgpAnnotations.shape, name)) values[name] = value;
    else unknown.push({ path: pathOf(name), reason: unknownReason(name) });
  }
  const parsed = bgpAnnotations.safeParse(values);
  const problems: Problem[] = [];
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0]);
    problems.push({ path: pathOf(name), reason: `${issue.message}, not "${values[name] ?? ''}"` });
    delete values[name];
  }
  const settings = parsed.success ? parsed.data : (bgpAnnotations.safeParse(values).data ?? {});
  // What goes together is seen when the group's settings are known.
  if (settings['peer-group'] === undefined) problems.push(...settingConflicts(settings));
  problems.push(...groupConflicts(settings));
  return { settings, problems, unknown };
}

function groupConflicts(settings: BgpSettings): Problem[] {
  const problems: Problem[] = [];
  const refuse = (name: keyof BgpSettings, reason: string): void => {
    problems.push({ path: pathOf(name), reason });
  };
  if (settings.template === true) {
    if (settings['peer-group'] !== undefined) refuse('peer-group', 'a template cannot have a group itself');
    if (settings['listen-range'] !== undefined)
      refuse(
        'listen-range',
        'a template makes no sessions: set it on a BGPPeer that names this one as peer-group',
      );
  }
  if (settings['listen-limit'] !== undefined && settings['listen-range'] === undefined)
    refuse('listen-limit', 'needs listen-range');
  if (settings['listen-range'] !== undefined && settings.passive === false)
    refuse('passive', 'peers of a listen-range are never dialled');
  return problems;
}

/** Settings that do not go together. */
export function settingConflicts(settings: BgpSettings): Problem[] {
  const problems: Problem[] = [];
  const refuse = (name: keyof BgpSettings, reason: string): void => {
    problems.push({ path: pathOf(name), reason });
  };
  const hold = settings['hold-time'] ?? 90;
  const keepalive = settings['keepalive-time'];
  if (keepalive !== undefined && hold > 0 && keepalive * 3 > hold)
    refuse('keepalive-time', `must be at most a third of the hold time, ${hold} s (RFC 4271 4.4)`);
  const retryMax = settings['connect-retry-max'];
  if (retryMax !== undefined && retryMax < (settings['connect-retry'] ?? 2))
    refuse('connect-retry-max', 'must be at least connect-retry');
  if (settings['long-lived-graceful-restart'] !== undefined && settings['graceful-restart'] === 'off')
    refuse('long-lived-graceful-restart', 'needs graceful-restart (RFC 9494 4)');
  if (settings['role-strict'] !== undefined && settings.role === undefined)
    refuse('role-strict', 'needs role');
  if (settings['add-path-max'] !== undefined && !['send', 'both'].includes(settings['add-path'] ?? ''))
    refuse('add-path-max', 'needs add-path "send" or "both"');
  for (const name of ['bfd-interval', 'bfd-multiplier', 'bfd-strict'] as const)
    if (settings[name] !== undefined && settings.bfd !== true) refuse(name, 'needs bfd "true"');
  const limited = settings['max-prefix-ipv4'] !== undefined || settings['max-prefix-ipv6'] !== undefined;
  for (const name of [
    'max-prefix-count',
    'max-prefix-warning',
    'max-prefix-action',
    'max-prefix-restart',
  ] as const) {
    if (settings[name] !== undefined && !limited) refuse(name, 'needs max-prefix-ipv4 or max-prefix-ipv6');
  }
  if (settings['max-prefix-restart'] !== undefined && (settings['max-prefix-action'] ?? 'stop') !== 'stop')
    refuse('max-prefix-restart', 'needs max-prefix-action "stop"');
  return problems;
}

function pathOf(name: string): string {
  return `metadata.annotations["${PREFIX}${name}"]`;
}

function unknownReason(name: string): string {
  const known = Object.keys(bgpAnnotations.shape);
  const near = known.filter((each) => distance(each, name) <= 2);
  return near.length > 0
    ? `has no effect: there is no such setting; is ${PREFIX}${near[0]} meant?`
    : `has no effect: there is no such setting; known are ${known.join(', ')}`;
}

/** Edit distance (Levenshtein), for names of some ten characters. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
