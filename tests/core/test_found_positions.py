"""Books begin though a market cannot be read: other positions are protected now, that one as soon as it can be."""

import pytest
from scene import RULES, T0, TICKER, Scene, market, quote

from bot.core import events as e
from bot.core.effects import Notice
from bot.core.facts import PositionAdopted
from bot.core.folding import fold
from bot.core.state import dump, load, new_state
from bot.core.step import step
from bot.core.units import Count, Money, Price
from bot.core.venue import Balance, Market, Quote, Settlement, VenueFill, VenuePosition
from bot.kalshi.rest import Kind, ReadFailed
from bot.run.account import read_account

ODD = "KXODD-26NOV21-X"
ELSEWHERE = "KXELSE-26NOV21-X"


class Account:
    """Two positions found on the exchange; the market of one of them cannot be read as long as `failing`."""

    def __init__(self, failing: Kind | None = "body") -> None:
        self.failing = failing
        self.scene = Scene()
        self.scene.state = new_state(self.scene.state.config, "RUNNING", T0)
        self.held = [TICKER, ODD]
        self.asked: list[str] = []

    def user_data_timestamp(self) -> int:
        return self.scene.now

    def positions(self) -> list[VenuePosition]:
        return [VenuePosition(t, Count(1_000), Money(8_500_000), Money(0), Money(0)) for t in self.held]

    def balance(self) -> Balance:
        return Balance(Money(1_000_000))

    def fills(self, min_ts: int) -> list[VenueFill]:
        return []

    def orders(self, status: str) -> list[object]:
        return []

    def settlements(self, min_ts: int) -> list[Settlement]:
        return []

    def market(self, ticker: str) -> tuple[Market, Quote]:
        self.asked.append(ticker)
        if ticker == ODD and self.failing:
            raise ReadFailed(self.failing, message=ticker)
        return market(ticker), quote(8_400, 8_500, ticker=ticker)

    def read(self, seconds: float) -> list[tuple[str, str]]:
        """A reading at that time; its alarms and their markets."""
        scene, self.asked = self.scene.at(seconds), []
        event = read_account(self, scene.state, lambda: scene.now, self.market)  # type: ignore[arg-type]
        scene.do(event)
        return [(x.code, x.ticker) for x in scene.effects if isinstance(x, Notice) and x.level == "alarm"]

    def boot(self) -> None:
        self.scene.state = load(dump(self.scene.state))
        self.scene.do(e.Boot(self.scene.now, "b2", self.scene.state.config))


@pytest.mark.parametrize("failing", ["not_found", "body", "server", "timeout", "refused"])
def test_one_market_that_cannot_be_read_leaves_no_other_position_without_a_stop(failing: Kind) -> None:
    """The whole reading was given up, each ten seconds anew: no position of the account had a stop."""
    account = Account(failing)
    assert account.read(0) == [("unprotected", ODD)]
    assert list(account.scene.state.live_trade) == [TICKER]
    account.scene.at(1).tick(7_400, 7_500)
    assert [o.ticker for o in account.scene.sent()] == [TICKER]


@pytest.mark.parametrize("failing", ["auth", "connection", "rate_limited"])
def test_what_fails_for_all_markets_is_no_reading(failing: Kind) -> None:
    with pytest.raises(ReadFailed):
        Account(failing).read(0)


def test_its_position_gets_its_stop_with_the_first_reading_that_shows_the_market() -> None:
    """It was never asked for again: without a stop for ever, and nobody heard of it after the first alarm."""
    account = Account("not_found")
    account.read(0)
    assert account.read(10) == [] and account.asked == [ODD], "asked for again, told once"
    account.failing = None
    account.read(20)
    trade = account.scene.state.trade_at(ODD)
    assert trade is not None
    assert (trade.open_count(), trade.plan.stop, trade.strategy) == (1_000, 7_400, "adopted")
    account.read(30)
    assert account.asked == []


def test_after_a_restart_it_is_told_again_and_still_gets_its_stop() -> None:
    account = Account()
    account.read(0)
    account.boot()
    assert account.read(10) == [("unprotected", ODD)]
    account.failing = None
    account.read(20)
    assert account.scene.state.trade_at(ODD) is not None


def test_a_position_that_the_operator_left_alone_is_not_taken_by_it() -> None:
    """Only what the baseline found is: not what somebody bought by hand later, nor what the operator accepted."""
    account = Account(None)
    account.read(0)
    row = VenueFill("f1", "v1", "", ELSEWHERE, "bid", Price(4_000), Count(1_000), Money(0), True, T0 + 3_600_000)
    account.scene.at(3_600).do(e.FillSeen(account.scene.now, row))
    account.held = [TICKER, ODD, ELSEWHERE]
    account.read(3_610)
    assert account.asked == [] and account.scene.state.trade_at(ELSEWHERE) is None


def sold(seconds: float, count: int, side: str = "ask") -> e.FillSeen:
    at_ms = T0 + round(seconds * 1000)
    row = VenueFill(
        f"f{seconds}", f"v{seconds}", "", ODD, side, Price(8_000), Count(count), Money(0), True, at_ms  # type: ignore[arg-type]
    )  # fmt: skip
    return e.FillSeen(at_ms, row)


def test_one_that_was_sold_meanwhile_and_bought_again_by_hand_is_not_taken() -> None:
    account = Account()
    account.read(0)
    account.scene.at(3_600).do(sold(3_600, 400))
    assert account.scene.state.unprotected == {ODD}, "what is left of it still waits for its stop"
    account.scene.at(3_601).do(sold(3_601, 600))
    account.scene.at(3_602).do(sold(3_602, 500, "bid"))
    account.failing = None
    account.read(3_610)
    assert account.asked == [] and account.scene.state.trade_at(ODD) is None


def test_one_that_settled_meanwhile_is_not_asked_for() -> None:
    account = Account()
    account.read(0)
    paid = Settlement(ODD, "yes", Money(10_000_000), Money(0), Count(0), Count(0), T0 + 5_000)
    account.held = [TICKER]
    account.scene.at(10).read(cash=11_000_000, settlements=(paid,))
    account.read(20)
    assert account.asked == [] and account.scene.state.unprotected == set()


def test_the_operators_claim_takes_it_first() -> None:
    account = Account()
    account.read(0)
    prices = {ODD: quote(8_400, 8_500, ticker=ODD)}
    step(account.scene.state, e.Command(T0 + 1_000, "claim", "anna", {"ticker": ODD}, prices, market(ODD)), RULES)
    account.failing = None
    account.read(10)
    assert [t.strategy for t in account.scene.state.trades.values() if t.ticker == ODD] == ["claimed"]


def test_one_whose_size_the_operator_accepted_still_gets_its_stop() -> None:
    account = Account()
    account.read(0)
    smaller = PositionAdopted(T0 + 1, ODD, Count(900), Money(7_650_000), Money(0), Money(0))
    fold(account.scene.state, smaller)
    account.failing = None
    account.read(10)
    trade = account.scene.state.trade_at(ODD)
    assert trade is not None and trade.open_count() == 900 and trade.plan.stop is not None


@pytest.mark.parametrize("left", [0, -100])
def test_one_that_the_operator_accepted_as_gone_is_not_asked_for(left: int) -> None:
    account = Account()
    account.read(0)
    fold(account.scene.state, PositionAdopted(T0 + 1, ODD, Count(left), Money(0), Money(0), Money(0)))
    account.failing = None
    account.read(10)
    assert account.asked == []
