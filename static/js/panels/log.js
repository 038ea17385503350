// The event log, newest first, from a chosen level up.

import { byId } from "../dom.js";
import { clock } from "../format.js";
import { news } from "../notices.js";
import { Table } from "../table.js";

const LEVELS = { info: 1, warning: 2, alarm: 3 };
const SIGNS = { warning: "▲ warning", alarm: "✕ alarm" };

export function log(store) {
  const filter = byId("log-filter");
  let newest = null;
  const table = new Table(byId("log"), {
    newestFirst: true,
    empty: "Nothing at this level yet.",
    columns: [
      { label: "Time", cell: (row) => clock(row.at_ms) },
      { label: "Level", cell: (row) => ({ text: SIGNS[row.level] ?? row.level, tone: `level-${row.level}` }) },
      { label: "What", cell: (row) => ({ text: row.text, note: [row.code, row.ticker].filter(Boolean).join(" · ") }) },
    ],
  });
  const show = () => {
    const rows = Object.entries(store.rows("log")).sort(([x, a], [y, b]) => b.at_ms - a.at_ms || (x < y ? 1 : -1));
    for (const [, row] of rows.filter(([, row]) => newest !== null && row.at_ms > newest).reverse()) news(row.text);
    newest = rows[0]?.[1].at_ms ?? newest ?? 0;
    table.show(rows.filter(([, row]) => (LEVELS[row.level] ?? 3) >= LEVELS[filter.value]));
  };
  store.on(["log"], show);
  filter.addEventListener("change", show);
}
