/** Writes again, with our codec, what a router sent, and compares the octets. */
import assert from 'node:assert/strict';
import { hexOf } from '../../bgp/wire/bytes.ts';
import { decodeCapability, encodeCapability } from '../../bgp/wire/capabilities.ts';
import { nextFrame } from '../../bgp/wire/frame.ts';
import { decodeMessage, encodeKeepalive, encodeRouteRefresh } from '../../bgp/wire/messages.ts';
import { NlriWalker } from '../../bgp/wire/nlri.ts';
import { encodeNotification } from '../../bgp/wire/notification.ts';
import { encodeOpen, openAs } from '../../bgp/wire/open.ts';
import { encodeEndOfRib, UpdatePacker } from '../../bgp/wire/packer.ts';
import { MESSAGE_TYPE } from '../../bgp/wire/registry.ts';
import type { DecodeContext, DecodedUpdate } from '../../bgp/wire/types.ts';

export interface RoundTripContext {
  readonly peerAs: number;
  readonly addPath: boolean;
  readonly extendedMessage: boolean;
}

/**
 * Of messages in hexadecimal: how many there are, how many come out of our codec exactly as they went in, and how many come out in our
 * canonical form instead (another order of attributes or parameters, a longer length field), which reads the same. Anything else fails.
 */
export function roundTrip(
  messages: readonly string[],
  { peerAs, addPath, extendedMessage }: RoundTripContext,
): { messages: number; exact: number; canonical: number } {
  const context: DecodeContext = {
    peerKind: 'ebgp',
    localAs: 65001,
    peerAs,
    as4: true,
    extendedMessage,
    addPathReceive: { ipv4: addPath, ipv6: addPath },
    families: { ipv4: true, ipv6: true },
    extendedNextHop: false,
  };
  let exact = 0;
  let canonical = 0;
  for (const hex of messages) {
    const octets = Uint8Array.from(Buffer.from(hex, 'hex'));
    const again = reencode(octets, context);
    if (hexOf(again) === hex) {
      exact++;
      continue;
    }
    // In our form it must read the same, and be stable.
    assert.deepEqual(essence(again, context), essence(octets, context), hex);
    assert.equal(hexOf(reencode(again, context)), hexOf(again));
    canonical++;
  }
  return { messages: messages.length, exact, canonical };
}

function read(octets: Uint8Array, context: DecodeContext) {
  const frame = nextFrame(octets, 0, octets.length, true);
  assert.equal(frame.kind, 'message');
  if (frame.kind !== 'message') throw new Error('no message');
  return decodeMessage(frame.type, octets.slice(frame.bodyStart, frame.end), context);
}

function reencode(octets: Uint8Array, context: DecodeContext): Uint8Array {
  const message = read(octets, context);
  switch (message.type) {
    case 'keepalive':
      return encodeKeepalive();
    case 'notification':
      return encodeNotification(message.error);
    case 'route-refresh':
      return encodeRouteRefresh(message.afi, message.safi, message.subtype);
    case 'open':
      for (const capability of message.open.capabilities) {
        const again = encodeCapability(capability);
        assert.deepEqual(decodeCapability(again[0] ?? 0, again.subarray(2)), capability);
      }
      return encodeOpen({ ...message.open, as: openAs(message.open) });
    case 'update':
      return reencodeUpdate(message.update, context, octets);
    case 'error':
      throw new Error(`a router sent a bad message of type ${octets[18]}: ${message.reason}`);
  }
}

function reencodeUpdate(update: DecodedUpdate, context: DecodeContext, octets: Uint8Array): Uint8Array {
  assert.equal(octets[18], MESSAGE_TYPE.update);
  assert.equal(update.verdict.kind, 'ok', JSON.stringify(update.verdict));
  if (update.endOfRib !== undefined) return encodeEndOfRib(update.endOfRib);
  const packer = new UpdatePacker();
  const walker = new NlriWalker();
  const parts: Uint8Array[] = [];
  const target = new Uint8Array(65535);
  const finish = (): void => {
    const length = packer.finish();
    if (length > 0) parts.push(target.slice(0, length));
  };
  const add = (range: DecodedUpdate['withdrawn'][number]): void => {
    walker.reset(update.body, range);
    while (walker.next()) {
      const { length, w0, w1, w2, w3, pathId } = walker;
      assert.ok(packer.add(length, w0, w1, w2, w3, pathId));
    }
    finish();
  };
  const options = (addPath: boolean) => ({
    as4: context.as4,
    extendedNextHop: context.extendedNextHop,
    addPath,
    maxLength: 65535,
  });
  for (const range of update.withdrawn) {
    assert.equal(packer.beginWithdraw(target, 0, range.family, options(range.addPath)), 'begun');
    add(range);
  }
  for (const { nlri, attributes } of update.reach) {
    assert.equal(packer.beginReach(target, 0, nlri.family, attributes, options(nlri.addPath)), 'begun');
    add(nlri);
  }
  assert.ok(parts.length <= 1, 'one kind of routes in a message (RFC 7606 5.1)');
  return parts[0] ?? octets;
}

/** What a message says, whatever its form. */
function essence(octets: Uint8Array, context: DecodeContext): unknown {
  const message = read(octets, context);
  if (message.type === 'open') return message.open;
  if (message.type !== 'update') return message;
  const { body, withdrawn, reach, endOfRib } = message.update;
  const text = (range: DecodedUpdate['withdrawn'][number]): string =>
    `${range.family} ${range.addPath} ${hexOf(body.subarray(range.start, range.end))}`;
  return {
    withdrawn: withdrawn.map(text),
    reach: reach.map(({ nlri, attributes }) => [text(nlri), hexOf(attributes)]),
    endOfRib,
  };
}
