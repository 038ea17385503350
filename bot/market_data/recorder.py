"""Records raw frames as they came: gzip, bounded in size and age, written off the hub, replayed by the paper exchange.

One line is {"recv_ns": ..., "frame": <the bytes of the message>}; the first one says how prices are to be read. Each
batch is a gzip member of its own, so a file is whole after every write. A market's changes are kept only where its book
stands before them: after a change of files they go on into the old one until the new one has the book.
"""

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bot.kalshi.frames import Data, OrderbookDelta, OrderbookSnapshot

FILE_BYTES = 16 * 1024 * 1024
FILE_NS = 3600 * 1_000_000_000
TOTAL_BYTES = 512 * 1024 * 1024
KEPT_S = 14 * 86_400
WAITING_BYTES = 32 * 1024 * 1024
"""What may wait for a slow disk; more is dropped and counted."""
BATCH_S = 0.5
"""What a SIGKILL may cost."""
ENDING = ".jsonl.gz"
HEAD = b'{"recv_ns":%d,"meta":{"event":"recorded","use_yes_price":true}}\n'
"""First line of a file: our subscription gives NO levels in YES prices."""


class Recorder:
    """`frame` is called in the stream's greenlet and only appends; `pump` writes from a thread."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Callable[[str], None] = lambda line: None,
        clock_ns: Callable[[], int] = time.time_ns,
        file_bytes: int = FILE_BYTES,
        total_bytes: int = TOTAL_BYTES,
    ) -> None:
        self.frames = 0
        self.dropped = 0
        self.error = ""
        self._folder = folder
        self._log = log
        self._clock_ns = clock_ns
        self._file_bytes = file_bytes
        self._total_bytes = total_bytes
        self._tickers: frozenset[str] = frozenset()
        self._begun: set[str] = set()
        """Markets whose book stands in the file under way."""
        self._asked: set[str] = set()
        self._lines: dict[Path, list[bytes]] = {}
        self._waiting = 0
        self._path: Path | None = None
        self._before: tuple[Path | None, set[str]] = (None, set())
        """The file before, and the markets whose book stands there and not yet in the new one."""
        self._opened_ns = 0
        self._size = 0
        self._stopping = False

    def keep(self, tickers: frozenset[str]) -> None:
        """Record these from now on; the others no longer."""
        self._tickers = tickers
        self._begun &= tickers
        self._asked &= tickers
        self._before[1].intersection_update(tickers)

    def without_book(self) -> frozenset[str]:
        """Recorded markets whose book the file lacks, each told once in a file: ask for their snapshots."""
        lacking = self._tickers - self._begun - self._asked
        self._asked |= lacking
        return lacking

    def frame(self, frame: Data, payload: bytes, received_ns: int) -> None:
        """Keep one message of a recorded market."""
        if not self._tickers:
            return
        ticker: str = getattr(getattr(frame, "msg", None), "market_ticker", "")
        if ticker not in self._tickers:
            return
        path = self._path or self._new_file()
        if isinstance(frame, OrderbookSnapshot):
            self._begun.add(ticker)
            self._before[1].discard(ticker)
        elif ticker in self._before[1]:
            path = self._before[0] or path
        elif isinstance(frame, OrderbookDelta) and ticker not in self._begun:
            return
        if self._waiting + len(payload) > WAITING_BYTES:
            self.dropped += 1
            return
        line = b'{"recv_ns":%d,"frame":%s}\n' % (received_ns, payload.strip())
        self._lines.setdefault(path, []).append(line)
        self._waiting += len(line)
        self.frames += 1

    def pump(self) -> None:
        """Run as one greenlet until `stop`: write what has come every half second, in a thread."""
        from gevent import sleep
        from gevent.threadpool import ThreadPool

        pool = ThreadPool(1)
        try:
            while not self._stopping:
                sleep(BATCH_S)
                pool.apply(self._write, (self._take(),))
        finally:
            pool.kill()

    def stop(self) -> None:
        """Write the rest here and end."""
        self._stopping = True
        self.write()

    def write(self) -> None:
        """Write what has come, here and now."""
        self._write(self._take())

    def _take(self) -> dict[Path, list[bytes]]:
        """What has come, by file. When the file is full or old, the next one is begun."""
        lines, self._lines, self._waiting = self._lines, {}, 0
        if self._path and (self._size >= self._file_bytes or self._clock_ns() - self._opened_ns >= FILE_NS):
            self._before = self._path, self._begun
            self._path, self._begun = None, set()
            self._asked.clear()
        return lines

    def _new_file(self) -> Path:
        now_ns = self._clock_ns()
        self._path, self._opened_ns, self._size = self._new_path(now_ns), now_ns, 0
        return self._path

    def _new_path(self, now_ns: int) -> Path:
        """Names ascend with time."""
        moment = datetime.fromtimestamp(now_ns / 1e9, UTC)
        return self._folder / f"{moment:%Y%m%dT%H%M%S%f}{ENDING}"

    def _write(self, waiting: dict[Path, list[bytes]]) -> None:
        for path, lines in waiting.items():
            try:
                begun = path.exists()
                if not begun:
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._log(f"recording into {path}")
                    self._remove_old(path)
                data = gzip.compress((b"" if begun else HEAD % self._clock_ns()) + b"".join(lines), 6)
                with path.open("ab") as file:
                    file.write(data)
                self._size += len(data) if path == self._path else 0
                self.error = ""
            except OSError as error:
                self.dropped += len(lines)
                if not self.error:
                    self._log(f"recording failed, {len(lines)} frames lost: {error}")
                self.error = str(error)

    def _remove_old(self, current: Path) -> None:
        total, now_s = self._file_bytes, self._clock_ns() / 1e9
        for path in sorted(self._folder.glob(f"*{ENDING}"), reverse=True):
            found = path.stat()
            total += found.st_size
            if path != current and (total > self._total_bytes or now_s - found.st_mtime > KEPT_S):
                path.unlink(missing_ok=True)
                self._log(f"removed the recording {path.name}")
