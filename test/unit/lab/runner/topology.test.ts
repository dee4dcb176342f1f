import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { parseChecks } from '../../../../lab/runner/checks-file.ts';
import { parseTopology } from '../../../../lab/runner/topology.ts';
import { splitWords } from '../../../../lab/runner/words.ts';

const GOOD = `name: small
topology:
  nodes:
    h1:
      kind: linux
      image: host:latest
      network-mode: none
      labels:
        ocicat.role: host
      binds:
        - small/h1:/etc/ocicat:ro
      exec:
        - ip addr add 10.0.0.1/24 dev eth1
    r1:
      kind: linux
      image: frr:latest
      network-mode: none
      labels: {ocicat.role: frr}
  links:
    - endpoints: [h1:eth1, r1:eth1]
`;

const REFUSED: { title: string; change: [string, string]; error: RegExp }[] = [
  {
    title: 'an unknown key at the top',
    change: ['name: small', 'name: small\nmgmt: {}'],
    error: /^f:2: the lab does not know the key "mgmt"/,
  },
  {
    title: 'an unknown key of a node',
    change: ['      image: frr:latest', '      image: frr:latest\n      startup-config: x'],
    error: /^f:17: topology\.nodes\.r1: the lab does not know the key "startup-config"/,
  },
  {
    title: 'another kind',
    change: ['kind: linux', 'kind: ceos'],
    error: /^f:5: topology\.nodes\.h1\.kind: /,
  },
  {
    title: 'an unknown role',
    change: ['role: host', 'role: switch'],
    error: /^f:9: .*"switch" is not one of host, frr, bird/,
  },
  {
    title: 'a missing key',
    change: ['      image: host:latest\n', ''],
    error: /^f:5: topology\.nodes\.h1: the key "image" is missing/,
  },
  {
    title: 'an absolute bind source',
    change: ['- small/h1:', '- /small/h1:'],
    error: /^f:11: .*relative to this file/,
  },
  { title: 'an unknown bind option', change: [':ro', ':rw,z'], error: /^f:11: .*bind option "rw,z"/ },
  {
    title: 'an unclosed quote',
    change: ['dev eth1', 'dev "eth1'],
    error: /^f:13: topology\.nodes\.h1\.exec\[0\]: a " is not closed/,
  },
  { title: 'a link to eth0', change: ['r1:eth1]', 'r1:eth0]'], error: /^f:20: .*"r1:eth0" is not NODE:ethN/ },
  { title: 'a link to nobody', change: ['r1:eth1]', 'r2:eth1]'], error: /^f:20: .*there is no node "r2"/ },
  { title: 'an end used twice', change: ['r1:eth1]', 'h1:eth1]'], error: /^f:20: .*already an end/ },
  { title: 'a duplicate key', change: ['    r1:', '    h1:'], error: /^f:\d+: / },
];

describe('lab/runner/topology', () => {
  it('reads nodes, binds, commands and links', () => {
    const topology = parseTopology('f', GOOD);
    assert.equal(topology.name, 'small');
    assert.deepEqual(topology.nodes[0], {
      name: 'h1',
      role: 'host',
      image: 'host:latest',
      binds: [{ source: 'small/h1', target: '/etc/ocicat', readOnly: true }],
      exec: [
        {
          line: 'ip addr add 10.0.0.1/24 dev eth1',
          words: ['ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'eth1'],
        },
      ],
    });
    assert.deepEqual(topology.links, [
      { a: { node: 'h1', device: 'eth1' }, b: { node: 'r1', device: 'eth1' } },
    ]);
  });

  for (const { title, change, error } of REFUSED) {
    it(`refuses ${title}, by line and name`, () => {
      const text = GOOD.replace(change[0], change[1]);
      assert.notEqual(text, GOOD);
      assert.throws(() => parseTopology('f', text), { name: 'FileError', message: error });
    });
  }

  const folder = `${import.meta.dirname}/../../../../lab/topologies`;
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.clab.yml'))) {
    it(`${file} and its checks fit together`, () => {
      const topology = parseTopology(file, readFileSync(`${folder}/${file}`, 'utf8'));
      const name = file.slice(0, -'.clab.yml'.length);
      assert.equal(topology.name, name);
      const checks = parseChecks('checks.yml', readFileSync(`${folder}/${name}/checks.yml`, 'utf8'));
      const nodes = new Set(topology.nodes.map((node) => node.name));
      for (const container of checks.containers) assert.ok(nodes.has(container.name.split('/')[0] ?? ''));
      for (const phase of checks.phases) {
        for (const part of [phase.sessions, phase.bgp, phase.kernel]) {
          for (const node of Object.keys(part ?? {})) assert.ok(nodes.has(node), node);
        }
      }
    });
  }

  it('splits command lines as a shell without expansion would', () => {
    assert.deepEqual(splitWords(`a "b c" 'd "e' f\\ g ''`), {
      ok: true,
      words: ['a', 'b c', 'd "e', 'f g', ''],
    });
    assert.deepEqual(splitWords('  '), { ok: false, reason: 'the command is empty' });
    assert.deepEqual(splitWords('a\\'), { ok: false, reason: 'ends in a backslash' });
  });
});
