"""Moments and spans as people write them, by the writer's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.when import CLOSES, OPENS, add_business, offset_of, read_span, read_when, resolve, span

NOW = datetime(2026, 11, 23, 9, 2, 30, tzinfo=UTC)     # a Monday
relaxed = settings(deadline=None, max_examples=150)


@pytest.mark.parametrize(("text", "words", "moment"), [
    ("+2d", "+2d", "2026-11-25T09:02"), ("2 days", "+2d", "2026-11-25T09:02"), ("+ 3 Tage", "+3d", "2026-11-26T09:02"), ("+4h", "+4h", "2026-11-23T13:02"),
    ("+30m", "+30m", "2026-11-23T09:32"), ("1 Woche", "+1w", "2026-11-30T09:02"), ("2 Std", "+2h", "2026-11-23T11:02"),
    ("+2bd", "+2bd", "2026-11-25T09:02"), ("5 Arbeitstage", "+5bd", "2026-11-30T09:02"), ("3 Werktage", "+3bd", "2026-11-26T09:02"),
    ("fri", "fri", "2026-11-27T08:00"), ("Freitag", "fri", "2026-11-27T08:00"), ("mon", "mon", "2026-11-30T08:00"), ("Di.", "tue", "2026-11-24T08:00"),
    ("until fri 14:30", "fri 14:30", "2026-11-27T13:30"), ("bis zum Freitag um 9 Uhr", "fri 09:00", "2026-11-27T08:00"),
    ("tomorrow 9:00", "tomorrow 09:00", "2026-11-24T08:00"), ("Morgen, 14h", "tomorrow 14:00", "2026-11-24T13:00"),
    ("übermorgen", "overmorrow", "2026-11-25T08:00"), ("today 23:00", "today 23:00", "2026-11-23T22:00"), ("heute at 18", "today 18:00", "2026-11-23T17:00"),
    ("2026-12-24", "2026-12-24", "2026-12-24T08:00"), ("2026-12-24T14:30", "2026-12-24 14:30", "2026-12-24T13:30"),
    ("24.12.", "-----12-24", "2026-12-24T08:00"), ("1.2. 10:00", "-----02-01 10:00", "2027-02-01T09:00"), ("24.12.2026", "2026-12-24", "2026-12-24T08:00"),
    ("29.2.", "-----02-29", "2028-02-29T08:00"),
])
def test_a_moment_is_read_in_two_languages_and_found_by_the_writers_clock(text: str, words: str, moment: str) -> None:
    assert read_when(text) == words
    assert resolve(words, NOW, 60, end="morning") == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["none", "nie", "-", "never"])
def test_no_moment(text: str) -> None:
    assert resolve(read_when(text), NOW, 0, end="morning") is None


@pytest.mark.parametrize("text", [
    "", "soon", "+2", "+2 lightyears", "fri 25:00", "31.2.", "2026-13-01", "2026-02-30", "99999999d", "24.12. at noon", "fri day", "2026-11-24T99",
])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"write \+2d"):
        read_when(text)


@pytest.mark.parametrize(("text", "why"), [
    ("2020-01-01", "is past"), ("today 8:00", "is past"), ("2099-01-01", "ten years"), ("+99999d", "ten years"), ("+9999w", "ten years"), ("+9999bd", "ten years"),
])
def test_a_moment_lies_ahead_and_within_ten_years(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        resolve(read_when(text), NOW, 60, end="morning")


def test_a_day_ends_with_its_work_where_that_is_meant() -> None:
    assert resolve("fri", NOW, 0, end="evening") == datetime(2026, 11, 27, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(("begin", "days", "end"), [
    ("2026-11-27T16:00", 1, "2026-11-30T16:00"), ("2026-11-28T12:00", 1, "2026-11-30T12:00"), ("2026-11-28T12:00", 0, "2026-11-30T12:00"),
    ("2026-11-23T20:00", 1, "2026-11-24T17:00"), ("2026-11-23T06:00", 2, "2026-11-25T09:00"),
])
def test_business_days_pass_over_weekends(begin: str, days: int, end: str) -> None:
    assert add_business(datetime.fromisoformat(begin), days) == datetime.fromisoformat(end)


@relaxed
@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.integers(0, 60))  # noqa: DTZ001  # local times have no zone
def test_a_business_moment_is_in_working_time_and_not_before(begin: datetime, days: int) -> None:
    found = add_business(begin, days)
    assert found.weekday() < 5
    assert OPENS <= found.time() <= CLOSES
    between = (begin.date() + timedelta(days=n) for n in range(1, (found.date() - begin.date()).days + 1))
    assert sum(day.weekday() < 5 for day in between) == max(days, int(begin.weekday() > 4))


@pytest.mark.parametrize(("text", "minutes"), [
    ("30", 30), ("30m", 30), ("2h", 120), ("1h30", 90), ("1h 30m", 90), ("1:30", 90), ("1,5h", 90), ("0.25 Stunden", 15), ("90 Minuten", 90), ("0", 0),
])
def test_spans(text: str, minutes: int) -> None:
    assert read_span(text) == minutes


@pytest.mark.parametrize("text", ["", "h", "soon", "1:75", "-5", "100001", "9999h"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match=r"write minutes|at most"):
        read_span(text)


@pytest.mark.parametrize(("minutes", "words"), [(0, "0m"), (5, "5m"), (60, "1h"), (135, "2h 15m"), (-30, "-30m")])
def test_spans_in_words(minutes: int, words: str) -> None:
    assert span(minutes) == words


@pytest.mark.parametrize(("header", "minutes"), [
    ("Mon, 23 Nov 2026 10:00:00 +0100", 60), ("Mon, 23 Nov 2026 10:00:00 -0330 (NST)", -210), ("Mon, 23 Nov 2026 10:00:00 GMT", 0),
    ("", 0), ("Mon, 23 Nov 2026 10:00:00 +9900", 0), ("2026-11-23T10:00:00+05:30", 330),
])
def test_the_writers_zone_is_that_of_the_date(header: str, minutes: int) -> None:
    assert offset_of(header) == minutes


@relaxed
@given(st.text(max_size=40), st.integers(-720, 840))
def test_any_text_is_a_moment_ahead_or_a_refusal(text: str, offset: int) -> None:
    try:
        found = resolve(read_when(text), NOW, offset, end="morning")
    except ValueError:
        return
    assert found is None or found >= NOW.replace(second=0)
