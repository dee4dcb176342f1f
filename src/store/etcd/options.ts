/** How etcd3 is told to reach a member; certificates and secrets are read from their files at every connection. */
import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import type { IOptions } from 'etcd3';
import { StoreUnavailable } from '../errors.ts';
import type { EtcdEndpoints } from './endpoints.ts';

/** Certificates and secrets as they stand in the files now. */
export interface Credentials {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly username?: string;
  readonly password?: string;
}

/** Reads the files. Rejects with `StoreUnavailable`, which names the file and never its content. */
export async function readCredentials(options: EtcdEndpoints): Promise<Credentials> {
  const read = async (path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    try {
      return await readFile(path);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'an error';
      throw new StoreUnavailable(`cannot read ${path} (${code}): it is needed to reach etcd`);
    }
  };
  const [ca, cert, key, username, password] = await Promise.all(
    [options.caFile, options.certFile, options.keyFile, options.usernameFile, options.passwordFile].map(read),
  );
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(username && { username: line(username) }),
    ...(password && { password: line(password) }),
  };
}

/** Whether two readings of the files are the same. */
export function sameCredentials(a: Credentials, b: Credentials): boolean {
  const same = (x: Buffer | undefined, y: Buffer | undefined): boolean =>
    x === undefined || y === undefined ? x === y : x.equals(y);
  return (
    same(a.ca, b.ca) &&
    same(a.cert, b.cert) &&
    same(a.key, b.key) &&
    a.username === b.username &&
    a.password === b.password
  );
}

function line(content: Buffer): string {
  return content.toString('utf8').replace(/\r?\n$/, '');
}

type FaultPolicy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

// Retries and circuit breakers hide from a writer whether its write may have happened; both are done in cluster.ts, where it matters.
const passThrough: FaultPolicy = {
  get _altReturn(): never {
    throw new Error('a type, not a value');
  },
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  execute: async (work) => await work({ signal: new AbortController().signal }),
};

// Below etcd's floor of 5 s a server drops the connection ("too many pings").
const KEEPALIVE_MS = 6_000;
const KEEPALIVE_TIMEOUT_MS = 3_000;
// A batch of the watch holds up to 1,000 revisions of up to 1.5 MiB; gRPC's default of 4 MiB would stop it for good.
const MAX_MESSAGE_OCTETS = 1 << 30;
/** The exchange of name and password for a token; the server hashes for some tenths of a second. */
const AUTHENTICATION_TIMEOUT_MS = 4_000;

/** The options of an etcd3 client for one member. */
export function clientOptions(
  endpoint: string,
  { serverName, endpoints: _all, ...files }: EtcdEndpoints,
  credentials: Credentials,
): IOptions {
  const { ca, cert, key, username, password } = credentials;
  const usesFiles = files.caFile !== undefined || files.certFile !== undefined;
  return {
    hosts: endpoint.replace(/\/$/, ''),
    faultHandling: { host: () => passThrough, global: passThrough },
    grpcOptions: {
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.keepalive_permit_without_calls': 0,
      'grpc.max_receive_message_length': MAX_MESSAGE_OCTETS,
      'grpc.initial_reconnect_backoff_ms': 200,
      'grpc.max_reconnect_backoff_ms': 5_000,
      // A pool of connections of its own: two clients of one member do not share a connection that hangs.
      'grpc.use_local_subchannel_pool': 1,
      ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
    },
    ...(usesFiles && {
      credentials: {
        // An empty list of authorities would trust nobody; gRPC takes null for the system's.
        ...(ca === undefined ? { rootCertificate: systemAuthorities() } : { rootCertificate: ca }),
        ...(key && { privateKey: key }),
        ...(cert && { certChain: cert }),
      },
    }),
    ...(username !== undefined &&
      password !== undefined && {
        auth: {
          username,
          password,
          callOptions: () => ({ deadline: Date.now() + AUTHENTICATION_TIMEOUT_MS }),
        },
      }),
  };
}

function systemAuthorities(): Buffer {
  return Buffer.from(getCACertificates('system').join('\n'));
}
