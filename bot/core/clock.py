"""The program's clock may be set back: by the time service after a wrong start, or by hand. What the state remembers of
a time that now lies ahead would hold a stop back until the clock has caught up, and let entries pass on an old reading.
"""

from bot.core.state import TradingState


def take_back(state: TradingState, at_ms: int) -> None:
    """Fold a clock that was set back to `at_ms`: no time in the state lies ahead of it. Waiting exits may go, entries
    that wait have lapsed, and none goes before the account has been read anew.

    Ends of pauses stay, and so does the day whose loss is counted: it ends when the clock has passed it. So does when
    an order was sent: its signature holds from that time on (kalshi-api.md 2.4).
    """
    before = at_ms - 1
    for item in (*state.trades.values(), *state.orders.values()):
        for name in item.__struct_fields__:
            if name.endswith("_ms") and name != "sent_ms" and getattr(item, name) > before:
                setattr(item, name, before)
    state.suspects = {key: min(since, before) for key, since in state.suspects.items()}
    state.errors = [min(at, before) for at in state.errors]
    state.booted_ms, state.mode_since_ms = min(state.booted_ms, at_ms), min(state.mode_since_ms, at_ms)
    state.reconciled_ms, state.read_ms = 0, min(state.read_ms, before)
