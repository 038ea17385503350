// The equity curve, drawn with uPlot where it is installed; the sentence under it says the same in words.

import { byId, setText } from "../dom.js";
import { clock, dollars, points } from "../format.js";

const MOST = 2000;

export async function equity(store, live) {
  const figure = byId("equity");
  const times = [];
  const values = [];
  const add = (ms, text) => {
    const second = Math.floor(ms / 1000);
    if (text == null || (times.length && second <= times.at(-1))) return;
    if (times.length > MOST) [times, values].forEach((list) => list.shift());
    times.push(second);
    values.push(Number(text));
  };
  const history = await fetch("/api/v1/equity?limit=200").then((response) => (response.ok ? response.json() : { items: [] }), () => ({ items: [] }));
  for (const point of history.items.toReversed()) add(point.at_ms, point.equity);

  const chart = figure.dataset.chart ? await draw(figure, times, values) : null;
  store.on(["money"], () => {
    add(live.shownAt(), store.rows("money").equity);
    chart?.setData([times, values]);
    describe(times, values);
  });
}

async function draw(figure, times, values) {
  const { default: Plot } = await import(figure.dataset.chart);
  const place = byId("equity-plot");
  const size = () => ({ width: Math.max(100, place.clientWidth), height: 96 });
  const ink = (node) => () => getComputedStyle(node).color;
  const axis = { stroke: ink(figure), grid: { show: false }, ticks: { show: false } };
  const chart = new Plot(
    {
      ...size(),
      legend: { show: false },
      cursor: { y: false },
      axes: [{ ...axis, size: 22 }, { ...axis, size: 64, values: (_, splits) => splits.map((value) => `$${value.toFixed(2)}`) }],
      series: [{}, { stroke: ink(place), width: 2, points: { show: false } }],
    },
    [times, values],
    place,
  );
  new ResizeObserver(() => chart.setSize(size())).observe(place);
  figure.dataset.drawn = "yes";
  return chart;
}

function describe(times, values) {
  if (!values.length) return;
  const peak = Math.max(...values);
  const low = Math.min(...values);
  const now = values.at(-1);
  const off = peak > 0 ? points((now - peak) / peak) : "0.0";
  setText(byId("equity-words"), `Equity ${dollars(now)}, ${off} % from its peak ${dollars(peak)}; lowest ${dollars(low)}; since ${clock(times[0] * 1000)}.`);
}
