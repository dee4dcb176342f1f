/**
 * The IpamDriver half of the plugin: Docker's pools are our IPPools, its addresses are held in our IPAM. Docker asks for an address before
 * it names the endpoint, so each address has a handle of its own, and goes back when Docker releases it.
 */
import { randomUUID } from 'node:crypto';
import { GATEWAYS } from '../../fib/endpoints/plan.ts';
import { problem } from '../api/problem.ts';
import { IpamError } from '../ipam/errors.ts';
import type { Ipam } from '../ipam/ipam.ts';
import type { Pool } from '../ipam/pools.ts';
import { type Address, addressesEqual, formatAddress, parseAddress } from '../net/address.ts';
import { formatPrefix, hostPrefix } from '../net/prefix.ts';
import { ORCHESTRATOR } from './endpoint-resource.ts';
import {
  ADDRESS_TYPE_OPTION,
  GATEWAY_ADDRESS_TYPE,
  GATEWAY_DATA,
  read,
  releaseAddress,
  requestAddress,
  requestPool,
} from './messages.ts';
import { choosePool, poolId, readPoolId } from './pools.ts';

/** By these Docker tells our networks' address spaces from those of its own IPAM. */
export const ADDRESS_SPACES: readonly string[] = ['ocicat-local', 'ocicat-global'];
const HANDLE_PREFIX = `${ORCHESTRATOR}.address.`;
/** The attribute by which our addresses are told from those of attachments. */
const OWNER = { ocicat: 'docker' } as const;

export interface IpamDriverOptions {
  readonly node: string;
  readonly ipam: Ipam;
  readonly pools: () => readonly Pool[];
  /** an endpoint that still has the address is detached before the address goes back */
  readonly letGoOf: (address: Address) => Promise<void>;
  /** Docker has an address now */
  readonly onGiven: (address: Address) => void;
  /** it has released one */
  readonly onReleased: (address: Address) => void;
}

/** An address that Docker holds. */
export interface HeldAddress {
  readonly address: Address;
  readonly handle: string;
  readonly sequenceNumber: bigint;
  /** milliseconds since 1970; 0 when it is not told */
  readonly since: number;
}

/** Answers for IPAM. Every method takes a request's body and resolves with the answer's, or rejects. */
export class DockerIpam {
  readonly #options: IpamDriverOptions;

  constructor(options: IpamDriverOptions) {
    this.#options = options;
  }

  requestPool(body: unknown): object {
    const request = read(requestPool, body);
    const { cidr, ...reference } = choosePool(request, this.#options.pools());
    return {
      PoolID: poolId(reference),
      Pool: cidr,
      Data: { [GATEWAY_DATA]: formatPrefix(hostPrefix(GATEWAYS[reference.family])) },
    };
  }

  async requestAddress(body: unknown): Promise<object> {
    const request = read(requestAddress, body);
    const { family, pool } = readPoolId(request.PoolID);
    const wanted = request.Address === '' ? undefined : parseAddress(request.Address);
    if (request.Address !== '' && wanted === undefined)
      throw problem('invalid', `${request.Address} is no address`);
    const gateway = GATEWAYS[family];
    if (request.Options[ADDRESS_TYPE_OPTION] === GATEWAY_ADDRESS_TYPE) {
      if (wanted === undefined || addressesEqual(wanted, gateway))
        return { Address: formatPrefix(hostPrefix(gateway)), Data: {} };
      const text = formatAddress(gateway);
      throw problem('invalid', `--gateway ${request.Address}: the gateway is always ${text}; leave it out`);
    }
    const { ipam, node } = this.#options;
    try {
      const [given] = await ipam.assign({
        handle: `${HANDLE_PREFIX}${randomUUID()}`,
        families: [family],
        attributes: { node, namespace: ORCHESTRATOR, ...OWNER, timestamp: new Date().toISOString() },
        ...(wanted === undefined ? {} : { addresses: [wanted] }),
        ...(pool === undefined ? {} : { pools: { [family]: [pool] } }),
      });
      if (given === undefined) throw problem('internal', 'no address was given');
      this.#options.onGiven(given.address);
      return { Address: formatPrefix(hostPrefix(given.address)), Data: {} };
    } catch (error) {
      throw error instanceof IpamError ? problem('unavailable', error.message) : error;
    }
  }

  async releaseAddress(body: unknown): Promise<object> {
    const address = parseAddress(read(releaseAddress, body).Address);
    const held = address && (await this.held()).find((each) => addressesEqual(each.address, address));
    if (held !== undefined) {
      await this.release(held);
      this.#options.onReleased(held.address);
    }
    return {};
  }

  /** The addresses that Docker holds on this host. */
  async held(): Promise<HeldAddress[]> {
    const all = await this.#options.ipam.assignments();
    return all.flatMap(({ address, handle, sequenceNumber, attributes }) =>
      handle.startsWith(HANDLE_PREFIX)
        ? [{ address, handle, sequenceNumber, since: Date.parse(attributes['timestamp'] ?? '') || 0 }]
        : [],
    );
  }

  /** Gives an address back, unless it is another's meanwhile. */
  async release({ address, handle, sequenceNumber }: HeldAddress): Promise<void> {
    await this.#options.letGoOf(address);
    await this.#options.ipam.releaseAddresses([{ address, handle, sequenceNumber }]);
  }
}
