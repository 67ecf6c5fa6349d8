"""#undo takes back what the commands of one mail did, whole or not at all; sent mail and messages stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.rows import Ticket
from tests.core.test_desk_by_mail import desk, said, two, values
from tests.desk import ANN, ANNA, BERT, DAN, POLICY, Desk, opened

ORDERS = (
    "#pending", "#pending +2d", "#solved", "#hold", "#open", "#take", "#assign bert", "#group billing", "#priority high", "#type bug",
    "#tag +a, b", "#tag -a", "#due fri", "#due none", "#spent 30m", "#estimate 1h", "#site Berlin", "#site none", f"#cc +{DAN}",
    f"#cc -{DAN}", f"#requester {DAN}", "#link blocks ABC-2", "#unlink ABC-2", "#spam", "#macro quiet",
)


def state(own: Desk, number: int = 1) -> dict[str, Any]:
    """All of a ticket that commands can change."""
    ticket = own.ticket(number)
    bare = replace(ticket, version=0, updated_at=ticket.created_at, void_from=None, solved_at=None)
    links = {(k.other, k.relation): k.until for k in own.all.ticket_links if k.ticket == number}
    return {
        "ticket": bare, "roles": own.roles(number), "fields": {k: v for k, v in values(own, number).items() if v},
        "links": {k for k, until in links.items() if until is None},
    }


def renewed(what: dict[str, Any]) -> dict[str, Any]:
    """A new ticket is open after an undo: nothing becomes new again."""
    ticket: Ticket = what["ticket"]
    return {**what, "ticket": replace(ticket, status="open") if ticket.status == "new" else ticket}


@pytest.mark.parametrize("line", ORDERS)
def test_each_command_can_be_taken_back_and_the_taking_back_too(line: str) -> None:
    own, notice, _ = two()
    own.answer(notice, ANNA, f"#open\n#tag a, c\n#site Bad Homburg\n#due 2026-12-01\n#cc +{DAN}\n#link blocks ABC-2\n#spent 1h")
    if line.startswith(f"#cc +{DAN}"):
        own.answer(notice, ANNA, f"#cc -{DAN}")
    before = state(own)
    done = own.answer(notice, ANNA, line, envelope={"login": "anna"})
    after = state(own)
    if before == after:
        return
    out = own.answer(notice, ANNA, "#undo")
    assert out.decision.disposition == "apply", said(out, kind="held_notice")
    assert state(own) == before
    assert f"taken back: {done.decision.spool_id}" in said(out)
    again = own.answer(notice, ANNA, f"#undo {out.decision.spool_id}")
    assert again.decision.disposition == "apply"
    assert state(own) == after


def test_the_last_commands_that_stand_are_taken_back_one_mail_after_the_other() -> None:
    own, notice = desk()
    own.answer(notice, ANNA, "#open\n#priority high")
    own.answer(notice, ANNA, "#priority low\n#tag a")
    own.answer(notice, ANNA, "Hello Ann.")
    for expected in (("low", "a"), ("high", ""), ("normal", "")):
        assert (own.ticket(1).priority, own.ticket(1).tags) == expected
        assert own.answer(notice, ANNA, "#undo").held == (None if expected[0] != "normal" else "commands")
    assert own.ticket(1).assignee is not None, "who answered has it, which was no command"


def test_undo_leaves_sent_mail_and_says_so_by_leaving_it() -> None:
    own, notice = desk()
    sent = own.answer(notice, ANNA, "#solved\n\nDone, Ann.")
    assert sent.to(ANN)
    out = own.answer(notice, ANNA, "#undo")
    assert own.ticket(1).status == "open", "it never becomes new again"
    assert out.kinds() == [("result", ANNA)]


def test_what_others_have_changed_since_is_not_overwritten() -> None:
    own, first = opened()
    done = own.answer(first.to(ANNA)[0], ANNA, "#priority high\n#tag a")
    own.answer(first.to(BERT)[0], BERT, "#priority low")
    out = own.answer(first.to(ANNA)[0], ANNA, f"#undo {done.decision.spool_id}")
    assert "the priority has changed since" in said(out, kind="held_notice")
    assert (own.ticket(1).priority, own.ticket(1).tags) == ("low", "a")


@pytest.mark.parametrize(("done", "then", "why"), [
    ("#pending", "#solved", "the status has changed since"), ("#site Berlin", "#site bad", "the site has changed since"),
    ("#due fri", "#due sat", "the due has changed since"),
])
def test_a_conflict_names_what_has_changed(done: str, then: str, why: str) -> None:
    own, notice = desk()
    mark = own.answer(notice, ANNA, done).decision.spool_id
    own.answer(notice, ANNA, then)
    assert why in said(own.answer(notice, ANNA, f"#undo {mark}"), kind="held_notice")


def test_only_a_lead_takes_back_what_a_colleague_ordered() -> None:
    agents = tuple(replace(a, role="lead") if a.login == "bert" else a for a in POLICY.agents)
    own, first = opened(desk=Desk(policy=replace(POLICY, agents=agents)))
    done = own.answer(first.to(BERT)[0], BERT, "#priority high")
    out = own.answer(first.to(ANNA)[0], ANNA, "#undo")
    assert "a lead may take it back" in said(out, kind="held_notice")
    own.answer(first.to(ANNA)[0], ANNA, "#priority low")
    out = own.answer(first.to(BERT)[0], BERT, "#undo")
    assert own.ticket(1).priority == "high"
    again = own.answer(first.to(BERT)[0], BERT, f"#undo {done.decision.spool_id}")
    assert own.ticket(1).priority == "normal", again.sent
    twice = own.answer(first.to(BERT)[0], BERT, f"#undo {done.decision.spool_id}")
    assert "taken back already" in said(twice, to=BERT, kind="held_notice")


def test_a_merge_can_be_taken_back_while_nothing_has_happened() -> None:
    own, notice, second = two()
    before = state(own), state(own, 2)
    own.answer(notice, ANNA, "#merge ABC-2", envelope={"login": "anna"})
    out = own.answer(second, ANNA, "#undo")
    assert out.decision.disposition == "apply", said(out, kind="held_notice")
    assert own.ticket(1).merged_into is None
    assert (renewed(state(own)), renewed(state(own, 2))) == (renewed(before[0]), renewed(before[1]))
    assert "ABC-1 is a ticket of its own again" in said(out)


def test_a_merge_stays_once_the_customer_has_written() -> None:
    own, notice, second = two()
    own.answer(notice, ANNA, "#merge ABC-2", envelope={"login": "anna"})
    own.mail(DAN, "support@acme.example", "More.", subject="Re: [ABC-2] Fire", references="<m2@cust.example>")
    out = own.answer(second, ANNA, "#undo")
    assert "ABC-2 has gone on since the merge" in said(out, kind="held_notice")
    assert own.ticket(1).merged_into == 2


def test_a_ticket_that_was_split_off_stays() -> None:
    own, notice = desk()
    done = own.answer(notice, ANNA, "#split", envelope={"login": "anna"})
    out = own.answer(notice, ANNA, f"#undo {done.decision.spool_id}")
    assert "#merge puts it back" in said(out, kind="held_notice")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ORDERS), min_size=1, max_size=5, unique_by=lambda line: line.split()[0]))
def test_any_mail_of_commands_can_be_taken_back_whole(lines: list[str]) -> None:
    own, notice, _ = two()
    own.answer(notice, ANNA, f"#open\n#tag a\n#cc +{DAN}\n#due 2026-12-01\n#link blocks ABC-2")
    before = state(own)
    out = own.answer(notice, ANNA, "\n".join(lines), envelope={"login": "anna"})
    if out.decision.disposition == "held":      # two of them contradict each other
        assert state(own) == before
        return
    if state(own) != before:
        own.answer(notice, ANNA, f"#undo {out.decision.spool_id}")
    assert state(own) == before


def test_a_transaction_reaches_every_ticket_that_it_touched() -> None:
    own, notice, second = two()
    done = own.answer(notice, ANNA, "#link blocks ABC-2")
    out = own.answer(second, ANNA, f"#undo {done.decision.spool_id}")
    assert out.decision.disposition == "apply"
    assert state(own)["links"] == state(own, 2)["links"] == set()




def test_a_tag_that_somebody_took_off_meanwhile_does_not_hinder_the_undo() -> None:
    own, notice, _ = two()
    done = own.answer(notice, ANNA, "#tag +a, b")
    own.answer(notice, ANNA, "#tag -a")
    out = own.answer(notice, ANNA, f"#undo {done.decision.spool_id}")
    assert out.decision.disposition == "apply"
    assert own.ticket(1).tags == ""


def test_an_answer_without_commands_has_nothing_to_take_back() -> None:
    own, notice, _ = two()
    done = own.answer(notice, ANNA, "Have you tried water?")
    before = own.ticket(1)
    out = own.answer(notice, ANNA, f"#undo {done.decision.spool_id}")
    assert out.decision.disposition == "apply"
    after = own.ticket(1)
    assert (after.status, after.assignee) == (before.status, before.assignee)
