"""A Mail from the header alone: for mail that breaks a limit, or that nobody could read.

Standards: RFC 5322 §3.6. Works on the first 64 kB, uses no mail library, and is cheap enough for
the process that guards the parser workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from gateway.core.model import Mail
from gateway.errors import Opaque
from gateway.mime.dates import date_of
from gateway.mime.headers import addresses, mailboxes, message_id, message_ids, sender_of
from gateway.mime.structure import Limits, header_fields
from gateway.mime.text import decode_header

_READ = 64 * 1024
_VALUE = 8_192
_TOTAL = 256 * 1024
_RESULTS = 20
_ROUGH = Limits(header=_READ, content_header=_READ, header_block=_READ)

Fields = Sequence[tuple[bytes, bytes]]


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key == name]


def first(fields: Fields, name: bytes) -> bytes:
    return next((value for key, value in fields if key == name), b"")


def trusted_results(fields: Fields) -> tuple[str, ...]:
    """Authentication-Results above the first Received, undecoded; what is not plain ASCII ends the list."""
    out: list[str] = []
    for name, value in fields:
        if name == b"received" or len(out) >= _RESULTS:
            break
        if name == b"authentication-results":
            # Nothing is decoded: an encoded word may hold a semicolon and another verdict.
            if not value.isascii() or len(value) > _VALUE:
                break
            out.append(value.decode("ascii"))
    return tuple(out)


def shown_headers(fields: Fields, hint: str = "") -> tuple[tuple[str, str], ...]:
    """(lower-case name, decoded value), each value and their sum capped."""
    out: list[tuple[str, str]] = []
    room = _TOTAL
    for name, value in fields:
        text = decode_header(value[:_VALUE], hint)
        room -= len(text)
        if room < 0:
            break
        out.append((name.decode("ascii"), text))
    return tuple(out)


def opaque_mail(raw: bytes, reason: str) -> Mail:
    """``raw`` as far as its header tells, with ``reason`` in ``opaque``; total."""
    head = raw[:_READ]
    if b"\n" not in head and b"\r" in head:
        head = head.replace(b"\r", b"\n")
    try:
        fields, _ = header_fields(head, 0, len(head), _ROUGH)
    except Opaque:
        fields = _first_fields(head)
    cut = [(name, value[:_VALUE]) for name, value in fields]
    try:
        return _mail(raw, cut, reason)
    except Exception as error:  # noqa: BLE001 - the last net: whatever a peer sent must be stored
        return replace(_mail(raw, [], reason), defects=(f"header unreadable: {type(error).__name__}",))


def _first_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    for lines in (900, 100):
        try:
            return header_fields(b"\n".join(head.split(b"\n", lines)[:lines]), 0, _READ, _ROUGH)[0]
        except Opaque:
            continue
    return []


def _mail(raw: bytes, fields: Fields, reason: str) -> Mail:
    sender, ambiguous = sender_of(values(fields, b"from"), None)
    digest = hashlib.sha256(raw).hexdigest()
    return Mail(
        message_id=message_id(first(fields, b"message-id")),
        in_reply_to=message_ids(values(fields, b"in-reply-to")),
        references=message_ids(values(fields, b"references")),
        sender=sender,
        ambiguous=ambiguous or "mail not read",
        reply_to=addresses(mailboxes(first(fields, b"reply-to"))),
        to=addresses(mailboxes(first(fields, b"to"))),
        cc=addresses(mailboxes(first(fields, b"cc"))),
        subject=decode_header(first(fields, b"subject")),
        date=date_of(first(fields, b"date")),
        text="", text_from="none", html="", parts=(),
        headers=shown_headers(fields),
        results=trusted_results(fields),
        report_type="", reports=(), original_id=None, original_mark="",
        opaque=reason, defects=(reason,),
        size=len(raw), sha256=digest, body_key=digest,
    )
