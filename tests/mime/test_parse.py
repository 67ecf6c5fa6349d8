"""mime/parse: what real mail says, field by field, and that no bytes are refused."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Mail
from gateway.mime.attachments import is_clean
from gateway.mime.parse import parse

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def mail(*lines: str | bytes, body: bytes = b"Hello\r\n") -> Mail:
    head = b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return parse(head + b"\r\n\r\n" + body)


def multipart(kind: str, *parts: bytes, closing: bool = True) -> bytes:
    out = f'From: Ann <ann@example.com>\r\nContent-Type: multipart/{kind}; boundary="=_x"\r\n\r\npreamble'.encode()
    out += b"".join(b"\r\n--=_x\r\n" + part for part in parts)
    return out + (b"\r\n--=_x--\r\nepilogue" if closing else b"\r\n")


PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n\r\nplain words"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>html <b>words</b></p>"
PDF = (b'Content-Type: application/pdf; name="r.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
       b"Content-Disposition: attachment\r\n\r\n" + base64.encodebytes(b"%PDF-1").replace(b"\n", b"\r\n").rstrip())


def test_an_ordinary_mail_gives_every_field() -> None:
    raw = (b'From: Ann Example <ann@example.com>\r\nTo: help@example.net, "Bob, B." <bob@example.net>\r\n'
           b"Cc: c@example.net\r\nReply-To: ann@example.org\r\nSubject: =?utf-8?q?Dr=C3=BCcker?= broken\r\n"
           b"Date: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <1@example.com>\r\nIn-Reply-To: <0@example.net>\r\n"
           b"References: <a@example.net>\r\n <0@example.net>\r\n\r\nHello,\r\nit is broken.\r\n")
    got = parse(raw)
    assert (got.sender and got.sender.name, got.sender and got.sender.address) == ("Ann Example", "ann@example.com")
    assert got.ambiguous is None
    assert [(each.name, each.address) for each in got.to] == [("", "help@example.net"), ("Bob, B.", "bob@example.net")]
    assert [each.address for each in got.cc + got.reply_to] == ["c@example.net", "ann@example.org"]
    assert got.subject == "Drücker broken"
    assert got.date == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (got.message_id, got.in_reply_to, got.references) == (
        "1@example.com", ("0@example.net",), ("a@example.net", "0@example.net"))
    assert (got.text, got.text_from, got.html) == ("Hello,\nit is broken.\n", "plain", "")
    assert (got.parts, got.opaque, got.defects) == ((), None, ())
    assert (got.size, got.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert got.header("references") == "<a@example.net> <0@example.net>"


# --- Body -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "text", "source"), [
    (multipart("alternative", PLAIN, HTML), "plain words", "plain"),
    (multipart("alternative", HTML, PLAIN), "plain words", "plain"),
    (multipart("alternative", b"Content-Type: text/plain\r\n\r\n \r\n", HTML), "html words", "html"),
    (multipart("mixed", HTML, PDF), "html words", "html"),
    (multipart("mixed", PLAIN, PDF, PLAIN), "plain words\nplain words", "plain"),
    (multipart("mixed", HTML, PLAIN), "html words\nplain words", "plain"),
    (multipart("mixed", PDF), "", "none"),
    (multipart("mixed", PLAIN, closing=False), "plain words\n", "plain"),
    (multipart("mixed", PLAIN).replace(b"\r\n", b"\n"), "plain words", "plain"),
    (multipart("mixed", PLAIN).replace(b"\r\n", b"\r"), "plain words", "plain"),
    (multipart("mixed", PLAIN).replace(b'boundary="=_x"', b"charset=utf-8"), "plain words", "plain"),
    (multipart("mixed", PLAIN).replace(b'boundary="=_x"', b"boundary=other"), "plain words", "plain"),
], ids=str)
def test_body_text(raw: bytes, text: str, source: str) -> None:
    got = parse(raw)
    assert (got.text, got.text_from) == (text, source)


@pytest.mark.parametrize(("charset", "body", "text"), [
    ("iso-8859-1", b"\x84Gr\xfc\xdfe\x93", "„Grüße“"),
    ("gb2312", "镕".encode("gb18030"), "镕"),
    ("us-ascii", "Grüße".encode(), "Grüße"),
    ("us-ascii", b"Gr\xfc\xdfe", "Grüße"),
    ("utf-8", b"Gr\xfc\xdfe", "Grüße"),
    ("iso-8859-1", "Grüße".encode(), "Grüße"),
    ("iso-2022-jp", b"\x1b$B-!\x1b(B", "①"),
    ("shift_jis", "①ツール".encode("cp932"), "①ツール"),
    ("big5", "您好！ 你今天好吗？".encode(), "您好！ 你今天好吗？"),
    ("x-nonsense", "żółw".encode(), "żółw"),
    ("", "贵公司负责人您好".encode("gb2312"), "贵公司负责人您好"),
    ("utf-8", b"", ""),
])
def test_charset_is_what_the_bytes_are(charset: str, body: bytes, text: str) -> None:
    declared = f"; charset={charset}" if charset else ""
    assert mail(f"Content-Type: text/plain{declared}", body=body).text == text


# --- Parts ----------------------------------------------------------------------------------


def test_attachment_is_the_decoded_bytes_and_the_slice() -> None:
    raw = multipart("mixed", PLAIN, PDF)
    (part,) = parse(raw).parts
    assert (part.name, part.content_type, part.size, part.encoding) == ("r.pdf", "application/pdf", 6, "base64")
    assert part.sha256 == hashlib.sha256(b"%PDF-1").hexdigest()
    assert base64.b64decode(raw[part.start:part.end]) == b"%PDF-1"
    assert (part.clean, part.inline, part.content_id) == (True, False, None)


@pytest.mark.parametrize("content", [b"a\nb", b"a\rb", b"\xff", b"a\0b", b"x" * 999])
def test_a_slice_that_smtp_could_not_carry_is_not_clean(content: bytes) -> None:
    (part,) = parse(multipart("mixed", b"Content-Type: image/png\r\n\r\n" + content)).parts
    assert not part.clean


@pytest.mark.parametrize(("content", "clean"), [
    (b"x" * 998, True), (b"x" * 999, False), (b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n", True),
    (b"a\r\n" + b"x" * 999 + b"\r\nb", False), (b"a\r\n" * 3_000, True), (b"", True),
])
def test_a_clean_slice_has_no_line_over_998_octets(content: bytes, clean: bool) -> None:
    assert is_clean(content) == clean


def test_nested_message_is_one_attachment_and_its_text_stays_inside() -> None:
    inner = b"From: b@example.org\r\nSubject: inner/tale\r\n\r\nsecret words\r\n"
    got = parse(multipart("mixed", PLAIN, b"Content-Type: message/rfc822\r\n\r\n" + inner))
    assert got.text == "plain words"
    assert [(part.name, part.content_type) for part in got.parts] == [("inner-tale.eml", "message/rfc822")]


def test_inline_image_keeps_its_id_and_the_html_shows_only_it() -> None:
    image = b"Content-Type: image/png\r\nContent-ID: <i@x>\r\n\r\nPNG"
    page = b'Content-Type: text/html\r\n\r\n<p>a<img src="cid:i@x"><img src="http://x.test/spy"><script>1</script></p>'
    got = parse(multipart("related", page, image))
    assert [(part.inline, part.content_id) for part in got.parts] == [(True, "i@x")]
    assert "cid:i@x" in got.html
    assert "http" not in got.html
    assert "script" not in got.html


def test_a_part_without_name_is_called_after_its_hash_every_time() -> None:
    raw = multipart("mixed", PLAIN, b"Content-Type: image/png\r\nContent-Disposition: attachment\r\n\r\nPNG")
    digest = hashlib.sha256(b"PNG").hexdigest()
    assert [parse(raw).parts[0].name for _ in range(2)] == [f"{digest[:8]}.png"] * 2


@pytest.mark.parametrize(("parameter", "name"), [
    (b'filename="../../x.txt"', "x.txt"),
    (b"filename=/etc/x.txt", "x.txt"),
    (b'filename="C:\\dir\\x.txt"', "x.txt"),
    (b"filename=CON", "_CON"),
    (b"filename=.bashrc", "_.bashrc"),
    (b'filename="a\xe2\x80\xaegpj.exe"', "agpj.exe"),
    (b'filename="a\0b.txt"', "ab.txt"),
    (b'filename="' + b"n" * 5_000 + b'.txt"', "n" * 236 + ".txt"),
    (b"filename*=utf-8''%E2%82%AC%20rates.txt", "€ rates.txt"),
    (b"filename*0*=iso-8859-1''Gr%FC; filename*1=n.txt", "Grün.txt"),
    (b'filename="=?utf-8?q?=E2=82=AC?= rates.txt"', "€ rates.txt"),
    (b'filename="say \\"hi\\".txt"', 'say "hi".txt'),
    (b"filename=two words.txt", "two words.txt"),
    (b'filename=""', hashlib.sha256(b"x").hexdigest()[:8] + ".bin"),
    (b'filename="..."', hashlib.sha256(b"x").hexdigest()[:8] + ".bin"),
])
def test_file_names_are_readable_and_harmless(parameter: bytes, name: str) -> None:
    """Security input 37."""
    got = mail("From: a@example.com", "Content-Type: application/octet-stream",
               b"Content-Disposition: attachment; " + parameter, body=b"x")
    assert [part.name for part in got.parts] == [name]


# --- From -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "address", "why"), [
    (["From: ann@example.com"], "ann@example.com", None),
    (["From: Ann <ann@example.com>"], "ann@example.com", None),
    (['From: "Example, Ann" <ann@example.com>'], "ann@example.com", None),
    (["From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>"], "j@example.com", None),
    (['From: "ann@example.com" <ann@example.com>'], "ann@example.com", None),
    (["From: ann@example.com (Ann)"], "ann@example.com", None),
    (["From: a@example.com", "From: b@example.com"], "a@example.com", "2 From headers"),
    (["From: a@example.com, b@example.com"], "a@example.com", "2 mailboxes"),
    (["From: agent@corp.test <evil@x.test>"], "evil@x.test", "where the name belongs"),
    (['From: "agent@corp.test" <evil@x.test>'], "evil@x.test", "another address"),
    (['From: "agent＠corp.test" <evil@x.test>'], "evil@x.test", "another address"),
    (["From: <agent@corp.test>evil@x.test"], "agent@corp.test", "behind the address"),
    (["From: agent@corp.test;evil@x.test"], "agent@corp.test", "2 mailboxes"),
    (["From: Staff: agent@corp.test;"], "agent@corp.test", "group"),
    (["From: <agent@=?utf-8?q?corp.test?=>"], None, "no address"),
    (["From: agent@corp.test."], "agent@corp.test", "dot"),
    (["From: Ann <ann@exämple.com>"], "ann@xn--exmple-cua.com", "not ASCII"),
    (["From: ａgent@corp.test"], None, "no address"),
    (["From: Ann"], None, "no address"),
    (["Subject: x"], None, "no From"),
])
def test_from_proves_nothing_if_anybody_could_read_it_otherwise(lines: list[str], address: str | None, why: str | None) -> None:
    """Security input 24."""
    got = mail(*lines)
    assert (got.sender.address if got.sender else None) == address
    assert (got.ambiguous is None) == (why is None)
    assert (why or "") in (got.ambiguous or "")


@pytest.mark.parametrize("line", [
    b"Subject: =?utf-8?q?hi=0D=0ABcc:_e@x.test?=", b"Subject: =?utf-8?b?aGkNCkJjYzogZUB4LnRlc3Q=?=",
    b"Subject: hi\r\n Bcc: e@x.test", b"Subject: =?utf-8?q?hi=0A?=\r\n =?utf-8?q?Bcc:_e@x.test?=",
])
def test_a_subject_is_one_line(line: bytes) -> None:
    """Security input 22."""
    got = mail(line)
    assert got.subject.split() == ["hi", "Bcc:", "e@x.test"]
    assert not CONTROL.search(got.subject)


@pytest.mark.parametrize(("value", "subject"), [
    (b"Gr\xfc\xdfe", "Grüße"),
    ("Grüße".encode(), "Grüße"),
    (b"=?utf-8?b?w7w=?= =?utf-8?q?=C3?= =?utf-8?q?=9F?=", "üß"),
    (b"=?iso-8859-1*de?q?=80?=", "€"),
    (b"=?utf-8?q?a b?=", "a b"),
    (b"x =?utf-8?q?y?= z", "x y z"),
    (b"=?nonsense?q?a?=", "a"),
    (b"=?utf-8?b?!!!?=", ""),
    (b"\x1b$B%D!<%k\x1b(B", "ツール"),
])
def test_subject_decoding(value: bytes, subject: str) -> None:
    assert mail(b"Subject: " + value).subject == subject


@pytest.mark.parametrize(("value", "date"), [
    ("Mon, 2 Mar 2026 10:00:00 -0000", datetime(2026, 3, 2, 10, tzinfo=UTC)),
    ("2 Mar 26 10:00 EST", datetime(2026, 3, 2, 15, tzinfo=UTC)),
    ("Mon, 2 Mar 99999999999999999999 10:00:00 +0000", None),
    ("Fri, 31 Dec 9999 23:00:00 -1400", None),
    ("Mon, 2 Mar 2026 10:00:00 +99999999999", None),
    ("yesterday", None),
])
def test_date_is_utc_or_nothing(value: str, date: datetime | None) -> None:
    assert mail(f"Date: {value}").date == date


@pytest.mark.parametrize(("lines", "message_id", "references"), [
    (["Message-ID: <a@b>", "References: <1@x> junk <2@x>\t<1@x>"], "a@b", ("1@x", "2@x")),
    (["Message-ID: a@b"], "a@b", ()),
    (["Message-ID: <a b@c>"], None, ()),
    (["Message-ID: <" + "a" * 999 + ">"], None, ()),
    (["References: " + " ".join(f"<{n}@x>" for n in range(150))], None, tuple(f"{n}@x" for n in range(50, 150))),
])
def test_message_ids_are_sane(lines: list[str], message_id: str | None, references: tuple[str, ...]) -> None:
    got = mail(*lines)
    assert (got.message_id, got.references) == (message_id, references)


# --- Reports --------------------------------------------------------------------------------


def test_delivery_report_is_read_with_the_mail_it_returns() -> None:
    """RFC 3464: failed, delayed and delivered recipients; who gave up in the end did so for good."""
    status = (b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
              b"Final-Recipient: rfc822; <a@x.test>\r\nAction: failed\r\nStatus: 5.1.1 (unknown)\r\n"
              b"Diagnostic-Code: smtp; 550 no such user\r\n\r\n"
              b"Final-Recipient: rfc822;b@x.test\r\nAction: delayed\r\nStatus: 4.4.1\r\n\r\n"
              b"Final-Recipient: rfc822; c@x.test\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
              b"Final-Recipient: rfc822; d@x.test\r\nAction: failed\r\nStatus: 4.4.7\r\n\r\n"
              b"Final-Recipient: rfc822; e@x.test\r\nStatus: 2.1.5\r\n")
    back = b"Content-Type: text/rfc822-headers\r\n\r\nSubject: ours\r\nMessage-ID: <ours@example.net>\r\n"
    raw = multipart("report; report-type=delivery-status", PLAIN, status, back)
    got = parse(raw)
    assert got.report_type == "delivery-status"
    assert [(r.recipient, r.status, r.permanent, r.diagnostic) for r in got.reports] == [
        ("a@x.test", "5.1.1", True, "550 no such user"), ("b@x.test", "4.4.1", False, ""),
        ("d@x.test", "4.4.7", False, "")], "who got it is left out beside those who did not"
    assert [r.final for r in got.reports] == [True, False, True]
    assert got.original_id == "ours@example.net"
    assert got.text == "plain words"


# --- Totality -------------------------------------------------------------------------------


def check(got: Mail, raw: bytes) -> None:
    assert got.size == len(raw)
    shown = [got.subject, got.message_id or "", *got.references]
    shown += [text for each in (got.sender, *got.to, *got.cc, *got.reply_to) if each for text in (each.name, each.address)]
    shown += [part.name for part in got.parts] + [value for _, value in got.headers]
    for text in shown:
        assert not CONTROL.search(text), ascii(text)
    (got.text + got.html).encode("utf-8")
    for part in got.parts:
        assert 0 <= part.start <= part.end <= len(raw)


@given(st.binary(max_size=2_000))
def test_any_bytes_make_a_mail(raw: bytes) -> None:
    check(parse(raw), raw)


LINES = st.sampled_from([
    b"From: ", b"To: ", b"Subject: ", b"Date: ", b"Message-ID: <", b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html\r\n", b"Content-Disposition: attachment; filename*0*=",
    b"Content-Transfer-Encoding: base64\r\n", b"\r\n\r\n", b"\r\n", b"\n", b"\r", b" ", b"--b\r\n", b"--b--\r\n", b"=?utf-8?q?",
    b"=?utf-8?b?w7w=?=", b"?=", b"<a@b.c>", b"\xff", b"\0", b"utf-8''%FF", b'"', b"(", b"<", b",", b";", b":", b"<p>", b"<!--",
])


@settings(max_examples=300)
@given(st.lists(LINES | st.binary(max_size=20), max_size=40))
def test_any_pieces_of_mail_make_a_mail(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    check(parse(raw), raw)


def test_two_copies_have_one_body_key() -> None:
    """Other Received lines and line ends make no other mail; another word or attachment does."""
    one = multipart("mixed", PLAIN, PDF)
    keys = [parse(raw).body_key for raw in (
        one, b"Received: x\r\n" + one, one.replace(b"plain words", b"plain  words"), one.replace(b"plain", b"other"),
        one.replace(b"JVBERi0x", b"JVBERi0y"))]
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 3
