/** Messages that a RIB takes in some at a time leave it as the same messages do one by one. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FilterChain } from '../../../../bgp/policy/types.ts';
import type { Rib } from '../../../../bgp/rib/rib.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import { decodeUpdate } from '../../../../bgp/wire/update.ts';
import { FAMILIES } from '../../../../src/net/address.ts';
import {
  address,
  announcementMessage,
  attributes,
  contextOf,
  LOCAL_AS,
  makeRib,
  type PeerChanges,
  peerConfig,
  prefix,
  sessionOf,
  settle,
  textOf,
  viewsOf,
  withdrawalMessage,
} from './support.ts';

const REJECT_ALL: FilterChain = { name: 'none', rules: [], fallThrough: 'reject' };
const CHANGE_ALL: FilterChain = {
  name: 'changes',
  rules: [{ name: 'med', match: {}, action: 'accept', operations: [{ kind: 'set-med', value: 7 }] }],
  fallThrough: 'reject',
};
const BY_PREFIX: FilterChain = {
  name: 'some',
  rules: [
    {
      name: 'half',
      match: { prefix: { cidr: prefix('10.0.0.0/9'), operator: 'In' } },
      action: 'reject',
    },
  ],
  fallThrough: 'accept',
};
const IBGP: PeerChanges = { peerAs: LOCAL_AS };

const CONFIGURATIONS: Readonly<Record<string, PeerChanges>> = {
  'an external peer': {},
  'one whose routes are not taken': { importPolicy: REJECT_ALL },
  'one without a policy': { importPolicy: undefined },
  'one whose routes are changed': { importPolicy: CHANGE_ALL },
  'one with a policy that looks at prefixes': { importPolicy: BY_PREFIX },
  'our own AS may stand in the path': { allowOwnAs: 1 },
  'another local AS': { localAs: 64999 },
  'another local AS that is not put in front': {
    localAs: 64999,
    localAsOptions: { noPrepend: true, replaceAs: false },
  },
  'a customer': { role: { local: 'provider', strict: false } },
  'a peer by role': { role: { local: 'peer', strict: false } },
  'an internal peer': IBGP,
  'an internal peer without a policy': { ...IBGP, importPolicy: undefined },
  'a client': { ...IBGP, routeReflectorClient: true },
  'a peer on a link': { interface: 'eth0' },
  'a limit': {
    maxPrefixes: { ipv4: { limit: 3, warnPercent: 75, action: { kind: 'discard' }, count: 'received' } },
  },
};

const PREFIXES4 = ['10.0.0.0/8', '10.1.0.0/16', '10.200.0.0/16', '10.1.2.0/24', '0.0.0.0/0', '10.1.2.3/32'];
const PREFIXES6 = ['2001:db8::/32', '2001:db8:1::/48', '::/0', '2001:db8::1/128'];

const someAs = fc.constantFrom(LOCAL_AS, 64999, 65001, 65002, 65003);

function carried(internal: boolean, ipv6: boolean): fc.Arbitrary<PathAttributes> {
  const given = <T>(value: T) => fc.option(fc.constant(value), { nil: undefined });
  return fc
    .record({
      asPath: fc
        .array(someAs, { minLength: 1, maxLength: 3 })
        .map((asNumbers) => [{ type: 'sequence' as const, asNumbers }]),
      nextHop: ipv6
        ? fc.constantFrom(address('2001:db8::1'), address('fe80::1'))
        : fc.constantFrom(address('192.0.2.1'), address('192.0.2.7')),
      communities: given([0xffff0000, 0xfde90001]),
      onlyToCustomer: fc.option(fc.constantFrom(65001, 65002), { nil: undefined }),
      med: given(5),
      originatorId: internal
        ? fc.option(fc.constantFrom(0x0a000001, 9), { nil: undefined })
        : fc.constant(undefined),
      clusterList: internal
        ? fc.option(fc.constantFrom([0x0a000001], [8]), { nil: undefined })
        : fc.constant(undefined),
    })
    .map((one) =>
      attributes(Object.fromEntries(Object.entries(one).filter(([, value]) => value !== undefined))),
    );
}

interface Step {
  readonly ipv6: boolean;
  /** undefined: withdrawn */
  readonly carried: PathAttributes | undefined;
  readonly prefixes: readonly string[];
}

function stepsOf(internal: boolean): fc.Arbitrary<Step[]> {
  const step = fc.boolean().chain((ipv6) =>
    fc.record({
      ipv6: fc.constant(ipv6),
      carried: fc.option(carried(internal, ipv6), { nil: undefined, freq: 4 }),
      prefixes: fc.subarray(ipv6 ? PREFIXES6 : PREFIXES4, { minLength: 1 }),
    }),
  );
  return fc.array(step, { minLength: 1, maxLength: 12 });
}

/** All that a RIB has of its one peer. */
function stateOf(rib: Rib, id: number): unknown {
  settle(rib);
  const views = [...PREFIXES4, ...PREFIXES6].flatMap((text) =>
    [false, true].flatMap((received) =>
      viewsOf(rib, text, received).map((view) => ({
        ...view,
        attributes: textOf(view.attributes),
        received,
        text,
      })),
    ),
  );
  return { views, counts: FAMILIES.map((family) => rib.countsOf(id, family)) };
}

describe('rib: messages some at a time', () => {
  for (const [name, changes] of Object.entries(CONFIGURATIONS)) {
    it(name, () => {
      const config = peerConfig(changes);
      const context = contextOf(config);
      const ribWith = () => {
        const rib = makeRib();
        const id = rib.addPeer(config);
        rib.peerUp(id, sessionOf(config));
        return { rib, id };
      };
      fc.assert(
        fc.property(stepsOf(context.peerKind === 'ibgp'), fc.constantFrom(1, 200, 4096), (steps, most) => {
          const messages = steps.map(({ carried, prefixes }) =>
            carried === undefined
              ? withdrawalMessage(context, prefixes)
              : announcementMessage(context, prefixes, carried),
          );
          const one = ribWith();
          for (const message of messages) {
            one.rib.receive(one.id, decodeUpdate(message.slice(19), context), 1000);
          }
          const other = ribWith();
          const all = new Uint8Array(Buffer.concat(messages));
          let count = 0;
          for (let at = 0; at < all.length; ) {
            const taken = other.rib.receivePlain(other.id, all, at, all.length, most, 1000);
            assert.ok(taken.octets > 0, 'all of them are plain');
            at += taken.octets;
            count += taken.messages;
          }
          assert.equal(count, messages.length);
          assert.deepEqual(stateOf(other.rib, other.id), stateOf(one.rib, one.id));
        }),
        { numRuns: 40 },
      );
    });
  }
});
