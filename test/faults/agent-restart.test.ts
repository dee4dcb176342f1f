/**
 * The agent of a host dies or stops, and comes back, while containers of two racks talk. With graceful restart on the routers no packet is
 * lost and no route of the host's kernel is touched.
 */
import assert from 'node:assert/strict';
import type { Checks } from '../../lab/runner/checks-file.ts';
import type { StatusView } from '../../src/api/views.ts';
import { eventually } from '../support/eventually.ts';
import { labUp, type TestLab } from '../support/lab.ts';
import { type StartInside, Stream } from '../support/stream.ts';

/** `ip monitor route` of a host: proves with a route of the test's own that it sees everything. */
class RouteMonitor {
  readonly #lab: TestLab;
  readonly #node: string;
  readonly #child: ReturnType<TestLab['engine']['start']>;
  #text = '';
  #marks = 0;

  constructor(lab: TestLab, node: string) {
    this.#lab = lab;
    this.#node = node;
    this.#child = lab.engine.start(node, ['ip', '-ts', '-o', 'monitor', 'route']);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
  }

  /**
   * Everything that happened before is seen once a route made now is. Returns all lines but those of the test's own routes.
   * A monitor that does not listen yet misses some of those routes, so it is given new ones until it sees one go.
   */
  async lines(): Promise<string[]> {
    const first = this.#marks;
    await eventually('the monitor has seen a mark go', async () => {
      const mark = `198.18.${this.#marks >> 8}.${this.#marks & 255}`;
      this.#marks += 1;
      for (const verb of ['add', 'del']) {
        await this.#lab.run(this.#node, 'ip', 'route', verb, 'blackhole', `${mark}/32`, 'proto', '99');
      }
      return [...this.#text.matchAll(/Deleted blackhole 198\.18\.(\d+)\.(\d+)/g)].some(
        ([, high, low]) => Number(high) * 256 + Number(low) >= first,
      );
    });
    return this.#text.split('\n').filter((line) => line !== '' && !/ 198\.18\./.test(line));
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

const DEATHS = {
  SIGKILL: 'lab-node kill',
  SIGTERM: "sh -c 'read pid </run/ocicat/agent.pid; kill $pid; while kill -0 $pid 2>/dev/null; do :; done'",
} as const;

describe('agent restart between two racks with graceful restart', function () {
  this.timeout(150_000);
  let lab: TestLab;
  const streams: Stream[] = [];

  before(async () => {
    lab = await labUp('two-racks-gr');
  });
  after(async () => {
    for (const stream of streams.splice(0)) stream.close();
    await lab?.down();
  });

  const inside =
    (node: string, container: string): StartInside =>
    (command) =>
      lab.engine.start(node, ['nsenter', `--net=/run/netns/${container}`, ...command]);

  const status = async (node: string): Promise<StatusView> => {
    const { stdout } = await lab.engine.run(node, ['ocicat', 'status', '-o', 'json']);
    const view: StatusView = JSON.parse(stdout);
    return view;
  };

  // Phases of the lab's own checks file: the agent of the host is gone, then back, and routers, kernels and policy are as before.
  const phasesFor = (node: string, death: string): Checks['phases'] => {
    const [, gone, back] = lab.checks.phases;
    assert.ok(gone !== undefined && back !== undefined);
    return [
      { ...gone, run: [{ node, command: death }] },
      {
        ...back,
        run: [
          { node, command: 'lab-node start' },
          { node, command: 'ocicat status --wait 30s' },
        ],
      },
    ];
  };

  // h1 is behind FRR, h2 behind BIRD.
  for (const [signal, node] of [
    ['SIGKILL', 'h1'],
    ['SIGTERM', 'h1'],
    ['SIGKILL', 'h2'],
    ['SIGTERM', 'h2'],
  ] as const) {
    it(`${signal} of ${node}'s agent loses no packet and touches no route`, async () => {
      const monitor = new RouteMonitor(lab, node);
      try {
        await eventually('the monitor listens', async () => (await monitor.lines()).length === 0);
        streams.push(
          await Stream.start('h1 to h2', inside('h1', 'c1'), inside('h2', 'c2'), [
            '10.65.2.20',
            'fd00:65:2::20',
          ]),
          await Stream.start('h2 to h1', inside('h2', 'c1'), inside('h1', 'c2'), [
            '10.65.1.20',
            'fd00:65:1::20',
          ]),
        );
        await lab.check(phasesFor(node, DEATHS[signal]));
        await eventually('sessions are up and selection has begun', async () => {
          const { bgp } = await status(node);
          return bgp.established === 2 && bgp.deferral.length === 0;
        });
        const changes = await monitor.lines();
        const losses = await Promise.allSettled(streams.map((stream) => stream.endWithoutLoss(2000)));
        for (const loss of losses)
          if (loss.status === 'rejected')
            throw new Error(`the kernel's routes: ${JSON.stringify(changes)}`, { cause: loss.reason });
        assert.deepEqual(changes, []);
      } finally {
        monitor.close();
        for (const stream of streams.splice(0)) stream.close();
      }
    });
  }
});
