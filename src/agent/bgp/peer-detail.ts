/** The finer points of a session's status as the API answers them. */
import type { ConnectionEnd, NotificationRecord } from '../../../bgp/peer-status.ts';
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
  PeerDetailView,
} from '../../api/peer-views.ts';
import { formatAddress } from '../../net/address.ts';

/** Everything of a `PeerView` that is about the session itself. */
export function peerDetail(status: PeerStatus): PeerDetailView {
  const { connection, transport, lastNotification, capabilities } = status;
  const { sourceAddress, ...plain } = transport;
  const { sent, received } = lastNotification;
  return {
    localRouterId: formatRouterId(status.localRouterId),
    ...(connection && {
      connection: {
        local: endView(connection.local),
        remote: endView(connection.remote),
        direction: connection.direction,
      },
    }),
    transport: { ...plain, ...(sourceAddress && { sourceAddress: formatAddress(sourceAddress) }) },
    timers: status.timers,
    ...(status.terms && { terms: status.terms }),
    capabilities: {
      sent: status.capabilitiesSent,
      received: status.capabilitiesReceived,
      compared: rowsOf(capabilities.sent, capabilities.received),
    },
    messages: status.messages,
    lastNotification: {
      ...(sent && { sent: notificationView(sent) }),
      ...(received && { received: notificationView(received) }),
    },
    ...(status.bfd && { bfd: status.bfd }),
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

/** Of what was sent, by the list itself, which stays the same while its connection lives: a hundred sessions asked for every second cost little. */
const comparedBefore = new WeakMap<
  readonly Capability[],
  { readonly received: readonly Capability[]; readonly rows: readonly CapabilityRow[] }
>();

function rowsOf(sent: readonly Capability[], received: readonly Capability[]): readonly CapabilityRow[] {
  const before = comparedBefore.get(sent);
  if (before?.received === received) return before.rows;
  const rows = compareCapabilities(sent, received);
  comparedBefore.set(sent, { received, rows });
  return rows;
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
