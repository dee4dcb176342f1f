/**
 * Waiting until a container can send. When the host end goes up, the kernel lets the container's end transmit a moment later, from a
 * worker of its own (linkwatch): usually within a millisecond, up to a second on a busy machine. Until then its packets are dropped.
 */
import { decodeLink } from '../netlink/link-message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { RTM, RTNLGRP } from '../netlink/registry.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { findLink } from './link.ts';

const OPERSTATE_UP = 6;

/**
 * Resolves to true once the interface inside the namespace is operational, to false after `timeoutMs`. Event-driven. Rejects if the
 * namespace cannot be entered.
 */
export async function untilOperational(netns: string, ifname: string, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const monitor = NetlinkMonitor.open(
    { groups: [RTNLGRP.LINK], netns },
    {
      message: (message) => {
        if (message.type !== RTM.NEWLINK) return;
        const link = decodeLink(message);
        if (link?.name === ifname && link.operState === OPERSTATE_UP) resolve(true);
      },
      overrun: () => {},
    },
  );
  const timer = setTimeout(() => resolve(false), timeoutMs);
  try {
    // After the subscription, so that the change cannot fall between.
    const socket = NetlinkSocket.open({ netns });
    try {
      if (findLink(socket, ifname)?.operState === OPERSTATE_UP) return true;
    } finally {
      socket.close();
    }
    return await promise;
  } finally {
    clearTimeout(timer);
    monitor.close();
  }
}
