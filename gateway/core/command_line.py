"""One line of a mail as a command: the words of the table and of the desk's own fields, and what a value is.

``hash_line`` and ``key_line`` give row and value, None for text, or raise ValueError for a line that is nearly a
command, with what would have been valid. What lines make a block is core/command.py's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from gateway.core import command_value as values
from gateway.core.command_table import COMMANDS, PRIORITIES, RELATIONS, STATUSES, TYPES, CommandRow
from gateway.core.command_value import choice, fold
from gateway.core.model import Command
from gateway.core.policy import Field
from gateway.core.when import read_when

MOST_LINE = 300         # no command line is longer; the value of #note may be
MOST_WORD = 40          # longer words are no command of anybody, nor worth a suggestion

_HASH = re.compile(r"#([ \t]*)([^\s:=]*)(.*)", re.DOTALL)
_KEY = re.compile(r"()([^\W\d_]{1,40}|CF\.\{[^{}]{1,40}\})[ \t]*(:.*)", re.DOTALL | re.IGNORECASE)
# "#tag =a, b" sets all tags, so a sign with a blank before it and none behind belongs to the value.
_VALUE = re.compile(r"(?:[:=][ \t]*|[ \t]+(?:[:=][ \t]+)?|\Z)(.*)", re.DOTALL)
BY_WORD: Final[Mapping[str, CommandRow]] = {
    fold(word): row for row in COMMANDS for word in (row.name, *row.aliases)
}
BY_KEY: Final[Mapping[str, CommandRow]] = {fold(k.partition("=")[0]): row for row in COMMANDS for k in row.keys}
_PREFIX: Final[Mapping[str, str]] = {
    fold(k): prefix for row in COMMANDS for key in row.keys for k, _, prefix in [key.partition("=")]
}
_LETTERS = "".join(word for row in COMMANDS for word in (row.name, *row.aliases, *row.keys)) + "{}"
Found = tuple[CommandRow, str]
# Case-folding alone would let a long s or a Kelvin sign stand for a letter.
ALPHABET: Final = frozenset(_LETTERS + "".join(c.upper() for c in _LETTERS if len(c.upper()) == 1))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one desk: those of the table, and its own fields."""

    by_word: Mapping[str, CommandRow]
    by_key: Mapping[str, CommandRow]
    fields: Mapping[str, str]       # folded word -> name of the field
    alphabet: frozenset[str]


@lru_cache(maxsize=8)
def words_of(fields: tuple[Field, ...] = ()) -> Words:
    """The table's words win: a field that is called like a command is set by ``#field`` alone."""
    own = {fold(word): f.name for f in fields for word in (f.name, *f.aliases)}
    short = {word: name for word, name in own.items() if word not in BY_WORD}
    letters = "".join(w for f in fields for w in (f.name, *f.aliases))
    row = BY_WORD["field"]
    return Words(
        by_word={**BY_WORD, **dict.fromkeys(short, row)},
        by_key={**dict.fromkeys((fold(f"cf.{{{w}}}") for w in own), row), **BY_KEY}, fields=own,
        alphabet=ALPHABET | frozenset(letters + "".join(c.upper() for c in letters if len(c.upper()) == 1)),
    )


PLAIN: Final = words_of()


def names() -> tuple[str, ...]:
    """Every word that is a command behind ``#``, short forms and German ones included."""
    return tuple(BY_WORD)


def row_of(name: str) -> CommandRow:
    """The table row of a parsed command's canonical name."""
    return BY_WORD[name]


def parse_action(line: str, fields: tuple[Field, ...] = (), *, by_rule: bool = True) -> Command:
    """One command line of a rule's ``then``, or of a macro's. Raises ValueError with the remedy."""
    line = line.strip(" \t")
    words = words_of(fields)
    found = hash_line(line, words)
    if found is None:
        raise ValueError(f"an action is a command with a #, as in a mail: {_suggest(line, '#', words)}")
    row, value = found
    command = command_of(row, value, line)
    if by_rule and (not row.by_rule or command.args == "me"):
        allowed = ", ".join(f"#{r.name}" for r in COMMANDS if r.by_rule)
        raise ValueError(f"{line} is for people; rules may use {allowed}")
    if command.name in IN_NO_MACRO:
        raise ValueError(f"{line} cannot stand in a macro")
    return command


IN_NO_MACRO: Final = frozenset({"vendor", "macro", "send", "drop", "undo", "split", "merge", "dryrun", "note", "public", "help", "show", "search", "why"})


