"""Dead addresses: what stops mail to somebody, what does not, and what begins it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.context import Needs
from gateway.core.suppress import revived_by_operator, verdict
from tests.core.test_conclude import PARTNER, REMOTE, customers_address, dsn, notice
from tests.desk import ANN, ANNA, BERT, CARO, DAN, EVE, HOUR, POLICY, SUPPORT, Desk, Outcome, Sent, answered, opened

DAY = timedelta(days=1)


def the_answer(outcome: Outcome, to: str = ANN) -> Sent:
    return next(s for s in outcome.to(to) if s.row.kind == "reply")


def dead(desk: Desk) -> set[str]:
    """Addresses we do not write to, as `mailwicket suppressed` lists them."""
    rows = {s.person: s for s in desk.all.suppressions}
    return {p.address for p in desk.all.persons if p.id in rows and rows[p.id].revived_at is None}


def bounced_desk(status: str = "5.1.1") -> tuple[Desk, Outcome]:
    """Ann's address is dead: Anna's answer came back."""
    desk, first, out = answered()
    dsn(desk, the_answer(out), status)
    return desk, first


def again(desk: Desk, first: Outcome, text: str = "Once more.") -> Outcome:
    return desk.answer(notice(first), ANNA, text)


# --- What a status says ---------------------------------------------------------------------


@pytest.mark.parametrize(("status", "says"), [
    ("5.1.1", "dead"), ("5.1.2", "dead"), ("5.1.3", "dead"), ("5.1.6", "dead"), ("5.1.10", "dead"),
    ("5.2.1", "doubtful"), ("5.2.2", "doubtful"), ("5.0.0", "doubtful"), ("5.4.1", "doubtful"), ("5.1.4", "doubtful"),
    ("5.1.8", ""), ("5.2.3", ""), ("5.3.4", ""), ("5.5.2", ""), ("5.6.1", ""), ("5.7.1", ""), ("5.7.26", ""),
    ("4.1.1", ""), ("4.4.7", ""), ("2.1.5", ""), ("", ""), ("5.1.11", "doubtful"),
])
def test_what_a_status_says_of_an_address(status, says):
    assert verdict(status) == says


def test_a_report_of_a_dead_mailbox_stops_mail_to_it_and_its_writer_reads_so():
    desk, _, out = answered()
    back = dsn(desk, the_answer(out))
    assert dead(desk) == {ANN}
    assert "#revive ann@cust.example" in back.to(ANNA)[0].text
    (row,) = back.rows.suppressions
    assert (row.status, row.cause, row.since) == ("5.1.1", back.decision.spool_id, desk.now)


def test_a_refusal_of_a_dead_mailbox_when_we_send_stops_mail_to_it():
    desk, _, out = answered()
    back = desk.give_up(the_answer(out), "550 5.1.1 <ann@cust.example>: no such user")
    assert dead(desk) == {ANN}
    assert back.kinds() == [("undelivered", ANNA)]
    assert [d.code for d in back.rows.decisions] == ["suppressed"]
    assert [(e.kind, e.after) for e in desk.events(1)][-2:] == [("bounced", "5.1.1"), ("suppressed", "5.1.1")]


@pytest.mark.parametrize("reply", [
    "550 5.7.1 policy", "554 5.7.26 unauthenticated", "450 4.1.1 out of attempts", "connection lost at RCPT: timeout",
    "554 5.6.0 not sent: the mail has a line that does not end with CRLF", "550 5.1.8 bad sender", "x 5.9",
])
def test_a_refusal_that_is_not_the_addresss_fault_stops_nothing_however_often(reply):
    desk, first = opened()
    for n in range(5):
        assert desk.give_up(the_answer(again(desk, first, f"Answer {n}.")), reply).kinds() == [("undelivered", ANNA)]
    assert dead(desk) == set()


def test_other_lasting_failures_stop_mail_after_three_within_seven_days():
    desk, first = opened()
    for n in range(3):
        assert dead(desk) == set()
        back = dsn(desk, the_answer(again(desk, first, f"Answer {n}.")), "5.2.2")
        desk.now += DAY
    assert dead(desk) == {ANN}
    assert "#revive" in back.to(ANNA)[0].text


def test_three_failures_in_more_than_seven_days_stop_nothing():
    desk, first = opened()
    for n in range(4):
        back = desk.give_up(the_answer(again(desk, first, f"Answer {n}.")), "550 no")
        desk.now += 4 * DAY
    assert dead(desk) == set()
    assert "#revive" not in back.to(ANNA)[0].text


def test_failures_before_a_revival_are_forgiven():
    desk, first = opened()
    for n in range(3):
        dsn(desk, the_answer(again(desk, first, f"Answer {n}.")), "5.2.2")
    out = again(desk, first, f"#revive {ANN}\nAgain.")
    dsn(desk, the_answer(out), "5.2.2")
    assert dead(desk) == set()


def test_a_report_known_by_a_message_id_alone_needs_three():
    """Whoever was on copy of Ann's answer has our Message-ID from its References, and could forge a report."""
    desk, first = opened()
    for n in range(3):
        assert dead(desk) == set()
        assert dsn(desk, the_answer(again(desk, first, f"Answer {n}.")), to=SUPPORT).kinds() == [("undelivered", ANNA)]
    assert dead(desk) == {ANN}


