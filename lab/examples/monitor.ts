/**
 * A monitor: takes the routes of routers, announces nothing, and prints each change of the best path as a line of JSON.
 *
 * Run: node lab/examples/monitor.ts OUR-AS OUR-ROUTER-ID ROUTER-ADDRESS:PORT:AS [ROUTER-ADDRESS:PORT:AS ...]
 * In a program of one's own the import is `from 'ocicat/bgp'`.
 */
import {
  ACCEPT_ALL,
  formatAddress,
  formatAsPath,
  formatCommunity,
  formatPrefix,
  makePeer,
  parseRouterId,
  REJECT_ALL,
  Speaker,
} from '../../bgp/index.ts';

const [ourAs = '', routerId = '', ...routers] = process.argv.slice(2);
if (routers.length === 0) {
  console.error('usage: monitor OUR-AS OUR-ROUTER-ID ROUTER-ADDRESS:PORT:AS [ROUTER-ADDRESS:PORT:AS ...]');
  process.exit(2);
}
const localAs = Number(ourAs);
const say = (value: object): void => console.log(JSON.stringify(value));

const speaker = new Speaker({
  routerId: parseRouterId(routerId),
  localAs,
  listen: undefined,
  nextHopTracking: false,
  gracefulRestart: { forwardingPreserved: { ipv4: false, ipv6: false }, deferralSec: 30 },
  log: (event) => {
    if (event.type === 'session-up') say({ event: 'up', peer: event.peer });
    else if (event.type === 'session-down') say({ event: 'down', peer: event.peer, reason: event.reason });
    else if (event.type === 'end-of-rib') say({ event: 'complete', peer: event.peer, family: event.family });
  },
});

// Changes come in batches of prefix ids; what a prefix has now is asked for by its value. Reading the RIB in a listener is
// fine, changing it is not.
speaker.rib.subscribe({
  onLocRibChange: (family, ids, count) => {
    const table = speaker.rib.prefixTable(family);
    for (const id of ids.subarray(0, count)) {
      const prefix = table.prefixOf(id);
      let best: object | undefined;
      for (const path of speaker.rib.routes({ family, prefix })) {
        if (!path.best) continue;
        const { asPath, nextHop, communities = [] } = path.attributes;
        best = {
          from: path.source.kind === 'peer' ? path.source.peer : 'local',
          asPath: formatAsPath(asPath),
          nextHop: nextHop && formatAddress(nextHop),
          communities: communities.map(formatCommunity),
          ...(path.reason && { reason: path.reason }),
        };
      }
      say({ event: best === undefined ? 'withdrawn' : 'best', prefix: formatPrefix(prefix), ...best });
    }
  },
});

speaker.setPeers(
  routers.map((router) => {
    const [, address = '', port = '', as = ''] = /^(.+):(\d+):(\d+)$/.exec(router) ?? [];
    return makePeer({
      address,
      port: Number(port),
      localAs,
      peerAs: Number(as),
      importPolicy: ACCEPT_ALL,
      exportPolicy: REJECT_ALL,
    });
  }),
);
speaker.start();

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void speaker.stop({ mode: 'shutdown' }));
}
