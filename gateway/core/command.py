"""The command grammar: one table of words, and the reader of the block at the top of an agent's mail.

    block  = contiguous command lines at the very top of the text, blank lines before them
    line   = "#" name [ (SP / ":" / "=") value ]      "# name" too
           / Key ":" value                            only if the first line of the block is one
    end    = "#end", or any line that is neither a command nor nearly one

A line that is nearly a command is a suspect: the mail is held, so that a mistyped command never
reaches the customer (architecture decision 10 and ruling 8). Suspects are ``#`` lines that name no
command or give it no sense, and ``Key:`` lines within one edit of a known key of five letters or
more. Text are ``#123``, ``## …`` and Markdown headings (``# Two words``, the first no command).

Words are compared in NFC and case-folded, and only if every character occurs in the table: no
homograph, zero-width character or no-break space makes a command, but each makes a suspect.

Deviation: blank lines between ``#`` lines do not end the block, because HTML turned into text puts
one after each paragraph, and ``#note`` behind one must not become part of a public answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from gateway.core.command_value import choice, fold, mailbox, nothing, person, tags, text, ticket
from gateway.core.model import Command, CommandBlock, Level

MOST_LINES = 10         # ruling 8
MOST_LINE = 300         # no command line is longer; the value of #note may be
MOST_WORD = 40          # longer words are no command of anybody, nor worth a suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command. ``means`` is set on short forms: the canonical name and the value they stand for."""

    name: str
    aliases: tuple[str, ...] = ()
    syntax: str
    who: Literal["agent", "customer"] = "agent"
    level: Level = 3                # decision 10
    by_rule: bool = True
    help: str
    help_de: str
    means: tuple[str, str] | None = None
    keys: tuple[str, ...] = ()      # "Key: value" forms


COMMANDS: Final[tuple[CommandRow, ...]] = (
    CommandRow(name="open", aliases=("reopen", "offen", "öffnen"), syntax="#open", means=("status", "open"),
               help="we owe the next step", help_de="wir sind am Zug"),
    CommandRow(name="pending", aliases=("wartend", "warten"), syntax="#pending", means=("status", "pending"),
               help="the customer owes the next step", help_de="der Kunde ist am Zug"),
    CommandRow(name="hold", aliases=("on_hold", "on-hold", "onhold", "angehalten"), syntax="#hold",
               means=("status", "on_hold"), help="somebody else owes the next step",
               help_de="jemand Drittes ist am Zug"),
    CommandRow(name="solved", aliases=("solve", "resolved", "resolve", "gelöst", "geloest", "erledigt"),
               syntax="#solved", means=("status", "solved"), help="done", help_de="erledigt"),
    CommandRow(name="closed", aliases=("close", "geschlossen", "schließen"), syntax="#closed",
               means=("status", "closed"), help="done for good", help_de="endgültig erledigt"),
    CommandRow(name="status", syntax="#status open|pending|hold|solved|closed", keys=("status",),
               help="set the status", help_de="Status setzen"),
    CommandRow(name="take", aliases=("mine", "nehmen"), syntax="#take", means=("assign", "me"), by_rule=False,
               help="assign it to yourself", help_de="selbst übernehmen"),
    CommandRow(name="release", aliases=("unassign", "freigeben"), syntax="#release", means=("assign", "none"),
               help="assign it to nobody", help_de="niemandem zuweisen"),
    CommandRow(name="assign", aliases=("assignee", "owner", "zuweisen", "zuständig"),
               syntax="#assign LOGIN|ADDRESS|me|none", keys=("owner", "assignee", "zuständig", "bearbeiter"),
               help="assign it", help_de="zuweisen"),
    CommandRow(name="urgent", aliases=("dringend",), syntax="#urgent", means=("priority", "urgent"),
               help="priority urgent", help_de="Priorität dringend"),
    CommandRow(name="priority", aliases=("prio", "priorität"), syntax="#priority low|normal|high|urgent",
               keys=("priority", "priorität"), help="set the priority; 1 is low, 4 is urgent",
               help_de="Priorität setzen; 1 ist niedrig, 4 ist dringend"),
    CommandRow(name="tag", aliases=("tags", "schlagwort"), syntax="#tag +this, -that",
               keys=("tags", "schlagworte"), help="add and remove tags",
               help_de="Schlagworte setzen und entfernen"),
    CommandRow(name="note", aliases=("internal", "private", "notiz", "intern"), syntax="#note [TEXT]", by_rule=False,
               keys=("note", "notiz"), help="the message is internal", help_de="die Nachricht ist intern"),
    CommandRow(name="public", aliases=("reply", "öffentlich", "antwort"), syntax="#public [TEXT]",
               by_rule=False, help="the message goes to the customer",
               help_de="die Nachricht geht an den Kunden"),
    # Decision 10 asks level 4, or L3 and a one-time confirmation; until that exists L3 suffices.
    CommandRow(name="merge", aliases=("zusammenführen",), syntax="#merge ABC-123", by_rule=False,
               help="this ticket becomes part of that one, for ever",
               help_de="dieses Ticket geht für immer in jenem auf"),
    CommandRow(name="revive", aliases=("reaktivieren",), syntax="#revive ADDRESS", by_rule=False,
               help="write to this address again, though mail to it came back",
               help_de="dieser Adresse wieder schreiben, obwohl Mail von dort zurückkam"),
    CommandRow(name="drop", aliases=("verwerfen",), syntax="#drop", by_rule=False,
               help="forget the held mail", help_de="die angehaltene Mail verwerfen"),
    CommandRow(name="send", aliases=("senden",), syntax="#send", by_rule=False,
               help="send the held mail after all", help_de="die angehaltene Mail doch senden"),
    CommandRow(name="why", aliases=("warum",), syntax="#why", by_rule=False,     # reads history: L3
               help="what was decided on this ticket, and why", help_de="was hier warum entschieden wurde"),
    CommandRow(name="help", aliases=("hilfe",), syntax="#help", level=1, by_rule=False,
               help="this list", help_de="diese Liste"),
)

