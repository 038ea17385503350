// One question before what is costly. The safe answer has the focus; the button names what will happen. It is not modal:
// KILL stays in reach while it asks. A new question answers the one before with no.

import { byId } from "./dom.js";

let answer = () => {};

// word: has to be typed first. Resolves to true when confirmed.
export function confirmed({ title, text, action, word = null }) {
  answer(false);
  const dialog = byId("confirm");
  const typed = byId("confirm-word");
  const go = byId("confirm-go");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  go.textContent = action;
  byId("confirm-typing").hidden = !word;
  byId("confirm-label").textContent = word ? `Type ${word} to go on` : "";
  typed.value = "";
  go.disabled = Boolean(word);
  typed.oninput = () => (go.disabled = typed.value !== word);
  return new Promise((resolve) => {
    answer = (yes) => {
      dialog.close();
      resolve(yes);
    };
    dialog.onkeydown = (event) => {
      if (event.key === "Escape") answer(false);
    };
    typed.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (typed.value === word) answer(true);
    };
    dialog.onsubmit = (event) => {
      event.preventDefault();
      answer(event.submitter === go);
    };
    dialog.show();
  });
}
