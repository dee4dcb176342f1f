/** Cutting a pool into equal smaller ones. Pure. */
import type { IpPool } from '../model/ip-pool.ts';
import { BLOCK_SIZES, SPLIT_ANNOTATION } from '../model/ip-pool.ts';
import { addressBits, addToAddress } from '../net/address.ts';
import { formatPrefix, networkAddress, parsePrefix, prefixOf } from '../net/prefix.ts';
import { IpamError } from './errors.ts';

const MAX_PARTS = 1024;
const MAX_NAME = 253;

/**
 * The pools that take the place of one, named `split-NAME-NUMBER` as calicoctl does. They carry an annotation that lets them stand beside
 * the disabled original. Throws an `IpamError` (`bad-request`).
 */
export function splitPool(pool: IpPool, parts: number): readonly IpPool[] {
  const refuse = (reason: string): never => {
    throw new IpamError(
      'bad-request',
      `IPPool ${pool.metadata.name} cannot be split into ${parts}: ${reason}`,
    );
  };
  const power = Math.log2(parts);
  if (!Number.isInteger(parts) || parts < 2 || parts > MAX_PARTS || !Number.isInteger(power))
    return refuse(`the number must be a power of two from 2 to ${MAX_PARTS}`);
  const cidr = parsePrefix(pool.spec.cidr);
  if (cidr === undefined) return refuse(`its CIDR ${pool.spec.cidr} is malformed`);
  const length = cidr.length + power;
  const blockSize = pool.spec.blockSize || BLOCK_SIZES[cidr.family].default;
  if (length > blockSize)
    return refuse(`each part would be a /${length}, smaller than one block of it (/${blockSize})`);
  const size = 1n << BigInt(addressBits(cidr.family) - length);
  const { name } = pool.metadata;
  return Array.from({ length: parts }, (_, index) => {
    const address = addToAddress(networkAddress(cidr), BigInt(index) * size);
    if (address === undefined) return refuse('it reaches beyond the last address');
    const suffix = `-${index}`;
    const { disabled: _disabled, ...spec } = pool.spec;
    return {
      apiVersion: pool.apiVersion,
      kind: pool.kind,
      metadata: {
        name: `split-${name.slice(0, MAX_NAME - 'split-'.length - suffix.length)}${suffix}`,
        ...(pool.metadata.labels && { labels: pool.metadata.labels }),
        annotations: { ...pool.metadata.annotations, [SPLIT_ANNOTATION]: name },
      },
      spec: { ...spec, cidr: formatPrefix(prefixOf(address, length)) },
    };
  });
}