def test_a_report_that_names_another_address_is_told_and_stops_mail_to_neither():
    """Behind team@ one of five has left the firm; or the report lies."""
    desk, first = opened()
    desk.mail(DAN, SUPPORT, "Mine.", subject="Other")
    for n in range(4):
        sent = the_answer(again(desk, first, f"Answer {n}."))
        back = dsn(desk, replace(sent, row=replace(sent.row, rcpt_to=DAN)))
        assert "did not reach ann@cust.example" in back.to(ANNA)[0].text
    assert dead(desk) == set()


def test_of_several_recipients_the_report_of_ours_counts():
    desk, _, out = answered()
    sent = the_answer(out)
    body = (
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
        "Final-Recipient: rfc822; someone@else.example\nAction: failed\nStatus: 5.1.1\n\n"
        f"Final-Recipient: rfc822; {ANN.upper()}\nAction: delayed\nStatus: 4.2.2\n\n--b--"
    )
    desk.now += HOUR
    back = desk.mail(
        "MAILER-DAEMON@mx.cust.example", sent.row.mail_from, body, envelope={"mail_from": None}, subject="Late",
        content_type="multipart/report; report-type=delivery-status; boundary=b", mime_version="1.0",
    )
    assert dead(desk) == set()
    assert back.kinds() == [("delayed_notice", ANNA)]


# --- What stays unsent ----------------------------------------------------------------------


def test_an_answer_to_a_dead_address_is_not_sent_and_its_writer_is_told_at_once():
    desk, first = bounced_desk()
    out = again(desk, first)
    assert out.kinds() == [("undelivered", ANNA)]
    (told,) = out.to(ANNA)
    assert "ann@cust.example, since 2026-11-23 (5.1.1)" in told.text
    assert "#revive ann@cust.example" in told.text
    assert out.codes["suppressed"] == "reply not sent: we do not write to ann@cust.example since 2026-11-23 (5.1.1)"
    assert out.events(1) == ["agent_reply"]


def test_an_answer_goes_to_those_who_can_be_reached():
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "x", cc=DAN, envelope=PARTNER)
    out = again(desk, first)
    dsn(desk, the_answer(out))
    assert [s.row.rcpt_to for s in again(desk, first).sent if s.row.kind == "reply"] == [DAN]


def test_a_dead_address_is_not_acknowledged():
    desk, _ = bounced_desk()
    out = desk.mail(ANN, SUPPORT, "Hello?", subject="Other", envelope=REMOTE)
    assert not out.to(ANN)
    assert out.codes["not_acknowledged"] == "we do not write to ann@cust.example since 2026-11-23 (5.1.1)"
    assert "acknowledged" not in out.events(2)


