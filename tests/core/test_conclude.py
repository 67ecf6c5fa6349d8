"""What becomes of mail that is not an agent's answer: new tickets, replies, machines, copies, strangers."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest

from gateway.core.model import Token
from gateway.core.policy import Budgets, Relay
from gateway.core.token import make_address, make_bounce
from tests.desk import (
    ANN,
    ANNA,
    BERT,
    BILLING,
    CARO,
    DAN,
    EVE,
    HOUR,
    POLICY,
    REPLY_DOMAIN,
    SUPPORT,
    Desk,
    Outcome,
    Sent,
    answered,
    header,
    opened,
    with_policy,
)

REMOTE = {"relay": None}
PARTNER = {"relay": "partner"}      # vouches for cust.example


def notice(outcome: Outcome, to: str = ANNA) -> Sent:
    return next(s for s in outcome.to(to) if s.row.kind == "notice")


def customers_address(desk: Desk, ticket: int, of: str) -> str:
    person = next(p.id for p in desk.all.persons if p.address == of)
    return make_address(desk.policy.keys, Token(role="c", ticket=ticket, party=person), REPLY_DOMAIN)


# --- A new ticket ---------------------------------------------------------------------------


def test_a_mail_to_the_queue_opens_a_ticket_tells_its_agents_and_acknowledges():
    desk, out = opened()
    assert out.kinds() == [("ack", ANN), ("notice", ANNA), ("notice", BERT)]
    state = desk.ticket(1)
    assert (state.queue, state.status) == ("support", "new")
    assert desk.roles(1) == {ANN: "requester"}
    assert notice(out).text.startswith("Ann Ames <ann@cust.example> wrote to support:\n\nIt is on fire.")
    assert notice(out).mail.subject == "[ABC-1] Printer broken"


def test_a_first_mail_is_shown_whole_with_what_it_quotes():
    _, out = opened("See below.\n\n> the old mail")
    assert "> the old mail" in notice(out).text


def test_an_acknowledgement_says_it_is_automatic_and_repeats_nothing_of_the_text():
    _, out = opened("My secret is 1234.")
    (ack,) = out.to(ANN)
    assert header(ack, "auto-submitted") == "auto-replied"
    assert header(ack, "in-reply-to") == "<m1@cust.example>"
    assert "1234" not in ack.raw.decode()
    assert "ABC-1" in ack.text


def test_a_queue_that_does_not_acknowledge_says_why_not():
    desk = with_policy(queues=tuple(replace(q, acknowledge=False) for q in POLICY.queues))
    out = desk.mail(ANN, SUPPORT, "Hello.")
    assert out.kinds() == [("notice", ANNA), ("notice", BERT)]
    assert out.codes["not_acknowledged"] == "the queue support does not acknowledge"


def test_a_mail_without_from_still_opens_a_ticket():
    desk = Desk()
    out = desk.receive(desk.spooled(b"Subject: hm\r\n\r\nHelp.\r\n", "x@y.example", SUPPORT))
    assert out.opened == [1]
    assert out.kinds() == [("notice", ANNA), ("notice", BERT)]
    assert desk.roles(1) == {}


def test_a_queue_whose_agents_are_all_on_copy_sends_them_nothing_again():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Hello.", cc=f"{ANNA}, {BERT}", envelope=PARTNER)
    assert out.kinds() == [("ack", ANN)]


def test_the_header_of_an_unproven_mail_does_not_leave_all_agents_untold():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Hello.", cc=f"{ANNA}, {BERT}")
    assert sorted(out.kinds()) == [("ack", ANN), ("notice", ANNA), ("notice", BERT)]


@pytest.mark.parametrize("body", ["", "x" * 200_000, "\x00\x01", "#solved\n\nBye."])
def test_any_text_of_a_stranger_opens_a_ticket_and_commands_in_it_are_text(body):
    desk = Desk()
    assert desk.mail(ANN, SUPPORT, body).opened == [1]
    assert desk.ticket(1).status == "new"


# --- Rules ----------------------------------------------------------------------------------


def test_rules_act_on_a_new_ticket_before_its_agents_are_told():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Wrong sum.", subject="Your invoice")
    assert (desk.ticket(1).priority, desk.ticket(1).tags) == ("high", "billing")
    assert ":: ABC-1 :: new, high ::" in notice(out).text
    assert {e.cause for e in desk.events(1) if e.actor_kind == "rule"} == {"rule:invoice"}
    assert "rule" in out.codes


def test_a_refused_action_of_a_rule_is_recorded_and_the_rest_is_done():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Boo.", subject="A ghost")
    assert out.codes["rule_refused"].startswith("ghost: #assign nobody-here: agents are anna")
    assert "seen" in desk.ticket(1).tags.split()


def test_a_rule_that_says_stop_stops_the_rules_after_it():
    desk = Desk()
    desk.mail(ANN, SUPPORT, "Boo.", subject="A ghost")
    assert desk.ticket(1).tags == "seen"


def test_rules_do_not_act_on_replies():
    desk, first = opened()
    desk.answer(first.to(ANN)[0], ANN, "And the invoice.", subject="Re: [ABC-1] invoice")
    assert desk.ticket(1).priority == "normal"


# --- A customer writes again ----------------------------------------------------------------


def test_a_reply_joins_by_its_headers_alone():
    desk, _, out = answered()
    mail = desk.answer(out.to(ANN)[0], ANN, "It helped.", subject="other words", to=SUPPORT)
    assert (mail.opened, mail.events(1)) == ([], ["customer_reply"])
    assert mail.codes["thread"].startswith("signed_id")
    assert "It helped." in notice(mail).text
    assert "Have you tried water" not in notice(mail).text, "agents see what is new"


def test_a_reply_that_is_all_quotation_is_shown_whole():
    desk, _, out = answered()
    mail = desk.receive(desk.reply(out.to(ANN)[0], ANN, ""))
    assert "Have you tried water" in notice(mail).text


def test_a_reply_to_the_reply_address_joins():
    desk = with_policy(reply_to_token=True)
    first = desk.mail(ANN, SUPPORT, "It is on fire.")
    (ack,) = first.to(ANN)
    assert ack.reply_to.startswith("t-a")
    mail = desk.mail(ANN, ack.reply_to, "More.", subject="Re: Printer broken")
    assert mail.events(1) == ["customer_reply"]
    assert mail.codes["thread"].startswith("token")


def test_a_participant_joins_by_the_key_in_the_subject():
    desk, _ = opened()
    assert desk.mail(ANN, SUPPORT, "More.", subject="Fwd: [ABC-1] what else").opened == []


@pytest.mark.parametrize("command", ["#pending", "#hold", "#solved"])
def test_a_reply_reopens_a_ticket_that_waited_or_was_solved(command):
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, command)
    desk.answer(out.to(ANN)[0], ANN, "No.")
    assert desk.ticket(1).status == "open"


def test_a_reply_to_a_closed_ticket_is_a_linked_follow_up():
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, "#closed")
    mail = desk.answer(out.to(ANN)[0], ANN, "It is back.")
    assert mail.opened == [2]
    assert desk.ticket(1).status == "closed"
    assert [e.after for e in desk.events(2) if e.kind == "linked"] == ["1"]
    assert "It may belong to ABC-1" in notice(mail).text
    assert mail.codes["follow_up"] == "ABC-1 is closed"
    assert mail.to(ANN)[0].mail.subject.count("[ABC-") == 1


def test_a_customers_new_matter_to_a_remembered_reply_address_is_a_linked_new_ticket():
    desk, _ = opened()
    out = desk.mail(ANN, customers_address(desk, 1, ANN), "Do you sell paper?", subject="Paper")
    assert out.opened == [2]
    assert [e.after for e in desk.events(2) if e.kind == "linked"] == ["1"]
    assert desk.events(1)[-1].kind == "acknowledged", "nothing happened to the old one"


def test_a_reply_after_a_merge_reaches_the_ticket_that_is_left():
    desk, _ = opened()
    second = desk.mail(ANN, SUPPORT, "Again!", subject="Fire")
    desk.answer(notice(second), ANNA, "#merge ABC-1", envelope={"login": "anna"})
    assert desk.ticket(2).status == "void"
    out = desk.answer(second.to(ANN)[0], ANN, "Now it is out.")
    assert out.events(1) == ["customer_reply"]
    assert "[ABC-1]" in notice(out).mail.subject


def test_a_bare_number_merges_too():
    desk, _ = opened()
    second = desk.mail(ANN, SUPPORT, "Again!", subject="Fire")
    assert desk.answer(notice(second), ANNA, "#merge 1", envelope={"login": "anna"}).held is None
    assert desk.ticket(2).merged_into == 1


def test_merging_takes_everybody_along():
    desk, _ = opened()
    second = desk.mail(DAN, SUPPORT, "Mine too.", subject="Fire")
    desk.answer(notice(second), ANNA, "#merge ABC-1", envelope={"login": "anna"})
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}


# --- Strangers ------------------------------------------------------------------------------


def test_a_stranger_who_names_a_ticket_gets_a_ticket_of_his_own_and_learns_nothing():
    """Hostile input 31: the acknowledgement is byte for byte the ordinary one, but for the ids."""
    texts = []
    for subject, extra in (
        ("Printer broken", {}), ("Re: [ABC-1] Printer broken", {}), ("Printer broken", {"in_reply_to": "<m1@cust.example>"}),
        ("Printer broken", {"references": "<m1@cust.example> <other@x.example>"}),
        ("Re: [abc-1] [ABC-99] Printer broken", {}),
    ):
        desk, _ = opened()
        out = desk.mail(EVE, SUPPORT, "Tell me more.", subject=subject, message_id="<e@evil.example>", **extra)
        assert out.opened == [2]
        (ack,) = out.to(EVE)
        texts.append(ack.raw)
    assert len(set(texts)) == 1, texts


def test_the_agents_see_which_ticket_a_stranger_named():
    desk, _ = opened()
    out = desk.mail(EVE, SUPPORT, "Tell me more.", subject="Re: [ABC-1] Printer broken")
    assert "It may belong to ABC-1" in notice(out).text
    assert [e.after for e in desk.events(2) if e.kind == "linked"] == ["1"]
    assert desk.ticket(1).version == 2, "his mail is no event of the other ticket"


def test_a_number_that_is_no_ticket_names_nothing():
    desk = Desk()
    out = desk.mail(EVE, SUPPORT, "Tell me.", subject="Re: [ABC-77] x")
    assert "linked" not in out.events(1)


def test_whoever_holds_anothers_reply_address_may_add_to_the_ticket_but_hears_nothing():
    desk, _, out = answered()
    mail = desk.answer(out.to(ANN)[0], EVE, "I am her lawyer.")
    assert mail.events(1) == ["customer_reply", "participant_added"]
    assert "Sent with the reply address of ann@cust.example" in notice(mail).text
    assert desk.roles(1)[EVE] == "holder"
    more = desk.answer(notice(mail), ANNA, "Dear Ann, who is this?")
    assert [s.row.rcpt_to for s in more.sent if s.row.kind == "reply"] == [ANN]
    assert "lawyer" not in more.to(ANN)[0].raw.decode(), "nor is she shown what he wrote"


def test_a_colleague_on_copy_of_the_customers_mail_may_answer_it():
    """He answers the customer's mail, not ours; by that he takes part but is sent nothing at level 0."""
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It is on fire.", cc=DAN, message_id="<orig@cust.example>")
    out = desk.mail(DAN, [SUPPORT, ANN], "I saw it, too.", subject="Re: Printer", in_reply_to="<orig@cust.example>")
    assert (first.opened, out.opened) == ([1], [])
    assert desk.events(1)[-2].actor_kind == "collaborator"


