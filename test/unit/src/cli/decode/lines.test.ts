/** The line contract of `ocicat bgp decode --jsonl` under fuzz: every line is answered, verdicts are of the set, and what is decoded is what was sent. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeAttributes } from '../../../../../bgp/wire/attribute-key.ts';
import { encodeKeepalive, encodeRouteRefresh } from '../../../../../bgp/wire/messages.ts';
import { encodeNotification, notification } from '../../../../../bgp/wire/notification.ts';
import { encodeOpen } from '../../../../../bgp/wire/open.ts';
import { UpdatePacker } from '../../../../../bgp/wire/packer.ts';
import type { AsPathSegment, PathAttributes } from '../../../../../bgp/wire/types.ts';
import { answerDecodeLine } from '../../../../../src/cli/bgp-decode.ts';
import { type Family, parseAddress } from '../../../../../src/net/address.ts';
import { parsePrefix } from '../../../../../src/net/prefix.ts';
import { attributes4, attributes6, capability, uint32 } from '../../../bgp/wire/arbitraries.ts';

const VERDICTS = ['valid', 'attr-discard', 'treat-as-withdraw', 'session-reset', 'close'];
const TYPES = ['open', 'update', 'notification', 'keepalive', 'route-refresh', null];

interface Route {
  readonly prefix: string;
  readonly pathId?: number;
}

/** A message that announces routes of one family. */
function announcement(
  family: Family,
  attributes: PathAttributes,
  routes: readonly Route[],
  addPath: boolean,
): Uint8Array {
  const target = new Uint8Array(65_535);
  const packer = new UpdatePacker();
  const options = { as4: true, addPath, extendedNextHop: false, maxLength: 65_535 };
  const key = encodeAttributes(attributes);
  assert.equal(packer.beginReach(target, 0, family, key, options), 'begun');
  for (const route of routes) {
    const prefix = parsePrefix(route.prefix);
    assert.ok(prefix !== undefined);
    const view = new DataView(prefix.bytes.buffer, prefix.bytes.byteOffset, prefix.bytes.length);
    const word = (index: number): number => (4 * index < prefix.bytes.length ? view.getInt32(4 * index) : 0);
    assert.ok(packer.add(prefix.length, word(0), word(1), word(2), word(3), route.pathId ?? 0));
  }
  return target.slice(0, packer.finish());
}

function answer(line: string): Record<string, unknown> {
  const found: Record<string, unknown> = JSON.parse(JSON.stringify(answerDecodeLine(line)));
  return found;
}

/** Checks what every answer must be. */
function checkAnswer(found: Record<string, unknown>): void {
  if ('inputError' in found) {
    assert.deepEqual(Object.keys(found), ['id', 'inputError']);
    return;
  }
  assert.deepEqual(Object.keys(found), ['id', 'verdict', 'error', 'type', 'decoded', 'why']);
  const { verdict, error, type, why } = found;
  assert.ok(typeof verdict === 'string' && VERDICTS.includes(verdict), String(verdict));
  assert.ok(
    TYPES.some((known) => known === type),
    String(type),
  );
  assert.ok(typeof why === 'string' && why !== '');
  assert.equal(verdict === 'session-reset', error !== null);
  if (error === null) return;
  assert.ok(typeof error === 'object' && error !== undefined);
  assert.match(JSON.stringify(error), /^\{"code":[1-7],"subcode":\d+,"data":"([0-9a-f]{2})*"\}$/);
}

const routes = (family: Family, addPath: boolean): fc.Arbitrary<Route[]> => {
  const bytes = family === 'ipv4' ? 4 : 16;
  const one = fc
    .tuple(fc.uint8Array({ minLength: bytes, maxLength: bytes }), fc.nat(bytes * 8), uint32)
    .map(([octets, length, pathId]): Route => {
      const masked = octets.map((octet, i) => octet & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))));
      const hex = masked.toHex();
      const text =
        family === 'ipv4' ? masked.join('.') : (hex.match(/..../g) ?? []).map((each) => each).join(':');
      const prefix = `${text}/${length}`;
      return addPath ? { prefix, pathId } : { prefix };
    });
  return fc.uniqueArray(one, {
    minLength: 1,
    maxLength: 5,
    selector: ({ prefix, pathId }) => `${prefix} ${pathId ?? ''}`,
  });
};

/** An UPDATE of an internal peer and the context that it is meant for. */
const anUpdate = fc
  .tuple(fc.constantFrom('ipv4' as const, 'ipv6' as const), fc.boolean())
  .chain(([family, addPath]) =>
    fc.record({
      family: fc.constant(family),
      addPath: fc.constant(addPath),
      // The text form of extended communities does not tell a two-octet AS from a small four-octet one.
      attributes: (family === 'ipv4' ? attributes4 : attributes6).map(
        ({ extendedCommunities: _, ...rest }): PathAttributes => rest,
      ),
      routes: routes(family, addPath),
    }),
  )
  .map(({ family, addPath, ...rest }) => ({
    family,
    addPath,
    message: announcement(family, rest.attributes, rest.routes, addPath),
  }));

