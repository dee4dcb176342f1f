/** NLMSG_ERROR replies: the kernel's verdict on one request, with its extended acknowledgement text (NETLINK_EXT_ACK, NETLINK_CAP_ACK). */
import { constants } from 'node:os';
import { AttributeCursor, type MessageBody } from './reader.ts';
import { NLM_F, NLMSG_HEADER_BYTES, NLMSGERR_ATTR } from './registry.ts';

const namesByErrno = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, value]): [number, string] => [value, name]),
);
namesByErrno.set(112, 'EHOSTDOWN'); // the one that route requests may return and node:os does not list

/** The name of a positive errno, `EEXIST`, or `errno 999` for one that has none. */
export function errnoName(errno: number): string {
  return namesByErrno.get(errno) ?? `errno ${errno}`;
}

/** The kernel's verdict on one request: errno 0 is an acknowledgement. */
export interface Verdict {
  /** positive errno, or 0 */
  readonly errno: number;
  /** the kernel's own words, often empty */
  readonly text: string;
  /** offset of the offending attribute in the request, if the kernel says */
  readonly offset?: number;
}

const cursor = new AttributeCursor();

/** Decodes the body of NLMSG_ERROR. `flags` are those of the reply's header. Undefined when it is too short. */
export function decodeVerdict(body: MessageBody, flags: number): Verdict | undefined {
  const errorEnd = body.bodyStart + 4;
  if (errorEnd + NLMSG_HEADER_BYTES > body.bodyEnd) return undefined;
  const errno = 0 - body.view.getInt32(body.bodyStart, true);
  if ((flags & NLM_F.ACK_TLVS) === 0) return { errno, text: '' };
  // With CAPPED only the request's header is echoed, else the whole request.
  const echoed = flags & NLM_F.CAPPED ? NLMSG_HEADER_BYTES : body.view.getUint32(errorEnd, true);
  if (echoed > body.bodyEnd - errorEnd) return { errno, text: '' };
  let text = '';
  let offset: number | undefined;
  cursor.reset(body.bytes, body.view, errorEnd + ((echoed + 3) & ~3), body.bodyEnd);
  while (cursor.next()) {
    if (cursor.type === NLMSGERR_ATTR.MSG) text = cursor.text();
    else if (cursor.type === NLMSGERR_ATTR.OFFS) offset = cursor.u32();
  }
  return offset === undefined ? { errno, text } : { errno, text, offset };
}

/** Decodes the end of a dump (NLMSG_DONE): the errno that stopped it, or 0. */
export function decodeDone(body: MessageBody): Verdict {
  if (body.bodyStart + 4 > body.bodyEnd) return { errno: 0, text: '' };
  const errno = 0 - body.view.getInt32(body.bodyStart, true);
  let text = '';
  cursor.reset(body.bytes, body.view, body.bodyStart + 4, body.bodyEnd);
  while (cursor.next()) if (cursor.type === NLMSGERR_ATTR.MSG) text = cursor.text();
  return { errno: Math.max(0, errno), text };
}

/** A request that the kernel refused, or that could not be sent or answered. `code` is the errno's name. */
export class NetlinkError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly kernelText: string;

  constructor(what: string, errno: number, kernelText = '') {
    const code = errnoName(errno);
    super(`${what}: ${code}${kernelText === '' ? '' : ` (${kernelText})`}`);
    this.name = 'NetlinkError';
    this.errno = errno;
    this.code = code;
    this.kernelText = kernelText;
  }
}