def plain(text: str) -> str:
    """``text`` as a reader sees it: no invisible characters, any blank a space, compatible letters one.

    Only the head of a line is looked at: to normalise a run of combining marks takes quadratic time.
    """
    text = text[:MOST_LINE]
    if text.isascii() and text.isprintable():
        return text
    blanks = "".join(" " if c == "\t" or unicodedata.category(c).startswith("Z") else c for c in text)
    seen = "".join(c for c in blanks if unicodedata.category(c) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFKC", seen).strip()


def hash_line(line: str, words: Words) -> Found | None:
    """The row and value of a ``#`` line; None if it is text. Raises ValueError for a suspect."""
    found = _split(_HASH.fullmatch(line), words.by_word, words)
    shape = _HASH.fullmatch(plain(line))
    if found is not None or shape is None:
        return found
    blank, name, rest = shape.groups()
    known = words.by_word.get(fold(name[:MOST_WORD]))
    if known is not None:
        raise ValueError(f"write it as {known.syntax}, in plain letters and blanks")
    heading = blank and rest.split()
    if not name or name[0] == "#" or name[0].isdigit() or not any(map(str.isalpha, name)) or heading:
        return None
    raise ValueError(_suggest(name, "#", words))


def key_line(line: str, words: Words) -> Found | None:
    """The row and value of a ``Key: value`` line; None if it is text. Raises ValueError for a suspect."""
    found = _split(_KEY.fullmatch(line), words.by_key, words)
    shape = _KEY.fullmatch(plain(line))
    if found is not None or shape is None:
        return found
    key = fold(shape.group(2))
    near = [known for known in words.by_key if known == key or (len(known) >= 5 and within_one_edit(key, known))]
    if near:
        raise ValueError(f"did you mean {near[0].capitalize()}: ?")
    return None


def _split(shape: re.Match[str] | None, rows: Mapping[str, CommandRow], words: Words) -> Found | None:
    """Row and value, if the word is in the table and nothing but plain characters lead to the value."""
    # The length first: a run of combining marks is normalised in quadratic time.
    if shape is None or len(shape.group(2)) > MOST_WORD + 5 or not set(unicodedata.normalize("NFC", shape.group(2))) <= words.alphabet:
        return None
    name = fold(shape.group(2))
    row = rows.get(name)
    value = _VALUE.fullmatch(shape.group(3))
    if row is None or value is None:
        return None
    said = value.group(1).strip(" \t")
    if row.name != "tag":
        said = said.removeprefix("=").lstrip(" \t")
    if rows is words.by_key:
        return row, _by_key(name, row, said, words)
    return row, f'"{words.fields[name]}"={said}' if row.name == "field" and name not in BY_WORD else said


def _by_key(key: str, row: CommandRow, value: str, words: Words) -> str:
    """The value of a ``Key:`` line as the ``#`` line has it."""
    if row.name == "field" and key.startswith("cf.{"):
        return f'"{words.fields[key[4:-1]]}"={value}'
    prefix = _PREFIX.get(key, "")
    if prefix in ("+", "-"):
        return ", ".join(prefix + item.strip() for item in re.split("[,;]", value))
    return f"{prefix} {value}".strip()


def within_one_edit(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours makes ``one`` the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    differ = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    same = next(differ, min(len(one), len(other)))
    a, b = one[same:], other[same:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


def command_of(row: CommandRow, value: str, line: str) -> Command:
    """The command with its arguments in the one form that others read. Raises ValueError."""
    if row.means is not None:
        name, args = row.means
        if value and args != "pending":
            raise ValueError(f"{row.syntax} takes no value; write text on the next line")
        return Command(name=name, args=f"pending {read_when(value)}" if value else args, line=line)
    return Command(name=row.name, args=VALUES[row.name](unicodedata.normalize("NFC", value)), line=line)


VALUES: Final[dict[str, Callable[[str], str]]] = {
    "status": values.status(STATUSES),
    "priority": lambda value: choice(PRIORITIES, value),
    "type": lambda value: choice(TYPES, value),
    "assign": values.person,
    "group": values.word,
    "tag": values.tags,
    "note": values.text,
    "public": values.text,
    "macro": values.word,
    "vendor": values.vendor,
    "requester": values.mailbox,
    "fwd": values.nothing,
    "cc": values.people,
    "merge": values.ticket,
    "split": values.subject,
    "link": values.link(RELATIONS),
    "unlink": values.ticket,
    "due": values.when,
    "spent": values.spent,
    "estimate": values.estimate,
    "field": values.field,
    "revive": values.mailbox,
    "spam": values.nothing,
    "restore": values.nothing,
    "drop": values.nothing,
    "send": values.nothing,
    "undo": values.transaction,
    "dryrun": values.nothing,
    "receipt": values.nothing,
    "show": values.some_ticket,
    "search": values.words,
    "why": values.nothing,
    "unsubscribe": values.nothing,
    "help": values.nothing,
}


def _suggest(word: str, mark: str, words: Words) -> str:
    near = get_close_matches(fold(word[:MOST_WORD]), words.by_word, n=1, cutoff=0.6)
    return f"did you mean {mark}{near[0]} ?" if near else f"{mark}help lists the commands"
