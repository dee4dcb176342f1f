import assert from 'node:assert/strict';
import { LocalIndex } from '../../../../../src/agent/endpoints/local-index.ts';
import { makeEndpoint, orderOf } from '../../../../../src/agent/endpoints/resource.ts';
import type { WorkloadEndpoint } from '../../../../../src/model/workload-endpoint.ts';

function endpoint(name: string, node = 'h1'): WorkloadEndpoint {
  return makeEndpoint(node, orderOf({ name, netns: '/run/netns/a' }, []), [], undefined);
}

describe('the index of local endpoints', () => {
  it('follows what comes, changes and goes, of this node only', () => {
    const index = new LocalIndex('h1');
    const [one, other] = [endpoint('one'), endpoint('two', 'h2')];
    assert.equal(index.change(one, undefined).now?.id, 'default.one');
    assert.deepEqual(index.change(other, undefined), { now: undefined, before: undefined });
    assert.equal(index.withId('default.one')[0]?.resource, one);
    const changed = endpoint('one');
    index.change(changed, one);
    assert.deepEqual(
      index.withId('default.one').map(({ resource }) => resource),
      [changed],
    );
    assert.equal(index.change(undefined, changed).before?.id, 'default.one');
    assert.deepEqual(index.withId('default.one'), []);
  });

  it('knows all resources that claim one id', () => {
    const index = new LocalIndex('h1');
    const one = endpoint('one');
    const copy = { ...one, metadata: { ...one.metadata, name: 'h1-ocicat-one-eth1' } };
    index.change(one, undefined);
    index.change(copy, undefined);
    assert.equal(index.withId('default.one').length, 2);
    index.change(undefined, one);
    assert.deepEqual(
      index.withId('default.one').map(({ resource }) => resource),
      [copy],
    );
  });

  it('lists those of this node in order', () => {
    const index = new LocalIndex('h1');
    for (const name of ['two', 'one', 'three']) index.change(endpoint(name), undefined);
    index.change(endpoint('other', 'h2'), undefined);
    assert.deepEqual(
      index.all().map(({ local }) => local.id),
      ['default.one', 'default.three', 'default.two'],
    );
  });
});
