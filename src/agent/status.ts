/** `status`: the agent's state in numbers, and everything that an operator should know, each with its remedy. */

import { formatRouterId } from '../../bgp/wire/format.ts';
import { routeConflicts, routeCountSteps, routeFailures } from '../../fib/routes/inspect.ts';
import type { RouteCounts } from '../../fib/routes/types.ts';
import { jsonOfSteps, type Steps, withoutText } from '../api/pieces.ts';
import type { Finding, StatusView } from '../api/views.ts';
import { API_VERSION } from '../model/kinds.ts';
import { FAMILIES, type Family } from '../net/address.ts';
import { formatInterfaceAddress, formatPrefix } from '../net/prefix.ts';
import { VERSION } from '../version.ts';
import { type Agent, LINK_PREFIX } from './agent.ts';
import { surveySessions } from './bgp/session-survey.ts';
import type { AttachmentState } from './endpoints/attachment.ts';
import { tableFindings } from './fib-api.ts';
import { evaluateHost } from './host/evaluate.ts';
import { type HostFacts, readHostFacts } from './host/facts.ts';
import { storePlace } from './store-config.ts';

const CHAIN_PREFIX = 'oci-';
/** Rows of a kind beyond which findings only count. */
const MAX_ROWS = 5;
const DOWN: ReadonlySet<AttachmentState> = new Set(['failed', 'gone']);

/** Gathers the status, as JSON text in pieces. Reads the host anew each time; takes some ten milliseconds. */
export async function statusPieces(agent: Agent): Promise<Iterable<string>> {
  const facts = await readHostFacts(agent.bgp.port, process.pid);
  return jsonOfSteps(readStatus(agent, facts));
}

function* readStatus(agent: Agent, facts: HostFacts): Steps<StatusView> {
  const { identity, routerId, candidates } = agent.identity;
  const { speaker } = agent.bgp;
  const sessions = yield* surveySessions(speaker, {
    name: identity.name,
    originates: (prefix) => agent.originator.originates(prefix),
  });
  const counts: RouteCounts[] = [];
  for (const family of FAMILIES) {
    counts.push(yield* withoutText(routeCountSteps(agent.fib.routes, family)));
    yield '';
  }
  const sum = (field: 'desired' | 'pending' | 'failed' | 'blocked'): number =>
    counts.reduce((total, each) => total + each[field], 0);
  const found = yield* findings(agent, facts, sessions.findings);
  const policy = agent.policy.status();
  const addresses: Partial<Record<Family, string>> = {};
  for (const family of FAMILIES) {
    const own = identity.addresses[family];
    if (own !== undefined) addresses[family] = formatInterfaceAddress(own);
  }
  return {
    node: identity.name,
    version: VERSION,
    pid: process.pid,
    startedAt: agent.startedAt,
    ready: agent.isReady,
    routerId: formatRouterId(routerId),
    asNumber: identity.asNumber,
    addresses,
    addressCandidates: candidates,
    store: {
      kind: agent.config.store.kind,
      path: storePlace(agent.config.store),
      inSync: agent.cache.isInSync,
    },
    bgp: {
      listening: (speaker?.listeningPorts.length ?? 0) > 0,
      port: agent.bgp.port,
      peers: sessions.peers,
      established: sessions.established,
      deferral: speaker?.deferred ?? [],
      locRib: speaker?.rib.sizes.prefixes ?? { ipv4: 0, ipv6: 0 },
    },
    fib: {
      desired: sum('desired'),
      pending: sum('pending'),
      failed: sum('failed') + sum('blocked'),
      ...(agent.mtu === 0 ? {} : { mtu: agent.mtu }),
    },
    policy: {
      backend: policy.backend ?? 'none yet',
      endpointsReady: policy.readyEndpoints,
      policies: policy.policies,
      sets: policy.sets,
      pending: policy.pending,
    },
    endpoints: agent.endpoints.count,
    blocks: agent.ipam.confirmedBlocks().map(formatPrefix),
    findings: found,
  };
}

