/** Reads what iproute2, FRR and BIRD print about routes and sessions. Pure: text in, values out. */
import { z } from 'zod';
import { canonicalPrefix, type SeenHop, type SeenRoute } from './routes.ts';

/** A BGP session as a router sees it. */
export interface SeenSession {
  readonly neighbor: string;
  readonly as: number;
  /** The router's own word: Established, Active ... */
  readonly state: string;
  /** Routes taken from and given to the neighbor, where known. */
  readonly received?: number | undefined;
  readonly sent?: number | undefined;
}

const ipHop = z.object({
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  dev: z.string().optional(),
  flags: z.array(z.string()).optional(),
});
const ipRoutes = z.array(
  ipHop.extend({ dst: z.string(), type: z.string().optional(), nexthops: z.array(ipHop).optional() }),
);

/** `ip -j route show`: hops that the kernel calls dead are left out. */
export function parseIpRoutes(json: string): SeenRoute[] {
  const routes = ipRoutes.parse(JSON.parse(json.trim() === '' ? '[]' : json));
  return routes.map((route) => {
    const type = route.type ?? 'unicast';
    const hops = type === 'unicast' ? (route.nexthops ?? [route]) : [];
    const alive = hops.filter((hop) => !hop.flags?.includes('dead'));
    return { prefix: canonicalPrefix(route.dst), type, hops: alive.map(ipHopOf) };
  });
}

function ipHopOf(hop: z.infer<typeof ipHop>): SeenHop {
  const via = hop.gateway ?? hop.via?.host;
  return { ...(via === undefined ? {} : { via }), ...(hop.dev === undefined ? {} : { dev: hop.dev }) };
}

const frrPath = z.object({
  bestpath: z.boolean().optional(),
  multipath: z.boolean().optional(),
  peerId: z.string(),
  path: z.string(),
});
const frrRoutes = z.object({ routes: z.record(z.string(), z.array(frrPath)) });

/** `show bgp ipv4|ipv6 unicast json`: what was learnt from peers; `via` is the peer, one hop for each path in use. */
export function parseFrrRoutes(json: string): SeenRoute[] {
  const result: SeenRoute[] = [];
  for (const [prefix, paths] of Object.entries(frrRoutes.parse(JSON.parse(json)).routes)) {
    const best = paths.find((path) => path.bestpath === true);
    if (best === undefined || best.peerId === '(unspec)') continue;
    const used = paths.filter((path) => path.bestpath === true || path.multipath === true);
    result.push({
      prefix: canonicalPrefix(prefix),
      type: 'unicast',
      hops: used.map((path) => ({ via: path.peerId })),
      asPath: numbers(best.path),
    });
  }
  return result;
}

const frrPeer = z.object({
  remoteAs: z.number(),
  state: z.string(),
  pfxRcd: z.number().optional(),
  pfxSnt: z.number().optional(),
});
const frrSummary = z.record(z.string(), z.object({ peers: z.record(z.string(), frrPeer).optional() }));

/** `show bgp summary json`. */
export function parseFrrSessions(json: string): SeenSession[] {
  const families = Object.values(frrSummary.parse(JSON.parse(json)));
  return families.flatMap((family) =>
    Object.entries(family.peers ?? {}).map(([neighbor, peer]) => ({
      neighbor,
      as: peer.remoteAs,
      state: peer.state,
      received: peer.pfxRcd,
      sent: peer.pfxSnt,
    })),
  );
}

/** birdc's `show route primary all where source = RTS_BGP`. `via` is the BGP next hop. */
export function parseBirdRoutes(text: string): SeenRoute[] {
  const result: SeenRoute[] = [];
  let route: { prefix: string; type: string; hops: SeenHop[]; asPath: number[] } | undefined;
  for (const line of text.split('\n')) {
    const head = /^([0-9a-f.:]+\/\d+)\s+(\S+)\s+\[/i.exec(line);
    if (head?.[1] !== undefined) {
      route = { prefix: canonicalPrefix(head[1]), type: head[2] ?? 'unicast', hops: [], asPath: [] };
      result.push(route);
    } else if (route !== undefined) {
      const attribute = /^\s+BGP\.(as_path|next_hop):\s*(.*)$/.exec(line);
      if (attribute?.[1] === 'as_path') route.asPath = numbers(attribute[2] ?? '');
      if (attribute?.[1] === 'next_hop') route.hops = [{ via: (attribute[2] ?? '').split(' ')[0] ?? '' }];
    }
  }
  return result;
}

/** birdc's `show protocols all`: the BGP ones. */
export function parseBirdSessions(text: string): SeenSession[] {
  const result: SeenSession[] = [];
  // A protocol starts at the line's beginning, what belongs to it is indented.
  for (const block of text.split(/\n(?=\S)/)) {
    const neighbor = /Neighbor address:\s*([0-9a-f.:]+)/i.exec(block)?.[1];
    const as = /Neighbor AS:\s*(\d+)/.exec(block)?.[1];
    const state = /BGP state:\s*(\S+)/.exec(block)?.[1];
    if (neighbor === undefined || as === undefined || state === undefined) continue;
    const routes = /Routes:\s*(\d+) imported,(?: \d+ filtered,)? (\d+) exported/.exec(block);
    const received = routes?.[1] === undefined ? undefined : Number(routes[1]);
    const sent = routes?.[2] === undefined ? undefined : Number(routes[2]);
    result.push({ neighbor, as: Number(as), state, received, sent });
  }
  return result;
}

function numbers(text: string): number[] {
  return text
    .split(/\s+/)
    .filter((word) => /^\d+$/.test(word))
    .map(Number);
}
