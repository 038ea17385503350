"""The web layer under a real gunicorn: the stream over a socket, fairness, limits, the end, and Redis in between."""

import http.client
import itertools
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest
from flask_sse import ServerSentEventsBlueprint
from serving import Server
from standin import TOKEN

AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server():
    server = Server(STANDIN_STEP_S="0.2", STANDIN_STREAMS="60")
    yield server
    server.stop()


class Reader:
    """A raw reader of the stream: (event, id, data) one at a time."""

    def __init__(self, server, last_id=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.connection.request(
            "GET", "/api/v1/stream", headers={**AUTH, **({"Last-Event-ID": last_id} if last_id else {})}
        )
        self.answer = self.connection.getresponse()

    def __iter__(self):
        fields = {}
        while True:
            line = self.answer.fp.readline() if not self.answer.chunked else self.answer.readline()
            if not line:
                return
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(":")
                fields[name] = value
            elif "data" in fields:
                yield fields.get("event"), fields.get("id"), json.loads(fields["data"])
                fields = {}

    def until(self, wanted):
        for event in self:
            if event[0] == wanted:
                return event
        raise AssertionError(f"the stream ended before {wanted}")

    def close(self):
        self.connection.sock and self.connection.sock.close()
        self.answer.close()
        self.connection.close()


def test_the_stream_starts_at_once_and_is_not_to_be_buffered(server):
    began = time.monotonic()
    reader = Reader(server)
    assert reader.answer.status == 200 and reader.answer.getheader("Content-Type").startswith("text/event-stream")
    assert reader.answer.getheader("X-Accel-Buffering") == "no"
    assert "no-cache" in reader.answer.getheader("Cache-Control")
    assert reader.until("snapshot")[2]["meta"]["mode"] == "paper"
    assert time.monotonic() - began < 5
    assert reader.until("delta")[2]["op"] == "upsert"
    reader.close()


def test_a_cut_connection_resumes_with_what_was_missed(server):
    reader = Reader(server)
    page = reader.until("snapshot")[2]
    last_id = None
    for event, frame_id, data in reader:
        if event == "delta":
            page[data["coll"]][data["key"]] = data["v"]
            last_id = frame_id
        if len(page) and last_id and int(last_id.split("-")[1]) % 7 == 0:
            break
    reader.close()
    time.sleep(1.0)
    again = Reader(server, last_id)
    first = next(iter(again))
    assert first[0] == "delta" and int(first[1].split("-")[1]) > int(last_id.split("-")[1])
    again.close()


def test_flask_sses_publish_reaches_the_browser(server):
    reader = Reader(server)
    reader.until("snapshot")
    server.control("publish", {"text": "hello"})
    assert reader.until("alert")[2] == {"text": "hello"}
    reader.close()


def test_streams_have_a_limit_with_a_reason_and_closed_ones_make_room():
    limited = Server(STANDIN_STEP_S="0.2", STANDIN_STREAMS="2")
    try:
        readers = [Reader(limited), Reader(limited)]
        refused = Reader(limited)
        assert refused.answer.status == 503 and json.loads(refused.answer.read())["code"] == "streams_full"
        for reader in readers:
            reader.close()
        for _ in range(50):
            time.sleep(0.2)
            if limited.control("streams")["streams"] == 0:
                break
        assert limited.control("streams")["streams"] == 0
    finally:
        limited.stop()


def test_sigterm_with_open_streams_says_bye_and_ends_soon():
    server = Server(STANDIN_STEP_S="0.2")
    reader = Reader(server)
    reader.until("snapshot")
    ended = threading.Thread(target=server.stop)
    began = time.monotonic()
    ended.start()
    assert reader.until("bye")[2]["reason"] == "restart"
    assert list(reader) == []
    ended.join()
    assert time.monotonic() - began < 7 and server.process.returncode == 0


def test_a_busy_keep_alive_client_does_not_hold_up_the_stream(server):
    """One connection with requests always waiting; the 0.2 s beat must still arrive on time."""
    stop = threading.Event()

    def hammer():
        with socket.create_connection(("127.0.0.1", server.port)) as busy:
            request = f"GET /api/v1/meta HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
            busy.settimeout(5)
            while not stop.is_set():
                busy.sendall(request * 20)
                busy.recv(1 << 20)

    thread = threading.Thread(target=hammer)
    reader = Reader(server)
    reader.until("snapshot")
    thread.start()
    try:
        times = []
        for event, _, data in reader:
            if event == "delta" and (data["coll"], data["key"]) == ("status", "server_ms"):
                times.append(time.monotonic())
            if len(times) == 15:
                break
    finally:
        stop.set()
        thread.join()
        reader.close()
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    assert gaps[len(gaps) // 2] < 0.4, gaps


def test_a_reader_that_never_reads_does_not_stop_the_others(server):
    stuck = socket.create_connection(("127.0.0.1", server.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    reader = Reader(server)
    reader.until("snapshot")
    for _ in range(200):
        reader.until("delta")
    stuck.close()
    reader.close()


@pytest.fixture
def redis_url(tmp_path):
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if not program:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.system
def test_with_redis_publish_of_any_process_reaches_the_browser_over_one_subscription(redis_url):
    from flask import Flask
    from redis import Redis

    server = Server(REDIS_URL=redis_url, STANDIN_STEP_S="0.2")
    try:
        readers = [Reader(server) for _ in range(5)]
        for reader in readers:
            reader.until("snapshot")
        redis = Redis.from_url(redis_url)
        for _ in range(100):
            if redis.pubsub_numsub("sse")[0][1]:
                break
            time.sleep(0.1)
        assert redis.pubsub_numsub("sse")[0][1] == 1
        server.control("publish", {"from": "the program"})
        assert {json.dumps(reader.until("alert")[2]) for reader in readers} == {'{"from": "the program"}'}
        stock, other = ServerSentEventsBlueprint("stock", __name__), Flask("other")
        other.config["REDIS_URL"] = redis_url
        redis.publish("sse", "not flask-sse's")
        with other.app_context():
            stock.publish({"from": "another process"}, type="greeting")
        for reader in readers:
            assert reader.until("greeting")[2] == {"from": "another process"}
            reader.close()
    finally:
        server.stop()
