"""What can be checked before the program starts: one finding for each thing that must be right."""

import errno
import socket
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, NamedTuple

import requests

from bot.kalshi.sign import KeyProblem, load_key
from bot.settings import Settings, SettingsError

CLOCK_LIMIT_S = 2.0
"""The exchange allows a signature's time to be 5 s off for certain (kalshi-api.md section 2.4)."""


class Finding(NamedTuple):
    """A thing checked. FAIL keeps the program from working, '-' does not apply."""

    verdict: Literal["ok", "FAIL", "-"]
    name: str
    detail: str


def examine(environ: Mapping[str, str], env_file: Path, root: Path) -> list[Finding]:
    """All findings; only those about the settings when these cannot be read."""
    try:
        settings = Settings.load(environ, env_file)
    except SettingsError as error:
        return [Finding("FAIL", "settings", problem) for problem in error.problems]
    return [Finding("ok", "settings", f"MODE {settings.mode}"), *_findings(settings, root)]


def _findings(settings: Settings, root: Path) -> Iterator[Finding]:
    try:
        yield Finding("ok", "data folder", str(settings.make_data_dir()))
    except SettingsError as error:
        yield Finding("FAIL", "data folder", str(error))
    fault = port_fault(settings.host, settings.port)
    yield Finding("FAIL", "port", fault) if fault else Finding("ok", "port", f"{settings.port} is free")
    yield _key(settings)
    yield from _exchange(settings.kalshi_api_url)
    charts = (root / "static" / "vendor" / "uplot" / "uPlot.esm.js").exists()
    yield Finding("ok" if charts else "-", "charts", "installed" if charts else "not installed; the page has none")


def port_fault(host: str, port: int) -> str | None:
    """Why the page cannot listen on this address, or None."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} on {host} is in use by another program; stop that one or set PORT to another number."
        if error.errno == errno.EACCES:
            return f"Port {port} needs rights that this user lacks; set PORT to a number above 1023."
        return f"HOST {host} with PORT {port} is not an address of this machine ({error.strerror})."
    return None


def _key(settings: Settings) -> Finding:
    source = settings.kalshi_private_key_path or settings.kalshi_private_key
    if source is None:
        return Finding("-", "key", "the paper exchange makes its own")
    try:
        load_key(str(source) if isinstance(source, Path) else source.reveal())
    except KeyProblem as error:
        return Finding("FAIL", "key", str(error))
    return Finding("ok", "key", f"loads; key id {settings.kalshi_key_id}")


def _exchange(url: str) -> Iterator[Finding]:
    if not url:
        yield Finding("-", "exchange", "`make run` starts the paper exchange")
        return
    session = requests.Session()
    session.trust_env = False
    before = time.time()
    try:
        answer = session.get(f"{url}/exchange/status", timeout=(3, 5))
    except requests.RequestException as error:
        yield Finding("FAIL", "exchange", f"{url} does not answer ({type(error).__name__})")
        return
    verdict: Literal["ok", "FAIL"] = "ok" if answer.status_code in (200, 503) else "FAIL"
    yield Finding(verdict, "exchange", f"{url} answers with status {answer.status_code}")
    sent = answer.headers.get("Date")
    if sent:
        # The header counts whole seconds: the server's time lies in the second that begins with it.
        theirs = parsedate_to_datetime(sent).timestamp()
        ahead, behind = before - (theirs + 1), theirs - time.time()
        off = max(ahead, behind, 0.0)
        where = f"about {off:.0f} s off the exchange's; set it by network time" if off > CLOCK_LIMIT_S else "agrees"
        yield Finding("FAIL" if off > CLOCK_LIMIT_S else "ok", "clock", where)
