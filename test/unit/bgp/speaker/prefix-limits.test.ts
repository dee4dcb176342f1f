/** Limits on prefixes: told once a level, in the NOTIFICATION's form of RFC 4486 4. */
import assert from 'node:assert/strict';
import { PrefixLimits } from '../../../../bgp/speaker/prefix-limits.ts';
import type { PeerConfig, PrefixLimit } from '../../../../bgp/types.ts';
import { hexOf } from '../../../../bgp/wire/bytes.ts';
import { peerConfig } from './world.ts';

const STOP: PrefixLimit = {
  limit: 100,
  count: 'received',
  warnPercent: 75,
  action: { kind: 'stop', restartSec: 9 },
};

function configWith(limit: PrefixLimit): PeerConfig {
  return { ...peerConfig('peer', '192.0.2.2', 65001, 65002), maxPrefixes: { ipv6: limit } };
}

function counts(received: number, accepted = received, discarded = 0) {
  return () => ({ received, accepted, discarded });
}

describe('prefix limits', () => {
  it('warns once at the percentage, again when it was below meanwhile, and stops beyond the limit', () => {
    const limits = new PrefixLimits();
    const config = configWith(STOP);
    assert.equal(limits.check(config, counts(74)), undefined);
    assert.equal(limits.check(config, counts(75))?.kind, 'warn');
    assert.equal(limits.check(config, counts(100)), undefined);
    assert.equal(limits.check(config, counts(10)), undefined);
    assert.equal(limits.check(config, counts(80))?.kind, 'warn');
    const verdict = limits.check(config, counts(101));
    assert.equal(verdict?.kind, 'stop');
    if (verdict?.kind !== 'stop') return;
    assert.deepEqual([verdict.error.code, verdict.error.subcode], [6, 1]);
    assert.equal(hexOf(verdict.error.data), '00020100000064');
    assert.equal(verdict.restartSec, 9);
  });

  it('counts what is asked for', () => {
    const config = configWith({ ...STOP, count: 'accepted' });
    assert.equal(new PrefixLimits().check(config, counts(500, 10)), undefined);
    assert.equal(new PrefixLimits().check(config, counts(500, 101))?.kind, 'stop');
  });

  it('only warns where it is told to, or where the rest is left out', () => {
    assert.equal(
      new PrefixLimits().check(configWith({ ...STOP, action: { kind: 'warn' } }), counts(101))?.kind,
      'warn',
    );
    const discards = configWith({ ...STOP, action: { kind: 'discard' } });
    assert.match(new PrefixLimits().check(discards, counts(100, 100, 3))?.message ?? '', /left out/);
  });
});
