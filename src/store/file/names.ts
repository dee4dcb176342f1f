/**
 * Names of files. A resource stands in `<kind>/<name>.yaml`, or `<kind>/<namespace>.<name>.yaml` when its kind is namespaced (a
 * namespace holds no dot). The folder is the kind as it is written in the file: `IPPool/lab4.yaml`.
 */
import { isKind, type Kind, kindInfo } from '../../model/kinds.ts';
import type { ResourceKey } from '../../model/metadata-types.ts';
import { NotStorable } from '../errors.ts';
import { affinityParts, type IpamKey } from '../ipam-documents.ts';

/** Folder of what the store keeps for itself. */
export const INTERNAL_FOLDER = '.ocicat';
/** Folder of the IPAM documents. */
export const IPAM_FOLDER = 'ipam';
/** Ending of a resource file. */
export const RESOURCE_SUFFIX = '.yaml';

// ext4, xfs and btrfs: 255 octets
const MAX_FILE_NAME_OCTETS = 255;
const SAFE = /^[A-Za-z0-9_.:@=+,*-]$/;

/** The kind whose resources stand in a folder. */
export function kindOfFolder(folder: string): Kind | undefined {
  return isKind(folder) ? folder : undefined;
}

/** The folder of a kind. */
export function folderOfKind(kind: Kind): string {
  return kind;
}

/** The file of a resource, relative to the store's root. Throws `NotStorable` when the name is empty or too long for a file. */
export function resourceFile(key: ResourceKey): string {
  if (key.name === '') throw new NotStorable(`a ${key.kind} without a name cannot be stored`);
  const stem =
    key.namespace === undefined
      ? encodeName(key.name)
      : `${encodeName(key.namespace)}.${encodeName(key.name)}`;
  const file = `${stem}${RESOURCE_SUFFIX}`;
  if (Buffer.byteLength(file) > MAX_FILE_NAME_OCTETS) {
    throw new NotStorable(`the name of ${key.kind} ${key.name} is too long for a file name`);
  }
  return `${folderOfKind(key.kind)}/${file}`;
}

/** The key that a file in a kind's folder stands for, or why it stands for none. */
export function keyOfFile(kind: Kind, file: string): ResourceKey | { readonly reason: string } {
  if (!file.endsWith(RESOURCE_SUFFIX)) {
    return { reason: `the name of a resource file ends in ${RESOURCE_SUFFIX}; rename or remove this one` };
  }
  const stem = file.slice(0, -RESOURCE_SUFFIX.length);
  if (!kindInfo(kind).namespaced) return { kind, name: decodeName(stem) };
  const dot = stem.indexOf('.');
  if (dot <= 0 || dot === stem.length - 1) {
    return { reason: `a ${kind} lives in a namespace: name the file NAMESPACE.NAME${RESOURCE_SUFFIX}` };
  }
  return { kind, namespace: decodeName(stem.slice(0, dot)), name: decodeName(stem.slice(dot + 1)) };
}

/** The file of an IPAM document, relative to the store's root. */
export function ipamFile(key: IpamKey): string {
  const file = `${ipamStem(key)}.json`;
  if (Buffer.byteLength(file) > MAX_FILE_NAME_OCTETS) {
    throw new NotStorable(`the ${key.kind} name ${ipamStem(key)} is too long for a file name`);
  }
  return `${IPAM_FOLDER}/${key.kind}/${file}`;
}

function ipamStem(key: IpamKey): string {
  switch (key.kind) {
    case 'block':
      return key.name.replace('/', '-');
    case 'affinity': {
      const { host, cidr } = affinityParts({ kind: key.kind, name: key.name });
      return `${encodeName(host)}@${cidr.replace('/', '-')}`;
    }
    case 'handle':
    case 'config':
      return encodeName(key.name);
  }
}

/**
 * Whether editors and package tools make files of this name for themselves: hidden files, vim's swap, backup and probe files,
 * emacs's autosaves and backups, patch's and dpkg's leftovers.
 */
export function isEditorFile(file: string): boolean {
  return (
    /^[.#]/.test(file) ||
    /(~|#|\.sw[a-z]|\.tmp|\.bak|\.orig|\.rej|\.part|\.new|\.rpm(save|new|orig)|\.dpkg-[a-z]+)$/.test(file) ||
    file === '4913'
  );
}

/** A name as part of a file name: letters, digits and harmless signs stand for themselves, the rest is `%XX`. Reversible. */
function encodeName(name: string): string {
  let text = '';
  for (const character of name) text += SAFE.test(character) ? character : percentEncode(character);
  return text.startsWith('.') ? `%2E${text.slice(1)}` : text;
}

function percentEncode(character: string): string {
  return Array.from(
    Buffer.from(character),
    (octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}

function decodeName(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