def test_copied_people_of_an_unproven_mail_are_suggested_to_the_agents_only():
    """Hostile input 33: whoever forges the customer's address and copies himself gets no mail, ever."""
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Please answer us.", cc=EVE, envelope=REMOTE)
    assert "On copy, not added: eve@evil.example" in notice(out).text
    desk.answer(notice(out), ANNA, "Your password is x.")
    assert not list(desk.everything_to(EVE))


def test_copied_people_of_a_proven_mail_join():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Please answer us.", cc=f"{DAN}, {BILLING}, {ANNA}", envelope=PARTNER)
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}
    assert "also to dan@cust.example" in notice(out, BERT).text
    assert "On copy, not added" not in notice(out, BERT).text
    reply = desk.answer(notice(out, BERT), BERT, "Here you are.")
    assert [s.row.rcpt_to for s in reply.sent if s.row.kind == "reply"] == [ANN, DAN]


def test_who_follows_already_is_not_suggested_again():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Please answer us.", cc=DAN, envelope=PARTNER)
    more = desk.answer(out.to(ANN)[0], ANN, "More.", cc=DAN, envelope=REMOTE)
    assert "not added" not in notice(more).text
    again = desk.answer(out.to(ANN)[0], ANN, "And more.", cc=DAN, envelope=PARTNER)
    assert again.events(1) == ["customer_reply"], "nobody joins twice"


