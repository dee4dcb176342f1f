/**
 * Deletes links off the event loop. The kernel takes 15 to 40 ms over each: it waits until nobody on any processor uses the device any
 * more. A few at a time, so that the thread pool keeps threads for the disk; the rest wait for their turn.
 */
import { writeLinkDeletion } from '../netlink/link-message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';

const AT_ONCE = 2;
const ENODEV = 19;

/** Owns the sockets of deletions under way. */
export class LinkRemover {
  readonly #netns: string | undefined;
  readonly #idle: NetlinkSocket[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #closed = false;

  /** `netns`: path of the links' network namespace; undefined: the one we are in. */
  constructor(netns: string | undefined) {
    this.#netns = netns;
  }

  /** Resolves when the link is gone, also if it was gone already. Rejects with a NetlinkError. */
  async remove(ifname: string, ifindex: number): Promise<void> {
    // Whoever ends hands its place to the first that waits.
    if (this.#busy < AT_ONCE) this.#busy++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const socket = this.#idle.pop() ?? NetlinkSocket.open({ netns: this.#netns });
      try {
        const write = (writer: Parameters<typeof writeLinkDeletion>[0]): void =>
          writeLinkDeletion(writer, ifindex);
        await socket.requestOnThread(`delete ${ifname}`, write, [ENODEV]);
      } catch (error) {
        socket.close();
        throw error;
      }
      if (this.#closed) socket.close();
      else this.#idle.push(socket);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }

  /** Deletions under way are finished by the kernel all the same. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#idle.splice(0)) socket.close();
  }
}
