/** The agent's store: which one, as configured, and opened. What a kind of store needs is loaded only when it is used. */
import { z } from 'zod';
import { admitByModel, admitOnNode } from '../store/admission.ts';
import type { Admission } from '../store/codec.ts';
import { checkEndpoints, type EtcdEndpoints } from '../store/etcd/endpoints.ts';
import type { Store } from '../store/types.ts';
import type { HostLimits } from './kernel-support.ts';
import { DEFAULT_ETCD_STATE_PATH, DEFAULT_STORE_PATH } from './paths.ts';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');

const fileStore = z.strictObject({
  kind: z.literal('file').default('file'),
  path: absolutePath.default(DEFAULT_STORE_PATH),
});

const etcdStore = z
  .strictObject({
    kind: z.literal('etcd'),
    path: absolutePath.default(DEFAULT_ETCD_STATE_PATH),
    // A variable holds them separated by commas.
    endpoints: z.preprocess(
      (value) => (typeof value === 'string' ? value.split(',').map((each) => each.trim()) : value),
      z.array(z.string(), 'must be a list such as ["http://10.0.0.1:2379"]'),
    ),
    caFile: absolutePath.optional(),
    certFile: absolutePath.optional(),
    keyFile: absolutePath.optional(),
    serverName: z.string().min(1).optional(),
    usernameFile: absolutePath.optional(),
    passwordFile: absolutePath.optional(),
  })
  .superRefine((value, context) => {
    for (const { path, reason } of checkEndpoints(withoutUndefined(value))) {
      context.addIssue({ code: 'custom', path: [path], message: reason });
    }
  })
  .transform(({ kind, path, ...etcd }): EtcdStoreConfig => ({ kind, path, etcd: withoutUndefined(etcd) }));

/** The schema of `store` in the configuration. */
export const storeSchema = z.preprocess(
  (value) =>
    typeof value === 'object' && value !== null && !('kind' in value) ? { kind: 'file', ...value } : value,
  z.discriminatedUnion('kind', [fileStore, etcdStore], 'must be file (the embedded store) or etcd'),
);

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

type Given = { readonly endpoints: readonly string[] } & {
  readonly [K in Exclude<keyof EtcdEndpoints, 'endpoints'>]?: string | undefined;
};

function withoutUndefined(given: Given): EtcdEndpoints {
  const { endpoints, caFile, certFile, keyFile, serverName, usernameFile, passwordFile } = given;
  return {
    endpoints,
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(usernameFile === undefined ? {} : { usernameFile }),
    ...(passwordFile === undefined ? {} : { passwordFile }),
  };
}
