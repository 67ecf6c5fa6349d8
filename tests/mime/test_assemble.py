"""Outbox rows to octets: deterministic, legal MIME, nothing that a header value can add."""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import hashlib
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decision import PartRef
from gateway.core.rows import OutboxRow
from gateway.mime.assemble import assemble, safe_name
from gateway.mime.fields import BadField, encode_field, mailbox

HEADERS = [
    ("From", mailbox("Anna (Acme Support)", "support@acme.example")),
    ("To", mailbox("Ann", "ann@cust.example")),
    ("Subject", "Re: [ABC-1] hello"),
    ("Message-ID", "<p.1@desk.example>"),
]
PART = PartRef(
    spool_id="s1", month="2026-11", start=0, end=0, encoding="base64", clean=True, name="a.pdf",
    content_type="application/pdf", content_id=None, inline=False,
)


def row(
    text: str = "Hello\n", html: str = "", parts: tuple[PartRef, ...] = (),
    headers: list[tuple[str, str]] | None = None,
) -> OutboxRow:
    return OutboxRow(
        id=1, kind="reply", ticket=1, message=None, recipient=1, rfc_id="p.1@desk.example", mail_from="",
        rcpt_to="ann@cust.example", headers=json.dumps(HEADERS if headers is None else headers), text=text, html=html,
        parts=json.dumps([asdict(p) for p in parts]), boundary="0123456789abcdef0123", sha256="", size=0,
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def none(spool_id: str, month: str) -> bytes:
    raise AssertionError("no part was asked for")


def read(octets: bytes) -> Message:
    return email.message_from_bytes(octets, policy=email.policy.compat32)


def build(raw: bytes, **changes: object) -> Message:
    """One part cut from ``raw``, as the reader's mail client sees the whole mail."""
    part = replace(PART, start=0, end=len(raw), **changes)  # type: ignore[arg-type]
    octets = assemble(row(html='<p>x <img src="cid:a@b"></p>', parts=(part,)), lambda s, m: raw)
    assert_legal(octets)
    return read(octets)


def assert_legal(octets: bytes) -> None:
    """RFC 5322 §2.1.1 and RFC 5321 §2.3.8: CRLF only, 998 octets a line, no NUL, 7 bit."""
    assert octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert b"\0" not in octets
    assert octets.isascii()


def leaf(message: Message, content_type: str) -> Message:
    return next(p for p in message.walk() if p.get_content_type() == content_type)


class TestStructure:
    def shape(self, message: Message) -> object:
        if not message.is_multipart() or message.get_content_type() == "message/rfc822":
            return message.get_content_type()
        return [message.get_content_type(), *map(self.shape, message.get_payload())]  # type: ignore[arg-type]

    def test_text_alone_is_one_readable_plain_part(self) -> None:
        octets = assemble(row("Hello\nAnn"), none)
        assert octets.endswith(b"Content-Transfer-Encoding: 7bit\r\n\r\nHello\r\nAnn\r\n")
        assert self.shape(read(octets)) == "text/plain"

    def test_html_comes_as_the_richer_alternative(self) -> None:
        message = read(assemble(row(html="<p>Hello</p>"), none))
        assert self.shape(message) == ["multipart/alternative", "text/plain", "text/html"]

    def test_images_stand_around_the_html_and_files_around_all(self) -> None:
        image = replace(PART, content_type="image/png", content_id="logo@x", inline=True, name="l.png", end=4)
        octets = assemble(row(html='<p><img src="cid:logo@x"></p>', parts=(image, replace(PART, end=4))),
                          lambda s, m: b"AAAA")
        assert self.shape(read(octets)) == [
            "multipart/mixed",
            ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]],
            "application/pdf",
        ]
        assert leaf(read(octets), "image/png")["Content-ID"] == "<logo@x>"
        assert leaf(read(octets), "application/pdf").get_content_disposition() == "attachment"

    @pytest.mark.parametrize("change", [
        {"content_id": "other@x"}, {"content_id": None}, {"content_id": "a@b>\r\nBcc: x"},
        {"content_type": "image/svg+xml"},
    ])
    def test_an_image_that_the_html_does_not_show_is_an_attachment(self, change: dict[str, str]) -> None:
        message = build(b"AAAA", **{"content_type": "image/png", "content_id": "a@b", "inline": True, **change})
        assert message.get_content_type() == "multipart/mixed"
        assert message.get_payload()[1].get_content_disposition() == "attachment"  # type: ignore[index,union-attr]


