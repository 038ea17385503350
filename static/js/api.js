// Commands to the bot. Each has a key of its own, so that one that is sent again does not act twice (until a restart).

export class Refused extends Error {}
export class Unreached extends Error {}

export async function send(path, body = {}) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": randomKey() };
  const request = { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(20000) };
  let response;
  try {
    response = await fetch(`/api/v1${path}`, request);
  } catch {
    throw new Unreached("The bot did not answer.");
  }
  const answer = await response.json().catch(() => null);
  if (response.status === 401) throw new Refused("You are signed out: sign in again.");
  if (!response.ok) throw new Refused(answer?.detail ?? `The server answered ${response.status}.`);
  return answer;
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
