"""Deliberate defects of targets that rest in the book: each would sell more than is held, or leave a stop waiting."""

from tests.defects.deliberate import Defect

_RESTING = "tests/core/test_resting.py"
_DECREASED = "tests/core/test_decreased.py"
_EDGES = "tests/core/test_resting_edges.py"
_RESENT = "tests/core/test_resent_exits.py"

# fmt: off
RESTING = (
    Defect(
        "an exit sells what a resting target may still sell too", "P3", "bot/core/exiting.py",
        "if o.purpose != \"entry\" and (beside", "if o.purpose == \"exit\" and (beside",
        f"{_RESTING}::test_a_late_fill_of_the_entry_leaves_beside_the_target_and_never_more_than_is_held",
    ),
    Defect(
        "an amended target names what is left as its total", "P4", "bot/core/resting.py",
        "limit, order.count, tick_ns)", "limit, order.outstanding() // 2, tick_ns)",
        f"{_RESTING}::test_a_stop_amends_the_target_to_the_exits_limit_with_its_total_and_sends_nothing_beside_it",
    ),
    Defect(
        "a stop waits while a target rests", "P4", "bot/core/exiting.py",
        "        resting.leave(turn, trade, target, tick_ns)\n", "        pass\n",
        f"{_RESTING}::test_a_stop_amends_the_target_to_the_exits_limit_with_its_total_and_sends_nothing_beside_it",
    ),
    Defect(
        "a target that is being placed is sold beside with an id of its own", "P3", "bot/core/resting.py",
        "PlaceOrder(order.client_order_id, order.ticker, order.side, limit, order.count,",
        "PlaceOrder(order.client_order_id + \"0\", order.ticker, order.side, limit, order.count,",
        f"{_RESTING}::test_a_stop_while_the_targets_id_is_not_known_sends_the_same_id_again_as_an_exit",
    ),
    Defect(
        "a target whose trade is being left is placed all the same", "P3", "bot/core/resting.py",
        "    if order.state is OrderState.INTENT:\n", "    if order.state is OrderState.DEFERRED:\n",
        f"{_RESTING}::test_a_stop_before_the_targets_record_is_durable_takes_it_back_and_sells_all",
    ),
    Defect(
        "a target rests on though somebody else sold", "P3", "bot/core/resting.py",
        " or order.recall or held < order.outstanding():", " or order.recall:",
        f"{_RESTING}::test_somebody_else_sells_and_the_target_is_cancelled_before_it_can_open_the_other_side",
    ),
    Defect(
        "a stop sells more than others left, by the target", "P3", "bot/core/resting.py",
        "    if held < sum(o.outstanding() for o in live(turn, trade)) and", "    if held < 0 and",
        f"{_RESTING}::test_a_stop_after_somebody_else_sold_cancels_the_target_instead_of_amending_it",
    ),
    Defect(
        "a target is placed while an exit of the earlier life may arrive", "P3", "bot/core/resting.py",
        " or turn.at_ms < turn.state.booted_ms + SETTLED_IN_MS\n", "\n",
        f"{_RESTING}::test_none_is_placed_when_the_plan_does_not_ask_for_it_while_the_entry_works_or_soon_after_a_start",
    ),
    Defect(
        "an amend that was not answered counts as an end", "P2", "bot/core/replies.py",
        '            turn.move_order(order, "lost", reason=text)\n',
        '            turn.move_order(order, "cancelled")\n',
        f"{_RESTING}::test_an_amend_that_proves_nothing_is_repeated_with_the_same_total_and_never_sold_beside",
    ),
    Defect(
        "a target is absent though its id was sent again since", "P2", "bot/core/replies.py",
        "turn.at_ms < _sent_last(turn, order) + ARRIVE_MS", "turn.at_ms < order.created_ms",
        f"{_RESTING}::test_absence_of_a_target_is_no_proof_while_another_send_of_its_id_may_be_under_way",
    ),
    Defect(
        "what is absent is judged from an exit's first send", "P2", "bot/core/turn.py",
        '(not order.sent_ms or order.purpose != "entry")', '(not order.sent_ms or order.purpose == "target")',
        f"{_RESENT}::test_an_exit_that_was_sent_again_is_not_absent_and_nothing_is_sold_in_its_place",
    ),
    Defect(
        "an exit is absent though its id was sent again since", "P2", "bot/core/replies.py",
        'event.absent and order.purpose != "entry" and', 'event.absent and order.purpose == "target" and',
        f"{_RESENT}::test_an_exit_that_was_sent_again_is_not_absent_and_nothing_is_sold_in_its_place",
    ),
    Defect(
        "what a cancel did not take away is believed to have filled, whatever its description says", "P4",
        "bot/core/replies.py", "(order.booked if ended else order.filled)", "order.filled",
        f"{_DECREASED}::test_the_stop_sells_all_of_a_position_whose_target_was_decreased_by_hand",
    ),
    Defect(
        "fills that a cancel claims and that never come are not looked for", "P4", "bot/core/accounting.py",
        " or (order.state is OrderState.CANCELLED and order.outstanding()):", ":",
        f"{_DECREASED}::test_what_a_cancel_claims_is_looked_up_again_until_its_fills_are_here_or_denied",
    ),
    Defect(
        "a target that somebody decreased rests on for a part", "P4", "bot/core/replies.py",
        " or seen.filled + seen.remaining < order.count\n", "\n",
        f"{_DECREASED}::test_a_target_seen_decreased_is_cancelled_and_placed_anew_for_all_that_is_held",
    ),
    Defect(
        "a target found after the disk was lost is forgotten by the stop", "P3", "bot/core/adopting.py",
        'if seen.side == trade.side else "target"', 'if seen.side == trade.side else "exit"',
        f"{_RESTING}::test_a_target_found_after_the_disk_was_lost_is_cancelled_and_counts_until_that_is_proven",
    ),
    Defect(
        "an exit beside a target is sold again after a 409", "P3", "bot/core/exiting.py",
        "and (beside or o not in working)", "and o not in working",
        f"{_EDGES}::test_an_exit_beside_a_target_that_may_have_been_applied_is_not_sold_a_second_time",
    ),
    Defect(
        "an amend that is refused for good is repeated for ever", "P4", "bot/core/replies.py",
        "    refused = isinstance(outcome, Rejected) and not passing(outcome)\n", "    refused = False\n",
        f"{_EDGES}::test_an_amend_that_is_refused_for_good_is_a_cancel_and_then_an_exit",
    ),
    Defect(
        "a target that nobody wants any more leaves all the same", "P3", "bot/core/replies.py",
        " and not resting.wanted(turn, order):", " and False:",
        f"{_EDGES}::test_a_target_that_waits_for_the_disk_is_not_sent_when_it_is_not_wanted_any_more",
    ),
    Defect(
        "a target that is too large rests on while no price is known", "P3", "bot/core/exiting.py",
        "            _carry_stop(turn, trade, price)\n        resting.keep(turn, trade)\n",
        "            _carry_stop(turn, trade, price)\n            resting.keep(turn, trade)\n",
        f"{_EDGES}::test_a_target_is_cancelled_although_no_price_is_known_when_others_sold_all",
    ),
    Defect(
        "a target is absent although the life before may just have sent it", "P2", "bot/core/replies.py",
        "turn.at_ms < _sent_last(turn, order) + ARRIVE_MS", "turn.at_ms < order.sent_ms + ARRIVE_MS",
        f"{_EDGES}::test_absence_right_after_a_restart_is_no_proof_and_what_arrives_later_is_cancelled",
    ),
    Defect(
        "a target that was called absent rests on", "P3", "bot/core/replies.py",
        'if order.purpose != "exit" and order.state is OrderState.REJECTED:', "if False:",
        f"{_EDGES}::test_a_resting_target_found_by_a_reading_after_it_was_called_absent_is_cancelled",
    ),
    Defect(
        "an entry that was called absent rests on", "P2 P6", "bot/core/replies.py",
        'if order.purpose != "exit" and order.state is OrderState.REJECTED:',
        'if order.purpose == "target" and order.state is OrderState.REJECTED:',
        "tests/core/test_recall.py::"
        "test_an_entry_that_was_called_absent_and_rests_all_the_same_is_cancelled_with_each_reading",
    ),
    Defect(
        "a target of unknown fate is not taken on the tick", "P4", "bot/core/resting.py",
        "any(o.state in (OrderState.RESTING, OrderState.PARTLY_FILLED) for o in live(turn, trade))",
        "bool(live(turn, trade))",
        f"{_EDGES}::test_a_target_of_unknown_fate_is_taken_on_the_tick_under_its_own_id",
    ),
    Defect(
        "two targets may each sell all that is held", "P3", "bot/core/resting.py",
        "    if held < sum(o.outstanding() for o in live(turn, trade)) and", "    if held < order.outstanding() and",
        f"{_EDGES}::test_two_targets_of_a_lost_record_are_not_both_made_exits_of_the_same_contracts",
    ),
    Defect(
        "a target leaves before its record is durable", "P1", "bot/run/executor.py",
        '            if job.purpose == "exit":\n', '            if job.purpose != "entry":\n',
        "tests/run/test_executor.py::test_a_target_that_is_to_rest_waits_for_its_record_and_an_amend_does_not",
    ),
)
# fmt: on
