"""The quick look at a header sees what the whole reading sees."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mime.archive_head import head_of, people_of, subject_of
from gateway.mime.parse import parse
from tests.mime.hostile import INPUTS

MAIL = (
    b"Received: from b by c; Mon, 02 Mar 2020 09:10:00 +0100\r\nReceived: from a by b; Mon, 02 Mar 2020 08:09:00 +0000 (UTC)\r\n"
    b"From: Ann <Ann@Cust.example>\r\nTo: support@acme.example\r\nCc: Dan <dan@cust.example>\r\n"
    b"Subject: =?utf-8?q?AW:_Dr=C3=BCcker?=\r\nDate: Mon, 02 Mar 2020 09:08:00 +0100\r\nMessage-ID: <2@x>\r\n\r\nText.\r\n"
)


def test_what_is_read() -> None:
    head = head_of(MAIL)
    assert head is not None
    assert (head.message_id, head.keys.ref) == ("2@x", "2@x")
    assert head.date == datetime(2020, 3, 2, 8, 8, tzinfo=UTC)
    assert head.hops == (datetime(2020, 3, 2, 8, 9, tzinfo=UTC), datetime(2020, 3, 2, 8, 10, tzinfo=UTC))
    assert people_of(head) == ("ann@cust.example", frozenset(("ann@cust.example", "support@acme.example", "dan@cust.example")))
    assert subject_of(head) == ("drücker", True)
    answer = head_of(MAIL.replace(b"Message-ID", b"In-Reply-To: <1@x>\r\nMessage-ID"))
    assert answer is not None
    assert answer.keys.in_reply_to == ("1@x",)
    assert not subject_of(answer)[1]        # it names a mail, so its subject need not be asked


def test_without_an_id_the_bytes_name_it_and_without_a_header_it_is_no_mail() -> None:
    one, other = head_of(b"From: a@x.example\n\nA\n"), head_of(b"From: a@x.example\n\nB\n")
    assert one is not None
    assert other is not None
    assert one.message_id is None
    assert one.keys.ref != other.keys.ref
    assert (one.hops, people_of(head_of(b"To: b@x.example\n\n") or one)[0]) == ((None, None), "")
    assert head_of(b"") is None
    assert head_of(b"\x00\x01 just octets") is None


def test_old_line_ends_and_enormous_headers_are_read() -> None:
    old = head_of(MAIL.replace(b"\r\n", b"\r"))
    assert old is not None
    assert old.message_id == "2@x"
    large = head_of(b"Message-ID: <1@x>\n" + b"X-A: b\n" * 5_000 + b"\nText\n")
    assert large is not None
    assert large.message_id == "1@x"


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=300), st.builds(lambda a, b: a + MAIL + b, st.binary(max_size=20), st.binary(max_size=20))))
def test_any_octets_are_read_or_are_no_mail(raw: bytes) -> None:
    head = head_of(raw)
    if head is not None and (mail := parse(raw)).opaque is None:
        assert (head.message_id, head.keys.in_reply_to, head.keys.references) == (mail.message_id, mail.in_reply_to, mail.references)
        people_of(head)
        subject_of(head)


@pytest.mark.parametrize("name", INPUTS)
def test_hostile_mail_has_the_same_keys(name: str) -> None:
    raw = INPUTS[name][0]()
    head, mail = head_of(raw), parse(raw)
    if head is not None and mail.opaque is None:
        assert (head.message_id, head.keys.references) == (mail.message_id, mail.references)