def test_blind_copies_are_never_written():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "x", bcc=EVE)
    reply = desk.answer(notice(out), ANNA, "y", bcc=EVE)
    assert not list(desk.everything_to(EVE))
    assert b"eve@" not in b"".join(s.raw for s in (*out.sent, *reply.sent))


@pytest.mark.parametrize("at", [-1, -20])
def test_a_damaged_reply_address_is_no_reply_address(at):
    """Hostile input 32: one letter of the signature changed, even in the customer's own mail."""
    desk, _ = opened()
    name, _, domain = customers_address(desk, 1, ANN).partition("@")
    letters = list(name)
    letters[at] = "a" if letters[at] != "a" else "b"
    bad = f"{''.join(letters)}@{domain}"
    assert desk.mail(ANN, bad, "x", subject="Re: Printer broken").opened == [2]


def test_a_reply_address_in_capitals_is_the_same_one():
    desk, _ = opened()
    assert desk.mail(ANN, customers_address(desk, 1, ANN).upper(), "x", subject="Re: Printer broken").opened == []


# --- Machines -------------------------------------------------------------------------------

MACHINES = {
    "out_of_office": {"auto_submitted": "auto-replied", "subject": "Out of office: x"},
    "auto_reply": {"auto_submitted": "auto-replied"},
    "generated": {"auto_submitted": "auto-generated"},
    "bulk": {"precedence": "bulk"},
}


