"""From a parsed mail to facts, and what a batch must ask of the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import Envelope, Mail, SignedId, Spooled, Token
from gateway.core.proof import ADDRESSES_READ, bounced, rfc_ids, tokens
from gateway.core.token import make_address, make_bounce, make_message_id
from gateway.core.understand import delivery_key, facts_row, needs, shared_keys, understand
from gateway.mime.parse import parse
from tests.desk import ANN, ANNA, BERT, BILLING, DAN, EVE, POLICY, REPLY_DOMAIN, START, SUPPORT, Desk, answered, opened

TOKEN = Token(role="c", ticket=5, party=6)
SIGNED = SignedId(kind="p", ticket=7, outbox=8, party=9)
ADDRESS = make_address(POLICY.keys, TOKEN, REPLY_DOMAIN)
ID = make_message_id(POLICY.keys, SIGNED, POLICY.host)
BOUNCE = make_bounce(POLICY.keys, 11, REPLY_DOMAIN)


def envelope(*rcpts: str, **changes: object) -> Envelope:
    return replace(Envelope(channel="lmtp", received_at=START, mail_from=ANN, rcpt_tos=rcpts), **changes)


def spooled(mail: Mail, envelope: Envelope) -> Spooled:
    return Spooled(spool_id="s", envelope=envelope, mail=mail)


def test_ids_are_read_in_the_order_in_which_they_prove_belonging():
    refs = " ".join(f"<r{i}@x.example>" for i in range(60))
    mail = parse(f"In-Reply-To: <p@x.example>\r\nReferences: {refs} <p@x.example>\r\n\r\n".encode())
    ids = rfc_ids(mail)
    assert ids[:2] == ("p@x.example", "r59@x.example")
    assert ids[-1] == "r0@x.example"
    assert len(ids) == 61


def test_a_delivery_is_the_same_whatever_the_order_and_case_of_its_recipients():
    mail = parse(b"Subject: x\r\n\r\ny\r\n")
    same = delivery_key(envelope("a@x.example", "B@x.example"), mail)
    assert delivery_key(envelope("b@x.example", "a@x.example"), mail) == same
    assert delivery_key(envelope("a@x.example"), mail) != same
    assert delivery_key(envelope("a@x.example", "b@x.example", mail_from=None), mail) != same


def test_valid_reply_addresses_among_the_recipients_are_tokens_in_their_order():
    other = replace(TOKEN, ticket=4)
    rcpts = (SUPPORT, make_address(POLICY.keys, other, REPLY_DOMAIN), "t-aa1.1-aaaaaaaaaaaaaaaaaaaa@" + REPLY_DOMAIN, ADDRESS.upper())
    assert tokens(spooled(parse(b"\r\n"), envelope(*rcpts)), POLICY) == (other, TOKEN)


@pytest.mark.parametrize(("rcpt", "original", "expected"), [
    (BOUNCE, "", 11), (SUPPORT, ID, 8), (SUPPORT, "other@x.example", None), (SUPPORT, "", None),
    (SUPPORT, make_message_id(POLICY.keys, replace(SIGNED, kind="r", outbox=0), POLICY.host), None),
])
def test_a_report_speaks_of_the_mail_whose_bounce_address_or_id_it_names(rcpt, original, expected):
    mail = replace(parse(b"Subject: x\r\n\r\n"), original_id=original or None)
    assert bounced(spooled(mail, envelope(SUPPORT, rcpt)), POLICY) == expected


def test_needs_names_all_that_a_mail_may_ask_of_the_store():
    desk = Desk()
    mail = desk.write(
        ANN, [SUPPORT, DAN], "#why\n#merge 33\nsee ABC-44", rcpts=[SUPPORT, ADDRESS, BOUNCE], cc=EVE,
        subject="Re: [ABC-3] x", in_reply_to=f"<{ID}>", references="<old@x.example>", message_id="<me@cust.example>",
    )
    asked = needs([mail], POLICY)
    assert asked.rfc_ids == {ID, "old@x.example", "me@cust.example"}
    assert {ANN, DAN, EVE, SUPPORT, ANNA, BERT} <= asked.addresses
    assert asked.tickets == {3, 5, 7, 33, 44}
    assert asked.persons == {6, 9}
    assert asked.outbox == {8, 11}
    assert asked.reasons_of == {3, 5, 7, 33, 44}
    assert asked.body_keys == {mail.mail.body_key}
    assert asked.delivery_keys == {delivery_key(mail.envelope, mail.mail)}


def test_needs_of_a_bare_mail_are_few():
    desk = Desk()
    asked = needs([desk.spooled(b"\r\nhello\r\n", None, SUPPORT)], POLICY)
    assert (asked.rfc_ids, asked.tickets, asked.outbox, asked.reasons_of) == (frozenset(),) * 4
    assert asked.addresses == {a.address for a in POLICY.agents}


def test_a_mail_with_thousands_of_addressees_asks_for_a_bounded_number_of_them():
    desk = Desk()
    mail = desk.write(ANN, [f"u{i}@x.example" for i in range(3000)], "x", rcpts=[SUPPORT])
    assert len(needs([mail], POLICY).addresses) <= ADDRESSES_READ + 4


def test_mails_that_share_an_id_a_text_a_sender_or_a_ticket_share_a_key():
    desk = Desk()
    base = desk.write(ANN, SUPPORT, "one", message_id="<one@x.example>", subject="[ABC-3] x")
    related = (
        desk.write(DAN, SUPPORT, "two", in_reply_to="<one@x.example>"),
        desk.write(DAN, SUPPORT, "one"),
        desk.write(ANN, SUPPORT, "three"),
        desk.write(DAN, SUPPORT, "four", subject="Re: [ABC-3] y"),
        desk.write(DAN, SUPPORT, "five", rcpts=[make_address(POLICY.keys, replace(TOKEN, ticket=3), REPLY_DOMAIN)]),
        desk.write(DAN, SUPPORT, "six", references=f"<{make_message_id(POLICY.keys, replace(SIGNED, ticket=3), POLICY.host)}>"),
    )
    keys = set(shared_keys(base, POLICY))
    for mail in related:
        assert keys & set(shared_keys(mail, POLICY)), mail.mail.text
    assert not keys & set(shared_keys(desk.write(DAN, SUPPORT, "seven"), POLICY))


def test_a_mail_without_sender_and_ids_has_a_key_still():
    desk = Desk()
    assert len(list(shared_keys(desk.spooled(b"\r\nhello\r\n", None, SUPPORT), POLICY))) == 1


def facts(desk: Desk, mail):
    context = desk.context(needs([mail], desk.policy))
    return understand(mail, context, desk.policy), context


def test_understanding_is_pure():
    desk, _, out = answered()
    mail = desk.reply(out.to(ANN)[0], ANN, "x")
    context = desk.context(needs([mail], desk.policy))
    assert understand(mail, context, desk.policy) == understand(mail, context, desk.policy)


@pytest.mark.parametrize(("rcpts", "to", "queue"), [
    ([SUPPORT], BILLING, "support"), ([BILLING, SUPPORT], SUPPORT, "billing"), (["list@x.example"], BILLING, "billing"),
    (["list@x.example"], "other@x.example", "support"),
])
def test_the_queue_is_the_first_among_the_recipients_then_to_then_the_first_of_all(rcpts, to, queue):
    desk = Desk()
    assert facts(desk, desk.write(ANN, to, "x", rcpts=rcpts))[0].queue == queue


def test_mail_on_a_ticket_is_of_its_queue_whatever_its_address():
    desk, _, out = answered()
    assert facts(desk, desk.reply(out.to(ANN)[0], ANN, "x", to=BILLING))[0].queue == "support"


def test_only_an_agents_mail_on_a_ticket_has_commands():
    desk, first, out = answered()
    assert facts(desk, desk.reply(first.to(ANNA)[0], ANNA, "#solved\n\nx"))[0].block.commands
    assert not facts(desk, desk.reply(out.to(ANN)[0], ANN, "#solved\n\nx"))[0].block.commands
    assert not facts(desk, desk.write(ANNA, SUPPORT, "#solved\n\nx"))[0].block.commands


@pytest.mark.parametrize("shape", ["> #solved\n> x\n\nHello", "Hello\n#solved", "Hello\n-- \n#solved"])
def test_commands_in_quotations_below_text_or_in_signatures_are_no_commands(shape):
    """Hostile input 34."""
    desk, first = opened()
    assert not facts(desk, desk.reply(first.to(ANNA)[0], ANNA, shape))[0].block.commands


def test_the_words_of_our_notice_are_cut_from_an_answer_even_without_quote_marks():
    desk, first = opened()
    notice = first.to(ANNA)[0]
    mail = desk.write(
        ANNA, notice.reply_to, f"Take water.\n\n{notice.text}", subject=f"Re: {notice.mail.subject}",
        in_reply_to=f"<{notice.row.rfc_id}>",
    )
    found, _ = facts(desk, mail)
    assert found.new_text == "Take water."
    assert "fire" in found.whole_text


@pytest.mark.parametrize("line", [
    f"From: {ANNA}\r\nFrom: {EVE}\r\n", f"From: {ANNA}, {EVE}\r\n", f"From: {EVE} <{ANNA}> <{EVE}>\r\n",
])
def test_a_from_that_two_readers_may_read_differently_proves_nothing(line):
    """Hostile input 24."""
    desk, first = opened()
    to = first.to(ANNA)[0].reply_to
    mail = desk.spooled(f"{line}To: {to}\r\nSubject: Re: [ABC-1] x\r\n\r\n#solved\r\n".encode(), ANNA, to)
    assert facts(desk, mail)[0].identity.level == 0
    desk.receive(mail)
    assert desk.ticket(1).status == "new"


def test_the_party_is_that_of_the_token_whose_ticket_is_known():
    desk, first = opened()
    unknown = make_address(POLICY.keys, replace(TOKEN, ticket=99), REPLY_DOMAIN)
    notice = first.to(ANNA)[0]
    mail = desk.reply(notice, ANNA, "x", rcpts=[unknown, notice.reply_to])
    assert facts(desk, mail)[0].identity.level == 3


def test_the_row_that_rules_read_describes_the_mail():
    desk, _, out = answered()
    mail = desk.reply(out.to(ANN)[0], ANN, "x")
    found, context = facts(desk, mail)
    row = facts_row(found, mail, context)
    assert (row.sender, row.domain, row.ticket, row.status, row.priority) == (ANN, "cust.example", 1, "open", "normal")
    assert (row.level, row.agent, row.signal, row.attachments) == (0, False, "signed_id", 0)
    nobody = desk.spooled(b"\r\nhello\r\n", None, SUPPORT)
    row = facts_row(*(lambda f, c: (f, nobody, c))(*facts(desk, nobody)))
    assert (row.sender, row.domain, row.ticket, row.status, row.priority) == ("", "", None, None, None)
