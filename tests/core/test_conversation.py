"""Conversations of an archive: who names whom, in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.conversation import Keys, conversations

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
