"""A journal that an older version wrote is read: what came since has a default, and nothing else is asked for."""

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
from scene import TICKER, Scene

from bot.core import events as e
from bot.core import facts
from bot.core.facts import decode
from bot.core.folding import fold
from bot.core.state import TradingState, dump, load
from bot.core.units import Money
from bot.core.venue import Accepted, Count

# fmt: off
FIRST_VERSION = {
    "Band": "end start step",
    "Booted": "at_ms boot",
    "CashBaseline": "at_ms cash",
    "Config": "author risk strategy version",
    "ConfigChanged": "at_ms config",
    "Difference": "at_ms key kind ours theirs",
    "ExitAttempted": "at_ms attempt retry_ms trade_id",
    "ExitFired": "at_ms kind trade_id trigger",
    "ExitPlan": "bound escalate_ms stop target time_exit_ms",
    "FillBooked": "at_ms client_order_id fill",
    "FillClaimed": "at_ms client_order_id fill_id",
    "Finding": "key kind ours since_ms theirs",
    "Forgotten": "at_ms before_ms",
    "Market": "category close_ms end_ms event_ticker exchange_index exclusive fee_multiplier fee_type grid "
              "open_ms result series_ticker start_ms status ticker title volume_24h yes_title",
    "MarketMoved": "at_ms status ticker",
    "ModeChanged": "actor at_ms mode reason",
    "Order": "client_order_id count created_ms price purpose side ticker time_in_force trade_id",
    "OrderIntended": "at_ms client_order_id count fee_reserve price purpose side ticker time_in_force trade_id",
    "OrderMoved": "at_ms client_order_id event",
    "PlanChanged": "at_ms plan trade_id",
    "Position": "ticker",
    "PositionAdopted": "at_ms cost count fees realized ticker",
    "PriceGrid": "bands",
    "QuoteVanished": "at_ms trade_id vanished_ms",
    "Reconciled": "at_ms read_ms",
    "SeenBefore": "at_ms fill_ids settlement_ids",
    "Settlement": "fee no_count result revenue settled_ms ticker yes_count",
    "SettlementBooked": "at_ms settlement",
    "Suspected": "at_ms key since_ms",
    "Trade": "id market opened_ms plan side strategy ticker",
    "TradeMoved": "at_ms event trade_id",
    "TradeOpened": "at_ms market plan reason rules_version side strategy ticker trade_id",
    "TradingState": "config mode mode_actor mode_reason mode_since_ms",
    "VenueFill": "at_ms client_order_id count fee is_taker order_id price side ticker trade_id",
}
# fmt: on
"""What the first version wrote of each type without fail. It may ask for these only; a newer type for what it likes."""


def journaled(kind: Any, seen: dict[str, type[msgspec.Struct]]) -> dict[str, type[msgspec.Struct]]:
    for inner in typing.get_args(kind):
        journaled(inner, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in seen:
        seen[kind.__name__] = kind
        for field in msgspec.structs.fields(kind):
            journaled(field.type, seen)
    return seen


def test_no_journaled_type_asks_for_more_than_its_first_version_wrote() -> None:
    """Else the program does not start after an update, and nobody watches the stops."""
    types = journaled(TradingState, journaled(facts.Fact, {}))
    for name, required in FIRST_VERSION.items():
        now = {f.encode_name for f in msgspec.structs.fields(types[name]) if f.required}
        assert now <= set(required.split()), (
            f"{name}: give the new field a default that means what older journals meant"
        )


def test_every_journaled_type_refuses_what_it_does_not_know() -> None:
    """A field of a newer version was dropped without a word: a second stop, say, and the journal went on without it."""
    for name, kind in journaled(TradingState, journaled(facts.Fact, {})).items():
        assert kind.__struct_config__.forbid_unknown_fields, f"{name}: give it forbid_unknown_fields=True"


def bare(value: Any) -> Any:
    """Builtins of `value` with only what its first version wrote: every field that came later is left out."""
    if not isinstance(value, msgspec.Struct):
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items()}
        return [bare(v) for v in value] if isinstance(value, list | tuple) else msgspec.to_builtins(value)
    name = type(value).__name__
    kept = {n: bare(getattr(value, n)) for n in typing.cast(Any, value).__struct_fields__ if _wrote(name, value, n)}
    return {"type": name, **kept} if isinstance(value, facts.Fact) else kept


def _wrote(name: str, value: msgspec.Struct, field: str) -> bool:
    """Required then, or not at its default: the old version would have written it."""
    default = next(f.default for f in msgspec.structs.fields(type(value)) if f.name == field)
    return field in FIRST_VERSION.get(name, "").split() or getattr(value, field) != default


def lived() -> Scene:
    """A trade with a stop that fired, a refused entry, a deposit that nobody explained, a restart."""
    scene = Scene()
    scene.held()
    scene.at(5).tick(7_900, 8_100)
    [out] = scene.sent()
    scene.do(e.Sending(scene.now, out.client_order_id))
    scene.do(e.CreateReplied(scene.now, out.client_order_id, Accepted("x-out", Count(0), Count(0))))
    for at in (10, 20):
        scene.at(at).read(cash=1_400_000_000)
    scene.do(e.Boot(scene.now, "b2", scene.state.config))
    return scene


def records(scene: Scene) -> Iterator[bytes]:
    for fact in scene.facts:
        yield msgspec.json.encode(bare(fact))


def test_records_without_what_came_later_give_the_same_state() -> None:
    scene = lived()
    replayed = Scene.__new__(Scene)
    replayed.state = TradingState(scene.state.config, "RUNNING", "first start", "system", 1_795_000_000_000)
    for record in records(scene):
        fold(replayed.state, decode(record))
    assert dump(replayed.state) == dump(scene.state)


def test_a_snapshot_without_what_came_later_is_loaded_and_goes_on() -> None:
    scene = lived()
    older = msgspec.json.encode(bare(scene.state))
    assert len(older) < len(dump(scene.state))
    scene.state = load(older)
    assert dump(scene.state) == dump(lived().state)
    scene.at(30).tick(7_800, 8_000)
    assert [o.ticker for o in scene.sent()] == [TICKER], "the stop goes on after the update"
    assert scene.state.cash is not None and scene.state.cash > Money(0)
