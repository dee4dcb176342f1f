/**
 * Sends numbered UDP packets to each of some addresses every half millisecond, each with the time of its sending (`clock.ts`). Usage:
 * `sender.ts PORT ADDRESS...`; a line makes it answer with how many rounds it has sent.
 */
import { spawnSync } from 'node:child_process';
import { sendTo } from '../../../fib/netlink/libc.ts';
import { answerLines } from './child.ts';
import { monotonicMs } from './clock.ts';
import { PACKET_OCTETS, writePacket } from './packets.ts';
import { openUdp, socketAddress } from './udp.ts';

const INTERVAL_MS = 0.5;
const ROUNDS_A_TURN = 16;

const [port = '', ...addresses] = process.argv.slice(2);
const targets = addresses.map((address) => socketAddress(address, Number(port)));
const descriptor = openUdp(addresses[0] ?? '');
const packet = Buffer.alloc(PACKET_OCTETS);
const nobody = new Int32Array(new SharedArrayBuffer(4));
let rounds = 0;

function turn(): void {
  for (let round = 0; round < ROUNDS_A_TURN; round++) {
    for (const [index, target] of targets.entries()) {
      writePacket(packet, { flow: index, number: rounds, sentAt: monotonicMs() });
      sendTo(descriptor, packet, target);
    }
    rounds++;
    // Timers are no finer than a millisecond.
    Atomics.wait(nobody, 0, 0, INTERVAL_MS);
  }
  setImmediate(turn);
}

// A sender that waits for a processor while a router dies would see no gap. Where it may not have its way, gaps are less exact.
spawnSync('chrt', ['--fifo', '--pid', '1', String(process.pid)]);
turn();
await answerLines(async () => ({ rounds }));
