/** Plain UPDATEs are read in the core as they are elsewhere, and all ordinary ones are plain. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PlainReader } from '../../../../bgp/wire/plain-update.ts';
import type { DecodeContext, NlriRange } from '../../../../bgp/wire/types.ts';
import { readUpdate } from '../../../../bgp/wire/update.ts';
import { DEFAULT_VERDICT_CONTEXT } from '../../../../bgp/wire/verdict.ts';
import { READ_REACH_START, READ_WITHDRAWN_START } from '../../../../src/core/assembly/layout.ts';
import { Core } from '../../../../src/core/core.ts';
import { attribute, MANDATORY, MP_REACH, NLRI, NLRI6, OTHER_NLRI, octets, update } from './support.ts';
import { OLD_PATH } from './update-support.ts';

const core = new Core();
const reader = new PlainReader(core);
/** the body stands at the end of what there is, so that nothing behind it is taken for a part of it */
const ROOM = 1 << 16;
const room = core.allocate(ROOM);

const BOTH = { ipv4: true, ipv6: true };
const NEITHER = { ipv4: false, ipv6: false };

/** Reads a body in the core; undefined when it is not plain. */
function readPlain(body: Uint8Array, context: DecodeContext): unknown {
  const start = room + ROOM - body.length;
  core.octets.set(body, start);
  reader.use(context);
  if (!reader.read(start, room + ROOM)) return undefined;
  // Both begin with their address, which is 0 where there is nothing.
  const range = (fields: number): NlriRange[] => {
    const [first = 0, behind = 0, ipv6 = 0, ids = 0] = reader.block.subarray(fields, fields + 4);
    if (first === 0) return [];
    const family = ipv6 === 1 ? 'ipv6' : 'ipv4';
    return [{ family, start: first - start, end: behind - start, addPath: ids === 1 }];
  };
  return {
    verdict: { kind: 'ok' },
    withdrawn: range(READ_WITHDRAWN_START),
    reach: range(READ_REACH_START).map((nlri) => ({ nlri, attributes: reader.attributes.toHex() })),
    discarded: [],
    endOfRib: undefined,
  };
}

function readOrdinary(body: Uint8Array, context: DecodeContext): unknown {
  const { body: _, ...read } = readUpdate(body, 0, body.length, context);
  return {
    ...read,
    reach: read.reach.map(({ nlri, attributes }) => ({ nlri, attributes: attributes.toHex() })),
  };
}

/** Whether a body is plain; if so it was read as it must be. */
function isPlain(body: Uint8Array, context: DecodeContext): boolean {
  const plain = readPlain(body, context);
  if (plain === undefined) return false;
  assert.deepEqual(plain, readOrdinary(body, context));
  return true;
}

const octet = fc.nat(255);
const contexts: fc.Arbitrary<DecodeContext> = fc.record({
  peerKind: fc.constantFrom('ebgp' as const, 'ibgp' as const),
  localAs: fc.constant(65000),
  peerAs: fc.constantFrom(65001, 70000),
  as4: fc.boolean(),
  extendedMessage: fc.constant(true),
  addPathReceive: fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
  families: fc.oneof(
    { weight: 4, arbitrary: fc.constant(BOTH) },
    fc.record({ ipv4: fc.boolean(), ipv6: fc.boolean() }),
  ),
  extendedNextHop: fc.boolean(),
  enforceFirstAs: fc.boolean(),
  rejectAsSets: fc.boolean(),
});

interface Attribute {
  readonly flags: number;
  readonly code: number;
  readonly value: readonly number[];
}

const list = (size: number, most: number) =>
  fc
    .array(fc.array(octet, { minLength: size, maxLength: size }), { minLength: 1, maxLength: most })
    .map((each) => each.flat());
const exactly = (size: number) => fc.array(octet, { minLength: size, maxLength: size });
const partial = fc.constantFrom(0xc0, 0xc0, 0xe0);

function attributeOf(
  code: number,
  flags: fc.Arbitrary<number>,
  value: fc.Arbitrary<readonly number[]>,
): fc.Arbitrary<Attribute> {
  return fc.record({ flags, code: fc.constant(code), value });
}

const asOf = (as4: boolean) =>
  fc
    .constantFrom(65001, 70000, 23456, 1)
    .map((as) => (as4 ? [0, as >>> 16, (as >>> 8) & 255, as & 255] : [(as >>> 8) & 255, as & 255]));

function asPath(as4: boolean): fc.Arbitrary<readonly number[]> {
  const segment = fc
    .tuple(fc.constantFrom(2, 2, 2, 1), fc.array(asOf(as4), { minLength: 1, maxLength: 90 }))
    .map(([type, numbers]) => [type, numbers.length, ...numbers.flat()]);
  return fc.array(segment, { maxLength: 3 }).map((segments) => segments.flat());
}

