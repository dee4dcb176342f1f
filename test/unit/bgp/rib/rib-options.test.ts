/** Per-peer options of import and export: reflection, local AS, roles, shutdown, refresh, long-lived stale routes, several paths. */
import assert from 'node:assert/strict';
import type { PeerSession } from '../../../../bgp/rib/peers.ts';
import { nextFrame } from '../../../../bgp/wire/frame.ts';
import { NlriWalker } from '../../../../bgp/wire/nlri.ts';
import type { PathAttributes } from '../../../../bgp/wire/types.ts';
import { decodeUpdate } from '../../../../bgp/wire/update.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import {
  address,
  attributes,
  bestOf,
  contextOf,
  LOCAL_AS,
  makeRib,
  type PeerChanges,
  path,
  prefix,
  settle,
  TestPeer,
  viewsOf,
} from './support.ts';

const NET = '198.51.100.0/24';
const GSHUT = 0xffff0000;
const LLGR_STALE = 0xffff0006;
const NO_LLGR = 0xffff0007;
const TAG = 0xfde80001;

function asNumbersOf(value: PathAttributes | undefined): readonly number[] | undefined {
  return value?.asPath.flatMap(({ asNumbers }) => [...asNumbers]);
}

/** A sender and a receiver in one RIB. */
function pair(from: PeerChanges, to: PeerChanges, session: Partial<PeerSession> = {}, rib = makeRib()) {
  const sender = new TestPeer(rib, { name: 'from', address: address('192.0.2.1'), peerAs: 65001, ...from });
  const receiver = new TestPeer(
    rib,
    { name: 'to', address: address('192.0.2.2'), peerAs: 65002, ...to },
    session,
  );
  return { rib, sender, receiver };
}

