"""What a mutation tester changed unseen in the books: adopted orders, spent exits, settlements, the last unit."""

import msgspec
import pytest
from scene import PLAN, T0, TICKER, Scene, market
from test_adopting import OURS, fill, resting, wiped

from bot.core import events as e
from bot.core.book import Book
from bot.core.effects import PlaceOrder
from bot.core.facts import Forgotten, OrderMoved
from bot.core.folding import fold
from bot.core.orders import Order, OrderState
from bot.core.positions import Position
from bot.core.state import dump, hash_of, new_state, settlement_key, state_hash
from bot.core.units import Count, Money, Price
from bot.core.venue import Settlement, Side, Transfer, VenueFill, VenueOrder, VenuePosition

PATIENT = msgspec.structs.replace(PLAN, time_exit_ms=None)


def beginning(cash: int, **changes: object) -> Scene:
    """Books that begin with this reading."""
    scene = Scene()
    scene.state = new_state(scene.state.config, "RUNNING", T0)
    scene.read(cash=cash, **changes)
    return scene


def by_hand(scene: Scene, side: str, count: int) -> None:
    row = VenueFill("h1", "hand", "", TICKER, side, Price(5_000), Count(count), Money(0), True, scene.now)  # type: ignore[arg-type]
    scene.do(e.FillSeen(scene.now, row))


# what is found and paid in


def test_a_deposit_into_an_empty_account_is_counted_to_the_last_unit_and_remembered() -> None:
    scene = beginning(0)
    scene.at(10).read(cash=100, transfers=(Transfer("t1", Money(100), Money(0), T0 + 5_000),))
    assert (scene.state.cash, scene.state.baseline, scene.state.transfers) == (100, 100, {"t1": scene.now})


def test_a_position_found_keeps_the_exchanges_figures_of_it() -> None:
    found = VenuePosition(TICKER, Count(1_000), Money(8_500_000), Money(30_000), Money(50_000))
    scene = beginning(1_000_000, positions=[found], markets={TICKER: market()})
    assert scene.state.position(TICKER) == Position(
        TICKER, Count(1_000), Money(8_500_000), Money(30_000), Money(50_000)
    )


@pytest.mark.parametrize("filled, known", [(0, 0), (400, 0), (400, 100)])
def test_a_forgotten_entry_that_rests_is_known_again_as_the_exchange_shows_it(filled: int, known: int) -> None:
    """`known`: of what it filled, so much came to us as a fill and was booked to the position."""
    at = OrderState.PARTLY_FILLED if filled else OrderState.RESTING
    scene = wiped()
    if known:
        fill(scene, known)
    scene.read(resting=(resting(OURS, filled),), markets={TICKER: market()})
    assert scene.state.orders == {
        OURS: Order(
            OURS, scene.trade().id, TICKER, "bid", Price(4_000), Count(1_000), "good_till_canceled", "entry",
            T0 - 90_000, at, "v1", Count(filled), Count(filled), sent_ms=T0 - 90_000, changed_ms=scene.now, recall=True,
        )
    }  # fmt: skip
    assert scene.state.order_ids == {"v1": OURS} and scene.trade().targets == 0
    assert scene.trade().entered == known


def test_a_forgotten_entry_that_only_its_fill_told_of_has_filled() -> None:
    scene = wiped()
    fill(scene, 500, OURS)
    scene.facts.clear()
    scene.read(markets={TICKER: market()})
    assert scene.state.orders[OURS] == Order(
        OURS, scene.trade().id, TICKER, "bid", Price(4_000), Count(500), "good_till_canceled", "entry",
        scene.now, OrderState.FILLED, "v1", Count(500), Count(500), sent_ms=scene.now, changed_ms=scene.now,
        recall=True,
    )  # fmt: skip
    assert not any(isinstance(x, OrderMoved) for x in scene.facts)


def forgotten_target(number: int, count: int = 1_500) -> VenueOrder:
    return VenueOrder(f"v{number}", f"b0-4.t{number}", TICKER, "ask", Price(9_000), Count(count), Count(0),
                      Count(count), "resting", T0 - 90_000, T0 - 60_000)  # fmt: skip


def test_forgotten_targets_are_counted_so_that_the_next_has_an_id_of_its_own() -> None:
    scene = wiped()
    trade = scene.held(plan=PATIENT)
    scene.at(3_610).read(resting=(forgotten_target(1), forgotten_target(2)))
    assert [(o.purpose, o.recall) for o in scene.state.orders.values()][1:] == [("target", True)] * 2
    assert trade.targets == 2


