"""The synthetic world: games and other events that are listed, open, move, end, are determined and settle, for ever.

Seeded and without I/O or clock. Time is compressed: a game lasts a few minutes at speed 1, and its
expected_expiration_time is the world's own nominal end. Truth is contest.py's, books are crowd.py's; this module
decides what is listed when, and drives the engine.
"""

import math
from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random
from typing import NamedTuple

import msgspec

from bot.core.units import ONE
from bot.paper import listing
from bot.paper.bookmakers import Bookmakers
from bot.paper.contest import Contest, Outcome, Path, draw_path, mean_for
from bot.paper.crowd import CENT, TAPERED, Ladder, draw_ladder, draw_take, draw_width, quote, shuffle
from bot.paper.engine import Engine
from bot.paper.listing import Listing, Times
from bot.paper.model import Series
from bot.paper.teams import LEAGUES, League, Team

MINUTE_MS = 60_000
STEP_MS = 250
BEFORE_START_S = (30, 60)
OVERRUN = (0.9, 1.12)
"""The real length of a game over its nominal one; one in eight goes to overtime instead."""
OVERTIME = (1.15, 1.35)
FAVOURITE = (0.85, 0.95)
WANTED = 10
"""Favourites to keep on offer: when there are fewer, the next game listed has one."""
TIE = 0.32
"""Half the width of a draw, in standard deviations of the goal difference: about one game in four."""
UNSURE_MS = 15_000
"""How long a misjudgement of the crowd lasts."""
TEAMS_FOR = 40
"""Games at once for which there are teams; with more, a team has several games."""
MARKETS_PER_GAME = 2.15
STEADY_MS = 1_000
"""How often the pace is corrected towards the rate that was asked for."""
SHELF_MIN = 10
"""How long a settled event stays listed."""
VOID, PAUSE = 0.01, 0.08
"""Share of games that are called off, and that the exchange pauses once."""
NOTICE = 0.1
"""Chance per step that makers look whether their quotes are still there."""
GONE_PER_S, WIDTH_PER_S = 1 / 240, 1 / 60
"""Rates per market at which one side withdraws for a moment, and at which makers choose another spread."""


class Programme(NamedTuple):
    """What a world is like unless told otherwise."""

    games: int
    coins: int
    """How many crypto series."""
    rate: float | None = None
    """Level changes per second over all markets; None lets every market have its own natural pace."""


WORLDS = {"demo": Programme(32, 1), "stress": Programme(229, 3, 2_000.0)}


class State(msgspec.Struct):
    """What a restart needs."""

    contests: list[Contest] = []
    ended: list[tuple[int, list[str]]] = []
    """(when it may leave the list, its market tickers)."""
    used: set[str] = set()
    """Event tickers of the day, so that none comes twice."""
    day: str = ""
    """The Eastern date on which `used` was begun: tickers of another day carry another date."""
    coins: dict[str, float] = {}
    """The latest price by crypto series."""
    month: int = 0


