/** Takes the sender's packets. Usage: `receiver.ts PORT FLOWS`; a line makes it answer with what it saw since the last (`FlowReport`). */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { answerLines } from './child.ts';
import { FlowLog, readPacket } from './packets.ts';

const BUFFER_BYTES = 8 * 1024 * 1024;

const [port = '', flows = ''] = process.argv.slice(2);
const log = new FlowLog(Number(flows));
const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
socket.on('message', (octets) => log.take(readPacket(octets)));
socket.bind(Number(port));
await once(socket, 'listening');
await answerLines(async () => log.report());
