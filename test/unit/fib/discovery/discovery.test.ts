import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decodeNeighbourMessage,
  encodeAdvertisement,
  encodeEchoRequest,
  encodeSolicitation,
} from '../../../../fib/discovery/icmpv6.ts';
import { NeighbourChoice } from '../../../../fib/discovery/neighbour-choice.ts';
import { nextAdvertisementMs, nextSolicitationMs } from '../../../../fib/discovery/schedule.ts';
import { type Address, formatAddress } from '../../../../src/net/address.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const octets = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

function linkLocal(last: number): Address {
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  new DataView(bytes.buffer).setUint16(14, last);
  return { family: 'ipv6', bytes };
}

describe('fib/discovery/icmpv6', () => {
  it('writes what RFC 4861 4.1 and 4.2 and RFC 4443 4.1 say, the checksum left to the kernel', () => {
    assert.equal(hex(encodeSolicitation(MAC)), '8500000000000000' + '0101020000000001');
    assert.equal(
      hex(encodeAdvertisement(MAC)),
      `8600000000000000${'00000000'.repeat(2)}0101020000000001`,
      'router lifetime 0',
    );
    assert.equal(hex(encodeAdvertisement(new Uint8Array(0))).length, 32, 'no address, no option');
    assert.equal(hex(encodeEchoRequest(0x0c1, 2)), '8000000000c10002');
  });

  it('reads what it writes, and what others do', () => {
    assert.deepEqual(decodeNeighbourMessage(encodeSolicitation(MAC)), {
      type: 'solicitation',
      hasSourceLinkLayerAddress: true,
    });
    assert.deepEqual(decodeNeighbourMessage(octets('8500000000000000')), {
      type: 'solicitation',
      hasSourceLinkLayerAddress: false,
    });
    assert.deepEqual(decodeNeighbourMessage(octets('8100abcd00c100020102')), {
      type: 'echo-reply',
      identifier: 0xc1,
    });
    const offering = octets(`86000000400007080000000000000000${'0501000000000578'}`);
    assert.deepEqual(decodeNeighbourMessage(offering), { type: 'advertisement', routerLifetimeSec: 1800 });
  });

  it('drops what RFC 4861 6.1.1 and 6.1.2 drop', () => {
    const good = hex(encodeAdvertisement(MAC));
    const bad = [
      '',
      '86',
      good.slice(0, 30),
      `8601${good.slice(4)}`,
      `${good}0100000000000000`,
      `${good}0102000000000000`,
      `${good}01`,
      '850000000000',
      '81000000',
      '8800000000000000',
      hex(encodeEchoRequest(1, 1)),
    ];
    for (const each of bad) assert.equal(decodeNeighbourMessage(octets(each)), undefined, each);
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (input) => void decodeNeighbourMessage(input)));
  });
});

describe('fib/discovery/schedule', () => {
  it('advertises soon at first and every 10 s later; solicits less and less', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 100].map((count) => nextAdvertisementMs(count, 0)),
      [1000, 2000, 4000, 8000, 10_000, 10_000],
    );
    assert.deepEqual(
      [1, 2, 6, 7, 100].map((count) => nextSolicitationMs(count, 0)),
      [1000, 2000, 32_000, 60_000, 60_000],
    );
    assert.equal(nextAdvertisementMs(9, 0.999_999), 7500);
  });
});

describe('fib/discovery/neighbour-choice', () => {
  const [a, b, c] = [linkLocal(0xa), linkLocal(0xb), linkLocal(0xc)];
  const chosen = (choice: NeighbourChoice): string | undefined =>
    choice.address && formatAddress(choice.address);

  it('takes the only neighbour; of several, a router; nobody, while it cannot tell', () => {
    const choice = new NeighbourChoice();
    assert.equal(chosen(choice), undefined);
    assert.equal(choice.heardNeighbour(a), true);
    assert.equal(chosen(choice), 'fe80::a');
    choice.heardNeighbour(b);
    assert.equal(chosen(choice), 'fe80::a', 'the first holds');
    assert.deepEqual(choice.rivals.map(formatAddress), ['fe80::b']);
    choice.heardRouter(c);
    assert.equal(chosen(choice), 'fe80::c', 'a router is what is looked for');
    choice.heardRouter(b);
    assert.equal(chosen(choice), 'fe80::c', 'no second router takes over from the first');
    assert.deepEqual(choice.rivals.map(formatAddress), ['fe80::b']);
  });

  it('keeps a neighbour that is gone until another is heard', () => {
    const choice = new NeighbourChoice();
    choice.heardRouter(a);
    choice.failed(a);
    assert.deepEqual([chosen(choice), choice.isAlive], ['fe80::a', false]);
    assert.equal(choice.heardRouter(a), true);
    assert.deepEqual([chosen(choice), choice.isAlive], ['fe80::a', true]);
    choice.heardRouter(b);
    choice.failed(a);
    assert.deepEqual([chosen(choice), choice.isAlive], ['fe80::b', true], 'the successor');
    assert.deepEqual(choice.rivals, []);
  });

  it('after the link was down whoever is heard first counts', () => {
    const choice = new NeighbourChoice();
    choice.heardRouter(a);
    choice.heardNeighbour(c);
    choice.linkLost();
    assert.deepEqual([chosen(choice), choice.isAlive, choice.rivals.length], ['fe80::a', false, 0]);
    choice.heardNeighbour(b);
    assert.deepEqual([chosen(choice), choice.isAlive], ['fe80::b', true]);
    choice.clear();
    assert.equal(chosen(choice), undefined);
  });

  it('bounds what it remembers, with room for a router', () => {
    const choice = new NeighbourChoice();
    for (let each = 1; each <= 1000; each++) choice.heardNeighbour(linkLocal(each));
    assert.ok(choice.rivals.length < 32);
    choice.heardRouter(linkLocal(2000));
    assert.equal(chosen(choice), 'fe80::7d0');
  });

  it('in any order of events the peer is one that was heard, and lives if any router does', () => {
    const event = fc.record({
      kind: fc.constantFrom('router', 'neighbour', 'failed', 'lost'),
      who: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const choice = new NeighbourChoice();
        const heard = new Set<string>();
        const routers = new Set<number>();
        for (const { kind, who } of events) {
          const address = linkLocal(who);
          if (kind === 'router') {
            choice.heardRouter(address);
            routers.add(who);
          } else if (kind === 'neighbour') choice.heardNeighbour(address);
          else if (kind === 'failed') {
            choice.failed(address);
            routers.delete(who);
          } else {
            choice.linkLost();
            routers.clear();
          }
          if (kind === 'router' || kind === 'neighbour') heard.add(formatAddress(address));
          const now = chosen(choice);
          assert.ok(now === undefined || heard.has(now));
          if (routers.size > 0) {
            assert.ok(choice.isAlive);
            assert.ok([...routers].some((router) => formatAddress(linkLocal(router)) === now));
          }
        }
      }),
    );
  });
});
