/**
 * Bandwidth limits of a container: a token bucket on the sending side of each direction, so that packets wait instead of being dropped.
 * What the container receives waits on the host's end; what it sends waits on its own end (which a container with CAP_NET_ADMIN could undo).
 */
import { NetlinkError } from '../netlink/error-message.ts';
import {
  decodeTokenBucketRate,
  type TokenBucket,
  writeQdiscDump,
  writeTokenBucket,
} from '../netlink/qdisc-message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { BandwidthLimit } from './plan.ts';

const ENOENT = 2;
/** Packets wait at most about so long: Calico's and the stock bandwidth plugin's figure. */
const LATENCY_SEC = 0.025;
/** One full segmentation-offload packet must fit, or the kernel has to split each. */
const MIN_BURST = 65_536 + 1_514;
const MAX_U32 = 0xffffffff;

/** The bucket of a limit. */
export function bucketOf({ rateBits, burstBits }: BandwidthLimit): TokenBucket {
  const rate = Math.max(1, Math.floor(rateBits / 8));
  const burst = Math.min(
    MAX_U32,
    burstBits > 0 ? Math.max(Math.floor(burstBits / 8), 1_600) : Math.max(MIN_BURST, Math.floor(rate / 100)),
  );
  return {
    rate,
    burst,
    limit: Math.min(MAX_U32, Math.max(Math.floor(rate * LATENCY_SEC) + burst, MIN_BURST)),
  };
}

/** Limits what leaves by an interface. Throws a NetlinkError. */
export function limitSending(socket: NetlinkSocket, ifindex: number, limit: BandwidthLimit): void {
  const verdict = socket.tryRequest((writer) => writeTokenBucket(writer, ifindex, bucketOf(limit)));
  if (verdict.errno === 0) return;
  const text =
    verdict.errno === ENOENT
      ? 'this kernel has no token bucket filter (module sch_tbf); load it or ask for no bandwidth limit'
      : verdict.text;
  throw new NetlinkError('limit its bandwidth', verdict.errno, text);
}

/** Whether what leaves by an interface is limited as wanted. Throws a NetlinkError. */
export function isSendingLimited(socket: NetlinkSocket, ifindex: number, limit: BandwidthLimit): boolean {
  const rates = socket.dumpList(
    'read the queues',
    (writer) => writeQdiscDump(writer, ifindex),
    (message) => decodeTokenBucketRate(message, ifindex),
  );
  return rates.includes(Math.min(bucketOf(limit).rate, MAX_U32));
}
