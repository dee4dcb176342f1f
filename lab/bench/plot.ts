/**
 * Bars as SVG: panels below each other, in each a group of bars for each workload: ratios on a logarithmic axis about the line of 1, or figures
 * from 0 up. Text and lines follow the reader's light or dark scheme.
 */

/** A bar; undefined, and a ratio that is not over 0, leaves its place empty. */
export interface Bar {
  readonly value: number | undefined;
  /** what a reader's pointer is told, `ocicat 0.31 s` */
  readonly label: string;
  /** stands upright in an empty place, `> 900 s` */
  readonly absence?: string;
}

export interface Group {
  readonly name: string;
  /** one for each series, in their order */
  readonly bars: readonly Bar[];
}

export interface Panel {
  readonly title: string;
  readonly groups: readonly Group[];
  /** figures from 0 up, with a line across at one of them; undefined: ratios */
  readonly figures?: { readonly line?: number };
}

export interface Plot {
  readonly title: string;
  /** one line below the title */
  readonly note: string;
  readonly series: readonly string[];
  readonly panels: readonly Panel[];
}

/** Told apart on white and on near black, and by most of those who see few colours (after Okabe and Ito). */
const COLOURS = ['#d55e00', '#0072b2', '#009e73', '#b07aa1', '#999933', '#666666', '#56b4e9'];
const WIDTH = 960;
const MARGIN = { left: 56, right: 16, top: 92, panelHead: 34, panelFoot: 40 } as const;
const PANEL_HEIGHT = 200;
/** about so many steps has an axis of figures */
const TICKS = 5;
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
  const panels = plot.panels.filter((panel) => panel.groups.some((group) => hasBar(panel, group)));
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

/** Even steps of 1, 2 or 5 times a power of ten, from 0 to the highest of the figures or beyond. */
export function figureTicks(figures: readonly number[]): readonly number[] {
  const high = Math.max(0, ...figures);
  if (high === 0) return [0, 1];
  const raw = high / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw * (1 - 1e-9)) ?? 10);
  const count = Math.ceil(high / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/** What the axis of a panel makes of the values. */
interface Axis {
  readonly ticks: readonly number[];
  /** where bars begin, and a heavier line stands if it is not this one */
  readonly base: number;
  readonly line: number;
  /** 0 at the bottom to 1 at the top */
  readonly placeOf: (value: number) => number;
}

function axisOf({ figures }: Panel, values: readonly number[]): Axis {
  if (figures !== undefined) {
    const line = figures.line ?? 0;
    const ticks = figureTicks([...values, line]);
    const highest = ticks.at(-1) ?? 1;
    return { ticks, base: 0, line, placeOf: (value) => value / highest };
  }
  const ticks = axisTicks(values);
  const [lowest = 0.5] = ticks;
  const span = Math.log((ticks.at(-1) ?? 2) / lowest);
  return { ticks, base: 1, line: 1, placeOf: (value) => Math.log(value / lowest) / span };
}

function canShow({ figures }: Panel, value: number | undefined): value is number {
  if (value === undefined || !Number.isFinite(value)) return false;
  return figures === undefined ? value > 0 : value >= 0;
}

function hasBar(panel: Panel, { bars }: Group): boolean {
  return bars.some(({ value }) => canShow(panel, value));
}

function renderPanel(panel: Panel, seriesCount: number, top: number): string[] {
  const groups = panel.groups.filter((group) => hasBar(panel, group));
  const values = groups.flatMap(({ bars }) =>
    bars.flatMap(({ value }) => (canShow(panel, value) ? [value] : [])),
  );
  const { ticks, base, line, placeOf } = axisOf(panel, values);
  const plotTop = top + MARGIN.panelHead;
  const bottom = plotTop + PANEL_HEIGHT;
  const yOf = (value: number): number => bottom - placeOf(value) * PANEL_HEIGHT;
  const right = WIDTH - MARGIN.right;
  const parts = [text(MARGIN.left, top + 14, panel.title, 'head')];
  for (const tick of new Set([...ticks, line])) {
    const y = yOf(tick);
    parts.push(
      `<line class="${tick === line ? 'one' : 'grid'}" x1="${MARGIN.left}" y1="${round(y)}" x2="${right}" y2="${round(y)}"/>`,
      text(MARGIN.left - 6, y + 4, shortly(tick), 'faint', 'end'),
    );
  }
  const groupWidth = (right - MARGIN.left) / groups.length;
  const barWidth = Math.min(34, (groupWidth * 0.86) / seriesCount);
  for (const [index, { name, bars }] of groups.entries()) {
    const middle = MARGIN.left + (index + 0.5) * groupWidth;
    parts.push(text(middle, bottom + 24, name, undefined, 'middle'));
    for (const [series, { value, label, absence }] of bars.entries()) {
      const x = middle + (series - seriesCount / 2) * barWidth;
      if (!canShow(panel, value)) {
        if (absence !== undefined) parts.push(upright(x + barWidth / 2 + 4, yOf(base) - 6, absence));
        continue;
      }
      const [y, from] = [yOf(value), yOf(base)];
      const size = Math.max(1, Math.abs(y - from));
      const upper = value < base ? from : from - size;
      // The figure stands at the bar's end that is away from where it begins.
      const labelY = value < base ? upper + size + 12 : upper - 4;
      parts.push(
        `<rect x="${round(x + 1)}" y="${round(upper)}" width="${round(barWidth - 2)}" height="${round(size)}" rx="2" fill="${colourOf(series)}"><title>${escapeXml(`${name}: ${label}`)}</title></rect>`,
        text(x + barWidth / 2, labelY, shortly(value), 'faint', 'middle'),
      );
    }
  }
  return parts;
}

function colourOf(series: number): string {
  return COLOURS[series % COLOURS.length] ?? '#666666';
}

/** Two significant digits, as short as that goes. */
function shortly(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function text(x: number, y: number, content: string, className?: string, anchor?: string): string {
  const attributes = `${className === undefined ? '' : ` class="${className}"`}${anchor === undefined ? '' : ` text-anchor="${anchor}"`}`;
  return `<text x="${round(x)}" y="${round(y)}"${attributes}>${escapeXml(content)}</text>`;
}

function upright(x: number, y: number, content: string): string {
  const at = `${round(x)} ${round(y)}`;
  return `<text transform="translate(${at}) rotate(-90)" class="faint">${escapeXml(content)}</text>`;
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
