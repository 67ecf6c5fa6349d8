"""Readers of command values: each takes what a person wrote and gives the one form others read.

Every reader raises ValueError with what would have been valid. Values match without regard to
case, blanks and punctuation, and a unique beginning is enough; an ambiguous one lists what it may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from gateway.core.address import canonical, parse_mailbox
from gateway.core.when import read_span, read_when

MOST_TAG = 40
MOST_VALUE = 200        # characters of a field's value
MOST_CC = 10            # addresses in one #cc
MOST_SHOWN = 40         # of what was written, in an answer
PERSONS: Final[dict[str, str]] = {
    "me": "me", "!": "me", "mir": "me", "mich": "me",
    "none": "none", "nobody": "none", "niemand": "none", "-": "none",
}
_LOGIN = re.compile(r"@?([a-z0-9][a-z0-9._-]{0,39})")
_TICKET = re.compile(r"\[?((?:[a-z][a-z0-9]{0,15}-)?[0-9]{1,15})\]?")
_TAG = re.compile(rf"([+-]?)(\w[\w.:/-]{{0,{MOST_TAG - 1}}})")
_QUOTES: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb", "\u00bb": "\u00ab"}
_FIELD = re.compile(r"""(?:["\u201c\u201e]([^"\u201c\u201d\u201e]{1,40})["\u201c\u201d]|([^\s=:]{1,40}))\s*[=:\s]\s*(.*)""")
_TRANSACTION = re.compile(r"[0-9A-Z]{20,32}")