def test_an_answer_that_was_held_and_is_released_does_not_go_to_a_dead_address():
    desk, first, out = answered()
    held = desk.answer(notice(first, BERT), BERT, "Mine, too.")
    assert held.held == "stale"
    dsn(desk, the_answer(out))
    sent = desk.answer(held.to(BERT)[0], BERT, "#send")
    assert [s.row.kind for s in sent.to(BERT)] == ["undelivered"]
    assert not sent.to(ANN)


# --- #revive --------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [
    f"#revive {ANN}", f"#Revive: <{ANN}>", f"#reaktivieren Ann Ames <{ANN}>", f"#revive {ANN}<mailto:{ANN}>",
    "#revive ANN@CUST.example", f"#revive mailto:{ANN}",
])
def test_revive_with_the_answer_sends_it(line):
    desk, first = bounced_desk()
    out = again(desk, first, f"{line}\n\nOnce more.")
    assert [s.row.kind for s in out.to(ANN)] == ["reply"]
    assert not out.to(ANNA)
    assert dead(desk) == set()
    (row,) = out.rows.suppressions
    assert (row.revived_at, row.revived_by) == (desk.now, out.decision.spool_id)
    assert "revived" in out.events(1)


def test_revive_alone_sends_nothing():
    desk, first = bounced_desk()
    out = again(desk, first, f"#revive {ANN}")
    assert out.sent == ()
    assert dead(desk) == set()
    assert again(desk, first).to(ANN)


@pytest.mark.parametrize(("line", "remedy"), [
    ("#revive dan@cust.example", "on this ticket we do not write to ann@cust.example"),
    ("#revive", "#revive ann@acme.example"),
    ("#revive ann", "#revive ann@acme.example"),
    ("#revive <", "#revive ann@acme.example"),
])
def test_revive_of_somebody_else_is_held_with_the_addresses_that_can_be(line, remedy):
    desk, first = bounced_desk()
    desk.mail(DAN, SUPPORT, "Mine.", subject="Other")
    out = again(desk, first, f"{line}\n\nHello.")
    assert out.held == "commands"
    assert remedy in out.to(ANNA)[0].text
    assert dead(desk) == {ANN}


def test_revive_where_nobody_is_dead_says_so():
    desk, first = opened()
    assert "we write to everybody on this ticket" in again(desk, first, f"#revive {ANN}\n\nHello.").to(ANNA)[0].text


def test_several_can_be_revived_in_one_mail():
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "x", cc=DAN, envelope=PARTNER)
    out = again(desk, first)
    for one in (ANN, DAN):
        dsn(desk, the_answer(out, one))
    assert dead(desk) == {ANN, DAN}
    out = again(desk, first, f"#revive {ANN}\n#revive {DAN}\n\nOnce more.")
    assert {s.row.rcpt_to for s in out.sent if s.row.kind == "reply"} == {ANN, DAN}


def test_a_revived_address_that_is_dead_again_is_stopped_again():
    desk, first = bounced_desk()
    out = again(desk, first, f"#revive {ANN}\n\nOnce more.")
    assert dsn(desk, the_answer(out)).kinds() == [("undelivered", ANNA)]
    assert dead(desk) == {ANN}


def test_another_failure_of_a_dead_address_leaves_the_day_it_died():
    desk, first = opened()
    one, two = again(desk, first, "One."), again(desk, first, "Two.")
    dsn(desk, the_answer(one))
    assert dsn(desk, the_answer(two)).rows.suppressions == ()


# --- Who writes is alive --------------------------------------------------------------------


