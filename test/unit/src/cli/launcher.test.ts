import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const LAUNCHER = join(import.meta.dirname, '../../../../src/cli/ocicat.sh');
const NODE_PACKAGE = `node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}`;

/** what the launcher gives Node itself */
const FLAGS = ['--expose-gc', '--max-semi-space-size=4'];
/** and in an installed package, where no other WebAssembly is */
const PACKAGE_FLAGS = [...FLAGS, '--no-liftoff', '--no-wasm-lazy-compilation'];

describe('src/cli/ocicat.sh', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat launcher '));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };

  /** A stand-in for the pinned Node that prints what it is and what it is given. */
  const addNode = (root: string) => {
    const path = join(root, 'node_modules', NODE_PACKAGE, 'bin/node');
    chmodSync(write(path, '#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n'), 0o755);
    return path;
  };

  const addLauncher = (root: string) => {
    const path = join(root, 'src/cli/ocicat.sh');
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(LAUNCHER, path);
    chmodSync(path, 0o755);
    return path;
  };

  const run = (command: string, words: string[] = [], cwd = folder) => {
    const { status, stdout, stderr } = spawnSync(command, words, { encoding: 'utf8', cwd });
    return { status, lines: stdout.trimEnd().split('\n'), stderr };
  };

  it('runs the sources of a checkout on the Node beside it, arguments untouched', () => {
    const launcher = addLauncher(folder);
    const node = addNode(folder);
    const program = write(join(folder, 'src/cli/main.ts'), '');
    const { status, lines } = run(launcher, ['get', 'a b', '', '*']);
    assert.equal(status, 0);
    assert.deepEqual(lines, [node, ...FLAGS, program, 'get', 'a b', '', '*']);
  });

  it('runs the compiled program when installed as a dependency, through the relative link of .bin', () => {
    const home = join(folder, 'node_modules/ocicat');
    addLauncher(home);
    const node = addNode(folder);
    const program = write(join(home, 'dist/src/cli/main.js'), '');
    mkdirSync(join(folder, 'node_modules/.bin'));
    symlinkSync('../ocicat/src/cli/ocicat.sh', join(folder, 'node_modules/.bin/ocicat'));
    assert.deepEqual(run('node_modules/.bin/ocicat', ['status']).lines, [
      node,
      ...PACKAGE_FLAGS,
      program,
      'status',
    ]);
  });

  it('prefers the nearest Node and follows chains of absolute and relative links', () => {
    const home = join(folder, 'lib/node_modules/ocicat');
    const launcher = addLauncher(home);
    addNode(join(folder, 'lib'));
    const node = addNode(home);
    const program = write(join(home, 'dist/src/cli/main.js'), '');
    symlinkSync(launcher, join(folder, 'one'));
    mkdirSync(join(folder, 'bin'));
    symlinkSync('../one', join(folder, 'bin/ocicat'));
    assert.deepEqual(run(join(folder, 'bin/ocicat')).lines, [node, ...PACKAGE_FLAGS, program]);
    assert.deepEqual(run('sh', ['ocicat'], join(folder, 'bin')).lines, [node, ...PACKAGE_FLAGS, program]);
  });

  it('says what is missing and exits 127, whatever node the system has', () => {
    const launcher = addLauncher(folder);
    write(join(folder, 'src/cli/main.ts'), '');
    // A machine of the other architecture: whatever stands above the temporary folder does not count.
    const [machine, other] = process.arch === 'arm64' ? ['x86_64', 'x64'] : ['aarch64', 'arm64'];
    const uname = write(
      join(folder, 'bin/uname'),
      `#!/bin/sh\nif [ "$1" = -s ]; then echo Linux; else echo ${machine}; fi\n`,
    );
    chmodSync(uname, 0o755);
    const absent = spawnSync(launcher, [], {
      encoding: 'utf8',
      env: { PATH: `${dirname(uname)}:${process.env['PATH']}` },
    });
    assert.equal(absent.status, 127);
    assert.match(
      absent.stderr,
      new RegExp(`the npm package node-linux-${other}, .* is not installed in or above`),
    );
    rmSync(join(folder, 'src/cli/main.ts'));
    addNode(folder);
    const empty = run(launcher);
    assert.equal(empty.status, 127);
    assert.match(empty.stderr, /the program is missing/);
  });
});
