"""A throw-away PostgreSQL for tests: own folder, unix socket only, ended by its process id."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"


def missing() -> str:
    """Why PostgreSQL cannot be started here; empty when it can."""
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "psycopg2 is not installed (pip install psycopg2-binary)"
    if not _binaries():
        return "no PostgreSQL server on this machine (apt-get install postgresql)"
    if os.getuid() == 0 and not _has_user("postgres"):
        return "PostgreSQL will not run as root and there is no user postgres"
    return ""


@contextmanager
def running() -> Iterator[str]:
    """A fresh cluster with Supabase's three roles; yields its DSN (superuser)."""
    folder = Path(tempfile.mkdtemp(prefix="tickstop-pg-"))
    account: dict[str, Any] = {}
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
    binaries = _binaries()
    try:
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **account,
        )  # fmt: skip
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"), cwd=folder, **account,
        )  # fmt: skip
        try:
            dsn = f"host={folder} user=postgres dbname=postgres"
            _wait(server, dsn, folder)
            execute(
                dsn,
                "create role anon nologin; create role authenticated nologin;"
                "create role service_role nologin bypassrls;"
                "grant usage on schema public to anon, authenticated, service_role",
            )
            yield dsn
        finally:
            server.send_signal(2)
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def migrate(dsn: str) -> None:
    """Apply the project's own migrations, in order."""
    for path in sorted(MIGRATIONS.glob("*.sql")):
        execute(dsn, path.read_text())


def execute(dsn: str, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Run SQL as superuser; the rows of the last statement, if it has any."""
    import psycopg2

    db = psycopg2.connect(dsn)
    try:
        with db, db.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        db.close()


def _binaries() -> Path | None:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))
    if found:
        return Path(found[-1]).parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _wait(server: subprocess.Popen, dsn: str, folder: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(dsn).close()
            return
        except psycopg2.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}") from None
            time.sleep(0.02)
