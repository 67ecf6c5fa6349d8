"""What real mail writes wrong, and how it is read: charsets, names, dates, what is inside of parts, two parsers."""

from __future__ import annotations

import base64
import binascii
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Mail
from gateway.mime.charsets import decode, guess, hint_of, is_charset
from gateway.mime.dates import date_of
from gateway.mime.flowed import unflowed
from gateway.mime.parse import parse
from gateway.mime.rtf import rtf_text
from gateway.mime.second_reader import differences, other_header
from gateway.mime.structure import scan
from gateway.mime.text import base64_bytes, decode_header
from gateway.mime.tnef import read_tnef
from gateway.mime.unpack import signed_content, unpacked, uu_blocks


def mail(*lines: bytes, body: bytes = b"x") -> Mail:
    return parse(b"\r\n".join((b"From: ann@example.com", *lines)) + b"\r\n\r\n" + body)


def parts(*each: bytes, kind: bytes = b"mixed") -> Mail:
    body = b"".join(b"--b\r\n" + one + b"\r\n" for one in each) + b"--b--\r\n"
    return mail(b"Content-Type: multipart/" + kind + b'; boundary="b"', body=body)


# --- Charsets -------------------------------------------------------------------------------

RUSSIAN = "Здравствуйте, не работает принтер в нашем отделе."
JAPANESE = "お世話になっております。プリンターが動きません。"
CHINESE = "您好，我们的打印机不能工作了，请尽快派人来修理。"
TAIWANESE = "您好，我們的印表機不能工作了，請盡快派人來修理。"
KOREAN = "안녕하세요. 프린터가 작동하지 않습니다. 빨리 고쳐 주시기 바랍니다."


@pytest.mark.parametrize("label", ["", "us-ascii", "utf-8", "iso-8859-1", "x-nonsense"])
@pytest.mark.parametrize(("text", "codec"), [
    (RUSSIAN, "koi8-r"), (RUSSIAN, "cp1251"), (JAPANESE, "euc_jp"), (JAPANESE, "cp932"), (CHINESE, "gb18030"),
    (TAIWANESE, "big5"), (KOREAN, "cp949"),
])
def test_a_text_without_its_charset_is_guessed_by_its_common_letters(text: str, codec: str, label: str) -> None:
    assert decode(text.encode(codec), label) == (text, False)


@pytest.mark.parametrize(("text", "codec"), [
    ("Schöne Grüße aus München, ÄÖÜ äöüß", "cp1252"), ("À l’école où ça déjà été", "cp1252"), ("¡Año señor! ¿Qué?", "cp1252"),
    ("Żółta gęś", "cp1250"), ("Καλημέρα σας, ο εκτυπωτής δεν λειτουργεί", "cp1253"), ("שלום רב המדפסת שלנו אינה עובדת", "cp1255"),
    ("ÆØÅ æøå", "cp1252"), ("ÀÁÂÃÄÅ", "cp1252"), ("€€€€€€", "cp1252"), ("£££¥¥¥", "cp1252"),
])
def test_nothing_is_guessed_of_other_letters(text: str, codec: str) -> None:
    assert guess(text.encode(codec)) == ""


@pytest.mark.parametrize(("label", "data", "text"), [
    ("ISO_8859-1", b"\x80", "€"), ("cp-1252", b"\x93", "“"), ("KS_C_5601-1987", "한".encode("cp949"), "한"),
    ("x-sjis", "①".encode("cp932"), "①"), ("EUC-KR", "똠".encode("cp949"), "똠"), ("Big5-HKSCS", "嘅".encode("big5hkscs"), "嘅"),
    ("tis-620", "ไทย".encode("cp874"), "ไทย"), ("koi8_r", "да".encode("koi8-r"), "да"), ("iso-gb2312", "镕".encode("gb18030"), "镕"),
    ("charset=utf-8", "ü".encode(), "ü"), ("utf-8*en", "ü".encode(), "ü"), ("UTF-7", b"+AOQ-", "ä"), ("cp65001", "ü".encode(), "ü"),
    ("unicode-1-1-utf-7", b"a+-b", "a+b"),
])
def test_a_label_means_what_browsers_mean_by_it(label: str, data: bytes, text: str) -> None:
    assert decode(data, label)[0] == text


