"""Conversations of an archive: who names whom, in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.conversation import Conversations, Keys, Letter, by_subject, conversations, own_time

relaxed = settings(deadline=None, max_examples=80)


def mail(ref: str, *references: str, reply: tuple[str, ...] = ()) -> Keys:
    return Keys(ref=ref, references=references, in_reply_to=reply)


def test_no_mail_makes_no_conversation() -> None:
    assert conversations([]) == []


def test_replies_join_by_either_header_and_others_stay_apart() -> None:
    mails = [mail("a@x"), mail("b@x", reply=("a@x",)), mail("c@x"), mail("d@x", "a@x", "b@x"), mail("e@x", "c@x")]
    assert conversations(mails) == [0, 0, 1, 0, 1]


def test_a_reply_may_stand_before_its_original() -> None:
    assert conversations([mail("b@x", "a@x"), mail("c@x"), mail("a@x")]) == [0, 1, 0]


def test_answers_to_a_mail_never_seen_belong_together() -> None:
    assert conversations([mail("b@x", "gone@x"), mail("c@x", reply=("gone@x",))]) == [0, 0]


def test_one_mail_may_join_two_conversations_late() -> None:
    assert conversations([mail("a@x"), mail("b@x"), mail("c@x", "a@x", "b@x")]) == [0, 0, 0]


def test_a_second_copy_is_the_same_mail() -> None:
    assert conversations([mail("a@x"), mail("b@x"), mail("a@x", "root@x"), mail("c@x", "root@x")]) == [0, 1, 0, 0]


def test_what_is_no_id_joins_nothing() -> None:
    mails = [mail(f"{n}@x", "", "<", "y", "1", "of Monday", reply=("", "no")) for n in range(3)]
    assert conversations(mails) == [0, 1, 2]


def test_an_id_without_a_host_is_one_all_the_same() -> None:
    assert conversations([mail("a@x", "yes"), mail("b@x", "yes")]) == [0, 0]


def test_a_mail_without_an_id_stands_alone_under_any_unique_text() -> None:
    assert conversations([mail("box#1"), mail("box#2"), mail("", "a@x"), mail("a@x")]) == [0, 1, 2, 2]


def test_a_long_chain_is_no_recursion() -> None:
    chain = [mail(f"{n}@x", f"{n + 1}@x") for n in range(20_000)]
    assert set(conversations(chain)) == {0}
    assert set(conversations(chain[::-1])) == {0}


names = st.sampled_from([f"{n}@x" for n in range(9)])
archives = st.lists(st.builds(mail, names, names, names) | st.builds(mail, names), max_size=12)


@given(archives, st.randoms(use_true_random=False))
@relaxed
def test_groups_do_not_depend_on_the_order(mails: list[Keys], random) -> None:  # type: ignore[no-untyped-def]
    def groups(some: list[Keys]) -> set[frozenset[str]]:
        numbers = conversations(some)
        return {frozenset(m.ref for m, n in zip(some, numbers, strict=True) if n == one) for one in numbers}

    mixed = mails[:]
    random.shuffle(mixed)
    assert groups(mixed) == groups(mails)


@given(archives)
@relaxed
def test_groups_are_those_of_a_plain_graph_search(mails: list[Keys]) -> None:
    """The oracle joins sets until nothing changes."""
    sets = [{m.ref, *m.references} for m in mails]
    for _ in sets:
        for one in sets:
            for other in sets:
                if one & other:
                    one |= other
    numbers = conversations(mails)
    for one, number in zip(mails, numbers, strict=True):
        for other, reach, n in zip(mails, sets, numbers, strict=True):
            assert (number == n) == (one.ref in reach)
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


# --- When -----------------------------------------------------------------------------------

MONDAY = datetime(2020, 3, 2, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = MONDAY + 400 * DAY


@pytest.mark.parametrize(("date", "first", "last", "given", "expected"), [
    (0 * HOUR, HOUR, 2 * HOUR, None, 0 * HOUR),
    (3 * HOUR, HOUR, 2 * HOUR, None, 2 * HOUR),
    (-30 * HOUR, HOUR, 2 * HOUR, None, HOUR),
    (-20 * HOUR, HOUR, 2 * HOUR, None, -20 * HOUR),
    (None, HOUR, 2 * HOUR, 5 * HOUR, 2 * HOUR),
    (None, None, None, 5 * HOUR, 5 * HOUR),
    (None, None, None, None, None),
    (-60 * 365 * DAY, None, None, 5 * HOUR, 5 * HOUR),
    (500 * DAY, None, None, None, None),
    (400.5 * DAY, None, None, None, 400 * DAY),
    (0 * HOUR, None, None, 5 * HOUR, 0 * HOUR),
], ids=[
    "Date", "a clock that is fast", "a clock that is days slow", "written in the evening, sent in the morning", "no Date",
    "only the archive knows", "nobody knows", "a clock without a battery", "the future", "a zone that was mistaken", "no servers",
])
def test_when_a_mail_was_sent(
    date: timedelta | None, first: timedelta | None, last: timedelta | None, given: timedelta | None, expected: timedelta | None
) -> None:
    at = [None if t is None else MONDAY + t for t in (date, first, last, given)]
    assert own_time(*at, NOW) == (None if expected is None else MONDAY + expected)


# --- By subject -----------------------------------------------------------------------------


def letter(ref: str, day: float, sender: str, to: str, base: str = "toner is empty", *, answers: bool = True) -> Letter:
    return Letter(ref=ref, at=MONDAY + day * DAY, base=base, answers=answers, sender=sender, people=frozenset((sender, to)))


QUESTION = letter("q", 0, "ann", "desk", answers=False)


@pytest.mark.parametrize(("others", "pairs"), [
    ([letter("a", 1, "desk", "ann")], [("a", "q")]),
    ([letter("a", 1, "desk", "ann"), letter("b", 29, "ann", "desk")], [("a", "q"), ("b", "a")]),
    ([letter("a", 31, "desk", "ann")], []),
    ([letter("a", 1, "ben", "desk")], []),
    ([letter("a", 1, "desk", "ben")], []),
    ([letter("a", 1, "desk", "ann", answers=False)], []),
    ([letter("a", 1, "desk", "ann", "another")], []),
    ([letter("h", 0, "ann", "desk", "hi", answers=False), letter("a", 1, "desk", "ann", "hi")], []),
], ids=["an answer", "the newest", "too late", "a stranger", "to a stranger", "no reply", "another subject", "too short"])
def test_a_subject_ties_a_reply_to_the_mail_it_answers(others: list[Letter], pairs: list[tuple[str, str]]) -> None:
    assert list(by_subject([*others[::-1], QUESTION])) == pairs


def test_groups_can_be_joined_late() -> None:
    groups = Conversations()
    one, other = groups.add(mail("a@x")), groups.add(mail("b@x"))
    assert groups.root(one) != groups.root(other)
    groups.join("a@x", "b@x")
    assert groups.root(one) == groups.root(other)
