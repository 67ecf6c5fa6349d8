"""What a stranger writes is shown on one line, whole as far as it can be seen, and turns nothing around."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.text import plain


@pytest.mark.parametrize(("text", "shown"), [
    ("Rechnung Größe 猫 تذكرة", "Rechnung Größe 猫 تذكرة"),
    ("\u202egpj.exe", "\N{REPLACEMENT CHARACTER}gpj.exe"),
    ("one\r\nline\t!", "one  line !"),
    ("zero\u200bwidth\x00", "zero\N{REPLACEMENT CHARACTER}width\N{REPLACEMENT CHARACTER}"),
    ("👩\u200d💻", "👩\u200d💻"),
    ("x" * 71, "x" * 69 + "…"),
    ("", ""),
])
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_any_text_is_short_and_has_nothing_unseen_in_it(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= 70
    assert all(c in "\u200c\u200d" or not unicodedata.category(c).startswith(("C", "Z")) or unicodedata.category(c) == "Zs" for c in shown)


def test_durations_in_words_never_promise_more_than_they_were() -> None:
    words = pytest.importorskip("reports.tables").words
    told = [words(timedelta(seconds=s)) for s in (0, 59, 60, 3599, 3600, 86399, 86400, 90000)]
    assert told == ["under 1 min", "under 1 min", "1 min", "59 min", "1 h 00 min", "23 h 59 min", "1 d 0 h", "1 d 1 h"]
    assert words(None) == "–"
