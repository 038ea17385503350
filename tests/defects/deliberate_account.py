"""Deliberate defects of the account's truth: readings, what was found on the exchange, differences, the journal."""

from tests.defects.deliberate import Defect

# fmt: off
ACCOUNT = (
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
)
# fmt: on
