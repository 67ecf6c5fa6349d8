"""An agent sends a customer's mail on to the queue: the ticket is the customer's."""

from __future__ import annotations

import pytest

from tests.desk import ANN, ANNA, BERT, DAN, POLICY, SUPPORT, Desk, Outcome

FORWARD = "Please take this one.\n\n---------- Forwarded message ---------\n{}"
INNER = "From: Ann Berg <ann@cust.example>\nDate: Tue, Mar 3, 2026 at 9:00 AM\nSubject: Lamp broken\nTo: <anna@acme.example>\n\nIt blinks.\n\nAnn"
WHOLE = FORWARD.format(INNER)


def sent_on(desk: Desk, text: str = WHOLE, sender: str = ANNA, **more: object) -> Outcome:
    return desk.mail(sender, SUPPORT, text, **{"subject": "Fwd: Lamp broken", **more})  # type: ignore[arg-type]


def test_the_ticket_is_the_customers_and_holds_the_customers_words() -> None:
    desk = Desk()
    out = sent_on(desk)
    (ticket,) = out.opened
    assert desk.roles(ticket) == {ANN: "requester"}
    requester = next(p for p in desk.all.persons if p.id == desk.ticket(ticket).requester)
    assert (requester.address, requester.name) == (ANN, "Ann Berg")
    texts = {t.message: t for t in desk.all.message_texts}
    public = next(m for m in desk.all.messages if m.is_public)
    assert texts[public.id].new_text == "It blinks.\n\nAnn"
    assert desk.all.ticket_texts[0].subject == "Lamp broken"
    assert "ann@cust.example" in out.codes["forwarded"]
    assert "not_acknowledged" in out.codes
    assert out.to(ANN) == []


def test_what_the_agent_says_is_a_note_and_never_reaches_the_customer() -> None:
    desk = Desk()
    out = sent_on(desk)
    (ticket,) = out.opened
    assert out.events(ticket) == ["created", "note"]
    note = next(m for m in desk.all.messages if not m.is_public)
    assert next(t for t in desk.all.message_texts if t.message == note.id).new_text == "Please take this one."
    assert out.kinds() == [("note_notice", BERT), ("notice", ANNA), ("notice", BERT)]
    notice = next(s for s in out.to(BERT) if s.row.kind == "notice")
    assert "It blinks." in notice.text
    assert "Please take this one." not in notice.text
    desk.answer(next(iter(out.to(ANNA))), ANNA, "Which colour?")
    answer = next(desk.everything_to(ANN))
    assert "Which colour?" in answer.text
    assert "Please take this one" not in answer.text


def test_the_customers_own_answer_finds_the_ticket() -> None:
    desk = Desk()
    (ticket,) = sent_on(desk).opened
    desk.answer(next(s for s in desk.everything_to(ANNA)), ANNA, "Which colour?")
    again = desk.answer(next(desk.everything_to(ANN)), ANN, "Green.")
    assert again.opened == []
    assert again.events(ticket)[0] == "customer_reply"


def test_a_forward_without_a_word_has_no_note() -> None:
    desk = Desk()
    out = sent_on(desk, INNER)
    assert out.events(*out.opened) == ["created"]
    assert [m.is_public for m in desk.all.messages] == [True]


def test_a_forward_as_attachment() -> None:
    desk = Desk()
    text = (
        "--b\nContent-Type: text/plain\n\nPlease take this one.\n--b\nContent-Type: message/rfc822\n\n"
        "From: Ann Berg <ann@cust.example>\nSubject: Lamp broken\nMessage-ID: <o1@cust.example>\n\nIt blinks.\n--b--\n"
    )
    out = sent_on(desk, text, mime_version="1.0", content_type="multipart/mixed; boundary=b")
    (ticket,) = out.opened
    assert out.events(ticket) == ["created", "note"]
    assert [t.new_text.strip() for t in desk.all.message_texts] == ["It blinks.", "Please take this one."]
    # Her next mail answers her first one, which we only know from inside the agent's.
    again = desk.mail(ANN, SUPPORT, "It still blinks.", in_reply_to="<o1@cust.example>", subject="Re: Lamp broken")
    assert again.opened == []


@pytest.mark.parametrize(("text", "more"), [
    (WHOLE, {"envelope": {"relay": None}}),                                     # anybody could have written it
    (WHOLE, {"sender": DAN}),                                                   # a customer's forward is his own mail
    (WHOLE, {"subject": "Lamp broken"}), (WHOLE, {"subject": "Re: Lamp broken"}),
    (FORWARD.format(INNER.replace("ann@cust.example", BERT)), {}),              # a colleague is no customer
    (FORWARD.format(INNER.replace("ann@cust.example", SUPPORT)), {}),           # nor are we
    (FORWARD.format("It blinks."), {}), ("It blinks.", {}),
    (WHOLE, {"auto_submitted": "auto-generated"}),                              # a robot at the agent's address
])
def test_anything_else_is_the_writers_own_mail(text: str, more: dict[str, object]) -> None:
    desk = Desk()
    out = sent_on(desk, text, **more)  # type: ignore[arg-type]
    (ticket,) = out.opened
    assert ANN not in desk.roles(ticket)
    assert "forwarded" not in out.codes


def test_a_forward_on_a_ticket_is_the_agents_mail_there() -> None:
    desk = Desk()
    (ticket,) = desk.mail(DAN, SUPPORT, "Help.").opened
    notice = next(desk.everything_to(ANNA))
    out = desk.receive(desk.reply(notice, ANNA, f"#note\n{WHOLE}", subject=f"Fwd: {notice.mail.subject}"))
    assert out.opened == []
    assert out.events(ticket)[0] in ("note", "held")


def test_rules_apply_and_a_bad_one_is_told() -> None:
    desk = Desk()
    out = sent_on(desk, FORWARD.format(INNER), subject="Fwd: ghost invoice")
    (ticket,) = out.opened
    assert desk.ticket(ticket).priority == "high"
    assert "rule_refused" in out.codes
    assert POLICY.rules[0].name in {d.detail for d in out.rows.decisions}
