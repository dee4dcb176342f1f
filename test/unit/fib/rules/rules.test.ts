import assert from 'node:assert/strict';
import { multiportLists, ruleMatch } from '../../../../fib/rules/match.ts';
import {
  endpointChainName,
  kernelSetName,
  MAX_CHAIN_NAME,
  policyChainName,
  setIdOfKernelName,
} from '../../../../fib/rules/names.ts';
import { allocateMarkBits, DEFAULT_RULES_OPTIONS, type RulesOptions } from '../../../../fib/rules/options.ts';
import { renderPolicyChain } from '../../../../fib/rules/policy.ts';
import { PolicyModel } from '../../../../fib/rules/policy-model.ts';
import { renderRules } from '../../../../fib/rules/rendered.ts';
import { renderStaticTables } from '../../../../fib/rules/static-chains.ts';
import type { EndpointPolicy, PolicyChange, Rule } from '../../../../fib/rules/types.ts';
import { endpointProblem, policyProblem } from '../../../../fib/rules/validate.ts';

const context = { options: DEFAULT_RULES_OPTIONS, marks: allocateMarkBits(DEFAULT_RULES_OPTIONS.markMask) };
const port = (first: number, last = first) => ({ first, last });

/** Rules without identity comments. */
function bare(texts: readonly { readonly text: string }[]): string[] {
  return texts.map(({ text }) => text.replace(/-m comment --comment "[^"]*" /g, ''));
}

const ENDPOINT: EndpointPolicy = {
  interfaceName: 'ocix',
  adminUp: true,
  tiers: [{ name: 'default', defaultAction: 'deny', ingress: ['gnp/a'], egress: [] }],
  profiles: ['profile/p'],
  addresses: ['10.0.0.1/32', 'fd00::1/128'],
};

const upsert = (endpoint: EndpointPolicy = ENDPOINT): PolicyChange => ({
  kind: 'endpoint-upsert',
  id: 'e',
  endpoint,
});
const policy = (id: string, ...ingress: Rule[]): PolicyChange => ({
  kind: 'policy-upsert',
  id,
  rules: { ingress, egress: [] },
});

describe('policy rendering: rules', () => {
  const cases: readonly { name: string; rule: Rule; ipv4: readonly string[]; ipv6: readonly string[] }[] = [
    { name: 'deny all', rule: { action: 'deny' }, ipv4: ['-j DROP'], ipv6: ['-j DROP'] },
    {
      name: 'allow sets the mark and returns',
      rule: { action: 'allow', protocol: 6, destination: { ports: [port(80), port(8000, 8080)] } },
      ipv4: [
        '-p 6 -m multiport --dports 80,8000:8080 -j MARK --set-xmark 0x10000/0x10000',
        '-m mark --mark 0x10000/0x10000 -j RETURN',
      ],
      ipv6: [
        '-p 6 -m multiport --dports 80,8000:8080 -j MARK --set-xmark 0x10000/0x10000',
        '-m mark --mark 0x10000/0x10000 -j RETURN',
      ],
    },
    {
      name: 'a family restriction, and CIDRs of one family',
      rule: { action: 'deny', source: { nets: ['10.0.0.0/8'] } },
      ipv4: ['-s 10.0.0.0/8 -j DROP'],
      ipv6: [],
    },
    {
      name: 'ICMP with the protocol of the family, code only if given',
      rule: { action: 'deny', protocol: 58, icmp: { type: 128 }, notIcmp: { type: 129, code: 0 } },
      ipv4: [],
      ipv6: ['-p 58 -m icmp6 --icmpv6-type 128 -m icmp6 ! --icmpv6-type 129/0 -j DROP'],
    },
    {
      name: 'sets and their negations are ANDed, named ports use address-port sets',
      rule: {
        action: 'deny',
        notProtocol: 17,
        source: { sets: ['a', 'b'], notSets: ['c'] },
        destination: { portSets: ['p'], notPortSets: ['q'] },
      },
      ipv4: [
        '! -p 17 -m set --match-set oci4-a src -m set --match-set oci4-b src -m set ! --match-set oci4-c src ' +
          '-m set --match-set oci4-p:port dst,dst -m set ! --match-set oci4-q:port dst,dst -j DROP',
      ],
      ipv6: [
        '! -p 17 -m set --match-set oci6-a src -m set --match-set oci6-b src -m set ! --match-set oci6-c src ' +
          '-m set --match-set oci6-p:port dst,dst -m set ! --match-set oci6-q:port dst,dst -j DROP',
      ],
    },
    {
      name: 'a CIDR with exceptions and /0: blocks for what one rule cannot hold',
      rule: {
        action: 'deny',
        source: { nets: ['10.0.0.0/8'], notNets: ['10.1.0.0/16'] },
        destination: { nets: ['0.0.0.0/0', '192.0.2.0/24'], notNets: ['::/0'] },
      },
      ipv4: [
        '-j MARK --set-xmark 0x40000/0xc0000',
        '-s 10.1.0.0/16 -j MARK --set-xmark 0x0/0x40000',
        '-m mark --mark 0x40000/0x40000 -s 10.0.0.0/8 -j DROP',
      ],
      ipv6: [],
    },
    {
      name: 'log never decides',
      rule: { action: 'log', protocol: 17 },
      ipv4: ['-p 17 -j LOG --log-prefix "ocicat-packet: " --log-level 5'],
      ipv6: ['-p 17 -j LOG --log-prefix "ocicat-packet: " --log-level 5'],
    },
  ];
  for (const { name, rule, ipv4, ipv6 } of cases) {
    it(name, () => {
      assert.equal(policyProblem({ ingress: [rule], egress: [] }), undefined);
      const content = renderPolicyChain('oci-pi-x', 'gnp/x', 'ingress', [rule], context);
      assert.deepEqual({ ipv4: bare(content.ipv4), ipv6: bare(content.ipv6) }, { ipv4, ipv6 });
    });
  }

  it('15 slots fit one multiport match, ranges take two, 16 and 31 need more', () => {
    const ports = (count: number) => Array.from({ length: count }, (_, i) => port(100 + i));
    assert.equal(multiportLists(ports(15)).length, 1);
    assert.equal(multiportLists(ports(16)).length, 2);
    assert.equal(multiportLists(ports(31)).length, 3);
    assert.deepEqual(
      multiportLists([...ports(14), port(1, 2)]).map((list) => list.split(/[,:]/).length),
      [14, 2],
    );
  });

  it('a log rule can be bounded', () => {
    const options: RulesOptions = { ...DEFAULT_RULES_OPTIONS, logRateLimit: '10/minute' };
    const content = renderPolicyChain('c', 'gnp/x', 'egress', [{ action: 'log' }], { ...context, options });
    assert.deepEqual(bare(content.ipv4), [
      '-m limit --limit 10/minute --limit-burst 5 -j LOG --log-prefix "ocicat-packet: " --log-level 5',
    ]);
  });

  it('comments name policy and rule, and cannot break out of their quotes', () => {
    const content = renderPolicyChain(
      'c',
      'gnp/x',
      'ingress',
      [{ action: 'deny', comment: 'a"b\n-j ACCEPT\\' }],
      context,
    );
    assert.match(
      content.ipv4[0]?.text ?? '',
      /^-m comment --comment "oci:[\w-]{16}" -m comment --comment "gnp\/x ingress 0 a_b_-j ACCEPT_" -j DROP$/,
    );
  });

  it('contradictions match nothing', () => {
    assert.equal(ruleMatch({ action: 'deny', protocol: 6, notProtocol: 6 }, 'ipv4'), undefined);
    assert.equal(ruleMatch({ action: 'deny', family: 'ipv6' }, 'ipv4'), undefined);
    assert.equal(ruleMatch({ action: 'deny', icmp: { type: 8 }, protocol: 58 }, 'ipv4'), undefined);
    assert.equal(ruleMatch({ action: 'deny', source: { notNets: ['0.0.0.0/0'] } }, 'ipv4'), undefined);
  });
});

describe('policy rendering: endpoints and static chains', () => {
  it('an endpoint chain: known flows, tier with its policies and end, profiles, drop', () => {
    const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
    model.change(policy('gnp/a', { action: 'allow' }));
    model.change(policy('profile/p', { action: 'allow' }));
    model.change(upsert());
    const { chains } = model.drain();
    const toPolicy = `-j ${policyChainName('ingress', 'gnp/a')}`;
    const toProfile = (direction: 'ingress' | 'egress') => `-j ${policyChainName(direction, 'profile/p')}`;
    assert.deepEqual(bare(chains.get('oci-tw-ocix')?.ipv6 ?? []), [
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-m conntrack --ctstate INVALID -j DROP',
      '-j MARK --set-xmark 0x0/0x30000',
      `-m mark --mark 0x0/0x20000 ${toPolicy}`,
      '-m mark --mark 0x10000/0x10000 -j RETURN',
      '-m mark --mark 0x0/0x20000 -j DROP',
      toProfile('ingress'),
      '-m mark --mark 0x10000/0x10000 -j RETURN',
      '-j DROP',
    ]);
    assert.deepEqual(bare(chains.get('oci-fw-ocix')?.ipv6 ?? []), [
      '-p 58 -m mark --mark 0x100000/0x100000 -j oci-nd',
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-m conntrack --ctstate INVALID -j DROP',
      '-j MARK --set-xmark 0x0/0x30000',
      toProfile('egress'),
      '-m mark --mark 0x10000/0x10000 -j RETURN',
      '-j DROP',
    ]);
    assert.deepEqual(bare(chains.get('oci-from-wl-dispatch')?.ipv4 ?? []), [
      '-i ocix -g oci-fw-ocix',
      '-j DROP',
    ]);
    assert.deepEqual(model.problems, []);
  });

  it('parameters change what they say', () => {
    const options: RulesOptions = {
      ...DEFAULT_RULES_OPTIONS,
      endpointToHostAction: 'ACCEPT',
      allowAction: 'RETURN',
      denyAction: 'REJECT',
      dropInvalid: false,
      allowVxlanFromWorkloads: true,
      allowIpipFromWorkloads: true,
      markMask: 0xf8,
    };
    const model = new PolicyModel(options);
    model.change(upsert());
    const chain = bare(model.drain().chains.get('oci-tw-ocix')?.ipv4 ?? []);
    assert.deepEqual(chain.slice(0, 3), [
      '-m conntrack --ctstate RELATED,ESTABLISHED -j MARK --set-xmark 0x8/0x8',
      '-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
      '-j MARK --set-xmark 0x0/0x18',
    ]);
    assert.equal(chain.at(-1), '-j REJECT');
    const filter = renderStaticTables(model.context).find(
      ({ table, family }) => table === 'filter' && family === 'ipv4',
    );
    assert.deepEqual(bare(filter?.chains.get('oci-wl-to-host') ?? []), [
      '-j MARK --set-xmark 0x80/0xf8',
      '-j oci-from-wl-dispatch',
      '-j ACCEPT',
    ]);
    assert.throws(() => allocateMarkBits(0xf), /has 4 bits, but 5 are needed/);
  });

  it('policies that nobody uses are not rendered, and go when the last user does', () => {
    const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
    const chain = policyChainName('ingress', 'gnp/a');
    model.change(policy('gnp/a', { action: 'allow' }));
    assert.ok(!model.drain().chains.has(chain));
    model.change(upsert());
    model.change({ ...upsert({ ...ENDPOINT, interfaceName: 'ociy' }), id: 'f' } as PolicyChange);
    assert.ok(model.drain().chains.get(chain));
    model.change({ kind: 'endpoint-remove', id: 'e' });
    assert.ok(!model.drain().chains.has(chain));
    model.change({ kind: 'endpoint-remove', id: 'f' });
    const { chains } = model.drain();
    assert.ok(chains.has(chain) && chains.get(chain) === undefined);
    assert.ok(chains.has('oci-tw-ociy') && chains.get('oci-tw-ociy') === undefined);
  });

  it('a change renders only what depends on it', () => {
    const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
    model.change(policy('gnp/a', { action: 'allow' }));
    for (let i = 0; i < 100; i++) {
      model.change({
        kind: 'endpoint-upsert',
        id: `e${i}`,
        endpoint: { ...ENDPOINT, interfaceName: `oci${i}` },
      });
    }
    model.drain();
    model.change(policy('gnp/a', { action: 'deny' }));
    assert.deepEqual([...model.drain().chains.keys()], [policyChainName('ingress', 'gnp/a')]);
    model.change({
      kind: 'endpoint-upsert',
      id: 'e5',
      endpoint: { ...ENDPOINT, interfaceName: 'oci5', profiles: [] },
    });
    assert.deepEqual([...model.drain().chains.keys()].sort(), ['oci-fw-oci5', 'oci-tw-oci5']);
  });

  it('what is wrong drops everything and is named; the cure heals it', () => {
    const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
    const chain = policyChainName('ingress', 'gnp/a');
    const drop = ['-j DROP'];
    model.change(upsert());
    assert.deepEqual(bare(model.drain().chains.get(chain)?.ipv4 ?? []), drop);
    assert.deepEqual(
      model.problems.map(({ subject }) => subject),
      ['policy gnp/a', 'policy profile/p'],
    );
    model.change(policy('profile/p'));
    model.change(policy('gnp/a', { action: 'allow', destination: { ports: [port(80)] } }));
    assert.deepEqual(bare(model.drain().chains.get(chain)?.ipv4 ?? []), drop);
    assert.match(model.problems[0]?.reason ?? '', /^ingress rule 0: destination: ports need a protocol/);
    model.change(policy('gnp/a', { action: 'allow', source: { sets: ['s'] } }));
    assert.deepEqual(bare(model.drain().chains.get(chain)?.ipv4 ?? []), drop);
    assert.equal(model.problems[0]?.reason, 'set s is unknown');
    model.change({ kind: 'set-upsert', id: 's', type: 'net', members: new Set() });
    assert.equal(model.drain().chains.get(chain)?.ipv4.length, 2);
    assert.deepEqual(model.problems, []);
    model.change({ kind: 'set-remove', id: 's' });
    assert.deepEqual(bare(model.drain().chains.get(chain)?.ipv4 ?? []), drop);
  });

  it('a link that changes hands belongs to the last that claimed it, also when the old owner goes later', () => {
    const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
    model.change(upsert());
    model.change({ ...upsert({ ...ENDPOINT, profiles: [] }), id: 'new' } as PolicyChange);
    model.change({ kind: 'endpoint-remove', id: 'e' });
    assert.ok(model.drain().chains.get('oci-fw-ocix'));
    assert.equal(model.ownerOf('ocix'), 'new');
    assert.equal(model.chainsOf('e'), undefined);
  });

  const badEndpoints: readonly [Partial<EndpointPolicy>, RegExp][] = [
    [{ interfaceName: 'eth0' }, /does not start with oci/],
    [{ interfaceName: 'oci' }, /does not start with oci and more/],
    [{ interfaceName: 'oci"; -j ACCEPT' }, /is not 1 to 15/],
    [{ addresses: ['10.0.0.0/24'] }, /is no \/32/],
  ];
  for (const [change, expected] of badEndpoints) {
    it(`refuses an endpoint: ${expected.source}`, () => {
      assert.match(endpointProblem({ ...ENDPOINT, ...change }, 'oci') ?? '', expected);
      const model = new PolicyModel(DEFAULT_RULES_OPTIONS);
      model.change(upsert({ ...ENDPOINT, ...change }));
      assert.deepEqual([...model.drain().chains.keys()].sort(), [
        'oci-from-wl-dispatch',
        'oci-to-wl-dispatch',
      ]);
      assert.equal(model.isUsable('e'), false);
    });
  }
});

describe('policy rendering: names and identities', () => {
  it('fit, are stable and tell things apart', () => {
    const long = `gnp/${'x'.repeat(200)}`;
    assert.match(policyChainName('ingress', 'profile/kns.default'), /^oci-pri-kns_def\.[\w-]{12}$/);
    for (const direction of ['ingress', 'egress'] as const) {
      assert.ok(policyChainName(direction, long).length <= MAX_CHAIN_NAME);
      assert.ok(endpointChainName(direction, 'oci123456789012').length <= MAX_CHAIN_NAME);
    }
    assert.notEqual(policyChainName('ingress', long), policyChainName('ingress', `${long}y`));
    assert.ok(kernelSetName('ipv6', 'ip-port', 'a'.repeat(20)).length <= 31);
    assert.equal(setIdOfKernelName(kernelSetName('ipv6', 'ip-port', 'abc')), 'abc');
  });

  it('the same rule in another chain or with another comment is another rule', () => {
    const spec = { matches: ['-p 6'], target: '-j DROP', comment: 'a' };
    const [one] = renderRules('x', [spec]);
    const [other] = renderRules('y', [spec]);
    const [commented] = renderRules('x', [{ ...spec, comment: 'b' }]);
    assert.equal(new Set([one?.hash, other?.hash, commented?.hash]).size, 3);
    assert.deepEqual(renderRules('x', [{ matches: [], target: '-j DROP' }, spec])[1], one);
  });
});
