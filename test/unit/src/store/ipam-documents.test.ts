import assert from 'node:assert/strict';
import { formatIpamJson, parseIpamDocument, parseIpamJson } from '../../../../src/store/ipam-documents.ts';

// A block as Calico writes it (values made up), with a field that is not known here.
const CALICO_BLOCK =
  '{"cidr":"10.0.0.0/30","affinity":"host:a","allocations":[0,null,null,null],"unallocated":[1,2,3],' +
  '"attributes":[{"handle_id":"h","secondary":{"node":"a"},"released_at":"x"}],"sequenceNumber":1757000000000000001,' +
  '"sequenceNumberForAllocation":{"0":1757000000000000003},"deleted":false,"affinityClaimTime":"2026-01-01T00:00:00Z"}';

describe('ipam documents', () => {
  it("reads and writes Calico's JSON without losing a digit or a field", () => {
    const parsed = parseIpamDocument('block', parseIpamJson(CALICO_BLOCK));
    assert(parsed.ok);
    assert.equal(parsed.value.sequenceNumber, 1_757_000_000_000_000_001n);
    assert.deepEqual(parsed.value.sequenceNumberForAllocation, { '0': 1_757_000_000_000_000_003n });
    assert.deepEqual(parseIpamJson(formatIpamJson(parsed.value)), parseIpamJson(CALICO_BLOCK));
    assert.match(formatIpamJson({ ...parsed.value, deleted: true }), /"affinityClaimTime"/);
  });

  it('accepts what Go leaves out', () => {
    assert.deepEqual(parseIpamDocument('config', {}), {
      ok: true,
      value: { strict_affinity: false, auto_allocate_blocks: false, maxBlocksPerHost: 0 },
    });
    const block = parseIpamDocument('block', {
      cidr: '10.0.0.0/32',
      allocations: [null],
      unallocated: [0],
      attributes: [{}],
      sequenceNumberForAllocation: null,
    });
    assert(block.ok);
    assert.deepEqual(block.value.attributes, [{ handle_id: null, secondary: null }]);
  });

  it('says what is wrong, and where', () => {
    const block = {
      cidr: 1,
      allocations: [null, -1],
      unallocated: {},
      attributes: [{ secondary: { node: 2 } }],
    };
    assert.deepEqual(parseIpamDocument('block', { ...block, sequenceNumber: 1.5 }), {
      ok: false,
      reason:
        'cidr: expected a text, found 1; allocations[1]: expected null or a whole number, not below 0, found -1; ' +
        'unallocated: expected a list, found a map; attributes[0].secondary.node: expected a text, found 2; ' +
        'sequenceNumber: must be a whole number, not below 0',
    });
    assert.deepEqual(parseIpamDocument('affinity', {}), { ok: false, reason: 'state: missing' });
    assert.deepEqual(parseIpamDocument('handle', { block: { '10.0.0.0/26': 2n ** 60n } }), {
      ok: false,
      reason: 'block["10.0.0.0/26"]: expected a whole number, not below 0, found 1152921504606846976',
    });
    assert.deepEqual(parseIpamDocument('config', []), {
      ok: false,
      reason: 'document: expected a map, found a list',
    });
  });

  it('keeps members that are not known, after those that are', () => {
    const parsed = parseIpamDocument('affinity', { extra: 1, deleted: true, state: 'pending' });
    assert(parsed.ok);
    assert.equal(formatIpamJson(parsed.value), '{"state":"pending","deleted":true,"extra":1}');
  });

  for (const [name, kind, json] of [
    ['a block without ordinals', 'block', { cidr: '10.0.0.0/32' }],
    ['an unknown state', 'affinity', { state: 'perhaps' }],
    ['a negative count', 'handle', { block: { '10.0.0.0/26': -1 } }],
    ['an array', 'config', []],
  ] as const) {
    it(`refuses ${name} with a reason`, () => {
      const parsed = parseIpamDocument(kind, json);
      assert(!parsed.ok && parsed.reason !== '');
    });
  }
});
