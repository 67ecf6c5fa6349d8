"""Many mails in one batch: the same as one after the other (architecture ruling 1)."""

from __future__ import annotations

import itertools

import pytest

from gateway.core.model import Spooled
from gateway.pipeline import waves
from tests.desk import ANN, ANNA, BERT, BILLING, DAN, EVE, POLICY, SUPPORT, Desk, Outcome, answered


def numbers(batch: list[Spooled]) -> list[list[str]]:
    return [[m.spool_id.lstrip("0") for m in wave] for wave in waves(batch, POLICY)]


def test_mails_that_have_nothing_in_common_are_decided_in_one_wave():
    desk = Desk()
    assert numbers([desk.write(f"u{i}@x{i}.example", SUPPORT, f"t{i}") for i in range(4)]) == [["1", "2", "3", "4"]]


def test_each_mail_stands_one_wave_after_the_last_it_shares_a_key_with():
    desk = Desk()
    batch = [
        desk.write(ANN, SUPPORT, "a"), desk.write(DAN, SUPPORT, "b"), desk.write(ANN, SUPPORT, "c"),
        desk.write(DAN, SUPPORT, "d", in_reply_to="<m3@cust.example>"),
    ]
    assert numbers(batch) == [["1", "2"], ["3"], ["4"]]


def test_no_mails_make_no_wave():
    assert numbers([]) == []


def test_a_mail_and_the_answer_to_it_in_one_batch_are_one_ticket():
    desk = Desk()
    out = desk.receive(
        desk.write(ANN, SUPPORT, "It burns.", message_id="<p@cust.example>"),
        desk.write(ANN, SUPPORT, "It still burns.", in_reply_to="<p@cust.example>", subject="Re: other"),
    )
    assert list(desk.tickets) == [1]
    assert out.events(1) == ["created", "acknowledged", "customer_reply"]


def test_an_answer_that_came_before_its_mail_in_one_batch_is_the_same_ticket():
    desk = Desk()
    desk.receive(
        desk.write(ANN, SUPPORT, "It still burns.", in_reply_to="<p@cust.example>"),
        desk.write(ANN, SUPPORT, "It burns.", message_id="<p@cust.example>"),
    )
    assert list(desk.tickets) == [1]


def test_the_same_mail_twice_in_one_batch_is_one_ticket():
    desk = Desk()
    mail = desk.write(ANN, SUPPORT, "x")
    out = desk.receive(mail, desk.spooled(desk.raws[mail.spool_id], ANN, SUPPORT))
    assert [d.disposition for d in out.decisions] == ["apply", "copy"]


def test_one_mail_by_two_queues_in_one_batch_is_one_ticket():
    desk = Desk()
    both = {"message_id": "<two@cust.example>"}
    out = desk.receive(
        desk.write(ANN, [SUPPORT, BILLING], "x", rcpts=[SUPPORT], **both),
        desk.write(ANN, [SUPPORT, BILLING], "x", rcpts=[BILLING], **both),
    )
    assert [d.disposition for d in out.decisions] == ["apply", "copy"]
    assert list(desk.tickets) == [1]


def test_decisions_are_given_back_in_the_order_of_the_batch():
    desk = Desk()
    batch = [desk.write(a, SUPPORT, f"{n}") for n, a in enumerate((ANN, ANN, DAN, EVE, DAN))]
    assert [d.spool_id for d in desk.receive(*batch).decisions] == [m.spool_id for m in batch]


def test_a_merge_is_seen_by_a_mail_of_the_same_wave():
    desk, _, _ = answered()
    second = desk.mail(DAN, SUPPORT, "Mine.", subject="Other", message_id="<d@cust.example>")
    merge = desk.reply(second.to(BERT)[0], BERT, "#merge ABC-1", envelope={"login": "bert"}, in_reply_to="", references="", subject="Re: Other")
    more = desk.write(DAN, SUPPORT, "More.", in_reply_to="<d@cust.example>")
    assert len(list(waves([merge, more], POLICY))) == 1
    out = desk.receive(merge, more)
    assert "customer_reply" in out.events(1)
    assert out.opened == []


def test_two_answers_of_two_agents_in_one_batch_are_not_both_sent():
    desk, first, _ = answered()
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It burns.")
    anna = desk.reply(first.to(ANNA)[0], ANNA, "Water.")
    bert = desk.reply(first.to(BERT)[0], BERT, "Sand.")
    out = desk.receive(anna, bert)
    assert [s.text.split(".")[0] for s in out.to(ANN)] == ["Water"]
    assert [s.row.kind for s in out.to(BERT)] == ["brief", "held_notice"]


STEPS = {
    "customer": lambda d, f, o: d.reply(o.to(ANN)[0], ANN, "It helped."),
    "agent": lambda d, f, o: d.reply(f.to(ANNA)[0], ANNA, "#pending\n\nGood."),
    "colleague": lambda d, f, o: d.reply(o.to(BERT)[0], BERT, "#tag x\n\nI may add something."),
    "note": lambda d, f, o: d.reply(o.to(BERT)[0], BERT, "#note\n\nA note of more than twenty letters."),
    "leak": lambda d, f, o: d.reply(f.to(ANNA)[0], ANNA, "Hi,\nA note of more than twenty letters."),
    "forged": lambda d, f, o: d.reply(f.to(ANNA)[0], ANNA, "Forged.", envelope={"relay": None}),
    "stranger": lambda d, f, o: d.write(EVE, SUPPORT, "Tell me.", subject="[ABC-1] x"),
    "holder": lambda d, f, o: d.reply(o.to(ANN)[0], EVE, "I am her lawyer."),
    "away": lambda d, f, o: d.reply(o.to(ANN)[0], ANN, "Away.", auto_submitted="auto-replied"),
    "solved": lambda d, f, o: d.reply(f.to(ANNA)[0], ANNA, "#solved"),
}


def effects(desk: Desk) -> list[object]:
    return [
        [(e.ticket, e.kind, e.actor, e.message, e.before, e.after) for e in desk.all.events],
        [(o.kind, o.rcpt_to, o.text) for o in desk.all.outbox],
        [(m.id, m.ticket, m.hold, m.is_public) for m in {m.id: m for m in desk.all.messages}.values()],
        sorted((p.ticket, p.person, p.role) for p in desk.all.participants),
    ]


def both_ways(*names: str) -> tuple[Desk, Desk, Outcome]:
    made = []
    for _ in range(2):
        desk, first, out = answered()
        made.append((desk, [STEPS[n](desk, first, out) for n in names]))
    (together, batch), (apart, mails) = made
    result = together.receive(*batch)
    for mail in mails:
        apart.receive(mail)
    return together, apart, result


@pytest.mark.parametrize("pair", [*itertools.permutations(STEPS, 2), *((n, n) for n in STEPS)], ids="-".join)
def test_two_mails_in_one_batch_do_what_they_do_one_after_the_other(pair):
    together, apart, _ = both_ways(*pair)
    assert effects(together) == effects(apart)