@pytest.mark.parametrize("kind", ["out_of_office", "auto_reply"])
def test_an_automatic_answer_that_belongs_to_no_ticket_is_stored_without_one(kind):
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "We have got your mail.", **MACHINES[kind])
    assert out.codes["class"].startswith(kind)
    assert (out.decision.disposition, out.opened, out.sent) == ("log", [], ())


@pytest.mark.parametrize("kind", ["out_of_office", "auto_reply", "bulk"])
def test_an_automatic_answer_on_a_ticket_is_an_event_and_wakes_nobody(kind):
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, "#solved")
    before = desk.ticket(1)
    away = desk.answer(out.to(ANN)[0], ANN, "I am away.", **MACHINES[kind])
    assert away.events(1) == ["machine_mail"]
    assert away.sent == ()
    after = desk.ticket(1)
    assert (after.status, after.last_customer_at, after.last_public) == ("solved", before.last_customer_at, before.last_public)


def test_an_agents_out_of_office_is_never_public():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "I am on the beach.", **MACHINES["out_of_office"])
    assert out.sent == ()
    assert desk.events(1)[-1].actor_kind == "agent"
    assert desk.ticket(1).status == "new"


def test_generated_mail_opens_a_ticket_without_acknowledgement():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Disk full.", **MACHINES["generated"])
    assert out.kinds() == [("notice", ANNA), ("notice", BERT)]
    assert desk.ticket(1).last_customer_at is None, "a machine starts no clock"


def test_generated_mail_on_a_ticket_tells_its_agents_and_reopens_nothing():
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, "#solved")
    more = desk.answer(out.to(ANN)[0], ANN, "Disk full.", **MACHINES["generated"])
    assert more.kinds() == [("notice", ANNA)]
    assert desk.ticket(1).status == "solved"


def test_bulk_mail_is_held_without_a_ticket_unless_a_rule_asks_for_it():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "Buy!", **MACHINES["bulk"])
    assert (out.held, out.opened, out.sent) == ("bulk", [], ())
    out = desk.mail(ANN, SUPPORT, "Disk.", subject="Alert", **MACHINES["bulk"])
    assert out.opened == [1]
    assert out.kinds() == [("notice", ANNA), ("notice", BERT)]


def test_our_own_mail_that_comes_back_is_logged_only():
    desk, first = opened()
    back = desk.receive(desk.spooled(first.to(ANN)[0].raw, "x@y.example", SUPPORT))
    assert (back.decision.disposition, back.opened, back.sent) == ("log", [], ())
    assert back.codes["class"].startswith("own")
    assert desk.mail(SUPPORT, SUPPORT, "x").decision.disposition == "log"


@pytest.mark.parametrize("kind", ["feedback-report", "disposition-notification"])
def test_complaints_and_receipts_are_logged_only(kind):
    desk, _, out = answered()
    to = out.to(ANN)[0]
    mail = desk.answer(to, ANN, "--b\n\nhi\n--b--", content_type=f"multipart/report; report-type={kind}; boundary=b", mime_version="1.0")
    assert (mail.decision.disposition, mail.sent) == ("log", ())
    assert desk.ticket(1).last_public == 2


# --- Bounces --------------------------------------------------------------------------------


def dsn(desk: Desk, sent: Sent, status: str = "5.1.1", action: str = "failed", to: str | None = None) -> Outcome:
    """A delivery report (RFC 3464) about ``sent``, to its envelope sender."""
    action_line = f"Action: {action}\n" if action else ""
    body = (
        "--b\nContent-Type: text/plain\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; mx.cust.example\n\nFinal-Recipient: rfc822; {sent.row.rcpt_to}\n{action_line}"
        f"Status: {status}\nDiagnostic-Code: smtp; no such user\n\n--b\nContent-Type: text/rfc822-headers\n\n"
        f"Message-ID: <{sent.row.rfc_id}>\n\n--b--"
    )
    return desk.mail(
        "MAILER-DAEMON@mx.cust.example", to or sent.row.mail_from, body, envelope={"mail_from": None},
        content_type="multipart/report; report-type=delivery-status; boundary=b", mime_version="1.0", subject="Failure",
    )


