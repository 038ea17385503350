"""The process as gunicorn runs it: one bot, a clean end, one clear message when it cannot start."""

import os
import signal
import socket
import sys
import time

import pytest
from miniature import ROOT, Program, lay_out, messages, read_to_end


@pytest.fixture
def folder(tmp_path):
    return lay_out(tmp_path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WEB_CONCURRENCY": "4"},
        {"GUNICORN_CMD_ARGS": "--preload --access-logfile -", "WEB_CONCURRENCY": "2"},
        {"GUNICORN_CMD_ARGS": "--preload --workers=2"},
    ],
    ids=["plain", "heroku", "render", "forced"],
)
def test_exactly_one_bot_runs_however_the_platform_starts_gunicorn(folder, environ):
    with Program(folder, **environ) as program:
        program.await_note("core runs")
        assert b"pid" in program.get("/healthz")
        time.sleep(0.5)
        assert len(program.notes("core runs")) == 1
        master = str(program.process.pid)
        assert not any(line.startswith(master) for line in program.notes("")), "the bot runs in the worker"


def test_a_killed_worker_is_replaced_with_one_bot_again(folder):
    with Program(folder) as program:
        program.await_note("core runs")
        os.kill(int(program.notes("core runs")[0].split()[0]), signal.SIGKILL)
        program.await_note("core runs", count=2)
        assert b"pid" in program.get("/healthz")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_a_signal_with_open_streams_ends_the_program_cleanly(folder, name):
    with Program(folder) as program:
        program.await_note("core runs")
        streams = [program.stream() for _ in range(3)]
        began = time.monotonic()
        program.process.send_signal(getattr(signal, name))
        endings = [read_to_end(stream) for stream in streams]
        code, output = program.ended(15)
        assert code == 0, output
        assert time.monotonic() - began < 5
        assert len(program.notes("stopped")) == 1, output
        assert all(b"event: bye" in ending for ending in endings)
        assert "Traceback" not in output


def test_signals_that_come_twice_and_to_everyone_are_harmless(folder):
    with Program(folder) as program:
        program.await_note("core runs")
        stream = program.stream()
        os.killpg(program.process.pid, signal.SIGTERM)
        time.sleep(0.1)
        os.killpg(program.process.pid, signal.SIGTERM)
        assert b"event: bye" in read_to_end(stream)
        assert program.ended(15)[0] == 0
        assert len(program.notes("stopped")) == 1


def test_without_open_requests_the_bot_still_stops_before_the_worker_leaves(folder):
    with Program(folder) as program:
        program.await_note("core runs")
        program.process.terminate()
        assert program.ended(15)[0] == 0
        assert len(program.notes("stopped")) == 1


@pytest.mark.parametrize(("name", "to_group"), [("SIGTERM", False), ("SIGINT", True)], ids=["terminated", "ctrl-c"])
def test_make_run_ends_with_the_program_in_it(folder, name, to_group):
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "Makefile").symlink_to(ROOT / "Makefile")
    installed = ["-o", ".venv/.runtime", "-o", "static/vendor/.copied"]
    with Program(folder, command=["make", *installed, "run"]) as program:
        program.await_note("core runs")
        if to_group:
            os.killpg(program.process.pid, getattr(signal, name))
        else:
            program.process.send_signal(getattr(signal, name))
        _, output = program.ended(15)
        assert len(program.notes("stopped")) == 1, output
        assert "Traceback" not in output


def test_make_run_fails_when_the_program_cannot_start(folder):
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "Makefile").symlink_to(ROOT / "Makefile")
    installed = ["-o", ".venv/.runtime", "-o", "static/vendor/.copied"]
    with Program(folder, command=["make", *installed, "run"], MODE="live") as program:
        code, output = program.ended(20)
    assert code != 0 and len(messages(output)) == 1


@pytest.mark.parametrize(
    ("environ", "dotenv", "message"),
    [
        ({"MODE": "live"}, "", "needs a key: set KALSHI_KEY_ID"),
        ({"DATA_DIR": "/proc/nowhere"}, "", "DATA_DIR /proc/nowhere cannot be used"),
        ({"DATA_DIR": "wsgi.py"}, "", "is a file, not a folder"),
        ({"HOST": "0.0.0.0"}, "", "ADMIN_PASSWORD must be set"),
        ({"HOST": "192.0.2.1", "ADMIN_PASSWORD": "correct horse battery"}, "", "is not an address of this machine"),
        ({"GUNICORN_CMD_ARGS": "--bind=0.0.0.0:18999"}, "", "opens the page to the network; set ADMIN_PASSWORD first"),
        ({}, "PORT 8000\n", ".env line 1: expected NAME=value."),
        ({"MODE": "demo", "KALSHI_KEY_ID": "a", "KALSHI_PRIVATE_KEY_PATH": "key.pem"}, "", "chmod 600"),
        ({"FAIL": "start"}, "", "The key was refused by the exchange."),
    ],
)
def test_what_keeps_the_program_from_starting_is_one_clear_message(folder, environ, dotenv, message):
    (folder / ".env").write_text(dotenv)
    (folder / "key.pem").write_text("key")
    (folder / "key.pem").chmod(0o644)
    with Program(folder, **environ) as program:
        code, output = program.ended(20)
    assert code not in (0, None), output
    assert len(messages(output)) == 1 and message in messages(output)[0]
    assert "Traceback" not in output
    assert not program.notes("core runs")


def test_a_port_in_use_is_one_clear_message_at_once(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with Program(folder, PORT=str(other.getsockname()[1])) as program:
            began = time.monotonic()
            code, output = program.ended(20)
    assert code != 0 and time.monotonic() - began < 5
    assert len(messages(output)) == 1 and "is in use by another program" in output
    assert "Retrying" not in output and "Traceback" not in output


def test_a_defect_while_the_bot_starts_ends_the_program_instead_of_looping(folder):
    with Program(folder, FAIL="defect") as program:
        code, output = program.ended(20)
    assert code != 0
    assert output.count("RuntimeError: a defect") == 1
