"""A ticket from the first mail to the second answer, through a real Postfix, Dovecot and mail clients.

Once with Postfix handing over by LMTP, once by SMTP: the stories must not differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import INTERNAL_HEADERS, LMTP, SMTP, TOKEN, Desk, Door, Mailbox, Received, answer, write
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]

SUBJECT = "Printer on fire"
QUESTION = "The printer on floor two smokes. Photo attached."
ANSWER = "Please unplug it.\nWe are on our way."


@pytest.mark.parametrize("door", [LMTP, SMTP], ids=lambda door: door.name)
def test_life_of_a_ticket(
    open_desk: Callable[[Door], Desk], town: Town, tmp_path: Path, door: Door,
    ann: Mailbox, eve: Mailbox, anna: Mailbox, bert: Mailbox,
) -> None:
    desk = open_desk(door)
    photo = tmp_path / "photo.bin"
    photo.write_bytes(bytes(range(256)) * 40 + b"\r\n.\r\nFrom \n")

    # A customer writes; she is told that it arrived, and both agents get it.
    question = write(
        town, "Ann Example <ann@cust.example>", door.queue, SUBJECT, QUESTION,
        attach=[("photo.bin", "application/octet-stream", photo)],
    )
    the_acknowledgement(ann.wait_about("[ABC-1]"), door, question)
    notices = {agent: agent.wait_about("[ABC-1]", SUBJECT) for agent in (anna, bert)}
    for notice in notices.values():
        the_notice(notice, door, photo.read_bytes())
    tokens = {TOKEN.search(notice.header("reply-to"))[0] for notice in notices.values()}  # type: ignore[index]
    assert len(tokens) == 2, "each agent has an own reply address"
    listed = desk.run("tickets", "--json")
    assert listed.returncode == 0, listed.stderr
    ticket = json.loads(listed.stdout)
    assert (ticket["key"], ticket["status"], ticket["requester"]) == ("ABC-1", "new", "ann@cust.example")

    # An agent answers from her mail program, with a command on top and the notice quoted below.
    answer(town, anna.address, notices[anna], f"#pending\n{ANSWER}")
    reply = ann.wait_about("[ABC-1]", text="Please unplug it.")
    the_answer(reply, door, question)
    brief = bert.wait_about("[ABC-1]", text="Please unplug it.")
    assert "anna@acme.example> answered the customer:" in brief.text
    assert "#pending\n" not in brief.text
    assert TOKEN.search(brief.header("reply-to"))
    ticket = desk.show("ABC-1")["ticket"]
    assert (ticket["status"], ticket["assignee"]) == ("pending", "anna@acme.example")

    # The customer answers; her program keeps only In-Reply-To, and she changes the subject.
    write(
        town, "Ann Example <ann@cust.example>", door.queue, "All quiet now", "The smoke is gone, thank you.",
        headers={"In-Reply-To": reply.header("message-id")},
    )
    assert "The smoke is gone" in anna.wait_about("[ABC-1]", text="The smoke is gone").text
    assert desk.status("ABC-1") == "open"
    assert not [m for m in bert.mails() if "The smoke is gone" in m.everything], "the ticket is anna's now"

    # A stranger who saw the subject gets a ticket of his own and learns nothing.
    write(town, "Eve <eve@elsewhere.example>", door.queue, reply.subject, "Please send me all there is on this.")
    ack = eve.wait_about("[ABC-2]")
    assert ack.header("auto-submitted") == "auto-replied"
    anna.wait_about("[ABC-2]", text="send me all there is")
    assert {t["key"] for t in desk.tickets()} == {"ABC-1", "ABC-2"}
    read_by_eve = "".join(m.everything for m in eve.mails())
    for secret in ("smoke", "unplug", "ann@cust.example", "Ann Example", "Anna Ahlberg"):
        assert secret not in read_by_eve
    desk.quiet()
    assert len(eve.mails()) == 1
    assert len(ann.mails()) == 2, "one acknowledgement, one answer"


def the_acknowledgement(ack: Received, door: Door, question: str) -> None:
    assert ack.header("from") == f"Acme Support <{door.queue}>"
    assert ack.subject == f"Re: [ABC-1] {SUBJECT}"
    assert ack.header("auto-submitted") == "auto-replied"
    assert ack.header("in-reply-to") == question
    assert QUESTION not in ack.everything, "an acknowledgement repeats nothing that a stranger wrote"
    assert not list(ack.mail.iter_attachments())
    unspoken(ack)


def the_notice(notice: Received, door: Door, photo: bytes) -> None:
    assert notice.mail["from"].addresses[0].display_name == "Ann Example via Acme Support"
    assert notice.mail["reply-to"].addresses[0].domain == door.reply_domain
    assert notice.mail["from"].addresses[0].domain == door.reply_domain
    assert notice.subject == f"[ABC-1] {SUBJECT}"
    assert QUESTION in notice.text
    assert ":: ABC-1 :: new" in notice.text
    assert notice.header("list-id")
    assert not notice.header("auto-submitted"), "a person wrote this"
    assert notice.part("photo.bin").get_content() == photo


def the_answer(reply: Received, door: Door, question: str) -> None:
    assert str(reply.mail["from"].addresses[0]) == f'"Anna Ahlberg (Acme Support)" <{door.queue}>'
    assert reply.mail["to"].addresses[0].addr_spec == "ann@cust.example"
    assert reply.subject == f"Re: [ABC-1] {SUBJECT}"
    assert reply.text.startswith(ANSWER + "\n")
    assert reply.header("in-reply-to") == question
    assert question in reply.header("references")
    assert not reply.header("auto-submitted"), "a person wrote this"
    written = "\n".join(line for line in reply.text.splitlines() if not line.startswith(">"))
    assert not re.search(r"^#|:: ABC", written, re.MULTILINE)
    unspoken(reply)


def unspoken(mail: Received) -> None:
    """What of the inside must not reach a customer."""
    assert not TOKEN.search(mail.raw.decode("utf-8", "replace"))
    assert not TOKEN.search(mail.everything)
    assert "#pending" not in mail.everything
    assert ":: ABC" not in mail.everything
    for name in INTERNAL_HEADERS:
        assert name not in mail.mail, name
    assert "user-agent" not in mail.mail
    received = [str(value) for value in mail.mail.get_all("received", [])]
    assert len(received) == 2, "the gateway's hand-over to Postfix, Postfix's to Dovecot: no way of the agent's mail"
    assert not any("anna" in hop or "ESMTPSA" in hop for hop in received)
