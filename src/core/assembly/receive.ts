/** Messages of a peer on their way into the RIB, as they came (bgp/rib/plain-input.ts). */
import { attributeIntern, attributeRelease } from './attributes';
import { get, pointer, set } from './fields';
import { scopeKey } from './host';
import { importAnswer } from './import';
import {
  READ_ATTRIBUTES,
  READ_FAMILIES,
  READ_IMPORT,
  READ_INPUTS,
  READ_KEY_OCTETS,
  READ_KEY_ROOM,
  READ_MESSAGES,
  READ_REACH_ADD_PATH,
  READ_REACH_END,
  READ_REACH_IPV6,
  READ_REACH_START,
  READ_TICK,
  READ_WITHDRAWN_ADD_PATH,
  READ_WITHDRAWN_END,
  READ_WITHDRAWN_IPV6,
  READ_WITHDRAWN_START,
} from './layout';
import { readPlainMessage } from './read-update';
import { takeReach, takeWithdrawn } from './take';

/**
 * Takes in the plain UPDATEs that `[start, end)` begins with: those that begin before `start + most`. Returns how many octets they are;
 * READ_MESSAGES says how many messages.
 */
export function receivePlain(reader: usize, start: usize, end: usize, most: usize): usize {
  const until = start + most;
  let at = start;
  let messages = 0;
  while (at < until) {
    const octets = readPlainMessage(reader, at, end);
    if (octets === 0) break;
    takeUpdate(reader);
    at += octets;
    messages++;
  }
  set(reader, READ_MESSAGES, messages);
  return at - start;
}

/** Takes in the routes of the message that was read last: withdrawn ones first. */
function takeUpdate(reader: usize): void {
  const withdrawn = pointer(reader, READ_WITHDRAWN_START);
  if (withdrawn !== 0) {
    const ipv6 = <usize>get(reader, READ_WITHDRAWN_IPV6);
    takeWithdrawn(
      pointer(reader, <usize>READ_FAMILIES + ipv6),
      pointer(reader, <usize>READ_INPUTS + ipv6),
      withdrawn,
      pointer(reader, READ_WITHDRAWN_END),
      get(reader, READ_WITHDRAWN_ADD_PATH) !== 0,
    );
  }
  const reach = pointer(reader, READ_REACH_START);
  if (reach === 0) return;
  const ipv6 = <usize>get(reader, READ_REACH_IPV6);
  const input = pointer(reader, <usize>READ_INPUTS + ipv6);
  const attributes = pointer(reader, READ_ATTRIBUTES);
  const key = pointer(reader, READ_KEY_ROOM);
  const octets = hasLinkLocalNextHop(key) ? scopeKey(reader) : get(reader, READ_KEY_OCTETS);
  const attribute = attributeIntern(attributes, key, octets);
  takeReach(
    pointer(reader, <usize>READ_FAMILIES + ipv6),
    input,
    reach,
    pointer(reader, READ_REACH_END),
    get(reader, READ_REACH_ADD_PATH) !== 0,
    attribute,
    importAnswer(pointer(reader, READ_IMPORT), input, attributes, attribute),
    get(reader, READ_TICK),
  );
  attributeRelease(attributes, attribute);
}

/** Whether a key has a next hop that belongs to an interface, alone or beside a global one. */
function hasLinkLocalNextHop(key: usize): bool {
  const octets: usize = load<u8>(key);
  if (octets !== 16 && octets !== 32) return false;
  const at = key + octets - 15;
  return load<u8>(at) === 0xfe && (load<u8>(at, 1) & 0xc0) === 0x80;
}
