/** RTM_NEWQDISC of a token bucket filter as an interface's root queue (linux/pkt_sched.h, sch_tbf). */
import { AttributeCursor, type MessageBody } from './reader.ts';
import { NLM_F, RTM, TCA, TCA_TBF } from './registry.ts';
import type { MessageWriter } from './writer.ts';

const TCMSG_BYTES = 20;
const TC_H_ROOT = 0xffffffff;
const HANDLE = 0x00010000;
const TC_LINKLAYER_ETHERNET = 1;

/** A token bucket. */
export interface TokenBucket {
  /** octets per second, up to 2^53 */
  readonly rate: number;
  /** octets that may pass at once, 1..2^32-1 */
  readonly burst: number;
  /** octets that may wait, 1..2^32-1 */
  readonly limit: number;
}

const attributes = new AttributeCursor();
const options = new AttributeCursor();

/** Writes the request that makes the bucket the root queue of an interface, whatever was there. ENOENT when the kernel has no tbf. */
export function writeTokenBucket(writer: MessageWriter, ifindex: number, bucket: TokenBucket): void {
  writer.begin(RTM.NEWQDISC, NLM_F.CREATE | NLM_F.REPLACE);
  writer.u32(0);
  writer.u32(ifindex);
  writer.u32(HANDLE);
  writer.u32(TC_H_ROOT);
  writer.u32(0);
  writer.attributeString(TCA.KIND, 'tbf');
  const nested = writer.beginAttribute(TCA.OPTIONS);
  const parameters = writer.beginAttribute(TCA_TBF.PARMS, false);
  // struct tc_tbf_qopt: rate, no peak rate, limit; buffer and mtu are given by TCA_TBF_BURST.
  writer.u8(0);
  writer.u8(TC_LINKLAYER_ETHERNET);
  for (let octet = 0; octet < 6; octet++) writer.u8(0);
  writer.u32(Math.min(bucket.rate, 0xffffffff));
  for (let octet = 0; octet < 12; octet++) writer.u8(0);
  writer.u32(bucket.limit);
  writer.u32(0);
  writer.u32(0);
  writer.endAttribute(parameters);
  writer.attributeU32(TCA_TBF.BURST, bucket.burst);
  if (bucket.rate > 0xffffffff) {
    const wide = new Uint8Array(8);
    new DataView(wide.buffer).setBigUint64(0, BigInt(bucket.rate), true);
    writer.attributeBytes(TCA_TBF.RATE64, wide);
  }
  writer.endAttribute(nested);
  writer.end();
}

/** Writes the RTM_GETQDISC of a dump of one interface's queues. */
export function writeQdiscDump(writer: MessageWriter, ifindex: number): void {
  writer.begin(RTM.GETQDISC, 0);
  writer.u32(0);
  writer.u32(ifindex);
  writer.u32(0);
  writer.u32(0);
  writer.u32(0);
  writer.end();
}

/** The rate in octets per second of an interface's root token bucket; undefined for any other queue. Up to 2^32 - 1. */
export function decodeTokenBucketRate(message: MessageBody, ifindex: number): number | undefined {
  const at = message.bodyStart;
  if (at + TCMSG_BYTES > message.bodyEnd || message.view.getInt32(at + 4, true) !== ifindex) return undefined;
  if (message.view.getUint32(at + 12, true) !== TC_H_ROOT) return undefined;
  let kind = '';
  let rate: number | undefined;
  attributes.reset(message.bytes, message.view, at + TCMSG_BYTES, message.bodyEnd);
  while (attributes.next()) {
    if (attributes.type === TCA.KIND) kind = attributes.text();
    else if (attributes.type === TCA.OPTIONS) {
      options.enter(attributes);
      while (options.next()) {
        if (options.type === TCA_TBF.PARMS && options.length >= 12) {
          rate = options.view.getUint32(options.start + 8, true);
        }
      }
    }
  }
  return kind === 'tbf' ? rate : undefined;
}
