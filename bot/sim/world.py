"""A dense little world for simulations: short markets that move, jump, lose a side, pause, close and settle."""

from random import Random
from typing import Literal

from bot.paper import model
from bot.sim.exchange import Exchange
from bot.sim.faults import Fault
from bot.sim.pace import Pace

LEVELS = 3
SHELF_MS = 1_800_000
"""How long a market stays listed after its end."""
CENT = 100


class Life:
    """One market's path: a middle price in whole cents, and what is planned for it."""

    def __init__(self, ticker: str, middle: int, width: int, close_ms: int) -> None:
        self.ticker = ticker
        self.middle = middle
        self.width = width
        self.close_ms = close_ms
        self.gone: Literal["", "bid", "ask"] = ""
        self.gone_until = 0
        self.paused_until = 0
        self.void = False
        self.dispute_ms = 0
        self.shown: dict[tuple[str, int], int] = {}


class World:
    """Drives the engine; every market is looked at about once a second."""

    def __init__(self, exchange: Exchange, seed: int, pace: Pace) -> None:
        self.exchange = exchange
        self.clock = exchange.clock
        self.pace = pace
        self.rng = Random(f"{seed}/world")
        self.lives: dict[str, Life] = {}
        self.calm = False
        """No new markets: the run is being wound up."""
        self.still = False
        """Nothing moves any more."""
        self._listed = 0
        exchange.engine.add_series(model.Series("SIM", "Simulated", "Sports"))
        for _ in range(pace.open_at(self.clock.now_ms)):
            self._list()
        self._beat()

    def _list(self) -> None:
        now, rng = self.clock.now_ms, self.rng
        self._listed += 1
        event, ticker = f"SIM-{self._listed}", f"SIM-{self._listed}-A"
        close_ms = now + rng.randrange(*self.pace.games)
        self.exchange.engine.add_event(model.Event(event, "SIM", f"Game {self._listed}", "", updated_ms=now))
        self.exchange.engine.add_market(
            model.Market(
                ticker=ticker, event_ticker=event, title=f"Game {self._listed}", yes_sub_title="A", no_sub_title="B",
                open_ms=now, close_ms=close_ms, expected_expiration_ms=close_ms, latest_expiration_ms=close_ms,
                settlement_timer_s=rng.randrange(3, 12),
            ),
            now,
        )  # fmt: skip
        self.lives[ticker] = Life(ticker, rng.randrange(15, 86), rng.randrange(1, 4), close_ms)
        self.clock.after(rng.randrange(1_000), lambda: self._step(ticker))

    def _beat(self) -> None:
        """Once a second: what the engine has to do by itself, and new markets for closed ones."""
        if self.still:
            return
        self.exchange.engine.advance(self.clock.now_ms)
        self.exchange.publish()
        if not self.calm and len(self.lives) < self.pace.open_at(self.clock.now_ms):
            self._list()
        self.clock.after(1_000, self._beat)

    def _step(self, ticker: str) -> None:
        if self.still:
            return None
        now, rng, life = self.clock.now_ms, self.rng, self.lives[ticker]
        engine = self.exchange.engine
        engine.advance(now)
        market = engine.markets[ticker]
        if market.status == "closed":
            return self._finish(life)
        if market.status == "inactive" and now >= life.paused_until:
            engine.unpause(ticker, now)
        if market.status == "active":
            self._move(life)
            self._trade(life)
        self.exchange.publish()
        self.clock.after(300 + rng.randrange(1_100), lambda: self._step(ticker))
        return None

    def _move(self, life: Life) -> None:
        rng = self.rng
        life.middle += rng.randrange(3) - 1
        if rng.random() < 0.02:
            life.middle += rng.randrange(-25, 26)
        if rng.random() < 0.01:
            self.vanish(life, rng.randrange(300, 5_000))
        if life.gone and self.clock.now_ms >= life.gone_until:
            life.gone = ""
        life.middle = min(max(life.middle, 4), 96)
        self._quote(life)

    def _quote(self, life: Life) -> None:
        """Show the ladder around the middle: change only what differs."""
        rng, now = self.rng, self.clock.now_ms
        wanted: dict[tuple[str, int], int] = {}
        for level in range(LEVELS):
            bid, ask = life.middle - life.width - level, life.middle + life.width + level
            if life.gone != "bid" and bid >= 1:
                wanted["bid", bid * CENT] = life.shown.get(("bid", bid * CENT)) or rng.randrange(300, 4_000)
            if life.gone != "ask" and ask <= 99:
                wanted["ask", ask * CENT] = life.shown.get(("ask", ask * CENT)) or rng.randrange(300, 4_000)
        for key in life.shown:
            if key not in wanted:
                self.exchange.engine.set_level(life.ticker, key[0], key[1], 0, now)  # type: ignore[arg-type]
        for key, count in wanted.items():
            if life.shown.get(key) != count or rng.random() < 0.1:
                self.exchange.engine.set_level(life.ticker, key[0], key[1], count, now)  # type: ignore[arg-type]
        life.shown = wanted

    def _trade(self, life: Life) -> None:
        rng = self.rng
        if rng.random() < 0.35:
            side: Literal["bid", "ask"] = "bid" if rng.random() < 0.5 else "ask"
            limit = 9_900 if side == "bid" else 100
            self.exchange.engine.crowd_take(life.ticker, side, limit, rng.randrange(50, 1_500), self.clock.now_ms)

    def _finish(self, life: Life) -> None:
        """The market is closed: the result after a while, and its payment after the engine's timer."""
        ticker, rng = life.ticker, self.rng
        del self.lives[ticker]

        def determine() -> None:
            engine, now = self.exchange.engine, self.clock.now_ms
            if engine.markets[ticker].status != "closed" or self.still:
                return
            if life.dispute_ms:
                engine.markets[ticker].settlement_timer_s += life.dispute_ms // 1_000
            if life.void:
                engine.determine(ticker, "scalar", now, rng.randrange(1, 9_999))
            else:
                engine.determine(ticker, "yes" if rng.randrange(1, 100) < life.middle else "no", now)
            if life.dispute_ms:
                self.exchange.tell_status(ticker, "disputed")
                self.clock.after(life.dispute_ms, lambda: self.exchange.tell_status(ticker, "amended"))

        self.clock.after(rng.randrange(1_500, 6_000), determine)
        self.clock.after(SHELF_MS, lambda: self._forget(ticker))

    def _forget(self, ticker: str) -> None:
        if self.exchange.engine.markets[ticker].status == "finalized":
            self.exchange.engine.remove_market(ticker)

    # surprises

    def vanish(self, life: Life, ms: int) -> None:
        life.gone = "bid" if self.rng.random() < 0.5 else "ask"
        life.gone_until = self.clock.now_ms + ms

    def surprise(self, fault: Fault, preferred: str) -> None:
        """Do to one market what the plan says; `preferred` is one that matters, if it still trades."""
        life = self.lives.get(preferred) or next(iter(self.lives.values()), None)
        if life is None:
            return
        now, engine = self.clock.now_ms, self.exchange.engine
        if fault.kind == "pause":
            life.paused_until = now + fault.ms
            life.shown = {}
            engine.pause(life.ticker, now)
        elif fault.kind == "early_close":
            engine.set_close(life.ticker, now, now)
        elif fault.kind == "void":
            life.void = True
            engine.set_close(life.ticker, now, now)
        elif fault.kind == "dispute":
            life.dispute_ms = fault.ms
        elif fault.kind == "jump":
            life.middle = min(max(life.middle + (fault.ms % 61) - 30, 4), 96)
            if engine.markets[life.ticker].status == "active":
                self._quote(life)
        else:
            self.vanish(life, fault.ms)
        self.exchange.publish()