def fold(word: str) -> str:
    """The form in which words are compared (ruling 8)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold())


def choice(table: Mapping[str, tuple[str, ...]], value: str) -> str:
    """The key of ``table`` that ``value`` names, by any unique beginning of any of its words."""
    words = {_squash(word): key for key, aliases in table.items() for word in (key, *aliases)}
    asked = _squash(value)
    # Case-folding alone would let a long s or a zero-width character pass; see core/command.py.
    letters = "".join(words)
    plain = set(value) <= set(letters + letters.upper() + "ß -_.!")
    begins = {key for word, key in words.items() if asked and word.startswith(asked)}
    found = {words[asked]} if asked in words else begins
    if plain and len(found) == 1:
        return found.pop()
    if plain and found:
        raise ValueError(f"{value[:MOST_SHOWN]!r} may be {' or '.join(sorted(found))}")
    near = get_close_matches(asked[:MOST_SHOWN], words, n=1, cutoff=0.6)
    hint = f"did you mean {words[near[0]]}? " if near else ""
    raise ValueError(f"{hint}possible are {', '.join(table)}")


def person(value: str) -> str:
    """``me``, ``none``, a login or a canonical address; whether there is such an agent is not known here."""
    word = value.lower() if value.isascii() else value
    login = _LOGIN.fullmatch(word)
    if word in PERSONS:
        return PERSONS[word]
    if login is not None:
        return login.group(1)
    try:
        return canonical(parse_mailbox(word.removeprefix("<").removesuffix(">")))
    except ValueError:
        raise ValueError("write a login, an address, me or none: #assign anna") from None


def mailbox(value: str) -> str:
    """A canonical address, as mail programs write it: bare, in angle brackets, or with mailto: from a link."""
    bare = value.partition("<")[2].partition(">")[0] if "<" in value else value
    try:
        return canonical(parse_mailbox(bare.removeprefix("mailto:")))
    except ValueError:
        raise ValueError("write the address: #revive ann@acme.example") from None


def vendor(value: str) -> str:
    """The address of a third party; words behind it are the first line of the message."""
    try:
        return mailbox(value.partition(" ")[0])
    except ValueError:
        raise ValueError("write the address: #vendor help@supplier.example") from None


def tags(value: str) -> str:
    """``+a -b``: tags to add and to remove, each once; without a sign a tag is added. ``=a =b`` sets them all, ``=`` none."""
    whole, value = value.startswith("="), value.removeprefix("=")
    signs: dict[str, str] = {}
    for item in value.replace(",", " ").replace(";", " ").split():
        shape = _TAG.fullmatch(unquoted(fold(item)))
        if shape is None:
            raise ValueError(f"tags are at most {MOST_TAG} letters, digits, dots, dashes: #tag +vip, -trial")
        sign, tag = shape.group(1) or "+", shape.group(2)
        if whole and shape.group(1):
            raise ValueError("= sets all tags; write + and - without it")
        if signs.setdefault(tag, sign) != sign:
            raise ValueError(f"{tag} cannot be both added and removed")
    if whole:
        return " ".join(f"={tag}" for tag in signs) or "="
    if not signs:
        raise ValueError("name at least one tag: #tag +vip, -trial")
    return " ".join(sign + tag for tag, sign in signs.items())


def people(value: str) -> str:
    """``+a@x.example -b@x.example``: addresses to put on the ticket and to take off."""
    signs: dict[str, str] = {}
    for item in value.replace(",", " ").replace(";", " ").split():
        sign = item[0] if item[0] in "+-" else "+"
        try:
            address = mailbox(item.lstrip("+-").strip("<>"))
        except ValueError:
            raise ValueError("write addresses: #cc +dan@acme.example, -eve@acme.example") from None
        if signs.setdefault(address, sign) != sign:
            raise ValueError(f"{address} cannot be both added and removed")
    if not 0 < len(signs) <= MOST_CC:
        raise ValueError(f"write 1 to {MOST_CC} addresses: #cc +dan@acme.example")
    return " ".join(sign + address for address, sign in signs.items())


def ticket(value: str) -> str:
    """``ABC-123``, or the bare number."""
    shape = _TICKET.fullmatch(value.lower())
    if shape is None or not value.isascii():
        raise ValueError("name the ticket that this one becomes part of: #merge ABC-123")
    return shape.group(1).upper()


def some_ticket(value: str) -> str:
    """A ticket, or '' for the one at hand."""
    try:
        return ticket(value) if value else ""
    except ValueError:
        raise ValueError("name a ticket: #show ABC-123") from None


def link(relations: Mapping[str, tuple[str, ...]]) -> Callable[[str], str]:
    """Reader of ``RELATION TICKET``; the relation may be left out."""

    def read(value: str) -> str:
        words, _, last = value.rpartition(" ")
        try:
            other = ticket(last)
        except ValueError:
            raise ValueError(f"write #link blocks ABC-123; relations are {', '.join(relations)}") from None
        return f"{choice(relations, words) if words.strip() else 'relates'} {other}"

    return read


def status(statuses: Mapping[str, tuple[str, ...]]) -> Callable[[str], str]:
    """Reader of a status; behind ``pending`` may stand until when."""

    def read(value: str) -> str:
        word, blank, rest = value.partition(" ")
        try:
            return choice(statuses, value)
        except ValueError:
            if not blank or choice(statuses, word) != "pending":
                raise
        return f"pending {read_when(rest)}"

    return read


def when(value: str) -> str:
    return read_when(unquoted(value))


def spent(value: str) -> str:
    """Minutes with their sign."""
    minutes = read_span(value.lstrip("+-"))
    if not minutes:
        raise ValueError("no time is nothing to write down")
    return f"{'-' if value.startswith('-') else '+'}{minutes}"


def estimate(value: str) -> str:
    """Minutes; with a sign they are added."""
    sign = value[:1] if value[:1] in ("+", "-") else ""
    return f"{sign}{read_span(value.removeprefix(sign))}"


def field(value: str) -> str:
    """``name=value``; whether there is such a field is not known here."""
    shape = _FIELD.fullmatch(value)
    if shape is None:
        raise ValueError("write #field NAME=VALUE")
    name, said = (shape.group(1) or shape.group(2)).strip(), unquoted(shape.group(3))
    if len(said) > MOST_VALUE or not said.isprintable():
        raise ValueError(f"a value is at most {MOST_VALUE} printable characters")
    return f"{name}={said}"


def word(value: str) -> str:
    """A name of the configuration: a queue or a macro."""
    found = unquoted(value).removeprefix("@")
    if not found or len(found) > MOST_SHOWN:
        raise ValueError("write a name behind it")
    return found


def words(value: str) -> str:
    """What is searched for."""
    if not value or len(value) > MOST_VALUE:
        raise ValueError("write what to look for: #search printer status:open")
    return value


def subject(value: str) -> str:
    return unquoted(value)[:MOST_VALUE]


def transaction(value: str) -> str:
    """The mark of a transaction, as a transcript or #show has it; '' is the last one of the ticket."""
    mark = value.upper()
    if mark and (not value.isascii() or _TRANSACTION.fullmatch(mark) is None):
        raise ValueError("write #undo alone, or the transaction's mark that #show tells")
    return mark


def unquoted(value: str) -> str:
    """The value without the quotes around it, if it has a pair."""
    if len(value) > 1 and value[0] in _QUOTES and value[-1] in (_QUOTES[value[0]], '"'):
        return value[1:-1].strip()
    return value


def nothing(value: str) -> str:
    """Commands that take no value."""
    if value:
        raise ValueError("it takes no value; write text on the next line")
    return ""


def text(_value: str) -> str:
    """Words for the message: they belong to its text, not to the command."""
    return ""


def _squash(word: str) -> str:
    return "".join(c for c in fold(word) if c.isalnum())
