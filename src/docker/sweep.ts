/**
 * Takes away what Docker does not have any more: it may have deleted endpoints and released addresses while nobody listened, or have lost its
 * state. Nothing is concluded but from an answer of its engine, and nothing that may live is touched: what shows no sign of life, though
 * something of it is left, goes after the grace time that addresses have.
 */

import { addressesOf, NETNS_ANNOTATION } from '../agent/endpoints/resource.ts';
import type { Log } from '../agent/log.ts';
import type { WorkloadEndpoint } from '../model/workload-endpoint.ts';
import { addressesEqual, formatAddress, parseAddress } from '../net/address.ts';
import type { EngineNetwork } from './engine-api.ts';
import type { DockerIpam } from './ipam-driver.ts';
import type { DockerNetworks } from './network-driver.ts';
import type { SandboxState, SandboxStates } from './sandbox.ts';

/** What Docker made so recently may be missing from its own answers. */
export const GRACE_MS = 30_000;

export interface DockerSweepOptions {
  readonly networks: Pick<DockerNetworks, 'resources' | 'joinedAt' | 'forget' | 'isWaiting'>;
  readonly addresses: Pick<DockerIpam, 'held' | 'release'>;
  /** why the store must not be changed now */
  readonly lockReason: () => string | undefined;
  /** whether an interface of this host has carrier; undefined: there is none of that name */
  readonly hasCarrier: (link: string) => boolean | undefined;
  readonly lookAtProcesses: () => Promise<SandboxStates>;
  /** how long an endpoint of which something is left must show no sign of life */
  readonly leakGraceMs: number;
  /** monotonic, milliseconds; default: the process's clock */
  readonly clock?: () => number;
  readonly log: Log;
}

/** An endpoint that Docker does not know. */
export interface LostEndpoint {
  readonly id: string;
  /** its container, as people know it */
  readonly workload: string;
  readonly link: string;
  /** why it must stay; undefined: nothing speaks for it */
  readonly sign: string | undefined;
  /** since when nothing does, on the clock */
  readonly sinceMs: number;
}

/** One for a plugin. */
export class DockerSweep {
  readonly #options: DockerSweepOptions;
  readonly #clock: () => number;
  /** by endpoint id, as of the last look */
  #lost = new Map<string, LostEndpoint>();

  constructor(options: DockerSweepOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** Endpoints that Docker does not know, and of which something is left. */
  get lost(): readonly LostEndpoint[] {
    return [...this.#lost.values()];
  }

  /** Whether a look is due when something happens to a link. */
  concerns(link: string): boolean {
    return this.lost.some((each) => each.link === link);
  }

  /**
   * Compares with what the engine has of ours, by its answer to a question that was put at `askedAt`, milliseconds since 1970. Resolves to the
   * time after which what cannot be judged yet can be, if there is any.
   */
  async look(found: readonly EngineNetwork[], askedAt: number): Promise<number | undefined> {
    if (this.#options.lockReason() !== undefined) return GRACE_MS;
    const known = new Set(
      found.flatMap(({ Containers }) => Object.values(Containers).map(({ EndpointID }) => EndpointID)),
    );
    const times = [await this.#endpoints(known, askedAt), await this.#addresses(found, askedAt)];
    const due = times.filter((time) => time !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  async #endpoints(known: ReadonlySet<string>, askedAt: number): Promise<number | undefined> {
    const { networks, leakGraceMs } = this.#options;
    const lost = new Map<string, LostEndpoint>();
    let states: SandboxStates | undefined;
    let isTooYoung = false;
    for (const resource of networks.resources()) {
      const id = resource.spec.endpoint ?? '';
      if (known.has(id)) continue;
      if (this.#isYoung(id, askedAt)) {
        isTooYoung = true;
        continue;
      }
      states ??= await this.#options.lookAtProcesses();
      const seen = await this.#judge(resource, await states(sandboxOf(resource)), askedAt);
      if (seen !== undefined) lost.set(id, seen);
    }
    this.#lost = lost;
    if (isTooYoung) return GRACE_MS;
    return lost.size === 0 ? undefined : leakGraceMs / 2;
  }

  /** Removes an endpoint that is dead beyond doubt; of any other it tells what speaks for it. */
  async #judge(
    resource: WorkloadEndpoint,
    sandbox: SandboxState,
    askedAt: number,
  ): Promise<LostEndpoint | undefined> {
    const { networks, hasCarrier, leakGraceMs, log } = this.#options;
    const { endpoint: id = '', workload = '', interfaceName: link } = resource.spec;
    const carrier = hasCarrier(link);
    const sign = signOfLife(carrier, sandbox);
    const nowMs = this.#clock();
    const before = this.#lost.get(id);
    const sinceMs = before !== undefined && before.sign === undefined ? before.sinceMs : nowMs;
    const isGone = sandbox === 'gone' && carrier === undefined;
    const isDue = sign === undefined && (isGone || nowMs - sinceMs >= leakGraceMs);
    // Its container may have been started again while the processes were looked at.
    if (isDue && !this.#isYoung(id, askedAt)) {
      await networks.forget(id);
      log.info({ endpoint: id, workload }, 'removed an endpoint that Docker does not have any more');
      return undefined;
    }
    if (before?.sign !== sign || before === undefined) {
      if (sign === undefined)
        log.info(
          { endpoint: id, workload, link },
          'nothing speaks for an endpoint that Docker does not know; it is removed if that stays so',
        );
      else
        log.warn(
          { endpoint: id, workload, link, sign },
          'Docker does not know an endpoint that seems to live; it stays',
        );
    }
    return { id, workload, link, sign, sinceMs };
  }

  #isYoung(id: string, askedAt: number): boolean {
    return this.#options.networks.joinedAt(id) > askedAt - GRACE_MS;
  }

  async #addresses(found: readonly EngineNetwork[], askedAt: number): Promise<number | undefined> {
    const { networks, addresses, log } = this.#options;
    const reserved = found
      .flatMap(({ IPAM }) => (IPAM?.Config ?? []).flatMap((each) => Object.values(each.AuxiliaryAddresses)))
      .flatMap((text) => parseAddress(text) ?? []);
    const used = (): Set<string> =>
      new Set(networks.resources().flatMap((each) => addressesOf(each).map(formatAddress)));
    let isTooYoung = false;
    const seen = used();
    for (const held of await addresses.held()) {
      const text = formatAddress(held.address);
      const isUsed =
        seen.has(text) ||
        networks.isWaiting(held.address) ||
        reserved.some((each) => addressesEqual(each, held.address));
      if (isUsed) continue;
      if (held.since > askedAt - GRACE_MS) {
        isTooYoung = true;
        continue;
      }
      // An endpoint may have got it since.
      if (used().has(text)) continue;
      await addresses.release(held);
      log.info({ address: text }, 'released an address that Docker does not have any more');
    }
    return isTooYoung ? GRACE_MS : undefined;
  }
}

function sandboxOf({ metadata }: WorkloadEndpoint): string {
  return metadata.annotations?.[NETNS_ANNOTATION] ?? '';
}

/** Why an endpoint that Docker does not know must stay: what cannot be told speaks for it. `carrier`: undefined without an interface. */
export function signOfLife(carrier: boolean | undefined, sandbox: SandboxState): string | undefined {
  if (sandbox === 'used') return 'processes run in its network namespace';
  if (sandbox === 'empty' || carrier === undefined) return undefined;
  if (carrier) return 'its interface is up in some network namespace';
  return sandbox === 'gone' ? undefined : 'it cannot be told whether a process is in its network namespace';
}