const aMessage: fc.Arbitrary<Uint8Array> = fc.oneof(
  anUpdate.map(({ message }) => message),
  fc
    .array(capability, { maxLength: 4 })
    .map((capabilities) => encodeOpen({ as: 65001, holdTimeSec: 90, routerId: 7, capabilities })),
  fc.constant(encodeKeepalive()),
  fc
    .tuple(fc.nat(9), fc.nat(12), fc.uint8Array({ maxLength: 40 }))
    .map((parts) => encodeNotification(notification(...parts))),
  fc.tuple(fc.nat(3), fc.nat(4), fc.nat(4)).map((parts) => encodeRouteRefresh(...parts)),
);

const context = fc.record(
  {
    phase: fc.constantFrom('opensent', 'openconfirm', 'established'),
    peer: fc.constantFrom('ebgp', 'ibgp'),
    as4: fc.boolean(),
    extmsg: fc.boolean(),
    addpath: fc.subarray(['ipv4-unicast', 'ipv6-unicast']),
    families: fc.subarray(['ipv4-unicast', 'ipv6-unicast']),
    extnh: fc.boolean(),
  },
  { requiredKeys: [] },
);

describe('bgp decode --jsonl: the contract', () => {
  it('any change of a valid message is answered with a verdict', () => {
    fc.assert(
      fc.property(
        aMessage,
        context,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.option(fc.nat()),
        (message, ctx, changes, cut) => {
          const damaged = message.slice(0, cut === null ? message.length : 1 + (cut % message.length));
          for (const [at, value] of changes) damaged[at % damaged.length] = value;
          const found = answer(JSON.stringify({ id: 'x', hex: damaged.toHex(), ctx }));
          checkAnswer(found);
          assert.equal(found['id'], 'x');
          assert.ok(!('inputError' in found));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('any text is answered', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.jsonValue().map((hex) => JSON.stringify({ hex })),
        ),
        (line) => checkAnswer(answer(line)),
      ),
      { numRuns: 500 },
    );
  });

  it('what an UPDATE decodes to makes the same octets again', () => {
    fc.assert(
      fc.property(anUpdate, ({ family, addPath, message }) => {
        const ctx = { peer: 'ibgp', extmsg: true, addpath: addPath ? [`${family}-unicast`] : [] };
        const found = answer(JSON.stringify({ hex: message.toHex(), ctx }));
        assert.equal(found['verdict'], 'valid', JSON.stringify(found));
        const decoded = found['decoded'];
        assert.ok(isUpdate(decoded));
        const again = announcement(family, attributesOf(decoded.attributes), decoded.announced, addPath);
        assert.equal(again.toHex(), message.toHex());
      }),
      { numRuns: 500 },
    );
  });
});

interface DecodedAttributes {
  readonly origin: PathAttributes['origin'];
  readonly asPath: readonly AsPathSegment[];
  readonly nextHop: string;
  readonly linkLocalNextHop?: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: boolean;
  readonly aggregator?: { readonly as: number; readonly address: string };
  readonly communities?: readonly string[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  readonly largeCommunities?: readonly string[];
  readonly onlyToCustomer?: number;
  readonly unknown?: readonly { readonly code: number; readonly flags: number; readonly value: string }[];
}

function isUpdate(
  value: unknown,
): value is { readonly announced: readonly Route[]; readonly attributes: DecodedAttributes } {
  return typeof value === 'object' && value !== null && 'announced' in value && 'attributes' in value;
}

function defined<V>(value: V | undefined): V {
  assert.ok(value !== undefined);
  return value;
}
const addressOf = (text: string) => defined(parseAddress(text));
const quad = (text: string): number => new DataView(addressOf(text).bytes.slice().buffer).getUint32(0);

/** The values behind their JSON form. */
function attributesOf(json: DecodedAttributes): PathAttributes {
  const { nextHop, linkLocalNextHop, aggregator, communities, originatorId, clusterList } = json;
  const { largeCommunities, unknown, ...same } = json;
  return {
    origin: same.origin,
    asPath: same.asPath,
    nextHop: addressOf(nextHop),
    ...(linkLocalNextHop !== undefined && { linkLocalNextHop: addressOf(linkLocalNextHop) }),
    ...(same.med !== undefined && { med: same.med }),
    ...(same.localPref !== undefined && { localPref: same.localPref }),
    ...(same.atomicAggregate !== undefined && { atomicAggregate: same.atomicAggregate }),
    ...(aggregator && { aggregator: { as: aggregator.as, address: addressOf(aggregator.address) } }),
    ...(communities && {
      communities: communities.map((text) => {
        const [high = 0, low = 0] = text.split(':').map(Number);
        return high * 65_536 + low;
      }),
    }),
    ...(originatorId !== undefined && { originatorId: quad(originatorId) }),
    ...(clusterList && { clusterList: clusterList.map(quad) }),
    ...(largeCommunities && {
      largeCommunities: largeCommunities.map((text) => {
        const [global = 0, local1 = 0, local2 = 0] = text.split(':').map(Number);
        return { global, local1, local2 };
      }),
    }),
    ...(same.onlyToCustomer !== undefined && { onlyToCustomer: same.onlyToCustomer }),
    ...(unknown && {
      unknown: unknown.map(({ code, flags, value }) => ({ code, flags, value: Uint8Array.fromHex(value) })),
    }),
  };
}
