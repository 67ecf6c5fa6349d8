"""Raw bytes to ``Mail``: the reading room.

Standards: RFC 5322, 2045-2047, 2183, 2231, 3462, 3464. ``parse`` is total: any bytes make a Mail, and
what was wrong with them stands in ``defects`` and ``opaque``. Order of trust: our scan decides what
is a part and what is too much, mail-parser reads the fields and the text, and where it is
known to err (mime/library.py) our own decoding stands in.

Limits: format=flowed is not unfolded, uuencode and TNEF are not unpacked, a MemoryError is left to
the worker's guard.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from gateway.core.model import OURS_INSIDE, Address, Mail, Part, Report
from gateway.errors import Opaque
from gateway.mime import library
from gateway.mime.attachments import decoded, part_of
from gateway.mime.body import Body, body_of, is_body_leaf
from gateway.mime.charsets import decode
from gateway.mime.headers import Mailbox, addresses, date_of, mailboxes, message_id, message_ids, sender_of
from gateway.mime.opaque import Fields, first, opaque_mail, shown_headers, values
from gateway.mime.reports import RETURNED, STATUS_PARTS, delivery_reports, original, report_type
from gateway.mime.structure import LIMITS, Limits, Node, scan
from gateway.mime.text import MAX_HTML, clean_html, decode_header, html_to_text, plain_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_RETURNED_ID = re.compile(r"^[> \t]*Message-ID:\s*(<[^<>\s]{3,998}>)", re.IGNORECASE | re.MULTILINE)
_RETURNED_MARK = re.compile(r"^[> \t]*X-Mailwicket-Id:[ \t]*(\S{1,80})", re.IGNORECASE | re.MULTILINE)
_MAX_DEFECTS = 20
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


def _read(raw: bytes, limits: Limits) -> Mail:
    if b"\n" not in raw and b"\r" in raw:
        return _read_lines(raw.replace(b"\r", b"\n"), raw, limits)  # old Macintosh line ends
    return _read_lines(raw, raw, limits)


def _read_lines(raw: bytes, original: bytes, limits: Limits) -> Mail:
    root = scan(raw, limits)
    fields = root.headers
    leaves = root.leaves()
    body = body_of(raw, root, leaves)
    lib = library.read(raw, fields, body.shown)
    defects = list(lib.defects)
    text, text_from = _text(raw, body, lib, limits, defects)
    parts = tuple(part_of(original, leaf, number) for number, leaf in enumerate(_others(leaves)))
    kind = report_type(root, leaves)
    reports, returned, mark = _report(raw, leaves) if kind else ((), None, "")
    sender, ambiguous = sender_of(values(fields, b"from"), lib.sender)
    if returned is None and (kind or sender is None or _DAEMON.match(sender.address)):
        found = _RETURNED_ID.findall(text)
        returned = message_id(found[-1].encode("utf-8", "replace")) if found else None
        mark = mark or next(iter(_RETURNED_MARK.findall(text)), "")
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
        reply_to=_addresses(fields, b"reply-to", lib.reply_to),
        to=_addresses(fields, b"to", lib.to),
        cc=_addresses(fields, b"cc", lib.cc),
        subject=lib.subject if lib.subject is not None else decode_header(first(fields, b"subject")),
        date=lib.date or date_of(first(fields, b"date")),
        text=text,
        text_from=text_from,
        html=clean_html("\n".join(_decoded(raw, leaf) for leaf in body.html)),
        parts=parts,
        headers=shown_headers(fields),
        report_type=kind,
        reports=reports,
        original_id=returned,
        original_mark=mark,
        opaque=None,
        defects=tuple(dict.fromkeys(defects))[:_MAX_DEFECTS],
        size=len(original),
        sha256=hashlib.sha256(original).hexdigest(),
        body_key=_body_key(text, parts),
    )


# --- Body -----------------------------------------------------------------------------------


def _text(raw: bytes, body: Body, lib: library.Reading, limits: Limits,
          defects: list[str]) -> tuple[str, Literal["plain", "html", "none"]]:
    """The text of the body leaves in order, and what it was made of."""
    read = iter(lib.texts or ())
    out: list[str] = []
    text: str | None
    room = MAX_HTML
    source: Literal["plain", "html", "none"] = "none"
    for leaf in body.shown:
        if leaf.content_type == "text/html":
            html = _decoded(raw, leaf)
            room -= len(html)                   # the cap is on all of them: there may be a thousand
            text = html_to_text(html) if room >= 0 else ""
            if html.strip() and not text:
                defects.append("HTML without text, or too large or too deep to read")
            source = "html" if source == "none" else source
        else:
            text = next(read, None) if leaf.content_type == "text/plain" else None
            text = _decoded(raw, leaf, defects) if text is None else text
            source = "plain"
        out.append(_lines(text[: limits.text + 1]))
    whole = "\n".join(out)
    if len(whole) > limits.text:
        defects.append(f"text cut to {limits.text} characters")
        whole = whole[: limits.text]
    return whole, source


def _decoded(raw: bytes, leaf: Node, defects: list[str] | None = None) -> str:
    # Nothing is shown of what lies beyond; four octets hold any character.
    text, declared = decode(decoded(raw, leaf)[: 4 * LIMITS.text], leaf.params.get("charset"))
    if not declared and defects is not None and "charset" in leaf.params:
        defects.append(f"text is not in the charset it names: {plain_line(leaf.params['charset'])[:60]}")
    return text


def _lines(text: str) -> str:
    """LF line ends, and no control character but tab, line feed and form feed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)


def _body_key(text: str, parts: tuple[Part, ...]) -> str:
    """The same for two copies of a mail, whatever relays did to blanks and line ends."""
    key = hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace"))
    for digest in sorted(part.sha256 for part in parts):
        key.update(b"\0" + digest.encode())
    return key.hexdigest()


# --- Everything else ------------------------------------------------------------------------


def _others(leaves: list[Node]) -> list[Node]:
    """Leaves that are no body text; text with a file name is both."""
    return [leaf for leaf in leaves if not is_body_leaf(leaf)]


def _multiparts(root: Node) -> list[Node]:
    out, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node.children:
            out.append(node)
            waiting.extend(node.children)
    return out


def _addresses(fields: Fields, name: bytes, read: Sequence[tuple[str, str]] | None) -> tuple[Address, ...]:
    lines = values(fields, name)
    if not lines:
        return ()
    if read and len(lines) == 1:
        return addresses([Mailbox(plain_line(shown), address) for shown, address in read])
    return addresses([box for line in lines for box in mailboxes(line)])


def _report(raw: bytes, leaves: list[Node]) -> tuple[tuple[Report, ...], str | None, str]:
    reports: tuple[Report, ...] = ()
    returned: list[tuple[Node, bytes]] = []
    for leaf in leaves:
        if leaf.content_type in STATUS_PARTS:
            reports += delivery_reports(decoded(raw, leaf))
        if leaf.content_type in RETURNED:
            returned.append((leaf, decoded(raw, leaf)))
    return (reports, *original(returned))
