"""The composition root: settings in, the wired program out. The only place that knows every part and every mode."""

import gc
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import gevent
import msgspec
from flask import Flask

import web.desk
from bot import record as recording
from bot.core import facts
from bot.core.state import TradingState
from bot.kalshi.canary import Canary
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.read_budget import ReadBudget
from bot.kalshi.rest import KalshiReads, ReadFailed
from bot.kalshi.sign import KeyProblem, Signer, load_key
from bot.kalshi.stream import Stream
from bot.kalshi.wire import AccountLimits
from bot.market_data.market_data import MarketData
from bot.market_data.recorder import Recorder
from bot.odds.client import OddsClient
from bot.run import paper_process
from bot.run.bot import Bot, default_config
from bot.run.desk import Desk
from bot.run.door import now_ms
from bot.run.executor import Executor, WriteBudget
from bot.run.lease import FileLease
from bot.run.odds_feed import OddsFeed
from bot.run.paper_process import PaperProblem, Venue
from bot.run.restore import restore
from bot.settings import Settings
from bot.store.history import History
from bot.store.journal import Journal
from bot.store.sqlite import StoreError
from bot.strategy.favourites import Favourites
from web import WebSecrets, create_app

ENV_FILE = Path(".env")
PAPER_ODDS_INTERVAL_S = 20.0
LEASE_POLL_S = 0.5

log = logging.getLogger("Tickstop")


class StartError(RuntimeError):
    """The program cannot start; the text says why and what to do."""


class Program:
    """What runs in this process: the lease, and while it is held the bot. `stop` ends both."""

    def __init__(self, app: Flask, desk: Desk, settings: Settings) -> None:
        self.settings = settings
        self._app = app
        self._desk = desk
        self._lease = FileLease(settings.data_dir, _holder())
        self._stopping = False

    def start(self) -> None:
        """Take the lease and trade, else serve as a standby until the lease is free. Raises StartError."""
        if self._lease.acquire():
            self._lead()
        else:
            self._desk.standby_reason = f"another process trades here: {self._lease.holder()}"
            log.warning("standby: %s", self._desk.standby_reason)
            gevent.spawn(self._wait_for_lease)

    def stop(self, timeout_s: float) -> None:
        self._stopping = True
        self._app.extensions["tickstop"].stream.close()
        if self._desk.bot is not None:
            self._desk.bot.stop(timeout_s)
        if self._lease.held and _own_paper(self.settings):
            paper_process.end(self.settings.data_dir / "paper")
        self._lease.release()

    def _wait_for_lease(self) -> None:
        while not self._stopping:
            gevent.sleep(LEASE_POLL_S)
            try:
                if self._lease.acquire():
                    return self._lead()
            except Exception as problem:  # the stops are watched by nobody now: say it, let go, try again
                self._desk.standby_reason = f"the takeover failed and is tried again: {problem}"
                log.exception("the takeover failed")
                self._lease.release()
                gevent.sleep(10 * LEASE_POLL_S)
        return None

    def _lead(self) -> None:
        stream = self._app.extensions["tickstop"].stream
        bot, replayed = build(self.settings, publish=lambda: stream.publish_page(self._desk.page()))
        bot.run(replayed)
        self._desk.bot = bot
        _quiet_garbage_collector()
        with suppress(OSError, ValueError):  # a terminal that is gone or closed ends no start: stops are watched
            _print_way_in(self._app, self.settings)


def preflight(environ: Mapping[str, str]) -> Settings:
    """What can be known to be wrong before anything starts. Raises SettingsError or StartError."""
    settings = Settings.load(environ, ENV_FILE)
    settings.make_data_dir()
    if not _own_paper(settings):
        _signer(_given_venue(settings), settings)
    return settings


def application() -> Flask:
    """The web application. No bot runs yet; `start` does that, in the worker."""
    settings = Settings.load(os.environ, ENV_FILE)
    _log_to_stderr(settings)
    desk = Desk(settings.mode)
    secrets = WebSecrets(
        admin_password=settings.admin_password.reveal() if settings.admin_password else None,
        api_token=settings.api_token.reveal() if settings.api_token else None,
        loopback=settings.local_only,
        session_file=settings.data_dir / "sessions.json",
    )
    redis_url = settings.redis_url.reveal() if settings.redis_url else None
    app = create_app(
        cast(web.desk.Desk, desk), secrets=secrets, redis_url=redis_url, trusted_hops=settings.trusted_proxy_hops
    )
    app.extensions["desk"] = desk
    return app


