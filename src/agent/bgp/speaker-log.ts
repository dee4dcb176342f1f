/** The speaker's events as log lines. */
import type { SpeakerEvent } from '../../../bgp/speaker/events.ts';
import { formatAddress } from '../../net/address.ts';
import type { Log } from '../log.ts';

/** Writes one event; levels follow what an operator must act on. */
export function logSpeakerEvent(log: Log, event: SpeakerEvent): void {
  switch (event.type) {
    case 'state':
      log.debug({ peer: event.peer, from: event.from, to: event.to }, 'BGP session state');
      return;
    case 'session-up':
      log.info(
        { peer: event.peer, families: event.families, holdTimeSec: event.holdTimeSec },
        'BGP session established',
      );
      return;
    case 'session-down':
      log.warn({ peer: event.peer, reason: event.reason, keptStale: event.keptStale }, 'BGP session lost');
      return;
    case 'notification':
      log.warn(
        {
          peer: event.peer,
          direction: event.direction,
          code: event.error.code,
          subcode: event.error.subcode,
          reason: event.reason,
        },
        `NOTIFICATION ${event.direction}: ${event.text}`,
      );
      return;
    case 'malformed':
      log.warn(
        {
          peer: event.peer,
          action: event.action,
          hex: event.hex,
          octets: event.octets,
          suppressed: event.suppressed,
        },
        `malformed message: ${event.reason}`,
      );
      return;
    case 'connect-failed':
      log.debug({ peer: event.peer, reason: event.reason }, 'BGP connection failed');
      return;
    case 'end-of-rib':
      log.debug({ peer: event.peer, family: event.family }, 'End-of-RIB received');
      return;
    case 'bfd': {
      const { from, to } = event.change;
      const line = { peer: event.peer, from, to, diagnostic: event.diagnostic };
      if (from === 'Up') log.warn(line, `BFD session went from Up to ${to}`);
      else log.info(line, `BFD session is ${to}`);
      return;
    }
    case 'long-lived-stale':
      log.info(
        { peer: event.peer, families: event.families },
        'routes of a lost session are long-lived stale',
      );
      return;
    case 'prefix-limit':
      log.warn({ peer: event.peer, family: event.family, stopped: event.stopped }, event.message);
      return;
    case 'refresh':
      log.debug({ peer: event.peer, family: event.family, phase: event.phase }, 'route refresh');
      return;
    case 'service':
      log.info({ state: event.state }, 'BGP service');
      return;
    case 'stale-purged':
      log.info({ peer: event.peer, families: event.families }, 'stale routes removed');
      return;
    case 'refused':
      log.warn(
        { address: formatAddress(event.address), port: event.port, suppressed: event.suppressed },
        'BGP connection from an address that is no peer',
      );
      return;
    case 'listening':
      log.info({ address: event.address, port: event.port }, 'listening for BGP');
      return;
    case 'listen-failed':
      log.error({ error: event.error.message, retryInMs: event.retryInMs }, 'cannot listen for BGP');
      return;
    case 'warning':
      log.warn({ peer: event.peer }, event.message);
      return;
    case 'deferral-ended':
      log.info({ family: event.family, why: event.why }, 'route selection begins');
      return;
  }
}
