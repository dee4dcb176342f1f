/**
 * Bars of ratios as SVG: panels below each other, in each a group of bars for each workload, on a logarithmic axis about the line of 1. Text and
 * lines follow the reader's light or dark scheme.
 */

/** A bar: `ratio` over 0; undefined leaves its place empty. */
export interface Bar {
  readonly ratio: number | undefined;
  /** what stands on it, `0.31 s` */
  readonly label: string;
}

export interface Group {
  readonly name: string;
  /** one for each series, in their order */
  readonly bars: readonly Bar[];
}

export interface Panel {
  readonly title: string;
  readonly groups: readonly Group[];
}

export interface Plot {
  readonly title: string;
  /** one line below the title */
  readonly note: string;
  readonly series: readonly string[];
  readonly panels: readonly Panel[];
}

/** Told apart on white and on near black, and by most of those who see few colours (after Okabe and Ito). */
const COLOURS = ['#d55e00', '#0072b2', '#009e73', '#b07aa1', '#999933', '#666666'];
const WIDTH = 960;
const MARGIN = { left: 56, right: 16, top: 92, panelHead: 34, panelFoot: 40 } as const;
const PANEL_HEIGHT = 200;
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .head { font-size: 14px; font-weight: 600; }
  .faint { fill: #59636e; font-size: 11px; }
  .grid { stroke: #d1d9e0; }
  .one { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .faint { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .one { stroke: #f0f6fc; }
  }`;

/** The picture. Panels without any bar are left out. */
export function renderPlot(plot: Plot): string {
  const panels = plot.panels.filter(({ groups }) => groups.some(hasBar));
  const step = MARGIN.panelHead + PANEL_HEIGHT + MARGIN.panelFoot;
  const height = MARGIN.top + panels.length * step;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(plot.title)}">`,
    `<style>${STYLE}\n</style>`,
    text(16, 28, plot.title, 'title'),
    text(16, 48, plot.note, 'faint'),
    ...plot.series.flatMap((name, index) => [
      `<rect x="${16 + index * 110}" y="62" width="12" height="12" rx="2" fill="${colourOf(index)}"/>`,
      text(34 + index * 110, 72, name),
    ]),
    ...panels.flatMap((panel, index) => renderPanel(panel, plot.series.length, MARGIN.top + index * step)),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

/** Powers of ten, or of two where those would be few, that hold all ratios and 1 between the first and the last. */
export function axisTicks(ratios: readonly number[]): readonly number[] {
  const low = Math.min(1, ...ratios);
  const high = Math.max(1, ...ratios);
  const base = high / low > 64 ? 10 : 2;
  const log = (value: number): number => Math.log(value) / Math.log(base);
  const from = Math.min(-1, Math.floor(log(low) + 1e-9));
  const to = Math.max(1, Math.ceil(log(high) - 1e-9));
  return Array.from({ length: to - from + 1 }, (_, index) => base ** (from + index));
}

function hasBar({ bars }: Group): boolean {
  return bars.some(({ ratio }) => isRatio(ratio));
}

function isRatio(ratio: number | undefined): ratio is number {
  return ratio !== undefined && Number.isFinite(ratio) && ratio > 0;
}

function renderPanel(panel: Panel, seriesCount: number, top: number): string[] {
  const groups = panel.groups.filter(hasBar);
  const ratios = groups.flatMap(({ bars }) => bars.flatMap(({ ratio }) => (isRatio(ratio) ? [ratio] : [])));
  const ticks = axisTicks(ratios);
  const [lowest = 0.5] = ticks;
  const highest = ticks.at(-1) ?? 2;
  const plotTop = top + MARGIN.panelHead;
  const bottom = plotTop + PANEL_HEIGHT;
  const yOf = (ratio: number): number =>
    bottom - ((Math.log(ratio) - Math.log(lowest)) / (Math.log(highest) - Math.log(lowest))) * PANEL_HEIGHT;
  const right = WIDTH - MARGIN.right;
  const parts = [text(MARGIN.left, top + 14, panel.title, 'head')];
  for (const tick of ticks) {
    const y = yOf(tick);
    parts.push(
      `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${MARGIN.left}" y1="${round(y)}" x2="${right}" y2="${round(y)}"/>`,
      text(MARGIN.left - 6, y + 4, formatRatio(tick), 'faint', 'end'),
    );
  }
  const groupWidth = (right - MARGIN.left) / groups.length;
  const barWidth = Math.min(34, (groupWidth * 0.86) / seriesCount);
  for (const [index, { name, bars }] of groups.entries()) {
    const middle = MARGIN.left + (index + 0.5) * groupWidth;
    parts.push(text(middle, bottom + 24, name, undefined, 'middle'));
    for (const [series, { ratio, label }] of bars.entries()) {
      if (!isRatio(ratio)) continue;
      const x = middle + (series - seriesCount / 2) * barWidth;
      const [y, one] = [yOf(ratio), yOf(1)];
      const upper = Math.min(y, one);
      const size = Math.max(1, Math.abs(y - one));
      // The figure stands at the bar's end that is away from the line of 1.
      const labelY = ratio < 1 ? upper + size + 12 : upper - 4;
      parts.push(
        `<rect x="${round(x + 1)}" y="${round(upper)}" width="${round(barWidth - 2)}" height="${round(size)}" rx="2" fill="${colourOf(series)}"><title>${escapeXml(`${name}: ${label}`)}</title></rect>`,
        text(x + barWidth / 2, labelY, formatRatio(ratio), 'faint', 'middle'),
      );
    }
  }
  return parts;
}

function colourOf(series: number): string {
  return COLOURS[series % COLOURS.length] ?? '#666666';
}

/** Two significant digits, as short as that goes. */
function formatRatio(ratio: number): string {
  return ratio >= 10 ? String(Math.round(ratio)) : String(Number(ratio.toPrecision(2)));
}

function text(x: number, y: number, content: string, className?: string, anchor?: string): string {
  const attributes = `${className === undefined ? '' : ` class="${className}"`}${anchor === undefined ? '' : ` text-anchor="${anchor}"`}`;
  return `<text x="${round(x)}" y="${round(y)}"${attributes}>${escapeXml(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
