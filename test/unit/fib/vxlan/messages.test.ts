import assert from 'node:assert/strict';
import { MessageCursor } from '../../../../fib/netlink/reader.ts';
import { MessageWriter } from '../../../../fib/netlink/writer.ts';
import { decodeFdbEntry, writeFdbEntry } from '../../../../fib/vxlan/fdb-message.ts';
import { decodeVxlanLink, writeVxlanCreation } from '../../../../fib/vxlan/link-message.ts';
import { parseAddress } from '../../../../src/net/address.ts';

const MAC = new Uint8Array([0x66, 1, 2, 3, 4, 5]);

function written(write: (writer: MessageWriter) => void): MessageCursor {
  const writer = new MessageWriter();
  write(writer);
  const bytes = new Uint8Array(writer.bytes());
  const cursor = new MessageCursor(bytes, 0, bytes.length);
  assert.ok(cursor.next());
  return cursor;
}

describe('VXLAN messages', () => {
  for (const text of ['192.0.2.1', '2001:db8::1']) {
    const local = parseAddress(text);
    assert.ok(local);

    it(`a device from ${text} reads back as it was asked for`, () => {
      const tunnel = { vni: 4096, port: 4789, local };
      const message = written((writer) => writeVxlanCreation(writer, 'vxlan.ocicat', tunnel, MAC, 1450));
      assert.deepEqual(decodeVxlanLink(message), { ifindex: 0, kind: 'vxlan', isLearning: false, tunnel });
      // IFLA_VXLAN_PORT is big-endian.
      const hex = Buffer.from(message.bytes).toString('hex');
      assert.ok(hex.includes('06000f0012b5'));
    });

    it(`a forwarding entry to ${text} reads back as it was asked for`, () => {
      const message = written((writer) => writeFdbEntry(writer, 7, MAC, local));
      const entry = decodeFdbEntry(message);
      assert.deepEqual(entry, { ifindex: 7, mac: MAC, destination: local, state: 0xc0 });
    });
  }
});
