/** `StaticRoutes` of `ocicat.dev/v1`: what a stand-alone speaker announces on its own account, and whether it passes on what it learned. */
import type { LargeCommunity, PathAttributes } from '../../bgp/wire/types.ts';
import { metadata } from '../model/metadata.ts';
import type { ObjectMeta } from '../model/metadata-types.ts';
import { address, asNumber, isCommunity, network } from '../model/scalars.ts';
import {
  anything,
  boolean,
  integer,
  isMap,
  list,
  object,
  oneOf,
  optional,
  type Problem,
  Problems,
  required,
  type Schema,
  show,
  text,
} from '../model/schema.ts';
import { type Address, parseAddress } from '../net/address.ts';
import { type Prefix, parsePrefix } from '../net/prefix.ts';

/** API version of the kinds that are our own. */
export const OWN_API_VERSION = 'ocicat.dev/v1';
export const STATIC_ROUTES = 'StaticRoutes';

/** One route as written. */
export interface StaticRouteSpec {
  readonly prefix: string;
  /** announced as it is to iBGP peers, and to others with `nextHopMode: Keep`; with `--fib` the kernel's way to the prefix */
  readonly nextHop?: string;
  /** with `--fib` the kernel drops what no longer prefix leads elsewhere */
  readonly blackhole?: boolean;
  /** the same, and who sent it hears of it: ICMP "no route to host" */
  readonly unreachable?: boolean;
  /** the same, and who sent it hears of it: ICMP "administratively prohibited" */
  readonly prohibit?: boolean;
  /** `aa:nn` and `aa:nn:mm` */
  readonly communities?: readonly string[];
  /** 0..4294967295 */
  readonly med?: number;
  /** 0..4294967295 */
  readonly localPref?: number;
  /** the AS_PATH before our own AS is put in front of it */
  readonly asPath?: readonly number[];
  readonly origin?: 'igp' | 'egp' | 'incomplete';
}

export interface StaticRoutesSpec {
  /** whether routes learned from a peer go on to others, where their filters let them; default true */
  readonly transit?: boolean;
  readonly routes?: readonly StaticRouteSpec[];
}

/** A `StaticRoutes` document. */
export interface StaticRoutes {
  readonly apiVersion: typeof OWN_API_VERSION;
  readonly kind: typeof STATIC_ROUTES;
  readonly metadata: ObjectMeta;
  readonly spec: StaticRoutesSpec;
}

/** Ways to send a packet nowhere. */
const DEAD_ENDS = ['blackhole', 'unreachable', 'prohibit'] as const;
export type DeadEnd = (typeof DEAD_ENDS)[number];

/** A static route with its values read. */
export interface StaticRoute {
  readonly prefix: Prefix;
  readonly attributes: Partial<PathAttributes>;
  /** what the kernel is to do with the prefix, where it is told at all */
  readonly forwarding:
    | { readonly kind: 'none' }
    | { readonly kind: DeadEnd }
    | { readonly kind: 'via'; readonly nextHop: Address };
}

const community = text((value) =>
  isCommunity(value) ? undefined : `${show(value)} is not a community: expected aa:nn or aa:nn:mm`,
);

const route = object<StaticRouteSpec>(
  {
    prefix: required(network()),
    nextHop: optional(address()),
    blackhole: optional(boolean()),
    unreachable: optional(boolean()),
    prohibit: optional(boolean()),
    communities: optional(list(community, 255)),
    med: optional(integer(0, 0xffffffff)),
    localPref: optional(integer(0, 0xffffffff)),
    asPath: optional(list(asNumber(), 255)),
    origin: optional(oneOf('igp', 'egp', 'incomplete')),
  },
  (value, path, problems) => {
    const [first, second] = [
      ...(value.nextHop === undefined ? [] : ['nextHop' as const]),
      ...DEAD_ENDS.filter((each) => value[each] === true),
    ];
    if (second !== undefined)
      problems.add(`${path}.${second}`, `${first} and ${second} cannot both be set: remove one`);
    if (value.nextHop === undefined) return;
    // RFC 8950 would allow the first; the other way round there is nothing.
    if (value.nextHop.includes(':') !== value.prefix.includes(':')) {
      problems.add(`${path}.nextHop`, `${show(value.nextHop)} is not of the family of ${value.prefix}`);
    }
  },
);

const constant = <const T extends string>(value: T): Schema<T> => ({ read: () => value });

const document = object<StaticRoutes & { readonly status?: unknown }>({
  apiVersion: required(constant(OWN_API_VERSION)),
  kind: required(constant(STATIC_ROUTES)),
  metadata: required(metadata({ namespaced: false })),
  spec: required(object<StaticRoutesSpec>({ transit: optional(boolean()), routes: optional(list(route)) })),
  status: optional(anything()),
});

/** Whether data claims to be of this kind, well formed or not. */
export function claimsStaticRoutes(input: unknown): boolean {
  return isMap(input) && input['kind'] === STATIC_ROUTES;
}

/** Reads data as a `StaticRoutes` document, or says everything that is wrong with it. */
export function readStaticRoutes(
  input: unknown,
):
  | { readonly ok: true; readonly routes: StaticRoutes }
  | { readonly ok: false; readonly errors: readonly Problem[] } {
  const problems = new Problems();
  if (isMap(input) && input['apiVersion'] !== OWN_API_VERSION) {
    problems.add('apiVersion', `${show(input['apiVersion'])}: ${STATIC_ROUTES} is of ${OWN_API_VERSION}`);
  }
  const value = document.read(input, '', problems);
  return value === undefined || problems.count > 0
    ? { ok: false, errors: problems.list }
    : { ok: true, routes: value };
}

/** The route's values. Undefined when the specification has not been checked by `readStaticRoutes`. */
export function toStaticRoute(spec: StaticRouteSpec): StaticRoute | undefined {
  const prefix = parsePrefix(spec.prefix);
  const nextHop = spec.nextHop === undefined ? undefined : parseAddress(spec.nextHop);
  if (prefix === undefined || (spec.nextHop !== undefined && nextHop === undefined)) return undefined;
  const values = (spec.communities ?? []).map((each) => each.split(':').map(Number));
  const communities = values.filter((parts) => parts.length === 2).map(standardCommunity);
  const largeCommunities = values.filter((parts) => parts.length === 3).map(largeCommunity);
  return {
    prefix,
    attributes: {
      ...(nextHop && { nextHop }),
      ...(spec.origin && { origin: spec.origin }),
      ...(spec.asPath && { asPath: [{ type: 'sequence', asNumbers: spec.asPath }] }),
      ...(spec.med !== undefined && { med: spec.med }),
      ...(spec.localPref !== undefined && { localPref: spec.localPref }),
      ...(communities.length > 0 && { communities }),
      ...(largeCommunities.length > 0 && { largeCommunities }),
    },
    forwarding:
      nextHop !== undefined
        ? { kind: 'via', nextHop }
        : { kind: DEAD_ENDS.find((each) => spec[each] === true) ?? 'none' },
  };
}

function standardCommunity([high = 0, low = 0]: readonly number[]): number {
  return ((high << 16) | low) >>> 0;
}

function largeCommunity([global = 0, local1 = 0, local2 = 0]: readonly number[]): LargeCommunity {
  return { global, local1, local2 };
}
