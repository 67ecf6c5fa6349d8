"""Raw bytes to ``Mail``: the reading room.

Standards: RFC 5322, 2045-2047, 2183, 2231, 3462, 3464. ``parse`` is total: any bytes make a Mail, and
what was wrong with them stands in ``defects`` and ``opaque``. Order of trust: our scan decides what
is a part and what is too much, mail-parser reads the fields and the text, and where it is
known to err (mime/library.py) our own decoding stands in.

Limits: a MemoryError is left to the worker's guard.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from gateway.core.model import OURS_INSIDE, Address, Forwarded, Mail, Part, Report
from gateway.errors import Opaque
from gateway.mime import library
from gateway.mime.attachments import decoded
from gateway.mime.body import body_of, is_body_leaf
from gateway.mime.charsets import hint_of
from gateway.mime.content import Source, charset_of, content_of
from gateway.mime.dates import date_of
from gateway.mime.headers import Mailbox, addresses, mailboxes, message_id, message_ids, sender_of
from gateway.mime.opaque import Fields, first, opaque_mail, shown_headers, trusted_results, values
from gateway.mime.reports import RETURNED, STATUS_PARTS, delivery_reports, inner_reports, original, report_type
from gateway.mime.second_reader import differences
from gateway.mime.structure import LIMITS, Limits, Node, scan
from gateway.mime.text import clean_html, decode_header
from gateway.mime.told import Said, heard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_RETURNED_ID = re.compile(r"^[> \t]*Message-ID:\s*(<[^<>\s]{3,998}>)", re.IGNORECASE | re.MULTILINE)
_RETURNED_MARK = re.compile(r"^[> \t]*X-Mailwicket-Id:[ \t]*(\S{1,80})", re.IGNORECASE | re.MULTILINE)
_MAX_DEFECTS = 20
_SHOWN_FIRST = (b"subject", b"from", b"to")
_DAEMON = re.compile(r"(?:mailer-daemon|postmaster|mail-daemon)@", re.IGNORECASE)


def parse(raw: bytes, limits: Limits = LIMITS) -> Mail:
    """The Mail of ``raw``; it never raises but for MemoryError."""
    try:
        return _read(raw, limits)
    except Opaque as why:
        return opaque_mail(raw, str(why))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not cost a mail
        return opaque_mail(raw, f"unreadable: {type(error).__name__}")


def _read(raw: bytes, limits: Limits, *, enclosed: bool = True) -> Mail:
    if b"\n" not in raw and b"\r" in raw:
        # Old Macintosh line ends.
        return _read_lines(raw.replace(b"\r", b"\n"), raw, limits, enclosed=enclosed)
    return _read_lines(raw, raw, limits, enclosed=enclosed)


def _read_lines(raw: bytes, original: bytes, limits: Limits, *, enclosed: bool) -> Mail:
    root = scan(raw, limits)
    fields = root.headers
    leaves = root.leaves()
    body = body_of(raw, root, leaves)
    lib = library.read(raw, fields, body.shown)
    defects = list(lib.defects)
    hint = hint_of(charset_of(leaves), b" ".join(value for name, value in fields if name in _SHOWN_FIRST and not value.isascii()))
    content = content_of(Source(raw, original, leaves, body), lib.texts, limits, defects)
    text, parts = content.text, content.parts
    subject, date, to, cc, reply_to = _agreed(raw, root, leaves, lib, hint, defects)
    kind = report_type(root, leaves)
    reports, returned, mark = _report(raw, root, leaves) if kind else ((), None, "")
    sender, ambiguous = sender_of(values(fields, b"from"), lib.sender, hint)
    key = _body_key(text, parts)                # of all that came, also of what is no body below
    told = heard(text, Said(fields, kind, sender, subject, to), reports)
    whole, reports, text, dialect = text, told.reports, told.text, told.dialect
    if dialect and not reports:
        nested = next((leaf for leaf in leaves if leaf.is_nested), None)
        reports = inner_reports(decoded(raw, nested)) if nested else ()
    kind = kind or told.kind
    returned = returned or message_id(told.returned_id.encode("utf-8", "replace"))
    if returned is None and (kind or sender is None or _DAEMON.match(sender.address)):
        found = _RETURNED_ID.findall(text)
        returned = message_id(found[-1].encode("utf-8", "replace")) if found else None
        mark = mark or next(iter(_RETURNED_MARK.findall(whole)), "")
    if raw.find(b"X-Mailwicket-Id:", root.body_start) >= 0:
        defects.append(OURS_INSIDE)
    if not all(node.closed for node in _multiparts(root)):
        defects.append("a multipart without its closing boundary")
    return Mail(
        message_id=message_id(first(fields, b"message-id")),
        in_reply_to=message_ids(values(fields, b"in-reply-to")),
        references=message_ids(values(fields, b"references")),
        sender=sender,
        ambiguous=ambiguous,
        reply_to=reply_to,
        to=to,
        cc=cc,
        subject=subject,
        date=date,
        text=text,
        text_from=content.source,
        html=clean_html(content.html),
        parts=parts,
        headers=shown_headers(fields, hint),
        results=trusted_results(fields),
        report_type=kind,
        reports=reports,
        original_id=returned,
        original_mark=mark,
        opaque=None,
        defects=tuple(dict.fromkeys(defects))[:_MAX_DEFECTS],
        size=len(original),
        sha256=hashlib.sha256(original).hexdigest(),
        body_key=key,
        dialect=dialect,
        enclosed=_enclosed(raw, leaves, limits) if not kind and enclosed else None,
    )


def _body_key(text: str, parts: tuple[Part, ...]) -> str:
    """The same for two copies of a mail, whatever relays did to blanks and line ends."""
    key = hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace"))
    for digest in sorted(part.sha256 for part in parts):
        key.update(b"\0" + digest.encode())
    return key.hexdigest()


def _enclosed(raw: bytes, leaves: list[Node], limits: Limits) -> Forwarded | None:
    """The one mail that lies in this one (RFC 2046 §5.2.1); of several nobody could say which is meant."""
    inside = [leaf for leaf in leaves if leaf.is_nested]
    if len(inside) != 1:
        return None
    try:
        mail = _read(decoded(raw, inside[0]), limits, enclosed=False)
    except Opaque:
        return None
    if mail.sender is None:
        return None
    return Forwarded(
        sender=mail.sender, when=mail.date.isoformat() if mail.date else "", date=mail.date, subject=mail.subject,
        body=mail.text.strip("\n"), to=mail.to, cc=mail.cc, message_id=mail.message_id,
    )


# --- Everything else ------------------------------------------------------------------------


def _multiparts(root: Node) -> list[Node]:
    out, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node.children:
            out.append(node)
            waiting.extend(node.children)
    return out


def _agreed(raw: bytes, root: Node, leaves: list[Node], lib: library.Reading, hint: str, defects: list[str]) -> tuple[
        str, datetime | None, tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]]:
    """Subject, date, To, Cc and Reply-To after the table in library.py; where readers differ is a defect."""
    fields = root.headers
    subject = decode_header(first(fields, b"subject"), hint)
    if lib.subject is not None and " ".join(lib.subject.split()) != " ".join(subject.split()):
        defects.append("parsers disagree: subject")
    date = date_of(first(fields, b"date"))
    if date is None or lib.date is None or abs((date - lib.date).total_seconds()) > 1:
        if date is not None and lib.date is not None:
            defects.append("parsers disagree: date")
        date = date or lib.date
    written = first(fields, b"message-id")
    if lib.message_id and message_id(written) != message_id(lib.message_id.encode("utf-8", "replace")):
        defects.append("parsers disagree: message id")
    defects += [f"parsers disagree: {what}" for what in differences(raw, root, leaves)]
    to, cc, reply_to = (
        _addresses(fields, name, read, hint, defects)
        for name, read in ((b"to", lib.to), (b"cc", lib.cc), (b"reply-to", lib.reply_to)))
    return subject, date, to, cc, reply_to


def _addresses(fields: Fields, name: bytes, read: Sequence[tuple[str, str]] | None, hint: str,
               defects: list[str]) -> tuple[Address, ...]:
    lines = values(fields, name)
    if not lines:
        return ()
    found = addresses([box for line in lines for box in mailboxes(line, hint)])
    if read and len(lines) == 1:
        theirs = {each.address for each in addresses([Mailbox("", address) for _, address in read])}
        if theirs != {each.address for each in found}:
            defects.append(f"parsers disagree: {name.decode('ascii')}")
    return found


def _report(raw: bytes, root: Node, leaves: list[Node]) -> tuple[tuple[Report, ...], str | None, str]:
    reports: tuple[Report, ...] = ()
    returned: list[tuple[Node, bytes]] = []
    lost = not any(leaf.content_type in STATUS_PARTS for leaf in leaves) and root.content_type == "multipart/report"
    for leaf in leaves:
        if leaf.content_type in STATUS_PARTS or (lost and _is_status(raw, leaf)):
            reports += delivery_reports(decoded(raw, leaf))
        if leaf.content_type in RETURNED:
            returned.append((leaf, decoded(raw, leaf)))
    return (reports, *original(returned))


def _is_status(raw: bytes, leaf: Node) -> bool:
    """RFC 3464 fields under a wrong Content-Type."""
    return leaf.content_type not in RETURNED and not is_body_leaf(leaf) and (
        b"final-recipient:" in decoded(raw, leaf)[:65_536].lower())
