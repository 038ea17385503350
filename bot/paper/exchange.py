"""The paper exchange as a process: `python -m bot exchange`. Wires engine, life, state and server; pumps time."""

import argparse
import fcntl
import gc
import json
import os
import signal
import sys
import traceback
import uuid
from pathlib import Path
from typing import IO, NoReturn

import gevent
import msgspec
from gevent.event import Event as Signal

from bot.core.units import parse_money
from bot.paper.auth import Keys
from bot.paper.endpoints import PREFIX
from bot.paper.engine import Engine
from bot.paper.faults import Fault, Faults, read_plan
from bot.paper.model import Rules
from bot.paper.replay import Replay
from bot.paper.server import STREAM, Server
from bot.paper.state import State
from bot.paper.stream import Hub
from bot.paper.tape import Tape
from bot.paper.venue import TIERS, Life, Settings, Venue
from bot.paper.world import World

LIFE_KEPT_EVERY_MS = 1_000


class Unusable(Exception):
    """The exchange cannot start; the text says what to do."""


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        life, name = _life(options)
        settings = Settings(
            data_dir=options.data_dir,
            port=options.port,
            cash=parse_money(options.cash),
            tier=options.tier,
            window_ms=round(options.window * 1000),
            key_type=options.key_type,
            read_lag_ms=options.read_lag,
            weekly_pause=options.weekly_pause,
            rules=_rules(options.rules),
        )
        faults = Faults(_plan(options.faults) if options.faults else [], options.seed)
        return run(settings, life, name, options.seed, faults=faults, history_frozen=options.replay is not None)
    except (Unusable, ValueError, OSError) as problem:
        print(f"exchange: {problem}", file=sys.stderr)
        return 1


def run(
    settings: Settings,
    life: Life,
    name: str,
    seed: int,
    *,
    faults: Faults | None = None,
    history_frozen: bool = False,
) -> int:
    """Serve until SIGTERM or SIGINT; `name` says which life this is, so that a folder is never used for another.

    Prints one JSON line when the exchange listens and its life has begun. Returns the exit status.
    """
    lock = _prepare(settings.data_dir)
    state = State(settings.data_dir / "exchange.db")
    known = state.note("life")
    if known is not None and known != name.encode():
        raise Unusable(f"{settings.data_dir} holds the life '{known.decode()}', not '{name}': use another --data-dir")
    venue = _open(settings, life, state, faults or Faults([]), seed, history_frozen=history_frozen)
    state.keep("life", name.encode())
    if kept := state.note("faults"):
        since_ms, plan = msgspec.json.decode(kept, type=tuple[int, list[Fault]])
        venue.faults.install(plan, since_ms)
        state.keep("faults", b"")
    else:
        venue.faults.install(venue.faults.plan, venue.now_ms())
    server = _listen(venue)
    now_ms = venue.now_ms()
    blob = state.note("life_state")
    if blob is None:
        life.start(venue.engine, now_ms)
    else:
        life.restore(blob, venue.engine, now_ms)
    failed = _serve(venue, server)
    state.keep("life_state", life.state())
    state.close()
    lock.close()
    return 1 if failed else 0


def _listen(venue: Venue) -> Server:
    """Listen on the port asked for; without one on that of the last start, if it is free."""
    port = venue.settings.port
    for tried in [port] if port else [int(venue.state.note("port") or 0), 0]:
        server = Server(venue, tried, lambda down_ms: _restart(venue, down_ms))
        try:
            server.start()
        except OSError as problem:
            words = problem.strerror
        else:
            venue.state.keep("port", str(server.server_port).encode())
            return server
    raise Unusable(f"cannot listen on 127.0.0.1:{port}: {words}; choose another --port")


def _restart(venue: Venue, down_ms: int) -> NoReturn:
    """Die as by SIGKILL, stay down, and start again with the same command; the faults' counts go on."""
    venue.state.keep("faults", msgspec.json.encode((venue.faults.since_ms, venue.faults.plan)))
    venue.state.flush()
    rise = "import os, sys, time; time.sleep(float(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execv(sys.executable, [sys.executable, "-c", rise, str(down_ms / 1000), *command])


def _serve(venue: Venue, server: Server) -> bool:
    """Pump until told to stop; whether the pump failed."""
    stop = Signal()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    _pump_once(venue, venue.now_ms())
    gc.collect()
    gc.freeze()
    base = f"127.0.0.1:{server.server_port}"
    ready = {
        "rest": f"http://{base}{PREFIX}",
        "ws": f"ws://{base}{STREAM}",
        "odds": f"http://{base}",
        "key_id": venue.keys.key_id,
        "private_key_path": str(venue.keys.path.resolve()),
    }
    print(json.dumps(ready), flush=True)
    pump = gevent.spawn(_pump, venue)
    pump.link_exception(lambda _: stop.set())
    heart = gevent.spawn(venue.hub.heartbeat)
    stop.wait()
    failed = bool(pump.ready())
    gevent.killall([pump, heart])
    venue.hub.close()
    server.stop(timeout=1)
    return failed


