/** Paths that the agent and its clients agree on. */

/** Where the configuration file is looked for when none is named; it may be absent. */
export const DEFAULT_CONFIG_FILE = '/etc/ocicat/agent.yaml';
export const DEFAULT_SOCKET_PATH = '/run/ocicat/api.sock';
export const DEFAULT_STORE_PATH = '/var/lib/ocicat/store';
/** Where the last known state of etcd is kept. */
export const DEFAULT_ETCD_STATE_PATH = '/var/lib/ocicat/etcd';
/** Where Docker's engine looks for drivers; the file's name is the driver's. */
export const DOCKER_PLUGIN_SOCKET = '/run/docker/plugins/ocicat.sock';
/** Docker's own API. */
export const DOCKER_API_SOCKET = '/run/docker.sock';
