"""The mailbox profile: our mail comes from the mailbox, and replies find their ticket all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import SignedId, Token
from gateway.core.policy import Mailbox, Policy, Relay
from gateway.core.profile import is_ours, read_reply, read_return, way_to_agent
from gateway.core.proof import bounced
from gateway.core.token import make_address, make_bounce, make_message_id, read_mark
from tests.desk import ANN, ANNA, BERT, DAN, EVE, POLICY, SUPPORT, Desk, Outcome, Sent, header

BOX = "box"


def policy(*, subaddressing: bool, agent: str | None = None) -> Policy:
    support, billing = POLICY.queues
    return replace(
        POLICY, reply_domain="",
        queues=(replace(support, mailbox=Mailbox(name=BOX, subaddressing=subaddressing, agent=agent)),
                replace(billing, mailbox=Mailbox(name="billing-box"))),
        relays=(Relay(name=BOX, networks=(), authenticates=("acme.example",)),),
    )


PLUS, BARE = policy(subaddressing=True), policy(subaddressing=False)
both = pytest.mark.parametrize("rules", [PLUS, BARE], ids=["subaddressing", "none"])
FETCHED: dict[str, Any] = {"channel": "imap", "relay": BOX, "origin": "imap://box/INBOX;UIDVALIDITY=1/;UID=7"}
SENT: dict[str, Any] = {**FETCHED, "sent": True, "origin": "imap://box/Sent;UIDVALIDITY=1/;UID=7;SENT"}
AGAIN: dict[str, Any] = {**FETCHED, "reread": True}


def fetched(desk: Desk, sender: str, text: str, **more: Any) -> Outcome:
    return desk.receive(desk.write(sender, SUPPORT, text, envelope=more.pop("envelope", FETCHED), **more))


def answer(desk: Desk, sent: Sent, sender: str, text: str, **more: Any) -> Outcome:
    return desk.receive(desk.reply(sent, sender, text, envelope=FETCHED, rcpts=[SUPPORT], **more))


def renamed(desk: Desk, sent: Sent, name: str) -> Outcome:
    """The provider's copy of ``sent`` in its Sent folder, under another Message-ID."""
    raw = sent.raw.replace(f"<{sent.mail.message_id}>".encode(), f"<{name}>".encode(), 1)
    return desk.receive(desk.spooled(raw, SUPPORT, SUPPORT, **SENT))


def straight(desk: Desk, to: str, text: str, **more: Any) -> Outcome:
    """Somebody logged in at the provider and wrote from the shared mailbox."""
    return desk.receive(desk.write(SUPPORT, to, text, envelope=SENT, rcpts=[SUPPORT], **more))


# --- Addresses --------------------------------------------------------------------------------------


@both
def test_everything_comes_from_the_mailbox(rules: Policy) -> None:
    desk = Desk(policy=rules)
    out = fetched(desk, ANN, "It is on fire.")
    assert out.kinds() == [("ack", ANN), ("notice", ANNA), ("notice", BERT)]
    for sent in out.sent:
        assert sent.row.mail_from == SUPPORT
        assert sent.mail.sender is not None and sent.mail.sender.address == SUPPORT
        assert bool(sent.mail.reply_to) == (rules is PLUS)


def test_a_reply_address_lies_below_the_mailbox_and_is_read_again() -> None:
    token = Token(role="a", ticket=7, party=9)
    way = way_to_agent(token, PLUS.queues[0], PLUS)
    assert way.reply_to is not None and way.reply_to.startswith("support+t-") and way.reply_to.endswith("@acme.example")
    assert read_reply(way.reply_to, PLUS) == token
    assert read_reply(way.reply_to.upper(), PLUS) == token
    assert read_reply(way.reply_to.replace("support+", "billing+"), PLUS) is None
    assert read_reply(way.reply_to.replace("acme", "evil"), PLUS) is None
    assert read_reply(way.reply_to, BARE) is None, "a provider without sub-addressing never delivered that"
    assert read_reply(way.reply_to[:-len("@acme.example") - 1] + "x@acme.example", PLUS) is None


