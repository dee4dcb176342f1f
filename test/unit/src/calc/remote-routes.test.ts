import assert from 'node:assert/strict';
import {
  type Encapsulation,
  encapsulated,
  type OverlayNode,
  type OwnedBlock,
  type RemoteRoutes,
  type RemoteRoutesInput,
  remoteRoutes,
} from '../../../../src/calc/remote-routes.ts';
import type { EncapsulationMode } from '../../../../src/model/ip-pool.ts';
import { type Address, formatAddress, parseAddress } from '../../../../src/net/address.ts';
import { formatPrefix, type Prefix, parsePrefix } from '../../../../src/net/prefix.ts';

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}

function node(name: string, suffix: number, subnet = '192.0.2'): [string, OverlayNode] {
  const mac = new Uint8Array([0x66, 0, 0, 0, 0, suffix]);
  const inner = subnet === '192.0.2' ? 2 : 3;
  return [
    name,
    {
      name,
      ends: {
        ipv4: { host: address(`${subnet}.${suffix}`), address: address(`10.0.${suffix}.1`), mac },
        ipv6: { host: address(`2001:db8:${inner}::${suffix}`), address: address(`fd00::${suffix}01`), mac },
      },
    },
  ];
}

function block(cidr: string, host?: string, borrowed: Record<string, readonly string[]> = {}): OwnedBlock {
  const entries = Object.entries(borrowed).map(([user, texts]) => [user, texts.map(address)] as const);
  return { prefix: prefix(cidr), host, borrowed: entries.length === 0 ? undefined : new Map(entries) };
}

function input(
  mode: EncapsulationMode,
  blocks: readonly OwnedBlock[],
  encapsulation: Encapsulation = 'vxlan',
): RemoteRoutesInput {
  return {
    host: 'me',
    pools: [
      { cidr: prefix('10.0.0.0/16'), encapsulation, mode },
      { cidr: prefix('fd00::/96'), encapsulation: 'vxlan', mode },
      { cidr: prefix('10.9.0.0/16'), encapsulation: 'vxlan', mode: 'Never' },
    ],
    nodes: new Map([
      node('near', 2),
      node('far', 3, '198.51.100'),
      ['calm', { name: 'calm', ends: { ipv4: { mac: new Uint8Array(6) } } }],
    ]),
    blocks,
    subnets: [
      { prefix: prefix('192.0.0.0/16'), ifindex: 6 },
      { prefix: prefix('192.0.2.0/24'), ifindex: 7 },
      { prefix: prefix('2001:db8:2::/64'), ifindex: 7 },
    ],
  };
}

/** Routes and ends in words. */
function words({ routes, ends }: RemoteRoutes): string[] {
  return [
    ...routes.map(({ prefix: to, via }) => {
      const way =
        via.kind === 'link'
          ? 'on link'
          : `${via.kind} ${formatAddress(via.gateway)}${via.kind === 'plain' ? ` dev ${via.ifindex}` : ''}`;
      return `${formatPrefix(to)} ${way}`;
    }),
    ...[...ends.ipv4, ...ends.ipv6].map(
      (end) => `end ${formatAddress(end.address)} at ${formatAddress(end.host)}`,
    ),
  ];
}

