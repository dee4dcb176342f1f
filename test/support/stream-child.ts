/**
 * One end of a stream of numbered UDP packets, inside a container. Usage: `stream-child.ts send PACKETS-A-SECOND PORT ADDRESS...` or
 * `stream-child.ts receive PORT`. Says `ready` first; a line on standard input makes it stop (the sender) and answer with one line of JSON.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';

type FamilyWord = 'ipv4' | 'ipv6';
const MAX_BURST = 50;

const [mode = '', ...words] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });
input.on('close', () => process.exit(0));
if (mode === 'send') await send(words);
else await receive(words);

function familyWord(address: string): FamilyWord {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}

async function send([rate = '', port = '', ...addresses]: readonly string[]): Promise<void> {
  const ends = addresses.map((address) => ({
    address,
    family: familyWord(address),
    socket: createSocket(isIPv6(address) ? 'udp6' : 'udp4'),
  }));
  const sent = { ipv4: 0, ipv6: 0 };
  const errors: string[] = [];
  let under = 0;
  let number = 0;
  const perMs = Number(rate) / 1000;
  const begin = performance.now();
  say({ ready: true });
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - begin) * perMs) - number;
    for (let count = Math.min(due, MAX_BURST); count > 0; count--) {
      const packet = Buffer.alloc(64);
      packet.writeUInt32BE(number++);
      for (const { address, family, socket } of ends) {
        under++;
        socket.send(packet, Number(port), address, (error) => {
          under--;
          if (error === null) sent[family]++;
          else errors.push(`${family} packet ${packet.readUInt32BE()}: ${error.message}`);
        });
      }
    }
  }, 1);
  await once(input, 'line');
  clearInterval(timer);
  while (under > 0) await new Promise((resolve) => setImmediate(resolve));
  say({ sent, errors: errors.slice(0, 10) });
}

async function receive([port = '']: readonly string[]): Promise<void> {
  const seen: Record<FamilyWord, Set<number>> = { ipv4: new Set(), ipv6: new Set() };
  for (const type of ['udp4', 'udp6'] as const) {
    const socket: Socket = createSocket({ type, ipv6Only: type === 'udp6', recvBufferSize: 1 << 20 });
    const numbers = seen[type === 'udp4' ? 'ipv4' : 'ipv6'];
    socket.on('message', (packet) => numbers.add(packet.readUInt32BE()));
    socket.bind(Number(port));
    await once(socket, 'listening');
  }
  say({ ready: true });
  for await (const _ of input) {
    say({
      received: { ipv4: seen.ipv4.size, ipv6: seen.ipv6.size },
      // Arrived in the container, but this process was too slow to take them.
      overrun: { ipv4: counter('snmp', 'Udp', 'RcvbufErrors'), ipv6: counter6('Udp6RcvbufErrors') },
      missing: { ipv4: gaps(seen.ipv4), ipv6: gaps(seen.ipv6) },
    });
  }
}

function gaps(numbers: ReadonlySet<number>): string[] {
  const ranges: string[] = [];
  let start = -1;
  const last = Math.max(-1, ...[...numbers].slice(-1));
  for (let number = 0; number <= last + 1; number++) {
    const isMissing = number <= last && !numbers.has(number);
    if (isMissing && start < 0) start = number;
    if (!isMissing && start >= 0) {
      ranges.push(`${start}-${number - 1}`);
      start = -1;
    }
  }
  return ranges.slice(0, 10);
}

function counter(file: string, group: string, name: string): number {
  const lines = readFileSync(`/proc/self/net/${file}`, 'utf8').split('\n');
  const [titles = [], values = []] = lines
    .filter((line) => line.startsWith(`${group}: `))
    .map((line) => line.split(' '));
  return Number(values[titles.indexOf(name)] ?? 0);
}

function counter6(name: string): number {
  const text = readFileSync('/proc/self/net/snmp6', 'utf8');
  return Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
