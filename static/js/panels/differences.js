// What our books and the exchange do not agree on, and what the operator can do about it. Hidden while they agree.

import { act } from "../act.js";
import { confirmed } from "../confirm.js";
import { byId } from "../dom.js";
import { until } from "../format.js";
import { Table } from "../table.js";

export function differences(store, live) {
  const panel = byId("differences");
  const table = new Table(panel, {
    empty: "",
    columns: [
      { label: "What", cell: (row) => ({ text: row.title, note: row.ticker }) },
      { label: "Ours", number: true, cell: (row) => row.ours },
      { label: "The exchange's", number: true, cell: (row) => row.theirs },
      { label: "Difference", number: true, cell: (row) => ({ text: row.gap, tone: "danger" }) },
      { label: "Since", cell: (row) => until(row.since_ms, live.now()) },
      { label: "What to do", cell: (row) => row.advice },
    ],
    actions: [
      { label: "Accept…", name: (row) => `Accept the difference of ${row.title}`, run: accept, fits: (row) => row.can === "accept" },
      { label: "Claim", name: (row) => `Manage ${row.title}`, run: claim, fits: (row) => row.can === "claim" },
      { label: "Cancel", name: (row) => `Cancel ${row.title}`, run: cancel, fits: (row) => row.can === "claim" },
    ],
  });
  const show = () => {
    const rows = store.rows("status").reconciliation?.differences ?? [];
    panel.hidden = rows.length === 0;
    table.show(rows.map((row) => [row.name, row]));
  };
  store.on(["status"], show);
}

async function accept(row, button) {
  const agreed = await confirmed({
    title: `Accept ${row.gap}?`,
    text: `Our books take over the exchange's figure for ${row.title}. It counts neither as profit nor as loss. Accept only what you can explain.`,
    action: `Accept ${row.gap}`,
  });
  const path = `/differences/${encodeURIComponent(row.name)}/accept`;
  if (agreed) await act(button, { pending: "Accepting…", path, body: { amount: row.gap }, what: `Accept ${row.title}` });
}

function claim(row, button) {
  return act(button, { pending: "Claiming…", path: `/orders/${encodeURIComponent(row.key)}/claim`, what: `Manage ${row.title}` });
}

function cancel(row, button) {
  return act(button, { pending: "Cancelling…", path: `/orders/${encodeURIComponent(row.key)}/cancel`, what: `Cancel ${row.title}` });
}
