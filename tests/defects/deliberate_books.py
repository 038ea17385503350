"""Deliberate defects, the second half: books, halts, reasons, market data and history."""

from tests.defects.deliberate import Defect

# fmt: off
BOOKS = (
    Defect(
        "partial fills are ignored", "P7", "bot/core/folding.py",
        "order.booked = Count(order.booked + fill.count)", "order.booked = order.count",
        "tests/core/test_money_rules.py::test_what_is_held_and_what_may_still_be_bought_add_up_in_one_market",
    ),
    Defect(
        "a fill is booked twice", "P7 C22", "bot/core/replies.py",
        "if fill.trade_id in state.fill_ids or ", "if ",
        "tests/core/test_orders_and_trades.py::test_a_fill_before_the_reply_is_applied_once",
    ),
    Defect(
        "a fill whose order is not known is dropped", "P7 C22", "bot/core/replies.py",
        "    order = find_order(turn, fill.order_id, fill.client_order_id)\n"
        "    known =",
        "    order = find_order(turn, fill.order_id, fill.client_order_id)\n"
        "    if order is None:\n"
        "        return\n"
        "    known =",
        "tests/core/test_orders_and_trades.py::"
        "test_a_fill_whose_order_id_is_not_known_yet_counts_at_once_and_joins_its_trade_later",
    ),
    Defect(
        "YES and NO are exchanged in marks", "P7 C14", "bot/core/positions.py",
        "Money((ONE - quote.ask) * -position.count)", "Money(quote.ask * -position.count)",
        "tests/core/test_money_rules.py::test_a_mark_is_what_leaving_would_bring_or_unknown",
    ),
    Defect(
        "a long is marked at the ask", "P7 C24", "bot/core/positions.py",
        "return None if quote.bid is None else Money(quote.bid * position.count)",
        "return None if quote.ask is None else Money(quote.ask * position.count)",
        "tests/core/test_accounting.py::test_a_position_is_marked_at_the_side_it_can_be_left_at",
    ),
    Defect(
        "a stop looks at the side one cannot trade at", "C24", "bot/core/trades.py",
        'return quote.bid if side == "bid" else quote.ask', 'return quote.ask if side == "bid" else quote.bid',
        "tests/core/test_exits.py::test_the_ask_does_not_fire_a_long_stop",
    ),
    Defect(
        "the fee is rounded down", "P7", "bot/core/fees.py",
        "-(-raw // (rate", "(raw // (rate",
        "tests/core/test_accounting.py::test_fees_equal_the_table_of_the_fact_sheet",
    ),
    Defect(
        "the fee of a fill is not taken from cash", "P7", "bot/core/positions.py",
        "Money(proceeds - spent - fill.fee)", "Money(proceeds - spent)",
        "tests/core/test_accounting.py::test_cash_cost_and_realised_always_add_up",
    ),
    Defect(
        "a settlement is booked each time it is read", "P7 C12", "bot/core/accounting.py",
        "    if settlement_key(settlement.ticker, settlement.settled_ms) in state.settlement_ids:\n"
        "        return\n",
        "",
        "tests/core/test_accounting.py::test_a_settlement_is_booked_once_however_often_it_is_read",
    ),
    Defect(
        "a settlement is booked to a sibling market", "P7 C27", "bot/core/folding.py",
        "    before = state.position(paid.ticker)\n"
        "    after = positions.settle(before, paid.revenue)",
        "    sibling = next((t for t in state.positions if t[:-4] == paid.ticker[:-4]), paid.ticker)\n"
        "    before = state.position(sibling)\n"
        "    paid = msgspec.structs.replace(paid, ticker=sibling)\n"
        "    after = positions.settle(before, paid.revenue)",
        "tests/core/test_accounting.py::test_a_settlement_of_a_sibling_market_leaves_ours_alone",
    ),
    Defect(
        "read lag counts as a difference", "P7 C13", "bot/core/accounting.py",
        "if m.at_ms > horizon(event)", "if m.at_ms > event.at_ms",
        "tests/core/test_accounting.py::test_the_exchange_still_showing_an_exited_position_is_no_difference",
    ),
    Defect(
        "a position found later is taken over without a word", "P7 C13 C11", "bot/core/accounting.py",
        "    since = state.suspects.get(name)\n",
        '    if kind == "position":\n'
        "        at = next(p for p in event.positions if p.ticker == key)\n"
        "        turn.record(PositionAdopted(turn.at_ms, key, at.count, at.cost, at.realized, at.fees))\n"
        "        return\n"
        "    since = state.suspects.get(name)\n",
        "tests/core/test_accounting.py::"
        "test_a_difference_counts_when_it_outlasts_read_lag_and_stops_entries_in_that_market_only",
    ),
    Defect(
        "unexplained cash is profit", "P7 C38", "bot/core/accounting.py",
        '        _check(turn, event, "cash", "account", state.cash, event.balance, gaps, bound)',
        "        turn.record(CashBaseline(turn.at_ms, event.balance))",
        "tests/core/test_accounting.py::test_a_deposit_is_a_finding_and_never_profit",
    ),
    Defect(
        "entries go on in a market whose position differs", "P7", "bot/core/entering.py",
        'if f"position:{market.ticker}" in state.findings:', "if False:",
        "tests/core/test_accounting.py::"
        "test_a_difference_counts_when_it_outlasts_read_lag_and_stops_entries_in_that_market_only",
    ),
    Defect(
        "prices go through a float", "C28", "bot/core/units.py",
        "return Price(_scaled(text, 4))", "return Price(int(float(text) * 100) * 100)",
        "tests/core/test_accounting.py::test_every_price_round_trips",
    ),
    Defect(
        "one contract short counts as nothing", "C6", "bot/core/positions.py",
        "    if position.count == 0:", "    if position.count in (0, -1):",
        "tests/core/test_money_rules.py::test_one_contract_short_is_a_position_like_any_other",
    ),
    Defect(
        "a stop is suppressed while halted", "P8 C7 C33", "bot/core/exiting.py",
        "    trade = turn.state.trade_at(event.quote.ticker)\n"
        "    if trade is not None:",
        "    trade = turn.state.trade_at(event.quote.ticker)\n"
        '    if trade is not None and turn.state.mode == "RUNNING":',
        "tests/core/test_exits.py::test_stops_fire_in_every_halted_state",
    ),
    Defect(
        "an entry that waits is sent although the kill came", "P8", "bot/core/replies.py",
        '    if turn.state.mode != "RUNNING":\n', '    if turn.state.mode == "PAUSED":\n',
        "tests/core/test_entries.py::test_an_entry_still_waiting_when_kill_comes_is_never_sent",
    ),
    Defect(
        "kill leaves resting entries in the book", "P8", "bot/core/commands.py",
        'if verb in ("stop", "kill", "flatten"):', 'if verb in ("stop", "flatten"):',
        "tests/core/test_entries.py::test_resting_entries_are_cancelled_by_id_where_the_verb_says_so",
    ),
    Defect(
        "a kill that was taken back leaves its entries resting", "P8", "bot/core/commands.py",
        "    if not order.recall:\n        turn.record(OrderRecalled(turn.at_ms, order.client_order_id))\n", "",
        "tests/core/test_recall.py::test_a_cancel_that_proved_nothing_is_repeated_with_each_reading",
    ),
    Defect(
        "a cancel of one entry is tried once", "P2 C10", "bot/core/commands.py",
        '    if order.purpose == "entry":\n        _recall(turn, order)\n        when',
        '    if order.purpose == "entry":\n'
        "        turn.do(CancelOrder(name, order.order_id, order.ticker))\n"
        "        when",
        "tests/core/test_recall.py::"
        "test_a_cancel_of_one_entry_is_repeated_until_it_is_proven_and_waits_for_one_that_is_not_found_yet",
    ),
    Defect(
        "an entry that is found after its recall goes on resting", "P8 P2", "bot/core/replies.py",
        "        if not known:\n            withdraw(turn, order)\n", "",
        "tests/core/test_recall.py::test_an_entry_of_unknown_fate_is_cancelled_when_it_is_found",
    ),
    Defect(
        "an entry that waited is sent after a kill that was taken back", "P8", "bot/core/replies.py",
        "    if order.recall:\n        return", "    if False:\n        return",
        "tests/core/test_recall.py::"
        "test_an_entry_that_waits_to_be_sent_is_not_sent_after_a_kill_that_was_taken_back",
    ),
    Defect(
        "one word takes back a kill", "P8", "bot/core/commands.py",
        '    ("HALTED", "rearm"): "PAUSED",', '    ("HALTED", "rearm"): "RUNNING",',
        "tests/core/test_entries.py::test_kill_is_one_step_and_coming_back_takes_two",
    ),
    Defect(
        "bot kill is confirmed before it is on disk", "P8", "bot/run/halt_file.py",
        "if self._obeyed is None or durable_seq < self._seq:", "if self._obeyed is None:",
        "tests/run/test_durable_words.py::test_a_kill_that_the_journal_does_not_take_outlives_a_restart",
    ),
    Defect(
        "a kill on the page is confirmed before it is on disk", "P8", "bot/run/desk.py",
        "not answer.ok or bot.journal.wait(seq, DURABLE_WITHIN_S)", "True",
        "tests/run/test_durable_words.py::test_a_kill_that_the_journal_does_not_take_outlives_a_restart",
    ),
    Defect(
        "flatten does not say what it does not leave", "P9", "bot/core/commands.py",
        "    bare = claiming.unmanaged(turn.state)\n", "    bare: dict[str, str] = {}\n",
        "tests/core/test_claiming.py::test_flatten_names_what_it_does_not_leave_until_that_is_claimed",
    ),
    Defect(
        "a halt is forgotten in a restart", "P8 C33", "bot/core/step.py",
        "    turn.record(Booted(turn.at_ms, event.boot, event.lost))\n",
        "    turn.record(Booted(turn.at_ms, event.boot, event.lost))\n"
        '    turn.record(ModeChanged(turn.at_ms, "RUNNING", "", ""))\n',
        "tests/core/test_state_tables.py::test_the_page_is_drawn_from_the_tables_as_they_are",
    ),
    Defect(
        "an order off a changed grid hides the price from stops", "P4", "bot/market_data/market_data.py",
        "return not crossed and quote.ticker in self._held", "return False",
        "tests/market_data/test_review_market_data.py::"
        "test_the_price_of_an_order_that_survived_a_change_of_the_grid_is_seen_by_stops",
    ),
    Defect(
        "any change of a book makes the price before it fresh", "P9", "bot/market_data/market_data.py",
        "kept is not None and kept.bid == bid and kept.ask == ask", "kept is not None",
        "tests/market_data/test_review_market_data.py::"
        "test_a_candidates_price_that_was_refused_does_not_keep_the_one_before_it_fresh",
    ),
    Defect(
        "the look-up of a lost exit closes what was bought back meanwhile", "P5", "bot/core/replies.py",
        "event.absent and turn.state.held(trade) <= 0:", "event.absent:",
        "tests/core/test_exits.py::"
        "test_what_was_sold_and_bought_back_by_somebody_else_while_it_was_looked_up_stays_protected",
    ),
    Defect(
        "our own defect is forgotten when a breaker's pause ends", "P8", "bot/core/step.py",
        'turn.state.mode == "RUNNING" or turn.state.mode_until_ms:', 'turn.state.mode == "RUNNING":',
        "tests/core/test_entries.py::test_a_defect_of_ours_outlasts_the_pause_of_a_breaker",
    ),
    Defect(
        "our own defect does not stop entries", "P8", "bot/core/step.py",
        'turn.record(ModeChanged(turn.at_ms, "PAUSED", why, "system"))', "pass",
        "tests/core/test_entries.py::test_a_defect_of_ours_stops_entries_and_leaves_stops_working",
    ),
    Defect(
        "the day's loss is not kept", "C25", "bot/core/folding.py",
        "state.day_realized = Money(state.day_realized + amount)", "state.day_realized = Money(0)",
        "tests/core/test_entries.py::test_a_days_loss_at_its_limit_stops_entries_and_the_next_day_they_go_on",
    ),
    Defect(
        "exits pass through the entry limits", "P8 C35", "bot/core/replies.py",
        'refusal = _too_late(turn, order) if order.purpose == "entry" else None',
        "refusal = _too_late(turn, order)",
        "tests/core/test_entries.py::test_an_exit_is_never_too_late",
    ),
    Defect(
        "a refused entry does not say why", "P9", "bot/core/entering.py",
        "        return turn.refuse(*refusal)", '        return turn.refuse("refused", "")',
        "tests/core/test_entries.py::test_a_stale_quote_is_refused",
    ),
    Defect(
        "a change of settings keeps its version", "P9", "bot/core/config.py",
        "return Config(config.version + 1, author", "return Config(config.version, author",
        "tests/core/test_entries.py::test_settings_change_as_a_whole_or_not_at_all_and_carry_their_author",
    ),
    Defect(
        "a trade does not know which rules it was opened under", "P9", "bot/core/entering.py",
        "proposal.plan, proposal.reason, turn.state.config.version)", "proposal.plan, proposal.reason, 0)",
        "tests/core/test_entries.py::test_an_entry_is_recorded_with_its_plan_before_it_is_sent",
    ),
    Defect(
        "the core knows about paper trading", "P10", "bot/core/exiting.py",
        '"""Shortest time between two exit orders of one trade."""', "import bot.paper.model",
        "tests/test_tidy.py::test_each_floor_knows_only_what_lies_below_it",
    ),
    Defect(
        "a book is believed after a gap", "C17", "bot/market_data/market_data.py",
        "        if channel == BOOKS:\n"
        "            self._books.invalidate(tickers)",
        "        if channel == BOOKS:\n"
        "            pass",
        "tests/market_data/test_market_data.py::test_a_gap_silences_the_books_until_their_snapshots",
    ),
    Defect(
        "fills that the stream lost wait for the next reconciliation", "P7", "bot/market_data/market_data.py",
        "elif channel not in (TICKER, TRADE):", "elif channel == LIFECYCLE:",
        "tests/market_data/test_market_data.py::test_what_only_rest_can_tell_is_read_at_once_after_a_gap",
    ),
    Defect(
        "odds of any age are believed", "P9", "bot/run/odds_feed.py",
        "            if c.updated_ms >= oldest_ms\n", "",
        "tests/run/test_odds_feed.py::test_odds_that_cannot_be_renewed_are_used_for_fifteen_minutes_and_no_longer",
    ),
    Defect(
        "an announced change of fees counts at once", "P7", "bot/kalshi/series.py",
        " and change.scheduled_ts.timestamp() <= now_s", "",
        "tests/kalshi/test_series.py::test_an_announced_change_of_fees_counts_from_its_time_on",
    ),
    Defect(
        "a price off the market's grid is believed", "P9", "bot/market_data/market_data.py",
        "market is None or all(", "True or all(",
        "tests/market_data/test_review_market_data.py::test_prices_that_cannot_be_are_refused_and_counted",
    ),
    Defect(
        "a half-open socket is waited for", "C8 C18", "bot/kalshi/stream.py",
        "if now_ns - last_ns > SILENCE_NS:", "if now_ns - last_ns > 10 * SILENCE_NS:",
        "tests/kalshi/test_kalshi_stream.py::test_silence_for_12_seconds_is_a_dead_connection_and_we_asked_before",
    ),
    Defect(
        "the sequence of an acknowledgement is not counted", "C29", "bot/kalshi/stream.py",
        "if frame.seq is not None and not self._subscriptions",
        "if frame.seq is not None and not isinstance(frame, Control) and not self._subscriptions",
        "tests/kalshi/test_kalshi_stream.py::test_a_gap_is_told_once_and_the_books_are_asked_for",
    ),
    Defect(
        "an impossible change is applied to the book", "C17", "bot/core/book.py",
        '            self._empty(TRANSITIONS[self.state, "impossible_change"])\n'
        "            return True\n"
        "        if count:",
        "            count = 0\n"
        "        if count:",
        "tests/core/test_book.py::test_taking_away_more_than_there_is_makes_the_book_build_again",
    ),
    Defect(
        "a silent market keeps its old price", "C8 C18", "bot/market_data/market_data.py",
        "return self._quotes.get(ticker) if fresh else None", "return self._quotes.get(ticker)",
        "tests/market_data/test_market_data.py::test_quiet_held_markets_are_read_once_by_rest_and_candidates_are_not",
    ),
    Defect(
        "silent held markets are not read", "C8 C18", "bot/market_data/market_data.py",
        "0 <= now_ns - at_ns <= self._stale_ns}", "0 <= now_ns - at_ns <= 10 * self._stale_ns}",
        "tests/market_data/test_market_data.py::test_quiet_held_markets_are_read_once_by_rest_and_candidates_are_not",
    ),
    Defect(
        "an empty side is a price of nothing", "P3", "bot/core/trades.py",
        "    if price is not None:\n"
        "        if plan.stop is not None and",
        "    price = price or (0 if long else ONE)  # type: ignore[assignment]\n"
        "    if price is not None:\n"
        "        if plan.stop is not None and",
        "tests/core/test_exits.py::test_an_empty_side_is_not_a_price_and_is_alarmed_after_its_confirmation",
    ),
    Defect(
        "a remainder that the exchange cancelled stays live", "C23", "bot/core/orders.py",
        "    if remaining == 0:\n"
        '        return "cancelled"\n',
        "",
        "tests/core/test_orders_and_trades.py::test_an_entry_that_bought_nothing_ends_without_a_position",
    ),
    Defect(
        "ended orders and trades are kept for ever", "C37", "bot/core/folding.py",
        "            _forget(state, fact.before_ms)", "            pass",
        "tests/core/test_accounting.py::test_ended_trades_leave_the_state_after_their_time",
    ),
    Defect(
        "a finished order that was missed stays live", "C37", "bot/core/accounting.py",
        "        if gone and order.changed_ms < horizon(event):", "        if False:",
        "tests/core/test_orders_and_trades.py::"
        "test_a_reading_without_a_resting_order_of_ours_makes_it_unknown_not_cancelled",
    ),
    Defect(
        "a pause that was asked for returns at once", "C26", "bot/run/loops.py",
        "self._woken.wait(beat - now)", "self._woken.wait(0)",
        "tests/run/test_loops.py::test_a_loop_keeps_its_rate_although_its_work_takes_time",
    ),
    Defect(
        "the history store's 409 counts as success", "C15", "bot/store/supabase.py",
        "        if isinstance(answer, Failure):\n"
        "            return self._not_taken",
        '        if isinstance(answer, Failure) and not answer.text.startswith("409"):\n'
        "            return self._not_taken",
        "tests/store/test_supabase.py::test_a_409_is_no_success",
    ),
    Defect(
        "a missing column is skipped", "C16", "bot/store/supabase.py",
        '        if failure.kind == "schema":\n'
        "            self._hold(table, failure)",
        '        if failure.kind == "schema":\n'
        "            self._taken(table, batch)",
        "tests/store/test_supabase.py::test_a_schema_problem_is_loud_and_holds_only_its_table",
    ),
)
# fmt: on
