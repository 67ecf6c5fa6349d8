"""B2: a whole desk at a mail provider, with nothing but a mailbox; at four kinds of providers.

What the providers do differently: whether mail to support+anything@ comes in, whether mail that is sent gets
another Message-ID, and whether the desk may look into the Sent folder to learn of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any

import pytest
from desk import INTERNAL_HEADERS, TOKEN, Mailbox, Received, answer, forged, opened, post, write
from provider import DESK
from servers import until
from shared_mailbox import (
    PLAIN,
    PROVIDERS,
    REWRITING,
    TOKEN_ADDRESS,
    WITH_SUBADDRESSES,
    MailboxDesk,
    MailboxTown,
    Provider,
    back_into_the_inbox,
    folder,
    from_the_mailbox,
    reply_to,
)

pytestmark = [pytest.mark.servers, pytest.mark.journey]

SUBJECT = "Printer on fire"
QUESTION = "The printer on floor two smokes."
ANSWER = "Please unplug it.\nWe are on our way."
Open = Callable[[Provider], MailboxDesk]


def at(providers: Iterable[Provider], *always: Provider) -> Any:
    """A test for each of ``providers``; `make test` has time for those in ``always``, the soak for all."""
    return pytest.mark.parametrize(
        "provider", [pytest.param(p, id=str(p), marks=[] if p in always else [pytest.mark.soak]) for p in providers]
    )


SENT_WATCHED = [provider for provider in PROVIDERS if provider.sent]


@pytest.fixture
def town(mailbox_town: MailboxTown) -> MailboxTown:
    """The people of these stories live at the provider."""
    return mailbox_town


# --- What must hold at the end of each story ------------------------------------------------


def nothing_counts_twice(desk: MailboxDesk, *people: Mailbox) -> None:
    """Whatever servers and people do to old mail: no ticket, no answer and no word to anybody comes of it."""
    desk.quiet()
    before, read = desk.counts(), {person.address: len(person.mails()) for person in people}

    def same(after_what: str) -> None:
        desk.quiet()
        assert desk.counts() == before, after_what
        assert {person.address: len(person.mails()) for person in people} == read, after_what

    desk.own.dovecot.stop()
    desk.own.dovecot.launch()
    until(lambda: len(desk.told("INBOX", "connected")) > 1, "the desk to come back to the mailbox", 60)
    if desk.provider.move_to:
        back_into_the_inbox(desk.own, desk.provider.move_to)
    same("a new start of the provider; a person who moved all mail back")
    renumbered(desk)
    same("a new start of the desk; new numbers for all mail")


def renumbered(desk: MailboxDesk) -> None:
    """UIDVALIDITY changes, with all mail still there: what was moved away lies in the folder again."""
    desk.stop()
    if desk.provider.move_to:
        back_into_the_inbox(desk.own, desk.provider.move_to)
    desk.own.dovecot.stop()
    desk.own.provider.renumber(DESK)
    desk.own.dovecot.launch()
    desk.launch()
    for one in desk.folders:
        until(lambda one=one: desk.told(one, "rescan"), f"the desk to see that the numbers of {one} changed")  # type: ignore[misc]


def ours(mail: Received, provider: Provider) -> None:
    """Providers refuse foreign senders: From and MAIL FROM of all we send are the mailbox."""
    assert mail.mail["from"].addresses[0].addr_spec == DESK
    assert mail.header("return-path") == f"<{DESK}>"
    if provider.subaddressing:
        assert TOKEN_ADDRESS.fullmatch(mail.mail["reply-to"].addresses[0].addr_spec)
    else:
        assert "reply-to" not in mail.mail
        assert not TOKEN.search(mail.everything), "such an address leads nowhere here"
    rewritten = mail.header("message-id").endswith("@mail.provider.example>")
    assert rewritten == provider.rewrites


def to_a_customer(mail: Received, provider: Provider) -> None:
    ours(mail, provider)
    assert "#pending" not in mail.everything
    assert ":: ABC" not in mail.everything
    assert not re.search("anna@|bert@", "\n".join(f"{k}: {v}" for k, v in mail.mail.items() if k.lower() != "received"))
    for name in INTERNAL_HEADERS:
        assert name not in mail.mail, name


# --- Stories --------------------------------------------------------------------------------


@at(PROVIDERS, WITH_SUBADDRESSES)
def test_life_of_a_ticket_in_a_mailbox(
    open_mailbox: Open, town: MailboxTown, provider: Provider, ann: Mailbox, eve: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    desk = open_mailbox(provider)
    question = write(town, "Ann Example <ann@cust.example>", DESK, SUBJECT, QUESTION)
    ack = ann.wait_about("[ABC-1]")
    to_a_customer(ack, provider)
    assert ack.header("in-reply-to") == question
    notices = {agent: agent.wait_about("[ABC-1]", SUBJECT) for agent in (anna, bert)}
    for notice in notices.values():
        ours(notice, provider)
        assert notice.mail["from"].addresses[0].display_name == "Ann Example via Acme Support"
        assert QUESTION in notice.text
    assert len({notice.header("reply-to") + notice.header("message-id") for notice in notices.values()}) == 2

    # Anna answers from her mail program, with a command on top and the notice quoted below.
    desk.quiet()
    answer(town, anna.address, notices[anna], f"#pending\n{ANSWER}")
    reply = ann.wait_about("[ABC-1]", text="Please unplug it.")
    to_a_customer(reply, provider)
    assert str(reply.mail["from"].addresses[0]) == f'"Anna Ahlberg (Acme Support)" <{DESK}>'
    assert reply.text.startswith(ANSWER + "\n")
    assert reply.header("in-reply-to") == question
    brief = bert.wait_about("[ABC-1]", text="anna@acme.example> answered the customer:")
    ticket = desk.show("ABC-1")["ticket"]
    assert (ticket["status"], ticket["assignee"]) == ("pending", "anna@acme.example")

    # The customer answers; her program keeps only In-Reply-To, and she changes the subject.
    desk.quiet()
    write(
        town, "Ann Example <ann@cust.example>", reply_to(reply), "All quiet now", "The smoke is gone, thank you.",
        headers={"In-Reply-To": reply.header("message-id")},
    )
    anna.wait_about("[ABC-1]", text="The smoke is gone")
    assert desk.status("ABC-1") == "open"

    # A note stays inside, and so does what is answered to it without another word on top.
    desk.quiet()
    answer(town, bert.address, brief, "#note\nThis customer burns one printer a month.")
    note = anna.wait_about("[ABC-1]", text="one printer a month")
    desk.quiet()
    answer(town, anna.address, note, "He is our best one printer a month customer, though.")
    until(lambda: desk.counts().get("note") == 2, "the second note")

    # A stranger who saw the subject gets a ticket of his own and learns nothing.
    write(town, "Eve <eve@elsewhere.example>", DESK, reply.subject, "Please send me all there is on this.")
    eve.wait_about("[ABC-2]")
    anna.wait_about("[ABC-2]", text="send me all there is")
    desk.quiet()
    assert {t["key"] for t in desk.tickets()} == {"ABC-1", "ABC-2"}
    for secret in ("smoke", "unplug", "ann@cust.example", "Ann Example", "Anna Ahlberg", "one printer a month"):
        assert not [m for m in eve.mails() if secret in m.everything]
    assert not [m for m in ann.mails() if "one printer a month" in m.everything]
    assert len(ann.mails()) == 2, "one acknowledgement, one answer"
    counts = desk.counts()
    assert (counts["customer_reply"], counts["agent_reply"], counts["note"]) == (1, 1, 2)
    nothing_counts_twice(desk, ann, eve, anna, bert)


@at(PROVIDERS, PLAIN)
def test_a_mistyped_command_and_a_forged_agent_achieve_nothing(
    open_mailbox: Open, town: MailboxTown, provider: Provider, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    desk = open_mailbox(provider)
    key = opened(desk, town, "Refund please")
    notice = anna.wait_about(f"[{key}]")
    bert.wait_about(f"[{key}]")
    desk.quiet()
    answer(town, anna.address, notice, "#pendign\nYou get it all back.")
    anna.wait_about(f"[{key}]", text="#pendign")

    # In her name and without her login: the provider refuses it at the door …
    place = reply_to(notice)
    refused = post(town, forged(notice, anna.address, "#solved\nforged one"), anna.address, place)
    assert "not logged in" in refused.said
    # … or takes it with the forger's own envelope, whatever trace he wrote into the header himself.
    mail = forged(notice, anna.address, "#solved\nforged two")
    del mail["To"]
    mail["To"] = place
    assert post(town, mail, "eve@elsewhere.example", place).taken
    traced = EmailMessage()
    traced["Return-Path"] = f"<{anna.address}>"
    traced["Delivered-To"] = place
    for name, value in forged(notice, anna.address, "#solved\nforged three").items():
        if name not in traced:
            traced[name] = value if name.lower() != "to" else place
    traced.set_content("#solved\nforged three")
    assert post(town, traced, "eve@elsewhere.example", place).taken
    told = anna.wait_about(f"[{key}]", text="cannot prove")
    assert "forged" not in told.everything, "a forger must not write to agents through us"
    desk.quiet()
    assert desk.status(key) == "new"
    assert len(ann.mails()) == 1, "the acknowledgement"
    assert not [m for m in (*ann.mails(), *bert.mails()) if "all back" in m.text or "forged" in m.text]
    assert [bool(m["hold"]) for m in desk.show(key)["messages"]] == [False, True, True, True]


def written(sender: str, to: str, subject: str, text: str, **headers: str) -> EmailMessage:
    """A mail as a program makes it that is logged in as the mailbox."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Message-ID"] = make_msgid(domain="acme.example")
    mail["Date"] = "Mon, 23 Nov 2026 10:00:00 +0000"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