@pytest.mark.parametrize("way", ["token", "signed id", "vouched"])
def test_who_writes_by_proof_is_alive(way):
    desk, first = bounced_desk()
    sent = first.to(ANN)[0]
    mail = {
        "token": lambda: desk.mail(ANN, customers_address(desk, 1, ANN), "Here.", subject="x", envelope=REMOTE),
        "signed id": lambda: desk.answer(sent, ANN, "Here.", envelope=REMOTE),
        "vouched": lambda: desk.mail(ANN, SUPPORT, "Here.", subject="x", envelope=PARTNER),
    }[way]()
    assert dead(desk) == set()
    assert "revived" in mail.codes
    assert desk.all.events[-1].ticket in desk.tickets
    assert "revived" in [e.kind for e in mail.rows.events]
    assert "We do not write" not in notice(mail).text


def test_from_alone_does_not_revive_and_the_agents_read_why_and_how():
    desk, _ = bounced_desk()
    for text in ("[ABC-1] Printer broken", "Something else"):
        out = desk.mail(ANN, SUPPORT, "It is me.", subject=text, envelope=REMOTE)
        assert dead(desk) == {ANN}
        told = notice(out).text
        assert ":: ! We do not write to ann@cust.example since 2026-11-23" in " ".join(told.split())
        assert "#revive ann@cust.example" in told


def test_somebody_else_with_her_reply_address_does_not_revive_her():
    desk, _ = bounced_desk()
    desk.mail(EVE, customers_address(desk, 1, ANN), "x", envelope=REMOTE)
    assert dead(desk) == {ANN}


def test_an_absence_notice_does_not_revive():
    desk, first = bounced_desk()
    desk.answer(first.to(ANN)[0], ANN, "Away.", auto_submitted="auto-replied", envelope=REMOTE)
    assert dead(desk) == {ANN}


def test_a_second_copy_by_proof_revives_as_well():
    desk, first = bounced_desk()
    mail = {"message_id": "<both@cust.example>", "subject": "[ABC-1] x"}
    desk.mail(ANN, SUPPORT, "Here.", envelope=REMOTE, **mail)
    assert dead(desk) == {ANN}
    copy = desk.mail(ANN, SUPPORT, "Here.", envelope=PARTNER, **mail)
    assert (copy.decision.disposition, dead(desk)) == ("copy", set())
    assert "revived" in copy.events(1)


# --- Agents ---------------------------------------------------------------------------------


def test_an_agents_dead_address_is_written_to_all_the_same_and_a_colleague_is_told_once_a_day():
    desk, first = opened()
    back = desk.give_up(notice(first), "550 5.1.1 no such user")
    assert back.kinds() == [("undelivered", BERT)]
    assert "anna comes back from anna@acme.example" in back.sent[0].text
    assert [(d.code, d.detail) for d in back.rows.decisions] == [
        ("agent_unreachable", "anna at anna@acme.example: 5.1.1; correct [[agent]] address")
    ]
    more = desk.mail(ANN, SUPPORT, "More.", subject="Other")
    assert more.to(ANNA)
    assert desk.give_up(notice(more), "550 5.1.1 no such user").sent == ()
    desk.now += DAY
    late = desk.mail(ANN, SUPPORT, "More.", subject="Third")
    assert desk.give_up(notice(late), "550 5.1.1 no such user").kinds() == [("undelivered", BERT)]


def test_a_lead_hears_of_it_before_others_and_never_one_who_is_dead_as_well():
    leads = tuple(replace(a, role="lead") if a.login == "caro" else a for a in POLICY.agents)
    desk = Desk(policy=replace(POLICY, agents=leads))
    first = desk.mail(ANN, SUPPORT, "x")
    assert desk.give_up(notice(first), "550 5.1.1 no").kinds() == [("undelivered", CARO)]
    assert desk.give_up(notice(first, BERT), "550 5.1.1 no").kinds() == [("undelivered", CARO)]
    desk, first = opened()
    desk.give_up(notice(first), "550 5.1.1 no")
    assert desk.give_up(notice(first, BERT), "550 5.1.1 no").kinds() == [("undelivered", CARO)]


