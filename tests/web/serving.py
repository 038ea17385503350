"""Runs tests/web/serve.py under a real gunicorn on an ephemeral loopback port, and ends it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """One gunicorn worker with the stand-in desk. `stop()` returns how long SIGTERM took."""

    def __init__(self, port: int | None = None, **environment: str) -> None:
        self.port = port or free_port()
        path = os.pathsep.join((str(ROOT), str(HERE)))
        command = [sys.executable, "-m", "gunicorn", "-c", str(HERE / "serve_conf.py"), "-b", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [*command, "serve:app"], cwd=HERE, env={**os.environ, "PYTHONPATH": path, **environment}
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self._wait()

    def control(self, verb: str, body: object = None) -> dict:
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_test/{verb}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> float:
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return time.monotonic() - began

    def _wait(self) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                if answer.status == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise RuntimeError("gunicorn did not start: see its output above")