function* findings(agent: Agent, facts: HostFacts, ofSessions: readonly Finding[]): Steps<Finding[]> {
  const sources: readonly (() => readonly Finding[])[] = [
    () => startFindings(agent),
    () => agent.identity.findings,
    () => storeFindings(agent),
    () => agent.docker.findings(),
    () => missingFindings(agent),
    () => agent.bgp.findings(),
    () => conflictFindings(agent),
    () => ofSessions,
    () => routeFindings(agent),
    () => policyFindings(agent),
    () => natFindings(agent),
    () => endpointFindings(agent),
    () => agent.ipamService.findings(),
    () => agent.overlay.findings(),
    () =>
      evaluateHost(facts, {
        bgpPort: agent.bgp.port,
        linkPrefix: LINK_PREFIX,
        chainPrefix: CHAIN_PREFIX,
        uplinks: agent.uplinkCount,
      }),
  ];
  const all: Finding[] = [];
  for (const source of sources) {
    all.push(...source());
    yield '';
  }
  const rank = { error: 0, warning: 1, info: 2 } as const;
  return all.sort((a, b) => rank[a.severity] - rank[b.severity]);
}

function startFindings(agent: Agent): Finding[] {
  if (agent.startError === undefined) return [];
  return [
    {
      severity: 'error',
      code: 'policy-not-enforceable',
      message: agent.startError,
      remedy: 'apt-get install iptables ipset',
    },
  ];
}

function storeFindings(agent: Agent): Finding[] {
  const availability = agent.store.availability();
  const findings: Finding[] = agent.store.problems().map((problem) => ({
    severity: 'error',
    code: 'store-problem',
    message: `${problem.location}: ${problem.reasons.join('; ')}${problem.inForce === undefined ? '; nothing is in force in its place' : '; the last good version stays in force'}`,
    remedy: `mend or remove ${problem.location} in ${storePlace(agent.config.store)}`,
  }));
  if (availability.state === 'unavailable') {
    findings.push({ severity: 'error', code: 'store-unavailable', message: availability.reason });
  }
  const lock = agent.store.lockReason();
  if (lock !== undefined) findings.push({ severity: 'warning', code: 'store-locked', message: lock });
  return findings;
}

function missingFindings(agent: Agent): Finding[] {
  const findings: Finding[] = [];
  const { name, addresses } = agent.identity.identity;
  if (agent.cache.list('IPPool').length === 0) {
    findings.push({
      severity: 'warning',
      code: 'no-pool',
      message: 'there is no IPPool: no endpoint can get an address',
      remedy: yaml('IPPool', 'pool1', [
        '  cidr: 10.65.1.0/24   # this host alone gives addresses out of it; IPv6: another pool, such as fd00:65:1::/112',
      ]),
    });
  } else if (agent.ipam.availableFamilies().length === 0) {
    findings.push({
      severity: 'warning',
      code: 'no-pool',
      message: 'no IPPool serves this node: each is disabled or its nodeSelector leaves this node out',
      remedy: 'ocicat get ippools -o yaml',
    });
  }
  if (agent.bgp.peers.length + agent.bgp.ranges.length === 0) {
    const example =
      addresses.ipv4 === undefined && addresses.ipv6 !== undefined ? '2001:db8::1' : '192.0.2.1';
    findings.push({
      severity: 'warning',
      code: 'no-peer',
      message: 'this node has no BGP peer: nobody learns the way to its containers',
      remedy: yaml('BGPPeer', 'tor1', [
        `  node: ${name}`,
        `  peerIP: ${example}   # the top-of-rack router`,
        '  asNumber: 65001',
      ]),
    });
  }
  return findings;
}

