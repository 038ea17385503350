"""Defects about time: a clock that is set back, a machine that stood still, an outage that lasted."""

from tests.defects.deliberate import Defect

# fmt: off
CLOCK = (
    Defect(
        "a stop waits until the clock that was set back has caught up", "P4 P5", "bot/core/step.py",
        "        if event.at_ms < state.clock_ms - SET_BACK_MS:", "        if False:",
        "tests/core/test_clock.py::test_a_stop_goes_on_at_once_when_the_clock_is_set_back",
    ),
    Defect(
        "escalation counts backwards with the clock", "P3", "bot/core/clock.py",
        "(*state.trades.values(), *state.orders.values())", "state.orders.values()",
        "tests/core/test_clock.py::test_a_clock_that_is_set_back_never_turns_the_bound_around",
    ),
    Defect(
        "an entry passes on a reading of a time ahead", "P7", "bot/core/clock.py",
        "state.reconciled_ms, state.read_ms = 0, ", "state.read_ms = ",
        "tests/core/test_clock.py::test_no_entry_passes_on_a_reading_of_a_time_that_lies_ahead",
    ),
    Defect(
        "rows of the history go back with the clock", "P7", "bot/core/folding.py",
        "max(state.newest_ms, fact.at_ms)", "fact.at_ms",
        "tests/core/test_clock.py::test_rows_of_the_history_grow_newer_also_after_the_clock_was_set_back",
    ),
    Defect(
        "the time a machine stood still widens the bound", "P3", "bot/core/exiting.py",
        "now - trade.exit_retry_ms > STALL_MS", "False",
        "tests/core/test_clock.py::test_the_time_a_program_stood_still_does_not_widen_the_bound",
    ),
    Defect(
        "an outage widens the bound of a target of unknown fate", "P3", "bot/core/resting.py",
        "taken=bool(order.order_id)", "taken=True",
        "tests/core/test_clock.py::test_an_outage_does_not_widen_the_bound_of_a_target_whose_fate_is_unknown",
    ),
    Defect(
        "the fill of an order that is not settled is forgotten", "P5 P7", "bot/core/accounting.py",
        "min([kept_ms, *(created_ms - SIGNED_MS for created_ms in unsettled)])", "kept_ms",
        "tests/core/test_clock.py::test_a_fill_that_became_known_after_a_long_outage_is_protected",
    ),
    Defect(
        "a position whose trade does not know of it is passed over", "P5", "bot/core/cross_check.py",
        "    if trade is None:", "    if trade is None or trade.open_count() <= 0:",
        "tests/core/test_clock.py::test_a_position_whose_trade_does_not_know_of_it_is_told",
    ),
    Defect(
        "a price of a time ahead counts as fresh", "P4 C8", "bot/market_data/market_data.py",
        "fresh = abs(now_ns - self", "fresh = (now_ns - self",
        "tests/market_data/test_refresh.py::"
        "test_prices_of_a_time_ahead_are_stale_and_read_again_when_the_clock_was_set_back",
    ),
    Defect(
        "headers signed for a time ahead are given out", "P4", "bot/kalshi/sign.py",
        "if abs(self._clock_ns() - signed_ns) < STALE_NS", "if self._clock_ns() - signed_ns < STALE_NS",
        "tests/kalshi/test_sign.py::test_no_header_of_a_time_ahead_is_given_out_when_the_clock_was_set_back",
    ),
    Defect(
        "a look-up that took long counts as a clock set back", "P3 P4", "bot/run/door.py",
        "if event.at_ms < self.state.clock_ms:", "if False:",
        "tests/core/test_clock.py::test_the_clock_counts_as_set_back_only_when_it_was",
    ),
    Defect(
        "a clock of yesterday forgets the loss of today", "R C25", "bot/core/risk.py",
        "now_ms // DAY_MS <= state.day", "now_ms // DAY_MS == state.day",
        "tests/core/test_clock.py::test_a_loss_of_today_outlives_a_restart_with_a_clock_of_yesterday",
    ),
    Defect(
        "a position without a stop is off the list once its size was accepted", "P5", "bot/core/folding.py",
        "    elif before * fact.count <= 0:", "    else:",
        "tests/core/test_found_positions.py::test_one_whose_size_the_operator_accepted_still_gets_its_stop",
    ),
)
