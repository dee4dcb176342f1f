/**
 * Runs inside a container's network namespace: answers on TCP ports and tries to reach others when asked to.
 * Usage: prober.ts NAME PORT... ; one JSON request a line on standard input, one JSON answer a line on standard output.
 * A connection gets the line `NAME PORT`, so that whoever connects sees who answered. Ends with its standard input.
 */
import { execFile } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';
import type { ProbeAnswer, ProbeRequest } from './prober-messages.ts';

const PING_ERROR = /unreachable|prohibited|administratively|filtered/i;

const [name = '', ...ports] = process.argv.slice(2);

function listen(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end(`${name} ${port}\n`);
    });
    server.once('error', reject);
    server.listen({ port, host: '::', ipv6Only: false }, resolve);
  });
}

function ping(address: string, timeoutMs: number): Promise<ProbeAnswer['outcome']> {
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  return new Promise((resolve) => {
    execFile('ping', ['-n', '-c', '1', '-W', String(seconds), address], (error, stdout, stderr) => {
      if (error === null) resolve('pass');
      else resolve(PING_ERROR.test(stdout + stderr) ? 'unreachable' : 'timeout');
    });
  });
}

function connect(
  address: string,
  port: number,
  expect: string,
  timeoutMs: number,
): Promise<ProbeAnswer['outcome']> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port });
    let text = '';
    const finish = (outcome: ProbeAnswer['outcome']) => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(timeoutMs, () => finish('timeout'));
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.on('end', () => finish(text === `${expect} ${port}\n` ? 'pass' : 'wrong'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET') finish('refused');
      else finish(error.code === 'ETIMEDOUT' ? 'timeout' : 'unreachable');
    });
  });
}

async function answer(request: ProbeRequest): Promise<ProbeAnswer> {
  const { id, address, probe, expect, timeoutMs } = request;
  const outcome = await (probe === 'ping'
    ? ping(address, timeoutMs)
    : connect(address, probe, expect, timeoutMs));
  return { id, outcome };
}

await Promise.all(ports.map((port) => listen(Number(port))));
const send = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const request: ProbeRequest = JSON.parse(line);
  void answer(request).then(send);
});
input.on('close', () => process.exit(0));
send({ ready: true });
