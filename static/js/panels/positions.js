// Open positions: what is held, what it is worth where it can be sold, and what protects it.

import { act } from "../act.js";
import { confirmed } from "../confirm.js";
import { byId } from "../dom.js";
import { cents, change, clock, contracts, dollars, span, tone, until } from "../format.js";
import { changePlan } from "../plan.js";
import { Table } from "../table.js";

export function positions(store, live) {
  const table = new Table(byId("positions"), {
    empty: "No open positions. Entries appear here with their stop and target as soon as they fill.",
    columns: [
      { label: "Market", cell: (row) => ({ text: row.title, note: row.ticker }) },
      { label: "Held", cell: (row) => ({ text: `${contracts(row.count)} ${row.side}`, note: row.strategy }) },
      { label: "Entry ¢", number: true, cell: (row) => ({ text: cents(row.entry_price), note: `even at ${cents(row.break_even)}` }) },
      { label: "Mark ¢", number: true, flash: true, cell: (row) => mark(row, live) },
      { label: "P&L $", number: true, flash: true, cell: (row) => ({ text: change(row.unrealized), tone: tone(row.unrealized), note: `fees ${dollars(row.fees)}`, title: row.unrealized }) },
      { label: "Stop ¢", number: true, cell: (row) => ({ text: cents(row.stop), note: moves(row) }) },
      { label: "Target ¢", number: true, cell: (row) => cents(row.target) },
      { label: "Time exit", cell: (row) => ({ text: until(row.time_exit_ms, live.now()), note: row.time_exit_ms ? clock(row.time_exit_ms) : "" }) },
      { label: "Protection", cell: (row) => protection(row, store.rows("status").stream) },
    ],
    actions: [
      { label: "Close…", name: (row) => `Close ${contracts(row.count)} ${row.side} ${row.title}`, run: close, fits: managed },
      { label: "Edit…", name: (row) => `Edit the exit plan of ${contracts(row.count)} ${row.side} ${row.title}`, run: changePlan, fits: managed },
      { label: "Claim…", name: (row) => `Manage ${contracts(row.count)} ${row.side} ${row.title}`, run: claim, fits: (row) => !managed(row) },
    ],
  });
  const show = () => table.show(Object.entries(store.rows("positions")).sort(([, a], [, b]) => a.opened_ms - b.opened_ms));
  store.on(["positions"], show);
  setInterval(() => store.frozen || table.refresh(), 1000);
  byId("flatten").addEventListener("click", () => flatten(store));
  store.on(["positions"], () => (byId("flatten").hidden = Object.keys(store.rows("positions")).length === 0));
}

function mark(row, live) {
  const age = row.mark_ms && live.now() ? live.now() - row.mark_ms : null;
  const note = [row.mark_source, age !== null && `${span(age)} ago`].filter(Boolean).join(", ");
  return { text: cents(row.mark), note, tone: age > 60000 ? "old" : "" };
}

// How the stop moves by itself.
function moves(row) {
  const rules = [row.trail && `trails by ${cents(row.trail)}`, row.break_even_after && `even after +${cents(row.break_even_after)}`];
  return rules.filter(Boolean).join(", ");
}

function protection(row, stream) {
  if (!row.protected) return { text: "○ NOT protected", tone: "danger", note: row.state };
  if (stream?.stale_held?.includes(row.ticker)) return { text: "▲ stop armed, cannot see a price", tone: "danger", note: row.state };
  return { text: "● stop armed", note: row.state };
}

// Whether a trade of ours holds it; anything else was made by hand, and nothing watches it.
function managed(row) {
  return row.state !== "external";
}

async function claim(row, button) {
  const agreed = await confirmed({
    title: `Manage ${contracts(row.count)} ${row.side}?`,
    text: `${row.title}. It was not bought by this program, so nothing watches it. From now on it has the default stop, which you can edit.`,
    action: `Manage ${contracts(row.count)} ${row.side}`,
  });
  const path = `/positions/${encodeURIComponent(row.ticker)}/claim`;
  if (agreed) await act(button, { pending: "Claiming…", path, what: `Manage ${row.title}` });
}

async function close(row, button) {
  const agreed = await confirmed({
    title: `Close ${contracts(row.count)} ${row.side}?`,
    text: `${row.title}. Sells all of it at once for what the market pays, about ${cents(row.mark)} ¢ each (${change(row.unrealized)} $ before fees).`,
    action: `Close ${contracts(row.count)} ${row.side}`,
  });
  const path = `/positions/${encodeURIComponent(row.ticker)}/close`;
  if (agreed) await act(button, { pending: "Closing…", path, what: `Close ${row.title}` });
}

async function flatten(store) {
  const rows = Object.values(store.rows("positions"));
  const count = rows.filter(managed).length;
  const what = `${count} position${count === 1 ? "" : "s"}`;
  const rest = rows.length - count;
  const others = rest ? ` ${rest} more made by hand stay: press Claim first to close them too.` : "";
  const agreed = await confirmed({
    title: `Close all ${what}?`,
    text: `Sells everything that the bot manages at once for what the market pays. No new entries until you press Start.${others}`,
    action: `Close ${what}`,
  });
  if (agreed) await act(byId("flatten"), { pending: "Closing…", path: "/bot/flatten", what: "Close all positions" });
}
