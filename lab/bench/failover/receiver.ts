/** Takes the sender's packets. Usage: `receiver.ts PORT FLOWS`; a line makes it answer with what it saw since the last (`FlowReport`). */
import { bind, receiveFrom, setsockoptInt, socket, watchReadable } from '../../../fib/netlink/libc.ts';
import { answerLines } from './child.ts';
import { FlowLog, PACKET_OCTETS, readPacket } from './packets.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
/** a second and more of packets: more than an ordinary socket may ask for */
const BUFFER_BYTES = 16 * 1024 * 1024;

const [port = '', flows = ''] = process.argv.slice(2);
const log = new FlowLog(Number(flows));
const opened = socket(AF_INET, SOCK_DGRAM, 0);
if ('errno' in opened) throw new Error(`socket: errno ${opened.errno}`);
const descriptor = opened.value;
setsockoptInt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
const own = Buffer.alloc(16);
own.writeUInt16LE(AF_INET);
own.writeUInt16BE(Number(port), 2);
const bound = bind(descriptor, own);
if ('errno' in bound) throw new Error(`bind: errno ${bound.errno}`);
const packet = Buffer.alloc(PACKET_OCTETS);
const sender = Buffer.alloc(16);

function drain(): void {
  while (receiveFrom(descriptor, packet, sender) === PACKET_OCTETS) log.take(readPacket(packet));
}

watchReadable(descriptor, drain);
await answerLines(async () => {
  drain();
  return log.report();
});
