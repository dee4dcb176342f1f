import assert from 'node:assert/strict';
import { linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lookAtProcesses } from '../../../../src/docker/sandbox.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../support/temporary-folder.ts';

const ALL_PROCESSES = 'pid:[4026531836]';

/** A process table made of files: namespaces are told apart by inode, as the kernel's are. */
class Processes {
  readonly folder = temporaryFolder();
  readonly proc = join(this.folder, 'proc');

  constructor(pidNamespace = ALL_PROCESSES) {
    const own = this.namespace('own');
    mkdirSync(join(this.proc, 'self/ns'), { recursive: true });
    linkSync(own, join(this.proc, 'self/ns/net'));
    symlinkSync(pidNamespace, join(this.proc, 'self/ns/pid'));
    writeFileSync(join(this.proc, 'uptime'), '');
  }

  namespace(name: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, '');
    return path;
  }

  run(pid: number, thread: number, namespace: string): void {
    const folder = join(this.proc, `${pid}/task/${thread}/ns`);
    mkdirSync(folder, { recursive: true });
    linkSync(namespace, join(folder, 'net'));
  }
}

describe("a container's network namespace", () => {
  afterEach(removeTemporaryFolders);

  it('is used while a process or one of its threads is in it', async () => {
    const processes = new Processes();
    const [one, other, empty] = ['one', 'other', 'empty'].map((name) => processes.namespace(name));
    assert.ok(one !== undefined && other !== undefined && empty !== undefined);
    processes.run(10, 10, one);
    processes.run(20, 20, processes.namespace('host'));
    processes.run(20, 21, other);
    // One that has just ended.
    mkdirSync(join(processes.proc, '30/task/30'), { recursive: true });
    mkdirSync(join(processes.proc, '31'));
    const stateOf = await lookAtProcesses(processes.proc);
    assert.equal(await stateOf(one), 'used');
    assert.equal(await stateOf(other), 'used');
    assert.equal(await stateOf(empty), 'empty');
    assert.equal(await stateOf(join(processes.folder, 'absent')), 'gone');
    rmSync(empty);
    assert.equal(await stateOf(empty), 'gone');
  });

  it('is unknown where the mount is gone and its file is left', async () => {
    const stateOf = await lookAtProcesses(new Processes().proc);
    assert.equal(await stateOf('/proc/self/status'), 'unknown');
  });

  it('is never called empty when not all processes can be seen', async () => {
    const confined = new Processes('pid:[4026532000]');
    assert.equal(await (await lookAtProcesses(confined.proc))(confined.namespace('a')), 'unknown');
    const broken = new Processes();
    // A process of which the namespace cannot be asked for.
    mkdirSync(join(broken.proc, '10/task/10'), { recursive: true });
    writeFileSync(join(broken.proc, '10/task/10/ns'), '');
    assert.equal(await (await lookAtProcesses(broken.proc))(broken.namespace('a')), 'unknown');
    assert.equal(await (await lookAtProcesses(broken.proc))(join(broken.folder, 'absent')), 'gone');
  });
});
