import assert from 'node:assert/strict';
import { decodeIpipLink, writeIpipCreation } from '../../../../fib/ipip/link-message.ts';
import { MessageCursor } from '../../../../fib/netlink/reader.ts';
import { MessageWriter } from '../../../../fib/netlink/writer.ts';
import { type Address, parseAddress } from '../../../../src/net/address.ts';

// strace -xx of: ip link add ipip.ocicat mtu 1480 type ipip local 192.0.2.2 ttl 64   (iproute2 6.1)
const IPROUTE2_DATA =
  '0500090000000000' +
  '08000200c0000202' +
  '05000a0001000000' +
  '0500050000000000' +
  '0500040040000000' +
  '0800010000000000' +
  '0800140000000000' +
  '06000f0000000000' +
  '0600100000000000' +
  '0600110000000000' +
  '0600120000000000';

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

function message(write: (writer: MessageWriter) => void): MessageCursor {
  const writer = new MessageWriter();
  write(writer);
  const bytes = new Uint8Array(writer.bytes());
  const cursor = new MessageCursor(bytes, 0, bytes.length);
  assert.ok(cursor.next());
  return cursor;
}

/** The attributes of an IFLA_INFO_DATA in hex, each padded to 4 octets. */
function attributesOf(hex: string): string[] {
  const octets = Buffer.from(hex, 'hex');
  const found: string[] = [];
  for (let at = 0; at < octets.length; ) {
    const length = (octets.readUInt16LE(at) + 3) & ~3;
    found.push(octets.subarray(at, at + length).toString('hex'));
    at += length;
  }
  return found;
}

describe('IPIP messages', () => {
  const local = address('192.0.2.2');

  it('a device reads back as it was asked for', () => {
    const made = message((writer) => writeIpipCreation(writer, 'ipip.ocicat', local, 1480));
    assert.deepEqual(decodeIpipLink(made), { ifindex: 0, kind: 'ipip', local });
  });

  it('makes a device in the same words as iproute2, less what is the default', () => {
    const made = message((writer) => writeIpipCreation(writer, 'ipip.ocicat', local, 1480));
    const hex = Buffer.from(made.bytes).toString('hex');
    // NLM_F_REQUEST | ACK | EXCL | CREATE, as there; ifinfomsg is empty but for the kind of hardware, which is ignored.
    const flags = Buffer.from(made.bytes).readUInt16LE(6);
    assert.equal(flags | 0x5, 0x605);
    assert.ok(hex.includes('08000400c8050000'), 'IFLA_MTU 1480');
    assert.ok(hex.includes('10000300697069702e6f636963617400'), 'IFLA_IFNAME');
    // iproute2 counts no zero at the end of the kind.
    assert.match(hex, /0[89]00010069706970/);
    const data = hex.slice(hex.indexOf('08000200'));
    const theirs = attributesOf(IPROUTE2_DATA);
    const ours = attributesOf(data);
    for (const attribute of ours) assert.ok(theirs.includes(attribute), `${attribute} is none of iproute2's`);
    const left = theirs.filter((attribute) => !ours.includes(attribute));
    assert.ok(
      left.every((attribute) => /^0[568]00..000{8}$/.test(attribute)),
      `only zeros are left out: ${left}`,
    );
  });

  it('reads a device of others: any source, a remote end', () => {
    const theirs = message((writer) => {
      writeIpipCreation(writer, 'ipip.other', address('0.0.0.0'), 1480);
    });
    assert.deepEqual(decodeIpipLink(theirs), { ifindex: 0, kind: 'ipip' });
  });
});
