// The connection: one EventSource, resumed by the id last seen; knows the server's time and how old the page is.

const STALE_MS = 5000;
const SILENT_MS = 25000; // the server says something every 15 s; a connection that does not is dead

export class Live {
  state = "connecting"; // connecting, open, lost
  #store;
  #source = null;
  #lastId = null;
  #server = null; // {ms, at}: the server's time, and our monotonic clock when we learned it
  #failures = 0;
  #retry = null;
  #heard = 0;

  constructor(store) {
    this.#store = store;
    addEventListener("pagehide", () => this.#source?.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    addEventListener("online", () => this.#wake());
    addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
    setInterval(() => performance.now() - this.#heard > SILENT_MS && this.open(), 5000);
  }

  open() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#heard = performance.now();
    const query = this.#lastId ? `?last_event_id=${encodeURIComponent(this.#lastId)}` : "";
    const source = (this.#source = new EventSource(`/api/v1/stream${query}`));
    source.addEventListener("snapshot", (event) => {
      this.#store.snapshot(JSON.parse(event.data));
      this.#seen(event);
    });
    source.addEventListener("delta", (event) => {
      this.#store.apply(JSON.parse(event.data));
      this.#seen(event);
    });
    source.addEventListener("tick", (event) => this.#tick(JSON.parse(event.data)));
    source.addEventListener("bye", (event) => this.#bye(JSON.parse(event.data)));
    source.addEventListener("open", () => (this.state = "open"));
    source.addEventListener("error", () => this.#error());
  }

  // The server's time now, in ms; null before the first tick. The browser's own clock is never trusted.
  now() {
    return this.#server && this.#server.ms + (performance.now() - this.#server.at);
  }

  shownAt() {
    return this.#store.rows("status").server_ms ?? null;
  }

  age() {
    return this.#server && this.shownAt() ? Math.max(0, this.now() - this.shownAt()) : null;
  }

  // Why what is shown may be old; null when it is live.
  staleness() {
    if (this.age() === null) return this.state === "open" ? "Waiting for the first data." : "Connecting to the bot.";
    if (this.state !== "open") return "The page has lost the bot.";
    return this.age() > STALE_MS ? "The bot has stopped updating this page." : null;
  }

  // After sleep or a change of network an old connection may be dead without anybody having noticed.
  #wake() {
    if (this.age() > STALE_MS) this.open();
  }

  #seen(event) {
    this.#heard = performance.now();
    this.#lastId = event.lastEventId;
    const ms = this.shownAt();
    if (ms && (!this.#server || ms > this.now())) this.#server = { ms, at: performance.now() };
  }

  #tick({ server_ms, seq }) {
    this.#failures = 0;
    this.#heard = performance.now();
    this.#server = { ms: server_ms, at: performance.now() };
    const seen = Number(this.#lastId?.split("-").pop());
    if (seen < seq) {
      this.#lastId = null;
      this.open();
    }
  }

  #bye({ reason, retry_ms }) {
    this.state = "lost";
    this.#source.close();
    if (reason === "signed_out") location.assign("/login");
    else this.#reopen(retry_ms);
  }

  #error() {
    this.state = "lost";
    if (this.#source.readyState === EventSource.CLOSED) this.#reopen(1000);
  }

  async #reopen(firstMs) {
    const wait = Math.min(30000, firstMs * 2 ** this.#failures++) * (0.5 + Math.random());
    clearTimeout(this.#retry);
    this.#retry = setTimeout(async () => {
      const answer = await fetch("/api/v1/session").catch(() => null);
      if (answer?.ok && (await answer.json()).role === null) location.assign("/login");
      else this.open();
    }, wait);
  }
}