def test_the_only_agent_has_no_colleague():
    desk = Desk(policy=replace(POLICY, agents=POLICY.agents[:1]))
    first = desk.mail(ANN, SUPPORT, "x")
    back = desk.give_up(notice(first), "550 5.1.1 no")
    assert back.sent == ()
    assert [d.code for d in back.rows.decisions] == ["agent_unreachable"]


def test_a_report_about_an_agents_notice_tells_a_colleague_too():
    desk, first = opened()
    back = dsn(desk, notice(first))
    assert back.kinds() == [("undelivered", BERT)]
    assert "agent_unreachable" in back.codes


def test_a_dead_address_without_a_ticket_is_stopped_quietly():
    desk, first, out = answered()
    sent, told = the_answer(out), notice(first)
    desk.all = replace(desk.all, outbox=tuple(replace(o, ticket=None) for o in desk.all.outbox))
    assert dsn(desk, sent).rows.events == ()
    assert dead(desk) == {ANN}
    assert dsn(desk, told).sent == ()


# --- Late mail ------------------------------------------------------------------------------


def test_an_answer_reported_late_after_an_hour_is_told_once():
    desk, _, out = answered()
    sent = the_answer(out)
    assert dsn(desk, sent, "4.4.1", "delayed").sent == ()
    desk.now += HOUR
    told = dsn(desk, sent, "4.4.1", "delayed")
    assert told.kinds() == [("delayed_notice", ANNA)]
    assert "has not reached ann@cust.example yet" in told.sent[0].text
    assert dsn(desk, sent, "4.4.1", "delayed").sent == ()
    assert [e.kind for e in desk.events(1)].count("delayed") == 1
    assert dead(desk) == set()


def test_automatic_mail_and_notices_that_are_late_are_told_to_nobody():
    desk, first = opened()
    desk.now += 5 * HOUR
    for sent in first.sent:
        assert dsn(desk, sent, "4.4.1", "delayed").sent == ()


def test_an_answer_our_smarthost_puts_off_is_told_once_and_not_again_by_a_report():
    desk, _, out = answered()
    sent = the_answer(out)
    told = desk.put_off(sent, "451 4.2.0 try later")
    assert told.kinds() == [("delayed_notice", ANNA)]
    assert [(e.kind, e.after, e.cause) for e in told.rows.events] == [("delayed", "4.2.0", f"outbox:{sent.row.id}")]
    desk.now += HOUR
    assert dsn(desk, sent, "4.4.1", "delayed").sent == ()


def test_a_success_after_a_delay_is_success_and_a_failure_after_it_is_told():
    desk, _, out = answered()
    sent = the_answer(out)
    dsn(desk, sent, "4.4.1", "delayed")
    good = dsn(desk, sent, "2.1.5", "delivered")
    assert ([d.state for d in good.rows.deliveries], good.decision.disposition) == (["sent"], "log")
    assert dsn(desk, sent, "4.4.7", "failed").kinds() == [("undelivered", ANNA)]
    assert dead(desk) == set()
    assert dsn(desk, sent, "2.1.5", "delivered").rows.deliveries == ()


def test_a_report_of_success_is_no_failure():
    """Found while building this: without its success block a report counted as a failure without status."""
    desk, _, out = answered()
    back = dsn(desk, the_answer(out), "2.1.5", "delivered")
    assert back.sent == ()
    assert "bounced" not in [e.kind for e in desk.events(1)]


def test_a_delay_of_mail_that_is_still_ours_to_send_changes_nothing():
    desk, _, out = answered()
    sent = the_answer(out)
    desk.put_off(sent, "451 4.2.0 try later")
    back = dsn(desk, sent, "4.4.1", "delayed")
    assert (back.rows.deliveries, back.rows.events) == ((), ())
    assert "reported_before" in back.codes


