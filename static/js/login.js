// Signing in: the secret of a login link stays in the fragment, and leaves the address bar before it is used.

import { byId } from "./dom.js";

async function post(path, body) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return fetch(`/api/v1${path}`, request).catch(() => null);
}

async function signIn(body) {
  say("Signing in…");
  const response = await post("/session", body);
  if (response?.ok) return location.replace("/");
  const problem = await response?.json().catch(() => null);
  say(problem?.detail ?? "The bot does not answer. Is it running?", true);
}

function say(text, failed = false) {
  byId("message").textContent = text;
  byId("message").classList.toggle("danger", failed);
}

byId("password-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ password: byId("password").value });
});

byId("new-link")?.addEventListener("click", async () => {
  const response = await post("/session/link", {});
  const problem = response?.ok ? null : await response?.json().catch(() => null);
  say(response?.ok ? "A new link is in the terminal in which the bot runs." : (problem?.detail ?? "The bot does not answer. Is it running?"), !response?.ok);
});

// A link from another site comes without the strict cookie: who is signed in lands here, and goes on.
async function goOnIfSignedIn() {
  const response = await fetch("/api/v1/session").catch(() => null);
  if (response?.ok && (await response.json()).role) location.replace("/");
}

function begin() {
  const secret = location.hash.slice(1);
  if (!secret) return goOnIfSignedIn();
  history.replaceState(null, "", location.pathname);
  return signIn({ link: secret });
}

addEventListener("hashchange", begin);
begin();
