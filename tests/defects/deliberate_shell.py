"""Defects around the core, where nothing noticed: the bot's shell, its start and its end, the wire, the sign-in."""

from tests.defects.deliberate import Defect

_SHELL = "tests/run/test_shell.py"

# fmt: off
SHELL = (
    Defect(
        "an exit waits until all frames that have arrived are read", "P4", "bot/run/bot.py",
        "gevent.sleep(0)  # the exit's greenlet runs now", "pass  # the exit's greenlet runs now",
        f"{_SHELL}::test_a_stop_leaves_before_the_next_frame_is_read",
    ),
    Defect(
        "the private channels' fills do not reach the core", "P7", "bot/run/bot.py",
        "            self.door.handle(FillSeen(now_ms(), news))", "            pass",
        f"{_SHELL}::test_what_the_private_channels_tell_reaches_the_core_at_once_and_the_next_sweep",
    ),
    Defect(
        "after a gap in the stream the account is read with the timer", "P7", "bot/run/bot.py",
        'for name in ("PriceConfirm", "MarketData", "Reconciler"):', 'for name in ("PriceConfirm", "MarketData"):',
        f"{_SHELL}::test_after_the_stream_missed_something_prices_markets_and_account_are_read_at_once",
    ),
    Defect(
        "no exit leaves while the program ends", "P5", "bot/run/bot.py",
        '        if job.purpose != "exit" and self._stopping:', "        if self._stopping:",
        f"{_SHELL}::test_a_stop_still_leaves_while_the_program_ends",
    ),
    Defect(
        "the age of a listing is asked after it was read", "P2", "bot/run/account.py",
        "    fresh_ms = reads.user_data_timestamp()\n    since = sent_ms - LOOK_BACK_MS\n",
        "    since = sent_ms - LOOK_BACK_MS\n"
        "    reads.orders(ticker=ticker)\n"
        "    fresh_ms = reads.user_data_timestamp()\n",
        "tests/run/test_look_up.py::test_the_age_of_a_listing_is_asked_before_it_is_read",
    ),
    Defect(
        "exits spend nothing of the budget that entries find", "P3", "bot/run/executor.py",
        "        if self._exits:\n            self.budget.spend(CREATE_COST)\n", "        if self._exits:\n",
        "tests/run/test_executor.py::test_what_leaves_is_taken_from_the_budget_that_entries_find",
    ),
    Defect(
        "what another subaccount does is booked here", "P7", "bot/market_data/market_data.py",
        "frames.Fill | frames.UserOrder | frames.MarketPosition) and frame.msg.subaccount:",
        "frames.Fill | frames.UserOrder | frames.MarketPosition) and False:",
        "tests/market_data/test_private_messages.py::test_what_another_subaccount_does_moves_nothing_of_ours",
    ),
    Defect(
        "a snapshot of an earlier record takes back what is durable", "P1", "bot/store/committer.py",
        "max(self.durable, *(number for number, *_ in self._under_way))", "self._under_way[-1][0]",
        "tests/store/test_journal.py::"
        "test_records_are_durable_with_their_commit_also_beside_a_snapshot_of_an_earlier_one",
    ),
    Defect(
        "records are not forced to the disk", "P1", "bot/store/journal.py",
        'STEPS, synchronous="FULL")', 'STEPS, synchronous="NORMAL")',
        "tests/store/test_journal.py::test_what_is_committed_is_forced_to_the_disk",
    ),
    Defect(
        "a lease that could not be named keeps its lock", "P6", "bot/run/lease.py",
        "            os.close(file)  # else it keeps the lock, and this process is refused by itself\n", "",
        "tests/run/test_lease.py::test_a_lease_that_could_not_be_taken_whole_can_be_taken_later",
    ),
    Defect(
        "a takeover whose terminal is gone gives the lease back with the bot running", "P6", "bot/build.py",
        "with suppress(OSError, ValueError):", "with suppress(KeyError):",
        "tests/run/test_review_takeover.py::test_a_takeover_whose_terminal_is_gone_stays_one",
    ),
    Defect(
        "a bot for real money trades from its first start", "R", "bot/build.py",
        'facts.TradingMode = "RUNNING" if settings.mode == "paper" else "PAUSED"', 'facts.TradingMode = "RUNNING"',
        "tests/run/test_build.py::test_a_new_bot_trades_by_itself_on_paper_alone_and_real_money_takes_the_word",
    ),
    Defect(
        "guesses sent side by side all pass the throttle", "R", "web/auth.py",
        "    throttle.failed(address)  # before the check, so that guesses sent side by side are counted too\n", "",
        "tests/web/test_auth.py::test_guesses_that_are_sent_side_by_side_are_slowed_too",
    ),
    Defect(
        "a clock that is set back locks its owner out", "R", "web/sessions.py",
        "if 0 <= now - at < 600", "if now - at < 600",
        "tests/web/test_auth.py::test_a_clock_that_is_set_back_locks_nobody_out",
    ),
)
