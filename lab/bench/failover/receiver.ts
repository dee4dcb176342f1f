/** Takes the sender's packets. Usage: `receiver.ts PORT FLOWS FAMILY`; a line makes it answer with what it saw since the last (`FlowReport`). */
import { bind, receiveFrom, setsockoptInt, watchReadable } from '../../../fib/netlink/libc.ts';
import { answerLines } from './child.ts';
import { FlowLog, PACKET_OCTETS, readPacket } from './packets.ts';
import { openUdp, socketAddress } from './udp.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** a second and more of packets: more than an ordinary socket may ask for */
const BUFFER_BYTES = 16 * 1024 * 1024;

const [port = '', flows = '', family = ''] = process.argv.slice(2);
const log = new FlowLog(Number(flows));
const any = family === 'ipv6' ? '::' : '0.0.0.0';
const descriptor = openUdp(any);
setsockoptInt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
const bound = bind(descriptor, socketAddress(any, Number(port)));
if ('errno' in bound) throw new Error(`bind: errno ${bound.errno}`);
const packet = Buffer.alloc(PACKET_OCTETS);
const sender = Buffer.alloc(28);

function drain(): void {
  while (receiveFrom(descriptor, packet, sender) === PACKET_OCTETS) log.take(readPacket(packet));
}

watchReadable(descriptor, drain);
await answerLines(async () => {
  drain();
  return log.report();
});
