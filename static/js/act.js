// A command from a button: pending, then done or failed. The button says so, the notice says why.

import { send } from "./api.js";
import { outcome } from "./notices.js";

export async function act(button, { pending, path, body = {}, what }) {
  if (button.getAttribute("aria-busy")) return null;
  const label = button.textContent;
  button.textContent = pending;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await send(path, body);
    outcome(`${what}: ${answer.detail}`, !answer.durable);
    return answer;
  } catch (error) {
    outcome(`${what} failed. ${error.message}`, true);
    return null;
  } finally {
    button.textContent = label;
    button.removeAttribute("aria-busy");
  }
}
