/** What a change of resources does to the sessions, said before it is made. Pure. */
import { resettingChanges } from '../../../bgp/speaker/config.ts';
import type { SessionEffect } from '../../api/views.ts';
import type { NodePeer } from './peer-types.ts';

/**
 * Compares the peers in force with those to come. `speakerChanges`: what a speaker cannot change while it runs, in words; not empty: every session
 * is reset. Sessions that stay as they are do not appear.
 */
export function sessionEffects(
  now: readonly NodePeer[],
  then: readonly NodePeer[],
  speakerChanges: readonly string[],
): SessionEffect[] {
  const wanted = new Map(then.map((peer) => [peer.config.name, peer]));
  const effects: SessionEffect[] = [];
  for (const { config, resource, dynamic } of now) {
    const next = wanted.get(config.name);
    wanted.delete(config.name);
    const at = { peer: config.name, resource: next?.resource ?? resource };
    if (next === undefined) {
      effects.push({ ...at, effect: 'removed', reasons: [] });
      continue;
    }
    const resetting = [
      ...speakerChanges,
      ...(dynamic === next.dynamic ? [] : ['listen-range']),
      ...resettingChanges(config, next.config),
    ];
    if (resetting.length > 0) {
      effects.push({ ...at, effect: 'reset', reasons: resetting });
      continue;
    }
    const live = liveChanges(config, next.config);
    if (live.length > 0) effects.push({ ...at, effect: 'live', reasons: live });
  }
  for (const { config, resource } of wanted.values())
    effects.push({ peer: config.name, resource, effect: 'added', reasons: [] });
  return effects;
}

// Values are not told: one of them is the key.
function liveChanges(from: NodePeer['config'], to: NodePeer['config']): string[] {
  const before = new Map(Object.entries(from));
  const after = new Map(Object.entries(to));
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (field) => JSON.stringify(before.get(field)) !== JSON.stringify(after.get(field)),
  );
}