function nlri(addPath: boolean, most: number): fc.Arbitrary<readonly number[]> {
  const prefix = fc.nat(most).chain((length) => exactly((length + 7) >> 3).map((rest) => [length, ...rest]));
  const one = addPath ? fc.tuple(exactly(4), prefix).map((parts) => parts.flat()) : prefix;
  return fc.array(one, { minLength: 1, maxLength: 4 }).map((each) => each.flat());
}

const linkLocal = exactly(14).map((rest) => [0xfe, 0x80, ...rest]);
const global6 = exactly(15).map((rest) => [0x20, ...rest]);
const unspecified = fc.constant(new Array<number>(16).fill(0));
const first6 = fc.oneof(global6, global6, linkLocal, unspecified);
const nextHop6 = fc.oneof(
  first6,
  fc.tuple(first6, fc.oneof(linkLocal, linkLocal, global6)).map((two) => two.flat()),
);
const nextHop4 = fc.tuple(fc.constantFrom(10, 192, 127), exactly(3)).map((parts) => parts.flat());

/** Most attributes that a session can carry, well-formed, in whatever order. */
function attributesOf(context: DecodeContext): fc.Arbitrary<readonly Attribute[]> {
  const rare = (each: fc.Arbitrary<Attribute>) => fc.option(each, { nil: undefined, freq: 2 });
  const often = (each: fc.Arbitrary<Attribute>) => fc.option(each, { nil: undefined, freq: 12 });
  const internal =
    context.peerKind === 'ibgp' ? rare : (_: fc.Arbitrary<Attribute>) => fc.constant(undefined);
  const mp = fc.constantFrom(false, true).chain((ipv6) => {
    const head = [0, ipv6 ? 2 : 1, 1];
    const routes = nlri(context.addPathReceive[ipv6 ? 'ipv6' : 'ipv4'], ipv6 ? 128 : 32);
    const nextHop = ipv6 ? nextHop6 : fc.oneof(nextHop4, nextHop6);
    return fc.oneof(
      fc.tuple(nextHop, routes).map(([hop, after]) => ({
        flags: 0x80,
        code: 14,
        value: [...head, hop.length, ...hop, 0, ...after],
      })),
      routes.map((after) => ({ flags: 0x80, code: 15, value: [...head, ...after] })),
    );
  });
  return fc
    .tuple(
      often(
        attributeOf(
          1,
          fc.constant(0x40),
          fc.nat(2).map((origin) => [origin]),
        ),
      ),
      often(attributeOf(2, fc.constant(0x40), asPath(context.as4))),
      often(attributeOf(3, fc.constant(0x40), nextHop4)),
      rare(attributeOf(4, fc.constant(0x80), exactly(4))),
      internal(attributeOf(5, fc.constant(0x40), exactly(4))),
      rare(attributeOf(6, fc.constant(0x40), fc.constant([]))),
      rare(
        attributeOf(
          7,
          partial,
          asOf(context.as4).chain((as) => exactly(4).map((address) => [...as, ...address])),
        ),
      ),
      rare(attributeOf(8, partial, list(4, 80))),
      internal(attributeOf(9, fc.constant(0x80), exactly(4))),
      internal(attributeOf(10, fc.constant(0x80), list(4, 3))),
      rare(mp),
      rare(mp),
      rare(attributeOf(16, partial, list(8, 40))),
      rare(attributeOf(25, partial, list(20, 2))),
      rare(attributeOf(32, partial, list(12, 25))),
      rare(attributeOf(35, partial, exactly(4))),
      rare(attributeOf(200, fc.constantFrom(0x80, 0xc0, 0xe0), fc.array(octet, { maxLength: 300 }))),
      rare(attributeOf(19, partial, fc.array(octet, { maxLength: 9 }))),
    )
    .chain((all) =>
      fc.shuffledSubarray(
        all.filter((one) => one !== undefined),
        { minLength: all.filter((one) => one !== undefined).length },
      ),
    );
}

function written({ flags, code, value }: Attribute, extended: boolean): readonly number[] {
  if (!extended && value.length <= 255) return [flags, code, value.length, ...value];
  return [flags | 0x10, code, value.length >>> 8, value.length & 255, ...value];
}

interface Message {
  readonly context: DecodeContext;
  readonly body: Uint8Array;
}

const messages: fc.Arbitrary<Message> = contexts.chain((context) => {
  const own = nlri(context.addPathReceive.ipv4, 32);
  const none = fc.constant<readonly number[]>([]);
  return fc
    .tuple(attributesOf(context), fc.boolean(), fc.oneof(none, none, own), fc.oneof(none, own))
    .map(([attributes, extended, withdrawn, reach]) => {
      const field = attributes.flatMap((one) => written(one, extended));
      const length = (part: readonly number[]) => [part.length >>> 8, part.length & 255];
      const body = Uint8Array.of(...length(withdrawn), ...withdrawn, ...length(field), ...field, ...reach);
      return { context, body };
    });
});