describe('routes to other hosts', () => {
  const cases: readonly [string, EncapsulationMode, readonly OwnedBlock[], readonly string[]][] = [
    ['Never: none', 'Never', [block('10.0.2.0/26', 'near'), block('fd00::200/122', 'far')], []],
    [
      'CrossSubnet, shared subnet: plain by the longest subnet, no end',
      'CrossSubnet',
      [block('10.0.2.0/26', 'near'), block('fd00::200/122', 'near')],
      ['10.0.2.0/26 plain 192.0.2.2 dev 7', 'fd00::200/122 plain 2001:db8:2::2 dev 7'],
    ],
    [
      'CrossSubnet, another subnet: through the tunnel',
      'CrossSubnet',
      [block('10.0.3.0/26', 'far'), block('fd00::300/122', 'far')],
      [
        'fd00::301/128 on link',
        '10.0.3.0/26 tunnel 10.0.3.1',
        'fd00::300/122 tunnel fd00::301',
        'end 10.0.3.1 at 198.51.100.3',
        'end fd00::301 at 2001:db8:3::3',
      ],
    ],
    [
      'Always: through the tunnel, and one end for many blocks',
      'Always',
      [block('10.0.2.0/26', 'near'), block('10.0.2.64/26', 'near')],
      ['10.0.2.0/26 tunnel 10.0.2.1', '10.0.2.64/26 tunnel 10.0.2.1', 'end 10.0.2.1 at 192.0.2.2'],
    ],
    [
      'borrowed addresses go to who uses them, also out of our own blocks and those of nobody; ours do not',
      'CrossSubnet',
      [
        block('10.0.1.0/26', 'me', { near: ['10.0.1.5'] }),
        block('10.0.2.0/26', 'near', { me: ['10.0.2.5'] }),
        block('10.0.4.0/26', undefined, { near: ['10.0.4.5'] }),
        block('10.0.5.0/26', 'virtual:load-balancer'),
      ],
      [
        '10.0.1.5/32 plain 192.0.2.2 dev 7',
        '10.0.2.0/26 plain 192.0.2.2 dev 7',
        '10.0.4.5/32 plain 192.0.2.2 dev 7',
      ],
    ],
    [
      'blocks of other pools and of no pool are not ours to route',
      'Always',
      [block('10.9.0.0/26', 'near'), block('172.16.0.0/26', 'near')],
      [],
    ],
  ];
  for (const [title, mode, blocks, expected] of cases) {
    it(title, () => assert.deepEqual(words(remoteRoutes(input(mode, blocks))), expected));
  }

  it('IPIP: the gateway is the host itself, near ones plain with CrossSubnet; no end, and no tunnel address is needed', () => {
    const blocks = [block('10.0.2.0/26', 'near'), block('10.0.3.0/26', 'far'), block('fd00::300/122', 'far')];
    assert.deepEqual(words(remoteRoutes(input('CrossSubnet', blocks.slice(0, 2), 'ipip'))), [
      '10.0.2.0/26 plain 192.0.2.2 dev 7',
      '10.0.3.0/26 ipip 198.51.100.3',
    ]);
    assert.deepEqual(words(remoteRoutes(input('Always', blocks.slice(0, 2), 'ipip'))), [
      '10.0.2.0/26 ipip 192.0.2.2',
      '10.0.3.0/26 ipip 198.51.100.3',
    ]);
    const both = words(remoteRoutes(input('Always', blocks.slice(1), 'ipip')));
    assert.ok(both.includes('10.0.3.0/26 ipip 198.51.100.3'), 'beside VXLAN for IPv6');
    assert.ok(both.includes('fd00::300/122 tunnel fd00::301'));
    const bare = { ...input('Always', [block('10.0.2.0/26', 'bare')], 'ipip') };
    const nodes = new Map([
      ['bare', { name: 'bare', ends: { ipv4: { host: address('192.0.2.9'), mac: new Uint8Array(6) } } }],
    ]);
    assert.deepEqual(words(remoteRoutes({ ...bare, nodes })), ['10.0.2.0/26 ipip 192.0.2.9']);
  });

  it('says which hosts cannot be reached and why', () => {
    const { routes, unreachable } = remoteRoutes(
      input('Always', [block('10.0.6.0/26', 'calm'), block('10.0.7.0/26', 'gone')]),
    );
    assert.deepEqual(routes, []);
    assert.match(unreachable.get('calm') ?? '', /no IPv4 address/);
    assert.match(unreachable.get('gone') ?? '', /no Node/);
  });

  it('leaves pools that are never encapsulated to BGP', () => {
    const { pools } = input('Always', []);
    assert.equal(encapsulated(pools).length, 2);
  });
});
