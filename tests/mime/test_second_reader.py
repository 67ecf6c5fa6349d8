"""The second reader of headers and structures: what is in form is read alike by both, what is not is compared."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.header import decode_header
from email.utils import getaddresses

import mailparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Opaque
from gateway.mime import headers, second_reader
from gateway.mime.headers import is_plain, mailboxes
from gateway.mime.parse import parse
from gateway.mime.structure import scan

HEAD = b"From: ann@example.com\r\nMIME-Version: 1.0\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"
FILE = b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n%b\r\n"


# --- Parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [
    MIXED % b"b" + b"--b\r\n\r\nhello\r\n" + FILE % b"JVBERi0x" + b"--b--\r\n",
    MIXED % b'"=_b"; charset="utf-8"' + b"preamble\r\n--=_b\r\n\r\nhello\r\n--=_b--\r\nepilogue",
    HEAD + b"\r\nhello\r\n--b\r\n",
])
def test_a_mail_in_form_has_no_defect(raw: bytes) -> None:
    assert parse(raw).defects == ()


@pytest.mark.parametrize("raw", [
    MIXED % b'"b\r\n c"' + b"--b c\r\n\r\nhello\r\n--b c--\r\n",                      # the fold is part of it for some
    HEAD + b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n",    # we guess the boundary
    MIXED % b"b" + b"--b\r\n\r\nhello\r\n\rx\r--b\r" + b"\r\n--b--\r\n",             # bare CR ends a line for some
    MIXED % b"b" + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--\r\n",
    HEAD + b"X-Lost\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n",     # no colon
    MIXED % b"b" + b"--b\r\n\r\nhello\r\n" + FILE % b"JV=BE=Ri=0x" + b"--b--\r\n",   # base64 that goes on behind its end
    MIXED % b'"b" (comment)' + b"--b\r\n\r\nhello\r\n--b--\r\n",
])
def test_where_another_reader_sees_other_parts_is_a_defect(raw: bytes) -> None:
    assert "parsers disagree: parts" in parse(raw).defects


@pytest.mark.parametrize("raw", [
    HEAD + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n",
    HEAD + b"Content-Transfer-Encoding: none\r\n\r\nhello",
])
def test_what_is_out_of_form_but_read_alike_has_no_defect(raw: bytes) -> None:
    assert second_reader._is_odd(raw, scan(raw))
    assert parse(raw).defects == ()


def test_a_folded_boundary_hides_parts_from_others() -> None:
    raw = MIXED % b'"b\r\n c"' + b"--b c\r\n\r\nhello\r\n" + FILE.replace(b"--b", b"--b c") % b"JVBERi0x" + b"--b c--\r\n"
    got = parse(raw)
    assert [part.name for part in got.parts] == ["a.pdf"]
    assert "parsers disagree: parts" in got.defects


def test_a_mail_too_large_for_two_readers_is_read_by_one() -> None:
    raw = MIXED % b'"b\r\n c"' + b"--b c\r\n\r\nhello\r\n--b c--\r\n" + b"epilogue\r\n" * 60_000
    assert "parsers disagree: parts" not in parse(raw).defects


def test_what_the_other_reader_cannot_read_at_all_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parser goes down into each enclosed mail by recursion."""
    raw = HEAD + b"X-Lost\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 2_000
    assert "parsers disagree: parts" not in parse(raw).defects
    monkeypatch.setattr(second_reader, "_MAX_NESTED", 3_000)
    assert "parsers disagree: parts" in parse(raw).defects


_LINES = [
    b"Content-Type: multipart/mixed; boundary=a", b'Content-Type: multipart/mixed; boundary="b"', b"Content-Type: text/plain",
    b"Content-Type: message/rfc822", b"Content-Type: multipart/digest;\r\n boundary=d", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"Content-Disposition: attachment; filename=x", b"", b"--a", b"--a--", b"--b",
    b"--b--", b"--a ", b"--d--", b"-- ", b"aGVsbG8=", b"aGVsbG8", b"hello=20there", b" folded", b"no field", b"From me", b"a\rb", b"\xff\xfe",
]
_TEXTS = st.lists(st.sampled_from(_LINES), max_size=4).map(b"\r\n".join)
_LEAVES = st.tuples(st.sampled_from([
    b"", b"Content-Type: text/plain\r\n", b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n", b"no colon\r\n",
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n",
]), st.sampled_from([b"\r\n", b"\n", b""]), _TEXTS).map(b"".join)


