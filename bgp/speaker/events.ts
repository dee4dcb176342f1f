/** What the speaker tells its owner, for logs and for those who wait. Peers are named as in their configuration. */
import type { Address, Family } from '../../src/net/address.ts';
import type { BfdStateChange } from '../bfd/types.ts';
import type { ListenError } from '../transport/channel.ts';
import type { SessionState } from '../types.ts';
import type { NotificationError } from '../wire/types.ts';
import type { ServiceState } from './drain.ts';

export type SpeakerEvent =
  | { readonly type: 'state'; readonly peer: string; readonly from: SessionState; readonly to: SessionState }
  | {
      readonly type: 'session-up';
      readonly peer: string;
      readonly families: readonly Family[];
      readonly holdTimeSec: number;
      readonly peerRouterId: number;
    }
  | {
      readonly type: 'session-down';
      readonly peer: string;
      readonly reason: string;
      /** families whose routes stay as stale, RFC 4724 4.2 */
      readonly keptStale: readonly Family[];
    }
  | {
      readonly type: 'notification';
      readonly peer: string;
      readonly direction: 'sent' | 'received';
      readonly error: NotificationError;
      /** decoded, with the shutdown communication if there is one */
      readonly text: string;
      /** what we found wrong, for those we send */
      readonly reason?: string;
    }
  | {
      readonly type: 'malformed';
      readonly peer: string;
      readonly action: 'session-reset' | 'treat-as-withdraw' | 'attribute-discard';
      readonly reason: string;
      /** the message, cut at 512 octets */
      readonly hex: string;
      readonly octets: number;
      /** events like it that were left out since the last */
      readonly suppressed: number;
    }
  | { readonly type: 'connect-failed'; readonly peer: string; readonly reason: string }
  | { readonly type: 'end-of-rib'; readonly peer: string; readonly family: Family }
  | { readonly type: 'long-lived-stale'; readonly peer: string; readonly families: readonly Family[] }
  | {
      /** a limit on prefixes is near, or passed; `stopped`: the session ended for it */
      readonly type: 'prefix-limit';
      readonly peer: string;
      readonly family: Family;
      readonly message: string;
      readonly stopped: boolean;
    }
  | {
      /** the peer sends a family again, or has done so (RFC 7313) */
      readonly type: 'refresh';
      readonly peer: string;
      readonly family: Family;
      readonly phase: 'begin' | 'end' | 'timed-out';
    }
  | {
      /** the peer's BFD session changed its state */
      readonly type: 'bfd';
      readonly peer: string;
      readonly change: BfdStateChange;
      /** the reason of the change in words */
      readonly diagnostic: string;
    }
  | { readonly type: 'service'; readonly state: ServiceState }
  | { readonly type: 'stale-purged'; readonly peer: string; readonly families: readonly Family[] }
  | {
      /** a connection from an address that is no peer's; it was closed without a word */
      readonly type: 'refused';
      readonly address: Address;
      readonly port: number;
      readonly suppressed: number;
    }
  | { readonly type: 'listening'; readonly address: string; readonly port: number }
  | {
      readonly type: 'listen-failed';
      readonly error: ListenError;
      /** undefined: not tried again */
      readonly retryInMs: number | undefined;
    }
  | { readonly type: 'warning'; readonly peer: string | undefined; readonly message: string }
  | {
      /** RFC 4724 4.1: route selection for the family runs from now on, and has run */
      readonly type: 'deferral-ended';
      readonly family: Family;
      readonly why: 'nothing-preserved' | 'end-of-rib' | 'timer';
    };

export type SpeakerLog = (event: SpeakerEvent) => void;