def _open(settings: Settings, life: Life, state: State, faults: Faults, seed: int, *, history_frozen: bool) -> Venue:
    """Everything in memory, as it was left; the ids of each start are drawn from the seed and the start's number."""
    boot = int(state.note("boots") or 0) + 1
    state.keep("boots", str(boot).encode())
    engine = Engine(seed * 1_000_003 + boot, history_frozen=history_frozen, rules=settings.rules)
    state.restore(engine)
    if engine.accounts:
        account = next(iter(engine.accounts.values()))
    else:
        account = engine.add_account(str(uuid.uuid4()), settings.cash)
        state.open_account(account.user_id, account.cash)
    state.flush()
    keys = Keys(settings.data_dir, settings.window_ms, settings.key_type)
    return Venue(settings, engine, life, keys, account, state, Hub(engine, faults), Tape(engine), faults)


def _pump(venue: Venue) -> None:
    """Let time pass, for ever."""
    kept_ms = 0
    while True:
        gevent.sleep(venue.settings.pump_ms / 1000)
        now_ms = venue.now_ms()
        try:
            kept_ms = _pump_once(venue, now_ms, kept_ms)
        except Exception:
            traceback.print_exc()
            raise


def _pump_once(venue: Venue, now_ms: int, kept_ms: int = 0) -> int:
    """Do what is due; keep the life's state with every listing and turn of a market, else once a second."""
    venue.engine.advance(now_ms)
    venue.keep_hours(now_ms)
    if not venue.engine.halt:
        venue.life.advance(venue.engine, now_ms)
    venue.engine.advance(now_ms)
    if venue.state.life_changed or now_ms - kept_ms >= LIFE_KEPT_EVERY_MS:
        venue.state.keep("life_state", venue.life.state())
        venue.state.life_changed = False
        kept_ms = now_ms
    venue.beat(now_ms)
    return kept_ms


def _prepare(folder: Path) -> IO[str]:
    """Make the folder and lock it for this process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "exchange.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unusable(f"another exchange runs in {folder}: stop it or use another --data-dir") from None
    return lock


def _plan(source: str) -> list[Fault]:
    try:
        return read_plan(source)
    except (OSError, msgspec.DecodeError) as problem:
        raise Unusable(f"--faults: {problem}; give a JSON list, inline or in a file") from None


def _rules(source: str) -> Rules:
    try:
        return msgspec.json.decode(source, type=Rules)
    except msgspec.DecodeError as problem:
        raise Unusable(f"--rules: {problem}; known are {', '.join(Rules.__struct_fields__)}") from None


def _life(options: argparse.Namespace) -> tuple[Life, str]:
    if options.replay:
        return Replay(options.replay, options.speed), f"replay {options.replay.resolve()}"
    life = World(options.world, options.seed, options.speed, markets=options.markets, rate=options.rate)
    return life, f"world {options.world} seed {options.seed}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot exchange", description="A paper exchange on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--data-dir", type=Path, required=True, help="where account, keys and markets are kept")
    life = parser.add_mutually_exclusive_group()
    life.add_argument("--world", default="demo", help="synthetic world: demo (default) or stress")
    life.add_argument("--replay", type=Path, metavar="FILE", help="recorded market to drive the book instead")
    parser.add_argument("--markets", type=int, help="about how many markets the world lists (default: the world's own)")
    parser.add_argument("--rate", type=float, help="level changes per second over all of them (default: the world's)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="factor on the life's time")
    parser.add_argument("--cash", default="1000.00", help="dollars of a new account")
    parser.add_argument("--tier", choices=TIERS, default="basic", help="rate limits")
    parser.add_argument("--window", type=float, default=15.0, help="seconds a signature's time may be off")
    parser.add_argument("--key-type", choices=("rsa", "ed25519"), default="rsa", help="of a new member key")
    parser.add_argument("--read-lag", type=int, default=0, metavar="MS", help="how far reads lag behind writes")
    parser.add_argument("--weekly-pause", action="store_true", help="rest on Thursdays 03:00-05:00 Eastern")
    parser.add_argument("--rules", default="{}", help="JSON of answers to open questions (docs/paper-exchange.md)")
    parser.add_argument("--faults", metavar="PLAN", help="JSON list of faults, inline or a file")
    return parser
