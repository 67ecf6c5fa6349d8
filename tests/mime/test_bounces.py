"""Delivery reports of many servers: who, why, for good or not; and that nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.address import parse_mailbox
from gateway.core.bounce_reason import REASONS
from gateway.core.classify import classify
from gateway.core.model import Classification, Envelope, Mail
from gateway.mime.bounce_dialects import DIALECTS
from gateway.mime.bounce_text import read, returned_at
from gateway.mime.parse import parse
from gateway.mime.reports import delivery_reports

MAILS = Path(__file__).parents[1] / "mails" / "bounces"
IMPORT = Envelope(channel="import", received_at=datetime(2026, 11, 23, tzinfo=UTC), mail_from="", rcpt_tos=())
MARA = "mara@river.example"
FULL, NOBODY, DOMAIN = "the mailbox is full", "the mailbox does not exist", "the domain of the address does not exist"
OURS = "p.17.abc@desk.example"      # the Message-ID of the returned mail
# name: (recipient, status, a ~ behind it if derived, P permanent or T temporary, W if the server still tries, reason) …, OURS or None
GOLDEN: dict[str, tuple[list[tuple[str, str, str, str]], str | None]] = {
    "aol": ([("mara@aol.example", "5.7.1~", "P", "it was found to hold a virus or a forbidden file"),
             ("theo99@aol.example", "5.7.1~", "P", "it was found to hold a virus or a forbidden file")], None),
    "courier": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "dragonfly": ([(MARA, "5.1.2~", "P", DOMAIN)], OURS),
    "dsn-broken-blocks": ([(MARA, "5.2.2", "P", FULL), ("theo@river.example", "4.4.1", "TW", "the server could not be reached")], OURS),
    "dsn-folded-wrong": ([(MARA, "5.0.0", "P", "it was not allowed to be relayed")], OURS),
    "dsn-in-text": ([(MARA, "5.3.5", "P", "the server of the recipient has a fault")], None),
    "dsn-repaired": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "dsn-silent": ([(MARA, "5.2.2", "P", FULL)], OURS),
    "dsn-wrapped-addresses": (
        [(MARA, "5.1.1", "P", NOBODY), ("theo@river.example", "5.0.0", "P", "the server gives no reason")], OURS),
    "dsn-wrong-type": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "einsundeins": ([(MARA, "5.2.2", "P", FULL)], OURS),
    "exchange-2007": ([(MARA, "5.2.2", "P", FULL)], None),
    "exchange-2007-de": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "exchange-2007-fr": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "exchange-55": ([(MARA, "5.1.1~", "P", NOBODY)], None),
    "exchange-x400": ([(MARA, "5.1.1~", "P", NOBODY)], None),
    "exim": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "exim-alias": ([(MARA, "5.2.2~", "P", FULL)], OURS),
    "exim-delay": ([(MARA, "4.2.0", "TW", "the server of the recipient has a fault")], None),
    "exim-sent-by": ([(MARA, "5.7.26~", "P", "our mail could not be authenticated")], None),
    "ezweb": ([("mara@ezweb.example", "5.1.1~", "P", NOBODY)], None),
    "gmail": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "gmail-delay": ([(MARA, "4.4.7~", "TW", "the server could not be reached in time")], OURS),
    "groupwise": ([(MARA, "5.1.1~", "P", NOBODY)], None),
    "hmailserver": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "imail": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "imail-userid": ([(MARA, "5.1.1~", "P", NOBODY)], OURS),
    "interscan": ([(MARA, "5.0.0~", "P", "the server gives no reason")], None),
    "kddi": ([("mara@kddi.example", "5.2.2~", "P", FULL)], None),
    "mailmarshal": ([(MARA, "5.7.1", "P", "it was taken for spam")], None),
    "mailru": ([(MARA, "5.2.2", "P", FULL)], None),
    "mdaemon": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "mfilter": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "mxlogic": ([(MARA, "5.1.1~", "P", NOBODY)], OURS),
    "notes": ([(MARA, "5.1.1~", "P", NOBODY)], None),
    "notes-smtp": ([(MARA, "5.1.1~", "P", NOBODY)], OURS),
    "opensmtpd": ([(MARA, "5.7.26", "P", "our mail could not be authenticated")], OURS),
    "plain-human-sender": ([(MARA, "5.0.0~", "P", "the server gives no reason")], None),
    "postfix": ([(MARA, "5.7.1", "P", "it was not allowed to be relayed")], None),
    "postfix-delay": ([(MARA, "4.4.7~", "TW", "the server could not be reached in time")], None),
    "qmail": ([(MARA, "5.1.1", "P", NOBODY), ("theo@river.example", "5.2.2", "P", FULL)], OURS),
    "qmail-late": ([(MARA, "4.4.1", "T", "the server could not be reached in time")], OURS),
    "qmail-no-code": ([(MARA, "5.2.2~", "P", FULL)], OURS),
    "returned-twice": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "returned-twice-mime": ([(MARA, "5.2.2", "P", FULL)], None),
    "sendmail": ([(MARA, "5.1.1", "P", NOBODY)], OURS),
    "sendmail-expanded": ([("mara@inner.river.example", "5.1.1", "P", NOBODY), (MARA, "5.1.1", "P", NOBODY)], OURS),
    "sendmail-v5": ([(MARA, "5.1.2~", "P", DOMAIN)], OURS),
    "sns": ([(MARA, "5.1.1", "P", NOBODY)], None),
    "spanish": ([(MARA, "5.2.2~", "P", FULL)], None),
    "verizon": ([("15550000000@vtext.example", "5.1.1~", "P", NOBODY)], None),
    "x3": ([(MARA, "5.3.0", "P", NOBODY)], None),
    "x400": ([(MARA, "5.7.1", "P", "it was not allowed to be relayed")], OURS),
    "yahoo": ([(MARA, "5.1.2~", "P", DOMAIN)], OURS),
    "zoho": ([(MARA, "5.2.1", "P", NOBODY)], OURS),
}
OTHERS = {"dsn-challenge": "auto_reply", "dsn-success": "receipt", "arf-in-text": "complaint", "arf-abuse": "complaint",
          "sns-complaint": "complaint", "person-forwards": "human", "person-asks": "human", "person-quotes": "human", "parcel": "generated",
          "left-the-company": "auto_reply", "receipt-notes": "receipt"}


def load(name: str) -> Mail:
    return parse((MAILS / f"{name}.eml").read_bytes())


def kind(mail: Mail) -> Classification:
    return classify(mail, IMPORT, own_addresses=frozenset(), own=False, bounce_address=False)


def test_each_mail_has_its_row() -> None:
    assert {path.stem for path in MAILS.glob("*.eml")} == GOLDEN.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_bounce_says_who_why_and_whether_for_good(name: str) -> None:
    mail, (reports, original) = load(name), GOLDEN[name]
    found = kind(mail)
    assert found.mail_class == "bounce", found.why
    assert [
        (each.recipient, each.status + "~" * each.derived, "TP"[each.permanent] + "W" * (not each.gave_up), each.reason)
        for each in found.bounces
    ] == reports
    assert mail.original_id == original
    assert all(each.diagnostic or each.reason == "the server gives no reason" or name.startswith(("dsn", "returned")) for each in found.bounces)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_returned_mail_is_no_part_of_the_text(name: str) -> None:
    assert "trap@" not in load(name).text or name == "sns"


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_resembles_a_bounce_is_none(name: str) -> None:
    found = kind(load(name))
    assert found.mail_class == OTHERS[name], found.why
    assert all(report.delivered for report in found.bounces)


def test_a_person_keeps_the_whole_text_of_a_bounce() -> None:
    assert "trap@elsewhere.example" in load("person-forwards").text
    assert "trap@elsewhere.example" in load("person-asks").text


@pytest.mark.parametrize("line", [
    "--- Below this line is a copy of the message.", "------ This is a copy of the message, including all the headers. ------",
    "----- Original message -----", "   ----- Unsent message follows -----", "Original message follows.",
    "Included is a copy of the message header:", "--- The header of the original message is following. ---",
    "---- START OF RETURNED MESSAGE ----", "-------original message", "Message headers follow.", "------- Returned Message --------",
    "    Below is a copy of the original message:", "Here is a copy of the first part of the message, including",
])
def test_a_line_announces_the_returned_mail(line: str) -> None:
    assert returned_at(f"words\n\n{line}\nFrom: x\n") == len("words\n\n")


@pytest.mark.parametrize("line", [
    "The following addresses did NOT receive a copy of your message:", "The original message was received at Mon, 23 Nov 2026",
    "The attached message had PERMANENT fatal delivery errors!", "Your message", "   ----- Transcript of session follows -----",
    "This message was created automatically by mail delivery software.",
])
def test_a_line_of_the_report_does_not(line: str) -> None:
    text = f"words\n\n{line}\nmore\n"
    assert returned_at(text) == len(text)


def test_openings_are_written_as_they_are_compared() -> None:
    openings = [opening for dialect in DIALECTS for opening in dialect.openings]
    assert [each for each in openings if each != each.casefold() or "  " in each] == []
    assert [each for each in openings if len(each) < 3] == []


# --- RFC 3464, bent ---------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "recipient", "status"), [
    (b"Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1", "a@b.example", "5.1.1"),
    (b"Final-Recipient: a@b.example\nAction: failed\nStatus: 5.1.1", "a@b.example", "5.1.1"),
    (b"Final-Recipient: LOCAL;<a@b.example>\nAction: Failed (gone)\nStatus: 5.1.1 (x)", "a@b.example", "5.1.1"),
    (b"Original-Recipient: rfc822;a@b.example\nFinal-Recipient: X-Local; box17\nAction: failed", "a@b.example", ""),
    (b"Original-Recipient: rfc822;unknown\nFinal-Recipient: rfc822;a@b.example\nAction: failed", "a@b.example", ""),
    (b"Final-Recipient: rfc822;a@b.example\nAction: failed\nDiagnostic-Code: smtp; 550 5.7.1 no", "a@b.example", "5.7.1"),
    (b"Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 552 5.2.2 full", "a@b.example", "5.2.2"),
    (b"Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no", "a@b.example", "5.1.1"),
    (b"Final-Recipient: rfc822;a@b.example\nAction: failed\nStatus: 4.4.7\nDiagnostic-Code: smtp; 451 4.7.1 later", "a@b.example", "4.7.1"),
    (b"Final-Recipient: rfc822;a@b.example\nAction: failed\nDiagnostic-Code: smtp; 550 user unknown", "a@b.example", "5.1.1"),
    (b"Final-Recipient: rfc822;a@b.example\n\n\nAction: failed\n\nStatus: 5.1.1", "a@b.example", "5.1.1"),
    (b"Action: failed\n\nFinal-Recipient: rfc822;a@b.example\nStatus: 5.1.1", "a@b.example", "5.1.1"),
])
def test_fields_are_read_as_servers_write_them(fields: bytes, recipient: str, status: str) -> None:
    (report,) = delivery_reports(b"Reporting-MTA: dns; mx.example\n\n" + fields)
    assert (report.recipient, report.status) == (recipient, status)


def test_success_is_reported_only_where_nothing_failed() -> None:
    good = b"Final-Recipient: rfc822;a@b.example\nAction: relayed\n\n"
    bad = b"Final-Recipient: rfc822;c@b.example\nAction: failed\nStatus: 5.1.1\n"
    assert [each.status for each in delivery_reports(good)] == ["2.0.0"]
    assert [each.recipient for each in delivery_reports(good + bad)] == ["c@b.example"]


def test_a_block_that_is_no_header_is_left_out() -> None:
    assert delivery_reports(b"Final-Recipient: rfc822;a@b.example\nX: " + b"x" * 70_000) == ()


# --- Hostile ----------------------------------------------------------------------------------

HEAD = "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nHi. This is the qmail-send program at mx.example.\n\n"
PIECES = st.sampled_from([
    "<a@b.example>:\n", "a@b.example", "550 5.1.1 ", "(#5.2.2)", "\n\n", "\n", "--- Below this line is a copy of the message.\n", ">", "@", "<", ":",
    "Final-Recipient: rfc822; ", "Action: failed\n", "Status: 5.0.0\n", "Received: x\n", "Message-ID: <x@y.example>\n", "user unknown ", " ",
    '{"notificationType":"Bounce"', '"bouncedRecipients":[', "expanded from: ", "rfc-822=x(a)y.example/", "RCPT TO:<",
])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=12), max_size=60))
def test_any_words_of_a_server_give_reports_that_hold(pieces: list[str]) -> None:
    """Recipients can be written to or are empty, statuses and reasons are of their kind, and nothing raises."""
    mail = parse((HEAD + "".join(pieces)).encode("utf-8", "replace"))
    assert mail.opaque is None
    for report in mail.reports:
        assert report.reason in REASONS or report.status.startswith("2.")
        assert report.status[:2] in ("", "2.", "4.", "5.")
        assert len(report.diagnostic) <= 1_000
    if mail.dialect:
        for report in mail.reports:
            assert parse_mailbox(report.recipient)


@pytest.mark.parametrize("piece", [
    "a", "@", "a@", "<a@b.example>:\n", " ", "\n", "-" * 70 + "\n", "copy of the message " * 6 + "\n", "550 ", "5.1.1 ", "x@y.example ", "user ",
    "user unknow ", "exceed ", "account ", "host ", "a-", '"bouncedRecipients":[', '"', "(", "i am ", "Received", "recipient address ", "=", "\t>",
    "the header of ", "Message-ID: <", "rfc-822=a(a)", "until 1 ", "not ",
])
def test_hostile_words_are_read_to_their_end(piece: str) -> None:
    """Patterns that walk back took seconds for some of these; now a megabyte is cut to what is read."""
    text = "this is the qmail-send program at x\n" + piece * (1_000_000 // len(piece))
    spoken = read(text, subject=piece * 20, failed=piece * 5_000)
    assert spoken is not None
    assert spoken.cut <= 65_536
    assert len(spoken.reports) <= 100
    assert all(len(each.diagnostic) <= 500 for each in spoken.reports)


def test_a_report_names_at_most_a_hundred_recipients() -> None:
    text = "this is the qmail-send program at x\n" + "".join(f"<a{n}@b.example>:\n550 no\n" for n in range(500))
    spoken = read(text)
    assert spoken is not None
    assert len(spoken.reports) == 100


def test_words_change_no_class_of_mail_from_a_person() -> None:
    """Ann forwards, quotes and pastes what servers wrote; her mail stays hers, reports or not."""
    bounce = load("qmail")
    for subject in ("Fwd: failure notice", "Re: your bounce", "Question"):
        raw = f"From: Ann <ann@cust.example>\nSubject: {subject}\nMessage-ID: <1@cust.example>\n\n{bounce.text}"
        assert kind(parse(raw.encode())).mail_class == "human"


