import assert from 'node:assert/strict';
import { openLog } from '../../../../src/agent/log.ts';
import { makeEndpoint } from '../../../../src/docker/endpoint-resource.ts';
import type { EngineNetwork } from '../../../../src/docker/engine-api.ts';
import type { HeldAddress } from '../../../../src/docker/ipam-driver.ts';
import type { SandboxState } from '../../../../src/docker/sandbox.ts';
import { DockerSweep, GRACE_MS, signOfLife } from '../../../../src/docker/sweep.ts';
import type { WorkloadEndpoint } from '../../../../src/model/workload-endpoint.ts';
import { formatAddress } from '../../../../src/net/address.ts';
import { address } from '../../../support/net.ts';

const LEAK_GRACE_MS = 900_000;
/** When the engine is asked, unless told otherwise. */
const ASKED_AT = 1_000_000;

/** A host whose kernel and engine are as the test says. */
class Bench {
  readonly endpoints = new Map<string, WorkloadEndpoint>();
  readonly sandboxes = new Map<string, SandboxState>();
  readonly carriers = new Map<string, boolean>();
  readonly joinedAt = new Map<string, number>();
  readonly waiting = new Set<string>();
  held: HeldAddress[] = [];
  lockReason: string | undefined;
  nowMs = 0;
  looks = 0;
  /** how often all endpoints were asked for */
  listed = 0;
  onProcesses = (): void => {};
  onRelease = (): void => {};
  readonly sweep = new DockerSweep({
    networks: {
      resources: () => {
        this.listed++;
        return [...this.endpoints.values()];
      },
      joinedAt: (id) => this.joinedAt.get(id) ?? 0,
      forget: async (id) => void this.endpoints.delete(id),
      isWaiting: (asked) => this.waiting.has(formatAddress(asked)),
    },
    addresses: {
      held: async () => this.held,
      release: async (released) => {
        this.held = this.held.filter((each) => each !== released);
        this.onRelease();
      },
    },
    lockReason: () => this.lockReason,
    hasCarrier: (link) => this.carriers.get(link),
    lookAtProcesses: async () => {
      this.looks++;
      this.onProcesses();
      return async (path) => this.sandboxes.get(path) ?? 'gone';
    },
    leakGraceMs: LEAK_GRACE_MS,
    clock: () => this.nowMs,
    log: openLog({ level: 'fatal', format: 'json' }),
  });

  /** Adds an endpoint; returns the name of its link. `carrier`: undefined without a link. */
  add(id: string, sandbox: SandboxState, carrier: boolean | undefined, text = '10.65.1.1'): string {
    const resource = makeEndpoint(
      'h1',
      { id, networkId: 'n', addresses: [address(text)], sandbox: `/run/${id}`, ports: [] },
      { id: 'n', labels: {}, options: {} },
      { id: `container-${id}`, name: `name-${id}`, labels: {} },
    );
    this.endpoints.set(id, resource);
    this.be(id, sandbox, carrier);
    return resource.spec.interfaceName;
  }

  be(id: string, sandbox: SandboxState, carrier: boolean | undefined): void {
    this.sandboxes.set(`/run/${id}`, sandbox);
    const link = this.endpoints.get(id)?.spec.interfaceName ?? '';
    if (carrier === undefined) this.carriers.delete(link);
    else this.carriers.set(link, carrier);
  }

  hold(text: string, since: number): void {
    this.held.push({ address: address(text), handle: `h-${text}`, sequenceNumber: 1n, since });
  }

  look(known: readonly string[] = [], askedAt = ASKED_AT, reserved: readonly string[] = []) {
    return this.sweep.look([network(known, reserved)], askedAt);
  }

  get left(): string[] {
    return [...this.endpoints.keys()].sort();
  }
}

function network(endpointIds: readonly string[], reserved: readonly string[]): EngineNetwork {
  return {
    Id: 'n',
    Name: 'n1',
    Labels: {},
    Options: {},
    IPAM: { Config: [{ AuxiliaryAddresses: Object.fromEntries(reserved.map((text) => [text, text])) }] },
    Containers: Object.fromEntries(endpointIds.map((id) => [`c${id}`, { EndpointID: id, Name: id }])),
  };
}

