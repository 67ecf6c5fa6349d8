"""Delivery reports and the mail that they return.

Standards: RFC 3464 §2 (message/delivery-status), RFC 3462 (multipart/report), RFC 5965 and 8098
(whose report parts name the returned mail as well). Reports in plain words are read by
mime/bounce_text.py.
"""

from __future__ import annotations

import re

from gateway.core.bounce_reason import WRAPPERS, beside_reply, derived, explicit, generic, reason_of, reply_code
from gateway.core.model import Report
from gateway.errors import Opaque
from gateway.mime.headers import message_id, valid_address
from gateway.mime.structure import Node, header_fields, scan
from gateway.mime.text import decode_header

_MAX_REPORTS = 200
_MAX_FIELD = 1_000
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*\r?\n+")
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_TYPE = re.compile(r"[A-Za-z0-9][\w.-]{0,30}")
_BRACKETED = re.compile(r"<([^<>\s]{3,320})>")
_X400 = re.compile(r"rfc-?822=([^/;\s]{1,64})\(a\)([^/;\s]{1,255})", re.IGNORECASE)
_WRAPPED = re.compile(r"IMCEASMTP-([^@\s]{1,250})@\S{1,255}", re.IGNORECASE)
_HEXED = re.compile(r"\+([0-9A-Fa-f]{2})")
_RECIPIENT_FIELDS = (b"original-recipient", b"final-recipient", b"x-actual-recipient")
_NAMES = frozenset(_RECIPIENT_FIELDS)
_IS_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,60}[ \t]*:")
_ABOUT = frozenset((b"action", b"status", b"diagnostic-code"))
_ID_FIELDS = (b"original-message-id", b"message-id")
STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED = (
    "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global",
    "message/global-headers",
)
_MACHINE_PARTS = {
    "message/delivery-status": "delivery-status",
    "message/global-delivery-status": "delivery-status",
    "message/feedback-report": "feedback-report",
    "message/disposition-notification": "disposition-notification",
    "message/global-disposition-notification": "disposition-notification",
}
RETURNED = (*_RETURNED, *_MACHINE_PARTS)


def report_type(root: Node, leaves: list[Node]) -> str:
    """What kind of report this is; its machine part counts more than a missing parameter."""
    kinds = (_MACHINE_PARTS.get(leaf.content_type, "") for leaf in leaves)
    found = next((kind for kind in kinds if kind), "")
    if root.content_type != "multipart/report":
        return found
    return root.params.get("report-type", "").strip().lower()[:60] or found


def delivery_reports(data: bytes) -> tuple[Report, ...]:
    """RFC 3464 §2.1: a block for the message, then one for each recipient.

    Successes are left out, unless there is nothing else. Blank lines inside a block and missing ones
    between two are seen by the fields: a block has one recipient, and none of its fields twice.
    """
    done: list[Report] = []
    out: list[Report] = []
    for fields in _blocks(data):
        recipient = _recipient(fields)
        action = fields.get(b"action", "").partition("(")[0].strip().lower()
        if not recipient and not action:
            continue
        # RFC 3464 §2.3.3; Sun and Domino write "Delivered" beside a failure's status. Where the action
        # is missing, which it must not be, the class of the status tells.
        well = not action and fields.get(b"status", "").lstrip().startswith("2.")
        succeeded = well or action in ("delivered", "relayed", "expanded", "deliverable")
        (done if succeeded else out).append(_report(fields, recipient, action, succeeded=succeeded))
    return tuple(out or done)[:_MAX_REPORTS]


def _report(fields: dict[bytes, str], recipient: str, action: str, *, succeeded: bool) -> Report:
    diagnostic = _typed(fields.get(b"diagnostic-code", ""))
    found = _STATUS.search(fields.get(b"status", ""))
    status = found[1] if found else ""
    if succeeded:
        status = status if status.startswith("2") else "2.0.0"
        return Report(recipient=recipient, status=status, permanent=False, diagnostic=diagnostic, delivered=True)
    # RFC 3464 §2.3.4 wants the reporting server's word, which often is that it cannot tell; beside the
    # remote's reply code stands what the remote itself said.
    status = beside_reply(diagnostic) or ("" if generic(status) or status in WRAPPERS else status) or explicit(diagnostic) or status
    late = action == "delayed"
    guessed = not status and bool(reply_code(diagnostic))
    if guessed:
        status = derived(diagnostic, lasting=not late)
    return Report(
        recipient=recipient, status=status, permanent=not late and not status.startswith("4"), diagnostic=diagnostic,
        reason=reason_of("" if guessed else status, diagnostic), derived=guessed, gave_up=not late,
    )