class TestText:
    @settings(max_examples=150)
    @given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")) | st.sampled_from("\n .=\t-F")))
    def test_every_text_arrives_as_written(self, text: str) -> None:
        octets = assemble(row(text, html=f"<p>{text}"), none)
        assert_legal(octets)
        for kind, sent in (("text/plain", text), ("text/html", f"<p>{text}")):
            part = leaf(read(octets), kind)
            charset = part.get_content_charset() or ""
            got = part.get_payload(decode=True).decode(charset)  # type: ignore[union-attr]
            assert got.replace("\r\n", "\n").removesuffix("\n") == sent.removesuffix("\n")

    @pytest.mark.parametrize("text", ["x" * 100_000, "\u00e4" * 5_000, ".\n..\nFrom me\n", "a \nb\t\n", "\r\n\r\r"])
    def test_awkward_lines_stay_legal(self, text: str) -> None:
        octets = assemble(row(text), none)
        assert_legal(octets)
        assert b"\r\nFrom " not in octets
        assert b" \r\n" not in octets.partition(b"\r\n\r\n")[2]


class TestHeaders:
    @pytest.mark.parametrize("char", ["\r", "\n", "\0", "\r\n", "\x85", "\u2028", "\u2029", "\x1b", "\ud800"])
    @pytest.mark.parametrize("name", ["Subject", "From", "Message-ID", "References", "List-Id", "X-Any"])
    def test_a_control_character_in_a_header_is_refused(self, name: str, char: str) -> None:
        value = {"From": f"A{char}Bcc: e@x <a@b.example>", "Message-ID": f"<a{char}@b>", "References": f"<a@b{char}>"}
        with pytest.raises(BadField):
            assemble(row(headers=[(name, value.get(name, f"hi{char}Bcc: e@x"))]), none)

    @pytest.mark.parametrize("headers", [
        [("Subject", "a"), ("Subject", "b")], [("From", "a@b.example")], [("From", "<a@b.example> x")],
        [("To", "x <a b@c.example>")], [("Message-ID", "a@b")], [("References", "<a@b>  <c@d>")],
        [("Bad Name", "x")], [("X:Y", "x")], [("", "x")], [("MIME-Version", "2")], [("Subject\r\nBcc", "x")],
    ])
    def test_a_header_that_is_not_what_it_should_be_is_refused(self, headers: list[tuple[str, str]]) -> None:
        with pytest.raises(BadField):
            assemble(row(headers=headers), none)

    @settings(max_examples=300)
    @given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=300))
    def test_every_subject_reads_back_equal_and_adds_no_field(self, value: str) -> None:
        field = encode_field("Subject", value)
        assert_legal(field)
        message = email.message_from_bytes(field + b"\r\n", policy=email.policy.default)
        assert message.keys() == ["Subject"]
        back = "".join(
            word.decode(charset or "ascii") if isinstance(word, bytes) else word
            for word, charset in email.header.decode_header(field.decode().partition(":")[2][1:].replace("\r\n", ""))
        )
        assert back.rstrip() == value.rstrip() or back.strip() == value.strip()

    @settings(max_examples=200)
    @given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=120))
    def test_a_display_name_never_becomes_an_address(self, name: str) -> None:
        field = encode_field("From", mailbox(name.strip(), "queue@acme.example"))
        assert_legal(field)
        message = email.message_from_bytes(field + b"\r\n", policy=email.policy.default)
        assert [a.addr_spec for a in message["From"].addresses] == ["queue@acme.example"]

    @pytest.mark.parametrize(("value", "octets"), [
        ("Re: [ABC-12] Grüße aus Köln", b"Subject: Re: [ABC-12] =?utf-8?b?R3LDvMOfZSBhdXMgS8O2bG4=?=\r\n"),
        ("", b"Subject: \r\n"),
        ("a" * 20 + " " + "b" * 60, b"Subject: " + b"a" * 20 + b"\r\n " + b"b" * 60 + b"\r\n"),
    ])
    def test_subjects_keep_their_key_in_plain_sight(self, value: str, octets: bytes) -> None:
        assert encode_field("Subject", value) == octets

    def test_what_looks_encoded_is_encoded_itself_so_that_nobody_decodes_it_twice(self) -> None:
        field = encode_field("Subject", "=?utf-8?q?hi=0D=0ABcc:_e@x.test?=")
        assert field == b"Subject: =?utf-8?b?PT91dGYtOD9xP2hpPTBEPTBBQmNjOl9lQHgudGVzdD89?=\r\n"

    def test_a_foreign_domain_is_written_as_its_a_label(self) -> None:
        assert encode_field("To", "<ann@bücher.example>") == b"To: <ann@xn--bcher-kva.example>\r\n"


