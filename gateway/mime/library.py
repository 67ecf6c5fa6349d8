"""mail-parser at work: what it reads of a mail, and where its word is not taken.

Every mail is read by it, as a digest: the header fields that matter and the parts that are the body.
Attachments, Received lines and nested messages are kept from it, since it would walk into nested
mails, name parts at random and hold an attachment in ten copies. Header block and parts are compared with what the
standard library sees of them (second_reader.py). Where readers differ, one of them is shown, and the mail has
the defect ``parsers disagree: FIELD``:

========== ============================================ ==============================================================
field      who decides                                  why
========== ============================================ ==============================================================
subject    we                                           it drops octets that are not in the charset of their word, and
                                                        raw ones; it gives a list for a repeated field
From       we; any other reading of the address makes   who is believed must not hang on which parser one asks
           the mail ambiguous, and it proves nothing    (security: input 24); all three are asked, unless the field
                                                        is of the form that all read alike (headers.is_plain)
To, Cc,    we; not asked of the same form               an address that one reader adds is somebody who would get
Reply-To                                                our mail; names as for the subject
date       we; mail-parser if we cannot read it         it takes "CET" and "GMT+0100" for UTC
message id we                                           threads hang on it: of two fields the first, never a list
text       we; compared where its charset is UTF-8 or   it falls back to UTF-8 only, keeps the C1 controls of
           ASCII and nothing was replaced               iso-8859-1, and reads words that are no base64 as base64
parts      we; compared with the standard library       where a part begins must be what the limits were checked on;
           where a form leaves a doubt                  two scans of every mail would double its cost
header     we; fields that only we see, or only the     lines without colon or a lost blank line end the header for
           standard library                             one and not for the other, as smugglers know
========== ============================================ ==============================================================

mail-parser's known faults beside these: raises on lost boundaries. Whatever one of them may touch is None here.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING

import mailparser

from gateway.mime.charsets import is_charset
from gateway.mime.headers import is_plain
from gateway.mime.text import plain_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.mime.opaque import Fields
    from gateway.mime.structure import Node

logging.getLogger("mailparser").setLevel(logging.CRITICAL)  # it prints headers of strangers

_ASKED = frozenset({b"from", b"to", b"cc", b"reply-to", b"subject", b"date", b"message-id"})
_ADDRESSES = frozenset({b"from", b"to", b"cc", b"reply-to"})
_BOUNDARY = b"=_mailwicket_digest"
_SAFE_CHARSETS = frozenset({"", "utf-8", "us-ascii", "utf8", "ascii"})
_MAX_COMMAS = 1_000
_MAX_BODY = 512 * 1024
_WORD_CHARSET = re.compile(rb"=\?([^?]{0,200})\?[bBqQ]\?")
_FOREIGN_WORD = re.compile(rb"=\?(?!(?:utf-8|us-ascii|iso-8859-15)\?)", re.IGNORECASE)


class _Digest(mailparser.MailParser):
    """mail-parser without the two dictionaries of everything, which nobody reads here."""

    def _make_mail(self, complete: bool = True) -> dict[str, object]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What mail-parser says; None where it was not asked or a known fault may have struck."""

    subject: str | None = None
    sender: Sequence[tuple[str, str]] | None = None
    to: Sequence[tuple[str, str]] | None = None
    cc: Sequence[tuple[str, str]] | None = None
    reply_to: Sequence[tuple[str, str]] | None = None
    date: datetime | None = None
    message_id: str = ""
    texts: Sequence[str] | None = None      # of the plain body parts, in order
    defects: tuple[str, ...] = ()


def read(raw: bytes, fields: Fields, body: Sequence[Node]) -> Reading:
    """mail-parser's reading of the digest of one mail; an empty Reading with a defect if it raises."""
    asked: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in _ASKED or (name in _ADDRESSES and is_plain(value)):
            continue                        # there is one way to read that
        if all(is_charset(each) for each in _WORD_CHARSET.findall(value)):
            asked.setdefault(name, value)   # it would hand any codec of Python's a word of 32 kB
    plain = [node for node in body if node.content_type == "text/plain"]
    with_text = bool(plain) and sum(node.body_end - node.body_start for node in plain) <= _MAX_BODY
    try:
        mail = _Digest(_digest(raw, asked, plain if with_text else []))  # type: ignore[no-untyped-call]
        return _reading(mail, asked, plain if with_text else None)
    except Exception as error:  # noqa: BLE001 - documented: AttributeError, TypeError, ValueError of any kind
        return Reading(defects=(f"mail-parser: {type(error).__name__}",))