def _blocks(data: bytes) -> list[dict[bytes, str]]:
    """The fields of each recipient. A block without a recipient and one without news are two halves of one."""
    out: list[dict[bytes, str]] = []
    for piece in _BLANK_LINES.split(data.strip())[: 2 * _MAX_REPORTS + 1]:
        last = out[-1] if out else {}
        for fields in _apart(piece, rest=not _NAMES.isdisjoint(last) and _ABOUT.isdisjoint(last)):
            before = out[-1] if out else {}
            halves = _NAMES.isdisjoint(before) != _NAMES.isdisjoint(fields) and before.keys() & fields.keys() & _ABOUT == set()
            if halves and not _ABOUT.isdisjoint((*before, *fields)) and not (_NAMES.isdisjoint(before) and _ABOUT.isdisjoint(before)):
                for name, value in fields.items():
                    before.setdefault(name, value)
            else:
                out.append(fields)
    return out


def _apart(piece: bytes, *, rest: bool) -> list[dict[bytes, str]]:
    """One block, or several that no blank line parts; ``rest`` says that it begins with the end of the one above."""
    # A line that is neither a field nor folded belongs to the field above: replies of several lines lose their blank.
    lines = piece.split(b"\n")
    folded = [line if number == 0 or line[:1] in (b" ", b"\t") or _IS_FIELD.match(line) else b" " + line for number, line in enumerate(lines)]
    piece = b"\n".join(folded)
    try:
        fields, _ = header_fields(piece, 0, len(piece))
    except Opaque:
        return []
    out: list[dict[bytes, str]] = [{}]
    for name, value in fields:
        again = name in out[-1] and name in (b"final-recipient", b"original-recipient", b"action", b"status")
        below = rest and len(out) == 1 and name in _NAMES and not _ABOUT.isdisjoint(out[0]) and _NAMES.isdisjoint(out[0])
        if again or below:
            out.append({})
        out[-1].setdefault(name, decode_header(value)[:_MAX_FIELD])
    return out


def _recipient(fields: dict[bytes, str]) -> str:
    """The address we wrote to (RFC 3464 §2.3.1), else where it ended; only what one can write to, if anything is."""
    read = [_address(fields[name]) for name in _RECIPIENT_FIELDS if fields.get(name)]
    return next((each for each in read if valid_address(each)), next(iter(read), ""))


def _address(text: str) -> str:
    """The address of ``rfc822; <a@b> (A)``, of X.400's ``RFC-822=a(a)b`` and of Exchange's IMCEASMTP-a+40b@c."""
    value = _typed(text).partition(" (")[0].strip()
    if bracketed := _BRACKETED.search(value):
        value = bracketed[1]
    if x400 := _X400.search(value):
        value = f"{x400[1]}@{x400[2]}"
    if wrapped := _WRAPPED.fullmatch(value):
        value = _HEXED.sub(lambda each: chr(int(each[1], 16)), wrapped[1])
    return value.strip("<>\"' ").strip()


def inner_reports(nested: bytes) -> tuple[Report, ...]:
    """Those of a report that came back as somebody's attachment; nothing if it cannot be read."""
    try:
        leaves = scan(nested).leaves()
    except Opaque:
        return ()
    return tuple(
        report for leaf in leaves if leaf.content_type in STATUS_PARTS
        for report in delivery_reports(nested[leaf.body_start:leaf.body_end])
    )


def original(leaves: list[tuple[Node, bytes]]) -> tuple[str | None, str]:
    """Message-ID and X-Mailwicket-Id of the returned mail, from the (leaf, decoded body) pairs of a report."""
    returned, mark = None, ""
    for leaf, data in leaves:
        if leaf.content_type in RETURNED:
            fields = _fields(data[:65_536].lstrip(b"\r\n"))
            ids = (message_id(fields[n].encode("utf-8", "replace")) for n in _ID_FIELDS if n in fields)
            returned = returned or next(filter(None, ids), None)
            mark = mark or fields.get(b"x-mailwicket-id", "")[:80]
    return returned, mark


def _fields(block: bytes) -> dict[bytes, str]:
    try:
        fields, _ = header_fields(block, 0, len(block))
    except Opaque:
        return {}
    out: dict[bytes, str] = {}
    for name, value in fields:
        out.setdefault(name, decode_header(value)[:_MAX_FIELD])
    return out


def _typed(text: str) -> str:
    """What follows the type in ``rfc822; a@b`` (RFC 3464 §2.1.2)."""
    kind, semicolon, rest = text.partition(";")
    return rest.strip() if semicolon and _TYPE.fullmatch(kind.strip()) else text.strip()
