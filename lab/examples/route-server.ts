/**
 * A route server for an exchange (RFC 7947): members get each other's routes with AS_PATH, next hop and MED as they came, so that packets go
 * from member to member and not through here. It knows no kernel and needs no root on a port above 1023.
 *
 * Run: node lab/examples/route-server.ts PORT AS ROUTER-ID MEMBER-ADDRESS:AS [MEMBER-ADDRESS:AS ...]
 * In a program of one's own the import is `from 'ocicat/bgp'`.
 */
import { type FilterChain, makePeer, parsePrefix, parseRouterId, Speaker } from '../../bgp/index.ts';

const [port = '', as = '', routerId = '', ...members] = process.argv.slice(2);
if (members.length === 0) {
  console.error('usage: route-server PORT AS ROUTER-ID MEMBER-ADDRESS:AS [MEMBER-ADDRESS:AS ...]');
  process.exit(2);
}
const localAs = Number(as);

/** What no member should send: default routes, and anything longer than the usual limits. */
const hygiene: FilterChain = {
  name: 'hygiene',
  rules: ['0.0.0.0/0', '::/0'].flatMap((text) => {
    const cidr = parsePrefix(text);
    if (cidr === undefined) return [];
    const longest = cidr.family === 'ipv4' ? 24 : 48;
    return [
      { name: `default route ${text}`, match: { prefix: { cidr, operator: 'Equal' } }, action: 'reject' },
      {
        name: `longer than /${longest}`,
        match: { prefix: { cidr, operator: 'In' }, prefixLength: { min: longest + 1, max: 128 } },
        action: 'reject',
      },
    ];
  }),
  fallThrough: 'accept',
};

const speaker = new Speaker({
  routerId: parseRouterId(routerId),
  localAs,
  listen: { port: Number(port) },
  // Next hops are the members' own: nothing here could say whether they can be reached.
  nextHopTracking: false,
  gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
  log: (event) => {
    const told = ['listening', 'listen-failed', 'session-up', 'session-down'];
    if (told.includes(event.type)) console.log(JSON.stringify(event));
  },
});

speaker.setPeers(
  members.map((member) => {
    const colon = member.lastIndexOf(':');
    return makePeer({
      address: member.slice(0, colon),
      localAs,
      peerAs: Number(member.slice(colon + 1)),
      // Members dial; each has a limit, so that a leak of one is not everybody's.
      passive: true,
      maxPrefixes: {
        ipv4: {
          limit: 10_000,
          count: 'received',
          warnPercent: 80,
          action: { kind: 'stop', restartSec: 300 },
        },
        ipv6: {
          limit: 10_000,
          count: 'received',
          warnPercent: 80,
          action: { kind: 'stop', restartSec: 300 },
        },
      },
      routeServerClient: true,
      role: { local: 'rs', strict: false },
      importPolicy: hygiene,
      exportPolicy: { name: 'members', rules: [], fallThrough: 'accept' },
    });
  }),
);
speaker.start();

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void speaker.stop({ mode: 'shutdown', text: 'maintenance' }));
}
