"""Addresses: the strict grammar of the envelope, and one form for comparing.

Standards: RFC 5321 §4.1.2 (Mailbox, Path), §4.5.3.1 (lengths); RFC 1035 §2.3.4 (labels).
The library parsers decode RFC 2047 words inside an address and keep NUL and CR, so an address
that they accept may become another one downstream. Here nothing is decoded or repaired.

Deviations, all on the strict side:
- Source routes (``<@a,@b:c@d>``, RFC 5321 appendix C) are refused, not skipped.
- A quoted local part may hold only what an unquoted one may, with dots anywhere: blanks, ``@``,
  ``"``, the backslash and the other specials are read differently by any two systems. It is given back
  with the least quoting (RFC 5321 §4.1.2: all quoted forms are equivalent).
- ``=?`` is refused in both halves: somebody down the line would decode it.
- UTF-8 addresses (RFC 6531) are refused, because SMTPUTF8 is not offered.
Limits: the bare ``<Postmaster>`` of RFC 5321 §4.5.1 is no mailbox; who receives mail adds it.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from functools import lru_cache

from gateway.errors import AddressError

_SHORT = 320     # characters; RFC 5321 §4.5.3.1 allows 64 + 1 + 255 octets

_MAX_LOCAL = 64     # RFC 5321 §4.5.3.1.1
_MAX_DOMAIN = 255   # RFC 5321 §4.5.3.1.2
_MAX_PATH = 256     # RFC 5321 §4.5.3.1.3, with both angle brackets

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED = re.compile(rf'"((?:{_ATEXT}|\.)+)"')
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_IPV6_TAG = "ipv6:"

# The only characters whose NFC form is ASCII: Greek question mark, varia, Kelvin sign.
_NFC_TO_ASCII = re.compile("([\u037e\u1fef\u212a])")


def parse_mailbox(text: str) -> str:
    """``text`` as a Mailbox of RFC 5321 §4.1.2, in least quoting; AddressError if it is none."""
    if not text.isascii():
        raise _refused(text, "is not ASCII, and SMTPUTF8 is not offered")
    if text.startswith("@"):
        raise _refused(text, "has a source route")
    local_part, at, domain_part = text.rpartition("@")
    if not at:
        raise _refused(text, "has no domain")
    if "=?" in local_part or "=?" in domain_part:
        raise _refused(text, "holds an encoded word")
    if len(local_part) > _MAX_LOCAL:
        raise _refused(text, f"has a local part of more than {_MAX_LOCAL} octets")
    if len(domain_part) > _MAX_DOMAIN:
        raise _refused(text, f"has a domain of more than {_MAX_DOMAIN} octets")
    if len(text) > _MAX_PATH - 2:
        raise _refused(text, f"is a path of more than {_MAX_PATH} octets")
    return f"{_local_part(local_part, text)}@{_domain_part(domain_part, text)}"


def is_mailbox(text: str) -> bool:
    """Whether mail could be sent to ``text``."""
    try:
        parse_mailbox(text)
    except AddressError:
        return False
    return True


def parse_path(text: str) -> str | None:
    """The mailbox of ``<a@b>``; None for the null path ``<>`` (RFC 5321 §4.1.2 Path, §4.5.5)."""
    if text == "<>":
        return None
    if len(text) < 2 or text[0] != "<" or text[-1] != ">":
        raise _refused(text, "is not in angle brackets")
    return parse_mailbox(text[1:-1])


def canonical(address: str) -> str:
    """The form in which two addresses are compared: NFC, case-folded, no final dot.

    RFC 5321 §2.4 lets local parts differ in case; nobody's do, and phones capitalise them.
    A character is folded only if that does not make it ASCII: neither a long s nor a full-width
    letter, a ligature or the Kelvin sign may ever stand for somebody's ASCII address.
    """
    return _canonical_short(address) if len(address) <= _SHORT else _canonical(address)


def _canonical(address: str) -> str:
    if address.isascii():
        folded = address.lower()
    else:
        pieces = _NFC_TO_ASCII.split(address)
        pieces[::2] = [_fold(piece) for piece in pieces[::2]]
        folded = "".join(pieces)
    head, at, tail = folded.rpartition("@")
    return f"{head}{at}{tail.removesuffix('.')}"


# One mail asks fifty times for the same few addresses. What is longer than any address is not kept.
_canonical_short = lru_cache(maxsize=4096)(_canonical)


def domain(address: str) -> str:
    """What stands behind the last ``@`` of the canonical address; '' if there is none."""
    return canonical(address).rpartition("@")[2] if "@" in address else ""


def local(address: str) -> str:
    """What stands before the last ``@`` of the canonical address; all of it if there is none."""
    return canonical(address).rpartition("@")[0] if "@" in address else canonical(address)


def _local_part(text: str, whole: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    bare = quoted.group(1) if quoted else text
    if _DOT_STRING.fullmatch(bare):
        return bare
    if not quoted:
        raise _refused(whole, "has a local part that RFC 5321 does not allow or systems read differently")
    return text


def _domain_part(text: str, whole: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        if not _is_literal(text[1:-1]):
            raise _refused(whole, "has an address literal that is neither IPv4 nor IPv6")
    elif not _DOMAIN.fullmatch(text):
        raise _refused(whole, "has a domain that is not letters, digits and hyphens")
    return text


def _is_literal(text: str) -> bool:
    """RFC 5321 §4.1.3; a scope (``%eth0``) means nothing outside of one host and is refused."""
    tagged = text.lower().startswith(_IPV6_TAG)
    try:
        if tagged:
            ipaddress.IPv6Address(text[len(_IPV6_TAG):])
        else:
            ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return "%" not in text


def _fold(text: str) -> str:
    """Canonical caseless form (Unicode §3.13, NFC at the end), but nothing becomes ASCII by it."""
    folded = ""
    for char in unicodedata.normalize("NFD", text):
        new = char.casefold()
        folded += char if new.isascii() and not char.isascii() else new
    return unicodedata.normalize("NFC", folded)


def _refused(text: str, why: str) -> AddressError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return AddressError(f"{shown!a} {why}")
