"""The real program under the real gunicorn, in a folder of its own, with its own paper exchange."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError

import pytest
from miniature import ROOT, Program, free_port, messages

PARTS = ("gunicorn.conf.py", "wsgi.py", "bot", "web", "templates", "static")


@pytest.fixture
def folder(tmp_path):
    for name in PARTS:
        (tmp_path / name).symlink_to(ROOT / name)
    yield tmp_path
    exchange = exchange_pid(tmp_path)
    if exchange and alive(exchange):
        os.kill(exchange, signal.SIGKILL)


def exchange_pid(folder: Path) -> int | None:
    """The paper exchange that the program started in this folder."""
    ready = folder / "var" / "paper" / "ready.json"
    return json.loads(ready.read_text())["pid"] if ready.exists() else None


def alive(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(shown) and not shown.startswith("Z")


def await_page(program: Program, path: str = "/healthz", seconds: float = 40) -> None:
    """Until the page answers; /readyz does when the bot runs, has reconciled and hears the stream."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            program.get(path)
            return
        except OSError:
            assert program.process.poll() is None, program.ended(5)[1]
            assert time.monotonic() < deadline, f"no page within {seconds} s"
            time.sleep(0.1)


def test_it_starts_on_its_own_paper_exchange_and_sigterm_ends_both(folder):
    with Program(folder) as program:
        await_page(program, "/readyz")
        exchange = exchange_pid(folder)
        assert alive(exchange)
        program.process.terminate()
        code, output = program.ended(20)
    assert code == 0 and "Traceback" not in output, output
    assert "/login#" in output, "the one-time link"
    assert not alive(exchange)
    assert not (folder / "var" / "bot.lock").read_text(), "the lease is released"


def test_the_exchange_survives_the_death_of_the_bot_and_is_used_again(folder):
    with Program(folder) as program:
        await_page(program)
        first = exchange_pid(folder)
        os.killpg(program.process.pid, signal.SIGKILL)
    assert alive(first)
    with Program(folder) as program:
        await_page(program)
        assert exchange_pid(folder) == first and alive(first)
        program.process.terminate()
        code, output = program.ended(20)
    assert code == 0, output
    assert not alive(first)


def test_a_second_copy_stands_by_and_takes_over(folder):
    with Program(folder) as leader:
        await_page(leader)
        exchange = exchange_pid(folder)
        with Program(folder) as standby:
            await_page(standby)
            with pytest.raises(HTTPError, match="503"):
                standby.get("/readyz")
            os.killpg(leader.process.pid, signal.SIGKILL)
            await_page(standby, "/readyz")
            standby.process.terminate()
            code, output = standby.ended(20)
    assert code == 0 and "standby: another process trades here" in output, output
    assert output.count("/login#") == 1, "it took over"
    assert not alive(exchange)


@pytest.mark.parametrize(
    ("environ", "dotenv", "message"),
    [
        ({"MODE": "live"}, "", "needs a key: set KALSHI_KEY_ID"),
        ({"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY_PATH": "no.pem"}, "", "no.pem cannot be read"),
        ({"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY_PATH": "open.pem"}, "", "chmod 600"),
        ({"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "not a key"}, "", "key"),
        ({"DATA_DIR": "/proc/nowhere"}, "", "DATA_DIR /proc/nowhere cannot be used"),
        ({}, "MODE=paper\nSTOP LOSS 5\n", ".env line 2: expected NAME=value."),
    ],
    ids=["no key", "missing key", "open key", "wrong key text", "data folder", "malformed .env"],
)
def test_what_is_wrong_is_one_clear_message_and_a_non_zero_exit(folder, environ, dotenv, message):
    (folder / ".env").write_text(dotenv)
    (folder / "open.pem").write_text("key")
    (folder / "open.pem").chmod(0o644)
    with Program(folder, **environ) as program:
        code, output = program.ended(30)
    assert code not in (0, None)
    assert len(messages(output)) == 1 and message in messages(output)[0], output
    assert "Traceback" not in output and "not a key" not in output


def test_a_port_in_use_is_told_before_anything_is_started(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with Program(folder, PORT=str(other.getsockname()[1])) as program:
            code, output = program.ended(30)
    assert code != 0 and len(messages(output)) == 1 and "is in use by another program" in output
    assert exchange_pid(folder) is None


def test_a_key_that_the_exchange_refuses_is_one_clear_message(folder):
    with Program(folder) as program:
        await_page(program)
        venue = json.loads((folder / "var" / "paper" / "ready.json").read_text())
        stranger = folder / "stranger.pem"
        subprocess.run(["openssl", "genrsa", "-out", stranger, "2048"], check=True, capture_output=True)
        stranger.chmod(0o600)
        environ = {"KALSHI_API_URL": venue["rest"], "KALSHI_WS_URL": venue["ws"], "KALSHI_KEY_ID": venue["key_id"]}
        environ |= {"KALSHI_PRIVATE_KEY_PATH": str(stranger), "DATA_DIR": "other", "PORT": str(free_port())}
        with Program(folder, **environ) as second:
            code, output = second.ended(30)
        assert code not in (0, None)
        assert len(messages(output)) == 1 and "refuses the key" in messages(output)[0], output
        assert "Traceback" not in output
        program.process.terminate()
        assert program.ended(20)[0] == 0


def test_as_a_platform_starts_it_one_bot_runs_and_the_page_asks_for_the_password(folder):
    platform = {"WEB_CONCURRENCY": "4", "GUNICORN_CMD_ARGS": "--preload --access-logfile -", "DYNO": "web.1"}
    with Program(folder, HOST="0.0.0.0", ADMIN_PASSWORD="correct horse battery", **platform) as program:
        await_page(program, "/readyz")
        assert b"password" in program.get("/login").lower()
        assert "web.1 pid" in (folder / "var" / "bot.lock").read_text()
        program.process.terminate()
        code, output = program.ended(20)
    assert code == 0 and "Traceback" not in output and "RecursionError" not in output, output
    assert output.count("Booting worker") == 1 and "/login#" not in output
    assert "correct horse" not in output


def test_kill_from_the_command_line_halts_the_running_bot(folder):
    with Program(folder) as program:
        await_page(program, "/readyz")
        killed = subprocess.run([sys.executable, "-m", "bot", "kill"], cwd=folder, capture_output=True, text=True)
        assert (killed.returncode, killed.stderr) == (0, "") and "Halted" in killed.stdout
        program.process.terminate()
        code, output = program.ended(20)
    assert code == 0 and "kill  halted" in output, output
