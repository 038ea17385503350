// The bar that is always there: mode, state, lights, age, clock, and the buttons. KILL works whatever else does not.

import { act } from "../act.js";
import { send, Unreached } from "../api.js";
import { confirmed } from "../confirm.js";
import { byId, setAttribute, setText } from "../dom.js";
import { clock, span, until } from "../format.js";
import { alarm, outcome } from "../notices.js";

const MODES = { paper: ["▢", "PAPER", "play money"], demo: ["◇", "DEMO", "Kalshi's test money"], live: ["⬤", "LIVE", "real money"] };
const STATES = {
  RUNNING: ["▶", "entries and exits run"],
  PAUSED: ["❚❚", "no new entries; stops and targets run"],
  REDUCING: ["▼", "only exits"],
  HALTED: ["■", "no entries; stops and targets still protect"],
  STANDBY: ["◌", "another instance trades"],
};

export function header(store, live) {
  byId("kill").addEventListener("click", () => kill(store));
  byId("start").addEventListener("click", () => start(store));
  byId("pause").addEventListener("click", () => act(byId("pause"), { pending: "Pausing…", path: "/bot/pause", what: "Pause entries" }));
  byId("rearm").addEventListener("click", rearm);
  byId("freeze").addEventListener("click", () => freeze(store, live));
  byId("theme").addEventListener("click", theme);
  byId("signout").addEventListener("click", signOut);
  addEventListener("keydown", (event) => {
    if (event.shiftKey && event.key === "K" && !event.target.closest("input, select, dialog")) byId("kill").focus();
  });
  store.on(["meta", "status", "positions"], () => state(store));
  store.on(["status"], () => beat(store, live));
  setInterval(() => beat(store, live), 500);
}

function state(store) {
  const { mode } = store.rows("meta");
  const status = store.rows("status");
  const [shape, word, what] = MODES[mode] ?? ["?", String(mode), ""];
  setText(byId("mode-shape"), shape);
  setText(byId("mode-word"), word);
  setText(byId("mode-what"), what);
  setAttribute(document.documentElement, "data-mode", mode);
  if (document.body.dataset.state && document.body.dataset.state !== status.state) alarm(`${status.state}: ${status.reason}`);
  setAttribute(document.body, "data-state", status.state);
  setText(byId("state-shape"), STATES[status.state]?.[0] ?? "?");
  setText(byId("state-word"), status.state ?? "");
  setText(byId("state-what"), does(status));
  setText(byId("state-reason"), status.reason ? `${status.reason}, since ${clock(status.since_ms)}${ends(status)}` : "");
  byId("rearm").hidden = status.state !== "HALTED";
  byId("start").hidden = status.state === "HALTED";
  const held = Object.keys(store.rows("positions")).length;
  document.title = `${held ? `(${held}) ` : ""}${status.state} · ${word} – Tickstop`;
}

// When a pause that the bot took by itself is over.
function ends(status) {
  return status.until_ms ? `, until ${clock(status.until_ms)}` : "";
}

function does(status) {
  if (status.exits === false) return "EXITS ARE OFF: stops do not protect";
  return STATES[status.state]?.[1] ?? "";
}

