"""A plain TCP server on loopback that answers each connection with a script: for time-outs, resets and half replies."""

import contextlib
import socket
import threading
from collections.abc import Callable

Script = Callable[[socket.socket, int], None]
"""(connection, its number from 0); runs in its own thread."""


def read_request(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers in lower case, body. ('', {}, b'') at end of stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return "", {}, b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return line, headers, body


def reply(status: int, body: bytes = b"{}", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


class Loopback:
    """`with Loopback(script) as server: server.url`. Remembers every request it read through `answer`."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/trade-api/v2"

    def __enter__(self) -> "Loopback":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()

    @property
    def accepted(self) -> int:
        return len(self._connections)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self._connections) - 1), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            self._script(connection, number)


class Answers:
    """A script that keeps connections alive and answers each request with its next reply, the last for ever."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = list(replies)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    def __call__(self, connection: socket.socket, number: int) -> None:
        while True:
            request = read_request(connection)
            if not request[0]:
                return
            self.requests.append(request)
            connection.sendall(self._replies.pop(0) if len(self._replies) > 1 else self._replies[0])
