"""Statuses that an archive does not say, case by case, and what holds for any conversation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.shadow import Step, Turn, lives

START = datetime(2020, 1, 1, 9, 0, tzinfo=UTC)
LATE = START + timedelta(days=3650)
relaxed = settings(deadline=None, max_examples=200)


def turn(word: str) -> Turn:
    """``c0``: a customer on day 0; ``a3`` an agent, ``n3`` his note, ``m4`` a machine."""
    side = {"c": "customer", "a": "agent", "n": "agent", "m": "machine"}[word[0]]
    return Turn(at=START + timedelta(days=float(word[1:])), side=side, public=word[0] != "n")  # type: ignore[arg-type]


def told(words: str, now: datetime = LATE, *, impute: bool = True) -> list[str]:
    """Each ticket as ``begin0 open1 solved1 …``: what happened, and on which day."""
    found = lives([turn(w) for w in words.split()], now, impute=impute)
    return [" ".join(f"{s.move}{(s.at - START) / timedelta(days=1):g}" for s in steps) for steps in found]


CASES = {
    "answered, and nobody writes any more": ("c0 a1", ["begin0 speak1 open1 solved1 closed31"]),
    "the last answer of several solves": ("c0 a1 a3", ["begin0 speak1 open1 speak3 solved3 closed33"]),
    "a customer's mail before 7 days are over": ("c0 a1 c7.9 a8", ["begin0 speak1 open1 speak7.9 speak8 solved8 closed38"]),
    "7 days to the minute are enough": ("c0 a1 c8 a9", ["begin0 speak1 open1 solved1 speak8 open8 speak9 solved9 closed39"]),
    "thanks reopen, and 30 days later nobody waits": ("c0 a1 c20", ["begin0 speak1 open1 solved1 speak20 open20 closed50"]),
    "on the 30th day it is the same ticket": ("c0 a1 c31", ["begin0 speak1 open1 solved1 speak31 open31 closed61"]),
    "later it is a new one": ("c0 a1 c31.5", ["begin0 speak1 open1 solved1 closed31", "begin31.5 closed61.5"]),
    "never answered": ("c0 c2", ["begin0 speak2 closed32"]),
    "answered after months": ("c0 a60", ["begin0 speak60 open60 solved60 closed90"]),
    "asked again after months without an answer": ("c0 c60 a61", ["begin0 speak60 speak61 open61 solved61 closed91"]),
    "a note answers nobody": ("c0 n1", ["begin0 speak1 closed31"]),
    "a note behind the answer does not put it off": ("c0 a1 n2", ["begin0 speak1 open1 solved1 speak2 closed32"]),
    "a machine neither reopens nor keeps open": ("c0 a1 m9 m40", ["begin0 speak1 open1 solved1 speak9 closed31 speak40"]),
    "an agent writes first": ("a0 c1 a2", ["begin0 open0 speak1 speak2 solved2 closed32"]),
    "an agent writes to the wall": ("a0", ["begin0 open0 solved0 closed30"]),
    "machines only": ("m0 m3", ["begin0 speak3 closed33"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_imputed(name: str) -> None:
    words, expected = CASES[name]
    assert told(words) == expected


def test_what_has_not_been_seen_yet_is_not_imputed() -> None:
    assert told("c0 a1", START + timedelta(days=7)) == ["begin0 speak1 open1"]
    assert told("c0 a1", START + timedelta(days=8)) == ["begin0 speak1 open1 solved1"]
    assert told("c0 a1", START + timedelta(days=30)) == ["begin0 speak1 open1 solved1"]
    assert told("c0 a1", START + timedelta(days=31)) == ["begin0 speak1 open1 solved1 closed31"]


def test_without_imputing_a_conversation_is_one_open_ticket() -> None:
    assert told("c0 a1 c40 a41", impute=False) == ["begin0 speak1 open1 speak40 speak41"]


turns = st.lists(
    st.builds(lambda side, day: turn(f"{side}{day}"), st.sampled_from("cccaanm"), st.integers(0, 120)), min_size=1, max_size=12
).map(lambda found: sorted(found, key=lambda t: t.at))


@relaxed
@given(turns, st.booleans())
def test_every_turn_stands_once_in_order_and_time_never_goes_back(found: list[Turn], impute: bool) -> None:
    tickets = lives(found, LATE, impute=impute)
    said = [s.turn for steps in tickets for s in steps if s.move in ("begin", "speak")]
    assert said == list(range(len(found)))
    for steps in tickets:
        assert [s.move for s in steps].count("begin") == 1
        assert steps[0].move == "begin"
        assert [s.at for s in steps] == sorted(s.at for s in steps)
        assert not impute or [s.move for s in steps].count("closed") == 1


@relaxed
@given(turns)
def test_a_ticket_is_solved_at_an_answer_that_7_days_of_silence_follow(found: list[Turn]) -> None:
    """By the sentence in the documentation, not by the algorithm."""
    expected = {
        t.at for n, t in enumerate(found)
        if t.side == "agent" and t.public
        and not any(u.side == "agent" and u.public for u in _up_to_the_next_customer(found[n + 1 :]))
        and not any(u.side == "customer" and u.at - t.at < timedelta(days=7) for u in found[n + 1 :])
    }
    solved = [s for steps in lives(found, LATE, impute=True) for s in steps if s.move == "solved"]
    assert {s.at for s in solved} == expected


def _up_to_the_next_customer(found: list[Turn]) -> list[Turn]:
    out: list[Turn] = []
    for one in found:
        if one.side == "customer":
            break
        out.append(one)
    return out


def test_steps_are_values() -> None:
    assert Step(move="closed", at=START) == Step(move="closed", at=START, turn=None)