@pytest.mark.parametrize("label", ["gb2312", "euc-kr", "shift_jis", "windows-1251", "iso-8859-2"])
def test_utf_8_under_another_label_is_utf_8(label: str) -> None:
    assert decode("Hier: äöü, 差出人".encode(), label) == ("Hier: äöü, 差出人", False)


def test_utf_7_is_read_only_where_it_is_named() -> None:
    """Otherwise "1+AOQ-2" would be another text than its author wrote."""
    assert decode(b"1+AOQ-2", None)[0] == decode(b"1+AOQ-2", "us-ascii")[0] == "1+AOQ-2"
    assert not is_charset(b"punycode")
    assert not is_charset(b"utf-8" + b" " * 100)


def test_a_cut_character_does_not_cost_the_text_its_charset() -> None:
    text, declared = decode(CHINESE.encode("gb18030")[:-1], "utf-8")
    assert (text[:-1], declared) == (CHINESE[:-1], False)


@given(st.binary(max_size=400), st.sampled_from(["", "utf-8", "utf-7", "iso-8859-1", "gb2312", "iso-2022-jp", "hz", "utf-16", "no"]))
def test_any_bytes_are_some_text(data: bytes, label: str) -> None:
    decode(data, label)[0].encode("utf-8")
    decode_header(data, label).encode("utf-8")


@pytest.mark.parametrize(("value", "shown"), [
    (b"=?utf-8?Q?Why?=20me?=", "Why? me"),
    (b"=?utf-8?q?a?= =?utf-8?q?b", "ab"),
    (b"=?utf-8?b?w7w=w58=?=", "üß"),
    (b"=?utf-8?b?w7w?=", "ü"),
    (b"=?iso-8859-1?q?a=FC\xfc b?= x", "aüü b x"),
    (b"=?utf-8?q?a?=\r\n\t=?iso-8859-1?q?=FC?=", "aü"),
    (b"=?utf-8?q?Gr=FC=DFe?=", "Grüße"),
    (b'"=?utf-8?q?a?="', '"a"'),
])
def test_encoded_words_as_they_are_broken(value: bytes, shown: str) -> None:
    assert decode_header(value) == shown


def test_a_raw_name_is_in_the_charset_of_the_body() -> None:
    """Two bytes alone may be anything; the body says that they are Chinese."""
    got = parse("From: 王 <w@example.com>\r\nSubject: 打印\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n你好".encode("gb2312"))
    assert (got.sender and got.sender.name, got.subject) == ("王", "打印")


# --- Dates ----------------------------------------------------------------------------------

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize("value", [
    "Mon, 2 Mar 2026 10:00:00 +0100", "Mon, 2 Mar 2026 10:00:00 CET", "Mon, 2 Mar 2026 11:00:00 CEST", "Mon Mar  2 10:00:00 CET 2026",
    "Mon, 2 Mar 2026 10:00:00 GMT+0100", "Mon, 2 Mar 2026 10:00:00 +01:00", 'Mon, 2 Mar 2026 09:00:00 "GMT"',
    "Mon, 2 Mar 2026 10:00:00 (CET) +0100", "2026-03-02T09:00:00Z", "2026-03-02 10:00:00 +0100", "2026-03-02T10:00:00.123+01:00",
    "2026-03-02 09:00", "Mon, 02 Mar 2026 10.00.00 +0100", "Mo, 2 Mär 2026 10:00:00 +0100", "lun., 2 mars 2026 10:00:00 +0100",
    "Mon, 2 Mar 2026 09:00 AM GMT", "Mon, 2 Mar 2026 6:00 PM +0900", "Mon Mar  2 10:00:00 +0100 2026",
])
def test_a_date_is_read_however_a_program_writes_it(value: str) -> None:
    assert date_of(value.encode()) == NINE


