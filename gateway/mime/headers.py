"""Mailboxes and message ids as header fields of real mail hold them.

Standards: RFC 5322 §3.4 (addresses), §3.6.4 (identification fields). Reading is
lenient, judging is strict: ``sender_of`` gives the one mailbox that is shown, and says why From
proves nothing as soon as any reader could see another one in it. All scans are linear.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from email.utils import parseaddr
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.core.address import parse_mailbox
from gateway.core.model import Address
from gateway.errors import AddressError
from gateway.mime.charsets import decode
from gateway.mime.text import decode_header, plain_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_ADDRESSES = 1_000
_MAX_ID = 998           # RFC 5322 §2.1.1: no line is longer
_MAX_IDS = 100
_MAX_NAME = 300


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox as it was written. ``odd`` names what makes it readable in two ways, or ''."""

    name: str
    address: str
    odd: str = ""


_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"?|<([^<>]*)>?|[(),:;]|[^"<>(),:;]+|.', re.DOTALL)
_UNQUOTE = re.compile(r"\\(.)")
_NO_ADDRESS = re.compile(r"[\s,;<>()\"]")
_ADDRESS_LIKE = re.compile(r"[\w.+'=%/!#$&*?^`{|}~-]+@[\w.-]+\w")


# Mailboxes that RFC 5322 §3.4 and every reader take alike: dots and atoms, or one quoted string in which nothing could be
# taken for an address, an escape or an encoded word.
_PLAIN = (
    rb"[ \t]*+(?:((?:[\w!#$%&'*+/^`{|}~.-]++[ \t]*+)++|\"[\w !#$%&'*+/^`{|}~.,-]*+\"[ \t]*+)?<(ADDRESS)>|(ADDRESS))[ \t]*+"
).replace(b"ADDRESS", rb"[\w!#$%&'*+/^`{|}~=-]+(?:\.[\w!#$%&'*+/^`{|}~=-]+)*@[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*")
_PLAIN_BOX = re.compile(_PLAIN)
_PLAIN_LIST = re.compile(rb"%b(?:,%b)*+" % (_PLAIN, _PLAIN))
_MOST_PLAIN = 2_000
# An encoded word as RFC 2047 §2 has it, where §5 (3) allows it: by itself in the name before an address.
_ENCODED = re.compile(rb"(?<![^ \t,])=\?[\w-]{1,40}\?[bBqQ]\?[!->@-~]{0,200}\?=(?=[ \t<])")
_SPECIAL = re.compile(r"[@<>(),:;\"\\\[\]]|=\?")


@lru_cache(maxsize=64)
def is_plain(value: bytes) -> bool:
    """Whether no two readers of an address header could see different mailboxes in it, even if they decode first."""
    if len(value) > _MOST_PLAIN:
        return False
    if b"=?" not in value:
        return _PLAIN_LIST.fullmatch(value) is not None
    if _PLAIN_LIST.fullmatch(_ENCODED.sub(b"x", value)) is None:
        return False
    return _SPECIAL.search(decode_header(b" ".join(_ENCODED.findall(value)))) is None


def mailboxes(value: bytes, hint: str = "") -> list[Mailbox]:
    """Every mailbox in an address header, at most 1,000; a display name alone has address ''.

    ``hint`` is the charset of the body, in which raw 8-bit names mostly are.
    """
    if b"=?" not in value and is_plain(value):
        return [
            Mailbox(_name(" ".join(str(name, "ascii").strip(' \t"').split())), str(address or bare, "ascii"))
            for name, address, bare in _PLAIN_BOX.findall(value)
        ]
    out: list[Mailbox] = []
    reading = _Reading()
    text = decode(value, None, hint)[0]
    for token in _TOKEN.finditer(text):
        whole = token[0]
        if reading.feed(token, whole):
            continue
        if whole == ":" and not reading.angles and "@" not in "".join(reading.words):
            reading = _Reading(group=True)
        elif whole in ",;:":
            reading.finish(out)
            reading = _Reading(group=reading.group and whole != ";")
        if len(out) >= _MAX_ADDRESSES:
            return out
    reading.finish(out)
    return out


class _Reading:
    """State between two commas of an address list."""

    def __init__(self, *, group: bool = False) -> None:
        self.group, self.depth = group, 0
        self.words: list[str] = []
        self.quoted: list[str] = []
        self.comment: list[str] = []
        self.angles: list[str] = []
        self.trailing = False

    def feed(self, token: re.Match[str], whole: str) -> bool:
        """Take one token; False if it is punctuation that the list must see."""
        if whole == "(":
            self.depth += 1
        elif self.depth:
            self.depth -= whole == ")"
            self.comment.append("" if whole == ")" else whole)
        elif whole in (")", ",", ":", ";"):
            return whole == ")"
        elif token[2] is not None:
            self.angles.append(token[2].strip())
        else:
            if token[1] is not None:
                self.quoted.append(token[1])
            self.trailing |= bool(self.angles) and bool(whole.strip())
            self.words.append(_UNQUOTE.sub(r"\1", token[1]) if token[1] is not None else whole)
        return True

    def finish(self, out: list[Mailbox]) -> None:
        phrase = " ".join("".join(self.words).split())
        odd = "group syntax" if self.group else ""
        if self.angles:
            odd = odd or ("several addresses in one mailbox" if len(self.angles) > 1 else "")
            odd = odd or ("text behind the address" if self.trailing else "")
            if "@" in phrase and not self.quoted:
                odd = odd or "an address where the name belongs"
            out.append(Mailbox(_name(phrase), "".join(self.angles[-1].split()), odd))
            return
        found = _bare_address(phrase) if "@" in phrase else ""
        if found:
            left = phrase.replace(found, "", 1).strip()
            odd = odd or ("text beside the address" if left else "")
            out.append(Mailbox(_name(left or "".join(self.comment)), found, odd))
        elif phrase:
            # RFC 822 style: "MAILER-DAEMON (Mail Delivery System)"
            out.append(Mailbox(_name("".join(self.comment)) or _name(phrase), "", odd or "no address"))


