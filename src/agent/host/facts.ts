/**
 * What is read of the host to find other owners that would defeat us. Reading only; nothing here changes anything.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';

/** A configuration file that was found, by path. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** A process that holds a port. */
export interface PortOwner {
  readonly pid: number;
  readonly command: string;
}

/** Raw facts; `evaluateHost` judges them. */
export interface HostFacts {
  /** `nft -j list ruleset`, or why it could not be had */
  readonly nft:
    | { readonly ok: true; readonly ruleset: unknown }
    | { readonly ok: false; readonly why: string };
  readonly ufwConf?: string;
  readonly ufwRules: string;
  readonly firewalldRunning: boolean;
  readonly firewalldZones: readonly TextFile[];
  readonly networkdRunning: boolean;
  readonly networkdConf: readonly TextFile[];
  readonly networkManagerRunning: boolean;
  readonly networkManagerConf: readonly TextFile[];
  readonly rpFilterAll: number;
  readonly bgpPortOwner?: PortOwner;
}

const NFT_TIMEOUT_MS = 5000;

/** Gathers the facts. `root` is put before every path, for tests; the nft ruleset is that of the process's own namespace. */
export async function readHostFacts(bgpPort: number, ownPid: number, root = '/'): Promise<HostFacts> {
  const at = (path: string): string => join(root, path);
  const ufwConf = readText(at('/etc/ufw/ufw.conf'));
  const owner = findPortOwner(root, bgpPort, ownPid);
  return {
    nft: await readNft(),
    ...(ufwConf === undefined ? {} : { ufwConf }),
    ufwRules: (readText(at('/etc/ufw/user.rules')) ?? '') + (readText(at('/etc/ufw/user6.rules')) ?? ''),
    firewalldRunning: existsSync(at('/run/firewalld')),
    firewalldZones: readFolder(at('/etc/firewalld/zones'), '.xml'),
    networkdRunning: existsSync(at('/run/systemd/netif/state')),
    networkdConf: readConf(at('/etc/systemd/networkd.conf'), at('/etc/systemd/networkd.conf.d')),
    networkManagerRunning: existsSync(at('/run/NetworkManager')),
    networkManagerConf: readConf(
      at('/etc/NetworkManager/NetworkManager.conf'),
      at('/etc/NetworkManager/conf.d'),
    ),
    rpFilterAll: Number(readText(at('/proc/sys/net/ipv4/conf/all/rp_filter')) ?? '0'),
    ...(owner === undefined ? {} : { bgpPortOwner: owner }),
  };
}

async function readNft(): Promise<HostFacts['nft']> {
  try {
    const { stdout } = await execa('nft', ['-j', 'list', 'ruleset'], {
      timeout: NFT_TIMEOUT_MS,
      stdin: 'ignore',
    });
    const ruleset: unknown = JSON.parse(stdout);
    return { ok: true, ruleset };
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = missing
      ? 'the nft command is not installed'
      : error instanceof Error
        ? error.message
        : String(error);
    return { ok: false, why: why.split('\n')[0] ?? why };
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readFolder(folder: string, ending: string): TextFile[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(ending));
  } catch {
    return [];
  }
  return names.sort().flatMap((name) => {
    const path = join(folder, name);
    const text = readText(path);
    return text === undefined ? [] : [{ path, text }];
  });
}

function readConf(file: string, folder: string): TextFile[] {
  const text = readText(file);
  return [...(text === undefined ? [] : [{ path: file, text }]), ...readFolder(folder, '.conf')];
}

const LISTEN = '0A';

/**
 * The process other than `ownPid` that listens on a TCP port, found through /proc of this network namespace.
 * Undefined when nobody does or it may not be looked at.
 */
export function findPortOwner(root: string, port: number, ownPid: number): PortOwner | undefined {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const table of ['tcp', 'tcp6']) {
    for (const line of (readText(join(root, '/proc/thread-self/net', table)) ?? '').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === LISTEN && fields[1]?.endsWith(`:${hexPort}`) && fields[9] !== undefined)
        inodes.add(fields[9]);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of listFolder(join(root, '/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === ownPid) continue;
    for (const fd of listFolder(join(root, '/proc', pid, 'fd'))) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(join(root, '/proc', pid, 'fd', fd)))?.[1];
      if (inode !== undefined && inodes.has(inode)) {
        return { pid: Number(pid), command: (readText(join(root, '/proc', pid, 'comm')) ?? '?').trim() };
      }
    }
  }
  return undefined;
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
