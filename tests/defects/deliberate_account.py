"""Deliberate defects of the account's truth: readings, what was found on the exchange, differences, the journal."""

from tests.defects.deliberate import Defect

# fmt: off
ACCOUNT = (
    Defect(
        "a program that dies often never takes a snapshot", "P5", "bot/run/bot.py",
        "0 if self.journal.grown > LONGEST_REPLAY else SNAPSHOT_S", "SNAPSHOT_S",
        "tests/run/test_snapshots.py::test_a_program_that_dies_again_and_again_does_not_let_the_journal_grow",
    ),
    Defect(
        "a history that fails keeps the journal from its snapshot", "P5", "bot/run/bot.py",
        "1.0 if grown else wait_s) or grown:", "wait_s):",
        "tests/run/test_snapshots.py::test_a_history_that_cannot_be_written_does_not_let_the_journal_grow",
    ),
    Defect(
        "records that the journal lost are not missed", "P5", "bot/store/journal.py",
        "self.lost = max(self._marked() - last_seq, 0)", "self.lost = 0",
        "tests/store/test_journal_damage.py::"
        "test_acknowledged_records_that_are_gone_are_counted_until_others_took_their_place",
    ),
    Defect(
        "entries go on after a loss of records", "P5", "bot/core/step.py",
        "    if event.lost:\n", "    if False:\n",
        "tests/core/test_lost_records.py::test_entries_wait_for_the_operator_who_is_told",
    ),
    Defect(
        "what was bought in the lost time is taken for somebody else's", "P5", "bot/core/replies.py",
        " or state.lost_from_ms < fill.at_ms <= state.lost_ms + ARRIVE_MS", "",
        "tests/core/test_lost_records.py::test_what_was_bought_in_the_lost_time_has_a_stop_as_soon_as_its_fills_are_found",
    ),
    Defect(
        "every unknown fill after a loss is taken for ours", "P7", "bot/core/folding.py",
        "state.lost_from_ms, state.lost_ms = state.read_ms, fact.at_ms",
        "state.lost_from_ms, state.lost_ms = 0, fact.at_ms",
        "tests/core/test_lost_records.py::test_what_somebody_traded_by_hand_before_or_long_after_is_left_alone",
    ),
    Defect(
        "what a newer version journaled is dropped", "P5", "bot/core/facts.py",
        "tag=True, forbid_unknown_fields=True", "tag=True",
        "tests/run/test_restore.py::test_records_of_a_newer_version_are_refused_and_lose_nothing",
    ),
    Defect(
        "a snapshot of a record that is not there is loaded", "P5", "bot/store/journal.py",
        "            if seq > last_seq:\n", "            if False:\n",
        "tests/store/test_journal_damage.py::test_a_snapshot_of_a_record_that_is_not_there_is_refused",
    ),
    Defect(
        "one market that cannot be read keeps the books from beginning", "P5", "bot/run/account.py",
        "            if failure.kind in NOT_THE_MARKET:\n", "            if failure.kind != \"not_found\":\n",
        "tests/core/test_found_positions.py::"
        "test_one_market_that_cannot_be_read_leaves_no_other_position_without_a_stop",
    ),
    Defect(
        "a position whose market could not be read is never asked for again", "P5", "bot/core/adopting.py",
        " | state.unprotected if t not in", " if t not in",
        "tests/core/test_found_positions.py::"
        "test_its_position_gets_its_stop_with_the_first_reading_that_shows_the_market",
    ),
    Defect(
        "what somebody bought by hand is taken for what was found", "P7", "bot/core/folding.py",
        "    if before.count * after.count <= 0:", "    if False:",
        "tests/core/test_found_positions.py::"
        "test_one_that_was_sold_meanwhile_and_bought_again_by_hand_is_not_taken",
    ),
    Defect(
        "entries go on while the journal cannot be written", "P1 C19", "bot/core/entering.py",
        "if not event.journal_ok:", "if False:",
        "tests/sim/test_failure_cases_stops.py::"
        "test_entries_stop_while_the_journal_cannot_be_written_and_go_on_after",
    ),
    Defect(
        "a fill ends every comparison of the account", "P7", "bot/core/accounting.py",
        "    for ticker in sorted((theirs.keys()",
        "    if young:\n"
        "        return\n"
        "    for ticker in sorted((theirs.keys()",
        "tests/core/test_reading_age.py::test_what_every_part_must_show_is_a_difference_though_something_newer_happened",
    ),
    Defect(
        "the books begin with parts of different age", "P7", "bot/run/account.py",
        "default=0) >= fresh - CLOCKS_MS:", "default=0) < 0:",
        "tests/run/test_review_account.py::test_the_books_begin_with_parts_of_one_moment",
    ),
    Defect(
        "a resting entry is forgotten with the disk", "P5", "bot/core/accounting.py",
        "if order is None and has_our_form(seen.client_order_id):", "if False:",
        "tests/sim/test_failure_cases_orders.py::test_the_disk_is_wiped_while_an_entry_rests",
    ),
    Defect(
        "a fill of a forgotten entry gets no plan", "P5", "bot/core/accounting.py",
        "        adopting.adopt_strays(turn, event)\n", "",
        "tests/sim/test_failure_cases_orders.py::"
        "test_an_entry_sent_before_the_disk_was_wiped_arrives_after_the_books_began",
    ),
    Defect(
        "somebody else's resting order is no exposure", "P7", "bot/core/risk.py",
        "        if finding.order is not None:\n", "        if False:\n",
        "tests/core/test_adopting.py::"
        "test_a_strangers_order_is_left_alone_counted_in_exposure_and_keeps_entries_out_of_its_market",
    ),
    Defect(
        "a difference is accepted with any amount", "P7 C38", "bot/core/claiming.py",
        "if given != gap:", "if False:",
        "tests/core/test_claiming.py::test_an_accepted_deposit_lets_entries_go_on_and_is_no_profit",
    ),
    Defect(
        "an accepted deposit is a profit", "P7 C38", "bot/core/folding.py",
        "    state.baseline = Money(state.baseline + fact.amount - fact.recovered)\n", "",
        "tests/core/test_claiming.py::test_an_accepted_withdrawal_is_no_loss",
    ),
    Defect(
        "one deposit explains cash again and again", "P7 C38", "bot/core/claiming.py",
        "if t.id not in state.transfers and", "if",
        "tests/core/test_claiming.py::test_a_deposit_that_the_exchange_names_needs_no_word",
    ),
    Defect(
        "an old figure of a position is accepted for the present one", "P7", "bot/core/claiming.py",
        'if finding.kind == "position" and turn.state.position(finding.key).count != finding.ours:', "if False:",
        "tests/core/test_claiming.py::"
        "test_a_position_that_was_traded_since_its_difference_was_found_is_accepted_as_it_is_now",
    ),
    Defect(
        "the end of a pause is not kept where nothing is held", "P4", "bot/core/accounting.py",
        " or event.ticker in state.status\n", "\n",
        "tests/core/test_claiming.py::test_the_end_of_a_pause_is_kept_although_nothing_is_held_there_any_more",
    ),
    Defect(
        "a position is taken over with the market's status as it was", "P4", "bot/core/adopting.py",
        "    if turn.state.status.get(ticker, \"active\") != market.status:", "    if False:",
        "tests/core/test_claiming.py::"
        "test_a_pause_that_was_told_while_it_was_held_before_holds_no_stop_of_a_claimed_position_back",
    ),
    Defect(
        "entries go on where the channels differ", "P7 C37", "bot/core/entering.py",
        '    if f"channel:{market.ticker}" in state.findings:\n', "    if False:\n",
        "tests/core/test_cross_check.py::test_no_entry_while_the_channels_differ",
    ),
    Defect(
        "silence of the channels after a restart counts as agreement", "P7", "bot/core/cross_check.py",
        "        if ticker not in event.told and not state.reconciled_ms:\n", "        if False:\n",
        "tests/core/test_cross_check.py::test_after_a_restart_nothing_is_concluded_from_silence_before_the_first_reading",
    ),
    Defect(
        "a program that ends does not wait for the cancels of its entries", "P8 C33", "bot/run/door.py",
        ' or (o.purpose == "entry" and o.live() and o.order_id)', "",
        "tests/run/test_review_run.py::test_a_program_that_ends_cancels_the_entries_that_rest_and_waits_for_the_answer",
    ),
    Defect(
        "a forgotten fill is taken for that of an entry of the other side", "P5", "bot/core/replies.py",
        "any(o.side == fill.side for o in waiting)", "any(waiting)",
        "tests/core/test_adopting.py::"
        "test_a_forgotten_fill_beside_an_entry_of_the_other_side_is_protected_once_that_has_ended",
    ),
    Defect(
        "the sweep does not look at what the channels told", "P7 C37", "bot/core/step.py",
        "            cross_check(turn, event)\n", "",
        "tests/core/test_cross_check.py::"
        "test_a_position_that_differs_longer_than_the_channels_lag_is_told_once_and_read_at_once",
    ),
    Defect(
        "a position that is protected in part counts as protected", "P5", "bot/core/cross_check.py",
        "    if abs(held) > armed:", "    if not armed:",
        "tests/core/test_cross_check.py::test_a_position_that_is_larger_than_its_trade_is_armed_in_part",
    ),
    Defect(
        "a withdrawal counts as money paid in", "P7 C38", "bot/kalshi/transfers.py",
        "Money(sign * t.amount_cents * CENT)", "Money(t.amount_cents * CENT)",
        "tests/kalshi/test_rest.py::"
        "test_a_deposit_adds_to_cash_a_withdrawal_takes_from_it_and_one_that_failed_did_neither",
    ),
)
# fmt: on