def _bare_address(phrase: str) -> str:
    """What stands around the first ``@`` without a blank; split, since a search would be quadratic."""
    left, _, right = phrase.partition("@")
    local = _NO_ADDRESS.split(left)[-1]
    domain = _NO_ADDRESS.split(right.partition("@")[0], maxsplit=1)[0]
    return f"{local}@{domain}" if local and domain else ""


def _name(text: str) -> str:
    shown = decode_header(text) if "=?" in text else plain_line(text)
    return shown.strip(" \"'")[:_MAX_NAME]


def valid_address(text: str) -> str | None:
    """``text`` as an address to write to, or None. A final dot goes, an IDN becomes its A-labels."""
    try:
        return parse_mailbox(text)
    except AddressError:
        pass
    local, at, domain = text.rpartition("@")
    domain = domain.rstrip(".")
    if not at or len(domain) > 255:
        return None
    try:
        return parse_mailbox(f"{local}@{domain.encode('idna').decode('ascii')}")
    except (AddressError, UnicodeError):
        return None


def addresses(found: Sequence[Mailbox]) -> tuple[Address, ...]:
    """The valid ones, each once."""
    out: dict[str, Address] = {}
    for box in found[:_MAX_ADDRESSES]:
        address = valid_address(box.address)
        if address is not None:
            name = box.name if box.name != box.address else ""
            out.setdefault(address, Address(name=name, address=address))
    return tuple(out.values())


def as_written(value: str) -> tuple[str, str]:
    """Name and address of the first mailbox as they stand, valid or not: to be shown, never written to."""
    box = next(iter(mailboxes(value.encode("utf-8", "replace"))), None)
    return (box.name, box.address) if box else ("", "")


def sender_of(
    values: Sequence[bytes], library: Sequence[tuple[str, str]] | None, hint: str = "",
) -> tuple[Address | None, str | None]:
    """The author that is shown, and why From proves nothing (None if it is one plain mailbox).

    ``library`` is what mail-parser read in the first From, None if it was not asked. With the
    standard library that makes three readers: they must agree (security: input 24).
    """
    if not values:
        return None, "no From"
    found = [box for value in values[:2] for box in mailboxes(value, hint)]
    shown = next((box for box in found if valid_address(box.address)), None)
    if shown is None:
        return None, "From holds no address"
    address = valid_address(shown.address) or ""
    author = Address(name=shown.name if shown.name != shown.address else "", address=address)
    return author, _doubt(values, found, shown, library)


def _doubt(values: Sequence[bytes], found: list[Mailbox], shown: Mailbox,
           library: Sequence[tuple[str, str]] | None) -> str | None:
    if len(values) > 1:
        return f"{len(values)} From headers"
    if len(found) > 1:
        return f"{len(found)} mailboxes in From"
    if shown.odd:
        return f"From: {shown.odd}"
    if shown.address.endswith("."):
        return "From: a dot behind the address"
    if "=?" in shown.address:
        return "From: encoded word in the address"
    if not shown.address.isascii():
        return "From: address is not ASCII"
    if any((byte < 32 and byte != 9) or byte == 127 for byte in values[0]):
        return "From: control characters"
    if not is_plain(values[0]) and _others_see_another(values[0], shown.address, library):
        return "From: parsers disagree"
    name = unicodedata.normalize("NFKC", shown.name)
    if "@" in name and any(each.lower() != shown.address.lower() for each in _ADDRESS_LIKE.findall(name)):
        return "From: the name shows another address"
    return None


def _others_see_another(value: bytes, address: str, library: Sequence[tuple[str, str]] | None) -> bool:
    if library is not None and [each for _, each in library] != [address]:
        return True
    try:
        return parseaddr(value.decode("ascii", "replace"))[1] != address
    except (ValueError, IndexError, RecursionError):
        return True


# --- Identification fields ------------------------------------------------------------------

_ID = re.compile(r"<\s*([^<>\s\x00-\x20\x7f]{1,998})\s*>")
_SANE_ID = re.compile(r"(?:[!-;=?-~]|(?!\s)[\u00a1-\ud7ff\ue000-\U0010ffff]){1,998}")


def message_id(value: bytes) -> str | None:
    """RFC 5322 §3.6.4 msg-id without brackets; lenient about a missing bracket, None if it is not sane."""
    text = decode(value, None)[0]
    found = _ID.search(text)
    if found:
        return found[1]
    bare = text.strip().strip("<>").strip()
    return bare if _SANE_ID.fullmatch(bare) else None


def message_ids(values: Sequence[bytes]) -> tuple[str, ...]:
    """The ids of In-Reply-To or References in order, each once, the newest hundred."""
    out: dict[str, None] = {}
    for value in values:
        text = decode(value, None)[0]
        ids = _ID.findall(text)
        if not ids and "@" in text and _SANE_ID.fullmatch(text.strip()):
            ids = [text.strip()]
        out.update(dict.fromkeys(ids))
    return tuple(out)[-_MAX_IDS:]