# orders and their fills


def test_of_exits_that_did_nothing_the_last_eight_are_kept_and_every_other_order() -> None:
    scene = Scene()
    trade = scene.held(plan=PATIENT)
    entry = next(iter(scene.state.orders))
    for number in range(1, 15):
        scene.at(10 + number).tick(7_900, 8_100)
        [order] = scene.sent()
        filled = {1: 500, 2: 300}.get(number, 0)
        scene.reply(order, filled)
        if number == 1:
            scene.fill(order, 7_900, filled)
    kept = [entry, *(f"{trade.id}.x{number}" for number in (1, 2, *range(6, 15)))]
    assert list(scene.state.orders) == kept
    assert scene.state.order_ids == {f"x-{name}": name for name in kept}
    assert scene.state.orders[kept[-1]].count == 1_200


def test_a_fill_that_names_our_id_teaches_the_exchanges_and_the_first_one_stays() -> None:
    scene = Scene()
    scene.propose()
    [entry] = scene.sent()
    order = scene.state.orders[entry.client_order_id]
    scene.do(e.Sending(scene.now, entry.client_order_id))
    scene.fill(entry, 8_800, 500, fee=3_000)
    scene.fill(entry, 8_800, 500, fee=4_000, known=False)
    other = VenueFill("o1", "y", entry.client_order_id, TICKER, "bid", Price(8_800), Count(100), Money(0), True, T0)
    scene.do(e.FillSeen(scene.now, other))
    assert (order.booked, order.fees, order.order_id) == (1_100, 7_000, f"x-{entry.client_order_id}")


def test_only_an_entry_reserves_money() -> None:
    scene = Scene()
    scene.held()
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    assert scene.state.orders[out.client_order_id].reserved() == 0


@pytest.mark.parametrize("fee, streak", [(1_999, 0), (2_000, 3), (2_001, 4)])
def test_a_millionth_of_a_dollar_makes_a_trade_a_win_or_a_loss(fee: int, streak: int) -> None:
    scene = Scene()
    trade = scene.held()
    scene.state.loss_streak = 3
    scene.tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 2_000)
    scene.fill(out, 8_806, 2_000, fee)
    assert (trade.pnl(), scene.state.loss_streak) == (2_000 - fee, streak)


# settlements


def paid(revenue: int, settled_ms: int = T0 + 9_500) -> Settlement:
    return Settlement(TICKER, "yes", Money(revenue), Money(0), Count(0), Count(0), settled_ms)


def test_a_reading_that_does_not_show_a_settlement_yet_is_no_difference() -> None:
    scene = Scene()
    scene.held()
    lagging = [VenuePosition(TICKER, Count(2_000), Money(17_600_000), Money(0), Money(10_000))]
    before = scene.state.cash
    scene.at(10).read(cash=before, positions=lagging, settlements=(paid(20_000_000),))
    assert before is not None and scene.state.cash == before + 20_000_000
    assert scene.state.position(TICKER).count == 0 and scene.state.suspects == {}
    assert scene.state.settlement_ids == {settlement_key(TICKER, T0 + 9_500): T0 + 9_500}
    assert scene.state.status[TICKER] == "finalized"


def test_what_a_settlement_realises_adds_to_what_was_realised_before() -> None:
    scene = Scene()
    scene.held(plan=PATIENT)
    scene.at(5).tick(7_900, 8_100)
    [out] = scene.sent()
    scene.reply(out, 1_000)
    scene.fill(out, 7_900, 1_000)
    assert scene.state.realized == -910_000
    scene.at(10).read(settlements=(paid(10_000_000),))
    assert scene.state.realized == -910_000 + 1_200_000


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize(
    "ours, by_others, share",
    [(2_000, 0, 20_000_000), (2_000, 2_000, 20_000_000), (2_000, -1_500, 5_000_000), (1, 0, 10_000), (0, 500, 0)],
)
def test_a_trade_gets_of_a_settlement_what_its_own_contracts_are_paid(
    side: Side, ours: int, by_others: int, share: int
) -> None:
    scene = wiped()
    price = 8_800 if side == "bid" else 1_200
    plan = PATIENT if side == "bid" else msgspec.structs.replace(PATIENT, stop=Price(2_000), target=Price(500))
    if ours:
        scene.held(ours, price, side, plan)
    else:
        scene.propose(side, price, plan=plan)
        scene.reply(scene.sent()[0], 0, 2_000)
    if by_others:
        by_hand(scene, side if by_others > 0 else ("ask" if side == "bid" else "bid"), abs(by_others))
    trade = scene.trade()
    scene.at(3_610).read(settlements=(paid((ours + by_others) * 10_000, T0 + 3_609_500),))
    assert (trade.exit_proceeds, trade.live()) == (share, False)


