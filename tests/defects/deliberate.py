"""Deliberate defects, the first half: orders, exits, journal and lease. Each with what it breaks, and who sees it."""

from typing import NamedTuple


class Defect(NamedTuple):
    """`find` occurs exactly once in `file`; with `replace` in its place `caught_by` fails."""

    what: str
    breaks: str
    """`P` and the number of a promise, `C` and the number of a failure case (docs/defects.md)."""
    file: str
    find: str
    replace: str
    caught_by: str


# fmt: off
ORDERS = (
    Defect(
        "an entry does not wait for its journal record", "P1", "bot/run/executor.py",
        "self._entries[0][0] <= durable_seq and ", "",
        "tests/run/test_executor.py::test_an_entry_waits_until_its_record_is_durable_and_an_exit_does_not",
    ),
    Defect(
        "an order's intent is not recorded", "P1", "bot/run/door.py",
        "[encode(fact) for fact in turn.facts])", "[encode(fact) for fact in turn.facts[:1]])",
        "tests/run/test_door.py::test_an_entry_waits_for_the_record_that_holds_its_intent_and_its_plan",
    ),
    Defect(
        "the journal says durable before the disk does", "P1", "bot/store/committer.py",
        "        self._queue.append(items)\n",
        "        self._queue.append(items)\n"
        "        self.durable = items[-1][0]\n",
        "tests/store/test_journal.py::test_a_killed_writer_loses_no_acknowledged_record",
    ),
    Defect(
        "a turn of the core is parted between two commits", "P5", "bot/store/committer.py",
        "                batch += self._queue.popleft()\n",
        "                batch += [self._queue[0][0]]\n"
        "                self._queue[0] = self._queue[0][1:]\n"
        "                if not self._queue[0]:\n"
        "                    self._queue.popleft()\n",
        "tests/store/test_journal.py::test_what_was_put_together_is_committed_together",
    ),
    Defect(
        "a defect in one trade ends the sweep of all", "P8", "bot/core/exiting.py",
        "                defects.append(defect)\n", "                raise\n",
        "tests/core/test_exits.py::test_a_defect_in_one_trade_leaves_the_sweep_of_the_others",
    ),
    Defect(
        "a retry takes a new id", "P1 C2", "bot/core/exiting.py",
        "    if unknown:\n", "    if unknown and now < 0:\n",
        "tests/core/test_exits.py::test_an_unknown_exit_is_sent_again_at_once_with_the_same_id",
    ),
    Defect(
        "ids begin again with each start", "P1", "bot/core/turn.py",
        'f"{self.state.boot}-{self.state.ids}"', 'f"trade-{self.state.ids}"',
        "tests/sim/test_failure_cases_stops.py::test_case_20_two_programs_overlap",
    ),
    Defect(
        "a lost reply counts as refused", "P2 C4 C32", "bot/core/replies.py",
        "        first = order.state is not OrderState.UNKNOWN\n"
        '        turn.move_order(order, "lost", reason=outcome.reason)',
        "        first = order.state is not OrderState.UNKNOWN\n"
        '        turn.move_order(order, "rejected", reason=outcome.reason)',
        "tests/core/test_orders_and_trades.py::test_an_unknown_entry_that_filled_is_found_and_protected",
    ),
    Defect(
        "a 2xx without a readable order counts as placed", "P2 C9", "bot/kalshi/orders.py",
        'wire.to_count(reply.fill_count), wire.to_count(reply.remaining_count)\n        except ValueError as error:\n'
        '            return Unknown(f"{status} without a readable order: {error}")',
        'wire.to_count(reply.fill_count), wire.to_count(reply.remaining_count)\n        except ValueError as error:\n'
        '            return Accepted(order_id="", filled=Count(0), remaining=order.count)',
        "tests/kalshi/test_orders.py::test_answers_that_prove_nothing_are_unknown",
    ),
    Defect(
        "a 404 on a cancel counts as cancelled", "P2 C30", "bot/core/replies.py",
        '        turn.move_order(order, "lost", reason=f"cancel: {type(outcome).__name__.lower()}")',
        '        turn.move_order(order, "cancelled")',
        "tests/core/test_exit_policy.py::test_a_cancel_that_proves_nothing_leaves_the_entry_unknown_with_its_reserve",
    ),
    Defect(
        "a cancel that was not answered counts as done", "P2 C10", "bot/core/replies.py",
        "    if order is None or not order.live():\n"
        "        return\n"
        "    outcome = event.outcome\n    if",
        "    if order is None or not order.live():\n"
        "        return\n"
        '    turn.move_order(order, "cancelled")\n'
        "    outcome = event.outcome\n    if",
        "tests/core/test_exits.py::test_a_cancel_reply_that_names_another_order_proves_nothing",
    ),
    Defect(
        "an order that a listing lacks is taken for absent at once", "P2 C5 C21", "bot/run/account.py",
        "fresh_ms >= sent_ms + SIGNATURE_MS", "True",
        "tests/sim/test_failure_cases_orders.py::test_case_9_a_2xx_without_an_order",
    ),
    Defect(
        "a failed look-up proves absence", "P2 C5", "bot/core/replies.py",
        "    elif event.absent and order.state is OrderState.UNKNOWN",
        "    elif order.state is OrderState.UNKNOWN",
        "tests/core/test_orders_and_trades.py::test_an_unknown_order_is_given_up_only_when_provably_absent",
    ),
    Defect(
        "an exit whose id was used before is called absent", "P2 C4", "bot/core/replies.py",
        ' and order.reason != "already_exists":', ":",
        "tests/core/test_exit_policy.py::test_an_exit_that_exists_already_is_never_called_absent",
    ),
    Defect(
        "an unknown entry releases its reserve", "P2", "bot/core/orders.py",
        'if self.purpose != "entry":', 'if self.purpose != "entry" or self.state is OrderState.UNKNOWN:',
        "tests/core/test_orders_and_trades.py::"
        "test_an_entry_without_a_proof_is_unknown_keeps_its_reserve_and_is_looked_up",
    ),
    Defect(
        "an entry is sent again after a restart", "P2", "bot/core/step.py",
        '            turn.move_order(order, "lost", reason="the program restarted")',
        '            turn.move_order(order, "lost", reason="the program restarted")\n'
        "            turn.do(exiting._place(order, 0))",
        "tests/core/test_orders_and_trades.py::"
        "test_an_entry_that_may_have_been_sent_is_looked_up_after_a_restart_and_never_sent_again",
    ),
    Defect(
        "a resting order that is not listed is taken for cancelled", "P2 C21", "bot/core/accounting.py",
        'turn.move_order(order, "lost", reason="not in the listing of resting orders")',
        'turn.move_order(order, "cancelled")',
        "tests/core/test_orders_and_trades.py::"
        "test_a_reading_without_a_resting_order_of_ours_makes_it_unknown_not_cancelled",
    ),
    Defect(
        "a page that fails ends a listing early", "P2 C1", "bot/kalshi/rest.py",
        '            page = self._read(path, params | {"cursor": cursor}, read, lambda reply: '
        'len(items(reply)))\n',
        "            try:\n"
        '                page = self._read(path, params | {"cursor": cursor}, read, lambda reply: '
        'len(items(reply)))\n'
        "            except ReadFailed:\n"
        "                return pages\n",
        "tests/kalshi/test_rest.py::test_a_page_that_fails_fails_the_whole_listing",
    ),
    Defect(
        "an unknown exit waits for its look-up", "P2 C32", "bot/core/exiting.py",
        "    if unknown:\n",
        "    if unknown:\n"
        "        return\n"
        "    if unknown:\n",
        "tests/core/test_exit_policy.py::test_an_unknown_exit_is_told_looked_up_and_repeated_each_second",
    ),
    Defect(
        "an exit may open the other side", "P3", "bot/core/exiting.py",
        "reduce_only=True", "reduce_only=False",
        "tests/core/test_exits.py::"
        "test_a_stop_sends_a_reduce_only_immediate_or_cancel_for_all_that_is_held_inside_its_bound",
    ),
    Defect(
        "a second exit leaves while the first has no answer", "P3 C2", "bot/core/exiting.py",
        "if any(o.state in (OrderState.INTENT, OrderState.SENDING) for o in working):", "if False:",
        "tests/core/test_exits.py::test_no_second_exit_is_sent_while_the_first_has_no_reply",
    ),
    Defect(
        "fills that are reported but not booked are sold again", "P3", "bot/core/exiting.py",
        "turn.state.held(trade)) - spoken_for", "turn.state.held(trade))",
        "tests/core/test_exit_rules.py::test_fills_reported_and_not_booked_are_not_sold_again",
    ),
    Defect(
        "an exit sells what the trade bought, though less is held", "P3", "bot/core/exiting.py",
        "min(trade.open_count(), turn.state.held(trade)) - spoken_for", "trade.open_count() - spoken_for",
        "tests/core/test_exit_policy.py::test_no_more_is_sold_than_the_account_holds_in_that_market",
    ),
    Defect(
        "an exit that a crash forgot is taken for somebody else's", "P1 P7", "bot/core/exiting.py",
        "        if fill is None:\n", "        if True:\n",
        "tests/core/test_exits.py::test_a_fill_of_an_exit_that_a_crash_forgot_joins_its_trade",
    ),
    Defect(
        "an exit is sold without a bound", "P3", "bot/core/trades.py",
        "reach = plan.bound * steps", "reach = ONE",
        "tests/core/test_exits.py::test_the_bound_grows_with_time_down_to_the_lowest_price",
    ),
    Defect(
        "the rest of the entry stays when its stop fires", "P3 C31", "bot/core/exiting.py",
        '        if order.purpose == "entry" and order.live() and order.order_id:', "        if False:",
        "tests/core/test_exits.py::test_firing_cancels_what_is_left_of_the_entry",
    ),
    Defect(
        "entries go before exits", "P4", "bot/run/executor.py",
        "        if self._exits:\n", "        if self._exits and not self._entries:\n",
        "tests/run/test_executor.py::test_exits_go_before_cancels_before_entries_before_lookups",
    ),
    Defect(
        "an exit waits behind an entry that waits for the disk", "P4 C19", "bot/run/executor.py",
        "        if self._exits:\n",
        "        if self._exits and not (self._entries and self._entries[0][0] > durable_seq):\n",
        "tests/run/test_executor.py::test_an_entry_waits_until_its_record_is_durable_and_an_exit_does_not",
    ),
    Defect(
        "an exit needs tokens of the budget", "P4 C35", "bot/run/executor.py",
        "        if self._exits:\n", "        if self._exits and self.budget.tokens >= CREATE_COST:\n",
        "tests/run/test_executor.py::test_a_spent_budget_does_not_hold_an_exit",
    ),
    Defect(
        "entries may spend the whole budget", "P4", "bot/run/executor.py",
        ">= self.capacity * EXIT_SHARE", ">= 0",
        "tests/run/test_executor.py::test_entries_leave_the_exits_their_share_of_the_budget",
    ),
    Defect(
        "one job at a time: a slow reply holds the next", "P4 C3 C34", "bot/run/bot.py",
        "            gevent.spawn(self._perform, job)\n"
        "        if self.executor.waiting():",
        "            self._perform(job)\n"
        "        if self.executor.waiting():",
        "tests/run/test_review_run.py::test_a_slow_reply_holds_no_other_order",
    ),
    Defect(
        "the journal commits on the hub", "P4 C19", "bot/store/committer.py",
        "pool.apply(self._commit, (batch,))", "self._commit(batch)",
        "tests/store/test_journal.py::test_a_slow_disk_does_not_hold_the_hub",
    ),
    Defect(
        "the history is written before the exit leaves", "P4", "bot/run/door.py",
        "            self._later(lambda: self._tell(turn, seq))", "            self._tell(turn, seq)",
        "tests/run/test_door.py::test_log_and_history_hear_of_an_exit_after_its_work_was_started",
    ),
    Defect(
        "a restart reads the snapshot and not the records after it", "P5 P1 C4", "bot/run/restore.py",
        "[decode(record) for _, record in loaded.records]", "[]",
        "tests/sim/test_failure_cases_orders.py::test_case_4_the_reply_is_lost_the_order_filled_the_process_restarts",
    ),
    Defect(
        "a found position gets no stop", "P5", "bot/core/adopting.py",
        "            adopt_position(turn, market, plan, ADOPTED, FOUND)\n", "            pass\n",
        "tests/core/test_accounting.py::test_the_books_begin_with_the_account_as_found_and_its_positions_get_a_plan",
    ),
    Defect(
        "a stop ends for good when its order is refused", "P5 C32", "bot/core/replies.py",
        '        turn.move_order(order, "rejected", reason=reason)\n'
        "        wait =",
        '        turn.move_order(order, "rejected", reason=reason)\n'
        '        if order.purpose == "exit":\n'
        "            return close(turn, turn.state.trades[order.trade_id])\n"
        "        wait =",
        "tests/core/test_exits.py::test_a_refused_exit_is_tried_again",
    ),
    Defect(
        "a partly filled exit ends the stop", "P5 C36", "bot/core/replies.py",
        "    if trade.entered and trade.open_count() <= 0:", "    if trade.entered and trade.exited:",
        "tests/core/test_exits.py::test_a_partly_filled_exit_is_repriced_for_the_rest_until_flat",
    ),
    Defect(
        "a fill after the end is not protected", "P5", "bot/core/trades.py",
        '    (T.CLOSED, "entry_filled"): T.OPEN,\n', "",
        "tests/core/test_exits.py::test_a_late_entry_fill_after_the_exit_is_protected_again",
    ),
    Defect(
        "two may hold the lease", "P6 C20", "bot/run/lease.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "tests/run/test_lease.py::test_only_one_holds_the_lease_and_the_others_learn_who",
    ),
    Defect(
        "a process that was succeeded goes on writing its journal", "P6 C20", "bot/store/journal.py",
        "            if epoch != self.epoch:", "            if False:",
        "tests/store/test_journal.py::test_a_process_that_was_succeeded_can_no_longer_write",
    ),
)
# fmt: on
