/** `--publish [HOST_IP:]HOST_PORT:CONTAINER_PORT[/PROTOCOL]`: published ports as people write them. */
import type { WorkloadPort } from '../model/workload-endpoint.ts';
import { formatAddress, parseAddress } from '../net/address.ts';

const PROTOCOLS = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' } as const;
const FORM = /^(?:(.*):)?(\d+):(\d+)(?:\/([A-Za-z]+))?$/;

/** Reads one mapping. Without protocol it is TCP; an IPv6 host address stands in brackets. Returns a text that says what is wrong. */
export function parsePublish(text: string): WorkloadPort | string {
  const parts = FORM.exec(text);
  if (parts === null) {
    return 'write [HOST_IP:]HOST_PORT:CONTAINER_PORT[/tcp|udp|sctp], such as 8080:80 or [2001:db8::1]:8080:80/tcp';
  }
  const [, host, hostPortText = '', portText = '', protocolText = 'tcp'] = parts;
  const protocol = Object.entries(PROTOCOLS).find(([name]) => name === protocolText.toLowerCase())?.[1];
  if (protocol === undefined) return `protocol ${protocolText} is not tcp, udp or sctp`;
  const hostPort = Number(hostPortText);
  const port = Number(portText);
  for (const each of [hostPort, port]) if (each < 1 || each > 65535) return `port ${each} is not 1 to 65535`;
  if (host === undefined) return { protocol, port, hostPort };
  const bracketed = /^\[(.*)\]$/.exec(host)?.[1];
  const address = parseAddress(bracketed ?? host);
  if (address === undefined) return `${host} is no address of this host`;
  if (bracketed === undefined && address.family === 'ipv6') return `write the IPv6 address as [${host}]`;
  return { protocol, port, hostPort, hostIP: formatAddress(address) };
}

/** A published port for people: `192.0.2.1:8080->80/tcp`. */
export function publishedText({ hostIP, hostPort, port, protocol }: WorkloadPort): string {
  const host = hostIP === undefined ? '' : hostIP.includes(':') ? `[${hostIP}]:` : `${hostIP}:`;
  return `${host}${hostPort}->${port}/${String(protocol).toLowerCase()}`;
}