def test_a_late_answer_on_a_ticket_nobody_can_be_told_of_is_noted():
    desk, _, out = answered()
    left = Desk(policy=replace(POLICY, agents=(), queues=tuple(replace(q, agents=()) for q in POLICY.queues)))
    left.all, left.raws, left.count, left.now = desk.all, desk.raws, desk.count, desk.now + HOUR
    assert dsn(left, the_answer(out), "4.4.1", "delayed").events(1) == ["delayed"]


def test_late_mail_without_a_ticket_changes_its_state_only():
    desk, _, out = answered()
    desk.all = replace(desk.all, outbox=tuple(replace(o, ticket=None) for o in desk.all.outbox))
    back = dsn(desk, the_answer(out), "4.4.1", "delayed")
    assert ([d.state for d in back.rows.deliveries], back.rows.events) == (["delayed"], ())


# --- Once -----------------------------------------------------------------------------------

STEPS = st.sampled_from([
    "failed 5.1.1", "failed 5.2.2", "failed 4.4.7", "failed ", "delayed 4.4.1", "delivered 2.1.5", "id 5.1.1", "refused", "put off",
])


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 90)), max_size=8))
def test_whatever_is_reported_of_one_answer_its_writer_hears_of_failure_and_delay_once_each(steps):
    desk, _, out = answered()
    sent = the_answer(out)
    for step, minutes in steps:
        desk.now += timedelta(minutes=minutes)
        state = {d.outbox: d.state for d in desk.all.deliveries}[sent.row.id]
        if step in ("refused", "put off"):
            if state in ("bounced", "failed", "delayed"):   # the postman lets it be: core/retry.settled
                continue
            if step == "refused":
                desk.give_up(sent, "550 5.1.1 no such user")
            elif state != "deferred":
                desk.put_off(sent, "451 4.2.0 later")
        elif step.startswith("id"):
            dsn(desk, sent, "5.1.1", to=SUPPORT)
        else:
            action, _, status = step.partition(" ")
            dsn(desk, sent, status, action)
    kinds = [s.row.kind for s in desk.sent if s.row.rcpt_to == ANNA]
    assert kinds.count("undelivered") <= 1
    assert kinds.count("delayed_notice") <= 1
    assert [e.kind for e in desk.events(1)].count("bounced") == kinds.count("undelivered")
    if any(step.startswith(("failed", "id")) for step, _ in steps):
        assert kinds.count("undelivered") == 1
    assert dead(desk) <= {ANN}


def test_two_reports_of_one_answer_in_one_batch_are_told_once():
    """They share neither From nor Message-ID, so they stand in one wave."""
    desk, _, out = answered()
    path = the_answer(out).row.mail_from
    back = desk.receive(*(
        desk.write(f"mailer-daemon@{host}", path, "Gone.", subject=host, envelope={"mail_from": None})
        for host in ("a.example", "b.example", "c.example")
    ))
    assert back.kinds() == [("undelivered", ANNA)]
    assert back.events(1) == ["bounced"]


def test_a_refusal_after_a_report_is_not_told_again():
    desk, _, out = answered()
    dsn(desk, the_answer(out))
    back = desk.give_up(the_answer(out), "550 5.1.1 no such user")
    assert (back.sent, back.rows.events) == ((), ())


# --- The operator ---------------------------------------------------------------------------


def test_an_operator_revives():
    desk, first = bounced_desk()
    context = desk.context(Needs(addresses=frozenset({ANN, DAN})))
    rows = revived_by_operator(ANN, context, "operator:0", desk.now)
    assert [(s.revived_at, s.revived_by) for s in rows.suppressions] == [(desk.now, "operator:0")]
    desk.all = replace(desk.all, suppressions=desk.all.suppressions + rows.suppressions)
    context = desk.context(Needs(addresses=frozenset({ANN, DAN})))
    assert not revived_by_operator(ANN, context, "operator:0", desk.now).suppressions
    assert not revived_by_operator(DAN, context, "operator:0", desk.now).suppressions
    assert again(desk, first).to(ANN)
