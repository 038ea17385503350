"""Changes between pages: applying them gives the new page; doing it twice, or only the last of a key, does no harm."""

import copy
import random

from hypothesis import given
from hypothesis import strategies as st

from web.diff import diff

rows = st.dictionaries(
    st.sampled_from("abcd"), st.one_of(st.integers(0, 3), st.fixed_dictionaries({"p": st.text("01")}))
)
pages = st.dictionaries(st.sampled_from(["positions", "orders", "status"]), rows)


def fold(page, changes):
    page = copy.deepcopy(page)
    for change in changes:
        rows = page.setdefault(change["coll"], {})
        if change["op"] == "upsert":
            rows[change["key"]] = change["v"]
        else:
            rows.pop(change["key"], None)
    return page


def filled(page):
    return {coll: rows for coll, rows in page.items() if rows}


@given(pages, pages)
def test_the_changes_turn_the_old_page_into_the_new(old, new):
    changes = diff(old, new)
    assert filled(fold(old, changes)) == filled(new)
    assert filled(fold(old, changes + changes)) == filled(new)


@given(pages, pages, pages)
def test_only_the_last_change_of_each_key_is_needed(one, two, three):
    changes = diff(one, two) + diff(two, three)
    last = {(change["coll"], change["key"]): change for change in changes}
    shuffled = list(last.values())
    random.Random(1).shuffle(shuffled)
    assert filled(fold(one, shuffled)) == filled(three)


def test_an_equal_page_has_no_changes():
    page = {"money": {"cash": "1.000000"}}
    assert diff(page, copy.deepcopy(page)) == []
