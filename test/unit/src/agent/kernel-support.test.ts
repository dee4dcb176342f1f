import assert from 'node:assert/strict';
import type { KindSupport } from '../../../../fib/ipip/probe.ts';
import { kernelLimits } from '../../../../src/agent/kernel-support.ts';
import type { IpPool, IpPoolSpec } from '../../../../src/model/ip-pool.ts';
import { API_VERSION } from '../../../../src/model/kinds.ts';

function pool(spec: Omit<IpPoolSpec, 'cidr'>): IpPool {
  return {
    apiVersion: API_VERSION,
    kind: 'IPPool',
    metadata: { name: 'p' },
    spec: { cidr: '10.0.0.0/24', ...spec },
  };
}

describe('limits of the kernel', () => {
  const bench = (answer: KindSupport) => {
    let asked = 0;
    const limits = kernelLimits(() => {
      asked++;
      return answer;
    });
    return { limits, asked: () => asked };
  };

  it('without IPIP: refuses pools that ask for it, with what to do; the kernel is asked once, and only when a pool asks', () => {
    const { limits, asked } = bench({ has: false, reason: 'it knows no ipip devices' });
    assert.deepEqual(limits(pool({})), []);
    assert.deepEqual(limits(pool({ ipipMode: 'Never' })), []);
    assert.deepEqual(limits(pool({ vxlanMode: 'Always' })), []);
    assert.equal(asked(), 0);
    for (const ipipMode of ['Always', 'CrossSubnet'] as const) {
      const [problem] = limits(pool({ ipipMode }));
      assert.equal(problem?.path, 'spec.ipipMode');
      assert.match(
        problem.reason,
        /it knows no ipip devices\): use vxlanMode .*modprobe ipip.*restart the agent/,
      );
    }
    assert.equal(asked(), 1);
  });

  it('with IPIP: refuses none', () => {
    assert.deepEqual(bench({ has: true }).limits(pool({ ipipMode: 'Always' })), []);
  });
});
