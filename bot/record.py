"""`python -m bot record`: follow every market that is watched and keep the raw frames, without trading."""

import signal
import time
from collections.abc import Callable

import gevent
from gevent.event import Event

from bot.kalshi.rest import ReadFailed
from bot.market_data.market_data import MarketData
from bot.market_data.recorder import Recorder

CONFIRM_S = 2.0


def record(
    market_data: MarketData, recorder: Recorder, seconds: float, search_every_s: float, say: Callable[[str], None]
) -> int:
    """Record for `seconds` (0: until SIGINT or SIGTERM). Returns the exit status: 1 when nothing was recorded."""
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, ended.set)
    greenlets = [gevent.spawn(market_data.run), gevent.spawn(recorder.pump)]
    began, searched = time.monotonic(), -search_every_s
    while not ended.is_set() and (not seconds or time.monotonic() - began < seconds):
        if time.monotonic() - searched >= search_every_s:
            searched = time.monotonic()
            try:
                market_data.discover()
            except ReadFailed as failure:
                say(f"no discovery: {failure}")
            markets = market_data.snapshot().markets
            market_data.follow(frozenset(t for t, m in markets.items() if m.status == "active"), ())
        market_data.confirm_stale(time.time_ns())
        ended.wait(min(CONFIRM_S, max(0.0, began + seconds - time.monotonic())) if seconds else CONFIRM_S)
    market_data.stop()
    recorder.stop()
    gevent.killall(greenlets)
    say(f"{recorder.frames} frames recorded, {recorder.dropped} lost")
    return 0 if recorder.frames else 1
