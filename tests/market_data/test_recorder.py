"""What is recorded is what came, whole after every write, bounded, and read by the paper exchange's replay."""

import gzip
import json
from pathlib import Path

from test_market_data import S, World

from bot.kalshi import frames
from bot.market_data.recorder import ENDING, WAITING_BYTES, Recorder
from bot.paper.recording import load


class Taped:
    """A recorder and the frames it hears, as the stream gives them."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.now = 1_000 * S
        self.recorder = Recorder(folder, clock_ns=lambda: self.now, **more)  # type: ignore[arg-type]
        self.seq = 0

    def hear(self, kind: str, ticker: str, **msg: object) -> bytes:
        self.seq += 1
        fields = {"type": kind, "sid": 1, "seq": self.seq, "msg": {"market_ticker": ticker, **msg}}
        payload = json.dumps(fields).encode() + b"\n"
        self.recorder.frame(frames.decode(payload), payload, self.now)  # type: ignore[arg-type]
        return payload

    def snapshot(self, ticker: str, bid: str = "0.4000") -> bytes:
        return self.hear(
            "orderbook_snapshot", ticker, yes_dollars_fp=[[bid, "5.00"]], no_dollars_fp=[["0.5800", "6.00"]]
        )

    def delta(self, ticker: str, change: str = "1.00") -> bytes:
        return self.hear("orderbook_delta", ticker, side="yes", price_dollars="0.4000", delta_fp=change, ts_ms=7)


def lines(folder: Path) -> list[dict[str, object]]:
    found = []
    for path in sorted(folder.glob(f"*{ENDING}")):
        head, *rest = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        assert head["meta"]["use_yes_price"] is True
        found += rest
    return found


def test_held_markets_are_recorded_from_their_book_on_and_others_not(tmp_path: Path) -> None:
    tape = Taped(tmp_path)
    tape.snapshot("H")
    tape.recorder.keep(frozenset({"H"}))
    assert tape.recorder.without_book() == {"H"} and tape.recorder.without_book() == frozenset()
    tape.delta("H")
    kept = [tape.snapshot("H"), tape.delta("H"), tape.hear("trade", "H")]
    tape.delta("OTHER")
    tape.recorder.keep(frozenset())
    tape.delta("H")
    tape.recorder.write()
    assert [line["frame"] for line in lines(tmp_path)] == [json.loads(payload) for payload in kept]
    assert {line["recv_ns"] for line in lines(tmp_path)} == {tape.now}


def test_a_recording_is_what_the_paper_exchange_replays(tmp_path: Path) -> None:
    tape = Taped(tmp_path)
    tape.recorder.keep(frozenset({"KXA-1-B"}))
    tape.snapshot("KXA-1-B")
    tape.recorder.write()
    for _ in range(3):
        tape.delta("KXA-1-B", "2.00")
        tape.recorder.write()
    [path] = tmp_path.iterdir()
    recording = load(path)
    assert recording.gaps == 0 and len(recording.frames) == 4
    assert recording.frames[-1].changes[0].size == 1_100
    assert ("ask", 5_800) in {(change.side, change.price) for change in recording.frames[0].changes}


def test_a_file_that_is_torn_off_is_replayed_up_to_the_tear(tmp_path: Path) -> None:
    tape = Taped(tmp_path)
    tape.recorder.keep(frozenset({"KXA-1-B"}))
    tape.snapshot("KXA-1-B")
    tape.recorder.write()
    [path] = tmp_path.iterdir()
    whole = path.stat().st_size
    for _ in range(50):
        tape.delta("KXA-1-B")
    tape.recorder.write()
    written = path.read_bytes()
    for end in (whole, whole + 5, (whole + len(written)) // 2, len(written) - 1):
        path.write_bytes(written[:end])
        assert 1 <= len(load(path).frames) <= 51
    path.write_bytes(written)
    assert len(load(path).frames) == 51


def test_a_full_file_ends_and_the_next_one_begins_with_the_books(tmp_path: Path) -> None:
    tape = Taped(tmp_path, file_bytes=10, total_bytes=10**6)
    tape.recorder.keep(frozenset({"H"}))
    tape.recorder.without_book()
    tape.snapshot("H")
    tape.recorder.write()
    tape.now += S
    tape.recorder.write()
    assert tape.recorder.without_book() == {"H"}
    kept = [tape.delta("H"), tape.hear("trade", "H"), tape.snapshot("H"), tape.delta("H")]
    tape.recorder.write()
    old, new = sorted(tmp_path.iterdir())
    counts = [len(gzip.decompress(path.read_bytes()).splitlines()) for path in (old, new)]
    assert counts == [1 + 3, 1 + 2], "nothing is lost: the old file goes on until the new one has the book"
    assert [line["frame"] for line in lines(tmp_path)][1:] == [json.loads(payload) for payload in kept]
    assert load(new).frames[-1].changes[0].size == 600


def test_the_folder_stays_within_its_size_and_age(tmp_path: Path) -> None:
    tape = Taped(tmp_path, file_bytes=100, total_bytes=700)
    tape.recorder.keep(frozenset({"H"}))
    for number in range(40):
        tape.now += S
        tape.snapshot("H", bid=f"0.{4000 + number}")
        tape.recorder.write()
        tape.recorder.write()
    assert 2 <= len(list(tmp_path.iterdir())) <= 6
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 900
    newest = f"0.{4000 + 39}"
    assert newest in json.dumps(lines(tmp_path)[-1])


def test_a_disk_that_cannot_be_written_is_said_once_and_holds_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    tape = Taped(blocked, log=said.append)
    tape.recorder.keep(frozenset({"H"}))
    for _ in range(3):
        tape.snapshot("H")
        tape.recorder.write()
    assert (tape.recorder.dropped, tape.recorder.frames) == (3, 3)
    assert len(said) == 1 and tape.recorder.error


def test_what_waits_for_the_disk_is_bounded(tmp_path: Path) -> None:
    tape = Taped(tmp_path)
    tape.recorder.keep(frozenset({"H"}))
    frame = frames.decode(b'{"type":"trade","sid":1,"msg":{"market_ticker":"H"}}')
    for _ in range(5):
        tape.recorder.frame(frame, b"x" * (WAITING_BYTES // 3), 1)  # type: ignore[arg-type]
    assert (tape.recorder.frames, tape.recorder.dropped) == (2, 3)


def test_market_data_records_held_markets_and_asks_for_the_books_they_lack(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    world = World(recorder=recorder)
    asked: list[frozenset[str]] = []
    world.stream.snapshots = asked.append  # type: ignore[attr-defined]
    world.data.follow(frozenset(), ("A",))
    world.data.follow(frozenset({"A"}), ())
    world.data.confirm_stale(world.now)
    world.data.confirm_stale(world.now)
    assert asked == [frozenset({"A"})]
    assert world.stream.wanted["trade"] == {"A"}
    world.data.follow(frozenset(), ("A",))
    assert world.stream.wanted["trade"] == frozenset()
