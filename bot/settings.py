# ruff: noqa: RUF009 (the default of each field is made by setting(), which returns a dataclass field)
"""The settings of the program: one table, read from the environment and a .env file.

Each field of `Settings` is one row of the table (name, type, default, limits, unit, help, group). Parsing, the error
messages, .env.example and docs/configuration.md all come from it, so they cannot disagree.
"""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal
from urllib.parse import urlsplit

from bot.config import Secret, parse, setting, table_of, text_of
from bot.dotenv import read_env_file

__all__ = ["TABLE", "Mode", "Secret", "Settings", "SettingsError", "is_loopback", "private_file_faults"]

Mode = Literal["paper", "demo", "live"]

VENUES: Mapping[str, tuple[str, str]] = {
    "demo": (
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    ),
    "live": ("https://external-api.kalshi.com/trade-api/v2", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
}
"""REST and WebSocket address for each mode that trades on Kalshi (kalshi-api.md section 1.1)."""

ODDS_URL = "https://api.the-odds-api.com"
PASSWORD_LENGTH = 15
SECRET_FOLDERS = ("/etc/secrets/", "/run/secrets/")
"""Where hosting platforms mount secret files, readable as they choose."""


class SettingsError(Exception):
    """The settings cannot be used. `problems` holds one sentence for each fault, all of them at once."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, read once at the start. Attribute names are the environment's names in lower case."""

    mode: Mode = setting(
        "paper",
        "Trading",
        "Where orders go: paper (a simulated exchange on this machine), demo (Kalshi's test exchange) or live (money).",
    )
    kalshi_key_id: str = setting("", "Kalshi", "Id of your Kalshi API key. Needed for demo and live.")
    kalshi_private_key_path: Path | None = setting(
        None, "Kalshi", "File with the private key (PEM). Only you may read it: chmod 600."
    )
    kalshi_private_key: Secret | None = setting(
        None,
        "Kalshi",
        r"The private key itself instead of a file: PEM text with line breaks or with \n, or base64 of the file.",
    )
    kalshi_api_url: str = setting(
        "", "Kalshi", "REST address, ending in /trade-api/v2.", default_text="chosen by MODE; paper starts its own"
    )
    kalshi_ws_url: str = setting(
        "",
        "Kalshi",
        "WebSocket address, ending in /trade-api/ws/v2. Set it together with KALSHI_API_URL.",
        default_text="chosen by MODE; paper starts its own",
    )
    market_series: str = setting(
        "KXNBAGAME,KXWNBAGAME,KXNFLGAME,KXNHLGAME,KXMLBGAME,KXEPLGAME,KXBTC15M,KXCPIYOY",
        "Trading",
        "Series whose markets are watched, comma separated; all watches every market, which costs a large share of "
        "the read budget on Kalshi.",
    )
    odds_api_key: Secret | None = setting(None, "Odds", "Key of The Odds API. Without it no bookmaker odds are read.")
    odds_api_url: str = setting(
        "", "Odds", "Address of The Odds API.", default_text=f"{ODDS_URL}; paper uses its own exchange's"
    )

    odds_poll_interval: float = setting(
        300.0,
        "Odds",
        "Time between readings of one sport's odds; each costs one credit. Odds older than 15 minutes are not used.",
        unit="s",
        low=10,
        high=86400,
    )

    host: str = setting("127.0.0.1", "Web page", "Address to listen on. 0.0.0.0 opens the page to the network.")
    port: int = setting(8000, "Web page", "Port of the page.", low=1, high=65535)
    admin_password: Secret | None = setting(
        None,
        "Web page",
        "Password of the page. Needed when HOST is not this machine; else a one-time link is printed.",
        low=PASSWORD_LENGTH,
    )
    api_token: Secret | None = setting(
        None, "Web page", "Bearer token for scripts. Without it scripts cannot log in.", low=16
    )
    trusted_proxy_hops: int = setting(
        0, "Web page", "Reverse proxies in front of the page whose headers are believed (Heroku 1).", low=0, high=10
    )

    data_dir: Path = setting(Path("var"), "Storage", "Folder for the journal, the history and the paper exchange.")
    supabase_url: str = setting("", "Storage", "Supabase project address; the trade history is copied there.")
    supabase_secret_key: Secret | None = setting(None, "Storage", "Supabase secret key (sb_secret_..., server side).")
    redis_url: Secret | None = setting(
        None, "Storage", "Redis address, for several web processes serving one bot (redis:// or rediss://)."
    )

    strategy_loop_interval: float = setting(30.0, "Loops", "Time between strategy passes.", unit="s", low=1, high=3600)
    stop_loss_check_interval: float = setting(
        2.0, "Loops", "Time between sweeps over all stops; ticks check them at once.", unit="s", low=0.1, high=60
    )
    ui_update_interval: float = setting(1.0, "Loops", "Time between updates of the page.", unit="s", low=0.1, high=60)
    reconcile_interval: float = setting(
        10.0, "Loops", "Time between comparisons with the exchange's books.", unit="s", low=1, high=600
    )
    market_poll_interval: float = setting(
        12.0, "Loops", "Time between searches for markets.", unit="s", low=1, high=600
    )

    websocket_enabled: bool = setting(True, "Stream", "Follow prices over the WebSocket; without it by REST only.")
    websocket_reconnect_delay: float = setting(
        5.0, "Stream", "Wait before the first reconnect.", unit="s", low=0.1, high=600
    )
    websocket_max_reconnect_delay: float = setting(
        60.0, "Stream", "Longest wait between reconnects.", unit="s", low=0.1, high=3600
    )
    websocket_price_cache_stale_secs: float = setting(
        60.0, "Stream", "Age at which a price counts as stale.", unit="s", low=1, high=3600
    )

    paper_port: int = setting(0, "Paper exchange", "Its port on this machine; 0 takes a free one.", low=0, high=65535)
    paper_seed: int = setting(1, "Paper exchange", "Seed of its world: the same seed, the same games.", low=0)
    paper_speed: float = setting(
        1.0, "Paper exchange", "How fast its games run; 2 halves their length.", low=0.1, high=100
    )
    paper_world: str = setting("demo", "Paper exchange", "Name of its world.")

    verbose: bool = setting(False, "Log", "Also log every price.")

    @classmethod
    def load(cls, environ: Mapping[str, str], env_file: Path | None = None) -> "Settings":
        """Read `env_file` (skipped when absent) and `environ`, which wins. Raises SettingsError with every fault."""
        problems: list[str] = []
        in_file, faults = read_env_file(env_file) if env_file else ({}, [])
        problems += faults
        known = {row.name for row in TABLE}
        problems += [
            f"{line.where}: {name} is not a setting of this program; see docs/configuration.md."
            for name, line in in_file.items()
            if name not in known
        ]
        values: dict[str, Any] = {}
        for row in TABLE:
            text, where = environ.get(row.name, "").strip(), f"{row.name} (environment)"
            if not text and row.name in in_file:
                text, where = in_file[row.name].value.strip(), f"{row.name} ({in_file[row.name].where})"
            if text:
                try:
                    values[row.attribute] = parse(row, text)
                except ValueError:
                    shown = "the value" if row.secret else repr(text[:80])
                    problems.append(f"{where}: {shown} is not allowed; it must be {row.allowed}.")
        if problems:
            raise SettingsError(problems)
        mode = values.get("mode", "paper")
        if mode in VENUES:
            rest, stream = VENUES[mode]
            defaults = {"kalshi_api_url": rest, "kalshi_ws_url": stream, "odds_api_url": ODDS_URL}
            given = {"kalshi_api_url", "kalshi_ws_url"} & values.keys()
            values = defaults | values if len(given) != 1 else {"odds_api_url": ODDS_URL} | values
        values["data_dir"] = Path(values.get("data_dir", "var")).expanduser().absolute()
        settings = cls(**values)
        from_file = "KALSHI_PRIVATE_KEY" in in_file and not environ.get("KALSHI_PRIVATE_KEY")
        problems = list(_conflicts(settings, env_file if from_file else None))
        if problems:
            raise SettingsError(problems)
        return settings

    @property
    def local_only(self) -> bool:
        """Whether the page can be reached from this machine only."""
        return is_loopback(self.host)

    def make_data_dir(self) -> Path:
        """Create DATA_DIR (for this user only) and prove that it can be written. Raises SettingsError."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with TemporaryFile(dir=self.data_dir):
                return self.data_dir
        except OSError as error:
            fault = f"DATA_DIR {self.data_dir} cannot be used ({error.strerror}); choose a folder that can be written."
            raise SettingsError([fault]) from None

    def shown(self) -> dict[str, str]:
        """Every setting as text, secrets masked: fit for a log."""
        return {row.name: text_of(getattr(self, row.attribute)) for row in TABLE}


def is_loopback(host: str) -> bool:
    """Whether an address of this name can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


TABLE = table_of(Settings)


def _conflicts(settings: Settings, key_in_file: Path | None) -> Iterator[str]:
    """Faults that show only when settings are seen together, or against the machine."""
    yield from _page_faults(settings)
    yield from _venue_faults(settings)
    yield from _key_faults(settings, key_in_file)
    yield from _folder_faults(settings.data_dir)
    if settings.websocket_max_reconnect_delay < settings.websocket_reconnect_delay:
        yield "WEBSOCKET_MAX_RECONNECT_DELAY must not be smaller than WEBSOCKET_RECONNECT_DELAY."
    if settings.supabase_url and settings.supabase_secret_key is None:
        yield "SUPABASE_URL is set without SUPABASE_SECRET_KEY; set both, or neither to keep the history local."
    if settings.redis_url is not None and not settings.redis_url.reveal().startswith(("redis://", "rediss://")):
        yield "REDIS_URL must begin with redis:// or rediss://."


def _page_faults(settings: Settings) -> Iterator[str]:
    password = settings.admin_password
    if password is None and not settings.local_only:
        yield (
            f"HOST {settings.host} opens the page to the network, so ADMIN_PASSWORD must be set "
            f"(at least {PASSWORD_LENGTH} characters)."
        )
    if password is not None and len(set(password.reveal())) < 5:
        yield "ADMIN_PASSWORD repeats a few characters; choose one that cannot be guessed."


def _venue_faults(settings: Settings) -> Iterator[str]:
    if bool(settings.kalshi_api_url) != bool(settings.kalshi_ws_url):
        yield "KALSHI_API_URL and KALSHI_WS_URL belong together; set both or neither."
    wrong_domain = {"paper": (".kalshi.com", ".kalshi.co"), "demo": (".kalshi.com",), "live": (".kalshi.co",)}
    schemes = {
        "KALSHI_API_URL": ("https", "http"),
        "KALSHI_WS_URL": ("wss", "ws"),
        "ODDS_API_URL": ("https", "http"),
        "SUPABASE_URL": ("https", "http"),
    }
    for name, (secure, plain) in schemes.items():
        url = getattr(settings, name.lower())
        if not url:
            continue
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            parts, host = None, ""
        if parts is None or not host or parts.username or parts.scheme not in (secure, plain):
            yield f"{name} must be an address that begins with {secure}:// and holds no user name."
        elif parts.scheme == plain and not is_loopback(host):
            yield f"{name} must begin with {secure}://; {plain}:// is allowed only to this machine."
        elif name.startswith("KALSHI") and f".{host}".endswith(wrong_domain[settings.mode]):
            yield f"{name} points to {host}, which does not belong to MODE {settings.mode}."


def _key_faults(settings: Settings, key_in_file: Path | None) -> Iterator[str]:
    path, inline = settings.kalshi_private_key_path, settings.kalshi_private_key
    if path and inline:
        yield "Set one of KALSHI_PRIVATE_KEY_PATH and KALSHI_PRIVATE_KEY, not both."
    if settings.kalshi_api_url and not (settings.kalshi_key_id and (path or inline)):
        yield (
            f"MODE {settings.mode} with {urlsplit(settings.kalshi_api_url).netloc} needs a key: set KALSHI_KEY_ID and "
            "KALSHI_PRIVATE_KEY_PATH (or KALSHI_PRIVATE_KEY)."
        )
    if path:
        yield from private_file_faults("KALSHI_PRIVATE_KEY_PATH", path)
    if inline and key_in_file:
        yield from private_file_faults("KALSHI_PRIVATE_KEY", key_in_file)


def private_file_faults(name: str, path: Path) -> Iterator[str]:
    """Why a file that holds a secret cannot be used: missing, unreadable, or readable by other users."""
    try:
        mode = path.stat().st_mode
        readable = path.is_file() and os.access(path, os.R_OK)
    except OSError as error:
        yield f"{name}: {path} cannot be read ({error.strerror})."
        return
    if not readable:
        yield f"{name}: {path} is not a file that this user may read."
    elif mode & 0o077 and not str(path.resolve()).startswith(SECRET_FOLDERS):
        yield f"{name}: other users can read {path}; run: chmod 600 {path}"


def _folder_faults(folder: Path) -> Iterator[str]:
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if not existing.is_dir():
        yield f"DATA_DIR: {existing} is a file, not a folder; choose another folder."
    elif not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        what = "create it in" if existing != folder else "read and write"
        yield f"DATA_DIR {folder}: this user may not {what} {existing}; change its rights or choose another folder."