def test_an_answer_that_bounced_for_good_is_told_to_who_wrote_it():
    desk, _, out = answered()
    back = dsn(desk, out.to(ANN)[0])
    assert back.kinds() == [("undelivered", ANNA)]
    assert "did not reach ann@cust.example" in back.sent[0].text
    assert "5.1.1" in back.sent[0].text
    assert [(d.outbox, d.state) for d in back.rows.deliveries if d.state == "bounced"] == [(out.to(ANN)[0].row.id, "bounced")]
    assert [(e.kind, e.after) for e in desk.events(1)][-2:] == [("bounced", "5.1.1"), ("suppressed", "5.1.1")]
    assert desk.ticket(1).status == "open"


def test_an_answer_that_is_only_delayed_is_noted_and_nobody_is_told():
    desk, _, out = answered()
    back = dsn(desk, out.to(ANN)[0], status="4.4.1", action="delayed")
    assert back.sent == ()
    assert [d.state for d in back.rows.deliveries] == ["delayed"]
    assert (desk.events(1)[-1].kind, desk.events(1)[-1].after) == ("delayed", "4.4.1")


def test_a_bounced_acknowledgement_is_noted_and_nobody_is_told():
    desk, first = opened()
    back = dsn(desk, first.to(ANN)[0])
    assert back.sent == ()
    assert [e.kind for e in desk.events(1)][-2:] == ["bounced", "suppressed"]


def test_a_bounce_is_known_by_the_message_id_it_returns():
    desk, _, out = answered()
    assert dsn(desk, out.to(ANN)[0], to=SUPPORT).kinds() == [("undelivered", ANNA)]


def test_a_bounce_of_an_answer_after_its_ticket_was_merged_reaches_what_it_became():
    desk, _, out = answered()
    desk.mail(DAN, SUPPORT, "x", subject="Fire")
    desk.answer(out.to(BERT)[0], BERT, "#merge ABC-2", envelope={"login": "bert"})
    back = dsn(desk, out.to(ANN)[0])
    assert back.events(2) == ["bounced", "suppressed"]


def test_a_report_to_a_bounce_address_without_any_status_counts_as_final():
    desk, _, out = answered()
    sent = out.to(ANN)[0]
    back = desk.mail("postmaster@cust.example", sent.row.mail_from, "no", envelope={"mail_from": None})
    assert back.kinds() == [("undelivered", ANNA)]
    assert (desk.events(1)[-1].kind, desk.events(1)[-1].after) == ("bounced", None)


def test_a_delay_without_a_status_counts_as_temporary():
    desk, _, out = answered()
    dsn(desk, out.to(ANN)[0], status="", action="delayed")
    assert desk.events(1)[-1].after == "4.0.0"


def test_a_bounce_of_nothing_we_sent_changes_nothing():
    desk, _, out = answered()
    before = desk.ticket(1)
    forged = make_bounce(POLICY.keys, 99, REPLY_DOMAIN)
    sent = replace(out.to(ANN)[0], row=replace(out.to(ANN)[0].row, rfc_id="nobody@knows.example", mail_from=forged))
    back = dsn(desk, sent)
    assert (back.decision.disposition, back.sent) == ("log", ())
    assert "unmatched_bounce" in back.codes
    assert desk.ticket(1) == before


def test_a_bounce_on_a_ticket_that_nobody_can_be_told_of_is_noted():
    desk, _, out = answered()
    left = Desk(policy=replace(
        POLICY, agents=(), queues=tuple(replace(q, agents=()) for q in POLICY.queues)
    ))
    left.all, left.raws, left.count, left.now = desk.all, desk.raws, desk.count, desk.now
    back = dsn(left, out.to(ANN)[0])
    assert back.sent == ()
    assert back.events(1) == ["bounced", "suppressed"]


def test_a_bounced_notice_without_a_ticket_changes_its_delivery_only():
    desk, _, out = answered()
    sent = out.to(ANN)[0]
    desk.all = replace(desk.all, outbox=tuple(replace(o, ticket=None) for o in desk.all.outbox))
    back = dsn(desk, sent)
    assert [d.state for d in back.rows.deliveries] == ["bounced"]
    assert back.rows.events == ()


# --- When a mail of ours is refused for good ------------------------------------------------


def test_an_answer_that_could_not_be_delivered_is_told_to_its_writer_once():
    desk, _, out = answered()
    back = desk.give_up(out.to(ANN)[0], "550 5.7.1 we do not like you")
    assert back.kinds() == [("undelivered", ANNA)]
    assert "5.7.1" in back.sent[0].text
    assert [(e.kind, e.after) for e in desk.events(1)][-1] == ("bounced", "5.7.1")


def test_a_refusal_without_an_enhanced_status_is_5_0_0():
    desk, _, out = answered()
    desk.give_up(out.to(ANN)[0], "554 go away")
    assert desk.events(1)[-1].after == "5.0.0"


