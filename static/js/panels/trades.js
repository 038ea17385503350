// Trades that are closed, newest first.

import { byId } from "../dom.js";
import { cents, change, clock, contracts, dollars, span, tone } from "../format.js";
import { Table } from "../table.js";

export function trades(store) {
  const table = new Table(byId("trades"), {
    newestFirst: true,
    empty: "No closed trades yet.",
    columns: [
      { label: "Closed", cell: (row) => ({ text: clock(row.closed_ms), note: `held ${span(row.closed_ms - row.opened_ms)}` }) },
      { label: "Market", cell: (row) => ({ text: row.title ?? store.rows("markets")[row.ticker]?.title ?? row.ticker, note: `${contracts(row.count)} ${row.side} · ${row.ticker}` }) },
      { label: "In ¢", number: true, cell: (row) => cents(row.entry_price) },
      { label: "Out ¢", number: true, cell: (row) => ({ text: cents(row.exit_price), note: row.exit_kind }) },
      { label: "P&L $", number: true, cell: (row) => ({ text: change(row.pnl), tone: tone(row.pnl), note: `fees ${dollars(row.fees)}`, title: row.pnl }) },
    ],
  });
  const show = () => table.show(Object.entries(store.rows("trades")).sort(([, a], [, b]) => b.closed_ms - a.closed_ms));
  store.on(["trades"], show);
}
