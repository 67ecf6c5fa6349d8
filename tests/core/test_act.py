"""What each command does to a ticket, and what it refuses. The grammar itself is in test_command.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.act import Actor, Refused, carry_out, perform, set_status, split, too_low
from gateway.core.authority import ORDER
from gateway.core.command import parse_block
from gateway.core.command_line import parse_action, row_of
from gateway.core.command_table import COMMANDS, CommandRow
from gateway.core.context import Context
from gateway.core.ledger import Ledger
from gateway.core.rows import Event, Participant, Person, Ticket
from tests.desk import ANNA, DAN, POLICY, START

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


# --- Who may --------------------------------------------------------------------------------

VALUE = {
    "status": "open", "assign": "me", "priority": "low", "tag": "x", "merge": "ABC-2", "revive": "a@b.example", "group": "billing",
    "type": "bug", "macro": "reset", "requester": "a@b.example", "cc": "a@b.example", "link": "ABC-2", "unlink": "ABC-2", "due": "fri",
    "spent": "5m", "estimate": "1h", "field": "a=b", "search": "words", "vendor": "help@supplier.example",
}


def permitted(row: CommandRow, role: str, level: int) -> bool:
    """Whether ``perform`` lets this role at this level try; what the act then says is another matter."""
    ledger = Ledger(Context(tickets={1: ticket(1), 2: ticket(2)}, persons={7: ANNAS}, person_ids={ANNA: 7}, next_person=10), "spool", START, START)
    agent = replace(POLICY.agents[0], role=role)
    (command,) = parse_block(f"#{row.name} {VALUE.get(row.name, '')}").commands
    before = ledger.close()
    done = perform([command], 1, ledger, Actor(kind="agent", person=7, agent=agent), level, POLICY)
    if done.refused:
        assert ledger.close() == before, "all or nothing"
    return not any(why.startswith(("this is for", "this needs")) for _, why in done.refused)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
@pytest.mark.parametrize("role", ORDER[1:])
@pytest.mark.parametrize("level", range(5))
def test_each_command_for_each_role_at_each_level(row: CommandRow, role: str, level: int) -> None:
    canonical = row_of(row.means[0]) if row.means else row
    expected = ORDER.index(role) >= ORDER.index(canonical.who) and level >= canonical.level
    assert permitted(row, role, level) == expected


@pytest.mark.parametrize("name", ["merge", "requester", "split", "fwd"])
def test_what_cannot_easily_be_mended_needs_level_4(name):
    row = row_of(name)
    assert not permitted(row, "admin", 3)
    assert permitted(row, "agent", 4)
    assert [c.name for c in too_low(parse_block(f"#{name} {VALUE.get(name, '')}\n#note").commands, 3)] == [name]


def test_perform_says_what_changed_and_takes_it_over_or_leaves_all_as_it_was():
    ledger = Ledger(Context(tickets={1: ticket(1), 2: ticket(2)}, persons={7: ANNAS}, person_ids={ANNA: 7}, next_person=10), "mail7", START, START)
    anna = Actor(kind="agent", person=7, agent=POLICY.agent("anna"))
    lines = "#pending +2d\n#take\n#tag a\n#link blocks ABC-2\n#spent 90m\n#estimate 2h\n#group billing\n#type bug\n#due fri"
    done = perform(parse_block(lines).commands, 1, ledger, anna, 3, POLICY)
    assert done.refused == ()
    assert done.transaction == "mail7"
    assert done.changed == (
        "status open -> pending", "pending until 2026-11-25 09:00 UTC", "assigned to anna@acme.example", "tag +a",
        "blocks ABC-2", "ABC-2: blocked by ABC-1", "1h 30m spent", "estimate 2h", "moved from support to billing", "assigned to nobody", "type bug",
        "due 2026-11-27 17:00 UTC",
    )
    count = len(ledger.events)
    again = perform(parse_block("#solved\n#assign nobody-here").commands, 1, ledger, anna, 3, POLICY, language="de")
    assert [line for line, _ in again.refused] == ["#assign nobody-here"]
    assert (len(ledger.events), ledger.ticket(1).status) == (count, "pending")
    german = perform(parse_block("#solved\n#tag -a").commands, 1, ledger, replace(anna, offset=60), 3, POLICY, language="de-AT")
    assert german.changed == ("Status pending -> solved", "Schlagwort -a")


def test_only_customers_unsubscribe():
    refused, events, _ = run("#unsubscribe")
    assert refused == [("#unsubscribe", "customers write this; take somebody off the ticket with #cc -ann@acme.example")]
    assert events == ()


# --- Tickets that nobody asked for, and what is so already ---


def test_a_ticket_without_requester_gets_one():
    refused, events, ledger = run(f"#requester {DAN}", ticket(1, requester=None))
    assert (refused, [e.kind for e in events]) == ([], ["participant_added", "requester"])
    assert ledger.ticket(1).requester == 10


def test_who_is_the_requester_already_is_not_made_it_again():
    refused, events, _ = run(f"#requester {DAN}", ticket(1, requester=10))
    assert (refused, told(events)) == ([], [])


def test_who_stands_there_as_requester_needs_no_new_role():
    on_it = (Participant(ticket=1, person=10, role="requester", since=START),)
    refused, events, _ = run(f"#requester {DAN}", ticket(1, requester=None), participants={1: on_it})
    assert (refused, [e.kind for e in events]) == ([], ["requester"])


def test_spam_comes_back_as_what_it_was():
    refused, _, ledger = run("#restore", ticket(1, status="void", void_from="pending"))
    assert (refused, ledger.ticket(1).status) == ([], "pending")


def test_what_is_split_off_a_ticket_without_requester_has_none_either():
    ledger = Ledger(Context(tickets={1: ticket(1, requester=None)}, next_ticket=10), "spool", START, START)
    new = split(ledger, 1, "", None, Actor(kind="agent", person=7, agent=POLICY.agent("anna")), POLICY)
    assert (ledger.ticket(new).requester, ledger.followers(new)) == (None, ())


@pytest.mark.parametrize("line", ["#split", "#undo", "#drop", "#help"])
def test_what_no_macro_may_do(line):
    with pytest.raises(ValueError, match="cannot stand in a macro"):
        parse_action(line, by_rule=False)
