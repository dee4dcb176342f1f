/** The agent's store: which one, as configured, and opened. What a kind of store needs is loaded only when it is used. */
import { isMap, join, object, optional, required, type Schema, text } from '../model/schema.ts';
import { admitByModel, admitOnNode } from '../store/admission.ts';
import type { Admission } from '../store/codec.ts';
import { checkEndpoints, type EtcdEndpoints } from '../store/etcd/endpoints.ts';
import type { Store } from '../store/types.ts';
import type { HostLimits } from './kernel-support.ts';
import { DEFAULT_ETCD_STATE_PATH, DEFAULT_STORE_PATH } from './paths.ts';

/** An absolute path of at most `longest` characters. */
export function absolutePath(longest = 4095): Schema<string> {
  return text(
    (path) => (path.startsWith('/') ? undefined : 'must be an absolute path'),
    (path) => (path.length > longest ? `must be at most ${longest} characters long` : undefined),
  );
}

// A variable holds them separated by commas.
const endpoints: Schema<readonly string[]> = {
  read(input, path, problems) {
    const given: unknown = typeof input === 'string' ? input.split(',').map((each) => each.trim()) : input;
    if (Array.isArray(given) && given.every((each) => typeof each === 'string')) return given;
    problems.add(path, ENDPOINTS_RULE);
    return undefined;
  },
};
const ENDPOINTS_RULE = 'must be a list such as ["http://10.0.0.1:2379"]';

const fileStore = object<{ readonly kind?: string; readonly path?: string }>({
  kind: optional(text()),
  path: optional(absolutePath()),
});

type GivenEtcd = Partial<EtcdEndpoints> & { readonly kind: string; readonly path?: string };

const etcdStore = object<GivenEtcd>(
  {
    kind: required(text()),
    path: optional(absolutePath()),
    endpoints: optional(endpoints),
    caFile: optional(absolutePath()),
    certFile: optional(absolutePath()),
    keyFile: optional(absolutePath()),
    serverName: optional(text()),
    usernameFile: optional(absolutePath()),
    passwordFile: optional(absolutePath()),
  },
  ({ endpoints, ...rest }, path, problems) => {
    if (endpoints === undefined) problems.add(join(path, 'endpoints'), ENDPOINTS_RULE);
    else
      for (const { path: name, reason } of checkEndpoints({ endpoints, ...rest }))
        problems.add(join(path, name), reason);
  },
);

/** The schema of `store` in the configuration. */
export const storeSchema: Schema<StoreConfig> = {
  read(input, path, problems) {
    const kind = isMap(input) ? (input['kind'] ?? 'file') : 'file';
    if (kind === 'file') {
      const given = fileStore.read(input, path, problems);
      return given && { kind, path: given.path ?? DEFAULT_STORE_PATH };
    }
    if (kind === 'etcd') {
      const given = etcdStore.read(input, path, problems);
      if (given === undefined) return undefined;
      const { kind: _, path: folder = DEFAULT_ETCD_STATE_PATH, endpoints = [], ...rest } = given;
      return { kind, path: folder, etcd: { endpoints, ...rest } };
    }
    problems.add(join(path, 'kind'), 'must be file (the embedded store) or etcd');
    return undefined;
  },
};

/** The embedded store. */
export interface FileStoreConfig {
  readonly kind: 'file';
  readonly path: string;
}

/** An etcd that hosts share. */
export interface EtcdStoreConfig {
  readonly kind: 'etcd';
  /** folder of the last known state */
  readonly path: string;
  readonly etcd: EtcdEndpoints;
}

export type StoreConfig = FileStoreConfig | EtcdStoreConfig;

/** Variables of the environment and the settings that they stand for. */
export const STORE_VARIABLES: Readonly<Record<string, readonly string[]>> = {
  OCICAT_STORE: ['store', 'kind'],
  OCICAT_STORE_PATH: ['store', 'path'],
  OCICAT_ETCD_ENDPOINTS: ['store', 'endpoints'],
  OCICAT_ETCD_CA_FILE: ['store', 'caFile'],
  OCICAT_ETCD_CERT_FILE: ['store', 'certFile'],
  OCICAT_ETCD_KEY_FILE: ['store', 'keyFile'],
  OCICAT_ETCD_SERVER_NAME: ['store', 'serverName'],
  OCICAT_ETCD_USERNAME_FILE: ['store', 'usernameFile'],
  OCICAT_ETCD_PASSWORD_FILE: ['store', 'passwordFile'],
};

/** Opens the store of an agent. Its folder's parent must be there. What the host cannot carry out is not in force. Rejections are those of the stores. */
export async function openStore(config: StoreConfig, nodeName: string, limits: HostLimits): Promise<Store> {
  const within =
    (admit: Admission): Admission =>
    (resource, others) => [
      ...admit(resource, others),
      ...limits(resource).map(({ path, reason }) => `${path}: ${reason}`),
    ];
  if (config.kind === 'file') {
    const { openFileStore } = await import('../store/file/file-store.ts');
    return await openFileStore({ root: config.path, admit: within(admitByModel) });
  }
  const { openEtcdStore } = await import('../store/etcd/etcd-store.ts');
  const admit = within(admitOnNode(nodeName));
  return await openEtcdStore({ etcd: config.etcd, cacheFolder: config.path, admit });
}

/** Where a person finds what a problem of the store is about. */
export function storePlace(config: StoreConfig): string {
  return config.kind === 'file' ? config.path : `etcd (${config.etcd.endpoints.join(', ')})`;
}
