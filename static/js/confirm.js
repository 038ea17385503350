// One question before what is costly. The safe answer has the focus; the button names what will happen. It is not modal:
// KILL stays in reach while it asks.

import { byId } from "./dom.js";

// word: has to be typed first. Resolves to true when confirmed.
export function confirmed({ title, text, action, word = null }) {
  const dialog = byId("confirm");
  const typed = byId("confirm-word");
  const go = byId("confirm-go");
  if (dialog.open) dialog.close("");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  go.textContent = action;
  byId("confirm-typing").hidden = !word;
  byId("confirm-label").textContent = word ? `Type ${word} to go on` : "";
  typed.value = "";
  go.disabled = Boolean(word);
  typed.oninput = () => (go.disabled = typed.value !== word);
  dialog.returnValue = "";
  dialog.onkeydown = (event) => event.key === "Escape" && dialog.close("");
  dialog.show();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "go"), { once: true });
  });
}
