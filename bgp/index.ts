/** The BGP library: a speaker and the values that it takes and gives. */
export type { Address, Family } from '../src/net/address.ts';
export type { Prefix } from '../src/net/prefix.ts';
export type {
  FilterChain,
  FilterMatch,
  FilterOperation,
  FilterRule,
  PrefixOperator,
} from './policy/types.ts';
export { Rib } from './rib/rib.ts';
export { PeerConfigError } from './speaker/config.ts';
export type { SpeakerEvent, SpeakerLog } from './speaker/events.ts';
export type { ListenConfig } from './speaker/listeners.ts';
export { type ResetKind, Speaker, type SpeakerOptions, type StopMode } from './speaker.ts';
export { ListenError } from './transport/channel.ts';
export type * from './types.ts';
export { describeNotification } from './wire/notification.ts';
export type {
  AsPathSegment,
  LargeCommunity,
  NotificationError,
  PathAttributes,
  PerFamily,
} from './wire/types.ts';
