import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseIpamDocument, parseIpamJson } from '../../../../src/store/ipam-documents.ts';
import { isSoundIpamDocument } from '../../../../src/store/ipam-shape.ts';

const SOUND = {
  block:
    '{"cidr":"10.0.0.0/31","affinity":"host:a","affinity_claim_time":null,"allocations":[0,null],"unallocated":[1],' +
    '"attributes":[{"handle_id":"h","secondary":{"node":"a"}}],"sequenceNumber":1757000000000000001,' +
    '"sequenceNumberForAllocation":{"0":1757000000000000000},"deleted":false,"further":[1]}',
  affinity: '{"state":"confirmed","deleted":false}',
  handle: '{"block":{"10.0.0.0/31":1},"deleted":false}',
} as const;
const KINDS = ['block', 'affinity', 'handle'] as const;
/** What may stand in the place of any value. */
const ODD = [
  ...[
    'null',
    'true',
    '""',
    '"1"',
    '-1',
    '0',
    '1.5',
    '1e3',
    '1e19',
    '1e400',
    '9007199254740993',
    '-9007199254740993',
  ],
  ...[
    '[]',
    '{}',
    '[null]',
    '[-1]',
    '[[]]',
    '[{"handle_id":1}]',
    '{"0":1e300}',
    '{"0":-1}',
    '{"0":"x"}',
    '{"a":{}}',
  ],
];

describe('ipam documents at a glance', () => {
  for (const kind of KINDS) {
    it(`a sound ${kind} is taken`, () => {
      assert(isSoundIpamDocument(kind, JSON.parse(SOUND[kind])));
    });
  }

  it('what is taken can be read', () => {
    const value = /(?<=:|\[|,)(?:"[^"]*"|-?[\d.]+|null|true|false|\[[^[\]]*\]|\{[^{}]*\})(?=[,\]}])/g;
    let taken = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.array(fc.tuple(fc.nat(30), fc.constantFrom(...ODD)), { maxLength: 2 }),
        (kind, changes) => {
          let text: string = SOUND[kind];
          for (const [index, odd] of changes) {
            let at = 0;
            text = text.replace(value, (former) => (at++ === index ? odd : former));
          }
          let plain: unknown;
          try {
            plain = JSON.parse(text);
          } catch {
            return;
          }
          if (!isSoundIpamDocument(kind, plain)) return;
          taken++;
          const parsed = parseIpamDocument(kind, parseIpamJson(text));
          assert(parsed.ok, `${text}: ${parsed.ok ? '' : parsed.reason}`);
        },
      ),
      { numRuns: 3_000 },
    );
    assert(taken > 300, `only ${taken} were taken`);
  });
});
