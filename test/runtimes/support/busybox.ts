/** A root file system of busybox, and an image archive made of it, without any image tool or registry. */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BUSYBOX = '/bin/busybox';

/** Makes the root file system in a folder. Needs Debian's busybox-static and root. */
export function makeRootfs(folder: string): void {
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root', 'var/www'])
    mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(BUSYBOX, join(folder, 'bin/busybox'));
  execFileSync('chroot', [folder, '/bin/busybox', '--install', '-s', '/bin'], { stdio: 'pipe' });
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
  writeFileSync(join(folder, 'var/www/index.html'), 'hello from the container\n');
}

/** Packs a root file system as an image archive (the form of `docker save`) that runs `sleep`. */
export function makeImage(rootfs: string, archive: string, name: string): void {
  const folder = `${archive}.d`;
  mkdirSync(folder);
  const layer = join(folder, 'layer.tar');
  const tar = ['--numeric-owner', '--owner=0', '--group=0', '--sort=name', '--mtime=@0'];
  execFileSync('tar', ['-C', rootfs, ...tar, '-cf', layer, '.'], { stdio: 'pipe' });
  const digest = sha256(readFileSync(layer));
  const config = JSON.stringify({
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/sleep', '600'], Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  });
  const id = sha256(Buffer.from(config));
  writeFileSync(join(folder, `${id}.json`), config);
  mkdirSync(join(folder, digest));
  renameSync(layer, join(folder, digest, 'layer.tar'));
  writeFileSync(
    join(folder, 'manifest.json'),
    JSON.stringify([{ Config: `${id}.json`, RepoTags: [name], Layers: [`${digest}/layer.tar`] }]),
  );
  execFileSync('tar', ['-C', folder, '-cf', archive, 'manifest.json', `${id}.json`, digest], {
    stdio: 'pipe',
  });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