class TestParts:
    DATA = bytes(range(256)) * 20

    def test_a_clean_slice_travels_octet_for_octet(self) -> None:
        slice_ = base64.encodebytes(self.DATA).replace(b"\n", b"\r\n")
        raw = b"X: y\r\n\r\n" + slice_ + b"--after"
        part = replace(PART, start=8, end=8 + len(slice_))
        octets = assemble(row(parts=(part,)), lambda s, m: raw)
        assert b"\r\n\r\n" + slice_ in octets
        assert leaf(read(octets), "application/pdf").get_payload(decode=True) == self.DATA

    @pytest.mark.parametrize(("raw", "encoding", "content"), [
        (b"bare\nline\n", "7bit", b"bare\nline\n"),
        (b"lone\rCR", "7bit", b"lone\rCR"),
        (b"x" * 5_000, "7bit", b"x" * 5_000),
        (b"eight \xe4\r\n", "8bit", b"eight \xe4\r\n"),
        (b"\0nul", "binary", b"\0nul"),
        (b"a=E4b=\nc", "quoted-printable", b"a\xe4bc"),
        (b"QUJD\nREVG", "BASE64", b"ABCDEF"),
        (b"QUJ", "base64", b"AB"),
        (b"QUJDR\n", "base64", b"ABC"),
        (b"", "base64", b""),
        (b"begin 644 x\r\n", "x-uuencode", b"begin 644 x\r\n"),
    ])
    @pytest.mark.parametrize("clean", [True, False])
    def test_anything_else_is_decoded_and_sent_as_base64(
        self, raw: bytes, encoding: str, content: bytes, clean: bool
    ) -> None:
        message = build(raw, encoding=encoding, clean=clean)
        assert leaf(message, "application/pdf").get_payload(decode=True) == content

    @pytest.mark.parametrize(("raw", "encoding", "kept"), [
        (b"Subject: x\r\n\r\nbody\r\n", "7bit", True), (b"Subject: x\r\n\r\nbody \xe4\r\n", "8bit", False),
        (b"U3ViamVjdDogeA0KDQo=", "base64", False), (b"Subject: x\n\nbody\n", "7bit", False),
    ])
    def test_a_forwarded_mail_is_never_base64_as_message_rfc822(self, raw: bytes, encoding: str, kept: bool) -> None:
        """RFC 2046 §5.2.1."""
        message = build(raw, encoding=encoding, content_type="message/rfc822", name="mail")
        part = message.get_payload()[1]  # type: ignore[index]
        assert part.get_content_type() == ("message/rfc822" if kept else "application/octet-stream")  # type: ignore[union-attr]
        assert part.get_filename() == "mail.eml"  # type: ignore[union-attr]
        assert (part["Content-Transfer-Encoding"] == "7bit") is kept  # type: ignore[index]

    @pytest.mark.parametrize("content_type", [
        "text/html", "image/svg+xml", "application/x-sh", "x\r\nBcc: y", "multipart/mixed",
    ])
    def test_a_type_outside_the_table_is_octets(self, content_type: str) -> None:
        message = build(b"AAAA", content_type=content_type)
        assert leaf(message, "application/octet-stream").get_payload(decode=True) == b"\0\0\0"

    @pytest.mark.parametrize(("given_name", "safe"), [
        ("../../etc/passwd", "passwd"), ("C:\\Users\\x.doc", "x.doc"), ("CON", "_CON"), ("con.txt", "_con.txt"),
        (".bashrc", "bashrc"), ("..", "attachment"), ("", "attachment"), ("a\r\nBcc: x.pdf", "aBcc_ x.pdf"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"), ("Grüße.pdf", "Grüße.pdf"), ("報告書.xlsx", "報告書.xlsx"),
        ('a";b.txt', "a__b.txt"), ("nul\0.txt", "_nul.txt"), ("a" * 5000 + ".pdf", "a" * 96 + ".pdf"),
        ("LPT1 .txt", "_LPT1.txt"), ("x. . ", "x"),
    ])
    def test_file_names_are_made_safe(self, given_name: str, safe: str) -> None:
        assert safe_name(given_name) == safe
        assert leaf(build(b"AAAA", name=given_name), "application/pdf").get_filename() is not None

    @given(st.text(max_size=200))
    def test_a_safe_name_is_short_stays_safe_and_travels(self, name: str) -> None:
        safe = safe_name(name)
        assert safe_name(safe) == safe
        assert 0 < len(safe.encode()) <= 101
        assert not set(safe) & set('/\\:*?"<>|\r\n\0\u202e')
        sent = leaf(build(b"AAAA", name=name), "application/pdf")
        assert email.utils.collapse_rfc2231_value(sent.get_filename() or "") == safe

    def test_only_true_utf8_is_called_so(self) -> None:
        for raw, charset in (("ä".encode(), "utf-8"), (b"\xe4", None)):
            message = build(raw, content_type="text/csv", encoding="8bit")
            assert leaf(message, "text/csv").get_content_charset() == charset


def test_the_same_row_gives_the_same_octets_for_ever() -> None:
    """Decision 8: a mail that is sent twice is identical. A change of this sum changes mail in the outbox."""
    sample = row("Grüße\n" * 3, "<p>Grüße</p>", (replace(PART, end=8, name="ü.pdf"),))
    octets = assemble(sample, lambda s, m: b"QUJDREVG")
    assert hashlib.sha256(octets).hexdigest() == "98637160ac60d191cd476b082f353336c50ed52cc43d44654313702181a5e638"


def test_a_boundary_that_could_break_out_is_refused() -> None:
    with pytest.raises(BadField):
        assemble(replace(row(), boundary='x"\r\nBcc: y'), none)


@settings(max_examples=300)
@given(st.lists(st.one_of(
    st.sampled_from(["\n", "\n", " ", "\t", ".", "=", "From ", "\r", "\x00", "é", "a" * 37, "b " * 38, "=20"]),
    st.text(max_size=90),
), max_size=9))
def test_a_body_is_quoted_as_if_line_by_line(pieces: list[str]) -> None:
    """All lines go through one call; its result is what a call for every line gives."""
    text = "".join(pieces)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    body = assemble(row(text), none).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    one_by_one = b"\r\n".join(map(quoted, lines))
    assert body in (one_by_one, "\r\n".join(lines).encode("utf-8", "replace"))
    assert body == one_by_one or all(len(line) <= 78 and line.isascii() for line in lines)


def quoted(line: str) -> bytes:
    octets = line.encode("utf-8", "replace")
    lead, octets = (b"=46=\r\n", octets[1:]) if octets.startswith(b"From ") else (b"", octets)
    return lead + binascii.b2a_qp(octets, istext=False).replace(b"=\n", b"=\r\n")
