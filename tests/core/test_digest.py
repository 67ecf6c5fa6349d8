"""Digests: what an agent is told, and that an answer's numbers mean what that agent saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.context import Needs
from gateway.core.digest import MOST_TICKETS, Agenda, Loose, addresses
from gateway.core.policy import Agent
from gateway.pipeline import decide_digest
from tests.core.test_control_mail import LOGIN, desk_of, order, the
from tests.desk import ANN, ANNA, BERT, EVE, HOUR, MINUTE, POLICY, SUPPORT, Desk, Outcome


def digest_of(desk: Desk, agenda: Agenda, agent: Agent = POLICY.agents[0]) -> Outcome:
    desk.now += MINUTE
    tickets = frozenset((*agenda.mine, *agenda.nobodys))
    context = desk.context(Needs(addresses=addresses(agent), tickets=tickets))
    rows = decide_digest(
        agent, agenda, context, desk.rooms, offset=60, fetch=lambda i, _: desk.raws[i], now=desk.now
    )
    return desk._keep(rows, [])


def agenda(mine: tuple[int, ...], nobodys: tuple[int, ...] = (), **more: Any) -> Agenda:
    return Agenda(**{"mine": mine, "nobodys": nobodys, "all_mine": len(mine), "all_nobodys": len(nobodys), **more})


def test_a_digest_numbers_his_tickets_then_nobodys():
    desk = desk_of(4)
    order(desk, "priority ABC-2 urgent\ndue ABC-2 tomorrow\ngroup ABC-4 billing")
    desk.now += 48 * HOUR
    loose = Loose(at=desk.now, sender="bob@cust.example", subject="Away", what="out_of_office")
    sent = the(digest_of(desk, agenda((2, 1), (3, 99), all_nobodys=5, waiting=(1,), loose=(loose,))))
    assert sent.row.kind == "digest"
    text = sent.text
    assert "  1  ABC-2  Fire 2\n     new, urgent, support, ann@cust.example, waits 2d 3h, overdue since" in text
    assert "  2  ABC-1  Fire 1" in text
    assert "  3  ABC-3  Fire 3" in text
    assert "and 4 more" in text
    assert "Mails of yours that wait for a word of yours: ABC-1" in text
    assert "bob@cust.example  Away  (out of office)" in text
    assert sent.mail.subject == "Your tickets on 2026-11-25"
    assert sent.mail.header("auto-submitted") == "auto-generated"
    listed = [(r.number, r.ticket) for r in desk.all.listed]
    assert listed == [(1, 2), (2, 1), (3, 3)]


def test_in_german():
    desk = desk_of(1)
    text = the(digest_of(desk, agenda((1,)), replace(POLICY.agents[0], language="de"))).text
    assert "Antworten Sie mit Nummern" in text
    assert "wartet 1h" in text


def test_nothing_to_tell_is_no_mail_but_is_done():
    desk = desk_of(1)
    done = digest_of(desk, Agenda())
    assert done.sent == ()
    assert [r.at for r in done.rows.digest_runs] == [desk.now]


def test_who_spoke_last_does_not_wait():
    desk = desk_of(1)
    notice = next(s for s in desk.sent if s.row.kind == "notice" and s.row.rcpt_to == ANNA)
    desk.answer(notice, ANNA, "Have you tried water?")
    assert "waits" not in the(digest_of(desk, agenda((1,)))).text


def test_an_answer_is_carried_out_with_the_rules_of_control_mail():
    desk = desk_of(10)
    sent = the(digest_of(desk, agenda((1, 2, 3, 4), (5, 6, 7, 8, 9))))
    done = desk.answer(sent, ANNA, "1 solved · 3 pending 2d · 5-7 @bert\n2 !; 12 close", date="Mon, 23 Nov 2026 20:00:00 +0100")
    text = the(done).text
    assert "12 is no number of that digest" in text
    assert [desk.ticket(n).status for n in (1, 3)] == ["solved", "pending"]
    holders = {n: desk.ticket(n).assignee for n in (2, 5, 6, 7)}
    assert len(set(holders.values())) == 2
    assert [k for k in done.kinds() if k[0] == "handed"] == [("handed", BERT)] * 3
    assert f"undo {done.decision.spool_id}" in text


def test_a_merge_by_number_wants_a_second_word():
    desk = desk_of(9)
    sent = the(digest_of(desk, agenda((1, 2, 3, 4), (5, 6, 7, 8, 9))))
    asked = desk.answer(sent, ANNA, "9 merge 4")
    assert (the(asked).row.kind, desk.ticket(9).merged_into) == ("rehearsal", None)
    order(desk, "close ABC-4", sender=BERT)
    desk.answer(the(asked), ANNA, "yes")
    assert desk.ticket(9).merged_into == 4


def test_an_old_digests_numbers_mean_its_own_tickets():
    desk = desk_of(3)
    old = the(digest_of(desk, agenda((1, 2))))
    new = the(digest_of(desk, agenda((3, 1))))
    desk.answer(old, ANNA, "1 solved")
    assert [desk.ticket(n).status for n in (1, 3)] == ["solved", "new"]
    desk.answer(new, ANNA, "1 pending")
    assert desk.ticket(3).status == "pending"


def test_what_others_did_since_is_told():
    desk = desk_of(3)
    sent = the(digest_of(desk, agenda((1, 2, 3))))
    order(desk, "take ABC-1", sender=ANNA)
    order(desk, "solved ABC-1\nspam ABC-2\nmerge ABC-3 ABC-2", sender=BERT)
    ack = next(s for s in desk.sent if s.row.rcpt_to == ANN and s.row.ticket == 1)
    desk.answer(ack, ANN, "It burns again.")
    text = the(desk.answer(sent, ANNA, "1 high\n1 priority high\n2 solved\n3 solved")).text
    assert "since then: new mail of the customer; status new -> solved; status solved -> open" in text
    assert "ABC-1: priority normal -> high" in text
    assert "since then: status new -> void" in text
    assert "ABC-3 is part of ABC-2" in text
    assert "assigned" not in text, "her own doing is no news"


def test_a_digest_is_answered_by_its_reader_alone():
    desk = desk_of(2)
    sent = the(digest_of(desk, agenda((1, 2))))
    before = desk.tickets
    desk.answer(sent, BERT, "1 solved")
    desk.answer(sent, EVE, "1 solved", envelope={"relay": None})
    desk.answer(sent, ANNA, "1 solved", envelope={"relay": None})
    away = desk.answer(sent, ANNA, "I am away", auto_submitted="auto-replied")
    assert desk.tickets == before
    assert away.kinds() == []


def test_numbers_without_their_digest_are_not_guessed():
    desk = desk_of(2)
    sent = the(digest_of(desk, agenda((1, 2))))
    text = the(desk.answer(sent, ANNA, "1 solved", in_reply_to="", references="")).text
    assert "numbers are those of a digest" in text


@pytest.mark.parametrize("level", [4, 3])
def test_a_reader_with_another_address_answers_too(level: int):
    desk = desk_of(2)
    sent = the(digest_of(desk, agenda((1, 2))))
    envelope = {**LOGIN, "login": "anna"} if level == 4 else {}
    desk.answer(sent, "anna.ek@acme.example", "1 solved", envelope=envelope)
    assert desk.ticket(1).status == "solved"


def test_a_digest_is_not_endless():
    desk = desk_of(1)
    desk.mail(f"Ann <{ANN}>", SUPPORT, "x", subject="y" * 500)
    sent = the(digest_of(desk, agenda((1, 2), all_mine=MOST_TICKETS + 100)))
    assert len(sent.text) < 2000
