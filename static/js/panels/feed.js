// Where the markets come from: how old their list is, and how the stream does. Old data says so.

import { byId, setAttribute, setText } from "../dom.js";
import { span, until } from "../format.js";

export function feed(store, live) {
  const show = () => store.frozen || said(store.rows("status"), live.now());
  store.on(["status"], show);
  setInterval(show, 1000);
}

function said({ market_data: data, stream }, now) {
  if (!data || !stream || !now) return;
  const stale = data.status !== "ok";
  setAttribute(byId("feed"), "class", stale ? "note danger" : "note");
  const listed = data.discovered_ms ? `listed ${until(data.discovered_ms, now)}` : "not listed yet";
  setText(byId("feed"), `${stale ? `⚠ STALE, nothing is entered: ${listed}` : listed} · ${streamed(data, stream, now)}`);
}

function streamed(data, stream, now) {
  const counts = `${stream.gaps} gaps, ${data.resyncs} resyncs, ${stream.reconnects} reconnects, ${data.refused} refused`;
  if (!stream.connected) return `no stream: prices by request · ${counts}`;
  return `stream up ${span(now - stream.since_ms)}, ${stream.rate} messages/s, ${stream.lag_ms} ms behind · ${counts}`;
}
