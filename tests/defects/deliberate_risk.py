"""Deliberate defects, the rules of docs/risk.md: limits, breakers, entries tried again."""

from tests.defects.deliberate import Defect

LIMITS = "tests/core/test_limits.py::"
AGAIN = "tests/core/test_send_again.py::"
BREAKERS = "tests/core/test_breakers.py::"
RESULTS = "tests/core/test_results.py::"

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
        "a position that our books lack is no exposure", "R P7", "bot/core/risk.py",
        "        if finding.position is not None:", "        if False:",
        LIMITS + "test_a_position_that_our_books_lack_is_in_the_exposure_of_its_event_and_in_all",
    ),
    Defect(
        "how old the account is that a reading shows does not matter", "R P7", "bot/core/entering.py",
        "    if shown > reconcile_interval_ms + SHOWN_GRACE_MS:", "    if False:",
        "tests/core/test_entries.py::test_entries_stop_when_the_last_reading_shows_an_account_of_long_ago",
    ),
    Defect(
        "entries have no rate", "R", "bot/core/risk.py",
        "o.created_ms > now_ms - MINUTE_MS", "o.created_ms > now_ms",
        LIMITS + "test_so_many_entries_in_a_minute_and_no_more",
    ),
    Defect(
        "the drawdown's peak is never written", "R C25", "bot/core/breakers.py",
        "max(profit, state.peak) if", "state.peak if",
        BREAKERS + "test_a_drawdown_from_the_peak_ends_entries_until_the_operator_starts_them_also_after_a_restart",
    ),
    Defect(
        "folding asks for a setting that an older journal lacks", "P5", "bot/core/folding.py",
        "fact.at_ms - ERRORS_KEPT_MS", 'fact.at_ms - state.config.risk["error_window"] * 1000',
        BREAKERS + "test_a_journal_older_than_the_breakers_settings_is_replayed",
    ),
    Defect(
        "a restart judges equity before the first price", "R", "bot/core/breakers.py",
        "return known or not 0 <= now_ms - since < FIRST_PRICE_MS", "return True",
        RESULTS + "test_a_restart_judges_no_equity_before_the_first_price",
    ),
    Defect(
        "a day that began without prices stays so", "R", "bot/core/breakers.py",
        "corrected = not new_day and state.day_unpriced and priced", "corrected = False",
        RESULTS + "test_a_day_that_began_without_prices_is_corrected_by_the_first_full_set_of_them",
    ),
    Defect(
        "a position without a trade is not marked", "R", "bot/core/breakers.py",
        "not quotes.keys() >= state.held_markets()", "not quotes.keys() >= state.live_trade.keys()",
        RESULTS + "test_equity_is_not_judged_without_the_price_of_a_position_without_a_trade",
    ),
    Defect(
        "the price of a position without a trade is not asked for", "R", "bot/run/bot.py",
        "quotes = {t: self._trusted(t) for t in self.state.held_markets()}",
        "quotes = {t: self._trusted(t) for t in self.state.live_trade}",
        "tests/run/test_review_run.py::test_the_sweep_brings_the_price_of_a_position_that_no_trade_manages",
    ),
    Defect(
        "contracts that are accepted as gone cost nothing", "R P7", "bot/core/claiming.py",
        "    return Money(max(ours.cost - left, 0))", "    return Money(0)",
        RESULTS + "test_contracts_that_are_accepted_as_gone_are_lost_but_for_the_cash_they_brought",
    ),
    Defect(
        "any cash that is accepted makes a loss good", "R P7", "bot/core/claiming.py",
        "0 < gap <= state.gone * ONE else 0", "0 < gap else 0",
        RESULTS + "test_accepted_cash_makes_no_profit_and_what_contracts_cannot_have_brought_is_a_deposit",
    ),
    Defect(
        "accepted cash makes a profit", "R P7", "bot/core/claiming.py",
        "min(gap, state.gone_cost) if today", "gap if today",
        RESULTS + "test_accepted_cash_makes_no_profit_and_what_contracts_cannot_have_brought_is_a_deposit",
    ),
    Defect(
        "a settlement of somebody else's contracts is a trade's profit", "R", "bot/core/folding.py",
        "trade.exit_proceeds + share", "trade.exit_proceeds + paid.revenue",
        RESULTS + "test_a_settlement_gives_a_trade_what_its_own_contracts_brought",
    ),
    Defect(
        "a losing trade that a late fill re-opened counts twice", "R", "bot/core/folding.py",
        "    elif not trade.lost:", "    else:",
        RESULTS + "test_a_trade_that_a_late_fill_re_opened_is_one_losing_trade",
    ),
    Defect(
        "what was lost before the first mark is a drawdown", "R", "bot/core/breakers.py",
        "if state.marked_day else profit", "if True else profit",
        BREAKERS + "test_what_was_lost_before_the_first_mark_is_no_drawdown",
    ),
    Defect(
        "a deposit is a profit", "R C38", "bot/core/breakers.py",
        "    return state.realized + unrealized", "    return (state.cash or 0) + unrealized",
        BREAKERS + "test_every_breaker_says_how_near_it_is",
    ),
    Defect(
        "what is not realised yet is not lost", "R", "bot/core/breakers.py",
        "    return state.realized + unrealized", "    return state.realized",
        BREAKERS + "test_a_loss_that_is_not_realised_yet_ends_entries_until_midnight_and_they_go_on_by_themselves",
    ),
    Defect(
        "a pause is forgotten in a restart", "R", "bot/core/folding.py",
        "= fact.actor, fact.at_ms, fact.until_ms", "= fact.actor, fact.at_ms, 0",
        BREAKERS + "test_losing_trades_in_a_row_pause_entries_for_as_long_as_is_set_and_the_count_begins_anew",
    ),
    Defect(
        "a breaker takes over the operator's pause", "R", "bot/core/breakers.py",
        "return than_ms != 0 and (until_ms == 0 or until_ms > than_ms)", "return until_ms == 0 or until_ms > than_ms",
        BREAKERS + "test_the_operators_word_does_not_end_by_itself_and_no_breaker_changes_it",
    ),
    Defect(
        "a winner does not end a losing streak", "R", "bot/core/folding.py",
        "        state.loss_streak = 0\n", "        pass\n",
        BREAKERS + "test_a_winner_ends_the_row_and_a_trade_ended_by_others_is_no_part_of_it",
    ),
    Defect(
        "refusals of the exchange are not counted", "R", "bot/core/folding.py",
        "        state.rejects += 1", "        pass",
        BREAKERS + "test_refused_entries_in_a_row_pause_entries_and_one_that_is_taken_ends_the_row",
    ),
    Defect(
        "errors never grow old", "R", "bot/core/breakers.py",
        'at > now_ms - limits["error_window"] * 1000', "at > 0",
        BREAKERS + "test_unknown_outcomes_within_the_window_pause_entries_and_older_ones_do_not_count",
    ),
    Defect(
        "an entry is tried without end", "R", "bot/core/orders.py",
        "or order.sends >= SENDS or", "or",
        AGAIN + "test_what_was_not_applied_is_sent_again_as_it_was_and_given_up_after_the_third_time",
    ),
    Defect(
        "an entry is sent again at a price that has gone", "R", "bot/core/entering.py",
        'if order.time_in_force != "good_till_canceled" and beyond:', "if False:",
        AGAIN + "test_an_entry_is_dropped_when_the_price_it_wanted_has_gone",
    ),
    Defect(
        "an entry is sent again after a restart", "R P2", "bot/core/step.py",
        "        if order.state is OrderState.DEFERRED:\n", "        if False:\n",
        AGAIN + "test_nothing_is_sent_again_after_a_restart",
    ),
    Defect(
        "an old signal is still sent", "R", "bot/core/replies.py",
        "    if turn.at_ms > order.valid_until_ms:", "    if False:",
        AGAIN + "test_an_entry_that_waited_too_long_in_the_queue_is_not_sent",
    ),
    Defect(
        "one entry is handed to the executor twice", "R", "bot/core/entering.py",
        '            turn.move_order(order, "again")\n', "",
        AGAIN + "test_what_was_not_applied_is_sent_again_as_it_was_and_given_up_after_the_third_time",
    ),
    Defect(
        "real money needs no word", "R", "bot/core/commands.py",
        'event.args.get("confirm") != start_word', 'event.args.get("confirm") == ""',
        "tests/core/test_entries.py::"
        "test_real_money_is_traded_for_the_first_time_when_the_word_is_typed_and_a_restart_remembers",
    ),
)
# fmt: on
