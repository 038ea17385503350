"""A plain TCP forwarder between browser and server that can be cut, and made silent, to see what the page does."""

import contextlib
import selectors
import socket
import threading


class Wire:
    """Listens on `port` (loopback) and forwards to `target`. `heard` is what the browser sent."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = bytearray()
        self.silent = False
        self.refusing = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection that is open now."""
        with self._lock:
            for end in list(self._pairs):
                self._drop(end)

    def abandon(self) -> None:
        """Stop forwarding what is open now, without telling either side: a dead connection."""
        with self._lock:
            for end in self._pairs:
                self._selector.unregister(end)

    def close(self) -> None:
        self._open = False
        self._thread.join(5)
        self.cut()
        self._listener.close()

    def _run(self) -> None:
        while self._open:
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._move(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self.refusing:
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 2)
        except OSError:
            near.close()
            return
        self._pairs[near], self._pairs[far] = far, near
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ, end is near)

    def _move(self, end: socket.socket) -> None:
        other = self._pairs[end]
        try:
            data = end.recv(1 << 16)
            if not data:
                raise OSError
            if self._selector.get_key(end).data:
                self.heard += data
            if not self.silent:
                other.sendall(data)
        except OSError:
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (end, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            each.close()
