"""The envelope of a mail that comes without one: what its delivery left in the header.

Standards: RFC 5321 §4.4 (Return-Path), RFC 5322 §2.2 (fields, folding). Delivered-To and X-Original-To
are custom, not standard. Nothing is decoded; an address counts only if the strict grammar takes it.

Limits: only the first HEADER octets are read. A provider that does not strip a sender's own
Delivered-To lets him choose among our addresses, which he could as well have written to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gateway.core.address import canonical, parse_mailbox, parse_path
from gateway.errors import AddressError

HEADER = 256 * 1024
Fields = Mapping[str, Sequence[str]]
_DELIVERED = ("delivered-to", "x-original-to")
_MOST_RECIPIENTS = 20
_ADDRESS = re.compile(r"[^\s<>()\[\]\",;:@]{1,64}@[^\s<>()\",;:@]{1,255}")
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")


def fields(raw: bytes) -> Fields:
    """Header fields by lower-case name, unfolded, not decoded."""
    text = _FOLD.sub(" ", _END_OF_HEADER.split(raw[:HEADER], maxsplit=1)[0].decode("latin-1"))
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), []).append(value.strip())
    return found


def addresses(text: str) -> list[str]:
    """The strict addresses that occur in ``text``, in order."""
    found = []
    for candidate in _ADDRESS.findall(text):
        try:
            found.append(parse_mailbox(candidate))
        except AddressError:
            continue
    return found


def mail_from(of: Fields) -> str | None:
    """The reverse-path; None is the null path of a report, so a mere gap is filled from From."""
    for text in of.get("return-path", ())[:1]:
        try:
            return parse_path(text)
        except AddressError:
            break
    senders = [address for text in of.get("from", ()) for address in addresses(text)]
    return senders[0] if len(senders) == 1 else None


def delivered_to(of: Fields) -> tuple[str, ...]:
    """Whom the provider delivered it to, outermost first; () if it does not say."""
    named = (canonical(a) for name in _DELIVERED for text in of.get(name, ()) for a in addresses(text))
    return tuple(dict.fromkeys(named))[:_MOST_RECIPIENTS]
