/** What the command line says of a speaker on its own, at whose socket an agent's questions may come too. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { bgpApiRoutes } from '../../../../src/agent/bgp-routes.ts';
import { jsonOfSteps } from '../../../../src/api/pieces.ts';
import { ApiServer } from '../../../../src/api/server.ts';
import { readSpeakConfig } from '../../../../src/speak/config.ts';
import { SpeakDaemon } from '../../../../src/speak/daemon.ts';
import { makeLog } from '../../../../src/speak/log.ts';
import { makePlan } from '../../../../src/speak/plan.ts';
import { onlyAgentKnows, type SpeakState, speakStatus } from '../../../../src/speak/status.ts';
import { runCli } from '../../../support/agent.ts';
import type { CommandResult } from '../../../support/netns.ts';
import { removeTemporaryFolders, temporaryFolder } from '../../../support/temporary-folder.ts';

const CALICO = 'apiVersion: projectcalico.org/v3';
const NODE = `{${CALICO}, kind: Node, metadata: {name: r1}, spec: {bgp: {asNumber: 65001, ipv4Address: 192.0.2.1/24}}}`;
// Waits to be dialled, so that no packet leaves.
const PEER = `{${CALICO}, kind: BGPPeer, metadata: {name: tor, annotations: {ocicat.dev/passive: "true"}}, spec: {peerIP: 192.0.2.2, asNumber: 65002}}`;
const STATICS =
  '{apiVersion: ocicat.dev/v1, kind: StaticRoutes, metadata: {name: here}, spec: {routes: [{prefix: 10.1.0.0/16, blackhole: true}]}}';

describe('status of a speaker alone', function () {
  this.timeout(30_000);
  const file = '/etc/ocicat/speak.yaml';
  const daemon = new SpeakDaemon({ log: makeLog(() => {}, 'error', 'json'), listen: undefined });
  const state: SpeakState = { file, startedAt: Date.now(), kernel: undefined, findings: [], faults: [] };
  const api = new ApiServer(
    {
      'GET /v1/status': () => ({ jsonPieces: jsonOfSteps(speakStatus(daemon, state)) }),
      ...bgpApiRoutes(daemon),
    },
    (error) => assert.fail(String(error)),
    onlyAgentKnows,
  );
  let socket: string;

  before(async () => {
    socket = join(temporaryFolder(), 'speak.sock');
    await api.listen(socket);
  });
  after(async () => {
    await daemon.stop();
    await api.close();
    removeTemporaryFolders();
  });

  const apply = async (...documents: string[]): Promise<void> => {
    const read = readSpeakConfig(documents.join('\n---\n'), file, { host: 'h' });
    assert.ok(read.ok);
    const host = { connected: [], interfaceTo: () => 'eth0', password: () => ({ problem: 'none' }) };
    const made = makePlan(read.config, host, file);
    assert.ok(made.ok);
    await daemon.apply(made.plan);
  };
  const ocicat = (...args: string[]): Promise<CommandResult> => runCli(['--socket', socket, ...args]);

  it('without peers: says where to add one', async () => {
    await apply(NODE);
    const [status, peers] = await Promise.all([ocicat('status'), ocicat('bgp', 'peers')]);
    assert.equal(status.status, 0, status.stderr);
    assert.match(
      status.stdout,
      /^Speaker .*\nFile +\/etc\/ocicat\/speak\.yaml\nRouter ID +192\.0\.2\.1, AS 65001\n/,
    );
    assert.match(status.stdout, /\nBGP +0 of 0 peers established, not listening\n/);
    assert.match(status.stdout, /\nFIB +off: routes go to no kernel \(--fib\)\n/);
    assert.match(
      status.stdout,
      /no-peers: \/etc\/ocicat\/speak\.yaml has no BGPPeer for this node\n {4}add one to it:/,
    );
    assert.match(peers.stdout, /^No BGP peers: "ocicat status" says what is missing\.\n$/);
  });

  it('with peers, static routes and a faulty file: what holds, and what does not', async () => {
    await apply(NODE, PEER, STATICS);
    state.faults = [`${file}: document 2: nonsense`];
    const { status, stdout } = await ocicat('status');
    assert.equal(status, 1);
    assert.match(stdout, /\nStatic +1 of 1 static routes announced\n/);
    assert.match(
      stdout,
      /ERROR configuration-refused: .*document 2: nonsense; the last good configuration stays in force/,
    );
    assert.match(stdout, /WARNING peer-down: BGP peer 192\.0\.2\.2 \(AS 65002\) is Active/);
    assert.doesNotMatch(stdout, /no-peers/);
  });

  it('what only an agent knows is said to be an agent\u2019s, and routes of the kernel to need --fib', async () => {
    const [endpoints, routes] = await Promise.all([ocicat('endpoints'), ocicat('routes')]);
    assert.equal(endpoints.status, 1);
    assert.match(endpoints.stderr, /a BGP speaker alone \("ocicat bgp speak"\) has no GET \/v1\/endpoints/);
    assert.match(endpoints.stderr, /The agent answers at a socket of its own/);
    assert.equal(routes.status, 1);
    assert.match(routes.stderr, /started without --fib/);
  });
});
