"""Recorded captures, replayed, give the recorded books."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bot.core.units import parse_count, parse_price
from bot.paper.engine import Engine
from bot.paper.recording import load
from bot.paper.replay import BATCH, Replay, grid_for

CRYPTO = "ws_btc15m_202605/btc15m_{}.jsonl.gz"
SHORT = CRYPTO.format("20260513T055209Z")
BASEBALL = "ws_mlb_20260807/ws_mlb_20260807.jsonl.gz"
NOW = 1_800_000_000_000

Find = Callable[[str], Path]


def shown(engine: Engine, ticker: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The book as recordings give it: YES bids and NO bids, best first."""
    bids, asks = engine.depth(ticker)
    return bids[::-1], [(10_000 - price, size) for price, size in asks]


def check(engine: Engine, ticker: str, want: dict, counts: tuple[str, str]) -> None:
    for side, levels, count in zip(("yes", "no"), shown(engine, ticker), counts, strict=True):
        assert levels[:5] == [(parse_price(p), parse_count(c)) for p, c in want[f"{side}_top5"]]
        assert len(levels) == want[count]
        assert sum(size for _, size in levels) == parse_count(want[f"{side}_total"])


@pytest.mark.parametrize(
    ("taken", "results"),
    [
        ("20260511T053741Z", ["no", ""]),
        ("20260513T055209Z", [""]),
        ("20260514T043808Z", ["yes", ""]),
        ("20260515T083925Z", ["yes", ""]),
    ],
)
def test_a_crypto_capture_replays_to_every_expected_book(recorded: Find, taken: str, results: list[str]) -> None:
    """An ended period is determined by the next one's strike, which the capture notes; the last one stays open."""
    path = recorded(CRYPTO.format(taken))
    expected = path.with_name(path.name.replace(".jsonl.gz", ".expected_book.jsonl"))
    wanted = {(row["conn"], row["after_seq"]): row for row in map(json.loads, expected.read_text().splitlines())}
    replay, engine = Replay(path, speed=0), Engine(1, history_frozen=True)
    replay.start(engine, NOW)
    checked = 0
    while not replay.done:
        frame = replay.step(engine, NOW)
        if row := wanted.get((frame.connection, frame.seq)):
            check(engine, row["market_ticker"], row, ("n_yes_levels", "n_no_levels"))
            checked += 1
    assert checked == len(wanted)
    assert replay.recording.gaps == 0
    assert [engine.markets[ticker].result for ticker in sorted(engine.markets)] == results
    assert engine.markets[max(engine.markets)].status == "active"
    assert not any(market.volume for market in engine.markets.values()), "recorded levels traded with each other"


def test_the_baseball_capture_replays_to_the_expected_final_books(recorded: Find) -> None:
    path = recorded(BASEBALL)
    replay, engine = Replay(path, speed=0), Engine(1, history_frozen=True)
    replay.start(engine, NOW)
    while not replay.done:
        replay.advance(engine, NOW)
    final = json.loads((path.parent / "expected_final_book.json").read_text())
    assert replay.recording.gaps == 0
    assert set(engine.markets) == set(final["after_last_frame"])
    for ticker, want in final["after_last_frame"].items():
        check(engine, ticker, want, ("n_yes", "n_no"))
        assert engine.markets[ticker].price_level_structure == "linear_cent"


def test_the_recorded_pace_is_kept_and_scaled(recorded: Find) -> None:
    path = recorded(SHORT)
    frames = load(path).frames
    span = frames[-1].ms - frames[0].ms
    for speed, share in ((1.0, 0.5), (4.0, 0.5), (100.0, 0.3), (1000.0, 0.5)):
        replay, engine = Replay(path, speed), Engine(1, history_frozen=True)
        replay.start(engine, NOW)
        replay.advance(engine, NOW + round(span * share / speed))
        due = [sum(frame.ms <= frames[0].ms + span * share + slack for frame in frames) for slack in (-speed, speed)]
        assert due[0] <= replay.position <= due[1], "up to the millisecond to which times are rounded"
        replay.advance(engine, NOW + round(span / speed) + 1)
        assert replay.done