# the order book, and the hash of a state


def test_a_level_without_contracts_is_no_price() -> None:
    book = Book()
    book.apply_snapshot(
        [(Price(5_000), Count(0)), (Price(4_900), Count(100))], [(Price(5_100), Count(0)), (Price(5_200), Count(50))]
    )
    assert (book.best_bid, book.bid_size, book.best_ask, book.ask_size) == (4_900, 100, 5_200, 50)
    assert not book.apply_delta("bid", Price(4_800), Count(0)) and book.state == "live"


def test_the_next_best_price_follows_when_the_best_is_gone() -> None:
    book = Book()
    levels = [(Price(price), Count(100)) for price in (4_700, 4_900, 4_800)]
    book.apply_snapshot(levels, [(Price(price + 500), size) for price, size in levels])
    assert book.apply_delta("bid", Price(4_900), Count(-100)) and book.apply_delta("ask", Price(5_200), Count(-100))
    assert (book.best_bid, book.best_ask) == (4_800, 5_300)


def test_the_hash_of_a_state_is_that_of_its_dump() -> None:
    scene = Scene()
    before = state_hash(scene.state)
    assert before == hash_of(dump(scene.state))
    scene.held()
    assert state_hash(scene.state) != before


def test_what_is_forgotten_is_what_ended_before_and_nothing_that_lives() -> None:
    """A live trade keeps its entry however old, a resting order its id, a market that is held its status."""
    scene = Scene()
    scene.held(plan=PATIENT)
    live = scene.trade()
    ended: dict[str, PlaceOrder] = {}
    for at_s, game in ((10, "OLD"), (5_000, "NEW")):
        ticker = f"KXNBAGAME-26NOV21{game}-A"
        scene.at(at_s).propose(count=100, plan=PATIENT, ticker=ticker)
        [entry] = scene.sent()
        scene.reply(entry, 0)
        ended[game] = entry
    wanted = e.Proposal("test", market("KXNBAGAME-26NOV21REST-A"), "bid", Price(8_800), Count(100),
                        "good_till_canceled", PATIENT, "why")  # fmt: skip
    scene.read()
    scene.do(e.Propose(scene.now, wanted, 0))
    [rests] = scene.sent()
    scene.reply(rests, 0, 100)
    fold(scene.state, Forgotten(scene.now, T0 + 3_000_000))
    entries = {o.client_order_id for o in scene.state.orders_of(live.id)}
    assert entries and set(scene.state.orders) == entries | {rests.client_order_id, ended["NEW"].client_order_id}
    assert ended["OLD"].client_order_id.partition(".")[0] not in scene.state.trades
    assert {live.id, scene.state.orders[rests.client_order_id].trade_id} <= set(scene.state.trades)
    assert {f"x-{x.client_order_id}" for x in (rests, ended["NEW"])} <= scene.state.order_ids.keys()
    assert f"x-{ended['OLD'].client_order_id}" not in scene.state.order_ids
    assert scene.state.position(TICKER).count == 2_000


# 3.00 at a cost of 0.70 each: YES is left 0.10 below, NO (YES at 0.30) 0.10 above.
@pytest.mark.parametrize("side, stop, before, after", [("bid", 6_000, 6_010, 6_000), ("ask", 4_000, 3_990, 4_000)])
def test_a_position_that_is_found_gets_its_stop_on_the_losing_side(
    side: str, stop: int, before: int, after: int
) -> None:
    held = 300 if side == "bid" else -300
    found = VenuePosition(TICKER, Count(held), Money(2_100_000), Money(0), Money(0))
    scene = beginning(1_000_000, positions=[found], markets={TICKER: market()})
    assert (scene.trade().side, scene.trade().plan.stop) == (side, stop)
    for at_s, price in ((1, before), (2, after)):
        assert scene.sent() == []
        scene.at(at_s).tick(*((price, price + 200) if side == "bid" else (price - 200, price)))
    assert [x.side for x in scene.sent()] == ["ask" if side == "bid" else "bid"]
