"""The header of an archived mail, as far as its conversation and its time depend on it.

Standards: RFC 5322 §3.6. As mime/opaque.py: the first 64 kB, no mail library, linear; so it is read where
the archive is, thousands a second, and only what is stored goes through the parser processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.core.address import canonical
from gateway.core.conversation import Keys
from gateway.core.subject import base_subject, is_reply
from gateway.errors import Opaque
from gateway.mime.dates import date_of
from gateway.mime.headers import addresses, mailboxes, message_id, message_ids, sender_of
from gateway.mime.opaque import Fields, first, values
from gateway.mime.structure import Limits, header_fields
from gateway.mime.text import decode_header

_READ = 64 * 1024
_ROUGH = Limits(header=_READ, content_header=_READ, header_block=_READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """``hops`` are the times of the oldest and the newest Received field; ``fields`` as they stand."""

    message_id: str | None
    keys: Keys
    date: datetime | None
    hops: tuple[datetime | None, datetime | None]
    fields: Fields


def head_of(raw: bytes) -> Head | None:
    """None: there is no header, so it is no mail. Never raises."""
    start = raw[:_READ]
    if b"\n" not in start and b"\r" in start:
        start = start.replace(b"\r", b"\n")     # as mime/parse.py: old Macintosh line ends
    try:
        fields = _fields(start)
        if not fields:
            return None
        own = message_id(first(fields, b"message-id"))
        return Head(
            message_id=own,
            keys=Keys(
                ref=own or f"{hashlib.sha256(raw).hexdigest()}@sha256.invalid",
                in_reply_to=message_ids(values(fields, b"in-reply-to")), references=message_ids(values(fields, b"references")),
            ),
            date=_utc(date_of(first(fields, b"date"))), hops=_hops(values(fields, b"received")), fields=fields,
        )
    except Exception:  # noqa: BLE001 - the last net, as in mime/opaque.py: an archive is not stopped by one mail
        return None


def people_of(head: Head) -> tuple[str, frozenset[str]]:
    """From, and all of From, To and Cc; canonical."""
    sender = sender_of(values(head.fields, b"from"), None)[0]
    own = canonical(sender.address) if sender is not None else ""
    fields = (*values(head.fields, b"to"), *values(head.fields, b"cc"))
    others = addresses([box for value in fields for box in mailboxes(value)])
    return own, frozenset((own, *(canonical(a.address) for a in others)))


def subject_of(head: Head) -> tuple[str, bool]:
    """The base subject for comparing, and whether it is a reply by its prefix that names no mail."""
    subject = decode_header(first(head.fields, b"subject"))
    names = head.keys.in_reply_to or head.keys.references
    return base_subject(subject).casefold(), is_reply(subject) and not names


def _fields(start: bytes) -> Fields:
    for lines in (None, 900, 100):
        try:
            return header_fields(start if lines is None else b"\n".join(start.split(b"\n", lines)[:lines]), 0, _READ, _ROUGH)[0]
        except Opaque:
            continue
    return []


def _hops(received: list[bytes]) -> tuple[datetime | None, datetime | None]:
    """Each server puts its own on top (RFC 5321 §4.4), the time behind the last semicolon."""
    times = [time for value in received[:1] + received[1:][-1:] if (time := _utc(date_of(value.rpartition(b";")[2].strip())))]
    return (times[-1], times[0]) if times else (None, None)


def _utc(time: datetime | None) -> datetime | None:
    return time.astimezone(UTC) if time is not None and time.tzinfo is not None else time and time.replace(tzinfo=UTC)
