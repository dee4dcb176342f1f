/**
 * A route injector: lines of JSON on standard input become routes of a router, `{"announce": "10.1.0.0/16", "nextHop": "192.0.2.7",
 * "communities": [4259840100]}` and `{"withdraw": "10.1.0.0/16"}`. A line that is wrong is answered on standard error; the rest goes on.
 *
 * Run: node lab/examples/route-injector.ts ROUTER-ADDRESS:PORT ROUTER-AS OUR-AS OUR-ROUTER-ID
 * In a program of one's own the import is `from 'ocicat/bgp'`.
 */
import { createInterface } from 'node:readline';
import {
  ACCEPT_ALL,
  formatPrefix,
  makePeer,
  parseAddress,
  parsePrefix,
  parseRouterId,
  REJECT_ALL,
  Speaker,
} from '../../bgp/index.ts';

const [router = '', peerAs = '', ourAs = '', routerId = ''] = process.argv.slice(2);
if (routerId === '') {
  console.error('usage: route-injector ROUTER-ADDRESS:PORT ROUTER-AS OUR-AS OUR-ROUTER-ID');
  process.exit(2);
}
const localAs = Number(ourAs);
const colon = router.lastIndexOf(':');

const speaker = new Speaker({
  routerId: parseRouterId(routerId),
  localAs,
  // We dial; nobody dials us.
  listen: undefined,
  nextHopTracking: false,
  gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
  log: (event) => {
    if (event.type === 'session-up' || event.type === 'session-down') console.log(JSON.stringify(event));
  },
});
speaker.setPeers([
  makePeer({
    address: router.slice(0, colon),
    port: Number(router.slice(colon + 1)),
    localAs,
    peerAs: Number(peerAs),
    nextHop: 'keep',
    importPolicy: REJECT_ALL,
    exportPolicy: ACCEPT_ALL,
  }),
]);
speaker.start();

/** Does what a line says; returns what is wrong with it. */
function follow(line: string): string | undefined {
  let order: Record<string, unknown>;
  try {
    order = JSON.parse(line);
  } catch {
    return 'not JSON';
  }
  const text = order['announce'] ?? order['withdraw'];
  const prefix = typeof text === 'string' ? parsePrefix(text) : undefined;
  if (prefix === undefined) return 'needs "announce" or "withdraw" with a prefix such as "10.1.0.0/16"';
  if (order['announce'] === undefined) {
    return speaker.withdraw(prefix) ? undefined : `${formatPrefix(prefix)} was not announced`;
  }
  const { nextHop: hop, communities, med } = order;
  const nextHop = typeof hop === 'string' ? parseAddress(hop) : undefined;
  if (hop !== undefined && nextHop === undefined) return `nextHop ${JSON.stringify(hop)} is not an address`;
  speaker.originate(prefix, {
    ...(nextHop && { nextHop }),
    ...(typeof med === 'number' && { med }),
    ...(Array.isArray(communities) && { communities: communities.map(Number) }),
  });
  return undefined;
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const problem = line.trim() === '' ? undefined : follow(line);
  if (problem !== undefined) console.error(`${problem}: ${line}`);
});
// The end of the input is the end of the routes: the router withdraws them with the session.
lines.once('close', () => void speaker.stop({ mode: 'shutdown', text: 'no more routes' }));
