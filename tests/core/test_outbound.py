"""Agents write first: through our own door to anybody, from the queue's address, as a ticket of the one they wrote to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.policy import Policy
from tests.desk import ANN, ANNA, BERT, CARO, DAN, EVE, POLICY, SUPPORT, Desk, Outcome, answered, opened

DOOR = {"channel": "submission", "login": "anna", "relay": None}


def wrote(desk: Desk, to: Any = ANN, text: str = "Your printer is ready.", rcpts: tuple[str, ...] = (), **more: Any) -> Outcome:
    return desk.mail(f"Anna <{ANNA}>", to, text, rcpts=rcpts, envelope={**DOOR, **more.pop("envelope", {})}, **more)


def test_an_agents_first_mail_goes_out_from_the_queue_and_is_the_customers_ticket():
    desk = Desk()
    out = wrote(desk, f"Ann Ames <{ANN}>", rcpts=(ANN,))
    (sent,) = out.to(ANN)
    assert sent.mail.sender is not None
    assert (sent.mail.sender.address, sent.mail.sender.name) == (SUPPORT, "Anna Ek (Acme Support)")
    assert sent.mail.subject == "[ABC-1] Printer broken"
    assert "Your printer is ready." in sent.text
    ticket = desk.ticket(1)
    assert (ticket.status, desk.roles(1)) == ("open", {ANN: "requester"})
    assert ticket.assignee is not None
    assert ticket.first_reply_at is None, "nobody had asked"
    assert ANNA not in sent.raw.decode()
    assert out.codes["identity"].startswith("level 4")


def test_the_customers_answer_comes_back_to_the_ticket():
    desk = Desk()
    out = wrote(desk)
    back = desk.answer(out.to(ANN)[0], ANN, "Thank you!", envelope={"relay": None})
    assert back.events(1)[0] == "customer_reply"
    assert [s.row.rcpt_to for s in back.sent] == [ANNA]


def test_each_recipient_gets_a_mail_of_his_own_and_sees_no_blind_copy():
    desk = Desk()
    out = wrote(desk, ANN, rcpts=(ANN, DAN, EVE), cc=DAN)
    assert [k for k, _ in out.kinds() if k == "reply"] == ["reply"] * 3
    assert desk.roles(1) == {ANN: "requester", DAN: "cc", EVE: "cc"}
    for who in (ANN, DAN, EVE):
        (sent,) = out.to(who)
        assert not [other for other in {ANN, DAN, EVE} - {who} if other in sent.raw.decode()]
        assert [a.address for a in (*sent.mail.to, *sent.mail.cc)] == [who]


def test_a_colleague_named_there_is_told_and_the_queue_is_not_written_to():
    desk = Desk()
    out = wrote(desk, [ANN, SUPPORT, CARO], cc=BERT)
    assert ("brief", CARO) in out.kinds()
    assert SUPPORT not in [s.row.rcpt_to for s in out.sent]
    assert not out.to(ANNA)


def test_commands_on_top_are_carried_out_and_not_sent():
    desk = Desk()
    out = wrote(desk, text="#pending\n#tag +printer\nYour printer is ready.")
    assert (desk.ticket(1).status, desk.ticket(1).tags) == ("pending", "printer")
    assert "#" not in out.to(ANN)[0].text


HELD = {
    "a note": ("#note\nsecretword", {}, "outside"),
    "a mistyped command": ("#sovled\nHello.", {}, "commands"),
    "an impossible command": ("#assign nobody-here\nHello.", {}, "commands"),
    "a command below": ("Hello.\n#solved", {}, "commands"),
    "our footer": ("Hello.\n:: ABC-1 :: new, normal :: #take", {}, "leftover"),
    "a mail of ours inside": ("Hello.\nX-Mailwicket-Id: 1.abc", {}, "leftover"),
    "nothing": ("", {}, "empty"),
    "an unreadable From": ("Hello.", {"from": f"{ANNA}, {BERT}"}, "unproven"),
    "another's From": ("Hello.", {"from": BERT}, "unproven"),
}


@pytest.mark.parametrize(("text", "headers", "code"), HELD.values(), ids=HELD.keys())
def test_what_no_answer_may_hold_goes_to_nobody(text: str, headers: dict[str, str], code: str):
    desk = Desk()
    out = wrote(desk, text=text, **headers)
    assert out.held == code
    assert not out.to(ANN)
    assert not out.opened
    assert "secretword" not in "".join(s.text for s in out.sent)


def test_a_light_agent_writes_to_nobody_outside():
    light = tuple(replace(a, role="light") if a.login == "anna" else a for a in POLICY.agents)
    out = wrote(Desk(policy=replace(POLICY, agents=light)))
    assert (out.held, out.to(ANN)) == ("role", [])


def test_a_mail_nobody_could_read_is_not_sent_on():
    desk = Desk()
    raw = f"From: {ANNA}\r\nTo: {ANN}\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\nx\r\n" * 30_000
    out = desk.receive(desk.spooled(raw.encode(), ANNA, ANN, **DOOR))
    assert (out.held, out.to(ANN)) == ("unread", [])


@pytest.mark.parametrize("envelope", [
    {"login": None}, {"login": "bert"}, {"login": None, "relay": "mta"}, {"login": "gone"},
])
def test_who_is_not_logged_in_as_the_writer_sends_nothing_outside(envelope: dict[str, Any]):
    out = wrote(Desk(), envelope=envelope)
    assert not out.to(ANN)


@pytest.mark.parametrize("channel", ["smtp", "lmtp", "drop", "imap"])
def test_no_other_door_relays(channel: str):
    """Even a proven agent: the recipients of those doors were given the mail by somebody else."""
    out = wrote(Desk(), envelope={"channel": channel})
    assert not out.to(ANN)


def test_with_the_queue_on_copy_a_proven_mail_is_recorded_and_not_sent_again():
    """Her program brought it to Ann by itself: only support@ is among the recipients of ours."""
    desk = Desk()
    out = wrote(desk, ANN, rcpts=(SUPPORT,), cc=SUPPORT)
    assert not out.to(ANN)
    assert desk.roles(1) == {ANN: "requester"}
    assert desk.ticket(1).status == "open"


def test_below_level_three_the_queue_on_copy_makes_it_her_own_ticket():
    desk = Desk()
    desk.mail(ANNA, ANN, "Your printer is ready.", rcpts=(SUPPORT,), cc=SUPPORT)
    assert desk.roles(1)[ANNA] == "requester"


def test_a_reply_to_all_brings_the_answer_to_everybody_she_named():
    """They stand on To and Cc, but at this door nobody else brings it to them; on the ticket they are from now on."""
    desk, first = opened()
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.reply(
        notice, ANNA, "It is repaired.", cc=f"{ANN}, {DAN}", envelope=DOOR, rcpts=(notice.reply_to, ANN, DAN),
    ))
    assert sorted(s.row.rcpt_to for s in out.sent if s.row.kind == "reply") == [ANN, DAN]
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}


def test_a_note_with_people_outside_among_its_recipients_is_asked_about():
    desk, first = opened()
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.reply(notice, ANNA, "#note\nsecretword", cc=DAN, envelope=DOOR, rcpts=(notice.reply_to, DAN)))
    assert out.held == "outside"
    assert DAN not in [s.row.rcpt_to for s in out.sent]


def test_a_holder_of_anothers_address_whom_the_agent_names_is_written_to():
    desk, _, ans = answered()
    desk.mail(DAN, SUPPORT, "Me, too.", in_reply_to=f"<{ans.to(ANN)[0].mail.message_id}>", references="")
    notice = next(s for s in reversed(desk.sent) if s.row.rcpt_to == ANNA)
    out = desk.receive(desk.reply(notice, ANNA, "For both.", cc=DAN, envelope=DOOR, rcpts=(notice.reply_to, DAN)))
    assert DAN in [s.row.rcpt_to for s in out.sent]


def test_the_same_mail_handed_in_for_more_recipients_reaches_them_once():
    desk = Desk()
    first = wrote(desk, [ANN, DAN], rcpts=(ANN,), message_id="<one@acme.example>")
    second = wrote(desk, [ANN, DAN], rcpts=(DAN,), message_id="<one@acme.example>")
    third = wrote(desk, [ANN, DAN], rcpts=(DAN, ANN), message_id="<one@acme.example>")
    assert [s.row.rcpt_to for o in (first, second, third) for s in o.sent if s.row.kind == "reply"] == [ANN, DAN]
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}
    assert len(desk.tickets) == 1


def test_of_a_held_mail_more_recipients_get_nothing():
    desk = Desk()
    wrote(desk, [ANN, DAN], "#sovled\nHello.", rcpts=(ANN,), message_id="<one@acme.example>")
    out = wrote(desk, [ANN, DAN], "#sovled\nHello.", rcpts=(DAN,), message_id="<one@acme.example>")
    assert not out.to(DAN)


def test_an_agent_who_is_the_customer_of_a_ticket_writes_outside_on_a_new_one():
    desk = Desk()
    own = desk.mail(ANNA, SUPPORT, "My screen is dark.")
    mail = own.to(BERT)[0]
    answer = desk.answer(mail, BERT, "Which one?")
    out = desk.receive(desk.reply(answer.to(ANNA)[0], ANNA, "Dan sold it.", cc=DAN, envelope=DOOR, rcpts=(SUPPORT, DAN)))
    assert out.to(DAN)
    assert out.opened == [2]
    assert desk.roles(2)[DAN] == "requester"


def test_automatic_mail_of_an_agents_program_is_relayed_to_nobody():
    out = wrote(Desk(), auto_submitted="auto-replied")
    assert not out.to(ANN)


def test_people_are_known_by_their_addresses_also_from_blind_copies():
    """What ``needs`` forgot would be a second person of the same address; the desk checks."""
    desk = Desk()
    wrote(desk, ANN, rcpts=(ANN, EVE))
    wrote(desk, DAN, "Another.", rcpts=(DAN, EVE), subject="Other")
    assert len({p.address for p in desk.all.persons}) == len({p.id for p in desk.all.persons})


def policy_of(role: str) -> Policy:
    return replace(POLICY, agents=tuple(replace(a, role=role) if a.login == "anna" else a for a in POLICY.agents))


LEVELS: dict[int, dict[str, Any]] = {
    0: {"mail_from": EVE, "relay": None}, 1: {}, 2: {"mail_from": EVE, "relay": None}, 3: {}, 4: {"login": "anna"},
}
# security §3.2: (what an agent writes, the least level that does it at once)
ACTIONS = {"a public answer": ("It works.", 3), "a note": ("#note\nHm.", 3), "a status": ("#solved", 3),
           "an assignee": ("#assign bert", 3), "a tag": ("#tag +x", 3), "a priority": ("#priority high", 3),
           "a merge": ("#merge ABC-2", 4), "a dropped mail": ("#drop", 5), "a released mail": ("#send", 5)}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("text", "least"), ACTIONS.values(), ids=ACTIONS.keys())
def test_level_by_action(text: str, least: int, level: int):
    """With a token from level 2 on; without one a proven reference, which proves no more."""
    desk, first = opened()
    desk.mail(DAN, SUPPORT, "Other.", subject="Other")
    notice = first.to(ANNA)[0]
    to = notice.reply_to if level >= 2 else SUPPORT
    in_reply_to = {} if level >= 2 else {"in_reply_to": "", "references": f"<{first.rows.mail_ids[0].rfc_id}>"}
    out = desk.receive(desk.reply(notice, ANNA, text, to=to, envelope=LEVELS[level], **in_reply_to))
    assert out.codes["identity"].startswith(f"level {level}")
    if level >= least:
        assert out.held is None
    else:
        assert out.held is not None or out.opened == [3]
        assert not out.to(ANN)
        assert not {e.kind for e in out.rows.events if e.ticket == 1} - {"held"}


def test_a_first_mail_with_an_unknown_macro_goes_to_nobody():
    out = wrote(Desk(), ANN, "#macro ghost\n\nHello.", rcpts=(ANN,))
    assert (out.held, out.to(ANN)) == ("commands", [])