describe('RIB options', () => {
  describe('route reflection, RFC 4456 6', () => {
    const kinds = {
      client: { peerAs: LOCAL_AS, routeReflectorClient: true },
      'non-client': { peerAs: LOCAL_AS },
      external: { peerAs: 65009 },
    } as const;
    for (const from of ['client', 'non-client', 'external'] as const) {
      for (const to of ['client', 'non-client', 'external'] as const) {
        const passes = !(from === 'non-client' && to === 'non-client');
        it(`${from} to ${to}: ${passes ? 'passes' : 'does not pass'}`, () => {
          const { sender, receiver } = pair(kinds[from], kinds[to]);
          sender.announce(
            [NET],
            attributes({ ...(from !== 'external' && { localPref: 200 }), ...path(65099) }),
          );
          assert.equal(receiver.read().has(NET), passes);
        });
      }
    }

    it('marks what it reflects, and leaves everything else alone', () => {
      const { sender, receiver } = pair(kinds.client, kinds['non-client']);
      const sent = attributes({ localPref: 200, med: 5, ...path(65099) });
      sender.announce([NET], sent);
      assert.deepEqual(receiver.read().get(NET), {
        ...sent,
        originatorId: 0x0a0000ff,
        clusterList: [0x0a000001],
      });
    });

    it('keeps ORIGINATOR_ID and puts its cluster in front', () => {
      const { sender, receiver } = pair(kinds.client, kinds.client, {}, makeRib({ clusterId: 7 }));
      sender.announce([NET], attributes({ originatorId: 99, clusterList: [1, 2], localPref: 100 }));
      const got = receiver.read().get(NET);
      assert.deepEqual([got?.originatorId, got?.clusterList], [99, [7, 1, 2]]);
    });

    it('does not use a route that went through its cluster', () => {
      const { rib, sender } = pair(kinds.client, kinds.client, {}, makeRib({ clusterId: 7 }));
      sender.announce([NET], attributes({ clusterList: [7], localPref: 100 }));
      settle(rib);
      assert.deepEqual(
        viewsOf(rib, NET, true).map(({ unusable }) => unusable),
        ['cluster-loop'],
      );
    });

    it('frees what it made for a client that is gone', () => {
      const { rib, sender, receiver } = pair(kinds.client, kinds['non-client']);
      sender.announce([NET], attributes({ localPref: 200 }));
      receiver.read();
      sender.down();
      assert.equal(receiver.read().size, 0);
      assert.equal(rib.sizes.attributes, 0);
    });
  });

  describe('AS_PATH', () => {
    const cases: readonly [string, PeerChanges, PeerChanges, number[], number[] | undefined][] = [
      ['local AS: both numbers', {}, { localAs: 65010 }, [65001], [65010, LOCAL_AS, 65001]],
      [
        'local AS alone with replaceAs',
        {},
        { localAs: 65010, localAsOptions: { noPrepend: false, replaceAs: true } },
        [65001],
        [65010, 65001],
      ],
      ['local AS in front of what comes in', { localAs: 65010 }, {}, [65001], [LOCAL_AS, 65010, 65001]],
      [
        'local AS not in front with noPrepend',
        { localAs: 65010, localAsOptions: { noPrepend: true, replaceAs: false } },
        {},
        [65001],
        [LOCAL_AS, 65001],
      ],
      ['the real AS is a loop too', { localAs: 65010 }, {}, [65001, LOCAL_AS], undefined],
      ['AS override', {}, { asOverride: true }, [65001, 65002], [LOCAL_AS, 65001, LOCAL_AS]],
      [
        'private numbers removed',
        {},
        { removePrivateAs: 'remove' },
        [3356, 64600, 4200000000],
        [LOCAL_AS, 3356],
      ],
      [
        'private numbers replaced',
        {},
        { removePrivateAs: 'replace' },
        [3356, 64600],
        [LOCAL_AS, 3356, LOCAL_AS],
      ],
    ];
    for (const [what, from, to, sent, expected] of cases) {
      it(what, () => {
        const { sender, receiver } = pair(from, to);
        sender.announce([NET], attributes(path(...sent)));
        assert.deepEqual(asNumbersOf(receiver.read().get(NET)), expected);
      });
    }
  });

  describe('graceful shutdown, RFC 8326', () => {
    it('an external route with the community is the last choice whatever policy says', () => {
      const importPolicy = {
        name: 'high',
        rules: [
          { name: 'all', match: {}, action: 'accept', operations: [{ kind: 'set-local-pref', value: 500 }] },
        ],
        fallThrough: 'accept',
      } as const;
      const { rib, sender, receiver } = pair({ importPolicy }, {});
      sender.announce([NET], attributes({ communities: [GSHUT] }));
      receiver.announce([NET], attributes(path(65002, 65003, 65004)));
      settle(rib);
      assert.equal(bestOf(rib, NET), 'to');
      sender.announce([NET], attributes());
      settle(rib);
      assert.equal(bestOf(rib, NET), 'from');
    });

    it('draining tags everything, and stops doing so', () => {
      const { rib, sender, receiver } = pair({}, { peerAs: LOCAL_AS });
      sender.announce([NET], attributes());
      assert.equal(receiver.read().get(NET)?.localPref, 100);
      rib.setDraining(true);
      const tagged = receiver.read().get(NET);
      assert.deepEqual([tagged?.communities, tagged?.localPref], [[GSHUT], 0]);
      rib.setDraining(false);
      assert.equal(receiver.read().get(NET)?.communities, undefined);
    });
  });

  describe('roles, RFC 9234 5', () => {
    const otc = (value: number): Partial<PathAttributes> => ({ onlyToCustomer: value });
    const strict = false;
    it('a customer or provider that sends us what it had from above leaks', () => {
      const { rib, sender } = pair({ role: { local: 'provider', strict } }, {});
      sender.announce([NET], attributes(otc(65001)));
      settle(rib);
      assert.equal(viewsOf(rib, NET, true)[0]?.unusable, 'route-leak');
    });

    it('a peer may have marked it with its own AS only', () => {
      const { rib, sender } = pair({ role: { local: 'peer', strict } }, {});
      sender.announce([NET], attributes(otc(65001)));
      sender.announce(['198.51.101.0/24'], attributes(otc(65009)));
      settle(rib);
      assert.equal(bestOf(rib, NET), 'from');
      assert.equal(bestOf(rib, '198.51.101.0/24'), undefined);
    });

    it('what comes from a provider is marked and goes to customers only', () => {
      for (const [local, passes] of [
        ['provider', true],
        ['customer', false],
        ['peer', false],
      ] as const) {
        const { sender, receiver } = pair(
          { role: { local: 'customer', strict } },
          { role: { local, strict } },
        );
        sender.announce([NET], attributes());
        const got = receiver.read().get(NET);
        assert.equal(got?.onlyToCustomer, passes ? 65001 : undefined, local);
        assert.equal(got !== undefined, passes, local);
      }
    });

    it('our own routes are marked on their way to a customer', () => {
      const { rib, receiver } = pair({}, { role: { local: 'provider', strict } });
      rib.originate(prefix(NET));
      assert.equal(receiver.read().get(NET)?.onlyToCustomer, LOCAL_AS);
    });
  });

  describe('enhanced refresh, RFC 7313 4.2', () => {
    it('what is not sent again goes at the end, not before', () => {
      const { rib, sender, receiver } = pair({}, {});
      sender.announce([NET, '198.51.101.0/24'], attributes());
      assert.equal(receiver.read().size, 2);
      rib.beginRefresh(sender.id, 'ipv4');
      sender.announce([NET], attributes());
      assert.equal(receiver.read().size, 2);
      rib.endRefresh(sender.id, 'ipv4');
      assert.deepEqual([...receiver.read().keys()], [NET]);
    });

    it('right after End-of-RIB nothing fresh is lost, and the end without a beginning does nothing', () => {
      const { rib, sender, receiver } = pair({}, {});
      sender.announce([NET, '198.51.101.0/24'], attributes());
      receiver.read();
      sender.down(['ipv4']);
      sender.up();
      sender.announce([NET], attributes());
      rib.endOfRib(sender.id, 'ipv4');
      rib.beginRefresh(sender.id, 'ipv4');
      assert.deepEqual([...receiver.read().keys()], [NET]);
      sender.announce([NET], attributes());
      rib.endRefresh(sender.id, 'ipv4');
      rib.endRefresh(sender.id, 'ipv4');
      assert.deepEqual([...receiver.read().keys()], [NET]);
    });

    it('a session lost in the middle keeps what had not been repeated yet', () => {
      const { rib, sender, receiver } = pair({}, {});
      sender.announce([NET, '198.51.101.0/24'], attributes());
      receiver.read();
      rib.beginRefresh(sender.id, 'ipv4');
      sender.announce([NET], attributes());
      sender.down(['ipv4']);
      assert.equal(receiver.read().size, 2);
    });
  });

  describe('long-lived stale routes, RFC 9494', () => {
    it('are the last choice, marked, and not for peers that do not know them', () => {
      const { rib, sender, receiver } = pair({}, {});
      const knowing = new TestPeer(
        rib,
        { name: 'knowing', address: address('192.0.2.3'), peerAs: 65003 },
        { longLived: true },
      );
      sender.announce([NET], attributes());
      sender.announce(['198.51.101.0/24'], attributes({ communities: [NO_LLGR] }));
      settle(rib);
      sender.down(['ipv4']);
      rib.beginLongLived(sender.id, ['ipv4']);
      assert.deepEqual(knowing.read().get(NET)?.communities, [LLGR_STALE]);
      assert.equal(knowing.read().size, 1, 'the one with NO_LLGR is gone');
      assert.equal(receiver.read().size, 0);
      assert.deepEqual(
        viewsOf(rib, NET).map(({ stale }) => stale),
        [true],
      );
      receiver.announce([NET], attributes(path(65002, 65003, 65004)));
      settle(rib);
      assert.equal(bestOf(rib, NET), 'to');
    });

    it('an internal peer that does not know of them gets them marked where that is asked for (4.6)', () => {
      const partial = { longLivedPartial: true };
      const { rib, sender, receiver } = pair({}, { peerAs: LOCAL_AS, ...partial });
      const outside = new TestPeer(rib, {
        name: 'out',
        address: address('192.0.2.3'),
        peerAs: 65003,
        ...partial,
      });
      const others = ['192.0.2.4', '192.0.2.5'].map((text, index) => {
        const changes = { name: text, address: address(text), peerAs: LOCAL_AS, ...(index === 0 && partial) };
        return new TestPeer(rib, changes, index === 0 ? { longLived: true } : {});
      });
      const [knowing, plain] = others;
      assert.ok(knowing && plain);
      sender.announce([NET], attributes({ communities: [TAG] }));
      assert.deepEqual(receiver.read().get(NET)?.communities, [TAG]);
      sender.down(['ipv4']);
      rib.beginLongLived(sender.id, ['ipv4']);
      const marked = receiver.read().get(NET);
      assert.deepEqual(
        [marked?.localPref, new Set(marked?.communities)],
        [0, new Set([TAG, LLGR_STALE, 0xffffff01])],
      );
      const known = knowing.read().get(NET);
      assert.deepEqual([known?.localPref, known?.communities?.includes(0xffffff01)], [100, false]);
      for (const peer of [outside, plain]) assert.equal(peer.read().size, 0);
      plain.update(partial);
      assert.equal(plain.read().get(NET)?.localPref, 0);
    });

    it('are good again once the peer has sent them again', () => {
      const { rib, sender, receiver } = pair({}, {});
      sender.announce([NET], attributes());
      settle(rib);
      sender.down(['ipv4']);
      rib.beginLongLived(sender.id, ['ipv4']);
      assert.equal(receiver.read().size, 0);
      sender.up();
      sender.announce([NET], attributes());
      rib.endOfRib(sender.id, 'ipv4');
      assert.equal(receiver.read().get(NET)?.communities, undefined);
      assert.equal(receiver.read().size, 1);
    });
  });

  it('long-lived stale routes outlive a session that ended before they were sent again (RFC 9494 4.2)', () => {
    const { rib, sender } = pair({}, {});
    const left = (): number => rib.familyStatus(sender.id, 'ipv4').received;
    const again = (): void => {
      sender.up();
      sender.announce(['10.0.1.0/24'], attributes());
      sender.down(['ipv4']);
      settle(rib);
    };
    sender.announce(['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24'], attributes());
    sender.down(['ipv4']);
    settle(rib);
    rib.beginLongLived(sender.id, ['ipv4']);
    settle(rib);
    again();
    assert.equal(left(), 3);
    sender.up();
    sender.announce(['10.0.2.0/24'], attributes());
    rib.endOfRib(sender.id, 'ipv4');
    settle(rib);
    assert.equal(left(), 1);
    // Merely stale ones do not (RFC 4724 4.2).
    sender.announce(['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24'], attributes());
    sender.down(['ipv4']);
    settle(rib);
    again();
    assert.equal(left(), 1);
  });

  it('a limit that discards takes no more paths, and says how many it left out', () => {
    const limit = { limit: 2, count: 'received', warnPercent: 75, action: { kind: 'discard' } } as const;
    const { rib, sender, receiver } = pair({ maxPrefixes: { ipv4: limit } }, {});
    sender.announce(['10.0.0.0/24', '10.0.1.0/24', '10.0.2.0/24'], attributes());
    assert.equal(receiver.read().size, 2);
    assert.deepEqual(rib.countsOf(sender.id, 'ipv4'), { received: 2, accepted: 2, discarded: 1 });
    assert.equal(rib.sizes.prefixes.ipv4, 2);
  });

  it('a link-local next hop belongs to the interface of its peer, whatever the peer writes into it', () => {
    const rib = makeRib();
    const peers = ['eth0', 'eth1'].map(
      (name, i) => new TestPeer(rib, { name, interface: name, address: address(`fe80::${i + 1}`) }),
    );
    for (const [i, peer] of peers.entries()) {
      peer.announce([`2001:db8:${i}::/48`], attributes({ nextHop: address('fe80::9') }));
    }
    const other = new TestPeer(rib, { name: 'other', address: address('192.0.2.7') });
    other.announce(['2001:db8:7::/48'], attributes({ nextHop: address('fe80:1::9') }));
    settle(rib);
    const nextHopsOf = (text: string): string[] => {
      const id = rib.prefixTable('ipv6').findPrefix(prefix(text));
      return rib.selectedNextHops('ipv6', id).map(formatAddress);
    };
    assert.deepEqual(nextHopsOf('2001:db8:0::/48'), ['fe80::9%eth0']);
    assert.deepEqual(nextHopsOf('2001:db8:1::/48'), ['fe80::9%eth1']);
    assert.deepEqual(nextHopsOf('2001:db8:7::/48'), ['fe80::9']);
    const [view] = viewsOf(rib, '2001:db8:0::/48');
    assert.equal(view?.attributes.nextHop && formatAddress(view.attributes.nextHop), 'fe80::9%eth0');
  });

  describe('several paths to a prefix, RFC 7911', () => {
    const session = { addPathSend: { ipv4: true, ipv6: true } };

    /** What a peer has by now: prefix length and network as octets -> path identifier -> AS_PATH. */
    class Paths {
      readonly table = new Map<string, Map<number, string>>();
      endOfRib = false;
      readonly #peer: TestPeer;

      constructor(peer: TestPeer) {
        this.#peer = peer;
      }

      read(size = 1 << 16): this {
        settle(this.#peer.rib);
        const buffer = new Uint8Array(size);
        for (let octets = this.#fill(buffer); octets > 0; octets = this.#fill(buffer)) {
          for (let at = 0; at < octets; ) {
            const frame = nextFrame(buffer, at, octets, false);
            assert.equal(frame.kind, 'message');
            if (frame.kind !== 'message') return this;
            this.#apply(buffer.slice(frame.bodyStart, frame.end));
            at = frame.end;
          }
        }
        return this;
      }

      pathsOf(count: number): string[][] {
        assert.equal(this.table.size, count);
        return [...this.table.values()].map((paths) => [...paths.values()].sort());
      }

      #fill(buffer: Uint8Array): number {
        return this.#peer.rib.fill(this.#peer.id, buffer, 0);
      }

      #apply(body: Uint8Array): void {
        const context = contextOf(this.#peer.config, { addPathReceive: { ipv4: true, ipv6: true } });
        const update = decodeUpdate(body, context);
        assert.equal(update.verdict.kind, 'ok');
        if (update.endOfRib !== undefined) this.endOfRib = true;
        const walker = new NlriWalker();
        for (const range of update.withdrawn) {
          walker.reset(body, range);
          while (walker.next()) {
            const key = `${walker.w0}/${walker.length}`;
            assert.ok(this.table.get(key)?.delete(walker.pathId), 'withdrawn without having been announced');
            if (this.table.get(key)?.size === 0) this.table.delete(key);
          }
        }
        for (const { nlri, attributes: key } of update.reach) {
          walker.reset(body, nlri);
          while (walker.next()) {
            const name = `${walker.w0}/${walker.length}`;
            const paths = this.table.get(name) ?? new Map<number, string>();
            this.table.set(name, paths);
            paths.set(walker.pathId, String(key.length));
          }
        }
      }
    }

    function three(sendMax?: number) {
      const rib = makeRib();
      const senders = [1, 2, 3].map(
        (n) => new TestPeer(rib, { name: `from${n}`, address: address(`192.0.2.${n}`), peerAs: 65000 + n }),
      );
      const receiver = new TestPeer(
        rib,
        {
          name: 'to',
          address: address('192.0.2.9'),
          peerAs: 65009,
          addPath: { send: ['ipv4', 'ipv6'], ...(sendMax !== undefined && { sendMax }) },
        },
        session,
      );
      for (const [i, sender] of senders.entries()) {
        sender.announce([NET], attributes({ ...path(...Array<number>(i + 1).fill(65001 + i)) }));
      }
      return { rib, senders, receiver, paths: new Paths(receiver) };
    }

    it('are all sent, changed and withdrawn one by one', () => {
      const { rib, senders, paths, receiver } = three();
      assert.equal(paths.read().pathsOf(1)[0]?.length, 3);
      assert.ok(paths.endOfRib);
      senders[1]?.withdraw([NET]);
      assert.equal(paths.read().pathsOf(1)[0]?.length, 2);
      senders[0]?.announce([NET], attributes({ ...path(65001, 1, 2, 3, 4, 5, 6) }));
      assert.equal(paths.read().pathsOf(1)[0]?.length, 2);
      assert.equal([...rib.advertised(receiver.id, 'ipv4')].length, 2);
      for (const sender of senders) sender.down();
      paths.read();
      assert.equal(paths.table.size, 0);
      assert.equal(rib.sizes.attributes, 0);
      assert.equal(rib.sizes.prefixes.ipv4, 0);
    });

    it('are the best ones where not all are wanted', () => {
      const { senders, paths } = three(2);
      const two = paths.read().pathsOf(1)[0];
      assert.equal(two?.length, 2);
      senders[0]?.down();
      const next = paths.read().pathsOf(1)[0];
      assert.equal(next?.length, 2);
      assert.notDeepEqual(next, two);
    });

    it('go out however small the buffer is, and again when asked for', () => {
      const { rib, senders, receiver, paths } = three();
      const many = Array.from({ length: 500 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
      for (const sender of senders) sender.announce(many, attributes());
      paths.read(4096);
      assert.equal(paths.table.size, 501);
      rib.refresh(receiver.id, 'ipv4');
      paths.table.clear();
      assert.equal(paths.read(4096).table.size, 501);
      receiver.down();
      for (const sender of senders) sender.down();
      settle(rib);
      assert.equal(rib.sizes.attributes, 0);
    });
  });
});