STATUSES: Final[dict[str, tuple[str, ...]]] = {
    row.means[1]: (row.name, *row.aliases) for row in COMMANDS if row.means and row.means[0] == "status"
}
PRIORITIES: Final[dict[str, tuple[str, ...]]] = {
    "low": ("1", "niedrig"), "normal": ("2", "mittel"), "high": ("3", "hoch"), "urgent": ("4", "dringend"),
}
REPEATED: Final = ("tag", "revive")     # several of these add up
TEXTUAL: Final = ("note", "public")     # their value is the first line of the message
_HASH = re.compile(r"#([ \t]*)([^\s:=]*)(.*)", re.DOTALL)
_KEY = re.compile(r"()([^\W\d_]{1,40})[ \t]*(:.*)", re.DOTALL)
_VALUE = re.compile(r"(?:[ \t]*[:=][ \t]*|[ \t]+|\Z)(.*)", re.DOTALL)


BY_WORD: Final[Mapping[str, CommandRow]] = {
    fold(word): row for row in COMMANDS for word in (row.name, *row.aliases)
}
BY_KEY: Final[Mapping[str, CommandRow]] = {fold(k): row for row in COMMANDS for k in row.keys}
_LETTERS = "".join(word for row in COMMANDS for word in (row.name, *row.aliases, *row.keys))
Found = tuple[CommandRow, str]
# Case-folding alone would let a long s or a Kelvin sign stand for a letter.
ALPHABET: Final = frozenset(_LETTERS + "".join(c.upper() for c in _LETTERS if len(c.upper()) == 1))


def names() -> tuple[str, ...]:
    """Every word that is a command behind ``#``, short forms and German ones included."""
    return tuple(BY_WORD)


def row_of(name: str) -> CommandRow:
    """The table row of a parsed command's canonical name."""
    return BY_WORD[name]


def help_lines(language: str) -> list[str]:
    """The table for a person, one line a command, in German if ``language`` says so, else in English."""
    german = language.partition("-")[0].casefold() == "de"
    return [f"{row.syntax:<42} {row.help_de if german else row.help}" for row in COMMANDS]


def parse_action(line: str) -> Command:
    """One command line of a rule's ``then``. Raises ValueError with the remedy."""
    line = line.strip(" \t")
    found = _hash_line(line)
    if found is None:
        raise ValueError(f"an action is a command with a #, as in a mail: {_suggest(line, '#')}")
    row, value = found
    command = _command(row, value, line)
    if not row.by_rule or command.args == "me":
        allowed = ", ".join(f"#{r.name}" for r in COMMANDS if r.by_rule)
        raise ValueError(f"{line} is for people; rules may use {allowed}")
    return command


def parse_block(text: str) -> CommandBlock:
    """The commands at the top of ``text``, the lines that nearly were, and the text below them."""
    lines = text.replace("\r\n", "\n").split("\n")
    reader = _Reader()
    end = 0
    for at, line in enumerate((line.strip(" \t") for line in lines), start=1):
        if not _plain(line):
            reader.after_blank = True
            continue
        if line.casefold() == "#end":
            end = at
            break
        if not reader.take(line):
            break
        end = at
    if end == 0:
        return CommandBlock(commands=(), suspects=(), text="\n".join(lines))
    below = "\n".join((*reader.first_lines, *lines[end:]))
    return CommandBlock(
        commands=tuple(reader.commands), suspects=tuple(reader.suspects), text=_without_blank_top(below)
    )