def test_without_a_reply_domain_nothing_of_one_is_read() -> None:
    assert read_reply(make_address(PLUS.keys, Token(role="a", ticket=7, party=9), "x.example"), PLUS) is None
    assert read_return(make_bounce(PLUS.keys, 3, "x.example"), PLUS) is None


@pytest.mark.parametrize(("address", "ours"), [
    (SUPPORT, True), ("support+x@acme.example", True), ("Support+X@ACME.example", True), ("billing+x@acme.example", False),
    ("anna@acme.example", False), ("support+x@evil.example", False), (ANN, False),
])
def test_what_comes_back_to_us_is_ours(address: str, ours: bool) -> None:
    assert is_ours(address, PLUS) is ours


def test_a_customer_never_sees_anothers_reply_address() -> None:
    """An agent pastes the address of his notice; it becomes the mailbox, plus sign and all."""
    desk = Desk(policy=PLUS)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = answer(desk, notice, ANNA, f"Write to {notice.reply_to} please.")
    (reply,) = out.to(ANN)
    assert "t-" not in reply.text and "Write to support@acme.example please." in reply.text


# --- The life of a ticket -----------------------------------------------------------------------


@both
def test_the_whole_way_there_and_back(rules: Policy) -> None:
    desk = Desk(policy=rules)
    notice = fetched(desk, ANN, "It is on fire.").to(ANNA)[0]
    out = answer(desk, notice, ANNA, "#pending\nHave you tried water?")
    assert out.decision.disposition == "apply"
    assert out.codes["identity"].startswith("level 3")
    (reply,) = out.to(ANN)
    assert desk.ticket(1).status == "pending"
    back = answer(desk, reply, ANN, "It hisses.", subject="quite another subject", references="", to=SUPPORT)
    assert (desk.ticket(1).status, len(desk.tickets)) == ("open", 1)
    assert back.kinds() == [("notice", ANNA)]


@both
def test_a_stranger_with_the_subject_opens_another_ticket(rules: Policy) -> None:
    desk = Desk(policy=rules)
    fetched(desk, ANN, "It is on fire.")
    fetched(desk, EVE, "Me too", subject="Re: [ABC-1] Printer broken")
    assert len(desk.tickets) == 2


@both
def test_a_note_thread_stays_inside(rules: Policy) -> None:
    desk = Desk(policy=rules)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    note = answer(desk, notice, ANNA, "#note\nShe owes us money.").to(BERT)[0]
    out = answer(desk, note, BERT, "So she does.")
    assert out.kinds() == [("note_notice", ANNA)]
    assert not out.to(ANN)


def test_only_in_reply_to_counts_as_a_reply_address() -> None:
    """References may be those of a whole family; they thread, but they do not prove who writes."""
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = answer(desk, notice, ANNA, "Use water.", in_reply_to="")
    assert out.held == "unproven"
    assert not out.to(ANN)


@both
def test_an_agents_mail_that_nobody_vouches_for_is_held(rules: Policy) -> None:
    desk = Desk(policy=rules)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    forged = desk.reply(notice, ANNA, "Pay to my account.", envelope={**FETCHED, "mail_from": EVE}, rcpts=[SUPPORT])
    out = desk.receive(forged)
    assert out.held == "unproven"
    assert not out.to(ANN)


def test_a_reply_address_on_to_counts_where_the_envelope_is_lost() -> None:
    desk = Desk(policy=PLUS)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = answer(desk, notice, ANNA, "Use water.", in_reply_to="", references="", subject="no key here: Re: Printer broken")
    assert out.codes["identity"].startswith("level 3")
    assert desk.events(1)[-1].ticket == 1


# --- Providers that give our mail another Message-ID -----------------------------------------------


def test_the_sent_folder_teaches_the_providers_message_id() -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = renamed(desk, notice, "rewritten-1@provider.example")
    assert (out.decision.disposition, out.rows.messages, out.sent) == ("copy", (), ())
    assert [(s.rfc_id, s.outbox) for s in out.rows.sent_ids] == [("rewritten-1@provider.example", notice.row.id)]
    out = answer(desk, notice, ANNA, "Use water.", in_reply_to="<rewritten-1@provider.example>", references="")
    assert out.codes["identity"].startswith("level 3")
    assert out.to(ANN)