def test_a_leap_second_is_the_one_before_it() -> None:
    assert date_of(b"Sat, 31 Dec 2016 23:59:60 +0000") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,5} \w{3} \d{1,6} \d\d:\d\d(:\d\d)? (AM|PM|CET|[+-]\d{1,6})", fullmatch=True))
def test_any_words_are_a_date_or_none(text: str) -> None:
    at = date_of(text.encode("utf-8", "replace"))
    assert at is None or at.tzinfo is UTC


# --- File names -----------------------------------------------------------------------------


@pytest.mark.parametrize(("parameter", "name"), [
    (b"; filename*1*=%BC.pdf; filename*0*=utf-8''%C3", "ü.pdf"),
    (b"; filename*2*=c.pdf; filename*0*=utf-8''a", "ac.pdf"),
    (b'; filename*0="=?utf-8?B?w7w"; filename*1="ucGRm?="', "ü.pdf"),
    (b"; filename==?utf-8?B?w7wucGRm?=", "ü.pdf"),
    (b"; filename=utf-8''%C3%BC.pdf", "ü.pdf"),
    (b"; filename*=\"utf-8''%C3%BC.pdf\"", "ü.pdf"),
    (b"; filename*=UTF-8''\xc3\xbc.pdf", "ü.pdf"),
    (b"; filename=%E2%82%AC.pdf", "€.pdf"),
    (b"; filename=100%25.pdf", "100%25.pdf"),
    (b"; filename=it's 5%'s.pdf", "it's 5%'s.pdf"),
    (b"; filename=a;b.pdf", "a;b.pdf"),
    (b"; filename=a.pdf; size=3;", "a.pdf"),
    (b'; filename=""; filename="b.pdf"', "b.pdf"),
    (b', filename="comma.pdf"', "comma.pdf"),
    (b' filename="blank.pdf"', "blank.pdf"),
    (b"; name=x.pdf", "x.pdf"),
    (b'; filename="\x1b$B$3$s\x1b(B.txt"', "こん.txt"),
])
def test_a_file_name_is_found_however_it_is_written(parameter: bytes, name: str) -> None:
    got = mail(b"Content-Type: application/pdf", b"Content-Disposition: attachment" + parameter)
    assert [part.name for part in got.parts] == [name]


# --- Bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "body", "text"), [
    (b"text/plain", b"<!DOCTYPE html><p>a</p>", "a"),
    (b"plain/text", b"a", "a"),
    (b"text/enriched", b"<bold>a</bold> <<b", "a <b"),
    (b"text/markdown", b"# a", "# a"),
    (b"text", b"a", "a"),
    (b"text/html", b'<meta charset="windows-1251">\xef\xf0\xe8', "при"),
])
def test_a_body_of_another_type_is_read(head: bytes, body: bytes, text: str) -> None:
    got = mail(b"Content-Type: " + head, body=body)
    assert (got.text, got.parts) == (text, ())


@pytest.mark.parametrize("kind", [b"text/calendar", b"text/vcard", b"text/csv"])
def test_a_text_that_is_a_file_is_no_body(kind: bytes) -> None:
    assert mail(b"Content-Type: " + kind).text == ""


def test_an_agents_command_is_never_taken_for_a_stub() -> None:
    """Commands count in plain text only; HTML with a long quotation below must not take their place."""
    page = b"<p>#solved</p><p>The HTML page is mended.</p><blockquote>" + b"It was broken for days. " * 20 + b"</blockquote>"
    got = parts(b"Content-Type: text/plain\r\n\r\n#solved\r\nThe HTML page is mended.", b"Content-Type: text/html\r\n\r\n" + page,
                kind=b"alternative")
    assert (got.text_from, got.text.split()[0]) == ("plain", "#solved")


def test_of_two_fields_the_first_counts() -> None:
    """Security input 30, and mail-parser gives a list."""
    got = mail(b"Subject: one", b"Subject: two", b"To: a@example.com", b"Message-ID: <a@x>", b"Message-ID: <b@x>")
    assert (got.subject, got.message_id) == ("one", "a@x")


