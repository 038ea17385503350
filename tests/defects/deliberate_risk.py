"""Deliberate defects, the rules of docs/risk.md: limits, breakers, entries tried again."""

from tests.defects.deliberate import Defect

LIMITS = "tests/core/test_limits.py::"

# fmt: off
RISK = (
    Defect(
        "an event is worth its smallest outcome", "R", "bot/core/risk.py",
        "none_ends_yes + max([0, ", "none_ends_yes + min([0, ",
        LIMITS + "test_brute_force_over_outcomes_never_finds_a_larger_loss",
    ),
    Defect(
        "markets that may both end YES count as exclusive", "R", "bot/core/risk.py",
        "market is not None and market.exclusive)", "True)",
        LIMITS + "test_where_they_may_both_end_yes_everything_counts",
    ),
    Defect(
        "a series is not looked at", "R", "bot/core/risk.py",
        "        series[name] = series.get(name, 0) + events[event]", "        series[name] = 0",
        LIMITS + "test_a_series_adds_up_its_events_and_no_other_series",
    ),
    Defect(
        "cash on any shard will do", "R", "bot/core/risk.py",
        "state.shards.get(s, 0)", "sum(state.shards.values())",
        LIMITS + "test_cash_on_another_shard_buys_nothing",
    ),
    Defect(
        "what a shard has paid out since its reading is there twice", "R", "bot/core/risk.py",
        "if unread else order.reserved()", "if False else order.reserved()",
        LIMITS + "test_what_was_spent_since_the_last_reading_is_not_on_the_shard_any_more",
    ),
    Defect(
        "entries have no rate", "R", "bot/core/risk.py",
        "o.created_ms > now_ms - MINUTE_MS", "o.created_ms > now_ms",
        LIMITS + "test_so_many_entries_in_a_minute_and_no_more",
    ),
)
# fmt: on