// Twice a second: what depends on the time.
function beat(store, live) {
  const status = store.rows("status");
  const now = live.now();
  const stale = live.staleness();
  const page = live.state !== "open" ? "page lost the bot" : stale ? "bot not updating" : "page connected";
  light("light-page", !stale, page);
  const kalshi = status.stream?.connected && status.exchange?.reachable;
  light("light-kalshi", stale ? null : kalshi, stale ? "Kalshi unknown" : kalshi ? "Kalshi connected" : "Kalshi not connected");
  const odds = status.odds?.state;
  light("light-odds", stale || odds === "off" ? null : odds === "ok", stale || !odds ? "odds unknown" : `odds ${odds}${oddsAge(status.odds, now)}`);
  setText(byId("age"), live.age() === null ? "no data yet" : `data ${span(live.age())} old`);
  setText(byId("clock"), now ? `${clock(now)} · ${clock(now, true)} UTC` : "");
  if (document.body.dataset.stale !== (stale ? "yes" : "no")) {
    document.body.dataset.stale = stale ? "yes" : "no";
    if (stale && live.age() !== null) alarm(stale);
  }
  const banner = byId("stale");
  banner.hidden = !stale;
  if (stale) setText(byId("stale-text"), live.age() === null ? stale : `${stale} Everything below is as of ${clock(live.shownAt())} (${span(live.age())} ago).`);
  for (const button of document.querySelectorAll("[data-acts]")) {
    button.disabled = Boolean(stale) || button.closest(".gone") !== null || !fits(button, status);
    setAttribute(button, "title", stale ? "Not while the page is not live. KILL still works." : null);
  }
}

function fits(button, status) {
  if (button.id === "start") return status.state === "PAUSED" || status.state === "REDUCING";
  return button.id !== "pause" || status.state === "RUNNING";
}

function oddsAge(odds, now) {
  return odds.updated_ms && now ? `, ${until(odds.updated_ms, now)}` : "";
}

function light(id, on, text) {
  setAttribute(byId(id), "data-on", on === null || on === undefined ? "unknown" : on ? "yes" : "no");
  setText(byId(`${id}-text`), text);
}

async function kill(store) {
  const button = byId("kill");
  button.setAttribute("aria-busy", "true");
  setText(byId("kill-word"), "KILLING…");
  try {
    const answer = await send("/bot/kill", { reason: "KILL on the page" });
    const held = Object.values(store.rows("positions"));
    const bare = held.filter((row) => !row.protected).length;
    const rest = held.length ? `${held.length} open positions keep their stops${bare ? `, ${bare} NOT protected` : ""}.` : "No open positions.";
    outcome(`${answer.state}. ${answer.detail} ${rest}`, !answer.durable);
  } catch (error) {
    const how = error instanceof Unreached ? "Run `python -m bot kill` on the machine." : "";
    outcome(`KILL did not go through. ${error.message} ${how}`.trim(), true);
  } finally {
    button.removeAttribute("aria-busy");
    setText(byId("kill-word"), "KILL");
  }
}

async function start(store) {
  const real = store.rows("meta").mode === "live";
  const word = store.rows("status").start_word || null;
  const question = { title: "Trade with real money?", text: "The bot will open positions on Kalshi with your money.", action: "Start trading real money", word };
  if (real && !(await confirmed(question))) return;
  await act(byId("start"), { pending: "Starting…", path: "/bot/start", body: word ? { confirm: word } : {}, what: "Start" });
}

async function rearm() {
  const agreed = await confirmed({
    title: "Re-arm the bot?",
    text: "It leaves HALTED and waits in PAUSED; Start lets it open positions again. First look at why it was halted.",
    action: "Re-arm",
    word: "REARM",
  });
  if (agreed) await act(byId("rearm"), { pending: "Re-arming…", path: "/bot/rearm", body: { confirm: "REARM" }, what: "Re-arm" });
}

function freeze(store, live) {
  store.frozen = !store.frozen;
  setAttribute(byId("freeze"), "aria-pressed", store.frozen);
  const banner = byId("frozen");
  banner.hidden = !store.frozen;
  if (store.frozen) setText(banner, `Frozen at ${clock(live.shownAt())}. The bot goes on; press Freeze again to see it live.`);
}

function theme() {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--theme").trim() === "dark";
  localStorage.setItem("theme", (document.documentElement.dataset.theme = dark ? "light" : "dark"));
}

async function signOut() {
  await fetch("/api/v1/session", { method: "DELETE", headers: { "Content-Type": "application/json" }, body: "{}" }).catch(() => null);
  location.assign("/login");
}
