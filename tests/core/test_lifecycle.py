"""A ticket is the fold of its events; what cannot happen is refused and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.lifecycle import CHANGES, TRANSITIONS, apply, fold, may_move
from gateway.core.model import EventKind, Status
from gateway.core.rows import Event, Ticket

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STATUSES = get_args(Status)
relaxed = settings(deadline=None, max_examples=100)


def event(kind: str, minute: int = 0, **fields: Any) -> Event:
    base: dict[str, Any] = {
        "seq": minute, "ticket": 7, "at": T0 + timedelta(minutes=minute), "recorded_at": T0, "kind": kind,
        "actor_kind": "agent", "actor": 2, "cause": "spool", "message": None, "is_public": False,
        "is_auto": False, "before": None, "after": None,
    }
    return Event(**{**base, **fields})


CREATED = event("created", actor_kind="customer", actor=1, message=10, is_public=True, after="support")
NEW = apply(None, CREATED)


def moved(*statuses: str) -> Ticket:
    ticket = NEW
    for minute, status in enumerate(statuses, 1):
        ticket = apply(ticket, event("status", minute, before=ticket.status, after=status))
    return ticket


def test_a_created_ticket_is_new_normal_and_its_requesters() -> None:
    assert NEW == Ticket(  # noqa: SIM300  # NEW is the result, not the constant
        id=7, queue="support", status="new", priority="normal", assignee=None, requester=1, tags="",
        created_at=T0, updated_at=T0, first_reply_at=None, solved_at=None, last_customer_at=T0,
        last_agent_at=None, last_agent=None, last_public=10, merged_into=None, version=1,
    )


@pytest.mark.parametrize("fields", [
    {"actor_kind": "agent"}, {"is_auto": True}, {"message": None}, {"is_public": False},
])
def test_only_a_customers_own_public_words_start_his_clock(fields: dict[str, Any]) -> None:
    assert apply(None, replace(CREATED, **fields)).last_customer_at is None


def test_customer_reply_moves_his_clock_and_not_the_status() -> None:
    after = apply(NEW, event("customer_reply", 5, actor_kind="customer", message=11, is_public=True))
    assert (after.last_customer_at, after.last_public, after.status) == (T0 + timedelta(minutes=5), 11, "new")
    assert after.updated_at == after.last_customer_at


def test_first_reply_stays_the_first_and_last_agent_is_the_last() -> None:
    one = apply(NEW, event("agent_reply", 5, message=11, is_public=True))
    two = apply(one, event("agent_reply", 9, message=12, is_public=True, actor=3))
    assert two.first_reply_at == T0 + timedelta(minutes=5)
    assert (two.last_agent_at, two.last_agent, two.last_public) == (T0 + timedelta(minutes=9), 3, 12)


@pytest.mark.parametrize("kind", ["customer_reply", "agent_reply"])
@pytest.mark.parametrize("fields", [{"is_public": False}, {"is_public": True, "is_auto": True}])
def test_what_is_internal_or_automatic_is_no_reply_of_either_side(kind: str, fields: dict[str, Any]) -> None:
    after = apply(NEW, event(kind, 5, message=11, **fields))
    assert after == replace(NEW, version=2, updated_at=T0 + timedelta(minutes=5))


@pytest.mark.parametrize("kind", ["note", "machine_mail", "held", "released", "copy", "acknowledged", "bounced"])
def test_silent_events_touch_only_version_and_time(kind: str) -> None:
    assert apply(NEW, event(kind, 3, message=11)) == replace(NEW, version=2, updated_at=T0 + timedelta(minutes=3))


@pytest.mark.parametrize("kind", ["participant_added", "linked", "merged_from"])
def test_relations_count_and_nothing_else(kind: str) -> None:
    assert apply(NEW, event(kind, 3, after="8")) == replace(NEW, version=2)


def test_time_never_goes_back() -> None:
    late = apply(NEW, event("note", 30))
    assert apply(late, event("customer_reply", 10, message=11, is_public=True)).updated_at == late.updated_at


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_the_table_alone_says_which_moves_exist(before: Status, after: Status) -> None:
    ticket = replace(NEW, status=before)
    move = event("status", 1, before=before, after=after)
    assert may_move(before, after) == (after in TRANSITIONS[before])
    if may_move(before, after):
        assert apply(ticket, move).status == after
    else:
        with pytest.raises(ValueError, match=f"a ticket that is {before} can become"):
            apply(ticket, move)


def test_solved_at_is_set_once_and_cleared_on_reopen() -> None:
    assert moved("solved").solved_at == T0 + timedelta(minutes=1)
    assert moved("solved", "closed").solved_at == T0 + timedelta(minutes=1)
    assert moved("open", "closed").solved_at == T0 + timedelta(minutes=2)
    assert moved("solved", "open").solved_at is None
    assert moved("solved", "open", "solved").solved_at == T0 + timedelta(minutes=3)


def test_void_keeps_the_dates_for_a_restore() -> None:
    assert moved("solved", "void").solved_at == moved("solved", "void", "solved").solved_at == moved("solved").solved_at


def test_assignee_priority_queue_and_tags_follow_their_events() -> None:
    ticket = fold([
        CREATED, event("assignee", 1, after="42"), event("priority", 2, after="urgent"), event("queue", 3, after="billing"),
        event("tag_added", 4, after="vip"), event("tag_added", 5, after="beta"), event("tag_added", 6, after="vip"),
        event("tag_added", 7, after="old"), event("tag_removed", 8, after="old"), event("tag_removed", 9, after="never"),
    ])
    assert (ticket.assignee, ticket.priority, ticket.queue, ticket.tags) == (42, "urgent", "billing", "beta vip")
    assert apply(ticket, event("assignee", 10, before="42")).assignee is None


def test_merged_away_is_void_for_ever() -> None:
    merged = apply(NEW, event("merged_into", 2, after="9"))
    assert (merged.merged_into, merged.status) == (9, "void")
    for bad in (event("merged_into", 3, after="10"), event("status", 3, before="void", after="open")):
        with pytest.raises(ValueError, match="merged into 9"):
            apply(merged, bad)


@pytest.mark.parametrize(("bad", "why"), [
    (replace(CREATED, seq=3), "exists already"),
    (event("note", ticket=8), "applied to ticket 7"),
    (event("status", before="open", after="solved"), "the ticket is new, not open"),
    (event("status", before="new", after="frozen"), "not frozen"),
    (event("assignee", after="anna"), "decimal"),
    (event("assignee", after="-1"), "decimal"),
    (event("assignee", after="٣"), "decimal"),
    (event("priority", after="huge"), "priorities are low"),
    (event("queue", after=""), "name the queue"),
    (event("tag_added", after="two words"), "one tag"),
    (event("tag_removed", after=None), "one tag"),
    (event("merged_into", after=None), "decimal"),
    (event("merged_into", after="7"), "into itself"),
])
def test_the_impossible_is_refused_and_says_why(bad: Event, why: str) -> None:
    before = replace(NEW)
    with pytest.raises(ValueError, match=why):
        apply(NEW, bad)
    assert before == NEW


@pytest.mark.parametrize("first", [event("note"), replace(CREATED, after=None)])
def test_life_begins_with_created_in_a_queue(first: Event) -> None:
    with pytest.raises(ValueError, match="impossible"):
        apply(None, first)


def test_no_events_make_no_ticket() -> None:
    with pytest.raises(ValueError, match="without events"):
        fold([])


def test_every_kind_of_event_has_its_effect() -> None:
    assert set(CHANGES) == set(get_args(EventKind)) - {"created"}


values = st.one_of(st.none(), st.sampled_from(["open", "solved", "closed", "void", "urgent", "vip", "9", "7", "a b"]))
histories = st.lists(st.builds(
    event, st.sampled_from(sorted(CHANGES)), st.integers(0, 99), after=values, before=st.sampled_from(STATUSES),
    is_public=st.booleans(), is_auto=st.booleans(), message=st.one_of(st.none(), st.integers(1, 9)),
), max_size=20)


@relaxed
@given(histories)
def test_fold_is_stepwise_apply_and_counts_what_happened(history: list[Event]) -> None:
    ticket, happened = NEW, [CREATED]
    for one in history:
        try:
            after = apply(ticket, one)
        except ValueError:
            continue
        assert after.version == ticket.version + 1
        assert after.updated_at >= ticket.updated_at
        ticket = after
        happened.append(one)
    assert fold(happened) == ticket
    assert (ticket.status == "void") or ticket.merged_into is None


@pytest.mark.parametrize(("kind", "fields", "why"), [
    ("type", {"after": "party"}, "types are question"), ("due", {"after": "soon"}, "a time with its zone"),
    ("due", {"after": "2026-12-24T09:00:00"}, "a time with its zone"), ("until", {"after": "2026-12-24T09:00:00+00:00"}, "only a pending ticket"),
    ("spent", {"after": "-1"}, "only 0 minutes"), ("spent", {"after": None}, "minutes in decimal digits"), ("estimate", {"after": "1h"}, "minutes in decimal"),
    ("unmerged_into", {"before": "8"}, "is not merged into 8"),
])
def test_what_commands_cannot_do_to_a_ticket(kind: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        apply(NEW, event(kind, 1, **fields))


def test_type_times_and_minutes_are_folded() -> None:
    ticket = moved("pending")
    for kind, after in (("type", "bug"), ("due", "2026-12-24T09:00:00+00:00"), ("until", "2026-12-01T09:00:00+00:00"), ("spent", "30"),
                        ("spent", "-10"), ("estimate", "90")):
        ticket = apply(ticket, event(kind, 2, after=after))
    assert (ticket.type, ticket.spent_minutes, ticket.estimate_minutes) == ("bug", 20, 90)
    assert ticket.pending_until == datetime(2026, 12, 1, 9, tzinfo=UTC)
    cleared = apply(apply(ticket, event("due", 3)), event("estimate", 3))
    assert (cleared.due_at, cleared.estimate_minutes) == (None, None)
    assert apply(cleared, event("status", 4, before="pending", after="open")).pending_until is None


def test_a_merge_that_is_undone_gives_the_status_back_and_so_does_void() -> None:
    merged = apply(moved("pending"), event("merged_into", 2, after="8"))
    assert (merged.status, merged.void_from) == ("void", "pending")
    assert apply(merged, event("unmerged_into", 3, before="8")).status == "pending"
    void = moved("void")
    assert void.void_from == "new"
    again = apply(apply(void, event("merged_into", 2, after="8")), event("unmerged_into", 3, before="8"))
    assert (again.status, again.void_from) == ("new", None)