def test_a_restart_goes_on_with_the_same_book(recorded: Find) -> None:
    path = recorded(SHORT)
    whole, parted = Engine(1, history_frozen=True), Engine(1, history_frozen=True)
    replay = Replay(path, speed=0)
    replay.start(whole, NOW)
    before = Replay(path, speed=1)
    before.start(parted, NOW)
    for _ in range(1_000):
        before.step(parted, NOW)
    restarted, after = Engine(1, history_frozen=True), Replay(path, speed=0)
    after.restore(before.state(), restarted, NOW + 60_000)
    (ticker,) = restarted.markets
    assert restarted.depth(ticker) == parted.depth(ticker)
    for driven, engine in ((replay, whole), (after, restarted)):
        while not driven.done:
            driven.advance(engine, NOW + 60_000)
    assert restarted.depth(ticker) == whole.depth(ticker)


@pytest.mark.parametrize(
    ("table", "finalized"), [("sports_quotes_202607/quotes.csv.gz", 300), ("btc15m_ticks_202605/ticks.csv.gz", 60)]
)
def test_quote_tables_drive_the_top_of_the_book_and_settle(recorded: Find, table: str, finalized: int) -> None:
    replay, engine = Replay(recorded(table), speed=0), Engine(1, history_frozen=True)
    replay.start(engine, NOW)
    replay.advance(engine, NOW)
    assert replay.position == BATCH
    while not replay.done:
        replay.advance(engine, NOW)
    engine.advance(NOW + 3_600_000)
    assert sum(market.status == "finalized" for market in engine.markets.values()) >= finalized
    assert all(len(side) <= 1 for ticker in engine.markets for side in engine.depth(ticker))


def capture(tmp_path: Path, frames: list[dict], name: str = "made_up.jsonl") -> Path:
    lines = "".join(json.dumps({"recv_ms": 1_000 + i * 100, "frame": frame}) + "\n" for i, frame in enumerate(frames))
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    return path


def snapshot(seq: int, **sides: list[list[str]]) -> dict:
    return {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": {"market_ticker": "KXAB-1-A", **sides}}


def delta(seq: int, side: str, price: str, change: str) -> dict:
    message = {"market_ticker": "KXAB-1-A", "side": side, "price_dollars": price, "delta_fp": change}
    return {"type": "orderbook_delta", "sid": 1, "seq": seq, "msg": message}


@pytest.mark.parametrize("name", ["plain.jsonl", "packed.jsonl.gz"])
def test_crossed_states_stand_and_an_empty_snapshot_closes(tmp_path: Path, name: str) -> None:
    frames = [
        snapshot(1, yes_dollars_fp=[["0.5000", "10.00"]], no_dollars_fp=[["0.4500", "2.50"]]),
        delta(2, "yes", "0.5600", "4.00"),
        delta(3, "yes", "0.5600", "-4.00"),
        snapshot(4),
    ]
    replay, engine = Replay(capture(tmp_path, frames, name), speed=0), Engine(1, history_frozen=True)
    replay.start(engine, NOW)
    replay.step(engine, NOW)
    assert engine.depth("KXAB-1-A") == ([(5_000, 1_000)], [(5_500, 250)])
    replay.step(engine, NOW)
    assert engine.depth("KXAB-1-A") == ([(5_000, 1_000), (5_600, 400)], [(5_500, 250)])
    replay.step(engine, NOW)
    assert engine.depth("KXAB-1-A") == ([(5_000, 1_000)], [(5_500, 250)])
    replay.step(engine, NOW)
    assert replay.done
    assert engine.depth("KXAB-1-A") == ([], [])
    assert engine.markets["KXAB-1-A"].status == "closed"


def test_a_missing_frame_is_counted(tmp_path: Path) -> None:
    frames = [snapshot(1, yes_dollars_fp=[["0.5000", "10.00"]]), delta(3, "yes", "0.5000", "1.00")]
    assert load(capture(tmp_path, frames)).gaps == 1


def test_the_grid_fits_the_recorded_prices() -> None:
    assert grid_for([100, 5_000])[0] == "linear_cent"
    assert grid_for([10, 5_000, 9_990])[0] == "tapered_deci_cent"
    assert grid_for([10, 5_010])[0] == "deci_cent"
    assert grid_for([1])[0] == "center_centi_edge_centi_cent"


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x1f\x8bbroken"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("other.gz" if content[:2] == b"\x1f\x8b" else "other.txt")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=path.name):
        Replay(path, speed=1)


def test_state_is_small(tmp_path: Path) -> None:
    replay = Replay(capture(tmp_path, [snapshot(1, yes_dollars_fp=[["0.5000", "10.00"]])]), speed=0)
    assert msgspec.json.decode(replay.state()) == 0