def start(app: Flask, settings: Settings) -> Program:
    """Start the bot in this process, or stand by for the one that holds the lease. Raises StartError."""
    program = Program(app, app.extensions["desk"], settings)
    program.start()
    return program


def build(settings: Settings, publish: Callable[[], None]) -> tuple[Bot, list[facts.Fact]]:
    """Wire one bot over its restored state; also the facts replayed after the snapshot. Raises StartError."""
    venue = _venue(settings)
    signer = _signer(venue, settings)
    recorder = Recorder(settings.data_dir / "recordings", log=logging.getLogger("Recorder").info)
    reads, stream, limits = _connections(settings, venue, signer, recorder)
    strategy = Favourites()
    state, journal, replayed = _restore(settings, strategy)
    supabase = None
    if settings.supabase_url and settings.supabase_secret_key:
        supabase = (settings.supabase_url, settings.supabase_secret_key.reveal())
    history = _open_history(settings, supabase)
    bot_box: list[Bot] = []
    order_log = logging.getLogger("Executor").info
    orders = KalshiOrders(
        venue.rest, signer, on_sent=lambda o, ns: bot_box[0].on_sent(o, ns), log=order_log, canary=reads.canary
    )
    market_data = MarketData(
        reads, stream,
        on_tick=lambda quote: bot_box[0].on_tick(quote),
        on_account=lambda news: bot_box[0].on_account(news),
        on_lifecycle=lambda change: bot_box[0].on_lifecycle(change),
        on_missed=lambda: bot_box[0].on_missed(),
        log=logging.getLogger("MarketData").info,
        stale_s=settings.websocket_price_cache_stale_secs,
        series=_series(settings), recorder=recorder,
    )  # fmt: skip
    bot = Bot(
        settings, state, boot=os.urandom(6).hex(), account=venue.key_id, journal=journal, supabase=supabase,
        history=history, reads=reads, orders=orders, market_data=market_data,
        executor=Executor(WriteBudget(limits.write_rate, limits.write_capacity)),
        recorder=recorder, odds=_odds(settings, venue), strategy=strategy, publish=publish,
        start_word="LIVE" if settings.mode == "live" else "",
    )  # fmt: skip
    bot_box.append(bot)
    return bot, replayed


def record(settings: Settings, seconds: float) -> int:
    """Record the watched markets without trading; a paper exchange that nobody trades on ends with it."""
    _log_to_stderr(settings)
    venue = _venue(settings)
    notices = logging.getLogger("Recorder").info
    recorder = Recorder(settings.data_dir / "recordings", log=notices)
    reads, stream, _ = _connections(settings, venue, _signer(venue, settings), recorder)
    market_data = MarketData(
        reads, stream, on_tick=lambda quote: None, on_account=lambda news: None, on_lifecycle=lambda change: None,
        log=logging.getLogger("MarketData").info, series=_series(settings), recorder=recorder,
    )  # fmt: skip
    try:
        return recording.record(market_data, recorder, seconds, settings.market_poll_interval, notices)
    finally:
        lease = FileLease(settings.data_dir, _holder())
        if _own_paper(settings) and lease.acquire():
            paper_process.end(settings.data_dir / "paper")
            lease.release()


def _connections(
    settings: Settings, venue: Venue, signer: Signer, recorder: Recorder
) -> tuple[KalshiReads, Stream, AccountLimits]:
    """Both ways to read from the exchange, and what the account may use of it."""
    canary = Canary(logging.getLogger("Canary").warning)
    reads = KalshiReads(venue.rest, signer, log=logging.getLogger("KalshiReads").info, canary=canary)
    limits = _limits(reads)
    reads.budget = ReadBudget(limits.read_rate, limits.read_capacity)
    stream = Stream(
        venue.ws, signer, log=logging.getLogger("WebSocketClient").info, canary=canary, tap=recorder.frame,
        first_delay_s=settings.websocket_reconnect_delay, longest_delay_s=settings.websocket_max_reconnect_delay,
    )  # fmt: skip
    return reads, stream, limits


def _own_paper(settings: Settings) -> bool:
    """Whether we start the paper exchange ourselves."""
    return settings.mode == "paper" and not settings.kalshi_api_url


