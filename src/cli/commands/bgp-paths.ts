/** The paths of one prefix in full, as `show ip bgp PREFIX` does, with the reason why the best path is best. */
import type { PathRow } from '../../api/views.ts';
import type { Terminal } from '../output/emit.ts';
import { formatSince } from '../output/format.ts';
import { paint } from '../output/table.ts';

const REASON_TEXT: Readonly<Record<string, string>> = {
  'only-path': 'the only path',
  'local-origin': 'originated here',
  'long-lived-stale': 'long-lived stale (RFC 9494)',
  'local-pref': 'LOCAL_PREF',
  'as-path-length': 'length of AS_PATH',
  origin: 'ORIGIN',
  med: 'MULTI_EXIT_DISC',
  'ebgp-over-ibgp': 'eBGP over iBGP',
  'igp-metric': 'metric to the next hop',
  'oldest-path': 'age (oldest external path)',
  'router-id': 'BGP identifier',
  'cluster-list-length': 'length of CLUSTER_LIST',
  'peer-address': 'peer address',
  'path-id': 'path identifier',
};

/** Blocks of lines, a prefix a block. */
export function renderPaths(rows: readonly PathRow[], terminal: Terminal): string {
  const byPrefix = Map.groupBy(rows, (row) => row.prefix);
  return [...byPrefix]
    .map(([prefix, paths]) => {
      const head = `${prefix}: ${paths.length} path${paths.length === 1 ? '' : 's'}\n`;
      return head + paths.map((path) => renderPath(path, terminal)).join('');
    })
    .join('\n');
}

function renderPath(path: PathRow, terminal: Terminal): string {
  const { colour } = terminal;
  const origin = { igp: 'IGP', egp: 'EGP', incomplete: 'incomplete' }[path.origin];
  const from = path.from === 'local' ? 'originated here' : `from ${path.from} (${path.fromRouterId ?? '?'})`;
  const lines = [
    `AS path: ${path.asPath || 'local'}`,
    ...(path.pathId === undefined ? [] : [`path identifier ${path.pathId}`]),
    `next hop ${path.nextHop ?? 'self'}${path.linkLocalNextHop === undefined ? '' : ` (${path.linkLocalNextHop})`} ${from}`,
    [
      `origin ${origin}`,
      path.med === undefined ? undefined : `metric ${path.med}`,
      path.localPref === undefined ? undefined : `local preference ${path.localPref}`,
      path.atomicAggregate ? 'atomic-aggregate' : undefined,
      path.aggregator === undefined ? undefined : `aggregated by ${path.aggregator}`,
      path.originatorId === undefined ? undefined : `originator ${path.originatorId}`,
      path.clusterList === undefined ? undefined : `cluster list ${path.clusterList.join(' ')}`,
    ]
      .filter((part) => part !== undefined)
      .join(', '),
  ];
  if (path.communities.length > 0) lines.push(`communities ${path.communities.join(' ')}`);
  if (path.largeCommunities.length > 0) lines.push(`large communities ${path.largeCommunities.join(' ')}`);
  if (path.extendedCommunities.length > 0)
    lines.push(`extended communities ${path.extendedCommunities.join(' ')}`);
  if (path.advertisedTo !== undefined)
    lines.push(`advertised to ${path.advertisedTo.join(', ') || 'no peer'}`);
  if (path.awaitsFib === true)
    lines.push(`kept back until the kernel takes it: see "ocicat routes ${path.prefix}"`);
  lines.push(`last update ${formatSince(path.receivedAt, terminal.now())} ago${path.stale ? ', stale' : ''}`);
  const reason = path.reason === undefined ? undefined : (REASON_TEXT[path.reason] ?? path.reason);
  const verdict = path.best
    ? paint(`best${reason === undefined ? '' : `: ${reason}`}`, 'good', colour)
    : !path.valid
      ? paint(
          `not usable: ${path.unusable ?? '?'}${path.policyNote === undefined ? '' : ` (${path.policyNote})`}`,
          'bad',
          colour,
        )
      : path.multipath
        ? paint('multipath', 'good', colour)
        : `not best${reason === undefined ? '' : `: lost by ${reason}`}`;
  return `  ${verdict}\n${lines.map((line) => `    ${line}\n`).join('')}`;
}
