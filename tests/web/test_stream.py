"""The fan-out: snapshot, numbered changes, resume, conflation, limits, and the end."""

import json

import gevent
import pytest
from flask_sse import Message
from standin import StandInDesk, ticker

from web.stream import HELLO, Stream, StreamsFull, encode


def events(chunk: bytes):
    """The events in a chunk as (event, id, data)."""
    found = []
    for block in chunk.decode().split("\n\n"):
        lines = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            found.append((fields.get("event"), fields.get("id"), json.loads(fields["data"])))
    return found


def number(frame_id):
    return int(frame_id.rpartition("-")[2])


@pytest.fixture
def desk():
    return StandInDesk(markets=30)


def make(desk, **options):
    return Stream(desk.page, "boot", now=lambda: 5.0, **options)


def opened(stream, last_id=None, **options):
    client = stream.open(last_id, **options)
    chunks = iter(client)
    assert next(chunks) == HELLO
    return client, chunks


def fold(page, found):
    for event, _, data in found:
        if event == "snapshot":
            page = data
        elif event == "delta" and data["op"] == "upsert":
            page[data["coll"]][data["key"]] = data["v"]
        elif event == "delta":
            page[data["coll"]].pop(data["key"], None)
    return page


def test_first_bytes_come_before_any_data_and_set_the_retry_time(desk):
    assert next(iter(make(desk).open(None))).endswith(b"retry:2000\n\n")


def test_a_new_browser_gets_the_whole_page_and_the_server_time(desk):
    _, chunks = opened(make(desk))
    snapshot, tick = events(next(chunks))
    assert snapshot[:2] == ("snapshot", "boot-0") and snapshot[2] == desk.page()
    assert tick == ("tick", None, {"server_ms": 5000, "seq": 0})


