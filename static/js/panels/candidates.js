// Markets in view: what the bot makes of each, and why it does not trade it.

import { byId } from "../dom.js";
import { cents, contracts, percent, points, until } from "../format.js";
import { Table } from "../table.js";

const ALPHABET = new Intl.Collator("en");
const VERDICTS = { held: ["● held", 0], traded: ["● traded", 1], candidate: ["◐ candidate", 2], no: ["○ no", 3] };

export function candidates(store, live) {
  const filter = byId("candidates-filter");
  const table = new Table(byId("candidates"), {
    empty: "No markets in view yet. The bot looks for new ones every 12 seconds.",
    columns: [
      { label: "Market", cell: (row) => ({ text: row.title, note: row.ticker }) },
      { label: "Verdict", cell: (row) => ({ text: VERDICTS[row.verdict]?.[0] ?? row.verdict, tone: `verdict-${row.verdict}` }) },
      { label: "Why", cell: (row) => row.reason },
      { label: "Bid ¢", number: true, cell: (row) => ({ text: cents(row.bid), note: `× ${contracts(row.bid_size)}` }) },
      { label: "Ask ¢", number: true, cell: (row) => ({ text: cents(row.ask), note: `× ${contracts(row.ask_size)}` }) },
      { label: "Books' view %", number: true, cell: consensus },
      { label: "Edge pp", number: true, cell: edge },
      { label: "Ends", cell: (row) => ends(row, live.now()) },
    ],
  });
  const show = () => {
    const rows = Object.entries(store.rows("markets"));
    const wanted = rows.filter(([, row]) => filter.value === "all" || row.verdict === filter.value);
    table.show(wanted.sort(order));
    const chosen = rows.filter(([, row]) => row.verdict !== "no").length;
    byId("candidates-count").textContent = `${chosen} of ${rows.length} markets`;
  };
  store.on(["markets"], show);
  setInterval(() => store.frozen || table.refresh(), 15000);
  filter.addEventListener("change", show);
}

function order([, a], [, b]) {
  const rank = (row) => VERDICTS[row.verdict]?.[1] ?? 9;
  return rank(a) - rank(b) || ALPHABET.compare(a.title, b.title) || ALPHABET.compare(a.ticker, b.ticker);
}

function consensus({ consensus: view }) {
  if (!view) return { text: "–", note: "no odds" };
  return { text: percent(view.probability), note: `${view.books} books ± ${percent(view.dispersion)}`, title: `${view.method} de-vig` };
}

// What a buyer of YES at the ask would gain if the books are right, before fees.
function edge({ consensus: view, ask }) {
  return view && ask ? points(view.probability - Number(ask)) : "–";
}

function ends(row, now) {
  if (row.start_ms && row.start_ms > now) return { text: `starts ${until(row.start_ms, now)}` };
  return row.end_ms ? { text: until(row.end_ms, now), note: "estimated" } : "–";
}
