import assert from 'node:assert/strict';
import { UnclaimedAddresses } from '../../../../src/docker/unclaimed.ts';
import { eventually } from '../../../support/eventually.ts';

describe('addresses that Docker does not claim', () => {
  it('are told once each, those that an endpoint got are not', async () => {
    let told = 0;
    const addresses = new UnclaimedAddresses(20, () => told++);
    for (const address of ['10.0.0.1', '10.0.0.2', 'fd00::1', 'fd00::1']) addresses.given(address);
    addresses.claimed('10.0.0.2');
    addresses.claimed('10.0.0.3');
    await eventually('two are told', () => told === 2);
    addresses.given('10.0.0.4');
    addresses.close();
    const later = new UnclaimedAddresses(40, () => told++);
    later.given('10.0.0.5');
    await eventually('one more is told', () => told === 3);
    assert.equal(told, 3);
  });
});
