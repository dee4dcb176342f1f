import assert from 'node:assert/strict';
import { evaluateHost } from '../../../../src/agent/host/evaluate.ts';
import type { HostFacts } from '../../../../src/agent/host/facts.ts';
import { foreignDrops } from '../../../../src/agent/host/nft-chains.ts';

const QUIET: HostFacts = {
  nft: { ok: true, ruleset: { nftables: [] } },
  ufwRules: '',
  firewalldRunning: false,
  firewalldZones: [],
  networkdRunning: false,
  networkdConf: [],
  networkManagerRunning: false,
  networkManagerConf: [],
  rpFilterAll: 0,
};
const US = { bgpPort: 179, linkPrefix: 'oci', chainPrefix: 'oci-', uplinks: 2 };

const base = (name: string, hook: string, policy = 'accept', table = 'x'): object => ({
  chain: { family: 'inet', table, name, type: 'filter', hook, prio: 0, policy },
});
const rule = (chain: string, expr: object[], table = 'x'): object => ({
  rule: { family: 'inet', table, chain, expr },
});

describe('src/agent/host', () => {
  it('finds nothing on a quiet host', () => assert.deepEqual(evaluateHost(QUIET, US), []));

  const chains: [string, object[], number][] = [
    ['policy drop on forward', [base('f', 'forward', 'drop')], 1],
    ['last rule reject on input', [base('i', 'input'), rule('i', [{ counter: {} }, { reject: null }])], 1],
    [
      'last rule drop only for some packets',
      [base('i', 'input'), rule('i', [{ match: {} }, { drop: null }])],
      0,
    ],
    [
      'a drop that is not last',
      [base('i', 'input'), rule('i', [{ drop: null }]), rule('i', [{ accept: null }])],
      0,
    ],
    ['policy drop on output', [base('o', 'output', 'drop')], 0],
    [
      'the chain that jumps to ours',
      [base('f', 'forward', 'drop'), rule('f', [{ jump: { target: 'oci-FORWARD' } }])],
      0,
    ],
    ['a chain without a hook', [{ chain: { family: 'inet', table: 'x', name: 'plain' } }], 0],
  ];
  for (const [name, items, count] of chains) {
    it(`nft: ${name}: ${count}`, () => assert.equal(foreignDrops({ nftables: items }, 'oci-').length, count));
  }

  const cases: [string, Partial<HostFacts>, string[]][] = [
    ['nft cannot be read', { nft: { ok: false, why: 'x' } }, ['nft-unreadable']],
    ['ufw enabled without our port', { ufwConf: 'ENABLED=yes\n' }, ['ufw-bgp-closed']],
    [
      'ufw enabled with our port',
      { ufwConf: 'ENABLED=yes\n', ufwRules: '-A ufw-user-input -p tcp --dport 179 -j ACCEPT' },
      [],
    ],
    ['ufw disabled', { ufwConf: 'ENABLED=no\n' }, []],
    ['firewalld without our port', { firewalldRunning: true }, ['firewalld-bgp-closed']],
    [
      'firewalld with the bgp service',
      { firewalldRunning: true, firewalldZones: [{ path: 'p', text: '<service name="bgp"/>' }] },
      [],
    ],
    ['networkd with defaults', { networkdRunning: true }, ['networkd-foreign-routes']],
    [
      'networkd told to leave all three',
      {
        networkdRunning: true,
        networkdConf: [
          {
            path: 'p',
            text: '[Network]\nManageForeignRoutes=no\nManageForeignNextHops=false\nManageForeignRoutingPolicyRules=0\n',
          },
        ],
      },
      [],
    ],
    [
      'networkd with one left on and one only in a comment',
      {
        networkdRunning: true,
        networkdConf: [{ path: 'p', text: '[Network]\nManageForeignRoutes=no\n#ManageForeignNextHops=no\n' }],
      },
      ['networkd-foreign-routes'],
    ],
    ['NetworkManager managing us', { networkManagerRunning: true }, ['networkmanager-links']],
    [
      'NetworkManager told not to',
      {
        networkManagerRunning: true,
        networkManagerConf: [{ path: 'p', text: '[keyfile]\nunmanaged-devices=interface-name:oci*\n' }],
      },
      [],
    ],
    ['strict rp_filter', { rpFilterAll: 1 }, ['rp-filter-strict']],
    ['the port is busy', { bgpPortOwner: { pid: 7, command: 'bird' } }, ['bgp-port-busy']],
  ];
  for (const [name, facts, codes] of cases) {
    it(`${name}: ${codes.join(', ') || 'nothing'}`, () => {
      const findings = evaluateHost({ ...QUIET, ...facts }, US);
      assert.deepEqual(
        findings.map((finding) => finding.code),
        codes,
      );
      for (const finding of findings) assert.ok(finding.remedy, 'each finding has a remedy');
    });
  }

  it('strict rp_filter does not matter with one uplink', () => {
    assert.deepEqual(evaluateHost({ ...QUIET, rpFilterAll: 1 }, { ...US, uplinks: 1 }), []);
  });
});
