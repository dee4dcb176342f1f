/** Octets as ipset 7.17 sends them (protocol 7), sequence numbers and the request's flags left out. */
import assert from 'node:assert/strict';
import {
  decodeProtocol,
  decodeTypeRevision,
  refusalText,
  type SmallSetCommand,
  writeProtocolQuery,
  writeSetCommand,
  writeTypeQuery,
} from '../../../../fib/ipset/message.ts';
import { MessageCursor } from '../../../../fib/netlink/reader.ts';
import { MessageWriter } from '../../../../fib/netlink/writer.ts';

const dialect = {
  protocol: 7,
  revisionOf: (type: string) => (type === 'hash:net,iface' ? 8 : 7),
};

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The message after its 16 octets of header, and its type and flags before. */
function written(command: SmallSetCommand, isLenient: boolean): string {
  const writer = new MessageWriter();
  assert.ok(writeSetCommand(writer, command, isLenient, dialect));
  const bytes = writer.bytes();
  assert.equal(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true), bytes.length);
  return `${hex(bytes.subarray(4, 8))} ${hex(bytes.subarray(16))}`;
}

const HEAD = '02000000 05000100 07000000'.replaceAll(' ', '');
const NAME_4A = '0b0002006f6369342d610000';
const NAME_6A = '0b0002006f6369362d610000';
const LINENO = '0800094000000000';

describe('ipset messages', () => {
  const create = (set: string, type: 'hash:net' | 'hash:ip,port', family: 'ipv4' | 'ipv6', maxElem: number) =>
    ({ verb: 'create', set, type, family, maxElem }) as const;
  const add = (set: string, entry: string) => ({ verb: 'add', set, entry }) as const;
  const cases: readonly [string, SmallSetCommand, boolean, string][] = [
    [
      'create',
      create('oci4-a', 'hash:net', 'ipv4', 1_048_576),
      false,
      `02060006 ${HEAD}${NAME_4A}0d000300686173683a6e65740000000005000400070000000500050002000000` +
        '0c0007800800134000100000',
    ],
    [
      'create -exist, IPv6',
      create('oci6-a', 'hash:net', 'ipv6', 1000),
      true,
      `02060004 ${HEAD}${NAME_6A}0d000300686173683a6e6574000000000500040007000000050005000a000000` +
        '0c00078008001340000003e8',
    ],
    [
      'create hash:ip,port',
      create('oci4-p', 'hash:ip,port', 'ipv4', 1000),
      false,
      `02060006 ${HEAD}0b0002006f6369342d70000011000300686173683a69702c706f727400000000` +
        '050004000700000005000500020000000c00078008001340000003e8',
    ],
    [
      'add a network',
      add('oci4-a', '10.0.0.0/8'),
      true,
      `09060000 ${HEAD}${NAME_4A}200007800c000180080001400a0000000500030008000000${LINENO}`,
    ],
    [
      'add an address, new',
      add('oci4-a', '10.0.0.1'),
      false,
      `09060002 ${HEAD}${NAME_4A}180007800c000180080001400a000001${LINENO}`,
    ],
    [
      'add an IPv6 network',
      add('oci6-a', 'fd00::/64'),
      true,
      `09060000 ${HEAD}${NAME_6A}2c0007801800018014000240fd0000000000000000000000000000000500030040000000${LINENO}`,
    ],
    [
      'add an address with a port',
      add('oci4-p', '10.0.0.1,tcp:80'),
      true,
      `09060000 ${HEAD}0b0002006f6369342d700000280007800c000180080001400a00000106000440005000000500070006000000${LINENO}`,
    ],
    [
      'add an address with a link',
      add('oci6-i', 'fd00::1,ocix'),
      true,
      `09060000 ${HEAD}0b0002006f6369362d690000300007801800018014000240fd00000000000000000000000000000109001700` +
        `6f63697800000000${LINENO}`,
    ],
    [
      'del',
      { verb: 'del', set: 'oci4-a', entry: '10.0.0.1' },
      true,
      `0a060000 ${HEAD}${NAME_4A}180007800c000180080001400a000001${LINENO}`,
    ],
    ['destroy', { verb: 'destroy', set: 'nothere' }, false, `03060002 ${HEAD}0c0002006e6f746865726500`],
  ];
  for (const [name, command, isLenient, expected] of cases) {
    it(name, () => assert.equal(written(command, isLenient), expected));
  }

  it('what cannot be understood is not written', () => {
    for (const entry of [
      '',
      'x',
      '10.0.0.0/33',
      'fd00::/129',
      '10.0.0.1,tcp:65536',
      '10.0.0.1,what:1',
      '10.0.0.1,256:1',
    ]) {
      const writer = new MessageWriter();
      assert.equal(writeSetCommand(writer, add('oci4-a', entry), true, dialect), false, entry);
      assert.equal(writer.length, 0);
    }
    const writer = new MessageWriter();
    assert.ok(
      writeSetCommand(writer, add('oci4-p', '10.0.0.1,47:0'), true, dialect),
      'a number of a protocol',
    );
  });

  it('asks for the protocol and the revisions of a type', () => {
    const writer = new MessageWriter();
    writeProtocolQuery(writer);
    assert.equal(hex(writer.bytes().subarray(16)), HEAD);
    writer.reset();
    writeTypeQuery(writer, 7, 'hash:net', 'ipv4');
    assert.equal(hex(writer.bytes().subarray(16)), `${HEAD}0d000300686173683a6e6574000000000500050002000000`);

    const answer = (attributes: string) => {
      const body = Buffer.from(`02000000${attributes}`, 'hex');
      const header = Buffer.alloc(16);
      header.writeUInt32LE(16 + body.length, 0);
      const cursor = new MessageCursor(Buffer.concat([header, body]));
      assert.ok(cursor.next());
      return cursor;
    };
    assert.equal(decodeProtocol(answer('050001000700000005000a0006000000')), 7);
    assert.equal(decodeProtocol(answer('0500010006000000')), 6);
    assert.equal(decodeProtocol(answer('050001000900000005000a0006000000')), 7);
    assert.equal(decodeProtocol(answer('050001000900000005000a0008000000')), undefined);
    assert.equal(decodeProtocol(answer('')), undefined);
    assert.equal(
      decodeTypeRevision(
        answer(
          '05000100070000000d000300686173683a6e6574000000000500050002000000050004000700000005000a0000000000',
        ),
      ),
      7,
    );
  });

  it('says what the kernel refused', () => {
    assert.equal(refusalText({ errno: 4352, text: '' }), 'the set is full');
    assert.equal(refusalText({ errno: 2, text: 'why' }), 'the set does not exist (why)');
    assert.equal(refusalText({ errno: 12, text: '' }), 'ENOMEM');
  });
});
