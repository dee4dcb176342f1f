/**
 * Ports of the host that its own processes listen on: publishing one would take it away from them, for translation comes before the
 * host's sockets. Asked by binding, as the kernel knows best.
 */
import { createSocket } from 'node:dgram';
import { createServer, isIP } from 'node:net';
import { isRecord } from '../../model/record.ts';
import type { WorkloadPort } from '../../model/workload-endpoint.ts';

/** The first of the published ports that a process of this host has; undefined: none. */
export async function firstPortInUse(ports: readonly WorkloadPort[]): Promise<WorkloadPort | undefined> {
  for (const port of ports) if (await isInUse(port)) return port;
  return undefined;
}

/** No address stands for all of both families. What cannot be found out (an address that is not here yet) counts as free. */
async function isInUse({ protocol, hostPort, hostIP = '' }: WorkloadPort): Promise<boolean> {
  if (hostPort === undefined || (protocol !== 'TCP' && protocol !== 'UDP')) return false;
  const bind = protocol === 'TCP' ? bindTcp : bindUdp;
  const addresses = hostIP === '' ? ['0.0.0.0', '::'] : isIP(hostIP) === 0 ? [] : [hostIP];
  for (const address of addresses) if ((await bind(address, hostPort)) === 'EADDRINUSE') return true;
  return false;
}

/** Resolves to the error's code, or undefined once the socket is closed again. */
function bindTcp(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => resolve(codeOf(error)));
    server.listen({ host, port, exclusive: true, ipv6Only: host.includes(':') }, () => {
      server.close(() => resolve(undefined));
    });
  });
}

function bindUdp(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const isV6 = address.includes(':');
    const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', ipv6Only: isV6 });
    socket.once('error', (error) => {
      socket.close();
      resolve(codeOf(error));
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

function codeOf(error: unknown): string {
  return isRecord(error) && typeof error['code'] === 'string' ? error['code'] : 'unknown';
}
