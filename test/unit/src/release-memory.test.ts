import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';

const MODULE = new URL('../../../src/release-memory.ts', import.meta.url).href;
// Objects that live long enough to leave the young generation, and are dropped then.
const PROGRAM = `
  import { getHeapStatistics } from 'node:v8';
  import { releaseStartMemory } from '${MODULE}';
  let held = Array.from({ length: 200_000 }, (_, index) => ({ index, text: 'text ' + index }));
  held = [];
  const before = getHeapStatistics().total_physical_size;
  releaseStartMemory();
  console.log(JSON.stringify([before, getHeapStatistics().total_physical_size]));`;

function physicalOctets(...flags: readonly string[]): [before: number, after: number] {
  const words = [...flags, '--input-type=module', '-e', PROGRAM];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 }));
}

describe('releaseStartMemory', function () {
  this.timeout(40_000);

  it('gives the heap back', () => {
    const [before, after] = physicalOctets('--expose-gc');
    assert.ok(after < before * 0.6, `${before} octets before, ${after} after`);
  });

  it('does nothing where Node does not let it', () => {
    const [before, after] = physicalOctets();
    // V8's threads sweep and give back single pages at any time, also between the two figures.
    assert.ok(after > before * 0.8, `${before} octets before, ${after} after`);
  });
});
