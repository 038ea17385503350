"""WebSocket bytes become the same messages however the network cuts them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.kalshi.framing import CLOSE, PING, TEXT, Framing, FramingError


def frame(payload, opcode=TEXT, fin=True):
    size = len(payload)
    if size < 126:
        head = bytes([size])
    elif size < 65536:
        head = b"\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x7f" + size.to_bytes(8, "big")
    return bytes([(0x80 if fin else 0) | opcode]) + head + payload


def messages(*chunks):
    reader = Framing()
    return [message for chunk in chunks for message in reader.messages(chunk)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50), st.sampled_from([0, 126, 65536]))
def test_any_cut_gives_the_same_messages(payloads, step, extra):
    payloads = [payload + bytes(extra) for payload in payloads[:2]] + payloads[2:]
    data = b"".join(frame(payload) for payload in payloads)
    step = step if len(data) < 5000 else step * 997
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    assert messages(*chunks) == [(TEXT, payload) for payload in payloads]


def test_fragments_are_joined_and_control_frames_pass_between_them():
    data = (
        frame(b"ab", fin=False) + frame(b"heartbeat", PING) + frame(b"c", 0, fin=False) + frame(b"d", 0) + frame(b"e")
    )
    assert messages(data) == [(PING, b"heartbeat"), (TEXT, b"abcd"), (TEXT, b"e")]


def test_close_is_passed_on():
    assert messages(frame(b"\x03\xe8bye", CLOSE)) == [(CLOSE, b"\x03\xe8bye")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x85abcdefghi",
        b"\xc1\x01a",
        b"\x83\x01a",
        frame(b"orphan", 0),
        frame(b"a", fin=False) + frame(b"b"),
        frame(b"ping", PING, fin=False),
        b"\x89\x7e\x00\x80" + bytes(128),
        b"\x81\x7f" + (2**40).to_bytes(8, "big"),
    ],
)
def test_what_no_server_may_send_ends_the_connection(data):
    with pytest.raises(FramingError):
        messages(data)