def test_a_mail_of_the_sent_folder_that_is_read_twice_teaches_once() -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = [renamed(desk, notice, "rewritten-1@provider.example") for _ in range(2)]
    assert [len(one.rows.sent_ids) for one in out] == [1, 0]


def test_a_note_stays_inside_under_another_message_id() -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    note = answer(desk, notice, ANNA, "#note\nShe owes us money.").to(BERT)[0]
    renamed(desk, note, "rewritten-2@provider.example")
    out = answer(desk, note, BERT, "So she does.", in_reply_to="<rewritten-2@provider.example>", references="")
    assert out.kinds() == [("note_notice", ANNA)]


def test_a_rewritten_id_is_no_proof_for_anybody_else() -> None:
    """Unlike ours it may be guessed."""
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    (reply,) = answer(desk, notice, ANNA, "Use water.").to(ANN)
    renamed(desk, reply, "123@provider.example")
    fetched(desk, EVE, "Give me her data", in_reply_to="<123@provider.example>")
    assert len(desk.tickets) == 2
    fetched(desk, ANN, "It hisses.", in_reply_to="<123@provider.example>", subject="new words")
    assert len(desk.tickets) == 2


def test_a_rewritten_id_proves_nothing_for_a_mail_without_a_writer() -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    renamed(desk, notice, "124@provider.example")
    out = desk.receive(desk.write("", SUPPORT, "x", in_reply_to="<124@provider.example>", subject="y", envelope={**FETCHED, "mail_from": None}))
    assert out.codes["thread"].startswith("none")


def test_our_own_mail_under_its_own_name_teaches_nothing() -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    out = desk.receive(desk.spooled(notice.raw, SUPPORT, SUPPORT, **SENT))
    assert (out.rows.sent_ids, out.rows.messages, len(desk.tickets)) == ((), (), 1)


@pytest.mark.parametrize("how", ["id", "mark", "renamed"])
def test_a_returned_mail_names_its_row(how: str) -> None:
    desk = Desk(policy=BARE)
    notice = fetched(desk, ANN, "Help").to(ANNA)[0]
    (reply,) = answer(desk, notice, ANNA, "Use water.").to(ANN)
    if how == "renamed":
        renamed(desk, reply, "r@provider.example")
    returned = {
        "id": f"Message-ID: <{reply.mail.message_id}>", "mark": f"X-Mailwicket-Id: {header(reply, 'X-Mailwicket-Id')}",
        "renamed": "Message-ID: <r@provider.example>",
    }[how]
    raw = (
        "From: MAILER-DAEMON@provider.example\nTo: support@acme.example\nSubject: Undelivered\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n--b\n\nSorry.\n'
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; ann@cust.example\n"
        f"Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\n{returned}\nSubject: x\n\n--b--\n"
    ).replace("\n", "\r\n").encode()
    out = desk.receive(desk.spooled(raw, None, SUPPORT, **FETCHED))
    assert [(d.outbox, d.state) for d in out.rows.deliveries if d.state == "bounced"] == [(reply.row.id, "bounced")]
    assert ("undelivered", ANNA) in out.kinds()


def test_the_pseudo_root_is_no_reply_address() -> None:
    root = make_message_id(BARE.keys, SignedId(kind="r", ticket=1, outbox=0, party=0), BARE.host)
    desk = Desk(policy=BARE)
    fetched(desk, ANN, "Help")
    out = fetched(desk, ANN, "More", in_reply_to=f"<{root}>", subject="x")
    assert out.codes["thread"].startswith("signed_id")
    assert bounced(desk.write(ANN, SUPPORT, "x", envelope=FETCHED), BARE) is None


# --- Sent straight from the mailbox (ruling 5) ------------------------------------------------------


