/**
 * The interoperability matrix: what our speaker was seen doing with which router. Tests of any file note it with `seen`; the last file of the
 * stage (test/interop/z-matrix-table.test.ts) prints the table, which README.md shows.
 */
import type { BenchKind } from './matrix-bench.ts';

/** Columns. */
export const KINDS: readonly BenchKind[] = ['frr', 'bird', 'gobgp', 'exabgp', 'ourselves'];

const KIND_NAMES: Readonly<Record<BenchKind, string>> = {
  frr: 'FRR',
  bird: 'BIRD',
  gobgp: 'GoBGP',
  exabgp: 'ExaBGP',
  ourselves: 'Ocicat',
};

/** Rows, in this order. */
export const FEATURES = [
  'both families in one session, 4-octet AS, large communities',
  'a session over IPv4, over IPv6, both sides dialling',
  'one side passive, then the other',
  'TCP MD5 over IPv4 (RFC 2385)',
  'TCP MD5 over IPv6',
  'TCP MD5 key changed live',
  'TTL security, whoever dials; a lower TTL is dropped (RFC 5082)',
  'unnumbered: link-local session and next hops',
  'dynamic peer by prefix',
  'local AS, AS override, remove private AS (RFC 7705)',
  'wrong AS: 2/2',
  'hold time 0',
  'peer killed: its routes go, and come back',
  'peer frozen: hold timer, 4/0',
  'link lost while the peer restarts (half-open)',
  'link down ends the session at once, link up starts it',
  'shutdown communication, both ways (RFC 9003)',
  'maximum of prefixes (RFC 4486)',
  'route refresh, both ways (RFC 2918)',
  'enhanced route refresh, asked for (RFC 7313)',
  'enhanced route refresh, answered (RFC 7313)',
  'extended messages (RFC 8654)',
  'ADD-PATH, received (RFC 7911)',
  'ADD-PATH, sent (RFC 7911)',
  'IPv4 over IPv6 next hop, sent (RFC 8950)',
  'IPv4 over IPv6 next hop, received (RFC 8950)',
  'route reflection, clients (RFC 4456)',
  'graceful restart offered (RFC 4724)',
  'graceful restart, as helper (RFC 4724)',
  'graceful restart, restarting (RFC 4724)',
  'N bit, hard reset sent (RFC 8538)',
  'graceful restart over NOTIFICATIONs, hard reset (RFC 8538)',
  'long-lived graceful restart offered (RFC 9494)',
  'long-lived graceful restart, as helper (RFC 9494)',
  'long-lived graceful restart, restarting (RFC 9494)',
  'graceful shutdown, received (RFC 8326)',
  'graceful shutdown, sent (RFC 8326)',
  'roles and Only-to-Customer (RFC 9234)',
  'role mismatch 2/11',
  'BFD, single hop and multihop (RFC 5881, RFC 5883)',
  'BFD down ends the session with 6/10 (RFC 9384)',
  'BFD strict mode (capability 74)',
  'codec round trip of what it sent: octet by octet/canonical',
] as const;

export type Feature = (typeof FEATURES)[number];

const table = new Map<Feature, Map<BenchKind, string>>();

/** Notes that a test has shown a feature with a router. */
export function seen(kind: BenchKind, feature: Feature, word = 'yes'): void {
  const row = table.get(feature) ?? new Map<BenchKind, string>();
  table.set(feature, row);
  row.set(kind, word);
}

/** What was seen so far, a row for each feature, `-` where nothing was. */
export function matrixRows(): { readonly feature: Feature; readonly cells: readonly string[] }[] {
  return FEATURES.map((feature) => ({
    feature,
    cells: KINDS.map((kind) => table.get(feature)?.get(kind) ?? '-'),
  }));
}

/** The table for a terminal. */
export function matrixText(): string {
  const width = Math.max(...FEATURES.map((feature) => feature.length));
  const line = (first: string, cells: readonly string[]): string =>
    `    ${first.padEnd(width)}  ${cells.map((cell) => cell.padEnd(10)).join('')}`.trimEnd();
  const head = line(
    '',
    KINDS.map((kind) => KIND_NAMES[kind]),
  );
  return [head, ...matrixRows().map(({ feature, cells }) => line(feature, cells))].join('\n');
}

/** The table as README.md has it. */
export function matrixMarkdown(): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(['', ...KINDS.map((kind) => KIND_NAMES[kind])]),
    line(['---', ...KINDS.map(() => '---')]),
    ...matrixRows().map(({ feature, cells }) => line([feature, ...cells])),
  ].join('\n');
}

const BEGIN =
  '<!-- the interoperability matrix, written by OCICAT_MATRIX_README=1 sh test/run.sh interop -->\n';
const END = '\n<!-- end of the matrix -->';

/** The table in README.md, or undefined when it has none. */
export function matrixOf(readme: string): string | undefined {
  const from = readme.indexOf(BEGIN);
  const to = readme.indexOf(END);
  return from < 0 || to < from ? undefined : readme.slice(from + BEGIN.length, to);
}

/** README.md with another table. */
export function withMatrix(readme: string, markdown: string): string {
  const old = matrixOf(readme);
  if (old === undefined) throw new Error('README.md has no place for the matrix');
  return readme.replace(`${BEGIN}${old}${END}`, `${BEGIN}${markdown}${END}`);
}