def _multipart(inside: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def written(made: tuple[bytes, bytes, list[bytes], bytes, bytes]) -> bytes:
        boundary, kind, parts, ending, preamble = made
        body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
        return b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n%b%b--%b%b' % (kind, boundary, preamble, body, boundary, ending)

    return st.tuples(
        st.sampled_from([b"a", b"b", b"c", b"a--", b"x y"]), st.sampled_from([b"mixed", b"alternative", b"digest"]),
        st.lists(inside, max_size=3), st.sampled_from([b"--", b"", b"-- ", b"--\r\nepilogue"]), st.sampled_from([b"", b"pre\r\n", b"\r\n"]),
    ).map(written)


@given(st.one_of(_TEXTS, st.lists(st.sampled_from(_LINES), max_size=22).map(b"\r\n".join), st.recursive(_LEAVES, _multipart, max_leaves=6)))
def test_what_is_in_form_is_read_alike(body: bytes) -> None:
    """The reason why most mails are not given to the standard library."""
    raw = b"MIME-Version: 1.0\r\n" + body
    try:
        root = scan(raw)
    except Opaque:
        return
    if second_reader._is_regular(raw, 0, root.header_end) and not second_reader._is_odd(raw, root):
        assert second_reader._theirs(message_from_bytes(raw)) == [second_reader._ours(raw, leaf) for leaf in root.leaves()]


# --- Addresses ------------------------------------------------------------------------------

_ANY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).map(str.encode)
_WORDS = st.one_of(
    _ANY.map(lambda octets: b"=?utf-8?b?%b?=" % base64.b64encode(octets)),
    _ANY.map(lambda octets: b"=?UTF-8?Q?%b?=" % b"".join(b"=%02X" % byte for byte in octets)),
)
_BOXES = st.one_of(
    st.from_regex(headers._PLAIN_BOX, fullmatch=True),
    st.lists(_WORDS, min_size=1, max_size=2).map(lambda words: b" ".join(words) + b" <a@x.example>"),
)


@given(st.lists(_BOXES, min_size=1, max_size=3).map(b",".join))
def test_every_reader_sees_the_same_mailboxes_in_a_plain_field(value: bytes) -> None:
    """The reason why such fields are not asked of mail-parser: not even who decodes first sees another address."""
    if not is_plain(value):
        return
    want = [each.address for each in mailboxes(value)]
    assert all(want)
    assert [address for _, address in getaddresses([value.decode()])] == want
    assert [address for _, address in _mail_parser(value)] == want
    decoded = "".join(text if isinstance(text, str) else text.decode(charset or "ascii") for text, charset in _pieces(value))
    assert [address for _, address in getaddresses([decoded])] == want


def _mail_parser(value: bytes) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = mailparser.parse_from_bytes(b"To: " + value + b"\r\n\r\n").to  # type: ignore[no-untyped-call]
    return found


def _pieces(value: bytes) -> list[tuple[str | bytes, str | None]]:
    return decode_header(value.decode())


def test_a_plain_from_may_still_show_another_address_in_its_name() -> None:
    """"eve＠bank.example" with a fullwidth sign is no special of RFC 5322, but a person reads an address."""
    got = parse(b"From: =?utf-8?q?ann=EF=BC=A0bank.example?= <eve@evil.example>\r\n\r\nhello")
    assert is_plain(b"=?utf-8?q?ann=EF=BC=A0bank.example?= <eve@evil.example>")
    assert got.ambiguous == "From: the name shows another address"


@settings(max_examples=30, deadline=None)    # such strings are dear to make
@given(st.from_regex(headers._PLAIN_LIST, fullmatch=True))
def test_the_short_way_to_plain_mailboxes_is_the_long_one(value: bytes) -> None:
    """Behind an empty encoded word the long way is taken."""
    short = mailboxes(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers, "is_plain", lambda _: False)
        assert mailboxes(value) == short


@pytest.mark.parametrize("value", [
    b"=?utf-8?q?a=40evil.example=2C?= <ann@example.com>", b"=?utf-8?q?=3Ceve=40evil.example=3E?= <ann@example.com>",
    b'"ann@example.com" <eve@evil.example>', b"ann@example.com <eve@evil.example>", b"a <a@x> <b@y>", b"a@x, (b@y)", b"g: a@x;",
    b'"a\\"b" <a@x>', b"a <a@=?utf-8?q?x?=>", b"\xfc <a@x>", b"a." * 2_000 + b" <a@x>",
])
def test_a_field_that_could_be_read_in_two_ways_is_not_plain(value: bytes) -> None:
    assert not is_plain(value)