function yaml(kind: string, name: string, spec: readonly string[]): string {
  return [
    "ocicat apply -f - <<'EOF'",
    `apiVersion: ${API_VERSION}`,
    `kind: ${kind}`,
    'metadata:',
    `  name: ${name}`,
    'spec:',
    ...spec,
    'EOF',
  ].join('\n');
}

function conflictFindings(agent: Agent): Finding[] {
  const conflicts = agent.bgp.speaker?.rib.conflicts(MAX_ROWS) ?? [];
  return conflicts.map(({ prefix, peer, asPath }) => ({
    severity: 'error',
    code: 'block-conflict',
    message: `${formatPrefix(prefix)} is one of this node's blocks or inside one, yet peer ${peer} sends a route for it (AS path ${asPath.join(' ') || 'empty'}); it is not installed`,
    remedy: 'give the two hosts disjoint IPPools',
  }));
}

function routeFindings(agent: Agent): Finding[] {
  const findings: Finding[] = [];
  const failures = routeFailures(agent.fib.routes, MAX_ROWS);
  for (const { prefix, code, text, attempts } of failures.slice(0, MAX_ROWS)) {
    findings.push({
      severity: 'error',
      code: 'route-failed',
      message: `the kernel refuses ${formatPrefix(prefix)}: ${code}${text === '' ? '' : ` (${text})`}, ${attempts} attempts`,
      remedy: `ocicat routes ${formatPrefix(prefix)}`,
    });
  }
  for (const { prefix, effect, foreign } of routeConflicts(agent.fib.routes).slice(0, MAX_ROWS)) {
    if (effect === 'shadowed') continue;
    findings.push({
      severity: 'error',
      code: 'foreign-route',
      message: `a route of ${foreign.owner} for ${formatPrefix(prefix)} (metric ${foreign.metric}) ${effect === 'blocks' ? 'keeps ours out of the kernel' : 'wins over ours'}`,
      remedy: `ip route show ${formatPrefix(prefix)}   # stop its owner from making it, or: ocicat routes take ${formatPrefix(prefix)}`,
    });
  }
  for (const { family, held, of } of agent.fib.routes.held()) {
    findings.push({
      severity: 'error',
      code: 'routes-held',
      message: `${held} of ${of} learned ${family} routes would go without a known cause; they stay for at most five minutes`,
      remedy: 'ocicat bgp routes --state invalid   # why; then: ocicat routes release',
    });
  }
  return [...findings, ...tableFindings(agent.fib.routes)];
}

function policyFindings(agent: Agent): Finding[] {
  return agent.policy
    .status()
    .failures.slice(0, MAX_ROWS)
    .map(({ subject, reason }) => ({
      severity: 'error',
      code: 'policy-failed',
      message: `${subject}: ${reason}`,
    }));
}

function natFindings(agent: Agent): Finding[] {
  return agent.policyFeed
    .natProblems()
    .slice(0, MAX_ROWS)
    .map(({ endpoint, reason }) => ({
      severity: 'error',
      code: 'port-not-published',
      message: `${endpoint.replace(/^wep\//, '')}: ${reason}`,
      remedy: 'ocicat endpoints   # then publish it on another port, or detach the holder',
    }));
}

function endpointFindings(agent: Agent): Finding[] {
  return agent.endpoints
    .viewsIn(DOWN, MAX_ROWS)
    .map((endpoint) => ({ endpoint, dockerName: endpoint.labels['ocicat.dev/container'] }))
    .map(({ endpoint, dockerName }) => ({
      severity: 'warning',
      code: 'endpoint-down',
      message: `endpoint ${endpoint.namespace}/${endpoint.name} is ${endpoint.state}: ${endpoint.reason ?? 'its network namespace is gone'}`,
      remedy:
        endpoint.namespace === 'libnetwork' && dockerName !== undefined
          ? `docker restart ${dockerName}`
          : `ocicat endpoint delete ${endpoint.name} --namespace ${endpoint.namespace}   # or add it again`,
    }));
}
