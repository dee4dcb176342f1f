/** Whether a kernel can make IPIP tunnels: asked, not guessed from version or files. */
import { NetlinkError } from '../netlink/error-message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { IPIP_KIND, writeKindProbe } from './link-message.ts';

const EOPNOTSUPP = 95;
/** The kernel knows the kind, and refuses the faulty request for what it says. */
const KNOWN: ReadonlySet<number> = new Set([22, 34]);

/** The kernel's answer. */
export type KindSupport = { readonly has: true } | { readonly has: false; readonly reason: string };

/** Asks whether IPIP devices can be made. Makes none, but the kernel may load its module, which brings `tunl0` along. */
export function probeIpip(netns?: string): KindSupport {
  return probeKind(IPIP_KIND, netns);
}

/** The same of any kind of link whose attribute 2 has more than one octet. */
export function probeKind(kind: string, netns?: string): KindSupport {
  const socket = NetlinkSocket.open({ netns });
  try {
    socket.request(`ask for ${kind} devices`, (writer) => writeKindProbe(writer, kind));
    return { has: false, reason: 'it took a request that is wrong' };
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    if (KNOWN.has(error.errno)) return { has: true };
    return { has: false, reason: error.errno === EOPNOTSUPP ? `it knows no ${kind} devices` : error.message };
  } finally {
    socket.close();
  }
}