@pytest.mark.parametrize(("text", "delsp", "shown"), [
    ("a \nb\n\nc", False, "a b\n\nc"),
    ("a \nb", True, "ab"),
    (">> a \n>> b\n> c", False, ">> a b\n> c"),
    ("a \n> b", False, "a \n> b"),
    (" From\n >no quote", False, "From\n>no quote"),
    ("a \n-- \nAnn", False, "a \n-- \nAnn"),
    (">", False, ">"),
])
def test_flowed_text_is_in_paragraphs(text: str, shown: str, delsp: bool) -> None:  # noqa: FBT001 - a row of a table
    """RFC 3676 §4."""
    assert unflowed(text, delsp=delsp) == shown


@given(st.lists(st.text("ab >\n-", max_size=12)).map("\n".join), st.booleans())
def test_flowed_text_loses_nothing_but_blanks_and_marks(text: str, delsp: bool) -> None:  # noqa: FBT001
    kept = str.maketrans("", "", " >\n")
    assert unflowed(text, delsp=delsp).translate(kept) == text.translate(kept)


# --- Inside of parts ------------------------------------------------------------------------


@given(st.binary(max_size=3_000), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_uuencode_is_read_as_it_is_written(data: bytes, end: bytes, backtick: bool) -> None:  # noqa: FBT001
    lines = [binascii.b2a_uu(data[at:at + 45], backtick=backtick).strip(b"\n") for at in range(0, len(data), 45)]
    text = b"words" + end + b"begin 644 a.bin" + end + b"".join(line + end for line in lines) + b"`" + end + b"end" + end + b"more"
    (block,) = uu_blocks(text)
    assert unpacked(text[block.start:block.end], "x-uuencode") == data
    assert (text[:block.start], text[block.end:]) == (b"words" + end, b"more")


@pytest.mark.parametrize("text", [
    b"begin 644 of a story\nand so on", b"begin 644 x\n", b"begin 644 x\n#86)C\nmore words", b" begin 644 x\n#86)C\n`\nend\n",
    b"begin-base64 644 x\nYWJj\n====\n",
])
def test_words_are_not_uuencode(text: bytes) -> None:
    assert uu_blocks(text) == []
    assert mail(body=text).text.encode() == text


@given(st.binary(max_size=300), st.text("abc/-0123456789base64cmsqx", max_size=30))
def test_any_steps_of_any_octets_make_octets(data: bytes, steps: str) -> None:
    unpacked(data, steps)
    signed_content(data)
    rtf_text(data)
    read_tnef(b"\x78\x9f\x3e\x22" + data)


def test_a_transfer_encoding_cannot_name_our_steps() -> None:
    """A sender's "base64/cms" once would have been stored as if we had made it."""
    got = mail(b"Content-Type: image/png", b"Content-Transfer-Encoding: base64/1-2")
    assert [(part.encoding, part.size) for part in got.parts] == [("", 1)]


def test_base64_with_a_footer_below_it_ends_where_it_ends() -> None:
    assert base64_bytes(base64.b64encode(b"text") + b"\r\n-- \r\nThe list\r\n") == b"text"


def test_what_cannot_be_opened_stays_a_file() -> None:
    got = parts(b"Content-Type: application/ms-tnef\r\n\r\nx", b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\nx")
    assert [part.name for part in got.parts][1:] == ["smime.p7m"]
    assert [part.content_type for part in got.parts] == ["application/ms-tnef", "application/pkcs7-mime"]


def test_what_cannot_be_read_of_a_winmail_keeps_the_winmail() -> None:
    """A forwarded message in it is an object of Outlook's; it must not be lost with its wrapping."""
    golden = Path(__file__).parents[1] / "mails" / "decoding" / "winmail.eml"
    (leaf,) = [each for each in scan(golden.read_bytes()).leaves() if each.content_type == "application/ms-tnef"]
    stream = unpacked(golden.read_bytes()[leaf.body_start:leaf.body_end], "base64")
    empty = struct.pack("<BII", 2, 0x00069002, 14) + bytes(16)
    got = parts(b"Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                + base64.encodebytes(stream + empty))
    assert [part.name for part in got.parts] == ["Bericht März.pdf", "photo.jpg", "winmail.dat"]


# --- Two parsers ----------------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "defect"), [
    ([b"Subject: =?utf-8?q?Gr=FC=DFe?="], "subject"),
    ([b"Date: Mon, 2 Mar 2026 10:00:00 CET"], "date"),
    ([b'To: "a\\"b"@example.com'], "to"),
    ([b"no field", b"To: a@example.com"], "header"),
    ([b"Subject : x"], "header"),
    ([b"Subject: x\rTo: y@example.com"], "header"),
])
def test_where_parsers_disagree_is_a_defect(lines: list[bytes], defect: str) -> None:
    got = mail(*lines)
    assert f"parsers disagree: {defect}" in got.defects


@pytest.mark.parametrize(("charset", "raw", "hint"), [
    ("", b"plain", ""), ("utf-8", "ü".encode(), "utf-8"), ("koi8-r", b"\xd7\xaa", "koi8-r"), ("iso-8859-1", b"\xfc", "iso-8859-1"),
    ("iso-8859-1", "转发：打印机坏了，请尽快派人来修理".encode("gb18030"), "gb18030"),
])
def test_the_charset_of_a_raw_header_is_what_all_of_it_is_made_of(charset: str, raw: bytes, hint: str) -> None:
    assert hint_of(charset, raw) == hint


def test_a_word_that_says_it_is_base64_is_shown_as_it_is() -> None:
    """Five characters are no base64; who decodes them all the same shows two strange ones."""
    got = mail(b"Content-Transfer-Encoding: base64", body=b"stuff\r\n")
    assert got.text == "stuff\n"
    for cut in (b"c3R1ZmY=", b"c3R1ZmY", b"c3R1ZmY==", b"c3R1*ZmY=", b"c3R1ZmYgb"):
        assert mail(b"Content-Transfer-Encoding: base64", body=cut + b"\r\n").text.startswith("stuff")


def test_where_readers_disagree_about_the_text_ours_is_shown() -> None:
    got = mail(b"Content-Transfer-Encoding: base64", body=b"aGVsbG8=\r\nIHdvcmxk\r\n")
    assert got.text == "hello world"
    assert got.defects == ("parsers disagree: text", "parsers disagree: parts")


def test_a_byte_order_mark_is_no_text_and_no_defect() -> None:
    got = mail(b"Content-Type: text/plain; charset=utf-8", body=b"\xef\xbb\xbfhello\r\n")
    assert (got.text, got.defects) == ("hello\n", ())


def test_parsers_agree_on_a_plain_mail() -> None:
    got = mail(b"To: Bob <b@example.com>, =?utf-8?q?J=C3=BCrgen?= <j@example.com>", b"Subject: a =?utf-8?q?=C3=BC?=",
               b"Date: Mon, 2 Mar 2026 10:00:00 +0100", b"Message-ID: <1@example.com>", b"X-Folded: a\r\n b")
    assert got.defects == ()
    assert [each.name for each in got.to] == ["Bob", "Jürgen"]


@given(st.lists(st.sampled_from([b"To: a@x\n", b"Subject: b\r\n", b" more\r\n", b"X-Y: z\n", b"\ttab\n", b"From a@b c\n"]), max_size=8))
def test_a_regular_header_is_never_asked_twice_in_vain(lines: list[bytes]) -> None:
    """What other_header takes for certain without the standard library is what the standard library says."""
    raw = b"A: b\n" + b"".join(lines) + b"\n"
    root = scan(raw)
    regular = b"From a@b c\n" not in lines
    assert not regular or differences(raw, root, root.leaves()) == []
    assert not regular or not other_header(raw, root.header_end, root.headers)
