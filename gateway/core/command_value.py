"""Readers of command values: each takes what a person wrote and gives the one form others read.

Every reader raises ValueError with what would have been valid. Values match without regard to
case, blanks and punctuation, and a unique beginning is enough; an ambiguous one lists what it may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from gateway.core.address import canonical, parse_mailbox

MOST_TAG = 40
MOST_SHOWN = 40         # of what was written, in an answer
PERSONS: Final[dict[str, str]] = {
    "me": "me", "!": "me", "mir": "me", "mich": "me",
    "none": "none", "nobody": "none", "niemand": "none", "-": "none",
}
_LOGIN = re.compile(r"@?([a-z0-9][a-z0-9._-]{0,39})")
_TICKET = re.compile(r"\[?((?:[a-z][a-z0-9]{0,15}-)?[0-9]{1,15})\]?")
_TAG = re.compile(rf"([+-]?)(\w[\w.:/-]{{0,{MOST_TAG - 1}}})")


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


def tags(value: str) -> str:
    """``+a -b``: tags to add and to remove, each once; without a sign a tag is added."""
    signs: dict[str, str] = {}
    for item in value.replace(",", " ").replace(";", " ").split():
        shape = _TAG.fullmatch(fold(item))
        if shape is None:
            raise ValueError(f"tags are at most {MOST_TAG} letters, digits, dots, dashes: #tag +vip, -trial")
        sign, tag = shape.group(1) or "+", shape.group(2)
        if signs.setdefault(tag, sign) != sign:
            raise ValueError(f"{tag} cannot be both added and removed")
    if not signs:
        raise ValueError("name at least one tag: #tag +vip, -trial")
    return " ".join(sign + tag for tag, sign in signs.items())


def ticket(value: str) -> str:
    """``ABC-123``, or the bare number."""
    shape = _TICKET.fullmatch(value.lower())
    if shape is None or not value.isascii():
        raise ValueError("name the ticket that this one becomes part of: #merge ABC-123")
    return shape.group(1).upper()


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