class _Reader:
    """What the block has said so far."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.suspects: list[tuple[str, str]] = []
        self.first_lines: list[str] = []
        self.started = self.after_blank = self.by_keys = False

    def take(self, line: str) -> bool:
        """Take one line; False if it is text, so that the block ends before it."""
        if len(self.commands) + len(self.suspects) > MOST_LINES:
            return False
        by_key = not _plain(line).startswith("#")
        if by_key and self.started and self.after_blank:
            return False
        try:
            found = _key_line(line) if by_key else _hash_line(line)
            if found is None:
                return False
            if by_key and self.started and not self.by_keys:
                raise ValueError(f"write #{found[0].name}; 'Key: value' works only below one on top")
            if len(self.commands) + len(self.suspects) == MOST_LINES:
                raise ValueError(f"a mail may hold {MOST_LINES} commands; send the rest in another one")
            self._add(*found, line)
        except ValueError as error:
            self.suspects.append((line, str(error)))
        self.by_keys = self.by_keys or (by_key and not self.started)
        self.started, self.after_blank = True, False
        return True

    def _add(self, row: CommandRow, value: str, line: str) -> None:
        command = _command(row, value, line)
        for other in self.commands:
            if command.name not in REPEATED and _sort(other.name) == _sort(command.name) and (
                other.name, other.args
            ) != (command.name, command.args):
                raise ValueError(f"{other.line} stands above and says otherwise; leave one of them")
        if command.name in TEXTUAL and value:
            self.first_lines.append(value)
        self.commands.append(command)


def _sort(name: str) -> str:
    """Commands of one sort contradict each other."""
    return "audience" if name in TEXTUAL else name


def _plain(text: str) -> str:
    """``text`` as a reader sees it: no invisible characters, any blank a space, compatible letters one.

    Only the head of a line is looked at: to normalise a run of combining marks takes quadratic time.
    """
    text = text[:MOST_LINE]
    if text.isascii() and text.isprintable():
        return text
    blanks = "".join(" " if c == "\t" or unicodedata.category(c).startswith("Z") else c for c in text)
    seen = "".join(c for c in blanks if unicodedata.category(c) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFKC", seen).strip()


def _hash_line(line: str) -> Found | None:
    """The row and value of a ``#`` line; None if it is text. Raises ValueError for a suspect."""
    found = _split(_HASH.fullmatch(line), BY_WORD)
    shape = _HASH.fullmatch(_plain(line))
    if found is not None or shape is None:
        return found
    blank, name, rest = shape.groups()
    known = BY_WORD.get(fold(name[:MOST_WORD]))
    if known is not None:
        raise ValueError(f"write it as {known.syntax}, in plain letters and blanks")
    heading = blank and rest.split()
    if not name or name[0] == "#" or name[0].isdigit() or not any(map(str.isalpha, name)) or heading:
        return None
    raise ValueError(_suggest(name, "#"))


def _key_line(line: str) -> Found | None:
    """The row and value of a ``Key: value`` line; None if it is text. Raises ValueError for a suspect."""
    found = _split(_KEY.fullmatch(line), BY_KEY)
    shape = _KEY.fullmatch(_plain(line))
    if found is not None or shape is None:
        return found
    key = fold(shape.group(2))
    near = [known for known in BY_KEY if known == key or (len(known) >= 5 and _within_one_edit(key, known))]
    if near:
        raise ValueError(f"did you mean {near[0].capitalize()}: ?")
    return None


def _split(shape: re.Match[str] | None, rows: Mapping[str, CommandRow]) -> Found | None:
    """Row and value, if the word is in the table and nothing but plain characters lead to the value."""
    # The length first: a run of combining marks is normalised in quadratic time.
    if shape is None or len(shape.group(2)) > MOST_WORD or not set(unicodedata.normalize("NFC", shape.group(2))) <= ALPHABET:
        return None
    row = rows.get(fold(shape.group(2)))
    value = _VALUE.fullmatch(shape.group(3))
    return (row, value.group(1).strip(" \t")) if row is not None and value is not None else None


def _within_one_edit(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours makes ``one`` the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    differ = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    same = next(differ, min(len(one), len(other)))
    a, b = one[same:], other[same:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


def _command(row: CommandRow, value: str, line: str) -> Command:
    """The command with its arguments in the one form that others read. Raises ValueError."""
    if row.means is not None:
        if value:
            raise ValueError(f"{row.syntax} takes no value; write text on the next line")
        return Command(name=row.means[0], args=row.means[1], line=line)
    return Command(name=row.name, args=VALUES[row.name](unicodedata.normalize("NFC", value)), line=line)


VALUES: Final[dict[str, Callable[[str], str]]] = {
    "status": lambda value: choice(STATUSES, value),
    "priority": lambda value: choice(PRIORITIES, value),
    "assign": person,
    "tag": tags,
    "note": text,
    "public": text,
    "merge": ticket,
    "revive": mailbox,
    **dict.fromkeys(("drop", "send", "why", "help"), nothing),
}


def _suggest(word: str, mark: str) -> str:
    near = get_close_matches(fold(word[:MOST_WORD]), BY_WORD, n=1, cutoff=0.6)
    return f"did you mean {mark}{near[0]} ?" if near else f"{mark}help lists the commands"


def _without_blank_top(text: str) -> str:
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if _plain(line)), len(lines))
    return "\n".join(lines[first:])
