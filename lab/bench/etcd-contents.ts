/** What an etcd of a large cluster holds: nodes, and blocks with their affinities and handles. */
import type { Etcd3 } from 'etcd3';
import { ipamKey, resourceKey } from '../../src/store/etcd/keys.ts';
import { affinityKey, blockKey, formatIpamJson, handleKey } from '../../src/store/ipam-documents.ts';

const KEYS_PER_TRANSACTION = 100;
const ADDRESSES = 64;
/** Addresses of each block that containers hold. */
const IN_USE = 16;

/** One node, or one block with its affinity and a handle a block. */
function* contents(blocks: number, nodes: number): Generator<readonly [string, string]> {
  for (let index = 0; index < nodes; index++) {
    const name = `host-${index}`;
    const metadata = { name, uid: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}` };
    const bgp = { ipv4Address: `172.16.${index >> 8}.${index & 255}/16` };
    const node = { kind: 'Node', apiVersion: 'projectcalico.org/v3', metadata, spec: { bgp } };
    yield [resourceKey({ kind: 'Node', name }), JSON.stringify(node)];
  }
  for (let index = 0; index < blocks; index++) {
    const host = `host-${index % Math.max(1, nodes)}`;
    const cidr = `10.${index >> 10}.${(index >> 2) & 255}.${(index & 3) * ADDRESSES}/26`;
    yield [ipamKey(affinityKey(host, cidr)), '{"state":"confirmed","deleted":false}'];
    yield [ipamKey(handleKey(`ocicat.container-${index}`)), JSON.stringify({ block: { [cidr]: IN_USE } })];
    yield [ipamKey(blockKey(cidr)), formatIpamJson(blockDocument(cidr, host, index))];
  }
}

function blockDocument(cidr: string, host: string, index: number): object {
  const ordinals = Array.from({ length: ADDRESSES }, (_, ordinal) => ordinal);
  const first = 1_700_000_000_000_000_000n + BigInt(index);
  return {
    cidr,
    affinity: `host:${host}`,
    affinity_claim_time: '2026-01-01T00:00:00Z',
    allocations: ordinals.map((ordinal) => (ordinal < IN_USE ? ordinal : null)),
    unallocated: ordinals.slice(IN_USE),
    attributes: ordinals.slice(0, IN_USE).map((ordinal) => ({
      handle_id: `ocicat.container-${index}-${ordinal}`,
      secondary: { node: host, namespace: 'default', pod: `container-${index}-${ordinal}` },
    })),
    sequenceNumber: first + BigInt(IN_USE),
    sequenceNumberForAllocation: Object.fromEntries(
      ordinals.slice(0, IN_USE).map((ordinal) => [String(ordinal), first + BigInt(ordinal)]),
    ),
    deleted: false,
  };
}

/** Writes `nodes` nodes and `blocks` blocks that they hold by turns; resolves with the number of keys. */
export async function fillEtcd(client: Etcd3, blocks: number, nodes: number): Promise<number> {
  let count = 0;
  let puts: { request_put: { key: Buffer; value: Buffer } }[] = [];
  const write = async (): Promise<void> => {
    if (puts.length > 0) await client.kv.txn({ success: puts });
    puts = [];
  };
  for (const [key, text] of contents(blocks, nodes)) {
    puts.push({ request_put: { key: Buffer.from(key), value: Buffer.from(text) } });
    count++;
    if (puts.length === KEYS_PER_TRANSACTION) await write();
  }
  await write();
  return count;
}