def _reading(mail: mailparser.MailParser, asked: dict[bytes, bytes], plain: list[Node] | None) -> Reading:
    doubted = {each["header"] for each in mail.address_header_defects}

    def boxes(name: bytes) -> Sequence[tuple[str, str]] | None:
        key, value = name.decode("ascii"), asked.get(name, b"")
        if not value or key in doubted or not value.isascii() or _FOREIGN_WORD.search(value):
            return None
        found: Sequence[tuple[str, str]] = getattr(mail, key.replace("-", "_") + "_")
        return found

    written = mail.message_id
    return Reading(
        subject=_subject(mail.subject, asked[b"subject"]) if b"subject" in asked else None,
        sender=boxes(b"from"), to=boxes(b"to"), cc=boxes(b"cc"), reply_to=boxes(b"reply-to"),
        date=mail.date,
        message_id=written if isinstance(written, str) else "",
        texts=_texts(mail, plain) if plain is not None else None,
    )


def _digest(raw: bytes, asked: dict[bytes, bytes], plain: list[Node]) -> Message:
    """What the standard library would make of these fields and parts written down; only several parts are."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in asked.items():
        is_long = value.count(b",") > _MAX_COMMAS
        fields.append((name, b",".join(value.split(b",", _MAX_COMMAS)[:-1]) if is_long else value))
    fields.append((b"MIME-Version", b"1.0"))
    if len(plain) <= 1:
        return _message(fields, raw, plain[0] if plain else None)
    lines = [name + b": " + value for name, value in fields]
    if any(raw.find(_BOUNDARY, node.body_start, node.body_end) >= 0 for node in plain):
        lines.append(b"\r\n")
    else:
        lines.append(b'Content-Type: multipart/mixed; boundary="' + _BOUNDARY + b'"\r\n')
        lines.extend(b"--" + _BOUNDARY + b"\r\n" + _part(raw, node) for node in plain)
        lines.append(b"--" + _BOUNDARY + b"--\r\n")
    return message_from_bytes(b"\r\n".join(lines))


def _message(fields: list[tuple[bytes, bytes]], raw: bytes, node: Node | None) -> Message:
    """One part, without the way through the parser, which looks at every line of the text."""
    message = Message()
    for name, value in (*fields, *(_content(node) if node else ())):
        message.set_raw(name.decode("ascii"), value.decode("ascii", "surrogateescape"))
    message.set_payload(raw[node.body_start:node.body_end].decode("ascii", "surrogateescape") if node else "")
    return message


def _content(node: Node) -> list[tuple[bytes, bytes]]:
    ascii_only = node.params.get("charset", "").lower() in ("us-ascii", "ascii")
    fields = [(b"Content-Type", b"text/plain; charset=us-ascii")] if ascii_only else []     # else it takes UTF-8
    encoding = node.header(b"content-transfer-encoding").strip().lower()
    if encoding in (b"base64", b"quoted-printable", b"7bit", b"8bit"):
        fields.append((b"Content-Transfer-Encoding", encoding))
    return fields


def _part(raw: bytes, node: Node) -> bytes:
    head = b"".join(name + b": " + value + b"\r\n" for name, value in _content(node))
    return head + b"\r\n" + raw[node.body_start:node.body_end]


def _subject(found: object, raw: bytes) -> str | None:
    if not isinstance(found, str) or not raw.isascii() or b"\x1b" in raw or _FOREIGN_WORD.search(raw):
        return None
    text = plain_line(found)
    return None if "=?" in text or "\ufffd" in text or not text else text


def _texts(mail: mailparser.MailParser, plain: list[Node]) -> list[str] | None:
    texts: list[str] = mail.text_plain
    if len(texts) != len(plain) or "CharsetDecodeDefect" in mail.defects_categories:
        return None
    if any(node.params.get("charset", "").lower() not in _SAFE_CHARSETS for node in plain):
        return None
    return None if any("\ufffd" in text or "\x1b" in text for text in texts) else texts
