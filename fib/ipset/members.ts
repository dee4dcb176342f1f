/** Set members in the kernel's own text, so that what is read back compares equal. */
import { addressBits, type Family } from '../../src/net/address.ts';
import { formatPrefix, parsePrefix } from '../../src/net/prefix.ts';
import type { KernelSetType } from '../rules/names.ts';
import type { SetMember } from '../rules/types.ts';

/** The family of a member: told by its address. */
export function memberFamily(member: SetMember): Family {
  const comma = member.indexOf(',');
  const address = comma === -1 ? member : member.slice(0, comma);
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** Everything of a family as one member. The kernel's hash:net cannot hold it. */
const ALL: Readonly<Record<Family, string>> = { ipv4: '0.0.0.0/0', ipv6: '::/0' };

/** Two members that together are everything. */
const HALVES: Readonly<Record<Family, readonly [string, string]>> = {
  ipv4: ['0.0.0.0/1', '128.0.0.0/1'],
  ipv6: ['::/1', '8000::/1'],
};

/** Members of one kernel set as desired. */
export class MemberSet {
  readonly #family: Family;
  readonly #members = new Set<string>();
  #hasAll = false;

  constructor(family: Family, type: KernelSetType, members: Iterable<SetMember>) {
    this.#family = family;
    for (const member of members) {
      if (type !== 'net' || member !== ALL[family]) this.#members.add(kernelMember(family, type, member));
      else this.#hasAll = true;
    }
  }

  /** Entries of the kernel set, at most one more or two than members. */
  get size(): number {
    return this.#members.size + (this.#hasAll ? this.#missingHalves().length : 0);
  }

  has(entry: string): boolean {
    return this.#members.has(entry) || (this.#hasAll && HALVES[this.#family].includes(entry));
  }

  /** Adds or removes a member and returns the kernel entries that come or go by that. */
  change(step: 'add' | 'remove', type: KernelSetType, member: SetMember): string[] {
    if (type === 'net' && member === ALL[this.#family]) {
      if (this.#hasAll === (step === 'add')) return [];
      this.#hasAll = step === 'add';
      return this.#missingHalves();
    }
    const entry = kernelMember(this.#family, type, member);
    if (step === 'add') {
      if (this.#members.has(entry)) return [];
      const known = this.has(entry);
      this.#members.add(entry);
      return known ? [] : [entry];
    }
    return this.#members.delete(entry) && !this.has(entry) ? [entry] : [];
  }

  *[Symbol.iterator](): Generator<string> {
    yield* this.#members;
    if (this.#hasAll) yield* this.#missingHalves();
  }

  #missingHalves(): string[] {
    return HALVES[this.#family].filter((half) => !this.#members.has(half));
  }
}

/** `10.0.0.1/32` and `fd00::1/128` are printed without their length. */
function kernelMember(family: Family, type: KernelSetType, member: string): string {
  if (type === 'ip-port') return member;
  const comma = member.indexOf(',');
  const net = comma === -1 ? member : member.slice(0, comma);
  const suffix = `/${addressBits(family)}`;
  const bare = net.endsWith(suffix) ? net.slice(0, -suffix.length) : net;
  return comma === -1 ? bare : bare + member.slice(comma);
}

/**
 * A printed entry in the form that `MemberSet` uses. The C library prints some IPv6 addresses (mapped ones) otherwise than
 * RFC 5952; such an entry is recognised by reading it.
 */
export function canonicalEntry(family: Family, printed: string): string {
  const comma = printed.indexOf(',');
  const net = comma === -1 ? printed : printed.slice(0, comma);
  const bits = addressBits(family);
  const prefix = parsePrefix(net.includes('/') ? net : `${net}/${bits}`);
  if (prefix === undefined) return printed;
  const text = formatPrefix(prefix);
  const bare = prefix.length === bits ? text.slice(0, text.lastIndexOf('/')) : text;
  return comma === -1 ? bare : bare + printed.slice(comma);
}
