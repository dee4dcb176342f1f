import assert from 'node:assert/strict';
import { GENERIC_OPTIONS, INTERNAL_OPTION } from '../../../../src/docker/messages.ts';
import { labelProblem, readNetworkOptions } from '../../../../src/docker/network-options.ts';

const read = (options: Record<string, unknown>) => readNetworkOptions({ [GENERIC_OPTIONS]: options });

describe('options of Docker networks', () => {
  it('are labels', () => {
    assert.deepEqual(read({ 'label.tier': 'web', 'label.example.org/team': '' }), {
      'label.tier': 'web',
      'label.example.org/team': '',
    });
    assert.deepEqual(readNetworkOptions({ 'com.docker.network.enable_ipv6': true }), {});
    assert.deepEqual(readNetworkOptions({ [GENERIC_OPTIONS]: null, [INTERNAL_OPTION]: false }), {});
  });

  it('refuse what is not done, by its name', () => {
    assert.throws(() => read({ parent: 'eth0' }), /-o parent: unknown; there is label\.KEY=VALUE/);
    assert.throws(() => read({ 'label.tier': 7 }), /-o label\.tier: unknown/);
    assert.throws(() => readNetworkOptions({ [INTERNAL_OPTION]: true }), /--internal: not supported/);
  });

  it('refuse labels that no endpoint can have', () => {
    assert.throws(() => read({ 'label.': 'x' }), /^.*-o label\.=x: \S/);
    assert.throws(() => read({ 'label.a/b/c': 'x' }), /-o label\.a\/b\/c=x: \S/);
    assert.throws(() => read({ 'label.a': 'not a value' }), /-o label\.a=not a value: \S/);
    assert.match(labelProblem('projectcalico.org/namespace', 'x') ?? '', /the agent's own/);
    assert.equal(labelProblem('role', 'db'), undefined);
  });
});
