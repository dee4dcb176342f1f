/** A wrong value in any field of a BGP resource: one error that says what, where and what to do, and nothing of the input is applied. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResourceService } from '../../../../../src/agent/resources/service.ts';
import { ApiError } from '../../../../../src/api/problem.ts';
import { type FileStore, openFileStore } from '../../../../../src/store/file/file-store.ts';

const PEER = 'peerIP: 192.0.2.1, asNumber: 65001';
/** fields of the spec, path behind `spec.`, what the error says */
type Bad = readonly [spec: string, path: string, reason: RegExp];

const PEERS: readonly Bad[] = [
  [`${PEER}, node: "a b"`, 'node', /"a b"/],
  [`${PEER}, node: a, nodeSelector: all()`, 'nodeSelector', /cannot both be set/],
  [`${PEER}, nodeSelector: "rack = 1"`, 'nodeSelector', /rack = 1/],
  ['peerIP: 192.0.2.300, asNumber: 1', 'peerIP', /expected an address, 192\.0\.2\.1:179 or/],
  ['peerIP: "192.0.2.1:99999", asNumber: 1', 'peerIP', /port from 1 to 65535/],
  ['peerIP: "2001:db8::1]:179", asNumber: 1', 'peerIP', /expected an address/],
  ['peerIP: 192.0.2.1', 'asNumber', /missing/],
  ['asNumber: 1', 'peerIP', /missing/],
  ['peerIP: 192.0.2.1, asNumber: 4294967296', 'asNumber', /4294967296/],
  ['peerIP: 192.0.2.1, asNumber: 1.70000', 'asNumber', /1\.7/],
  [`${PEER}, localASNumber: -1`, 'localASNumber', /-1/],
  ['peerIP: 192.0.2.1, peerSelector: all()', 'peerSelector', /cannot both be set/],
  ['peerSelector: all(), asNumber: 1', 'asNumber', /the nodes have their own/],
  ['peerSelector: "has("', 'peerSelector', /has\(/],
  ['localWorkloadSelector: all()', 'asNumber', /is required/],
  [`${PEER}, localWorkloadSelector: all()`, 'localWorkloadSelector', /cannot both be set/],
  [`${PEER}, keepOriginalNextHop: maybe`, 'keepOriginalNextHop', /true or false/],
  [`${PEER}, keepOriginalNextHop: true, nextHopMode: Self`, 'nextHopMode', /cannot both be set/],
  [`${PEER}, nextHopMode: self`, 'nextHopMode', /Auto, Self, Keep/],
  [`${PEER}, password: secret`, 'password', /expected/],
  [`${PEER}, password: {secretKeyRef: {name: a, key: b}}`, 'password', /ocicat\.dev\/password-file/],
  [`${PEER}, sourceAddress: NodeIP`, 'sourceAddress', /UseNodeIP, None/],
  [`${PEER}, maxRestartTime: 2h`, 'maxRestartTime', /0 to 4095 s/],
  [`${PEER}, maxRestartTime: soon`, 'maxRestartTime', /soon/],
  [`${PEER}, keepaliveTime: 10`, 'keepaliveTime', /10/],
  [`${PEER}, numAllowedLocalASNumbers: many`, 'numAllowedLocalASNumbers', /many/],
  [`${PEER}, ttlSecurity: 256`, 'ttlSecurity', /0 to 255/],
  [`${PEER}, reachableBy: eth0`, 'reachableBy', /eth0/],
  [`${PEER}, reachableBy: "2001:db8::1"`, 'reachableBy', /same address family/],
  ['peerSelector: all(), reachableBy: 192.0.2.9', 'reachableBy', /peerIP is empty/],
  [`${PEER}, filters: from-tor`, 'filters', /list/],
  [`${PEER}, filters: [A_B]`, 'filters[0]', /A_B/],
  [`${PEER}, reversePeering: auto`, 'reversePeering', /Auto, Manual/],
  [
    `${PEER}, failureDetectionMode: BFDIfDirectlyConnected`,
    'failureDetectionMode',
    /Calico Enterprise.*ocicat\.dev\/bfd/,
  ],
  [`${PEER}, keepAlivetime: 10s`, 'keepAlivetime', /did you mean "keepaliveTime"/],
];

const CONFIGURATIONS: readonly Bad[] = [
  ['logSeverityScreen: loud', 'logSeverityScreen', /Trace, Debug/],
  ['nodeToNodeMeshEnabled: perhaps', 'nodeToNodeMeshEnabled', /true or false/],
  ['asNumber: 99999999999', 'asNumber', /99999999999/],
  ['listenPort: 65536', 'listenPort', /0 to 65535/],
  ['bindMode: All', 'bindMode', /None, NodeIP/],
  ['ignoredInterfaces: ["*"]', 'ignoredInterfaces[0]', /alone is not allowed/],
  ['communities: [{name: a, value: "1:2"}]', 'communities', /not used in prefixAdvertisements/],
  [
    'communities: [{name: a, value: x}], prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: [a]}]',
    'communities[0].value',
    /aa:nn or aa:nn:mm/,
  ],
  [
    'prefixAdvertisements: [{cidr: 10.0.0.1/8, communities: []}]',
    'prefixAdvertisements[0].cidr',
    /did you mean 10\.0\.0\.0\/8/,
  ],
  [
    'prefixAdvertisements: [{cidr: 10.0.0.0/8, communities: [nobody]}]',
    'prefixAdvertisements[0].communities[0]',
    /neither a community nor defined/,
  ],
  ['nodeMeshPassword: {secretKeyRef: {name: a, key: b}}', 'nodeMeshPassword', /ocicat\.dev\/password-file/],
  [
    'nodeToNodeMeshEnabled: false, nodeMeshMaxRestartTime: 60s',
    'nodeMeshMaxRestartTime',
    /nodeToNodeMeshEnabled is false/,
  ],
  ['nodeMeshMaxRestartTime: 2h', 'nodeMeshMaxRestartTime', /4095 s/],
  ['serviceClusterIPs: [{cidr: 10.96.0.0/12}]', 'serviceClusterIPs', /not supported/],
  ['serviceExternalIPs: [{cidr: 192.0.2.0/24}]', 'serviceExternalIPs', /not supported/],
  ['serviceLoadBalancerIPs: [{cidr: 192.0.2.0/24}]', 'serviceLoadBalancerIPs', /not supported/],
  ['serviceLoadBalancerAggregation: Disabled', 'serviceLoadBalancerAggregation', /not supported/],
  ['serviceClusterIPs: [{cidr: nothing}]', 'serviceClusterIPs[0].cidr', /nothing/],
  ['localWorkloadPeeringIPV4: fd00::1', 'localWorkloadPeeringIPV4', /fd00::1/],
  ['localWorkloadPeeringIPV6: fe80::1', 'localWorkloadPeeringIPV6', /link-local/],
  ['programClusterRoutes: Yes please', 'programClusterRoutes', /Enabled, Disabled/],
  ['ipv4NormalRoutePriority: 0', 'ipv4NormalRoutePriority', /1 to 2147483646/],
  ['ipv6NormalRoutePriority: 512', 'ipv6NormalRoutePriority', /not supported/],
];

const RULE = 'cidr: 10.0.0.0/8, matchOperator: In, action: Accept';
const RULES: readonly Bad[] = [
  ['action: Allow', 'action', /Accept, Reject/],
  ['cidr: 10.0.0.0/8, matchOperator: In', 'action', /missing|required/],
  ['cidr: 10.0.0.0/33, matchOperator: In, action: Accept', 'cidr', /10\.0\.0\.0\/33/],
  ['cidr: "2001:db8::/32", matchOperator: In, action: Accept', 'cidr', /IPv4/],
  ['cidr: 10.0.0.0/8, action: Accept', 'matchOperator', /must both be set/],
  ['matchOperator: In, action: Accept', 'cidr', /must both be set/],
  ['cidr: 10.0.0.0/8, matchOperator: Inside, action: Accept', 'matchOperator', /Equal, NotEqual, In, NotIn/],
  [`${RULE}, prefixLength: {min: 33}`, 'prefixLength.min', /0 to 32/],
  [`${RULE}, prefixLength: {max: -1}`, 'prefixLength.max', /0 to 32/],
  ['prefixLength: {min: 8}, action: Accept', 'cidr', /required when prefixLength/],
  [`${RULE}, source: Local`, 'source', /RemotePeers/],
  [`${RULE}, interface: "eth 0"`, 'interface', /eth 0/],
  [`${RULE}, peerType: ebgp`, 'peerType', /eBGP, iBGP/],
  [`${RULE}, communities: {values: ["1:2", "3:4"]}`, 'communities.values', /1/],
  [`${RULE}, communities: {values: ["65536:1"]}`, 'communities.values[0]', /aa:nn/],
  [`${RULE}, asPathPrefix: [tor]`, 'asPathPrefix[0]', /tor/],
  [`${RULE}, priority: 2147483647`, 'priority', /1 to 2147483646/],
  [`${RULE}, operations: [{}]`, 'operations[0]', /exactly one of/],
  [
    `${RULE}, operations: [{addCommunity: {value: "1:2"}, setPriority: {value: 1}}]`,
    'operations[0]',
    /exactly one of/,
  ],
  [`${RULE}, operations: [{addCommunity: {value: none}}]`, 'operations[0].addCommunity.value', /aa:nn/],
  [
    `${RULE}, operations: [{prependASPath: {prefix: []}}]`,
    'operations[0].prependASPath.prefix',
    /at least one/,
  ],
  [`${RULE}, operations: [{setPriority: {value: 0}}]`, 'operations[0].setPriority.value', /1 to 2147483646/],
  [
    'action: Reject, operations: [{setPriority: {value: 1}}]',
    'operations',
    /only be used with action Accept/,
  ],
  [`${RULE}, matchoperator: In`, 'matchoperator', /did you mean "matchOperator"/],
];

const NODES: readonly Bad[] = [
  ['bgp: {asNumber: x}', 'bgp.asNumber', /x/],
  ['bgp: {ipv4Address: "2001:db8::1/64"}', 'bgp.ipv4Address', /2001:db8::1\/64/],
  ['bgp: {ipv6Address: 192.0.2.1/24}', 'bgp.ipv6Address', /192\.0\.2\.1\/24/],
  ['bgp: {ipv4Address: 192.0.2.1/24, routeReflectorClusterID: one}', 'bgp.routeReflectorClusterID', /one/],
];

describe('bad input of BGP resources', () => {
  let folder: string;
  let store: FileStore;
  let service: ResourceService;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ocicat-bad-'));
    store = await openFileStore({ root: join(folder, 'store') });
    service = new ResourceService(store);
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const refuses = (kind: string, name: string, spec: string, path: string, reason: RegExp): void => {
    it(`${kind} {${spec}}: ${path}`, async () => {
      const document = (what: string, called: string, fields: string): string =>
        `apiVersion: projectcalico.org/v3\nkind: ${what}\nmetadata: {name: ${called}}\nspec: {${fields}}\n`;
      const text = [document('BGPFilter', 'good', ''), document(kind, name, spec)].join('---\n');
      const error: unknown = await service.apply([{ file: 'in.yaml', text }]).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof ApiError, 'it was accepted');
      const [fault, ...others] = error.problem.details ?? [];
      assert.deepEqual(others, [], 'one error for one fault');
      assert.deepEqual([fault?.file, fault?.document, fault?.name, fault?.path], ['in.yaml', 2, name, path]);
      assert.match(fault?.reason ?? '', reason);
      await assert.rejects(service.get('bgpfilter', 'good', undefined), /does not exist/);
    });
  };

  for (const [spec, path, reason] of PEERS) refuses('BGPPeer', 'p', spec, `spec.${path}`, reason);
  for (const [spec, path, reason] of CONFIGURATIONS)
    refuses('BGPConfiguration', 'default', spec, `spec.${path}`, reason);
  for (const [rule, path, reason] of RULES)
    refuses('BGPFilter', 'f', `importV4: [{${rule}}]`, `spec.importV4[0].${path}`, reason);
  for (const [spec, path, reason] of NODES) refuses('Node', 'h1', spec, `spec.${path}`, reason);
});