describe('endpoints that Docker does not know', () => {
  it('have these signs of life', () => {
    const cases: readonly [boolean | undefined, SandboxState, RegExp | undefined][] = [
      [true, 'used', /processes/],
      [false, 'used', /processes/],
      [undefined, 'used', /processes/],
      [true, 'empty', undefined],
      [false, 'empty', undefined],
      [undefined, 'empty', undefined],
      [true, 'gone', /interface is up/],
      [false, 'gone', undefined],
      [undefined, 'gone', undefined],
      [true, 'unknown', /interface is up/],
      [false, 'unknown', /cannot be told/],
      [undefined, 'unknown', undefined],
    ];
    for (const [carrier, sandbox, sign] of cases) {
      const found = signOfLife(carrier, sandbox);
      if (sign === undefined) assert.equal(found, undefined, `${carrier} ${sandbox}`);
      else assert.match(found ?? '', sign, `${carrier} ${sandbox}`);
    }
  });

  it('go at once when nothing of them is left, and those that it knows never', async () => {
    const bench = new Bench();
    bench.add('dead', 'gone', undefined);
    bench.add('known', 'gone', undefined);
    assert.equal(await bench.look(['known']), undefined);
    assert.deepEqual(bench.left, ['known']);
    assert.deepEqual(bench.sweep.lost, []);
    bench.nowMs += 10 * LEAK_GRACE_MS;
    await bench.look(['known']);
    assert.deepEqual(bench.left, ['known']);
    assert.equal(bench.looks, 1, 'processes are looked at for those that are not known alone');
  });

  it('stay for the grace time when something is left that shows no sign of life', async () => {
    const bench = new Bench();
    const link = bench.add('emptied', 'empty', true);
    bench.add('cut', 'unknown', undefined);
    assert.equal(await bench.look(), LEAK_GRACE_MS / 2);
    assert.deepEqual(
      bench.sweep.lost.map(({ workload, sign }) => [workload, sign]),
      [
        ['name-emptied', undefined],
        ['name-cut', undefined],
      ],
    );
    assert.ok(bench.sweep.concerns(link));
    assert.ok(!bench.sweep.concerns('oci1'));
    bench.nowMs = LEAK_GRACE_MS - 1;
    await bench.look();
    assert.deepEqual(bench.left, ['cut', 'emptied']);
    bench.nowMs = LEAK_GRACE_MS;
    assert.equal(await bench.look(), undefined);
    assert.deepEqual(bench.left, []);
    assert.ok(!bench.sweep.concerns(link));
  });

  it('have the whole time anew after any sign, or when Docker knew them meanwhile', async () => {
    const bench = new Bench();
    bench.add('a', 'empty', true);
    bench.add('b', 'empty', true);
    await bench.look();
    bench.nowMs = LEAK_GRACE_MS - 1;
    bench.be('a', 'used', true);
    await bench.look(['b']);
    assert.deepEqual(
      bench.sweep.lost.map(({ id, sign }) => [id, sign !== undefined]),
      [['a', true]],
    );
    bench.be('a', 'empty', true);
    bench.nowMs = LEAK_GRACE_MS + 1;
    await bench.look();
    bench.nowMs = 2 * LEAK_GRACE_MS;
    await bench.look();
    assert.deepEqual(bench.left, ['a', 'b']);
    bench.nowMs = 2 * LEAK_GRACE_MS + 1;
    await bench.look();
    assert.deepEqual(bench.left, []);
  });

  it('stay as long as they live, and go once they are gone', async () => {
    const bench = new Bench();
    bench.add('a', 'used', true);
    for (let look = 0; look < 10; look++) {
      assert.equal(await bench.look(), LEAK_GRACE_MS / 2);
      bench.nowMs += LEAK_GRACE_MS;
    }
    assert.deepEqual(bench.left, ['a']);
    bench.be('a', 'gone', undefined);
    await bench.look();
    assert.deepEqual(bench.left, []);
  });

  it('that were joined as the question was put are judged later', async () => {
    const bench = new Bench();
    bench.add('young', 'gone', undefined);
    bench.joinedAt.set('young', ASKED_AT - GRACE_MS + 1);
    assert.equal(await bench.look(), GRACE_MS);
    assert.deepEqual(bench.left, ['young']);
    assert.equal(await bench.look([], ASKED_AT + 1), undefined);
    assert.deepEqual(bench.left, []);
  });

  it('that were joined again while the processes were looked at stay', async () => {
    const bench = new Bench();
    bench.add('again', 'gone', undefined);
    bench.onProcesses = () => void bench.joinedAt.set('again', ASKED_AT + 1);
    await bench.look();
    assert.deepEqual(bench.left, ['again']);
  });

  it('are left alone while the store is locked', async () => {
    const bench = new Bench();
    bench.add('dead', 'gone', undefined);
    bench.hold('10.65.1.9', 0);
    bench.lockReason = 'it moves';
    assert.equal(await bench.look(), GRACE_MS);
    assert.deepEqual(bench.left, ['dead']);
    assert.equal(bench.held.length, 1);
  });
});

describe('addresses that Docker does not use', () => {
  it('go back unless an endpoint, a reservation or their youth speaks for them', async () => {
    const bench = new Bench();
    bench.add('known', 'used', true, '10.65.1.1');
    bench.waiting.add('10.65.1.2');
    for (const text of ['10.65.1.1', '10.65.1.2', '10.65.1.3', '10.65.1.4']) bench.hold(text, 0);
    bench.hold('10.65.1.5', ASKED_AT - GRACE_MS + 1);
    assert.equal(await bench.look(['known'], ASKED_AT, ['10.65.1.3']), GRACE_MS);
    assert.deepEqual(
      bench.held.map((each) => formatAddress(each.address)),
      ['10.65.1.1', '10.65.1.2', '10.65.1.3', '10.65.1.5'],
    );
  });

  it('are compared with the endpoints once, and each again before it goes back', async () => {
    const bench = new Bench();
    for (let index = 0; index < 200; index++) {
      bench.add(`e${index}`, 'used', true, `10.65.1.${index}`);
      bench.hold(`10.65.1.${index}`, 0);
    }
    for (const text of ['10.65.2.1', '10.65.2.2', '10.65.2.3']) bench.hold(text, 0);
    // One that an endpoint gets while another goes back.
    bench.onRelease = () => void bench.add('late', 'used', true, '10.65.2.2');
    bench.listed = 0;
    await bench.look([...bench.endpoints.keys()]);
    assert.deepEqual(
      bench.held.slice(200).map((each) => formatAddress(each.address)),
      ['10.65.2.2'],
    );
    assert.equal(bench.listed, 1 + 1 + 3);
  });

  it('stay with an endpoint that has its time to show a sign of life', async () => {
    const bench = new Bench();
    bench.add('emptied', 'empty', true, '10.65.1.1');
    bench.hold('10.65.1.1', 0);
    await bench.look();
    assert.equal(bench.held.length, 1);
    bench.nowMs = LEAK_GRACE_MS;
    await bench.look();
    assert.deepEqual(bench.held, []);
  });
});
