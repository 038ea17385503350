"""The executor's order of work: exits never wait, entries wait for the journal and the budget, look-ups come last."""

from bot.core.effects import AmendOrder, CancelOrder, PlaceOrder, ResolveOrder
from bot.core.units import Count, Price
from bot.run.executor import EXIT_SHARE, Executor, WriteBudget


def place(client_order_id: str, purpose: str = "entry") -> PlaceOrder:
    return PlaceOrder(
        client_order_id, "KX-1", "bid", Price(5_000), Count(100), "immediate_or_cancel", purpose, "maker"  # type: ignore[arg-type]
    )  # fmt: skip


def executor(refill: float = 120, capacity: float = 120) -> Executor:
    return Executor(WriteBudget(refill, capacity))


def drain(work: Executor, durable: int, now_ms: int = 0) -> list[str]:
    done = []
    while (job := work.ready(durable, now_ms)) is not None:
        done.append(job.client_order_id)
    return done


def test_exits_go_before_cancels_before_entries_before_lookups() -> None:
    work = executor()
    work.submit(ResolveOrder("lookup", "KX-1", 0), 1)
    work.submit(place("entry"), 1)
    work.submit(CancelOrder("cancel", "x", "KX-1"), 1)
    work.submit(place("exit", "exit"), 1)
    assert drain(work, durable=1) == ["exit", "cancel", "entry", "lookup"]


def test_an_entry_waits_until_its_record_is_durable_and_an_exit_does_not() -> None:
    work = executor()
    work.submit(place("entry"), 7)
    work.submit(place("exit", "exit"), 8)
    assert drain(work, durable=6) == ["exit"]
    assert drain(work, durable=7) == ["entry"]


def test_a_target_that_is_to_rest_waits_for_its_record_and_an_amend_does_not() -> None:
    work = executor()
    work.submit(place("target", "target"), 7)
    work.submit(CancelOrder("cancel", "x", "KX-1"), 8)
    work.submit(AmendOrder("amend", "y", "KX-1", "ask", Price(100), Count(100)), 8)
    assert drain(work, durable=6) == ["amend", "cancel"]
    assert drain(work, durable=7) == ["target"]


def test_entries_leave_the_exits_their_share_of_the_budget() -> None:
    work = executor(refill=0, capacity=100)
    for n in range(10):
        work.submit(place(f"e{n}"), 0)
    assert len(drain(work, durable=0)) == 7
    assert work.budget.tokens == 100 * EXIT_SHARE
    work.submit(place("exit", "exit"), 0)
    assert drain(work, durable=0) == ["exit"]


def test_a_spent_budget_does_not_hold_an_exit() -> None:
    work = executor(refill=0, capacity=10)
    work.budget.spend(50)
    work.submit(place("exit", "exit"), 0)
    assert drain(work, durable=0) == ["exit"]


def test_the_budget_refills_continuously_up_to_its_capacity() -> None:
    budget = WriteBudget(100, 120)
    budget.refill(1_000)
    budget.spend(100)
    budget.refill(1_500)
    assert budget.tokens == 70
    budget.refill(100_000)
    assert budget.tokens == 120


def test_a_clock_that_is_set_back_stops_no_refill() -> None:
    """Entries waited until the clock had caught up with itself."""
    budget = WriteBudget(100, 120)
    budget.refill(3_600_000)
    budget.spend(100)
    budget.refill(0)
    budget.refill(500)
    assert budget.tokens == 70


def test_what_leaves_is_taken_from_the_budget_that_entries_find() -> None:
    """Exits and cancels cost the exchange's bucket as much as entries do, though nothing holds them back."""
    work = executor(refill=0, capacity=100)
    for n in range(5):
        work.submit(place(f"x{n}", "exit"), 0)
    for n in range(10):
        work.submit(CancelOrder(f"c{n}", "x", "KX-1"), 0)
    work.submit(place("entry"), 0)
    assert "entry" not in drain(work, durable=0)
    assert work.budget.tokens == 30


def test_work_of_a_kind_leaves_in_the_order_in_which_it_was_decided() -> None:
    work = executor()
    for n in range(3):
        work.submit(place(f"e{n}"), n)
        work.submit(CancelOrder(f"c{n}", "x", "KX-1"), n)
    work.submit(place("x0", "exit"), 3)
    work.submit(AmendOrder("a0", "y", "KX-1", "ask", Price(100), Count(100)), 3)
    work.submit(place("x1", "exit"), 3)
    assert drain(work, durable=1) == ["x0", "a0", "x1", "c0", "c1", "c2", "e0", "e1"]


def test_one_lookup_of_an_order_at_a_time() -> None:
    work = executor()
    for _ in range(3):
        work.submit(ResolveOrder("a", "KX-1", 0), 0)
    assert drain(work, 0) == ["a"]
    work.submit(ResolveOrder("a", "KX-1", 0), 0)
    assert drain(work, 0) == []
    work.looked_up("a")
    work.submit(ResolveOrder("a", "KX-1", 0), 0)
    assert drain(work, 0) == ["a"]


def test_entries_that_have_not_started_can_be_taken_back() -> None:
    work = executor()
    work.submit(place("entry"), 99)
    assert work.drop_entries() == ["entry"] and drain(work, 99) == []
