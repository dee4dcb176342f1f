/** Which event of the machine a decoded message is. */
import { ERROR, OPEN_ERROR } from '../wire/registry.ts';
import type { DecodedMessage, NotificationError } from '../wire/types.ts';
import type { ConnectionId, SessionEvent } from './events.ts';

/** The event for a message that came in on `connection`. */
export function eventOf(connection: ConnectionId, message: DecodedMessage): SessionEvent {
  switch (message.type) {
    case 'open':
      return { type: 'BGPOpen', connection, open: message.open };
    case 'keepalive':
      return { type: 'KeepAliveMsg', connection };
    case 'route-refresh':
      return { type: 'RouteRefreshMsg', connection };
    case 'notification':
      return {
        type: isVersionError(message.error) ? 'NotifMsgVerErr' : 'NotifMsg',
        connection,
        error: message.error,
      };
    case 'update': {
      const { verdict } = message.update;
      if (verdict.kind !== 'session-reset') return { type: 'UpdateMsg', connection };
      return { type: 'UpdateMsgErr', connection, error: verdict.error, reason: verdict.reason };
    }
    case 'error':
      return { type: errorEvent(message.error), connection, error: message.error, reason: message.reason };
  }
}

function isVersionError(error: NotificationError): boolean {
  return error.code === ERROR.openMessage && error.subcode === OPEN_ERROR.unsupportedVersionNumber;
}

function errorEvent(
  error: NotificationError,
): 'BGPHeaderErr' | 'BGPOpenMsgErr' | 'UpdateMsgErr' | 'RouteRefreshMsgErr' {
  if (error.code === ERROR.messageHeader) return 'BGPHeaderErr';
  if (error.code === ERROR.openMessage) return 'BGPOpenMsgErr';
  return error.code === ERROR.routeRefreshMessage ? 'RouteRefreshMsgErr' : 'UpdateMsgErr';
}