def test_an_answer_sent_from_the_mailbox_joins_its_ticket() -> None:
    desk = Desk(policy=policy(subaddressing=False, agent="anna"))
    first = fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    assert first.opened == [1]
    out = straight(desk, ANN, "#note\nWe come at ten.", in_reply_to="<one@cust.example>", subject="Re: Printer broken")
    assert out.kinds() == [("brief", BERT)], "the customer has it already"
    ticket = desk.ticket(1)
    assert (ticket.status, ticket.assignee, ticket.first_reply_at is not None) == ("open", ticket.last_agent, True)
    assert desk.all.message_texts[-1].new_text.startswith("#note"), "it was sent as it is, so nothing of it is a command"
    assert ticket.last_public == first.rows.messages[0].id, "what went past us is not quoted to others"
    fetched(desk, ANN, "Thank you", in_reply_to=f"<{desk.all.mail_ids[-1].rfc_id}>", subject="words")
    assert len(desk.tickets) == 1


def test_a_second_answer_from_the_mailbox_changes_neither_status_nor_holder() -> None:
    desk = Desk(policy=policy(subaddressing=False, agent="anna"))
    fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    straight(desk, ANN, "Ten.", in_reply_to="<one@cust.example>")
    before = desk.ticket(1)
    out = straight(desk, ANN, "Eleven.", in_reply_to="<one@cust.example>")
    assert [e.kind for e in out.rows.events] == ["agent_reply"]
    assert (desk.ticket(1).status, desk.ticket(1).assignee) == (before.status, before.assignee)


def test_without_a_configured_agent_it_is_the_desk_that_answered() -> None:
    desk = Desk(policy=BARE)
    fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    out = straight(desk, ANN, "We come at ten.", in_reply_to="<one@cust.example>")
    assert out.kinds() == [("brief", ANNA), ("brief", BERT)]
    assert "Acme Support" in out.sent[0].text
    assert (desk.ticket(1).status, desk.ticket(1).assignee) == ("open", None)


def test_mail_to_a_new_person_opens_a_ticket() -> None:
    desk = Desk(policy=policy(subaddressing=False, agent="anna"))
    out = straight(desk, [f"Ann Ames <{ANN}>", DAN], "May we visit you?", message_id="<visit@acme.example>", subject="A visit")
    assert out.opened == [1]
    assert desk.roles(1) == {ANN: "requester", DAN: "cc"}
    ticket = desk.ticket(1)
    assert desk.all.persons[[p.id for p in desk.all.persons].index(ticket.requester)].name == "Ann Ames"
    assert (ticket.status, ticket.first_reply_at) == ("open", None), "who writes first answers nobody"
    assert out.kinds() == [("brief", BERT)]
    back = fetched(desk, DAN, "Do.", in_reply_to="<visit@acme.example>", subject="Re: A visit")
    assert (len(desk.tickets), back.kinds()) == (1, [("notice", ANNA)])


def test_two_copies_in_the_sent_folder_count_once() -> None:
    """The mail program saves one, the provider another, which has passed through its machinery."""
    desk = Desk(policy=BARE)
    straight(desk, ANN, "May we visit you?", message_id="<visit@acme.example>")
    out = straight(desk, ANN, "May we visit you?\n-- \nprovider's footer", message_id="<visit@acme.example>", x_provider="y")
    assert (out.decision.disposition, out.sent, len(desk.tickets)) == ("copy", (), 1)


@pytest.mark.parametrize("sent_first", [True, False])
def test_with_ourselves_on_cc_it_counts_once(sent_first: bool) -> None:
    desk = Desk(policy=BARE)

    def mail(envelope: dict[str, Any]) -> Outcome:
        return desk.receive(desk.write(
            SUPPORT, ANN, "May we visit you?", cc=SUPPORT, message_id="<v@acme.example>", rcpts=[SUPPORT], envelope=envelope
        ))

    for envelope in (SENT, FETCHED) if sent_first else (FETCHED, SENT):
        mail(envelope)
    assert len(desk.tickets) == 1
    assert [s.row.kind for s in desk.sent] == ["brief", "brief"]


def test_mail_to_colleagues_only_is_kept_without_a_ticket() -> None:
    desk = Desk(policy=BARE)
    out = straight(desk, ANNA, "Lunch?")
    assert (out.decision.disposition, desk.tickets, out.sent) == ("log", {}, ())


