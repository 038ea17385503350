// The form that changes what protects a position. Only what was changed is sent, so that a stop that trailed meanwhile stays.
// Like a question it is not modal: KILL stays in reach.

import { act } from "./act.js";
import { confirmed } from "./confirm.js";
import { byId } from "./dom.js";
import { cents, contracts } from "./format.js";

const PRICES = ["stop", "target", "trail", "break_even_after"];
const NO_STOP = "NO STOP";

export function changePlan(row) {
  const dialog = byId("plan");
  const go = byId("plan-go");
  const before = shown(row);
  byId("plan-title").textContent = `Exit plan of ${contracts(row.count)} ${row.side}`;
  byId("plan-text").textContent = `${row.title}. In cents of ${row.side}, which is worth ${cents(row.mark)} ¢ now. An empty field takes that exit away.`;
  for (const [name, text] of Object.entries(before)) byId(`plan-${name}`).value = text;
  byId("plan-rest_target").checked = row.rest_target;
  dialog.onkeydown = (event) => {
    if (event.key === "Escape") dialog.close();
  };
  dialog.onsubmit = async (event) => {
    if (event.submitter !== go) return;
    event.preventDefault();
    const body = changes(before);
    const rests = byId("plan-rest_target").checked;
    if (rests !== row.rest_target) body.rest_target = rests;
    if (Object.keys(body).length === 0) return dialog.close();
    if (body.stop === null) {
      dialog.close();
      if (!(await confirmed(withoutStop(row)))) return;
      body.confirm = NO_STOP;
    }
    const path = `/positions/${encodeURIComponent(row.ticker)}/plan`;
    if (await act(go, { pending: "Saving…", path, body, what: `Exit plan of ${row.title}` })) dialog.close();
  };
  dialog.show();
}

// What stands in the fields, as text.
function shown(row) {
  const fields = Object.fromEntries(PRICES.map((name) => [name, row[name] == null ? "" : cents(row[name])]));
  return { ...fields, time_exit_ms: row.time_exit_ms ? localMinute(row.time_exit_ms) : "" };
}

function changes(before) {
  const body = {};
  for (const [name, text] of Object.entries(before)) {
    const wanted = byId(`plan-${name}`).value.trim();
    if (wanted === text) continue;
    if (wanted === "") body[name] = null;
    else body[name] = name === "time_exit_ms" ? new Date(wanted).getTime() : (Number(wanted) / 100).toFixed(4);
  }
  return body;
}

function withoutStop(row) {
  return {
    title: `No stop for ${contracts(row.count)} ${row.side}?`,
    text: `${row.title}. Nothing limits the loss then: you can lose all that this position cost.`,
    action: "Take the stop away",
    word: NO_STOP,
  };
}

// As a datetime-local field wants it: local time, to the minute.
function localMinute(ms) {
  const at = new Date(ms);
  return new Date(ms - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
