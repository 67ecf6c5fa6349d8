"""What agents say among themselves, mistype, or never said: none of it may reach the customer."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import make_msgid

import pytest
from desk import TOKEN, Desk, Mailbox, Received, answer, post, swaks, write
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]


def opened(desk: Desk, town: Town, subject: str) -> str:
    """Ann's new ticket: its key in brackets, once it is acknowledged."""
    write(town, "Ann Example <ann@cust.example>", desk.door.queue, subject, f"I have a question: {subject}?")
    ack = Mailbox(town, "ann@cust.example").wait_about(subject)
    return ack.subject.partition("[")[2].partition("]")[0]


def test_an_answer_to_an_internal_note_stays_internal(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Discount wanted")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "#note\nShe may have ten percent, not a bit more.")
    note = bert.wait_about(f"[{key}]", text="ten percent, not a bit more")
    assert "stays internal" in note.text
    answer(town, bert.address, note, "Five are enough for this customer, I would say.")
    assert "Bert Baum" in anna.wait_about(f"[{key}]", text="Five are enough").text
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1, "nothing but the acknowledgement"
    assert [m["public"] for m in desk.show(key)["messages"]] == [True, False, False]


def test_a_mistyped_command_holds_the_mail_and_only_its_writer_is_told(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Broken lamp")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "#sovled\nA new bulb is on its way.")
    told = anna.wait(lambda m: f"[{key}]" in m.subject and "#sovled" in m.text and "#solved" in m.text, "the question back")
    assert "Nothing was sent" in told.text
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert not [m for m in bert.about(f"[{key}]") if "bulb" in m.everything]
    assert desk.status(key) == "new"


def forged(notice: Received, sender: str, text: str) -> EmailMessage:
    """A mail in an agent's name by somebody who saw her notice: address, ids and subject all fit."""
    mail = EmailMessage()
    mail["From"] = f"Anna Ahlberg <{sender}>"
    mail["To"] = notice.header("reply-to")
    mail["Subject"] = f"Re: {notice.subject}"
    mail["In-Reply-To"] = notice.header("message-id")
    mail["Message-ID"] = make_msgid(domain="elsewhere.example")
    mail.set_content(text)
    return mail


def test_a_mail_in_an_agents_name_without_her_login_does_nothing(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox
) -> None:
    """The reply address alone is not enough: it may have been forwarded or quoted."""
    key = opened(desk, town, "Refund please")
    notice = anna.wait_about(f"[{key}]")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    assert TOKEN.match(token)

    # With her address on the envelope Postfix refuses it at the door, also when nobody's login is at stake.
    refused = post(town, forged(notice, anna.address, "#solved\nforged one"), anna.address, token)
    assert not refused.taken
    assert "not logged in" in refused.said
    # With the forger's own envelope Postfix must take it; the gateway sees that From is not proven.
    assert post(town, forged(notice, anna.address, "#solved\nforged two"), "eve@elsewhere.example", token).taken
    told = anna.wait_about(f"[{key}]", text="cannot prove")
    assert "forged" not in told.everything, "a forger must not write to agents through us"
    # Straight to the gateway, past the relay that would vouch: 127.0.0.2 is no configured relay.
    file = town.root / "post.eml"
    file.write_bytes(forged(notice, anna.address, "#solved\nforged three").as_bytes())
    past = swaks(
        town, "--local-interface", "127.0.0.2", "--from", anna.address, "--to", token, "--data", f"@{file}",
        port=town.ports.desk_smtp,
    )
    assert past.taken, past.said
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert desk.status(key) == "new"
    assert [bool(m["hold"]) for m in desk.show(key)["messages"]] == [False, True, True]
    assert len([m for m in anna.about(f"[{key}]") if "cannot prove" in m.text]) == 1, "no mail bombs: one notice an hour"


def test_an_agent_logged_in_as_herself_cannot_speak_as_a_colleague(
    desk: Desk, town: Town, ann: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Opening hours")
    notice = bert.wait_about(f"[{key}]")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    # Anna's login, Bert's reply address, Bert in From: only her envelope sender tells.
    assert post(
        town, forged(notice, bert.address, "#solved\nWe are closed."), "anna@acme.example", token, login="anna@acme.example"
    ).taken
    bert.wait_about(f"[{key}]", text="cannot prove")
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert desk.status(key) == "new"
