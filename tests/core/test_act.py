"""What each command does to a ticket, and what it refuses. The grammar itself is in test_command.py."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.act import Actor, Refused, carry_out, set_status
from gateway.core.command import parse_block
from gateway.core.command_line import parse_action
from gateway.core.context import Context
from gateway.core.ledger import Ledger
from gateway.core.rows import Event, Participant, Person, Ticket
from tests.desk import ANNA, POLICY, START

ANNAS = Person(id=7, address=ANNA, name="Anna Ek", created_at=START)


def ticket(number: int, **changes: Any) -> Ticket:
    row: dict[str, Any] = {
        "id": number, "queue": "support", "status": "open", "priority": "normal", "assignee": None, "requester": 1,
        "tags": "", "created_at": START, "updated_at": START, "first_reply_at": None, "solved_at": None,
        "last_customer_at": None, "last_agent_at": None, "last_agent": None, "last_public": None,
        "merged_into": None, "version": 1,
    }
    return Ticket(**{**row, **changes})


def run(text: str, *tickets: Ticket, **more: Any) -> tuple[list[tuple[str, str]], tuple[Event, ...], Ledger]:
    """Refused lines, events and ledger of the commands in ``text`` on ticket 1, done by Anna."""
    known = tickets or (ticket(1),)
    context = Context(
        tickets={t.id: t for t in known}, persons={7: ANNAS}, person_ids={ANNA: 7},
        next_ticket=10, next_person=10, **more,
    )
    ledger = Ledger(context, "spool", START, START)
    actor = Actor(kind="agent", person=7, agent=POLICY.agent("anna"))
    block = parse_block(text)
    assert not block.suspects, block.suspects
    refused = carry_out(block.commands, 1, ledger, actor, POLICY)
    return refused, ledger.close().events, ledger


def told(events: tuple[Event, ...]) -> list[tuple[str, str | None, str | None]]:
    return [(e.kind, e.before, e.after) for e in events]


@pytest.mark.parametrize(("line", "expected"), [
    ("#pending", [("status", "open", "pending")]),
    ("#open", []),
    ("#take", [("assignee", None, "7")]),
    ("#assign anna", [("assignee", None, "7")]),
    ("#assign anna.ek@acme.example", [("assignee", None, "7")]),
    ("#release", []),
    ("#priority high", [("priority", "normal", "high")]),
    ("#priority normal", []),
    ("#tag +b, a, -c", [("tag_added", None, "b"), ("tag_added", None, "a")]),
    ("#note", []),
    ("#help", []),
])
def test_each_command_writes_its_event_with_before_and_after_and_nothing_if_nothing_changes(line, expected):
    refused, events, _ = run(line)
    assert (refused, told(events)) == ([], expected)


def test_what_is_set_already_is_taken_off_again():
    known = ticket(1, assignee=7, tags="a c", priority="high")
    _, events, ledger = run("#release\n#tag -c a\n#priority low", known)
    assert told(events) == [("assignee", "7", None), ("tag_removed", None, "c"), ("priority", "high", "low")]
    after = ledger.ticket(1)
    assert (after.assignee, after.tags, after.priority) == (None, "a", "low")


def test_assigning_to_somebody_new_to_the_desk_writes_the_person_down():
    _, events, ledger = run("#assign bert")
    (person,) = ledger.close().persons
    assert person.address == "bert@acme.example"
    assert told(events) == [("assignee", None, str(person.id))]


@pytest.mark.parametrize(("line", "known", "valid"), [
    ("#assign nobody-here", (), "agents are anna, bert, caro, or me, or none"),
    ("#pending", (ticket(1, status="closed"),), "a ticket that is closed can become open, void"),
    ("#merge XYZ-2", (), "#merge ABC-123"),
    ("#merge ABC-9", (), "ABC-9 is not a ticket here"),
    ("#merge ABC-1", (), "ABC-1 is this ticket"),
    ("#merge ABC-2", (ticket(1), ticket(2, merged_into=1, status="void")), "ABC-1 is this ticket"),
])
def test_a_refusal_says_what_would_have_been_valid(line, known, valid):
    refused, _, _ = run(line, *known)
    assert refused == [(line, valid)]


def test_a_merge_follows_redirects_and_moves_the_followers():
    mine = (Participant(ticket=1, person=3, role="requester", since=START), Participant(ticket=1, person=4, role="holder", since=START))
    theirs = (Participant(ticket=3, person=3, role="requester", since=START),)
    refused, events, ledger = run(
        "#merge ABC-2", ticket(1), ticket(2, merged_into=3, status="void"), ticket(3), participants={1: mine, 3: theirs}
    )
    assert refused == []
    assert [(e.ticket, e.kind, e.after) for e in events] == [
        (1, "merged_into", "3"), (3, "merged_from", "1"), (3, "participant_added", "4"),
    ]
    assert {p.person: p.role for p in ledger.followers(3)} == {3: "requester", 4: "holder"}, "a holder stays one"
    assert (ledger.ticket(1).status, ledger.ticket(1).merged_into) == ("void", 3)


def test_nothing_can_be_done_to_a_ticket_after_its_merge():
    refused, _, _ = run("#merge ABC-2\n#tag x", ticket(1), ticket(2))
    assert refused == [("#tag x", "the ticket is part of ABC-2 by then; write #merge last")]


def test_a_rule_acts_under_its_own_name():
    ledger = Ledger(Context(tickets={1: ticket(1)}), "spool", START, START)
    rule = Actor(kind="rule", person=None, cause="rule:night")
    lines = ("#priority low", "#tag +night", "#pending", "#assign anna")
    assert carry_out(tuple(map(parse_action, lines)), 1, ledger, rule, POLICY) == []
    assert {(e.actor_kind, e.actor, e.cause) for e in ledger.close().events} == {("rule", None, "rule:night")}


def test_nobody_can_be_me_without_being_an_agent():
    ledger = Ledger(Context(tickets={1: ticket(1)}), "spool", START, START)
    (command,) = parse_block("#take").commands
    refused = carry_out((command,), 1, ledger, Actor(kind="rule", person=None), POLICY)
    assert refused == [("#take", "agents are anna, bert, caro, or me, or none")]


def test_no_ticket_becomes_new_again():
    ledger = Ledger(Context(tickets={1: ticket(1, status="open")}), "spool", START, START)
    with pytest.raises(Refused, match="can become"):
        set_status(ledger, 1, "new", Actor(kind="agent", person=None))