def test_a_refused_acknowledgement_or_notice_tells_nobody():
    desk, first = opened()
    for sent in first.sent:
        assert desk.give_up(sent, "550 no").sent == ()


def test_if_the_writer_has_left_the_first_agent_of_the_queue_is_told():
    desk, _, out = answered()
    left = Desk(policy=replace(POLICY, agents=POLICY.agents[1:]))
    left.all, left.raws, left.count, left.now = desk.all, desk.raws, desk.count, desk.now
    assert left.give_up(out.to(ANN)[0], "550 no").kinds() == [("undelivered", BERT)]


def test_a_refused_mail_whose_ticket_is_unknown_changes_nothing():
    desk, _, out = answered()
    sent = out.to(ANN)[0]
    assert desk.give_up(replace(sent, row=replace(sent.row, ticket=None)), "550 no").rows.events == ()
    assert desk.give_up(replace(sent, row=replace(sent.row, ticket=77)), "550 no").rows.events == ()


# --- Second copies --------------------------------------------------------------------------


def test_the_same_bytes_delivered_again_do_nothing_twice():
    desk = Desk()
    mail = desk.write(ANN, SUPPORT, "Help.")
    desk.receive(mail)
    again = desk.receive(desk.spooled(desk.raws[mail.spool_id], ANN, SUPPORT))
    assert (again.decision.disposition, again.sent, again.rows.events, again.rows.messages) == ("copy", (), (), ())
    assert "again" in again.codes


def test_one_mail_to_two_queues_is_one_ticket():
    desk = Desk()
    more = {"message_id": "<one@cust.example>", "rcpts": [SUPPORT]}
    desk.receive(desk.write(ANN, [SUPPORT, BILLING], "Help.", **more))
    out = desk.receive(desk.write(ANN, [SUPPORT, BILLING], "Help.", **{**more, "rcpts": [BILLING]}))
    assert (out.decision.disposition, out.sent) == ("copy", ())
    assert out.events(1) == ["copy"]
    assert list(desk.tickets) == [1]


def two_ways(desk: Desk, token: str, sender: str = ANN, **more: str) -> tuple[Outcome, Outcome]:
    """One mail, first by the queue's address, then by a reply address."""
    fields = {"subject": "Printer broken", "message_id": "<two@cust.example>", **more}
    one = desk.receive(desk.write(sender, [SUPPORT, token], "Both ways.", rcpts=[SUPPORT], **fields))
    return one, desk.receive(desk.write(sender, [SUPPORT, token], "Both ways.", rcpts=[token], **fields))


@pytest.mark.parametrize("command", ["#pending", "#hold", "#solved", "#tag x"])
def test_a_reply_address_in_the_second_copy_merges_the_ticket_of_the_first(command):
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, command)
    one, two = two_ways(desk, customers_address(desk, 1, ANN))
    assert one.opened == [2]
    assert desk.ticket(2).merged_into == 1
    assert "copy_merged" in two.codes
    assert desk.ticket(1).status == "open", "the customer wrote, so we owe the next step"
    assert desk.ticket(1).last_customer_at is not None
    assert desk.roles(1) == {ANN: "requester"}


def test_a_second_copy_merges_nothing_once_the_first_was_answered():
    desk, _ = opened()
    token = customers_address(desk, 1, ANN)
    fields = {"subject": "Printer broken", "message_id": "<two@cust.example>"}
    one = desk.receive(desk.write(ANN, [SUPPORT, token], "Both ways.", rcpts=[SUPPORT], **fields))
    desk.answer(notice(one), ANNA, "An answer.")
    two = desk.receive(desk.write(ANN, [SUPPORT, token], "Both ways.", rcpts=[token], **fields))
    assert desk.ticket(2).merged_into is None
    assert two.decision.disposition == "copy"


def test_a_second_copy_is_not_buried_in_a_closed_ticket():
    desk, _, out = answered()
    desk.answer(out.to(BERT)[0], BERT, "#closed")
    two_ways(desk, customers_address(desk, 1, ANN))
    assert desk.ticket(2).merged_into is None
    assert desk.ticket(2).status == "new"


def test_a_stranger_cannot_enter_a_ticket_by_a_second_copy():
    """He may add to it with a reply address that leaked; he hears nothing by that, merged or not."""
    desk, first = opened()
    two_ways(desk, customers_address(desk, 1, ANN), sender=EVE, cc="mallory@evil.example")
    desk.answer(notice(first), ANNA, "Your password is x.")
    answers = [s.row.rcpt_to for s in desk.sent if s.row.kind == "reply"]
    assert answers == [ANN]
    assert EVE not in desk.roles(1)


