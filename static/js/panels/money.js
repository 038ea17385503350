// The money row: what there is, what is at risk, and what today brought.

import { byId, setAttribute, setText } from "../dom.js";
import { change, dollars, tone } from "../format.js";

const AMOUNTS = ["equity", "cash", "reserved", "exposure", "fees"];
const CHANGES = ["day_pnl", "realized", "unrealized"];

export function money(store) {
  store.on(["money"], () => {
    const row = store.rows("money");
    for (const name of AMOUNTS) write(name, dollars(row[name]), row[name]);
    for (const name of CHANGES) write(name, change(row[name]), row[name], tone(row[name]));
  });
}

function write(name, text, exact, look = "") {
  const node = byId(`money-${name}`);
  setText(node, text);
  setAttribute(node, "class", `value ${look}`.trim());
  setAttribute(node, "title", exact == null ? null : `$${exact}`);
}
