/** Which etcd, and how to be let in: the part of the agent's configuration that is about etcd. */
import { isIP } from 'node:net';

/** Endpoints and files of an etcd cluster. */
export interface EtcdEndpoints {
  /** `http://HOST:PORT` or `https://HOST:PORT`, one for each member; not mixed */
  readonly endpoints: readonly string[];
  /** PEM: who may vouch for the servers; default: the system's authorities */
  readonly caFile?: string;
  /** PEM: this host's certificate and its key; both or none */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** name to expect in the servers' certificates in place of the endpoint's */
  readonly serverName?: string;
  /** files with one line each; both or none */
  readonly usernameFile?: string;
  readonly passwordFile?: string;
}

/** What is wrong with the endpoints, each with its remedy; empty: nothing. */
export function checkEndpoints(options: EtcdEndpoints): readonly { path: string; reason: string }[] {
  const faults: { path: string; reason: string }[] = [];
  const secure = options.endpoints.filter((endpoint) => endpoint.startsWith('https://'));
  if (options.endpoints.length === 0) faults.push({ path: 'endpoints', reason: 'name at least one member' });
  for (const endpoint of options.endpoints) {
    const host = hostOf(endpoint);
    if (host === undefined) {
      faults.push({
        path: 'endpoints',
        reason: `"${endpoint}" must be http://HOST:PORT or https://HOST:PORT`,
      });
    } else if (secure.length > 0 && isIP(host) !== 0 && options.serverName === undefined) {
      const reason = `${endpoint} names an IP address: set serverName to a DNS name in the server's certificate, or use such a name in the endpoint`;
      faults.push({ path: 'serverName', reason });
    }
  }
  if (secure.length > 0 && secure.length < options.endpoints.length) {
    faults.push({ path: 'endpoints', reason: 'all https or all http, not both' });
  }
  if (secure.length === 0) {
    for (const path of ['caFile', 'certFile', 'keyFile', 'serverName'] as const) {
      if (options[path] !== undefined) faults.push({ path, reason: 'needs https endpoints' });
    }
  }
  if ((options.certFile === undefined) !== (options.keyFile === undefined)) {
    faults.push({ path: 'certFile', reason: 'certFile and keyFile belong together' });
  }
  if ((options.usernameFile === undefined) !== (options.passwordFile === undefined)) {
    faults.push({ path: 'usernameFile', reason: 'usernameFile and passwordFile belong together' });
  }
  return faults;
}

function hostOf(endpoint: string): string | undefined {
  if (!/^https?:\/\/[^/]+:\d+\/?$/.test(endpoint) || !URL.canParse(endpoint)) return undefined;
  return new URL(endpoint).hostname.replace(/^\[|\]$/g, '');
}
