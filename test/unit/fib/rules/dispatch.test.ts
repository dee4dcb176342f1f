import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DispatchTree, MAX_LINKS_PER_CHAIN } from '../../../../fib/rules/dispatch.ts';
import { MAX_CHAIN_NAME } from '../../../../fib/rules/names.ts';
import { type ModelPacket, simulate } from '../../../support/iptables-simulator.ts';

const PACKET: ModelPacket = {
  inputLink: '',
  outputLink: '',
  source: '10.0.0.1',
  destination: '10.0.0.2',
  protocol: 6,
  sourcePort: 1,
  destinationPort: 2,
  icmpType: 0,
  icmpCode: 0,
  connection: 'NEW',
};

type Chains = Map<string, readonly string[]>;

function drainInto(tree: DispatchTree, chains: Chains): void {
  for (const [name, rules] of tree.drain()) {
    if (rules)
      chains.set(
        name,
        rules.map((rule) => rule.text),
      );
    else chains.delete(name);
  }
}

/** A tree made at once. */
function freshChains(links: Iterable<string>): Chains {
  const tree = new DispatchTree('egress');
  for (const link of links) tree.add(link);
  const chains: Chains = new Map();
  drainInto(tree, chains);
  return chains;
}

const link = fc
  .array(fc.constantFrom('a', 'b', 'c', '1'), { minLength: 1, maxLength: 12 })
  .map((cs) => `oci${cs.join('')}`);

describe('dispatch tree', () => {
  it('step by step gives the same chains as all at once, and every link its own chain', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ link, add: fc.boolean(), drain: fc.boolean() }), { maxLength: 80 }),
        fc.array(link, { minLength: 0, maxLength: 40 }),
        (steps, base) => {
          const tree = new DispatchTree('egress');
          const links = new Set(base);
          const chains: Chains = new Map();
          for (const name of base) tree.add(name);
          for (const step of steps) {
            if (step.add) tree.add(step.link);
            else tree.remove(step.link);
            if (step.add) links.add(step.link);
            else links.delete(step.link);
            if (step.drain) drainInto(tree, chains);
          }
          drainInto(tree, chains);
          assert.deepEqual(new Map([...chains].sort()), new Map([...freshChains(links)].sort()));

          for (const [name, rules] of chains) {
            assert.ok(name.length <= MAX_CHAIN_NAME, name);
            assert.ok(
              rules.length <= 1 + Math.max(MAX_LINKS_PER_CHAIN, 4 + 1),
              `${name} has ${rules.length} rules`,
            );
          }
          const leaves = new Map([...links].map((name) => [`oci-fw-${name}`, ['-j ACCEPT']]));
          for (const name of new Set([...links, ...steps.map((step) => step.link), 'ociz', 'oci'])) {
            const { verdict } = simulate(
              new Map([...chains, ...leaves]),
              'oci-from-wl-dispatch',
              { ...PACKET, inputLink: name },
              () => false,
            );
            assert.equal(verdict, links.has(name) ? 'ACCEPT' : 'DROP', name);
            if (links.has(name)) for (const chain of tree.chainsOf(name)) assert.ok(chains.has(chain), chain);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a new link among a thousand changes few short chains', () => {
    const tree = new DispatchTree('ingress');
    for (let i = 0; i < 1000; i++) tree.add(`oci${((i * 2654435761) >>> 0).toString(16).padStart(8, '0')}`);
    tree.drain();
    tree.add('oci0123abcd');
    const changes = tree.drain();
    let lines = 0;
    for (const rules of changes.values()) lines += rules?.length ?? 0;
    assert.ok(changes.size <= 5, `${changes.size} chains`);
    assert.ok(lines <= 70, `${lines} rules`);
  });
});
