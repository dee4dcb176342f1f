/**
 * The host's settings that forwarding needs. Only what differs is written, old values are recorded before, and what others change back is
 * seen (RTM_NEWNETCONF) and put right. IPv4 forwards per interface; IPv6 knows only the machine as a whole, and there every uplink that
 * lives on router advertisements gets accept_ra=2 first, else its default route vanishes at that instant.
 */

import { readdirSync } from 'node:fs';
import type { Family } from '../../src/net/address.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { inNamespaceOrHere } from '../netlink/namespace.ts';
import { decodeNetconf } from '../netlink/netconf-message.ts';
import { RTM, RTNLGRP } from '../netlink/registry.ts';
import { ensureSysctl, readSysctl, type Sysctl } from './sysctl.ts';

/** Where former values are kept over the life of the process: key -> value before our first write. */
export interface SysctlJournal {
  load(): Readonly<Record<string, string>>;
  /** Must be durable when it returns: the write to the kernel follows. */
  save(values: Readonly<Record<string, string>>): void;
}

/** Options of `HostSysctls.open`. */
export interface HostSysctlsOptions {
  /** path of the network namespace; default: the one we are in */
  readonly netns?: string | undefined;
  readonly journal: SysctlJournal;
  /** called after a setting that somebody changed was put right */
  readonly onDrift?: ((drift: { key: string; found: string; restored: string }) => void) | undefined;
  /** called when a setting could not be put right */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** What `enableForwarding` is to turn on. */
export interface ForwardingWish {
  readonly families: readonly Family[];
  /** interfaces from which packets for containers come; those of containers are set when they are made */
  readonly uplinks: readonly string[];
  /** interfaces that may live on router advertisements; default: all but `lo` and our own */
  readonly raInterfaces?: readonly string[] | undefined;
}

/** Owns the host's forwarding settings in one network namespace. */
export class HostSysctls {
  readonly #options: HostSysctlsOptions;
  readonly #kept = new Map<string, string>();
  readonly #monitor: NetlinkMonitor;
  #former: Readonly<Record<string, string>>;
  #needsCheck = false;

  private constructor(options: HostSysctlsOptions) {
    this.#options = options;
    this.#former = options.journal.load();
    this.#monitor = NetlinkMonitor.open(
      { groups: [RTNLGRP.IPV4_NETCONF, RTNLGRP.IPV6_NETCONF], netns: options.netns },
      {
        message: (message) => {
          if (message.type === RTM.NEWNETCONF && decodeNetconf(message) !== undefined)
            this.#needsCheck = true;
        },
        overrun: () => {
          this.#needsCheck = true;
        },
        drained: () => {
          if (this.#needsCheck) this.check();
        },
      },
    );
  }

  /** Starts watching. Throws a NetlinkError. Changes nothing yet. */
  static open(options: HostSysctlsOptions): HostSysctls {
    return new HostSysctls(options);
  }

  /**
   * Turns forwarding on: IPv4 on the given interfaces, IPv6 on the machine, after accept_ra=2 on every interface that has 1. Call it again
   * when there are new interfaces. Throws a SysctlError; what was done up to then stays recorded.
   */
  enableForwarding(wish: ForwardingWish): void {
    const wanted: Sysctl[] = [];
    if (wish.families.includes('ipv6')) {
      inNamespaceOrHere(this.#options.netns, () => {
        for (const name of wish.raInterfaces ?? interfacesWithIpv6()) {
          const key = `net/ipv6/conf/${name}/accept_ra`;
          if (readSysctl(key) === '1') wanted.push({ key, value: '2' });
        }
      });
      wanted.push({ key: 'net/ipv6/conf/all/forwarding', value: '1' });
    }
    if (wish.families.includes('ipv4')) {
      for (const name of wish.uplinks) wanted.push({ key: `net/ipv4/conf/${name}/forwarding`, value: '1' });
    }
    this.keep(wanted);
  }

  /** Sets the given settings in order, and keeps them so. Former values are recorded for `restore`. Throws a SysctlError. */
  keep(wanted: readonly Sysctl[]): void {
    inNamespaceOrHere(this.#options.netns, () => {
      const former: Record<string, string> = { ...this.#former };
      for (const { key, value } of wanted) {
        const found = readSysctl(key);
        if (found !== undefined && found !== value && !(key in former)) former[key] = found;
      }
      if (Object.keys(former).length !== Object.keys(this.#former).length) {
        this.#options.journal.save(former);
        this.#former = former;
      }
      for (const setting of wanted) {
        ensureSysctl(setting);
        this.#kept.set(setting.key, setting.value);
      }
    });
  }

  /** Looks at every kept setting and puts right what differs. An interface that is gone is let go. */
  check(): void {
    this.#needsCheck = false;
    const drifts: { key: string; found: string; restored: string }[] = [];
    inNamespaceOrHere(this.#options.netns, () => {
      for (const [key, value] of this.#kept) {
        try {
          const found = readSysctl(key);
          if (found === undefined) {
            this.#kept.delete(key);
          } else if (found !== value) {
            ensureSysctl({ key, value });
            drifts.push({ key, found, restored: value });
          }
        } catch (error) {
          this.#options.onError?.(error);
        }
      }
    });
    for (const drift of drifts) this.#options.onDrift?.(drift);
  }

  /** Gives every setting its recorded value back, in the opposite order, and forgets them: for uninstall. */
  restore(): void {
    this.#kept.clear();
    inNamespaceOrHere(this.#options.netns, () => {
      for (const [key, value] of Object.entries(this.#former).reverse()) {
        if (readSysctl(key) !== undefined) ensureSysctl({ key, value });
      }
    });
    this.#former = {};
    this.#options.journal.save({});
  }

  /** Stops watching; the settings stay. */
  close(): void {
    this.#monitor.close();
  }
}

function interfacesWithIpv6(): string[] {
  try {
    return readdirSync('/proc/sys/net/ipv6/conf').filter(
      (name) => !/^(all|default|lo|oci[0-9a-f]{11}|vxlan(-v6)?\.ocicat)$/.test(name),
    );
  } catch {
    return []; // no IPv6 in this kernel: the write to all/forwarding says so
  }
}
