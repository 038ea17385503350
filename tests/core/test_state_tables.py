"""docs/state-tables.md is what the tables say, and what a running core does."""

from state_tables import MODES, PAGE, VERBS, page

from bot.core import commands


def test_the_page_is_drawn_from_the_tables_as_they_are() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.core.state_tables` and look at what changed"


def test_in_no_mode_and_after_no_word_is_a_stop_held_back() -> None:
    text = page()
    assert "NOT" not in text and "held back" not in text
    assert all(f"**{name}**" in text for name in (*MODES, *VERBS))


def test_every_word_of_the_table_says_what_it_does() -> None:
    assert set(commands.SAYS) == set(VERBS)