class World:
    """A life for the engine that never ends. Either `start` or, with the state of an earlier run, `restore`."""

    done = False

    def __init__(
        self,
        name: str,
        seed: int,
        speed: float,
        *,
        markets: int | None = None,
        rate: float | None = None,
        games: int | None = None,
        activity: float = 1.0,
    ) -> None:
        """`markets` (about; or `games`, exactly) are on the list at once, with `rate` level changes per second over all
        of them, else at a natural pace times `activity` (1 = about 4 per second and market)."""
        if name not in WORLDS:
            raise ValueError(f"there is no world {name!r}: the worlds are: {', '.join(WORLDS)}")
        if not speed > 0:
            raise ValueError(f"--speed {speed}: must be greater than 0")
        if games is not None and games < 1:
            raise ValueError(f"{games} games: must be 1 or more")
        if rate is not None and not rate > 0:
            raise ValueError(f"--rate {rate}: must be greater than 0")
        usual = WORLDS[name]
        self.coins = listing.COINS[: usual.coins]
        others = len(self.coins) + 4
        if markets is not None and not others < markets <= 5_000:
            raise ValueError(f"--markets {markets}: must be {others + 1} to 5000")
        wanted = usual.games if markets is None else max(1, round((markets - others) / MARKETS_PER_GAME))
        self.games = wanted if games is None else games
        self.seed = seed
        self.speed = speed
        self.rate = rate or usual.rate
        self.activity = activity
        self._made, self._since_ms = 0, 0
        self._step_ms = min(1_000, STEP_MS * -(-self.games // 250))
        self.now = State()
        self.rng = Random(seed)
        self.odds = Bookmakers(seed, speed, lambda: self.now.contests)

    def start(self, engine: Engine, now_ms: int) -> None:
        for series in listing.series(self.coins):
            engine.add_series(series)
        for target in listing.targets():
            engine.add_target(target)
        while (lacking := self.games - len(self._on(lambda c: c.league != ""))) > 0:
            for _ in range(lacking):
                self._list_game(engine, now_ms, old=True)
        self._keep_listed(engine, now_ms)

    def advance(self, engine: Engine, now_ms: int) -> None:
        engine.advance(now_ms)
        for contest in self.now.contests:
            if contest.next_ms <= now_ms:
                self._step(contest, engine, now_ms)
                contest.next_ms = now_ms + self._step_ms
        for contest in [c for c in self.now.contests if c.stage == "determined"]:
            self.now.contests.remove(contest)
            tickers = [outcome.ticker for outcome in contest.outcomes]
            self.now.ended.append((now_ms + self._ms(SHELF_MIN * 60), tickers))
        self._keep_listed(engine, now_ms)
        self._clear_shelf(engine, now_ms)
        self._keep_pace(now_ms)

    def _keep_pace(self, now_ms: int) -> None:
        """Correct the activity towards the rate that was asked for."""
        elapsed = now_ms - self._since_ms
        if self.rate is None or elapsed < STEADY_MS:
            return
        if self._since_ms and elapsed < 2 * STEADY_MS:
            made = max(1.0, self._made * 1000 / elapsed)
            self.activity = min(1_000.0, max(0.001, self.activity * min(3.0, max(0.3, self.rate / made))))
        self._made, self._since_ms = 0, now_ms

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.now)

    def restore(self, blob: bytes, engine: Engine, now_ms: int) -> None:
        """Go on from a state; what happened in between is made up at the next step, from the books the engine shows.

        A market that the engine lists and the state does not know (listed after the last save) is called off.
        """
        now = msgspec.msgpack.decode(blob, type=State)
        now.contests = [c for c in now.contests if all(o.ticker in engine.markets for o in c.outcomes)]
        now.ended = [(ms, kept) for ms, all_ in now.ended if (kept := [t for t in all_ if t in engine.markets])]
        self.now = now
        self.rng = Random(f"{self.seed}/{now_ms}")
        for contest in now.contests:
            for outcome in contest.outcomes:
                bids, asks = engine.depth(outcome.ticker)
                outcome.ladder.bids, outcome.ladder.asks = dict(bids), dict(asks)
                if engine.markets[outcome.ticker].status == "inactive":
                    contest.resume_ms = now_ms
        known = {o.ticker for c in now.contests for o in c.outcomes} | {t for _, kept in now.ended for t in kept}
        orphans = [ticker for ticker in engine.markets if ticker not in known]
        for ticker in orphans:
            _call_off(engine, ticker, now_ms)
        if orphans:
            now.ended.append((now_ms + self._ms(SHELF_MIN * 60), orphans))
        self.start(engine, now_ms)

    # One event

    def _step(self, contest: Contest, engine: Engine, now_ms: int) -> None:
        path = contest.path
        elapsed = min(1_000, now_ms - contest.stepped_ms)
        contest.stepped_ms = now_ms
        if contest.stage == "live":
            path.move(now_ms, self.rng)
            path.err(elapsed, UNSURE_MS / self.speed, self.rng)
            if contest.league:
                self._remember(contest, now_ms)
                self._maybe_pause(contest, engine, now_ms)
            if now_ms >= path.end_ms:
                contest.stage = "over"
                wait = self._ms(self.rng.uniform(3, 8)) if contest.early_close else 0
                contest.close_ms = max(now_ms, path.end_ms) + wait
                contest.determine_ms = contest.close_ms + self._ms(self.rng.uniform(2, 5))
        if contest.stage == "over" and now_ms >= contest.close_ms:
            contest.stage = "closed"
            for outcome in contest.outcomes:
                if engine.markets[outcome.ticker].close_ms > now_ms:
                    engine.set_close(outcome.ticker, now_ms, now_ms)
        if contest.stage == "closed" and now_ms >= contest.determine_ms:
            contest.stage = "determined"
            self._determine(contest, engine, now_ms)
        if contest.stage in ("live", "over"):
            busy = elapsed / 1000 * self.activity * (1.0 if path.start_ms <= now_ms else 0.2)
            for outcome, chance in zip(contest.outcomes, contest.chances(now_ms, path.noise), strict=True):
                self._trade(contest, outcome, chance, busy, engine, now_ms)

    def _trade(
        self, contest: Contest, outcome: Outcome, chance: float, busy: float, engine: Engine, now_ms: int
    ) -> None:
        """The crowd in one market for one step."""
        ladder, rng = outcome.ladder, self.rng
        if engine.markets[ladder.ticker].status != "active":
            ladder.bids, ladder.asks = {}, {}
            return
        calm = busy / self.activity
        if ladder.gone and now_ms >= ladder.back_ms:
            ladder.gone = None
        elif rng.random() < GONE_PER_S * calm:
            ladder.gone = "bid" if rng.random() < 0.5 else "ask"
            ladder.back_ms = now_ms + round(rng.uniform(500, 3_000))
        if rng.random() < WIDTH_PER_S * calm:
            ladder.width = draw_width(rng)
        if rng.random() < NOTICE:
            _notice(ladder, engine)
        changes = quote(ladder, chance * ONE, rng)
        if contest.stage == "live":
            drawn = (shuffle(ladder, rng) for _ in range(_times(contest.shuffles * busy, rng)))
            changes += [change for change in drawn if change]
        for side, price, count in changes:
            engine.set_level(ladder.ticker, side, price, count, now_ms)
        self._made += len(changes)
        for _ in range(_times(contest.takes * busy, rng)):
            self._take(outcome, engine, now_ms)

    def _take(self, outcome: Outcome, engine: Engine, now_ms: int) -> None:
        ladder = outcome.ladder
        buys = self.rng.random() < 0.5
        bid, _, ask, _ = engine.best(ladder.ticker)
        price = ask if buys else bid
        if price is None:
            return
        filled = engine.crowd_take(ladder.ticker, "bid" if buys else "ask", price, draw_take(self.rng), now_ms)
        levels = ladder.asks if buys else ladder.bids
        if price in levels:
            levels[price] = max(0, levels[price] - filled)
            if not levels[price]:
                del levels[price]

    def _remember(self, contest: Contest, now_ms: int) -> None:
        history = contest.history
        if not history or now_ms - history[-1][0] >= self._ms(1):
            history.append((now_ms, contest.path.mean, contest.path.left(now_ms)))
            while history[0][0] < now_ms - self._ms(40):
                history.pop(0)

    def _maybe_pause(self, contest: Contest, engine: Engine, now_ms: int) -> None:
        if contest.pause_ms and now_ms >= contest.pause_ms:
            contest.pause_ms = 0
            contest.resume_ms = now_ms + round(self.rng.uniform(2_000, 6_000))
            for outcome in contest.outcomes:
                engine.pause(outcome.ticker, now_ms)
        if contest.resume_ms and now_ms >= contest.resume_ms:
            contest.resume_ms = 0
            for outcome in contest.outcomes:
                engine.unpause(outcome.ticker, now_ms)

    def _determine(self, contest: Contest, engine: Engine, now_ms: int) -> None:
        mean = contest.path.mean
        for outcome in contest.outcomes:
            if engine.markets[outcome.ticker].status != "closed":
                continue
            if contest.void:
                engine.determine(outcome.ticker, "scalar", now_ms, ONE // len(contest.outcomes) // 100 * 100)
            else:
                engine.determine(outcome.ticker, "yes" if outcome.low < mean <= outcome.high else "no", now_ms)

    # The programme

    def _keep_listed(self, engine: Engine, now_ms: int) -> None:
        for _ in range(self.games - len(self._on(lambda c: c.league != ""))):
            self._list_game(engine, now_ms, old=False)
        on = {contest.event_ticker.partition("-")[0] for contest in self._on(lambda c: c.league == "")}
        for series, name, price in self.coins:
            if series.ticker not in on:
                self._list_coin(series, name, price, engine, now_ms)
        if listing.CPI.ticker not in on:
            self._list_inflation(engine, now_ms)

    def _clear_shelf(self, engine: Engine, now_ms: int) -> None:
        while self.now.ended and self.now.ended[0][0] <= now_ms:
            _, tickers = self.now.ended.pop(0)
            left = [ticker for ticker in tickers if engine.markets[ticker].status != "finalized"]
            for ticker in set(tickers) - set(left):
                engine.remove_market(ticker)
            if left:
                self.now.ended.append((now_ms + MINUTE_MS, left))

    def _list_game(self, engine: Engine, now_ms: int, *, old: bool) -> None:
        """List a game ahead of its start, or (`old`, when the world begins) one at any point of its life."""
        rng = self.rng
        busy = Counter(name for contest in self.now.contests for name in (contest.home, contest.away))
        idle = [(league, free) for league in LEAGUES if len(free := self._idle(league, busy)) > len(league.teams) // 3]
        on = Counter(contest.league for contest in self.now.contests if contest.stage == "live")
        lacking = [max(0.05, league.share * self.games - on[league.name]) for league, _ in idle]
        league, free = rng.choices(idle, lacking)[0]
        nominal = round(league.minutes * MINUTE_MS / self.speed)
        steered = self._favourites(now_ms) < WANTED
        if old and not steered:
            start_ms = now_ms - round(rng.uniform(-self._ms(60), 0.95 * nominal))
        else:
            start_ms = now_ms + self._ms(rng.uniform(*((5, 60) if old else BEFORE_START_S)))
        home, away, ticker = self._pair(league, free, start_ms)
        real = nominal * rng.uniform(*(OVERTIME if rng.random() < 1 / 8 else OVERRUN))
        tie = TIE if league.tie else 0.0
        if steered:
            mean = mean_for(rng.uniform(0.86, 0.93), tie) * (1 if rng.random() < 0.55 else -1)
        else:
            mean = rng.gauss(0.12, 0.5)
        listed = min(now_ms, start_ms - self._ms(60)) if old else now_ms
        path = draw_path(rng, listed, start_ms, start_ms + round(real), mean, league.plays)
        if path.end_ms <= now_ms + self._ms(5):
            return
        times = Times(now_ms - 2 * listing.DAY_MS if old else now_ms + self._ms(2), start_ms, start_ms + nominal)
        listed_game = listing.game(ticker, league, home, away, times, self._timer())
        sides = [(home.name, tie, math.inf), (away.name, -math.inf, -tie)]
        bounds = [*(sides if league.tie else reversed(sides)), ("Draw", -tie, tie)]
        contest = self._add(engine, now_ms, listed_game, path, bounds, times.end, (2.0, 0.25))
        contest.league, contest.home, contest.away = league.name, home.name, away.name
        contest.void = rng.random() < VOID
        if rng.random() < PAUSE:
            contest.pause_ms = max(now_ms, start_ms) + round(rng.uniform(0.1, 0.7) * nominal)

    def _list_coin(self, series: Series, name: str, price: float, engine: Engine, now_ms: int) -> None:
        length = 4 * MINUTE_MS / self.speed
        whole = MINUTE_MS if self.speed <= 1 else 1_000
        end = math.ceil((now_ms + length * 0.75) / whole) * whole
        times = Times(now_ms, now_ms, end)
        price = self.now.coins.get(series.ticker, price) * math.exp(self.rng.gauss(0.0, 0.002))
        self.now.coins[series.ticker] = price
        listed = listing.coin(series, name, round(price, 2), times, self._timer(), seconds=whole < MINUTE_MS)
        path = draw_path(self.rng, now_ms - 1, now_ms, end, self.rng.gauss(0.0, 0.1), 60)
        self._add(engine, now_ms, listed, path, [("", 0.0, math.inf)], end, (15.0, 1.2), TAPERED).early_close = False

    def _list_inflation(self, engine: Engine, now_ms: int) -> None:
        today = listing.eastern(now_ms)
        self.now.month = max(self.now.month + 1, today.year * 12 + today.month - 1)
        base = self.rng.randint(22, 34) / 10
        strikes = [base, base + 0.1, base + 0.2, base + 0.3]
        end = now_ms + self._ms(20 * 60)
        listed = listing.inflation(self.now.month, strikes, Times(now_ms, now_ms, end), self._timer())
        path = draw_path(self.rng, now_ms - 1, now_ms, end, self.rng.gauss(0.0, 0.6), 10)
        bounds = [("", edge, math.inf) for edge in (-0.9, -0.3, 0.3, 0.9)]
        self._add(engine, now_ms, listed, path, bounds, end, (0.4, 0.03)).early_close = False

    def _add(
        self,
        engine: Engine,
        now_ms: int,
        listed: Listing,
        path: Path,
        bounds: list[tuple[str, float, float]],
        nominal_end_ms: int,
        pace: tuple[float, float],
        grid: list[tuple[int, int, int]] = CENT,
    ) -> Contest:
        engine.add_event(listed.event)
        if listed.milestone:
            engine.add_milestone(listed.milestone)
        outcomes = []
        for market, (name, low, high) in zip(listed.markets, bounds, strict=False):
            engine.add_market(market, now_ms)
            outcomes.append(Outcome(draw_ladder(self.rng, market.ticker, grid), low, high, name))
        contest = Contest(listed.event.event_ticker, path, outcomes, nominal_end_ms)
        contest.shuffles, contest.takes = pace
        contest.stepped_ms = now_ms
        contest.next_ms = now_ms + self.rng.randrange(self._step_ms)
        path.move(now_ms, self.rng)
        self.now.contests.append(contest)
        today = listing.eastern(now_ms).strftime("%y%m%d")
        if self.now.day != today:
            self.now.day = today
            self.now.used = {known.event_ticker for known in self.now.contests}
        self.now.used.add(contest.event_ticker)
        return contest

    def _idle(self, league: League, busy: Counter[str]) -> list[Team]:
        """The teams that may play one more game."""
        return [team for team in league.teams if busy[team.name] < -(-self.games // TEAMS_FOR)]

    def _pair(self, league: League, free: list[Team], start_ms: int) -> tuple[Team, Team, str]:
        """Two of these teams and an event ticker that was never used."""
        while True:
            home, away = self.rng.sample(free, 2)
            for clock in (league.clock, True):
                ticker = listing.game_ticker(league, home, away, start_ms, clock)
                if ticker not in self.now.used:
                    return home, away, ticker

    def _favourites(self, now_ms: int) -> int:
        """Markets with a favourite on offer for another minute of the world's time, as far as they are wanted."""
        low, high = FAVOURITE
        found = (
            contest
            for contest in self.now.contests
            if contest.league
            and contest.stage == "live"
            and contest.nominal_end_ms - now_ms > self._ms(60)
            and low <= max(contest.chances(now_ms)) <= high
        )
        return sum(1 for _ in islice(found, WANTED))

    def _on(self, wanted: Callable[[Contest], bool]) -> list[Contest]:
        return [contest for contest in self.now.contests if contest.stage == "live" and wanted(contest)]

    def _ms(self, seconds: float) -> int:
        """World seconds at speed 1 in milliseconds at this speed."""
        return round(seconds * 1000 / self.speed)

    def _timer(self) -> int:
        return max(1, round(5 / self.speed))


def _times(expected: float, rng: Random) -> int:
    """A whole number of happenings with this mean."""
    return int(expected) + (rng.random() < expected % 1)


def _notice(ladder: Ladder, engine: Engine) -> None:
    """Makers see what members have taken from the top, so that they quote it anew."""
    bid, _, ask, _ = engine.best(ladder.ticker)
    ladder.bids = {price: size for price, size in ladder.bids.items() if bid is not None and price <= bid}
    ladder.asks = {price: size for price, size in ladder.asks.items() if ask is not None and price >= ask}


def _call_off(engine: Engine, ticker: str, now_ms: int) -> None:
    market = engine.markets[ticker]
    if market.status in ("initialized", "active", "inactive"):
        engine.set_close(ticker, now_ms, now_ms)
    if market.status == "closed":
        engine.determine(ticker, "scalar", now_ms, market.last_price or ONE // 2)
