// What screen readers hear and everybody sees: outcomes of commands, alarms, and news in batches.

import { byId, setText } from "./dom.js";

const BATCH_MS = 8000;
let waiting = [];
let timer = null;

export function outcome(text, failed = false) {
  const notice = byId("notice");
  notice.hidden = false;
  notice.classList.toggle("failed", failed);
  setText(byId("notice-text"), text);
  if (failed) alarm(text);
}

export function alarm(text) {
  setText(byId("alarm"), text);
}

export function news(text) {
  waiting.push(text);
  timer ??= setTimeout(() => {
    setText(byId("news"), waiting.length === 1 ? waiting[0] : `${waiting.length} events. Last: ${waiting.at(-1)}`);
    waiting = [];
    timer = null;
  }, BATCH_MS);
}

export function install() {
  byId("notice-close").addEventListener("click", () => (byId("notice").hidden = true));
}
