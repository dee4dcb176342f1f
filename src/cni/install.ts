/** `ocicat cni install`: the plugin, the wrapper that names its Node, and the network's configuration list, each by rename. */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The plugin's name, as configurations have it under `type`. */
export const PLUGIN_TYPE = 'ocicat-cni';

/** Where to put what. */
export interface InstallOptions {
  readonly binDir: string;
  readonly confDir: string;
  /** the network's name */
  readonly name: string;
  /** absolute path of the Node to run the plugin with */
  readonly node: string;
  /** the agent's socket, where it is not the default */
  readonly socket?: string | undefined;
  /** the folder for DELs that no agent takes, where it is not the default */
  readonly queue?: string | undefined;
}

/** What `install` wrote and what is still to be done. */
export interface InstallReport {
  readonly written: readonly string[];
  readonly notes: readonly string[];
}

/** Writes everything; existing files of these names are replaced. Throws an error of fs, or a RangeError for a name that cannot be one. */
export function installPlugin(options: InstallOptions): InstallReport {
  const { binDir, confDir, name } = options;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new RangeError(
      `network name "${name}": letters, digits, "_", "." and "-", a letter or digit first`,
    );
  }
  mkdirSync(binDir, { recursive: true, mode: 0o755 });
  mkdirSync(confDir, { recursive: true, mode: 0o755 });
  const program = join(binDir, `${PLUGIN_TYPE}.cjs`);
  const wrapper = join(binDir, PLUGIN_TYPE);
  const list = join(confDir, `10-${name}.conflist`);
  // The wrapper last but the list: a runtime that finds either finds what it needs.
  replace(program, readFileSync(programPath()), 0o644);
  replace(wrapper, wrapperText(options.node, program), 0o755);
  replace(list, `${JSON.stringify(networkList(options), undefined, 2)}\n`, 0o644);
  const notes: string[] = [];
  if (!existsSync(join(binDir, 'loopback'))) {
    notes.push(
      `containerd and CRI-O also run the plugin "loopback", which is not in ${binDir}: apt-get install containernetworking-plugins && cp /usr/lib/cni/loopback ${binDir}/`,
    );
  }
  return { written: [program, wrapper, list], notes };
}

/**
 * The configuration list. Version 1.0.0: podman 4 and containerd 1.6 do the ADD of a newer one and refuse its result afterwards; runtimes
 * that speak 1.1.0 choose it from cniVersions.
 */
export function networkList(
  options: Pick<InstallOptions, 'name' | 'socket' | 'queue'>,
): Record<string, unknown> {
  return {
    cniVersion: '1.0.0',
    cniVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    name: options.name,
    plugins: [
      {
        type: PLUGIN_TYPE,
        ...(options.socket === undefined ? {} : { socket: options.socket }),
        ...(options.queue === undefined ? {} : { queue: options.queue }),
        capabilities: {
          portMappings: true,
          ips: true,
          mac: true,
          bandwidth: true,
          'io.kubernetes.cri.pod-annotations': true,
        },
      },
    ],
  };
}

function wrapperText(node: string, program: string): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  return `#!/bin/sh\nexec ${quote(node)} ${quote(program)}\n`;
}

/** The plugin beside this file, or in the sources that a built package carries along. */
function programPath(): string {
  const candidates = [`./${PLUGIN_TYPE}.cjs`, `../../../src/cni/${PLUGIN_TYPE}.cjs`].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`the plugin is missing: none of ${candidates.join(', ')} is there`);
  return found;
}

// By rename: a runtime that starts the plugin at this moment gets the old one or the new one, never "text file busy".
function replace(path: string, content: string | Buffer, mode: number): void {
  const temporary = `${path}.${process.pid}.new`;
  try {
    writeFileSync(temporary, content, { mode, flush: true });
    chmodSync(temporary, mode);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
