import assert from 'node:assert/strict';
import { NatModel } from '../../../../fib/rules/nat.ts';
import { allocateMarkBits, DEFAULT_RULES_OPTIONS } from '../../../../fib/rules/options.ts';
import { renderStaticTables } from '../../../../fib/rules/static-chains.ts';
import type { PublishedPort } from '../../../../fib/rules/types.ts';

const texts = (rules: readonly { readonly text: string }[] | undefined): string[] =>
  (rules ?? []).map(({ text }) => text.replace(/^-m comment --comment "oci:[^"]*" /, ''));

const port = (rest: Partial<PublishedPort> = {}): PublishedPort => ({
  family: 'ipv4',
  protocol: 6,
  hostPort: 8080,
  address: '10.0.0.1',
  port: 80,
  ...rest,
});

describe('nat rendering', () => {
  it('static chains: loopback is published to this host alone, and for IPv6 not at all', () => {
    const context = {
      options: DEFAULT_RULES_OPTIONS,
      marks: allocateMarkBits(DEFAULT_RULES_OPTIONS.markMask),
    };
    const tables = renderStaticTables(context).filter(({ table }) => table === 'nat');
    assert.deepEqual(
      tables.map(({ family }) => family),
      ['ipv4', 'ipv6'],
    );
    const [ipv4, ipv6] = tables;
    const local = '-m addrtype --dst-type LOCAL -j oci-publish';
    assert.deepEqual(texts(ipv4?.chains.get('oci-PREROUTING')), [`! -d 127.0.0.0/8 ${local}`]);
    assert.deepEqual(texts(ipv4?.chains.get('oci-OUTPUT')), [local]);
    assert.deepEqual(texts(ipv6?.chains.get('oci-OUTPUT')), [`! -d ::1/128 ${local}`]);
    assert.deepEqual(texts(ipv4?.chains.get('oci-POSTROUTING')), [
      '-o oci+ -m conntrack --ctstate DNAT -j oci-hairpin',
      '-j oci-nat-out',
    ]);
    assert.deepEqual(
      ipv4?.jumps.map(({ builtin }) => builtin),
      ['PREROUTING', 'OUTPUT', 'POSTROUTING'],
    );
  });

  it('published ports: one address before all, one hairpin rule an address, brackets for IPv6', () => {
    const model = new NatModel();
    model.change({
      kind: 'published-upsert',
      id: 'a',
      ports: [
        port(),
        port({ hostAddress: '192.0.2.2', port: 81 }),
        port({ family: 'ipv6', address: 'fd00::1', protocol: 132 }),
      ],
    });
    const chains = model.drain();
    assert.deepEqual(texts(chains.get('oci-publish')?.ipv4), [
      '-d 192.0.2.2/32 -p 6 -m multiport --dports 8080 -j DNAT --to-destination 10.0.0.1:81',
      '-p 6 -m multiport --dports 8080 -j DNAT --to-destination 10.0.0.1:80',
    ]);
    assert.deepEqual(texts(chains.get('oci-publish')?.ipv6), [
      '-p 132 -m multiport --dports 8080 -j DNAT --to-destination [fd00::1]:80',
    ]);
    assert.deepEqual(texts(chains.get('oci-hairpin')?.ipv6), ['-s fd00::1/128 -d fd00::1/128 -j MASQUERADE']);
    assert.equal(texts(chains.get('oci-hairpin')?.ipv4).length, 2, '127.0.0.1 and the address, once');
    assert.deepEqual(model.chainsOf('a', 'ipv4'), ['oci-publish', 'oci-hairpin']);
    assert.deepEqual(model.chainsOf('b', 'ipv4'), []);
    assert.equal(model.drain().size, 0);
    model.change({ kind: 'published-upsert', id: 'a', ports: [port()] });
    model.change({ kind: 'published-remove', id: 'a' });
    assert.deepEqual(texts(model.drain().get('oci-publish')?.ipv4), []);
    assert.equal(model.isWanted('ipv4'), false);
  });

  it('natOutgoing: asks about --random-fully once a family masquerades, and renders nothing else', () => {
    const model = new NatModel();
    model.drain();
    model.change({ kind: 'nat-pools', masquerade: ['10.0.0.0/8'], all: ['10.0.0.0/8', 'fd00::/8'] });
    assert.deepEqual(model.familiesToProbe(), ['ipv4']);
    const rule = (): string[] => texts(model.drain().get('oci-nat-out')?.ipv4);
    assert.match(
      rule().join(),
      /--match-set oci4-:masq src -m set ! --match-set oci4-:pools dst -j MASQUERADE$/,
    );
    model.setRandomFully('ipv4', true);
    assert.deepEqual(model.familiesToProbe(), []);
    assert.match(rule().join(), /-j MASQUERADE --random-fully$/);
    assert.equal(model.isWanted('ipv6'), false);
    model.change({ kind: 'nat-pools', masquerade: [], all: ['10.0.0.0/8'] });
    assert.deepEqual(rule(), []);
  });

  it('remembers UDP mappings that came or went until they are forgotten', () => {
    const model = new NatModel();
    const [one, two] = [port({ protocol: 17 }), port({ protocol: 17, hostPort: 53 })];
    model.change({ kind: 'published-upsert', id: 'a', ports: [one, port()] });
    assert.deepEqual(model.stale(), [one]);
    model.forgetStale(model.stale());
    model.change({ kind: 'published-upsert', id: 'a', ports: [one, two] });
    assert.deepEqual(model.stale(), [two], 'what stays is not stale');
    model.change({ kind: 'published-remove', id: 'a' });
    assert.deepEqual(model.stale(), [two, one]);
  });
});
