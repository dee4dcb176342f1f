/** Addresses and prefixes from text, for tests: malformed text fails the test. */
import { type Address, parseAddress } from '../../src/net/address.ts';
import { type Prefix, parsePrefix } from '../../src/net/prefix.ts';

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`'${text}' is no address`);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`'${text}' is no prefix`);
  return parsed;
}