def test_a_participant_merges_with_anothers_reply_address_as_himself():
    desk = Desk()
    desk.mail(ANN, SUPPORT, "x", cc=DAN, envelope=PARTNER)
    two_ways(desk, customers_address(desk, 1, ANN), sender=DAN)
    assert desk.ticket(2).merged_into == 1
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}


def test_an_agents_note_to_two_tickets_stays_a_note_on_both():
    desk, first = opened()
    other = desk.mail(DAN, SUPPORT, "Mine.", subject="Other")
    more = {"message_id": "<note@acme.example>", "subject": "Re: [ABC-1] [ABC-2] Printer broken"}
    to = [notice(first).reply_to, notice(other).reply_to]
    for one in to:
        desk.receive(desk.write(ANNA, to, "#note\n\nThe same idiot.", rcpts=[one], **more))
    assert [e.kind for e in desk.events(1)][-1] == "note"
    assert [e.kind for e in desk.events(2)][-1] == "note"
    desk.answer(notice(first), ANNA, "Hello.")
    assert all(b"idiot" not in s.raw for s in desk.everything_to(ANN, DAN))


def test_bulk_mail_whose_second_copy_proves_its_ticket_joins_it():
    desk, _ = opened()
    one, two = two_ways(desk, customers_address(desk, 1, ANN), precedence="bulk")
    assert one.held == "bulk"
    assert two.events(1) == ["machine_mail"]


def test_a_third_copy_does_nothing_after_the_second_was_carried_out():
    desk, first = opened()
    more = {"cc": SUPPORT, "message_id": "<both@acme.example>"}
    sent = notice(first)
    desk.receive(desk.reply(sent, ANNA, "Hello Ann.", rcpts=[SUPPORT], **more))
    assert desk.receive(desk.reply(sent, ANNA, "Hello Ann.", rcpts=[sent.reply_to], **more)).to(ANN)
    third = desk.receive(desk.reply(sent, ANNA, "Hello Ann.", rcpts=[sent.reply_to, SUPPORT], **more))
    assert (third.decision.disposition, third.sent) == ("copy", ())


def test_a_second_copy_of_mail_without_a_ticket_is_only_recorded():
    desk = Desk()
    more = {"message_id": "<b@x.example>", "precedence": "bulk"}
    desk.receive(desk.write(ANN, SUPPORT, "Buy!", **more))
    out = desk.receive(desk.write(ANN, SUPPORT, "Buy!", rcpts=[BILLING], **more))
    assert out.decision.disposition == "copy"


@pytest.mark.parametrize("change", ["text", "sender"])
def test_a_known_message_id_with_another_body_or_sender_is_another_mail(change):
    """Nobody can make a mail vanish by sending its Message-ID first."""
    desk = Desk()
    desk.mail(EVE, SUPPORT, "Help.", message_id="<same@x.example>")
    text, sender = ("Other.", EVE) if change == "text" else ("Help.", ANN)
    assert desk.mail(sender, SUPPORT, text, message_id="<same@x.example>").opened == [2]


def test_two_mails_without_message_id_are_two_mails():
    desk = Desk()
    assert desk.mail(ANN, SUPPORT, "Help.", message_id="").opened == [1]
    assert desk.mail(ANN, SUPPORT, "Help.", message_id="", date="x").opened == [2]


# --- Budgets --------------------------------------------------------------------------------


def test_one_address_gets_so_many_acknowledgements_an_hour_and_no_more():
    desk = Desk()
    acks = [len(desk.mail(ANN, SUPPORT, f"{i}", subject=f"s{i}").to(ANN)) for i in range(5)]
    assert acks == [1, 1, 1, 0, 0]
    desk.now += HOUR
    assert len(desk.mail(ANN, SUPPORT, "x", subject="later").to(ANN)) == 1


@pytest.mark.parametrize("sender", ["noreply@cust.example", "bounces@cust.example"])
def test_nobody_is_not_acknowledged(sender):
    desk = Desk()
    assert not desk.mail(sender, SUPPORT, "x").to(sender)


def test_a_flood_is_collected_in_one_ticket_and_its_agents_are_told_once():
    desk = Desk()
    for i in range(10):
        desk.mail(ANN, SUPPORT, f"{i}", subject=f"s{i}")
    eleventh = desk.mail(ANN, SUPPORT, "11", subject="s11")
    assert eleventh.opened == []
    assert "flood" in eleventh.codes
    assert desk.ticket(10).tags == "flood"
    assert [s.row.kind for s in eleventh.sent] == ["notice", "notice"]
    twelfth = desk.mail(ANN, SUPPORT, "12", subject="s12")
    assert (twelfth.opened, twelfth.sent, twelfth.events(10)) == ([], (), ["customer_reply"])
    assert desk.mail(DAN, SUPPORT, "x").opened == [11], "nobody else is collected"


