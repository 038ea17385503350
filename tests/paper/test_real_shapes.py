"""Our frames and bodies have the shape of recorded real ones: the same keys with values of the same kind.

Where the recordings (May to August 2026) and today's documentation differ the documentation wins; each such key is
listed here with its reason (kalshi-api.md).
"""

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_client import Exchange, until
from still_exchange import BOS

Find = Callable[[str], Path]
Shape = dict[str, tuple[set[str], bool]]
"""Path within the object -> (kinds of value seen there, whether it was there in every object)."""

KINDS = (
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")),
    ("uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
    ("dollars with 6 decimals", re.compile(r"-?\d+\.\d{6}")),
    ("dollars with 4 decimals", re.compile(r"-?\d+\.\d{4}")),
    ("hundredths", re.compile(r"-?\d+\.\d\d")),
)

NEWER = {
    "sending_ts_ms": "on every server frame since October (6.1)",
    "msg.time": "documented for ticker; RFC 3339",
    "msg.is_block_trade": "required on trade (6.5)",
    "msg.taker_outcome_side": "newer than the April capture",
    "msg.taker_book_side": "newer than the April capture",
    "msg.ts_ms": "since 15 April (1.3)",
    "msg.client_order_id": "only for one's own order",
    "msg.subaccount": "only for one's own order",
    "price_ranges": "replaces tick_size (1.3)",
    "settlement_bounds_type": "required since the autumn (4.4)",
    "categories": "required (4.2)",
    "exchange_index": "required since the shards (1.4)",
}
GONE = {
    "available_on_brokers": "removed 10 September (1.3)",
    "msg.price_cents": "added by the recorder",
    "msg.yes_bid": "added by the recorder",
    "msg.yes_ask": "added by the recorder",
    "msg.no_bid": "added by the recorder",
    "msg.no_ask": "added by the recorder",
    "msg.no_bid_size_fp": "not documented (6.5: no NO fields)",
    "msg.no_ask_size_fp": "not documented (6.5: no NO fields)",
}


def kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    if isinstance(value, int):
        return "ms" if value > 10**12 else "s" if value > 10**9 else "number"
    if isinstance(value, float):
        return "number"
    assert isinstance(value, str)
    return next((name for name, form in KINDS if form.fullmatch(value)), "text") if value else "empty"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield path, "list"
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, kind(value)


def shape(things: Iterable[Any]) -> Shape:
    found: Shape = {}
    total = 0
    for total, thing in enumerate(things, 1):
        told: dict[str, set[str]] = {}
        for path, what in leaves(thing):
            told.setdefault(path, set()).add(what)
        for path, kinds in told.items():
            seen, _ = found.get(path, (set(), True))
            found[path] = (seen | kinds, total == 1 or (path in found and found[path][1]))
        for path in set(found) - set(told):
            found[path] = (found[path][0], False)
    assert total, "nothing to compare with"
    return found


LOOSE = {"empty", "null"}
SAME = [{"time"}, {"text", "empty"}, {"text", "uuid"}, {"number", "s"}]
"""A short text may be empty; ids in public notes were shortened; totals may be as large as a time in seconds."""


def agree(own: set[str], real: set[str]) -> bool:
    extra = own - real - LOOSE
    return all(any({what} | {other} <= same for same in SAME for other in real) for what in extra)


def compare(own: Shape, real: Shape, free: tuple[str, ...] = ()) -> list[str]:
    """What differs. Below a `free` path the keys are nobody's promise."""
    wrong = []
    for path, (kinds, always) in real.items():
        if path in GONE or path.rpartition(".")[2] in GONE or path.startswith(free or ("\0",)):
            continue
        if path not in own and always:
            wrong.append(f"{path} is missing")
        elif path in own and not agree(own[path][0], kinds):
            wrong.append(f"{path}: ours {own[path][0]}, real {kinds}")
    for path in set(own) - set(real):
        names = {path, path.rpartition(".")[2].removesuffix("[]")}
        if not path.startswith(free or ("\0",)) and not names & set(NEWER):
            wrong.append(f"{path} is not in the recordings")
    return sorted(wrong)


def recorded_frames(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if "frame" in (row := json.loads(line)):
                yield row["frame"]


def two_sided(snapshot: Any) -> bool:
    """As all captured books are; of ours a game that has just begun or ended may have one side or none."""
    return bool(snapshot["msg"].get("yes_dollars_fp") and snapshot["msg"].get("no_dollars_fp"))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """A scene like the recorded ones: books and tickers of live games, markets that join, one that ends."""
    folder = str(tmp_path_factory.mktemp("shape"))
    exchange = Exchange(["-m", "bot", "exchange", "--data-dir", folder, "--seed", "4", "--speed", "40"])
    try:
        ws = exchange.socket()
        listed = exchange.get("/markets", status="open", limit=100)["markets"]
        listed.sort(key=lambda market: "0.0000" in (market["yes_bid_dollars"], market["no_bid_dollars"]))
        tickers = [market["ticker"] for market in listed][:20]
        channels = ["orderbook_delta", "ticker", "trade", "market_lifecycle_v2"]
        ws.send("subscribe", channels=channels, market_tickers=tickers[:10], use_yes_price=False)
        ws.send("update_subscription", sids=[1], action="add_markets", market_tickers=tickers[10:])
        seen: dict[str, list[Any]] = {"orderbook_snapshot": []}

        def enough() -> bool:
            frame = ws.next()
            name = frame["type"]
            if name == "market_lifecycle_v2":
                name = frame["msg"]["event_type"]
            seen.setdefault(name, []).append(frame)
            whole = any(two_sided(snapshot) for snapshot in seen["orderbook_snapshot"])
            all_kinds = {"ok", "ticker", "trade", "determined", "settled"} <= set(seen)
            return whole and all_kinds and len(seen["orderbook_delta"]) > 50

        until(enough, 60)
        seen["market"] = exchange.get("/markets", status="settled", limit=100)["markets"]
        return seen
    finally:
        exchange.kill()


@pytest.mark.parametrize("name", ["subscribed", "orderbook_snapshot", "orderbook_delta", "ok"])
def test_book_frames_are_shaped_like_the_baseball_capture(
    recorded: Find, frames: dict[str, list[Any]], name: str
) -> None:
    real = [f for f in recorded_frames(recorded("ws_mlb_20260807") / "ws_mlb_20260807.jsonl.gz") if f["type"] == name]
    own = [frame for frame in frames[name] if name != "orderbook_snapshot" or two_sided(frame)]
    assert compare(shape(own), shape(real)) == []


@pytest.mark.parametrize("name", ["orderbook_delta", "ticker"])
def test_frames_are_shaped_like_the_crypto_capture(recorded: Find, frames: dict[str, list[Any]], name: str) -> None:
    path = recorded("ws_btc15m_202605") / "btc15m_20260513T055209Z.jsonl.gz"
    real = [frame for frame in recorded_frames(path) if frame["type"] == name]
    assert compare(shape(frames[name]), shape(real)) == []


@pytest.mark.parametrize("name", ["trade", "determined", "settled", "subscribed"])
def test_frames_are_shaped_like_the_observed_ones(recorded: Find, frames: dict[str, list[Any]], name: str) -> None:
    real = [
        frame
        for frame in recorded_frames(recorded("ws_frames_observed") / "frames.jsonl")
        if name in (frame["type"], frame["msg"].get("event_type")) and "yes_price" not in frame["msg"]
    ]
    newest = [frame for frame in real if "settlement_value" in frame["msg"]] or real
    assert compare(shape(frames[name]), shape(newest)) == []


# REST


def body(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    folder = str(tmp_path_factory.mktemp("rest"))
    exchange = Exchange(["-m", "bot", "exchange", "--data-dir", folder, "--seed", "4", "--tier", "prestige"])
    yield exchange
    exchange.kill()


def real_events(recorded: Find) -> list[Any]:
    return body(recorded("kalshi_rest_202608") / "events_sports_nested.json.gz")


OPTIONAL = {
    "custom_strike.",
    "product_metadata.",
    "primary_participant_key",
    "is_provisional",
    "mve_",
    "functional_strike",
    "floor_strike",
    "cap_strike",
    "fee_waiver_expiration_time",
    "settlement_ts",
    "settlement_value_dollars",
    "early_close_condition",
    "subtitle",
    "occurrence_datetime",
    "strike_date",
    "strike_period",
}
"""Keys that the documentation calls optional or free-form, and that depend on the market."""


def test_markets_are_shaped_like_the_recorded_ones(recorded: Find, world: Exchange) -> None:
    real = [market for event in real_events(recorded) for market in event["markets"]]
    own = [m for m in world.get("/markets", status="open", limit=1000)["markets"] if "GAME" in m["ticker"]]
    assert compare(shape(own), shape(real), tuple(OPTIONAL)) == []
    single = body(recorded("kalshi_rest_202608") / "market_single.json.gz")["single"]
    one = world.get(f"/markets/{own[0]['ticker']}")
    assert compare(shape([one]), shape([single]), tuple(f"market.{key}" for key in OPTIONAL)) == []


def test_settled_markets_are_shaped_like_the_recorded_ones(recorded: Find, frames: dict[str, list[Any]]) -> None:
    settled = body(recorded("kalshi_rest_202608") / "markets_settled.json.gz")["markets"]
    real = [market for market in settled if market["status"] == "finalized"]
    own = [market for market in frames["market"] if "GAME" in market["ticker"] and market["result"] != "scalar"]
    assert compare(shape(own), shape(real), ("custom_strike.", "primary_participant_key", "is_provisional")) == []


def test_events_are_shaped_like_the_recorded_ones(recorded: Find, world: Exchange) -> None:
    bare = [{k: v for k, v in event.items() if k != "markets"} for event in real_events(recorded)]
    own = [e for e in world.get("/events", limit=200)["events"] if e["category"] == "Sports"]
    assert compare(shape(own), shape(bare), (*OPTIONAL, "settlement_sources")) == []


def test_order_books_are_shaped_like_the_recorded_ones(recorded: Find, world: Exchange) -> None:
    single = body(recorded("kalshi_rest_202608") / "market_single.json.gz")["orderbook"]
    listed = world.get("/markets", status="open", limit=50)["markets"]
    own = [world.get(f"/markets/{market['ticker']}/orderbook") for market in listed]
    assert compare(shape([book for book in own if all(book["orderbook_fp"].values())]), shape([single])) == []


def test_series_are_shaped_like_the_recorded_ones(recorded: Find, world: Exchange) -> None:
    real = body(recorded("kalshi_rest_202608") / "series_fee_fields.json.gz")["payloads"].values()
    own = [{"series": series} for series in world.get("/series")["series"]]
    free = ("series.product_metadata", "series.settlement_sources", "series.additional_prohibitions", "series.tags")
    assert compare(shape(own), shape(real), (*free, "series.last_updated_ts", "series.volume_fp")) == []


def test_fills_and_settlements_are_shaped_like_the_recorded_ones(recorded: Find, still: Exchange) -> None:
    still.tell("set_level", BOS, "ask", 5800, 30_050, "now")
    until(lambda: still.get(f"/markets/{BOS}/orderbook")["orderbook_fp"]["no_dollars"])
    assert still.order(BOS, "bid", "0.5800", "3.00").status_code == 201
    still.tell("set_close", BOS, 1, "now")
    still.tell("determine", BOS, "yes", "now")
    until(lambda: still.get("/portfolio/settlements")["settlements"])
    for name in ("fills", "settlements"):
        real = body(recorded("kalshi_rest_202608") / f"portfolio_{name}_redacted.json.gz")["payload"][name]
        assert compare(shape(still.get(f"/portfolio/{name}")[name]), shape(real)) == [], name


def test_a_difference_is_seen() -> None:
    real = shape([{"a": "0.5000", "b": 1, "c": {"d": "x"}}, {"a": "0.5100", "b": 2, "c": {"d": "y"}}])
    assert compare(real, real) == []
    assert compare(shape([{"a": 0.5, "b": 1, "c": {"d": "x"}}]), real) == [
        "a: ours {'number'}, real {'dollars with 4 decimals'}"
    ]
    assert compare(shape([{"a": "0.50", "b": 1, "c": {"d": "x"}}]), real) != []
    assert compare(shape([{"a": "0.5000", "b": 1}]), real) == ["c.d is missing"]
    assert compare(shape([{"a": "0.5000", "b": 1, "c": {"d": "x"}, "e": 1}]), real) == ["e is not in the recordings"]
