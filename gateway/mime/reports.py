"""Delivery reports and the mail that they return.

Standards: RFC 3464 §2 (message/delivery-status), RFC 3462 (multipart/report), RFC 5965 and 8098
(whose report parts name the returned mail as well). Reports without this structure are the
business of core/classify.py.
"""

from __future__ import annotations

import re

from gateway.core.model import Report
from gateway.errors import Opaque
from gateway.mime.headers import message_id
from gateway.mime.structure import Node, header_fields
from gateway.mime.text import decode_header

_MAX_REPORTS = 200
_MAX_FIELD = 1_000
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*\r?\n+")
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
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
    """RFC 3464 §2.1: a block for the message, then one for each recipient."""
    out: list[Report] = []
    for block in _BLANK_LINES.split(data.strip())[: _MAX_REPORTS + 1]:
        fields = _fields(block)
        recipient = _typed(fields.get(b"final-recipient") or fields.get(b"original-recipient") or "")
        action = fields.get(b"action", "").lower()
        if not recipient and not action:
            continue
        diagnostic = fields.get(b"diagnostic-code", "")
        found = _STATUS.search(fields.get(b"status", "")) or _STATUS.search(diagnostic)
        status = found[1] if found else ""
        # RFC 3464 §2.3.3; a block without an action, which it must have, is known by the class of its status.
        delivered = action in ("delivered", "relayed", "expanded") or (not action and status.startswith("2"))
        # Who gives up after days reports the last 4.x with "failed": that is final, too.
        final = action == "failed" or (action != "delayed" and not status.startswith("4"))
        out.append(Report(
            recipient=recipient,
            status=status,
            permanent=final and not delivered,
            diagnostic=_typed(diagnostic, keep=True),
            delivered=delivered,
        ))
    return tuple(out)


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


def _typed(text: str, *, keep: bool = False) -> str:
    """What follows the type in ``rfc822; a@b`` (RFC 3464 §2.1.2), without brackets and comments."""
    _, semicolon, rest = text.partition(";")
    value = (rest if semicolon else text).strip()
    return value if keep else value.partition(" (")[0].strip().strip("<>").strip()
