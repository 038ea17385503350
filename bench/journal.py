"""Making records durable: one by one and in groups, beside the disk's own floor (append and fdatasync)."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.result import Result, timed
from bot.store.journal import Record, SqliteDisk

BODY = os.urandom(200)


def measure() -> Iterator[Result]:
    with TemporaryDirectory(dir=".") as folder:
        file = os.open(Path(folder) / "floor", os.O_WRONLY | os.O_CREAT)

        def append(_: int) -> None:
            os.write(file, BODY)
            os.fdatasync(file)

        yield timed("append + fdatasync", append, 1000)
        os.close(file)
        disk = SqliteDisk(Path(folder) / "journal.db")
        seqs = count(disk.open() + 1)
        floor = "append + fdatasync"
        yield timed("journal commit, 1 record", lambda i: disk.commit([Record(next(seqs), BODY)]), 1000, peer=floor)
        hundred = timed(
            "journal commit, 100",
            lambda i: disk.commit([Record(next(seqs), BODY) for _ in range(100)]),
            200,
            peer=floor,
        )
        yield hundred
        yield Result("the same, for each record", [time / 100 for time in hundred.times_us], floor)
        disk.close()
