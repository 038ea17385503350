// Orders that may still trade.

import { act } from "../act.js";
import { byId } from "../dom.js";
import { cents, contracts, until } from "../format.js";
import { Table } from "../table.js";

const SIDES = { bid: "Buy YES", ask: "Sell YES" };

export function orders(store, live) {
  const table = new Table(byId("orders"), {
    empty: "No orders at work.",
    columns: [
      { label: "Market", cell: (row) => ({ text: store.rows("markets")[row.ticker]?.title ?? row.ticker, note: row.ticker }) },
      { label: "Order", cell: (row) => ({ text: SIDES[row.side] ?? row.side, note: row.purpose }) },
      { label: "Price ¢", number: true, cell: (row) => cents(row.price) },
      { label: "Filled", number: true, cell: (row) => `${contracts(row.filled)} of ${contracts(row.count)}` },
      { label: "State", cell: (row) => ({ text: row.state, tone: row.state === "UNKNOWN" ? "danger" : "" }) },
      { label: "Sent", cell: (row) => until(row.created_ms, live.now()) },
    ],
    actions: [{ label: "Cancel", name: (row) => `Cancel ${SIDES[row.side]} ${row.ticker}`, run: cancel }],
  });
  const show = () => table.show(Object.entries(store.rows("orders")).sort(([, a], [, b]) => b.created_ms - a.created_ms));
  store.on(["orders"], show);
  setInterval(() => store.frozen || table.refresh(), 1000);
}

function cancel(row, button) {
  const path = `/orders/${encodeURIComponent(row.client_order_id)}/cancel`;
  return act(button, { pending: "Cancelling…", path, what: `Cancel ${SIDES[row.side]} ${row.ticker}` });
}
