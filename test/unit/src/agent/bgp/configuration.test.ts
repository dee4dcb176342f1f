import assert from 'node:assert/strict';
import {
  configurationOf,
  originAttributes,
  taggedPrefixes,
} from '../../../../../src/agent/bgp/configuration.ts';
import type { BgpConfiguration, BgpConfigurationSpec } from '../../../../../src/model/bgp-configuration.ts';
import { API_VERSION } from '../../../../../src/model/kinds.ts';
import { type Prefix, parsePrefix } from '../../../../../src/net/prefix.ts';

const configuration = (
  name: string,
  spec: BgpConfigurationSpec,
  annotations: Record<string, string> = {},
): BgpConfiguration => ({
  apiVersion: API_VERSION,
  kind: 'BGPConfiguration',
  metadata: { name, annotations },
  spec,
});

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}

describe('src/agent/bgp/configuration', () => {
  it("puts a node's own fields in place of the cluster's", () => {
    const all = [
      configuration(
        'default',
        { asNumber: 65101, listenPort: 179 },
        { 'ocicat.dev/hold-time': '30', 'ocicat.dev/passive': 'true' },
      ),
      configuration('node.h1', { listenPort: 1179 }, { 'ocicat.dev/hold-time': '9' }),
      configuration('node.h2', { listenPort: 2179 }),
    ];
    const own = configurationOf(all, 'h1');
    assert.deepEqual(own?.spec, { asNumber: 65101, listenPort: 1179 });
    assert.deepEqual(own?.metadata.annotations, {
      'ocicat.dev/hold-time': '9',
      'ocicat.dev/passive': 'true',
    });
    assert.equal(configurationOf(all, 'h3')?.spec.listenPort, 179);
    assert.equal(configurationOf(all.slice(1), 'h2')?.spec.listenPort, 2179);
    assert.equal(configurationOf([], 'h1'), undefined);
  });

  it('tags what is inside an advertised prefix, by names and values, each once', () => {
    const tagged = taggedPrefixes(
      configuration('default', {
        communities: [
          { name: 'a', value: '65000:1' },
          { name: 'big', value: '4200000000:1:2' },
        ],
        prefixAdvertisements: [
          { cidr: '10.0.0.0/8', communities: ['a', 'big'] },
          { cidr: '10.65.0.0/16', communities: ['65535:65281', 'a'] },
          { cidr: '2001:db8::/32', communities: ['a'] },
        ],
      }),
    );
    const a = 65000 * 65536 + 1;
    assert.deepEqual(originAttributes(prefix('10.65.1.0/26'), tagged), {
      communities: [a, 0xffffff01],
      largeCommunities: [{ global: 4200000000, local1: 1, local2: 2 }],
    });
    assert.deepEqual(originAttributes(prefix('2001:db8:1::/122'), tagged), { communities: [a] });
    assert.deepEqual(originAttributes(prefix('172.16.0.0/26'), tagged), {});
    assert.deepEqual(originAttributes(prefix('10.0.0.0/7'), tagged), {});
  });
});
