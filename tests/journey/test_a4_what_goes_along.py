"""Files and pictures, copies, and two agents at one ticket."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import make_msgid

import pytest
from desk import Desk, Mailbox, Received, answer, post, write
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
SHEET = b"%PDF-1.4\r\n" + bytes(range(256)) * 20 + b"\n.\n..\nFrom me\n"


def with_picture(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """Text and HTML with an inline picture, and a file; as mail programs build it."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">"))
    mail.set_content(text)
    page = "".join(f"<p>{line}</p>" for line in text.splitlines())
    mail.add_alternative(f'<html><body>{page}<p><img src="cid:pixel@here" alt=""></p></body></html>', subtype="html")
    shown = mail.get_body(("html",))
    assert isinstance(shown, EmailMessage)
    shown.add_related(PIXEL, "image", "png", cid="<pixel@here>", filename="pixel.png")
    mail.add_attachment(SHEET, "application", "pdf", filename="Bericht März.pdf")
    return mail


def test_pictures_and_files_go_along_byte_for_byte(desk: Desk, town: Town, ben: Mailbox, anna: Mailbox) -> None:
    """Both ways, in text and HTML; the agent's command stands in both of hers and in none of the customer's."""
    subject = "Größe „XL“ passt nicht 🙁"
    asked = with_picture("Bén Exämple <ben@cust.example>", desk.door.queue, subject, "It looks like this.")
    assert post(town, asked, "ben@cust.example", desk.door.queue).taken
    notice = anna.wait_about(subject)
    assert notice.mail["from"].addresses[0].display_name == "Bén Exämple via Acme Support"
    complete(notice)

    back = with_picture(
        "Anna A. <anna@acme.example>", notice.header("reply-to"), f"Re: {notice.subject}", "#pending\nThen like that, 50 €."
    )
    back["In-Reply-To"] = notice.header("message-id")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    assert post(town, back, anna.address, token, login=anna.address).taken
    reply = ben.wait_about(subject, text="Then like that, 50 €.")
    assert str(reply.mail["to"].addresses[0]) == "Bén Exämple <ben@cust.example>"
    assert "Then like that, 50 €." in reply.html
    assert "#pending" not in reply.everything
    complete(reply)


def complete(mail: Received) -> None:
    for name, octets in (("pixel.png", PIXEL), ("Bericht März.pdf", SHEET)):
        assert mail.part(name).get_content() == octets
    shown = mail.part("pixel.png")["content-id"].strip("<> ")
    assert f"cid:{shown}" in mail.html, "the picture stands in the text, not below it"


def test_an_agent_on_copy_gets_no_second_copy(desk: Desk, town: Town, anna: Mailbox, bert: Mailbox) -> None:
    """Bert has the mail from Ann herself; only Anna needs ours."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Cc"] = "Ann Example <ann@cust.example>", desk.door.queue, bert.address
    mail["Subject"], mail["Message-ID"] = "Copied to Bert", "<copied-to-bert@cust.example>"
    mail.set_content("Bert knows about this already.")
    assert post(town, mail, "ann@cust.example", desk.door.queue, bert.address).taken
    anna.wait_about("Copied to Bert", text="Bert knows")
    bert.wait_about("Copied to Bert", text="Bert knows")
    desk.quiet()
    assert [m.header("message-id") for m in bert.about("Copied to Bert")] == ["<copied-to-bert@cust.example>"]


def test_a_second_answer_waits_until_its_writer_has_seen_the_first(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    """Two agents, one mail: ruling 4."""
    write(town, "Ann Example <ann@cust.example>", desk.door.queue, "Which cable", "Which cable do I need?")
    theirs = {agent: agent.wait_about("Which cable") for agent in (anna, bert)}
    answer(town, anna.address, theirs[anna], "The blue one.")
    ann.wait_about("Which cable", text="The blue one.")
    answer(town, bert.address, theirs[bert], "The red one.")
    held = bert.wait_about("Which cable", text="a colleague answered while you were writing")
    assert "Anna" in held.text
    assert "#send" in held.text
    desk.quiet()
    assert not [m for m in ann.about("Which cable") if "The red one." in m.text]

    answer(town, bert.address, held, "#send")
    reply = ann.wait_about("Which cable", text="The red one.")
    assert "Bert Baum (Acme Support)" in reply.header("from")
    assert "#send" not in reply.everything
    assert anna.wait_about("Which cable", text="The red one."), "who answered first is told"
    desk.quiet()
    assert len([m for m in ann.about("Which cable") if m.text.startswith("The red one.")]) == 1
