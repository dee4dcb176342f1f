import assert from 'node:assert/strict';
import { median, quantile } from '../../../../lab/bench/measure.ts';
import { axisTicks, figureTicks, type Plot, renderPlot } from '../../../../lab/bench/plot.ts';
import { figure, formatTable } from '../../../../lab/bench/text-table.ts';

const PLOT: Plot = {
  title: 'Beside <the> others',
  note: 'one & all',
  series: ['ocicat', 'bird'],
  panels: [
    {
      title: 'In',
      groups: [
        {
          name: 'one-1m',
          bars: [
            { value: 0.25, label: 'ocicat 0.3 s' },
            { value: 1, label: 'bird 1.2 s' },
          ],
        },
        {
          name: 'ten-100k',
          bars: [
            { value: undefined, label: '' },
            { value: 1, label: 'bird 1.5 s' },
          ],
        },
      ],
    },
    { title: 'Nothing', groups: [{ name: 'one-1m', bars: [{ value: undefined, label: '' }] }] },
  ],
};

/** The tags of an XML text, checked for their nesting; throws where one is not closed. */
function tagsOf(xml: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  for (const [, slash, name = '', rest = ''] of xml.matchAll(/<(\/?)([a-z]+)([^<>]*)>/g)) {
    if (slash === '/') assert.equal(open.pop(), name);
    else {
      seen.push(name);
      if (!rest.endsWith('/')) open.push(name);
    }
  }
  assert.deepEqual(open, []);
  return seen;
}

describe('bench: picture', () => {
  it('has well-formed nesting, a bar for each ratio, and no panel without bars', () => {
    const svg = renderPlot(PLOT);
    const tags = tagsOf(svg);
    // Two of the legend, three bars.
    assert.equal(tags.filter((tag) => tag === 'rect').length, 5);
    assert.ok(!svg.includes('Nothing'));
    assert.ok(svg.includes('Beside &lt;the&gt; others') && svg.includes('one &amp; all'));
  });

  it('says in the place of a bar why there is none', () => {
    const bars = [
      { value: 1, label: 'bird 1.0 s' },
      { value: undefined, label: '', absence: '> 900 s' },
    ];
    const svg = renderPlot({ ...PLOT, panels: [{ title: 'In', groups: [{ name: 'one-1m', bars }] }] });
    assert.equal(tagsOf(svg).filter((tag) => tag === 'rect').length, 3);
    assert.match(svg, /rotate\(-90\)" class="faint">&gt; 900 s</);
  });

  it('follows the scheme of the reader', () => {
    assert.match(renderPlot(PLOT), /prefers-color-scheme: dark/);
  });

  it('has longer bars the farther a ratio is from 1, downward below it and upward above', () => {
    const heights = (ratios: readonly number[]): readonly { y: number; height: number }[] => {
      const groups = ratios.map((ratio) => ({ name: String(ratio), bars: [{ value: ratio, label: '' }] }));
      const svg = renderPlot({ ...PLOT, series: ['x'], panels: [{ title: 'p', groups }] });
      return [
        ...svg.matchAll(
          /<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" rx="2" fill="#d55e00"><title>/g,
        ),
      ].map(([, y, height]) => ({ y: Number(y), height: Number(height) }));
    };
    const [quarter, half, twice, four] = heights([0.25, 0.5, 2, 4]);
    assert.ok(quarter && half && twice && four);
    assert.ok(Math.abs(quarter.height - 2 * half.height) < 0.3);
    assert.ok(Math.abs(four.height - 2 * twice.height) < 0.3);
    assert.equal(quarter.y, half.y);
    assert.ok(Math.abs(twice.y + twice.height - half.y) < 0.3);
  });

  it('has an axis of powers of two, of ten where the ratios lie far apart, with 1 within', () => {
    assert.deepEqual(axisTicks([0.3, 1]), [0.25, 0.5, 1, 2]);
    assert.deepEqual(axisTicks([0.2, 60]), [0.1, 1, 10, 100]);
    assert.deepEqual(axisTicks([]), [0.5, 1, 2]);
  });
});

describe('bench: picture of figures', () => {
  const groups = [{ name: 'reset', bars: [0, 2, 8].map((value) => ({ value, label: `${value} ms` })) }];
  const panels = [{ title: 'Gap, ms', groups, figures: { line: 10 } }];
  const svg = renderPlot({ ...PLOT, series: ['a', 'b', 'c'], panels });

  it('has bars from 0 up, one for 0 too, and a line across', () => {
    const heights = [...svg.matchAll(/height="([\d.]+)" rx="2" fill="[^"]+"><title>/g)].map(([, height]) =>
      Number(height),
    );
    assert.deepEqual(heights, [1, 40, 160]);
    assert.equal(tagsOf(svg).filter((tag) => tag === 'line').length, 6);
    assert.equal(svg.match(/class="one"/g)?.length, 1);
  });

  it('has an axis of even steps', () => {
    assert.deepEqual(figureTicks([8, 10]), [0, 2, 4, 6, 8, 10]);
    assert.deepEqual(figureTicks([0.13]), [0, 0.05, 0.1, 0.15]);
    assert.deepEqual(figureTicks([430]), [0, 100, 200, 300, 400, 500]);
    assert.deepEqual(figureTicks([0]), [0, 1]);
  });
});

describe('bench: tables and figures', () => {
  it('aligns columns', () => {
    const text = formatTable(
      ['name', 's'],
      [
        ['a', '10.5'],
        ['longer', ''],
      ],
      1,
    );
    assert.equal(text, 'name       s\na       10.5\nlonger');
  });

  it('says nothing where there is no figure', () => {
    assert.equal(figure(undefined, 2), '');
    assert.equal(figure(Number.NaN, 2), '');
    assert.equal(figure(1.005, 1), '1.0');
  });

  it('takes medians and quantiles', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(quantile([5, 1, 3], 1), 5);
    assert.equal(
      quantile(
        Array.from({ length: 200 }, (_, index) => index),
        0.99,
      ),
      198,
    );
    assert.ok(Number.isNaN(quantile([], 0.5)));
  });
});
