"""A ticket that is pending until a moment is open again then."""

from __future__ import annotations

from datetime import timedelta

from gateway.core.context import Needs
from gateway.core.woken import woken
from tests.desk import ANN, ANNA, BERT, opened


def test_a_pending_ticket_is_open_again_when_its_time_has_come_and_its_agents_hear() -> None:
    desk, first = opened()
    desk.answer(first.to(ANNA)[0], ANNA, "#pending +2h")
    assert desk.wake().rows.events == ()
    desk.now += timedelta(hours=2)
    out = desk.wake()
    assert out.events(1) == ["status"]
    assert (desk.ticket(1).status, desk.ticket(1).pending_until) == ("open", None)
    assert out.kinds() == [("handed", ANNA), ("handed", BERT)]
    assert "was pending until now" in out.sent[0].text
    assert "It is on fire." in out.sent[0].text
    assert desk.wake().sent == ()


def test_two_at_once_and_one_that_waits_no_more() -> None:
    desk, first = opened()
    second = desk.mail(ANN, "support@acme.example", "More.", subject="Lamp")
    for notice in (first, second):
        desk.answer(notice.to(ANNA)[0], ANNA, "#pending +1h\n#take")
    desk.now += timedelta(hours=3)
    assert [s.row.rcpt_to for s in desk.wake().sent] == [ANNA, ANNA]
    assert woken(1, context=desk.context(Needs()), policy=desk.policy, now=desk.now) is None


def test_the_customers_answer_ends_the_waiting() -> None:
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, "#pending +1h\n\nDid it help?")
    desk.answer(out.to(ANN)[0], ANN, "Yes.", to="support@acme.example", envelope={"relay": "partner"})
    assert (desk.ticket(1).status, desk.ticket(1).pending_until) == ("open", None)
    desk.now += timedelta(hours=2)
    assert desk.wake().sent == ()