const damaged: fc.Arbitrary<Message> = fc
  .tuple(messages, fc.array(fc.tuple(fc.nat(), octet), { maxLength: 3 }), fc.oneof(fc.constant(0), fc.nat(6)))
  .map(([{ context, body }, damage, cut]) => {
    const octetsLeft = body.slice(0, Math.max(4, body.length - cut));
    for (const [at, value] of damage) octetsLeft[at % octetsLeft.length] = value;
    return { context, body: octetsLeft };
  });

describe('bgp/wire: plain UPDATEs', () => {
  it('are read as readUpdate reads them', () => {
    let plain = 0;
    fc.assert(
      fc.property(messages, ({ body, context }) => {
        if (isPlain(body, context)) plain++;
      }),
      { numRuns: 3000 },
    );
    assert.ok(plain > 300, `${plain} were plain`);
  });

  it('are none that anything is wrong with', () => {
    fc.assert(
      fc.property(damaged, ({ body, context }) => void isPlain(body, context)),
      { numRuns: 4000 },
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 4, maxLength: 60 }),
        contexts,
        (body, context) => void isPlain(body, context),
      ),
      { numRuns: 1000 },
    );
  });

  const IBGP: Partial<DecodeContext> = { peerKind: 'ibgp' };
  const WITH_IDS: Partial<DecodeContext> = { addPathReceive: BOTH };
  const ORDINARY: readonly [
    name: string,
    parts: Parameters<typeof update>[0],
    context?: Partial<DecodeContext>,
  ][] = [
    ['routes of the message itself', { attributes: MANDATORY, nlri: `${NLRI}${OTHER_NLRI}` }],
    ['withdrawn routes', { withdrawn: `${NLRI}${OTHER_NLRI}` }],
    ['both', { withdrawn: OTHER_NLRI, attributes: MANDATORY, nlri: NLRI }],
    ['MP_REACH_NLRI first', { attributes: `${MP_REACH}${MANDATORY}` }],
    ['MP_REACH_NLRI last', { attributes: `${MANDATORY}${MP_REACH}` }],
    ['MP_UNREACH_NLRI', { attributes: attribute('80', 15, `000201${NLRI6}`) }],
    ['both of them', { attributes: `${MANDATORY}${MP_REACH}${attribute('80', 15, `000201${NLRI6}`)}` }],
    ['path identifiers', { attributes: MANDATORY, nlri: `00000001${NLRI}` }, WITH_IDS],
    [
      'communities of all kinds, out of order',
      {
        attributes: `${MANDATORY}${attribute('c0', 8, 'fde90001')}${attribute('c0', 32, '000000010000000200000003')}${attribute('c0', 16, '0002fde900000001')}`,
        nlri: NLRI,
      },
    ],
    [
      'MED, aggregator and atomic aggregate',
      {
        attributes: `${MANDATORY}${attribute('80', 4, '00000005')}${attribute('40', 6, '')}${attribute('c0', 7, '0000fde9c0000201')}`,
        nlri: NLRI,
      },
    ],
    [
      'LOCAL_PREF, originator and cluster list of an internal peer',
      {
        attributes: `${MANDATORY}${attribute('40', 5, '00000064')}${attribute('80', 9, 'c0000201')}${attribute('80', 10, 'c0000202')}`,
        nlri: NLRI,
      },
      IBGP,
    ],
    [
      'AS numbers of two octets',
      { attributes: MANDATORY.replace(/400206.*fde9/, OLD_PATH), nlri: NLRI },
      { as4: false },
    ],
    [
      'an attribute that nobody knows',
      { attributes: `${MANDATORY}${attribute('c0', 200, '0102')}`, nlri: NLRI },
    ],
  ];
  for (const [name, parts, context] of ORDINARY) {
    it(`one is: ${name}`, () => {
      const body = octets(update(parts)).slice(19);
      assert.ok(
        isPlain(body, { ...DEFAULT_VERDICT_CONTEXT, families: BOTH, addPathReceive: NEITHER, ...context }),
      );
    });
  }

  it('one with an AS_PATH that grows beyond what its length can say is none', () => {
    const path = `50028200${`02ff${'fde9'.repeat(255)}`.repeat(65)}`;
    const attributes = MANDATORY.replace(/400206.*fde9/, path);
    const body = octets(update({ attributes, nlri: NLRI })).slice(19);
    assert.equal(isPlain(body, { ...DEFAULT_VERDICT_CONTEXT, as4: false, extendedMessage: true }), false);
  });

  it('End-of-RIB is none', () => {
    for (const attributes of ['', attribute('80', 15, '000201')]) {
      assert.equal(isPlain(octets(update({ attributes })).slice(19), DEFAULT_VERDICT_CONTEXT), false);
    }
  });
});
