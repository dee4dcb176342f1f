import assert from 'node:assert/strict';
import { type DetectionLink, detectAddresses } from '../../../../src/agent/autodetect.ts';
import { formatInterfaceAddress, parseInterfaceAddress } from '../../../../src/net/prefix.ts';

function link(index: number, name: string, addresses: string[], up = true): DetectionLink {
  return {
    index,
    name,
    up,
    addresses: addresses.map((text) => {
      const usable = !text.endsWith('!');
      const parsed = parseInterfaceAddress(usable ? text : text.slice(0, -1));
      assert.ok(parsed);
      return { ...parsed, usable };
    }),
  };
}

function found(links: DetectionLink[]): [string, string] {
  const { families } = detectAddresses(links);
  return [families.ipv4, families.ipv6].map((detection) =>
    detection.kind === 'found' ? formatInterfaceAddress(detection.address) : detection.kind,
  ) as [string, string];
}

describe('src/agent/autodetect first-found', () => {
  const cases: [string, DetectionLink[], [string, string]][] = [
    ['no links', [], ['none', 'none']],
    [
      'one link with both families',
      [link(2, 'eth0', ['10.0.0.1/24', '2001:db8::1/64'])],
      ['10.0.0.1/24', '2001:db8::1/64'],
    ],
    [
      'order of index, not of listing',
      [link(3, 'b', ['10.3.0.1/24']), link(2, 'a', ['10.2.0.1/24'])],
      ['10.2.0.1/24', 'none'],
    ],
    [
      'container and tunnel links, ours too, are skipped',
      [
        link(1, 'docker0', ['172.17.0.1/16']),
        link(2, 'oci123', ['10.9.0.1/32']),
        link(3, 'ens3', ['10.0.0.5/24']),
      ],
      ['10.0.0.5/24', 'none'],
    ],
    [
      'loopback and link-local are skipped',
      [link(1, 'lo', ['127.0.0.1/8']), link(2, 'e', ['fe80::1/64', '169.254.0.9/16'])],
      ['none', 'none'],
    ],
    [
      'a link that is down is skipped',
      [link(2, 'e', ['10.0.0.1/24'], false), link(3, 'f', ['10.1.0.1/24'])],
      ['10.1.0.1/24', 'none'],
    ],
    [
      'secondary addresses do not count',
      [link(2, 'e', ['10.0.0.1/24', '10.0.0.2/24!'])],
      ['10.0.0.1/24', 'none'],
    ],
    [
      'two addresses on the first link are ambiguous',
      [link(2, 'e', ['10.0.0.1/24', '10.1.0.1/24'])],
      ['ambiguous', 'none'],
    ],
    [
      'families are found apart',
      [link(2, 'e', ['10.0.0.1/24']), link(3, 'f', ['10.1.0.1/24', '2001:db8::5/64'])],
      ['10.0.0.1/24', '2001:db8::5/64'],
    ],
  ];
  for (const [name, links, expected] of cases) {
    it(name, () => assert.deepEqual(found(links), expected));
  }

  it('gives a reason for every address it saw', () => {
    const { candidates } = detectAddresses([
      link(1, 'lo', ['127.0.0.1/8']),
      link(2, 'e', ['10.0.0.1/24']),
      link(3, 'f', ['10.1.0.1/24']),
    ]);
    assert.deepEqual(
      candidates.map(({ interface: name, chosen }) => [name, chosen]),
      [
        ['lo', false],
        ['e', true],
        ['f', false],
      ],
    );
    assert.ok(candidates.every(({ reason }) => reason !== ''));
  });
});
