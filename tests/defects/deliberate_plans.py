"""Deliberate defects of exit plans: stops that move by themselves, and what the operator may change."""

from tests.defects.deliberate import Defect

_RULES = "tests/core/test_stop_rules.py"
_REPLAN = "tests/core/test_replanning.py"
_TERMS = "tests/core/test_market_terms.py"
_POLICY = "tests/core/test_exit_policy.py"

# fmt: off
PLANS = (
    Defect(
        "a trailing stop follows the price down as well", "P5", "bot/core/trades.py",
        "        if level >= stands + TRAIL_STEP:\n", "        if abs(level - stands) >= TRAIL_STEP:\n",
        f"{_RULES}::test_a_trailing_stop_follows_the_best_price_and_never_goes_back",
    ),
    Defect(
        "each small tick moves a trailing stop", "P5", "bot/core/trades.py",
        "TRAIL_STEP = 100", "TRAIL_STEP = 1",
        f"{_RULES}::test_a_trailing_stop_moves_by_a_cent_or_more",
    ),
    Defect(
        "a trailing stop may reach the price and fire by itself", "P5", "bot/core/trades.py",
        "max((x for x in found if x[0] < sign * price)", "max((x for x in found)",
        f"{_RULES}::test_a_trailing_stop_begins_without_a_stop_and_does_not_touch_the_price",
    ),
    Defect(
        "break-even forgets the fee of leaving", "P7", "bot/core/trades.py",
        "        return each + -(-fee(", "        return each + 0 * -(-fee(",
        f"{_RULES}::test_leaving_at_break_even_returns_what_was_paid_and_a_hair_less_does_not",
    ),
    Defect(
        "a stop that was moved is not journaled", "P5", "bot/core/exiting.py",
        "        turn.record(PlanChanged(turn.at_ms, trade.id, plan, rule))\n", "        trade.plan = plan\n",
        f"{_RULES}::test_a_stop_that_was_moved_survives_a_restart_and_protects",
    ),
    Defect(
        "the time of a pause widens the bound", "P3", "bot/core/folding.py",
        "            _hold_exits(state, fact.at_ms, fact.ticker)\n", "",
        f"{_POLICY}::test_the_time_of_a_pause_does_not_count_for_the_bound",
    ),
    Defect(
        "the time a program was down widens the bound", "P3", "bot/core/folding.py",
        "            _hold_exits(state, fact.at_ms, *state.live_trade)\n", "",
        f"{_POLICY}::test_an_exit_between_two_attempts_begins_anew_after_a_restart",
    ),
    Defect(
        "refused exits widen the bound", "P3", "bot/core/folding.py",
        "            if not fact.taken:\n", "            if False:\n",
        f"{_POLICY}::test_attempts_the_exchange_did_not_take_do_not_widen_the_bound",
    ),
    Defect(
        "the time of an exit without an answer widens the bound", "P3", "bot/core/exiting.py",
        "now + resting.RESEND_MS, taken=False))", "now + resting.RESEND_MS))",
        f"{_POLICY}::test_the_time_of_an_exit_without_an_answer_does_not_widen_the_bound",
    ),
    Defect(
        "a market once said to be paused is never asked again", "P4", "bot/run/market_watch.py",
        "        if not paused:\n", "        if paused:\n",
        "tests/run/test_market_watch.py::test_whether_a_paused_market_with_a_trade_still_is_paused_is_read_in_turn",
    ),
    Defect(
        "the operator may set a stop that fires at once", "P3", "bot/core/replanning.py",
        "        elif (held - seen) * side <= 0:", "        elif (held - seen) * side < -ONE:",
        f"{_REPLAN}::test_a_change_that_would_fire_at_once_or_makes_no_sense_is_refused_whole",
    ),
    Defect(
        "a change of plan is applied in part", "P9", "bot/core/commands.py",
        '        return turn.refuse("invalid_plan", str(problem))\n', '        plan = trade.plan\n',
        f"{_REPLAN}::test_a_change_that_would_fire_at_once_or_makes_no_sense_is_refused_whole",
    ),
    Defect(
        "who changed a plan is not kept", "P9", "bot/core/commands.py",
        "    turn.record(PlanChanged(turn.at_ms, trade.id, plan, event.actor))", 
        "    turn.record(PlanChanged(turn.at_ms, trade.id, plan))",
        f"{_REPLAN}::test_what_a_change_names_is_changed_and_nothing_else_and_its_author_is_kept",
    ),
    Defect(
        "a stop is taken away without its words", "P5", "bot/core/commands.py",
        'if change.get("stop", "") is None and word', 'if False and word',
        f"{_REPLAN}::test_a_change_that_would_fire_at_once_or_makes_no_sense_is_refused_whole",
    ),
    Defect(
        "exits keep to the prices that the market had at the entry", "P4", "bot/core/folding.py",
        "trade.market, grid=fact.grid, close_ms=", "trade.market, close_ms=",
        f"{_TERMS}::test_the_next_exit_is_on_the_cent_after_the_market_went_to_whole_cents",
    ),
    Defect(
        "a target stays between the prices that there are", "P4", "bot/core/exiting.py",
        "    if plan.target is not None and not grid.valid(plan.target):\n",
        "    if False and plan.target is not None:\n",
        f"{_TERMS}::test_a_target_that_rests_between_the_cents_is_placed_anew_on_one",
    ),
    Defect(
        "a target is taken beyond its own price where that price has gone", "P4", "bot/core/trades.py",
        'return grid.up(target) if trade.side == "bid" else grid.down(target)',
        'return grid.down(target) if trade.side == "bid" else grid.up(target)',
        f"{_TERMS}::test_a_target_that_is_being_taken_stays_within_its_own_price",
    ),
    Defect(
        "readings of a market say nothing of its prices", "P4", "bot/run/market_watch.py",
        "market.result, market.close_ms, market.grid)", "market.result, market.close_ms)",
        "tests/run/test_market_watch.py::test_a_market_that_was_paused_is_asked_for_although_nothing_is_held_there_any_more",
    ),
    Defect(
        "a time exit waits for a time after the close", "P5", "bot/core/exiting.py",
        "turn.at_ms < close_ms <= plan.time_exit_ms:", "close_ms <= turn.at_ms <= plan.time_exit_ms:",
        f"{_TERMS}::test_a_time_exit_that_the_close_was_moved_before_is_as_long_before_the_new_close",
    ),
    Defect(
        "a later time exit is refused because of a close that was moved since", "P5", "bot/core/folding.py",
        "close_ms=fact.close_ms, end_ms=min(", "end_ms=min(",
        f"{_TERMS}::test_a_later_time_exit_is_taken_once_the_close_was_moved_back",
    ),
    Defect(
        "an exit goes out between the cents again after that was refused", "P4", "bot/core/replies.py",
        'outcome.code == "invalid_price"', 'outcome.code == "invalid price"',
        f"{_TERMS}::test_a_refused_price_is_followed_by_a_whole_cent_although_nobody_told_of_new_prices",
    ),
)
# fmt: on