def _venue(settings: Settings) -> Venue:
    if not _own_paper(settings):
        return _given_venue(settings)
    arguments = ["--port", str(settings.paper_port), "--world", settings.paper_world,
                 "--seed", str(settings.paper_seed), "--speed", str(settings.paper_speed)]  # fmt: skip
    try:
        return paper_process.ensure(settings.data_dir / "paper", arguments)
    except PaperProblem as problem:
        raise StartError(str(problem)) from problem


def _given_venue(settings: Settings) -> Venue:
    return Venue(settings.kalshi_api_url, settings.kalshi_ws_url, settings.odds_api_url, settings.kalshi_key_id, "")


def _signer(venue: Venue, settings: Settings) -> Signer:
    """The key as given: the paper exchange's own file, else KALSHI_PRIVATE_KEY or KALSHI_PRIVATE_KEY_PATH."""
    text = (
        settings.kalshi_private_key.reveal() if settings.kalshi_private_key else str(settings.kalshi_private_key_path)
    )
    try:
        return Signer(venue.key_id, load_key(venue.private_key_path or text))
    except KeyProblem as problem:
        raise StartError(str(problem)) from problem


def _limits(reads: KalshiReads) -> AccountLimits:
    """The account's budgets; also the first signed call, so a wrong key is found here."""
    try:
        return reads.account_limits()
    except ReadFailed as failure:
        if failure.status in (401, 403):
            raise StartError(
                f"Kalshi refuses the key ({failure}); check KALSHI_KEY_ID, the private key and MODE."
            ) from None
        log.warning("account limits could not be read (%s): assuming the smallest tier", failure)
        return AccountLimits("unknown", 200, 200, 100, 100)


def _restore(settings: Settings, strategy: Favourites) -> tuple[TradingState, Journal, list[facts.Fact]]:
    """Latest snapshot plus replay, checked by hash. A journal that cannot be trusted is never skipped: StartError."""
    notices = logging.getLogger("Journal")
    journal = Journal(
        settings.data_dir / f"journal-{settings.mode}.db",
        lambda error, waiting: notices.error("not written, %d records wait: %s", waiting, error),
    )
    mode: facts.TradingMode = "RUNNING" if settings.mode == "paper" else "PAUSED"
    try:
        state, replayed = restore(journal, default_config(strategy), mode, now_ms())
    except (StoreError, ValueError, KeyError, msgspec.MsgspecError) as error:
        raise StartError(f"The journal cannot be used: {error}") from error
    notices.info("restored %d facts, %d of them replayed", state.facts, len(replayed))
    return state, journal, replayed


def _open_history(settings: Settings, supabase: tuple[str, str] | None) -> History:
    history = History(settings.data_dir / "history.db", settings.mode, remote=supabase[0] if supabase else "")
    try:
        history.open()
    except StoreError as error:
        raise StartError(f"The history cannot be used: {error}") from error
    return history


def _series(settings: Settings) -> tuple[str, ...]:
    """Which series to watch; none named means all."""
    return () if settings.market_series == "all" else tuple(settings.market_series.replace(" ", "").split(","))


def _odds(settings: Settings, venue: Venue) -> OddsFeed:
    paper = _own_paper(settings) and not settings.odds_api_key
    key = "paper" if paper else settings.odds_api_key.reveal() if settings.odds_api_key else ""
    url = venue.odds if paper else settings.odds_api_url
    client = OddsClient(url, key) if key and url else None
    return OddsFeed(client, PAPER_ODDS_INTERVAL_S if paper else settings.odds_poll_interval, now_ms)


def _holder() -> str:
    place = os.environ.get("DYNO") or os.environ.get("RENDER_INSTANCE_ID") or os.uname().nodename
    return f"{place} pid {os.getpid()}"


def _quiet_garbage_collector() -> None:
    """What start-up made stays for ever: the collector need not walk it again (infra.md section 9)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _print_way_in(app: Flask, settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    if settings.admin_password is None and settings.local_only:
        print(f"\nTickstop ({settings.mode}) is at {app.extensions['tickstop'].login_link(url)}\n", flush=True)
    else:
        print(f"\nTickstop ({settings.mode}) is at {url}\n", flush=True)


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)-15s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.WARNING)
