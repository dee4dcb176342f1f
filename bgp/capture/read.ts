/** Capture and dump files: which kind one is, by its first octets, and what BGP there is in it. */
import type { VerdictContext } from '../wire/verdict.ts';
import type { CaptureItem } from './messages.ts';
import { isMrt, readMrt } from './mrt.ts';
import { isKnownLinkType } from './packet.ts';
import { isPacketCapture, readPackets } from './pcap.ts';
import { CapturedSessions } from './sessions.ts';

/** `gzip` and the other compressions have to be undone first. */
export type CaptureFormat = 'packets' | 'mrt' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const COMPRESSIONS: readonly (readonly [CaptureFormat, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The format of a file that begins so; undefined when it is none of these. */
export function captureFormat(file: Uint8Array): CaptureFormat | undefined {
  const compression = COMPRESSIONS.find(([, magic]) => magic.every((octet, index) => file[index] === octet));
  if (compression !== undefined) return compression[0];
  if (isPacketCapture(file)) return 'packets';
  return isMrt(file) ? 'mrt' : undefined;
}

export interface ReadOptions {
  /** in packet captures: the port that makes a connection BGP */
  readonly port: number;
  /** what holds where the file tells nothing */
  readonly otherwise: VerdictContext;
}

/**
 * All BGP of an uncompressed file, as it goes through it. Throws a CaptureError where the file is damaged, after everything before that place.
 */
export function* readCapture(file: Uint8Array, options: ReadOptions): Generator<CaptureItem> {
  if (!isPacketCapture(file)) {
    yield* readMrt(file, options.otherwise);
    return;
  }
  const sessions = new CapturedSessions(options);
  const unknown = new Set<number>();
  try {
    for (const packet of readPackets(file)) {
      const { linkType, at } = packet;
      if (!isKnownLinkType(linkType) && !unknown.has(linkType)) {
        unknown.add(linkType);
        yield { kind: 'note', at, text: `packets of link type ${linkType}, which are not looked into` };
      }
      yield* sessions.add(packet);
    }
  } finally {
    // A damaged end of the file takes nothing from what came before.
    yield* sessions.end();
  }
}
