"""The retry schedule rises, varies a little, ends after five days, and does not trust the clock."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.retry import LIFETIME, next_attempt

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
