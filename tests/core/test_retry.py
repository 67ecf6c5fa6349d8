"""The retry schedule rises, varies a little, ends after five days, and does not trust the clock."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.retry import LATE, LIFETIME, is_late, next_attempt, settled
from gateway.core.rows import Delivery

START = datetime(2026, 11, 23, tzinfo=UTC)


def schedule(spread: float) -> list[timedelta]:
    """Ages at which a mail that always fails at once is tried."""
    ages: list[timedelta] = []
    following = next_attempt(0, START, START, spread)
    while following is not None:
        ages.append(following - START)
        following = next_attempt(len(ages), START, following, spread)
    return ages


def test_the_schedule_is_the_documented_one() -> None:
    """At once, then after 1, 5, 15, 30 min, 1, 2, 4, 8 h, then every 8 h, the last at five days."""
    ages = schedule(0)
    waits = [later - earlier for earlier, later in itertools.pairwise(ages)]
    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert ages[0] == timedelta(0)
    assert minutes[:-1] == [1, 5, 15, 30, 60, 120, 240, *[480] * 14]
    assert ages[-1] == LIFETIME


@pytest.mark.parametrize(("spread", "minutes"), [(-1.0, 13.5), (0.0, 15.0), (0.5, 15.75), (1.0, 16.5)])
def test_jitter_is_ten_percent_either_way(spread: float, minutes: float) -> None:
    now = START + timedelta(hours=2)
    assert next_attempt(3, START, now, spread) == now + timedelta(minutes=minutes)


@given(st.floats(-1, 1))
def test_every_spread_ends_at_five_days(spread: float) -> None:
    """Never more than about twenty attempts, and none after the end."""
    ages = schedule(spread)
    assert ages == sorted(ages)
    assert ages[-1] == LIFETIME
    assert 20 <= len(ages) <= 25


@given(st.integers(0, 8), st.integers(-(10**7), 10**7))
def test_no_early_give_up_when_the_clock_jumps(attempts: int, seconds: int) -> None:
    """Within the rising part there is always a next time, in the future, not years away."""
    now = START + timedelta(seconds=seconds)
    found = next_attempt(attempts, START, now, 0)
    assert found is not None
    assert now <= found <= now + timedelta(hours=8)


def test_an_old_mail_with_a_full_schedule_is_given_up() -> None:
    late = START + LIFETIME
    assert next_attempt(9, START, late, 0) is None
    assert next_attempt(9, START, late - timedelta(seconds=1), 1) == late
    assert next_attempt(500, START, START, 0) == START + timedelta(hours=8)


# --- What follows from an attempt -----------------------------------------------------------

PUT_OFF = Delivery(
    outbox=1, state="deferred", attempts=5, next_at=START + LATE, changed_at=START, reply="451 4.3.0 later"
)


@pytest.mark.parametrize(("kind", "change", "late"), [
    ("reply", {}, True),
    ("reply", {"next_at": START + LATE - timedelta(seconds=1)}, False),
    ("reply", {"told_at": START}, False),
    ("reply", {"state": "sent"}, False),
    ("reply", {"state": "uncertain"}, False),
    ("reply", {"reply": "connection lost at RCPT: timeout"}, False),    # nobody answers: the word would wait as well
    ("reply", {"reply": "535 5.7.8 no"}, False),                        # our login, not the agent's matter
    ("notice", {}, False), ("ack", {}, False), ("undelivered", {}, False),
])
def test_who_must_hear_that_a_mail_is_late(kind, change, late) -> None:
    """Once, of answers only, when the other side has put them off beyond the hour."""
    assert is_late(kind, START, replace(PUT_OFF, **change)) == late


@pytest.mark.parametrize("state", ["bounced", "delayed", "sent", "failed"])
def test_a_report_that_came_while_we_sent_stands(state) -> None:
    known = replace(PUT_OFF, state=state)
    assert settled(known, PUT_OFF) is known


def test_without_a_report_what_we_saw_stands() -> None:
    assert settled(replace(PUT_OFF, state="sending"), PUT_OFF) is PUT_OFF
    assert settled(None, PUT_OFF) is PUT_OFF
