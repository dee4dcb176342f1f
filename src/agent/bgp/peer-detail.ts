/** The finer points of a session's status as the API answers them. */
import type { ConnectionEnd, NotificationRecord, PeerStanding } from '../../../bgp/peer-status.ts';
import type { PeerStatus } from '../../../bgp/types.ts';
import { capabilityCode, capabilityParts } from '../../../bgp/wire/capabilities.ts';
import { formatRouterId } from '../../../bgp/wire/format.ts';
import { shutdownCommunicationOf } from '../../../bgp/wire/notification.ts';
import type { Capability } from '../../../bgp/wire/types.ts';
import type {
  CapabilityRow,
  CapabilityValue,
  ConnectionEndView,
  NotificationView,
} from '../../api/peer-views.ts';
import type { PeerView } from '../../api/views.ts';
import { formatAddress } from '../../net/address.ts';

/** What of a `PeerView` stays while its session does, beside what names it. */
export type SessionView = Pick<
  PeerView,
  | 'routerId'
  | 'localAddress'
  | 'holdTimeSec'
  | 'keepaliveTimeSec'
  | 'policy'
  | 'localRouterId'
  | 'connection'
  | 'transport'
  | 'terms'
  | 'capabilities'
>;

export function sessionView(standing: PeerStanding): SessionView {
  const { connection, transport, capabilities, peerRouterId, localAddress } = standing;
  const { sourceAddress, ...plain } = transport;
  return {
    ...(peerRouterId !== undefined && { routerId: formatRouterId(peerRouterId) }),
    ...(localAddress && { localAddress: formatAddress(localAddress) }),
    ...(standing.holdTimeSec !== undefined && { holdTimeSec: standing.holdTimeSec }),
    ...(standing.keepaliveTimeSec !== undefined && { keepaliveTimeSec: standing.keepaliveTimeSec }),
    policy: { import: standing.importPolicy, export: standing.exportPolicy },
    localRouterId: formatRouterId(standing.localRouterId),
    ...(connection && {
      connection: {
        local: endView(connection.local),
        remote: endView(connection.remote),
        direction: connection.direction,
      },
    }),
    transport: { ...plain, ...(sourceAddress && { sourceAddress: formatAddress(sourceAddress) }) },
    ...(standing.terms && { terms: standing.terms }),
    capabilities: {
      sent: standing.capabilitiesSent,
      received: standing.capabilitiesReceived,
      compared: compareCapabilities(capabilities.sent, capabilities.received),
    },
  };
}

/** The last NOTIFICATION of each direction. */
export function notificationsView({
  sent,
  received,
}: PeerStatus['lastNotification']): PeerView['lastNotification'] {
  return {
    ...(sent && { sent: notificationView(sent) }),
    ...(received && { received: notificationView(received) }),
  };
}

function endView({ address, port }: ConnectionEnd): ConnectionEndView {
  return { address: formatAddress(address), port };
}

function notificationView({ at, error, text, reason }: NotificationRecord): NotificationView {
  const shutdownCommunication = shutdownCommunicationOf(error);
  return {
    at,
    code: error.code,
    subcode: error.subcode,
    data: error.data.toHex(),
    text,
    ...(shutdownCommunication !== undefined && { shutdownCommunication }),
    ...(reason !== undefined && { reason }),
  };
}

/**
 * The capabilities of two OPENs side by side, by code. Multiprotocol is told for each family; several instances of any other stand together,
 * the last of them in `parameters`, as it is the one that counts.
 */
export function compareCapabilities(
  sent: readonly Capability[],
  received: readonly Capability[],
): CapabilityRow[] {
  const rows = new Map<
    string,
    { code: number; name: string; sent?: CapabilityValue; received?: CapabilityValue }
  >();
  for (const [side, capabilities] of [
    ['sent', sent],
    ['received', received],
  ] as const) {
    for (const capability of capabilities) {
      const code = capabilityCode(capability);
      const { name, parameters } = capabilityParts(capability);
      const isFamily = capability.kind === 'multiprotocol';
      const key = isFamily ? `${code} ${parameters}` : String(code);
      const row = rows.get(key) ?? { code, name: isFamily ? `${name} ${parameters}` : name };
      const text = isFamily ? '' : parameters;
      const earlier = row[side];
      row[side] = {
        text: earlier === undefined || isFamily ? text : `${earlier.text}; ${text}`,
        parameters: parametersOf(capability),
      };
      rows.set(key, row);
    }
  }
  return [...rows.values()].sort((a, b) => a.code - b.code);
}

function parametersOf({ kind: _, ...fields }: Capability): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Uint8Array ? value.toHex() : value,
    ]),
  );
}