def test_a_real_reply_on_the_flood_ticket_is_told():
    desk = with_policy(budgets=Budgets(tickets_per_address_hour=1))
    first = desk.mail(ANN, SUPPORT, "1")
    desk.mail(ANN, SUPPORT, "2", subject="s2")
    assert desk.answer(first.to(ANN)[0], ANN, "It burns.").kinds() == [("notice", ANNA), ("notice", BERT)]


def test_a_flood_is_not_collected_in_a_closed_ticket():
    desk = with_policy(budgets=Budgets(tickets_per_address_hour=1))
    first = desk.mail(ANN, SUPPORT, "1")
    desk.answer(notice(first), ANNA, "#closed")
    assert desk.mail(ANN, SUPPORT, "2", subject="s2").opened == [2]


def test_the_flood_of_a_machine_starts_no_clock_and_reopens_nothing():
    desk = with_policy(budgets=Budgets(tickets_per_address_hour=1))
    first = desk.mail(ANN, SUPPORT, "1", **MACHINES["generated"])
    desk.answer(notice(first), ANNA, "#solved")
    out = desk.mail(ANN, SUPPORT, "2", subject="s2", **MACHINES["generated"])
    assert out.opened == []
    assert desk.ticket(1).status == "solved"
    assert desk.ticket(1).last_customer_at is None


def test_a_flood_in_one_batch_is_seen_in_that_batch():
    desk = Desk()
    out = desk.receive(*(desk.write(ANN, SUPPORT, f"{i}", subject=f"s{i}") for i in range(13)))
    assert len(out.opened) == 10
    assert len(out.to(ANN)) == 3


def test_one_domain_gets_so_many_acknowledgements_an_hour_even_in_one_batch():
    desk = with_policy(budgets=Budgets(acks_per_domain_hour=4))
    out = desk.receive(*(desk.write(f"u{i}@many.example", SUPPORT, f"{i}", subject=f"s{i}") for i in range(7)))
    assert [s.row.kind for s in out.sent].count("ack") == 4


# --- Words of a decision --------------------------------------------------------------------


def test_a_decision_tells_its_reasons_in_order():
    _, out = opened()
    assert [r.code for r in out.decision.reasons] == ["class", "identity", "thread", "acknowledged", "opened"]
    assert [d.detail for d in out.rows.decisions] == [r.detail for r in out.decision.reasons]


def test_what_rules_saw_is_stored_with_the_mail():
    desk = Desk()
    out = desk.mail(ANN, SUPPORT, "x", subject="invoice")
    (facts,) = out.rows.mail_facts
    assert (facts.rules, facts.queue, facts.ticket, facts.domain) == ("invoice", "support", 1, "cust.example")


def test_no_mail_of_ours_to_a_customer_names_a_reply_address_of_an_agent():
    desk, first = opened()
    token = notice(first).reply_to
    out = desk.answer(notice(first), ANNA, f"Write to {token} or <{token.upper()}>.")
    raw = out.to(ANN)[0].raw.decode().lower()
    assert not re.search(r"t-a[an]", raw)
    assert SUPPORT in raw


def test_a_partner_who_is_not_configured_vouches_for_nobody():
    desk = with_policy(relays=(Relay(name="mta", networks=()),))
    first = desk.mail(ANN, SUPPORT, "x")
    assert desk.answer(notice(first), ANNA, "y").held == "unproven"


def test_caro_hears_of_her_own_queue_only():
    desk, first = opened()
    assert not first.to(CARO)
    assert desk.mail(ANN, BILLING, "x", subject="y").to(CARO)


def test_a_mail_that_cannot_be_read_opens_a_ticket_on_hold_and_goes_to_the_agents_whole():
    desk = Desk()
    fields = "".join(f"X-{n}: y\r\n" for n in range(1500))
    raw = f"From: {ANN}\r\nTo: {SUPPORT}\r\nSubject: odd\r\nMessage-ID: <odd@x>\r\n{fields}\r\nHidden.\r\n".encode()
    out = desk.receive(desk.spooled(raw, ANN, SUPPORT))
    assert (out.decision.disposition, out.rows.messages[0].hold) == ("held", "opaque")
    assert "opaque" in [r.code for r in out.decision.reasons]
    assert not out.to(ANN)
    told = notice(out)
    assert "could not be read safely" in told.mail.text
    (part,) = told.mail.parts
    assert part.name == "original.eml"
    assert base64.b64decode(told.raw[part.start:part.end]) == raw


def test_customers_mail_programs_see_their_own_message_ids_and_never_an_agents():
    desk, first, _ = answered()
    again = desk.answer(notice(first), ANNA, "One more thing.")
    answer = again.to(ANN)[0].mail
    assert answer.in_reply_to == ("m1@cust.example",)
    assert not [i for i in answer.references if i.endswith("@acme.example")]