def test_automatic_mail_in_the_sent_folder_is_kept_without_a_ticket() -> None:
    desk = Desk(policy=BARE)
    out = straight(desk, ANN, "We are closed.", auto_submitted="auto-replied")
    assert (out.decision.disposition, desk.tickets, out.sent) == ("log", {}, ())


def test_what_only_a_third_party_got_is_a_note() -> None:
    desk = Desk(policy=BARE)
    fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    out = straight(desk, DAN, "Can you repair this?", references="<one@cust.example>", subject="Fwd: Printer broken")
    assert desk.roles(1) == {ANN: "requester"}
    assert [e.kind for e in desk.events(1)][-1] == "note"
    assert not out.rows.messages[0].is_public


def test_on_a_closed_ticket_it_opens_one_that_follows() -> None:
    desk = Desk(policy=policy(subaddressing=True, agent="anna"))
    notice = fetched(desk, ANN, "Help", message_id="<one@cust.example>").to(ANNA)[0]
    answer(desk, notice, ANNA, "#closed")
    out = straight(desk, ANN, "One more thing.", in_reply_to="<one@cust.example>")
    assert out.opened == [2]
    assert "linked" in [e.kind for e in desk.events(2)]
    out = straight(desk, ANNA, "See the old one.", references="<one@cust.example>")
    assert (out.opened, [e.kind for e in desk.events(1)][-1]) == ([], "note")


def test_an_agent_who_sends_as_himself_from_the_mailbox_is_known() -> None:
    desk = Desk(policy=policy(subaddressing=False, agent="anna"))
    fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    out = desk.receive(desk.write(BERT, ANN, "Ten.", in_reply_to="<one@cust.example>", envelope=SENT, rcpts=[SUPPORT]))
    assert out.kinds() == [("brief", ANNA)]


def test_a_sent_folder_of_a_mailbox_that_is_gone_proves_nothing() -> None:
    desk = Desk(policy=BARE)
    fetched(desk, ANN, "Help", message_id="<one@cust.example>")
    out = straight(desk, ANN, "x", in_reply_to="<one@cust.example>", subject="y")
    assert out.codes["identity"].startswith("level 3")
    gone = desk.write(SUPPORT, ANN, "x", envelope={**SENT, "relay": "gone"}, rcpts=[SUPPORT])
    assert desk.receive(gone).codes["identity"].startswith("level 0")


# --- Read again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("message_id", ["<one@cust.example>", ""])
def test_a_folder_that_is_read_again_counts_nothing_twice(message_id: str) -> None:
    desk = Desk(policy=BARE)
    raw = desk.raws[desk.receive(desk.write(ANN, SUPPORT, "Help", message_id=message_id, envelope=FETCHED)).decision.spool_id]
    desk.now = desk.now.replace(year=2027)     # long after repeated deliveries are forgotten
    out = desk.receive(desk.spooled(raw, ANN, SUPPORT, **AGAIN))
    assert (out.decision.disposition, out.sent, len(desk.tickets), out.rows.messages) == ("copy", (), 1, ())
    both_at_once = [desk.spooled(raw, ANN, SUPPORT, **AGAIN), desk.spooled(raw, ANN, SUPPORT, **AGAIN)]
    assert not desk.receive(*both_at_once).sent


def test_mail_that_was_missed_is_not_acknowledged_when_it_is_found_again() -> None:
    desk = Desk(policy=BARE)
    out = fetched(desk, ANN, "Help", envelope=AGAIN)
    assert out.kinds() == [("notice", ANNA), ("notice", BERT)]
    assert "anew" in out.codes["not_acknowledged"]


def test_where_it_was_fetched_is_a_reason() -> None:
    assert fetched(Desk(policy=BARE), ANN, "Help").codes["origin"] == FETCHED["origin"]


def test_our_mark_is_on_all_we_send() -> None:
    desk = Desk(policy=BARE)
    for sent in fetched(desk, ANN, "Help").sent:
        assert read_mark(BARE.keys, header(sent, "X-Mailwicket-Id")) == sent.row.id
