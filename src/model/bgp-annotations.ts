/**
 * What a BGPPeer can say beyond Calico's fields: `ocicat.dev/NAME` annotations. On a BGPConfiguration (`default` or `node.NAME`) they hold for
 * the node-to-node mesh. This is the one schema of them; values are texts, as in all annotations.
 */
import { nearest } from './nearest.ts';
import type { Problem } from './schema.ts';
import {
  absolutePath,
  families,
  flag,
  integer,
  interfaceName,
  oneOf,
  peerName,
  prefixes,
  remoteAs,
  type Setting,
  seconds,
  setting,
  shutdownText,
  type ValuesOf,
} from './settings.ts';

const PREFIX = 'ocicat.dev/';

/** Names, values and meaning. Absent ones leave what Calico's fields and the agent's defaults say. */
export const BGP_SETTINGS = {
  template: setting(
    flag,
    'makes this BGPPeer a peer group: no session by itself; others name it in `peer-group`',
  ),
  'peer-group': setting(
    peerName,
    'what this BGPPeer does not say (fields and annotations, not whom and where) is taken from that one',
  ),
  'listen-range': setting(
    prefixes,
    'in place of peerIP: whoever dials us from these prefixes is a peer, until its session is gone',
  ),
  'listen-limit': setting(integer(1, 65535), 'sessions from `listen-range` at a time; default 100'),
  'remote-as': setting(
    remoteAs,
    'in place of asNumber: any of these AS numbers, `external` (any but ours) or `internal`',
  ),
  families: setting(
    families,
    'address families; default: that of the peer address; both for an unnumbered peer',
  ),
  'password-file': setting(
    absolutePath,
    'file on the host with the TCP MD5 key (RFC 2385); only its owner, root, may read it; followed when it changes',
  ),
  'hold-time': setting(seconds(3, 65535, 0), 'hold time to offer, in seconds; default 90'),
  'keepalive-time': setting(
    seconds(1, 21845),
    'seconds between KEEPALIVEs at most; default a third of the hold time',
  ),
  'connect-retry': setting(seconds(1, 3600), 'seconds before the second dial; doubles; default 2'),
  'connect-retry-max': setting(seconds(1, 3600), 'its cap; default 30'),
  passive: setting(flag, 'waits for the peer to dial'),
  shutdown: setting(flag, 'administratively down: never dials, refuses connections'),
  'shutdown-text': setting(shutdownText, 'what the peer is told of that (RFC 9003)'),
  interface: setting(
    interfaceName,
    'binds the session to this interface; needed for a link-local peerIP. Without a peerIP the peer is unnumbered: whoever is on that link. It is the name that counts: renamed away, an unnumbered session ends, a bound one lasts but does not come again',
  ),
  ttl: setting(integer(1, 255), 'TTL of what is sent; default 1 for a connected peer, else 64'),
  'fast-external-failover': setting(
    flag,
    'eBGP over one hop: the session ends at once, with its routes, when its link goes down, and waits for it; default true',
  ),
  'graceful-restart': setting(
    oneOf('on', 'off', 'notification'),
    'RFC 4724, with "notification" also RFC 8538; default on',
  ),
  'long-lived-graceful-restart': setting(
    seconds(1, 0xffffff),
    'RFC 9494: stale time in seconds, ours and the most that is granted to the peer; default none',
  ),
  'long-lived-partial': setting(
    flag,
    'RFC 9494 4.6, iBGP: a peer without that capability gets long-lived stale routes too, with NO_EXPORT and LOCAL_PREF 0',
  ),
  'graceful-shutdown': setting(
    flag,
    'RFC 8326: what the peer gets is tagged 65535:0, so that it looks for other ways',
  ),
  'max-prefix-ipv4': setting(integer(1, 0xffffffff), 'how many IPv4 prefixes are taken from the peer'),
  'max-prefix-ipv6': setting(integer(1, 0xffffffff), 'how many IPv6 prefixes are taken from the peer'),
  'max-prefix-count': setting(
    oneOf('received', 'accepted'),
    'counts before or after import filters; default received',
  ),
  'max-prefix-warning': setting(integer(1, 100), 'warns at this percentage; default 75'),
  'max-prefix-action': setting(
    oneOf('warn', 'discard', 'stop'),
    'beyond the limit: only say so, take no more, or end the session with 6/1; default stop',
  ),
  'max-prefix-restart': setting(
    seconds(1, 86_400),
    'a session that was stopped starts again after this time; default: never by itself',
  ),
  'add-path': setting(oneOf('receive', 'send', 'both'), 'RFC 7911, in all families of the session'),
  'add-path-max': setting(integer(1, 64), 'how many paths are sent; default all'),
  bfd: setting(
    flag,
    'RFC 5880: watches the peer, over one hop when it is connected, else over several (RFC 5883)',
  ),
  'bfd-interval': setting(integer(10, 60_000), 'milliseconds between BFD packets, both ways; default 300'),
  'bfd-multiplier': setting(integer(1, 255), 'packets missed in a row; default 3'),
  'bfd-strict': setting(
    flag,
    'the session waits for BFD to come up, where the peer asks for that too (capability 74)',
  ),
  role: setting(
    oneOf('provider', 'rs', 'rs-client', 'customer', 'peer'),
    'RFC 9234, eBGP: what we are to the peer',
  ),
  'role-strict': setting(flag, 'refuses a peer that tells no role'),
  'enhanced-route-refresh': setting(flag, 'RFC 7313'),
  'extended-messages': setting(flag, 'RFC 8654'),
  'extended-next-hop': setting(
    flag,
    'RFC 8950: IPv4 routes with IPv6 next hops; default: for an unnumbered peer only',
  ),
  'enforce-first-as': setting(flag, 'eBGP: routes that do not start with the AS of the peer are withdrawn'),
  'local-as-mode': setting(
    oneOf('replace', 'prepend', 'no-prepend'),
    'RFC 7705, with localASNumber: how our own AS shows; default replace: not at all',
  ),
  'as-override': setting(flag, 'eBGP: the AS of the peer is replaced by ours in what it gets'),
  'remove-private-as': setting(
    oneOf('remove', 'replace'),
    'eBGP: private AS numbers are taken out of what the peer gets, or replaced by ours',
  ),
} as const;

/** Settings as they were written. */
export type BgpSettings = ValuesOf<typeof BGP_SETTINGS>;

const SETTINGS: ReadonlyMap<string, Setting<unknown>> = new Map(Object.entries(BGP_SETTINGS));

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
  const values: Record<string, unknown> = {};
  const problems: Problem[] = [];
  const unknown: Problem[] = [];
  for (const [key, text] of Object.entries(annotations ?? {})) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    const known = SETTINGS.get(name);
    if (known === undefined) {
      unknown.push({ path: pathOf(name), reason: unknownReason(name) });
      continue;
    }
    const read = known.read(text);
    if ('value' in read) values[name] = read.value;
    else problems.push({ path: pathOf(name), reason: `${read.fault}, not "${text}"` });
  }
  // Each value came from the reader of its name.
  const settings: BgpSettings = values;
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
  const known = [...SETTINGS.keys()];
  const near = nearest(name, known);
  return near !== undefined
    ? `has no effect: there is no such setting; is ${PREFIX}${near} meant?`
    : `has no effect: there is no such setting; known are ${known.join(', ')}`;
}
