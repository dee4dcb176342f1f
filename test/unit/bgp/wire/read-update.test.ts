/** UPDATEs read where they lie in a receive buffer: the same verdict, ranges and keys as of a body of its own. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DecodeContext, DecodedUpdate } from '../../../../bgp/wire/types.ts';
import { decodeUpdate, readUpdate, withOwnKeys } from '../../../../bgp/wire/update.ts';
import { DEFAULT_VERDICT_CONTEXT } from '../../../../bgp/wire/verdict.ts';
import { attribute, MANDATORY, MP_REACH, NLRI, NLRI6, octets, update } from './support.ts';

const CONTEXT: DecodeContext = DEFAULT_VERDICT_CONTEXT;
const MP_UNREACH = attribute('80', 15, `000201${NLRI6}`);

/** Bodies of UPDATEs: good ones, and ones with octets changed. */
const bodies: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom('', NLRI, '18c63364'),
    fc.constantFrom(MANDATORY, `${MANDATORY}${MP_REACH}`, MP_UNREACH, attribute('80', 15, '000201'), ''),
    fc.constantFrom('', NLRI, `${NLRI}10c633`),
    fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 2 }),
  )
  .map(([withdrawn, attributes, nlri, damage]) => {
    const body = octets(update({ withdrawn, attributes, nlri })).slice(19);
    for (const [at, octet] of damage) if (at < body.length) body[at] = octet;
    return body;
  });

/** Ranges and error data as they would be of a body that begins at 0. */
function essence({ verdict, withdrawn, reach, discarded, endOfRib }: DecodedUpdate, start: number): unknown {
  const moved = <T extends { start: number; end: number }>(range: T) => ({
    ...range,
    start: range.start - start,
    end: range.end - start,
  });
  return {
    verdict,
    withdrawn: withdrawn.map(moved),
    reach: reach.map(({ nlri, attributes }) => ({ nlri: moved(nlri), attributes: attributes.toHex() })),
    discarded,
    endOfRib,
  };
}

describe('bgp/wire: readUpdate', () => {
  it('agrees with decodeUpdate, whatever stands before and behind the message', () => {
    const noise = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(fc.oneof(bodies, noise), noise, noise, (body, before, behind) => {
        const buffer = Uint8Array.of(...before, ...body, ...behind);
        const end = before.length + body.length;
        const read = essence(readUpdate(buffer, before.length, end, CONTEXT), before.length);
        assert.deepEqual(read, essence(decodeUpdate(body, CONTEXT), 0));
      }),
      { numRuns: 3000 },
    );
  });

  it('keys of one message do not run into each other, and keys of its own outlive the next', () => {
    const both = octets(update({ attributes: `${MANDATORY}${MP_REACH}`, nlri: NLRI })).slice(19);
    const borrowed = readUpdate(both, 0, both.length, CONTEXT);
    const [first, second] = borrowed.reach.map(({ attributes }) => attributes.toHex());
    assert.match(first ?? '', /^04c0000201/);
    assert.match(second ?? '', /^1020010db8000000000000000000000001/);
    const owned = withOwnKeys(readUpdate(both, 0, both.length, CONTEXT));
    const other = octets(update({ attributes: `${MANDATORY}80040400000007${MP_REACH}`, nlri: NLRI })).slice(
      19,
    );
    assert.equal(readUpdate(other, 0, other.length, CONTEXT).reach.length, 2);
    assert.deepEqual(
      owned.reach.map(({ attributes }) => attributes.toHex()),
      [first, second],
    );
  });
});