def test_changes_follow_with_ascending_ids_and_fold_to_the_page(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    page = fold({}, events(next(chunks)))
    seen = [0]
    for _ in range(3):
        stream.publish_page(desk.step())
        found = events(next(chunks))
        seen += [number(frame_id) for _, frame_id, _ in found]
        page = fold(page, found)
    assert page == desk.page()
    assert seen == list(range(len(seen)))


def test_a_page_with_many_changes_lets_others_run_and_each_number_has_its_page(desk):
    rows = [{f"M{n}": {"bid": beat} for n in range(1_000)} for beat in range(2)]
    del rows[1]["M7"]
    stream, pages = make(desk), []
    stream.publish_page({"markets": rows[0], "money": {"cash": "1"}})

    def look():
        for _ in range(5):
            frame_id, page = stream.snapshot()
            pages.append((number(frame_id), json.loads(page)["markets"]))
            gevent.sleep(0)

    looking = gevent.spawn(look)
    stream.publish_page({"markets": rows[1], "money": {"cash": "2"}})
    looking.join()
    between = [(seq, page) for seq, page in pages if 0 < seq < 1_001]
    assert between, "nobody else had a turn"
    for seq, page in between:
        assert "M7" not in page and sum(row["bid"] == 1 for row in page.values()) == seq - 1
    assert stream.snapshot()[0] == "boot-1001" and json.loads(stream.snapshot()[1])["markets"] == rows[1]


def test_a_removed_position_is_removed(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    page = fold({}, events(next(chunks)))
    desk.command("close", {"ticker": ticker(0)}, "me", "1")
    stream.publish_page(desk.page())
    assert ticker(0) not in fold(page, events(next(chunks)))["positions"]


def test_a_return_with_a_kept_id_gets_exactly_what_it_missed(desk):
    stream = make(desk)
    client, chunks = opened(stream)
    page = fold({}, events(next(chunks)))
    stream.publish_page(desk.step())
    found = events(next(chunks))
    page, last_id = fold(page, found), found[-1][1]
    client.close()
    for _ in range(5):
        stream.publish_page(desk.step())
    _, chunks = opened(stream, last_id)
    found = [event for event in events(next(chunks)) if event[0] != "tick"]
    assert {event for event, _, _ in found} == {"delta"}
    assert all(number(frame_id) > number(last_id) for _, frame_id, _ in found)
    assert fold(page, found) == desk.page()


@pytest.mark.parametrize("last_id", ["other-3", "boot-999999", "boot-x", "boot-", "", "boot-0"])
def test_a_return_with_an_id_that_is_not_kept_gets_a_snapshot(desk, last_id):
    stream = make(desk, kept=20)
    opened(stream)
    stream.snapshot()
    for _ in range(3):
        stream.publish_page(desk.step())
    _, chunks = opened(stream, last_id)
    assert events(next(chunks))[0][0] == "snapshot"


def test_a_slow_browser_gets_the_newest_value_of_each_key_once(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    page = fold({}, events(next(chunks)))
    for _ in range(10):
        stream.publish_page(desk.step())
    found = events(next(chunks))
    keys = [(data["coll"], data["key"]) for _, _, data in found]
    ids = [number(frame_id) for _, frame_id, _ in found]
    assert len(keys) == len(set(keys)) and ids == sorted(ids)
    assert fold(page, found) == desk.page()


def test_a_browser_that_is_cut_inside_a_conflated_batch_resumes_without_loss(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    page = fold({}, events(next(chunks)))
    for _ in range(10):
        stream.publish_page(desk.step())
    half = events(next(chunks))
    half = half[: len(half) // 2]
    _, chunks = opened(stream, half[-1][1])
    assert fold(fold(page, half), events(next(chunks))) == desk.page()


def test_a_browser_that_is_far_behind_gets_a_new_snapshot(desk):
    stream = make(desk, kept=50)
    _, chunks = opened(stream)
    next(chunks)
    for index in range(60):
        stream.publish("alert", {"n": index})
    found = events(next(chunks))
    assert [event for event, _, _ in found] == ["snapshot"] and found[0][1] == "boot-60"


def test_events_of_their_own_are_never_merged(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    next(chunks)
    stream.publish("alert", {"n": 1})
    stream.publish("alert", {"n": 2})
    assert [data["n"] for _, _, data in events(next(chunks))] == [1, 2]


def test_a_title_with_line_separators_does_not_break_the_frame(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    next(chunks)
    title = "a\u2028b\nc\x85d\rid:9"
    stream.publish("alert", {"title": title})
    assert events(next(chunks)) == [("alert", "boot-1", {"title": title})]


def test_the_tick_tells_the_id_that_was_sent(desk):
    stream = make(desk, heartbeat_s=0.0)
    _, chunks = opened(stream)
    next(chunks)
    stream.publish_page(desk.step())
    found = events(next(chunks))
    assert found[-1][0] == "tick" and found[-1][2]["seq"] == number(found[-2][1])


def test_there_is_a_most_of_streams_and_a_closed_one_makes_room(desk):
    stream = make(desk, limit=2)
    first = stream.open(None)
    stream.open(None)
    with pytest.raises(StreamsFull):
        stream.open(None)
    first.close()
    assert len(stream) == 1
    stream.open(None)


def test_close_says_bye_after_what_is_pending_and_takes_no_more(desk):
    stream = make(desk)
    _, chunks = opened(stream)
    next(chunks)
    stream.publish("alert", {})
    stream.close()
    assert [event for event, _, _ in events(b"".join(chunks))] == ["alert", "bye"]
    with pytest.raises(StreamsFull):
        stream.open(None)


def test_a_session_that_ends_loses_its_stream(desk):
    allowed = [True]
    stream = make(desk, heartbeat_s=0.0)
    _, chunks = opened(stream, allowed=lambda: allowed[0])
    next(chunks)
    allowed[0] = False
    assert events(b"".join(chunks))[-1] == ("bye", None, {"reason": "signed_out"})


def test_events_are_written_as_flask_sse_writes_them():
    data = '{"a":[1,"b"]}'
    assert encode("delta", data.encode(), "boot-7") == str(Message(data, type="delta", id="boot-7")).encode()
    assert encode("tick", data.encode()) == str(Message(data, type="tick")).encode()
