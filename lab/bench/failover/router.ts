/**
 * A top-of-rack router, in its namespace: a BGP session that announces a table, and ways to die. Usage: `router.ts OWN-ADDRESS HOST-ADDRESS AS
 * DEVICE ROUTER-ID`, of either family. Lines: `announce COUNT` (opens the session), `reset` (stops forwarding and ends the session), `stop-forwarding`, `forward`,
 * `link up|down`, `close`. Answers with the time (`clock.ts`) just before it did so (`reset`: before
 * it ended the session).
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { addressOctets } from '../bgp/jobs.ts';
import { encodeAnnouncements } from '../bgp/routes.ts';
import { BenchSession } from '../bgp/session.ts';
import { makeIpv6Workload, makeWorkload } from '../bgp/workload.ts';
import { answerLines } from './child.ts';
import { monotonicMs } from './clock.ts';

/** Cease, Administrative Reset (RFC 4486). */
const RESET = Buffer.concat([Buffer.alloc(16, 0xff), Buffer.from([0, 21, 3, 6, 4])]);

const [ownAddress = '', hostAddress = '', as = '', device = '', routerId = ''] = process.argv.slice(2);
const family = ownAddress.includes(':') ? 'ipv6' : 'ipv4';
const make = family === 'ipv4' ? makeWorkload : makeIpv6Workload;
let session: BenchSession | undefined;
let announcements: { readonly count: number; readonly octets: Buffer } | undefined;

function setForwarding(on: boolean): void {
  const key = family === 'ipv4' ? 'ipv4/ip_forward' : 'ipv6/conf/all/forwarding';
  writeFileSync(`/proc/sys/net/${key}`, on ? '1' : '0');
}

function encoded(count: number): Buffer {
  // The same prefixes and lengths of paths from all routers, each with its own number in front.
  if (announcements?.count !== count)
    announcements = {
      count,
      octets: encodeAnnouncements(make(count, Number(as)), addressOctets(ownAddress)),
    };
  return announcements.octets;
}

await answerLines(async ([verb, word]) => {
  let at = monotonicMs();
  switch (verb) {
    case 'announce': {
      const octets = encoded(Number(word));
      session?.close();
      session = await BenchSession.open({
        ...{ localAddress: ownAddress, peerAddress: hostAddress, peerPort: 179, as: Number(as) },
        ...{ routerId, family, isSink: true },
      });
      await session.send(octets);
      break;
    }
    case 'reset':
      setForwarding(false);
      at = monotonicMs();
      await session?.send(RESET);
      session?.close();
      break;
    case 'stop-forwarding':
      setForwarding(false);
      break;
    case 'forward':
      setForwarding(true);
      break;
    case 'link':
      execFileSync('ip', ['link', 'set', device, word ?? '']);
      break;
    case 'close':
      session?.close();
      break;
    default:
      throw new Error(`"${verb}" is no word of a router`);
  }
  return { at };
});
