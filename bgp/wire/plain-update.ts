/**
 * Plain UPDATEs, which nearly all are: nothing is wrong with them and they hold nothing unusual. They are read where they stand in the core, and their
 * attribute keys are written there (src/core/assembly/read-update.ts). All others are for `readUpdate`.
 */
import {
  READ_ADD_PATH_IPV4,
  READ_ADD_PATH_IPV6,
  READ_AS4,
  READ_ATTRIBUTES_MOST,
  READ_ENTRIES,
  READ_EXTENDED_NEXT_HOP,
  READ_FIELDS,
  READ_FIRST_AS,
  READ_FIRST_AS_REQUIRED,
  READ_IBGP,
  READ_IPV4,
  READ_IPV6,
  READ_KEY_MOST,
  READ_KEY_OCTETS,
  READ_KEY_ROOM,
  READ_MESSAGE_MOST,
  READ_NO_SETS,
  READ_TERMS,
} from '../../src/core/assembly/layout.ts';
import type { Core } from '../../src/core/core.ts';
import type { BlockOwner } from '../../src/core/questions.ts';
import { expectedFirstAs } from './attribute-checks.ts';
import { MAX_EXTENDED_MESSAGE_OCTETS, MAX_MESSAGE_OCTETS } from './registry.ts';
import type { AttributeKey, DecodeContext } from './types.ts';

/** One for each RIB. */
export class PlainReader {
  /** where its block stands for the inner loops */
  readonly address: number;
  readonly block: Int32Array<SharedArrayBuffer>;
  readonly #core: Core;
  #context: DecodeContext | undefined;

  /** `owner` answers what the inner loops ask. */
  constructor(core: Core, owner: BlockOwner = {}) {
    this.#core = core;
    this.block = core.block(READ_FIELDS, owner);
    this.address = this.block.byteOffset;
    this.block[READ_KEY_ROOM] = core.allocate(READ_KEY_MOST);
    this.block[READ_ENTRIES] = core.allocate(16 * READ_ATTRIBUTES_MOST);
  }

  /** Messages from now on are of a session with these terms. */
  use(context: DecodeContext): void {
    if (context === this.#context) return;
    this.#context = context;
    this.block[READ_TERMS] = termsOf(context);
    this.block[READ_FIRST_AS] = expectedFirstAs(context);
    this.block[READ_MESSAGE_MOST] = context.extendedMessage
      ? MAX_EXTENDED_MESSAGE_OCTETS
      : MAX_MESSAGE_OCTETS;
  }

  /** Octets of the longest message that may come. */
  get longestMessage(): number {
    return this.block[READ_MESSAGE_MOST] ?? 0;
  }

  /**
   * Reads the body of an UPDATE that stands at an address of the core. False: it is none of the plain ones. Otherwise the fields READ_WITHDRAWN_* and
   * READ_REACH_* say what it holds, until the next one is read.
   */
  read(start: number, end: number): boolean {
    return this.#core.calls.readPlainUpdate(this.address, start, end) !== 0;
  }

  /** The attributes of what is announced: borrowed. */
  get attributes(): AttributeKey {
    const start = (this.block[READ_KEY_ROOM] ?? 0) >>> 0;
    return this.#core.octets.subarray(start, start + (this.block[READ_KEY_OCTETS] ?? 0));
  }
}

function termsOf(context: DecodeContext): number {
  const { families, addPathReceive } = context;
  return (
    (context.as4 ? READ_AS4 : 0) |
    (context.peerKind === 'ibgp' ? READ_IBGP : 0) |
    (context.extendedNextHop ? READ_EXTENDED_NEXT_HOP : 0) |
    (context.rejectAsSets === true ? READ_NO_SETS : 0) |
    (context.enforceFirstAs === true && context.peerKind === 'ebgp' ? READ_FIRST_AS_REQUIRED : 0) |
    (families.ipv4 ? READ_IPV4 : 0) |
    (families.ipv6 ? READ_IPV6 : 0) |
    (addPathReceive.ipv4 ? READ_ADD_PATH_IPV4 : 0) |
    (addPathReceive.ipv6 ? READ_ADD_PATH_IPV6 : 0)
  );
}