@at(SENT_WATCHED, REWRITING)
def test_what_people_send_straight_from_the_mailbox_is_on_the_ticket(
    open_mailbox: Open, town: MailboxTown, provider: Provider, ann: Mailbox, ben: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    desk = open_mailbox(provider)
    key = opened(desk, town, "Where is it?")
    bert.wait_about(f"[{key}]")
    desk.quiet()
    held = folder(town, provider.move_to or "INBOX")[-1]

    # Anna opens the mailbox itself and answers Ann's mail there.
    mail = written(DESK, "Ann Example <ann@cust.example>", f"Re: {held.subject}", "It is in the cellar.",
                   In_Reply_To=held.header("message-id"), References=held.header("message-id"))
    from_the_mailbox(desk, mail, "ann@cust.example")
    read = ann.wait_about("Where is it?", text="in the cellar")
    until(lambda: desk.counts().get("agent_reply"), "the answer to be on the ticket")
    desk.quiet()
    shown = desk.show(key)
    assert [(m["author"], m["public"], bool(m["hold"])) for m in shown["messages"]] == [
        ("ann@cust.example", True, False), ("anna@acme.example", True, False)]
    assert shown["ticket"]["status"] == "open"
    assert [m.text for m in ann.mails() if "cellar" in m.text] == [read.text], "it is not sent again"

    # Ann answers it, from a program that keeps In-Reply-To alone.
    write(town, "Ann Example <ann@cust.example>", DESK, "Found", "It was there.", headers={"In-Reply-To": read.header("message-id")})
    anna.wait_about(f"[{key}]", text="It was there.")

    # She writes to somebody who never wrote to us.
    from_the_mailbox(desk, written(DESK, "Ben <ben@cust.example>", "Your parcel", "Shall we send it?"), "ben@cust.example")
    read = ben.wait_about("Your parcel")
    began = desk.ticket("Your parcel")
    assert began["requester"] == "ben@cust.example"
    desk.quiet()
    assert len(ben.mails()) == 1, "no acknowledgement of what he did not ask"
    write(town, "Ben <ben@cust.example>", DESK, "Re: Your parcel", "Yes, please.", headers={"In-Reply-To": read.header("message-id")})
    anna.wait_about(f"[{began['key']}]", text="Yes, please.")
    desk.quiet()
    assert {t["key"] for t in desk.tickets()} == {key, began["key"]}
    assert [m["author"] for m in desk.show(began["key"])["messages"]] == ["anna@acme.example", "ben@cust.example"]
    nothing_counts_twice(desk, ann, ben, anna, bert)


@at(SENT_WATCHED)
def test_two_copies_in_sent_and_one_in_the_inbox_are_one_answer(
    open_mailbox: Open, town: MailboxTown, provider: Provider, ann: Mailbox, ben: Mailbox, anna: Mailbox
) -> None:
    desk = open_mailbox(provider)
    key = opened(desk, town, "Twice")
    desk.quiet()
    asked = folder(town, provider.move_to or "INBOX")[-1].header("message-id")
    mail = written(DESK, "ann@cust.example", "Re: Twice", "Once is enough.", In_Reply_To=asked, Cc=DESK)
    from_the_mailbox(desk, mail, "ann@cust.example", DESK, saved=2)
    mail = written(DESK, "ben@cust.example", "A first word", "From us, twice saved.", Cc=DESK)
    from_the_mailbox(desk, mail, "ben@cust.example", DESK, saved=2)
    until(lambda: len(desk.tickets()) == 2, "the second ticket")
    desk.quiet()
    assert len(folder(town, "Sent")) >= 4
    shown = [desk.show(t["key"]) for t in sorted(desk.tickets(), key=lambda t: str(t["key"]))]
    assert shown[0]["ticket"]["key"] == key
    assert [len([m for m in one["messages"] if m["author"] == "anna@acme.example"]) for one in shown] == [1, 1]
    assert [len(person.mails()) for person in (ann, ben)] == [2, 1]
    nothing_counts_twice(desk, ann, ben, anna)


def test_mail_from_the_mailbox_to_agents_alone_opens_nothing(
    open_mailbox: Open, town: MailboxTown, anna: Mailbox, bert: Mailbox
) -> None:
    desk = open_mailbox(PLAIN)
    from_the_mailbox(desk, written(DESK, "bert@acme.example", "Lunch?", "At noon."), "bert@acme.example")
    bert.wait_about("Lunch?")
    desk.quiet()
    assert desk.tickets() == []
    assert (len(anna.mails()), len(bert.mails())) == (0, 1)


@at(PROVIDERS, REWRITING)
def test_a_returned_mail_is_tied_to_what_it_returns(
    open_mailbox: Open, town: MailboxTown, provider: Provider, anna: Mailbox, bert: Mailbox
) -> None:
    """The sender of the question does not exist: acknowledgement and answer come back from Dovecot through Postfix."""
    desk = open_mailbox(provider)
    write(town, "Gone <gone@cust.example>", DESK, "Hello?", "Is anybody there?")
    notice = anna.wait_about("[ABC-1]")
    until(lambda: [m for m in desk.ask("outbox") if m["state"] == "bounced"], "the returned acknowledgement")
    desk.quiet()
    answer(town, anna.address, notice, "Yes, we are.")
    # There is no such mailbox: nothing more goes there, and whoever writes to it is told.
    anna.wait(lambda m: m.number > notice.number and "gone@cust.example" in m.text, "word that the answer came back")
    desk.quiet()
    assert [t["key"] for t in desk.tickets()] == ["ABC-1"]
    assert desk.counts()["bounced"] == 1
    assert {m["to"] for m in desk.ask("outbox", all=True) if m["state"] == "bounced"} == {"gone@cust.example"}
    nothing_counts_twice(desk, anna, bert)


def test_old_mail_of_a_mailbox_that_is_given_to_us_today_is_left_alone(
    open_mailbox: Open, town: MailboxTown, tmp_path: Path, ann: Mailbox
) -> None:
    """``start = "new"``, and a rescan after that: years of mail must not come alive."""
    open_mailbox(PLAIN).stop()
    write(town, "Ann Example <ann@cust.example>", DESK, "Long ago", "This was answered long ago.")
    until(lambda: folder(town, "INBOX"), "the old mail")
    desk = MailboxDesk(town, tmp_path / "new", Provider(name="new", start="new", rewrites=True))
    try:
        desk.launch()
        until(lambda: all(desk.told(one, "connected") for one in desk.folders), "the desk at the mailbox")
        opened(desk, town, "Today")
        assert [t["subject"] for t in desk.tickets()] == ["Today"]
        assert len(ann.mails()) == 1
    finally:
        desk.abandon()


def test_access_tokens_open_both_ways_and_are_replaced_when_they_are_withdrawn(
    open_mailbox: Open, town: MailboxTown, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    """XOAUTH2 at IMAP and at submission; no password is configured."""
    identity = town.provider.identity
    desk = open_mailbox(Provider(name="tokens", subaddressing=True, oauth=True))
    key = opened(desk, town, "First")
    notice = anna.wait_about(f"[{key}]")
    identity.withdraw()
    town.provider.kick()
    issued = identity.issued
    answer(town, anna.address, notice, "#solved\nIt works.")
    ann.wait_about(f"[{key}]", text="It works.")
    assert identity.issued > issued
    opened(desk, town, "Second")
    desk.quiet()
    assert len(ann.mails()) == 3
    assert "token-" not in desk.said()
    nothing_counts_twice(desk, ann, anna, bert)

