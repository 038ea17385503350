"""A copy of the program in a folder of its own, where bot.build and web are tiny stand-ins that write what happens.

What is under test is the real gunicorn.conf.py, wsgi.py, settings and lease under the real gunicorn.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
REAL = ("gunicorn.conf.py", "wsgi.py", "bot/__init__.py", "bot/settings.py", "bot/config.py", "bot/dotenv.py")
REAL += ("bot/doctor.py", "bot/run", "bot/kalshi", "bot/core")

BUILD = """
import os, threading, time
from pathlib import Path
import gevent, requests, ssl
from gevent import monkey
from bot.run.lease import FileLease
from bot.settings import Settings, SettingsError

class StartError(Exception): pass

def note(text):
    with open("notes", "a") as file:
        file.write(f"{os.getpid()} {text}\\n")

def application():
    from web import create_app
    return create_app()

def preflight(environ):
    settings = Settings.load(environ, Path(".env"))
    settings.make_data_dir()
    return settings

class Bot:
    def __init__(self, app, settings):
        self.app, self.settings = app, settings
        self.lease = FileLease(settings.data_dir, f"pid {os.getpid()}")
        self.loop = gevent.spawn(self.run)
    def run(self):
        while not self.lease.acquire():
            gevent.sleep(0.05)
        note("core runs")
        gevent.sleep(600)
    def stop(self, timeout_s):
        note("stopping")
        self.app.config["CLOSING"].set()
        gevent.sleep(0.3)
        self.loop.kill()
        self.lease.release()
        note("stopped")

def start(app, settings):
    assert monkey.is_module_patched("socket") and monkey.is_module_patched("ssl")
    if os.environ.get("FAIL") == "start":
        raise StartError("The key was refused by the exchange.")
    if os.environ.get("FAIL") == "defect":
        raise RuntimeError("a defect")
    note("started")
    return Bot(app, settings)
"""

WEB = """
import os
from flask import Flask, Response
from gevent.event import Event

def create_app():
    app = Flask(__name__)
    app.config["CLOSING"] = closing = Event()
    @app.get("/healthz")
    def healthz():
        return {"pid": os.getpid()}
    @app.get("/stream")
    def stream():
        def chunks():
            yield "event: hello\\n\\n"
            while not closing.wait(1):
                yield ": hb\\n\\n"
            yield "event: bye\\n\\n"
        return Response(chunks(), mimetype="text/event-stream")
    return app
"""


def lay_out(folder: Path) -> Path:
    """Put the program with the stand-ins into `folder`."""
    (folder / "bot").mkdir()
    (folder / "web").mkdir()
    for name in REAL:
        (folder / name).symlink_to(ROOT / name)
    (folder / "bot" / "build.py").write_text(BUILD)
    (folder / "web" / "__init__.py").write_text(WEB)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """gunicorn with the stand-in program; ended, whatever happens, when the `with` block ends."""

    def __init__(self, folder: Path, *, command: list[str] | None = None, **environ: str) -> None:
        """`command` runs gunicorn some other way than directly."""
        self.folder = folder
        self.port = int(environ.get("PORT") or free_port())
        clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=folder,
            env=clean | {"PORT": str(self.port), "PYTHONUNBUFFERED": "1"} | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def notes(self, word: str) -> list[str]:
        path = self.folder / "notes"
        return [line for line in path.read_text().splitlines() if word in line] if path.exists() else []

    def await_note(self, word: str, count: int = 1, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while len(self.notes(word)) < count:
            if self.process.poll() is not None:
                raise AssertionError(f"the program ended with {self.process.returncode}: {self.process.stdout.read()}")
            assert time.monotonic() < deadline, f"no {word!r} within {seconds} s"
            time.sleep(0.02)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read()

    def stream(self) -> socket.socket:
        """An open event stream, its first event received."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        seen = b""
        while b"hello" not in seen:
            seen += connection.recv(4096)
        return connection

    def ended(self, seconds: float) -> tuple[int, str]:
        """Exit code and everything that was printed."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the server closes or, after the last chunk, goes quiet."""
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        part = connection.recv(4096)
        if not part:
            break
        data += part
    return data


def messages(output: str) -> list[str]:
    """What the program said when it refused to start, once for each time it said it."""
    return output.split("Tickstop cannot start.")[1:]
