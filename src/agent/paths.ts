/** Paths that the agent and its clients agree on. */

/** Where the configuration file is looked for when none is named; it may be absent. */
export const DEFAULT_CONFIG_FILE = '/etc/ocicat/agent.yaml';
export const DEFAULT_SOCKET_PATH = '/run/ocicat/api.sock';
export const DEFAULT_STORE_PATH = '/var/lib/ocicat/store';
