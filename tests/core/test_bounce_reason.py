"""What servers mean: codes out of words, and the reason for a person."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.bounce_reason import (
    MEANINGS,
    REASONS,
    UNSAID,
    beside_reply,
    derived,
    explicit,
    generic,
    reason_of,
    reply_code,
)


@pytest.mark.parametrize(("words", "status"), [
    ("550 5.1.1 <a@b.example>... User unknown", "5.1.1"),
    ("550-5.7.26 no", "5.7.26"),
    ("Sorry, no mailbox here (#5.1.1)", "5.1.1"),
    ("#550 5.2.2 RESOLVER.RST.QuotaExceeded ##", "5.2.2"),
    ("5.1.0 - Unknown address error 550-'5.7.1 <x>... denied'", "5.7.1"),
    ("554 4.4.7 Message expired <421 4.4.2 Connection timed out>", "4.4.2"),
    ("554 4.4.7 Message expired", "4.4.7"),
    ("Out: 250 2.1.5 Ok Out: 451 4.3.0 Error", "4.3.0"),
    ("smtp; 5.2.2, the mailbox is full", "5.2.2"),
    ("host mx [5.1.2.3] said no", ""),
    ("Exim 4.72 on 5.10.2026", ""),
    ("version v5.1.1", ""),
    ("id 4.1.9-22", ""),
    ("250 2.0.0 Ok", ""),
    ("", ""),
])
def test_the_status_that_is_written(words: str, status: str) -> None:
    assert explicit(words) == status


@pytest.mark.parametrize(("words", "status"), [
    ("550 5.1.1 no", "5.1.1"), ("  552-5.2.2 full", "5.2.2"), ("554 4.4.7 expired", ""), ("550 4.2.1 odd", ""), ("no 550 5.1.1", ""),
])
def test_the_status_beside_the_reply_code(words: str, status: str) -> None:
    assert beside_reply(words) == status


@pytest.mark.parametrize(("words", "code"), [
    ("550 no such user", "550"), ("Remote host said: 552 Error", "552"), ("host mx [192.0.2.1]: 451 later", "451"), ("250 ok\n450 wait", "450"),
    ("(reason: 550 no)", "550"), ("port 587 and 554 files", ""), ("250 ok", ""), ("since 421", ""),
])
def test_the_reply_code(words: str, code: str) -> None:
    assert reply_code(words) == code


@pytest.mark.parametrize(("words", "lasting", "status"), [
    ("552 Error: disk quota exceeded", True, "5.2.2"),
    ("No such user", True, "5.1.1"),
    ("No such user", False, "4.1.1"),
    ("Host unknown", True, "5.1.2"),
    ("Connection timed out", True, "4.4.7"),
    ("connection refused", True, "4.4.1"),
    ("550 connection refused by policy", True, "5.4.1"),
    ("421 come again", True, "4.0.0"),
    ("gone", True, "5.0.0"),
    ("gone", False, "4.0.0"),
    ("571 No PTR record found", True, "5.7.25"),
    ("554 Too many hops 26", True, "5.4.6"),
    ("malformed: <x", True, "5.1.3"),
])
def test_a_status_out_of_words(words: str, lasting: bool, status: str) -> None:  # noqa: FBT001 - a table
    assert derived(words, lasting=lasting) == status


@pytest.mark.parametrize(("status", "words", "reason"), [
    ("5.1.1", "<a@b.example>... User unknown", "the mailbox does not exist"),
    ("5.0.0", "550 User [a@b.example] does not exist", "the mailbox does not exist"),
    ("", "Adresse inconnue", "the mailbox does not exist"),
    ("", "Benutzer unbekannt", "the mailbox does not exist"),
    ("", "このアドレスは存在しない", "the mailbox does not exist"),
    ("5.7.1", "Recipient address rejected: User a@b.example temporary locked", "the mailbox is disabled"),
    ("5.2.1", "", "the mailbox is disabled"),
    ("5.2.2", "Recipient address rejected", "the mailbox is full"),
    ("", "Das Postfach ist voll", "the mailbox is full"),
    ("5.0.0", "this message has been in the queue too long", "the server could not be reached in time"),
    ("", "452 Insufficient system storage", "the server of the recipient is full"),
    ("5.3.4", "no", "the mail is too large"),
    ("", "message exceeds the maximum size", "the mail is too large"),
    ("5.7.1", "does not pass DMARC", "our mail could not be authenticated"),
    ("", "Reverse DNS lookup failed", "our mail server has no proper name in the DNS"),
    ("", "sent too many messages", "too many mails from us in a short time"),
    ("", "This mail contains a virus", "it was found to hold a virus or a forbidden file"),
    ("5.7.1", "rejected as SPAM", "it was taken for spam"),
    ("", "blocked using zen.spamhaus.org", "our mail server is blocked there"),
    ("", "553 see https://www.spamhaus.org/query", "our mail server is blocked there"),
    ("", "550 see https://b.example/reason/#mailboxfull", UNSAID),
    ("", "Relaying denied", "it was not allowed to be relayed"),
    ("", "the user has moved", "the mailbox has moved"),
    ("", "Name service error for name=b.example", "the domain of the address does not exist"),
    ("", "Sender address rejected", "the sender address was refused"),
    ("", "500 Internal error", "the server of the recipient has a fault"),
    ("", "451 Try again later", "the server of the recipient has a fault"),
    ("", "connection refused", "the server could not be reached"),
    ("", "bare MIME header invalid", "the mail itself is not acceptable there"),
    ("5.7.1", "554 denied", "the server refuses it by its own rules"),
    ("5.7.1", "", "the server refuses it by its own rules"),
    ("5.4.6", "", "the mail goes round in a loop"),
    ("5.9.9", "", UNSAID),
    ("", "", UNSAID),
])
def test_the_reason_for_a_person(status: str, words: str, reason: str) -> None:
    assert reason_of(status, words) == reason


def test_each_meaning_has_a_hint_that_lets_its_words_be_tried() -> None:
    assert all(each.hints and all(hint == hint.casefold() for hint in each.hints) for each in MEANINGS)


@pytest.mark.parametrize(("status", "vague"), [("", True), ("5.0.0", True), ("4.0.0", True), ("5.1.1", False)])
def test_a_generic_status_says_nothing(status: str, vague: bool) -> None:  # noqa: FBT001 - a table
    assert generic(status) == vague


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(["user", "unknown", "550", "5.1.1", "full", "mailbox", "@", "://", "quota", "a@b.c", "#", "(", "\n"]), max_size=30).map(" ".join), st.booleans())
def test_any_words_have_a_status_and_a_reason(words: str, lasting: bool) -> None:  # noqa: FBT001 - a table
    status = derived(words, lasting=lasting)
    assert status[0] in "45"
    assert [part.isdigit() for part in status.split(".")] == [True] * 3
    assert reason_of(explicit(words), words) in REASONS
