"""`python -m bot`: commands, exit codes, and what doctor finds."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.doctor import examine, port_fault
from bot.paper.recording import load

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder and no settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODE", "HOST", "PORT", "DATA_DIR", "KALSHI_KEY_ID", "KALSHI_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_importing_the_command_line_imports_nothing_heavy():
    code = "import sys, bot.__main__; print({'gevent', 'requests', 'flask', 'supabase'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["--port", "1"]])
def test_a_wrong_command_is_refused_with_the_list_of_commands(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2 and "usage: python -m bot" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["backtest", "report"])
def test_what_is_not_built_yet_says_so(name, capsys):
    assert main([name, "--seeds", "0:9"]) == 2
    assert f"`{name}` is not built yet" in capsys.readouterr().err


def test_the_exchange_gets_its_own_arguments(monkeypatch):
    from bot.paper import exchange

    seen = []
    monkeypatch.setattr(exchange, "main", lambda argv: seen.append(argv) or 7)
    assert main(["exchange", "--port", "5", "--replay", "x"]) == 7
    assert seen == [["--port", "5", "--replay", "x"]]


def test_settings_shows_what_is_in_force_with_secrets_masked(monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_PASSWORD", "correct horse battery")
    monkeypatch.setenv("PORT", "8123")
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert "8123" in shown and "********" in shown and "horse" not in shown


def test_faulty_settings_are_named(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "none")
    for command in ("settings", "kill"):
        assert main([command]) == 1
        assert "PORT (environment): 'none' is not allowed" in capsys.readouterr().err
    assert main(["doctor"]) == 1
    assert "FAIL  settings" in capsys.readouterr().out


def test_kill_without_a_running_bot_leaves_the_order_for_the_next(place, monkeypatch, capsys):
    monkeypatch.setattr("bot.__main__.OBEYED_WITHIN_S", 0.1)
    assert main(["kill", "--reason", "odd prices"]) == 3
    assert json.loads((place / "var" / "halt").read_text())["reason"] == "odd prices"
    assert list((place / "var").iterdir()) == [place / "var" / "halt"]
    assert "One that starts will obey it" in capsys.readouterr().out


def test_kill_waits_until_the_bot_has_obeyed(place, capsys):
    def obey():
        while not (place / "var" / "halt").exists():
            time.sleep(0.01)
        (place / "var" / "halt").unlink()

    bot = threading.Thread(target=obey)
    bot.start()
    assert main(["kill"]) == 0
    bot.join()
    assert "Halted: no more entries" in capsys.readouterr().out


def test_a_kill_that_cannot_be_written_says_that_nothing_is_halted(place, capsys):
    (place / "var" / "halt.new").mkdir(parents=True)
    assert main(["kill"]) == 1
    assert "NOT halted" in capsys.readouterr().err
    assert not (place / "var" / "halt").exists()


def verdicts(environ: dict[str, str], place: Path) -> dict[str, tuple[str, str]]:
    findings = examine({"PORT": str(free_port()), "DATA_DIR": str(place / "data")} | environ, place / ".env", place)
    return {finding.name: (finding.verdict, finding.detail) for finding in findings}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_on_a_fresh_machine_nothing_fails(place):
    found = verdicts({}, place)
    assert all(verdict != "FAIL" for verdict, _ in found.values()), found
    assert found["settings"] == ("ok", "MODE paper") and found["key"][0] == "-" and found["charts"][0] == "-"


def test_a_port_in_use_fails(place):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert verdicts({"PORT": str(port)}, place)["port"][0] == "FAIL"
        assert "is in use by another program" in port_fault("127.0.0.1", port)
    assert port_fault("127.0.0.1", port) is None
    assert "is not an address of this machine" in port_fault("192.0.2.1", port)
    assert "is not an address of this machine" in port_fault("no-such-host.invalid", port)


def test_a_data_folder_that_cannot_be_made_fails(place):
    assert verdicts({"DATA_DIR": "/proc/nowhere"}, place)["data folder"][0] == "FAIL"


def test_a_key_that_does_not_load_fails(place):
    found = verdicts({"MODE": "demo", "KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "no key"} | nowhere(), place)
    assert found["key"][0] == "FAIL" and "no key" not in found["key"][1]


def nowhere() -> dict[str, str]:
    return {"KALSHI_API_URL": "http://127.0.0.1:9/trade-api/v2", "KALSHI_WS_URL": "ws://127.0.0.1:9/trade-api/ws/v2"}


def test_an_exchange_that_does_not_answer_fails(place):
    found = verdicts({"KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "key"} | nowhere(), place)
    assert found["exchange"][0] == "FAIL" and "does not answer" in found["exchange"][1]


@pytest.mark.parametrize(("off_s", "verdict"), [(0, "ok"), (-1, "ok"), (60, "FAIL"), (-60, "FAIL")])
def test_a_clock_that_is_off_is_seen_by_the_exchange_s_own(place, off_s, verdict):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + off_s, usegmt=True))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        urls = {name: url.replace(":9/", f":{server.server_port}/") for name, url in nowhere().items()}
        found = verdicts({"KALSHI_KEY_ID": "id", "KALSHI_PRIVATE_KEY": "key"} | urls, place)
        server.shutdown()
    assert found["exchange"][0] == "ok"
    assert found["clock"][0] == verdict, found["clock"]


@pytest.mark.timeout(120)
def test_record_writes_what_the_paper_exchange_replays_and_leaves_nothing_running(tmp_path):
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "var"), "PAPER_SPEED": "4"}
    command = [sys.executable, "-m", "bot", "record", "--seconds", "6"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "var" / "recordings").iterdir()
    recording = load(path)
    assert recording.gaps == 0 and len(recording.frames) > 50 and len(recording.markets) > 10
    assert not (tmp_path / "var" / "paper" / "ready.json").exists(), "the paper exchange still runs"
