"""The reader of the block of commands at the top of a mail; the words stand in core/command_table.py.

    block  = contiguous command lines at the very top of the text, blank lines before them
    line   = "#" name [ (SP / ":" / "=") value ]      "# name" too; of an own field also "#" field value
           / Key ":" value                            only if the first line of the block is one
    end    = "#end", or any line that is neither a command nor nearly one
    suffix = "[" name [ (SP / "=") value ] *( ";" … ) "]"     at the end of a subject, at level 3

A line that is nearly a command is a suspect: the mail is held, so that a mistyped command never
reaches the customer (architecture decision 10 and ruling 8). Suspects are ``#`` lines that name no
command or give it no sense, and ``Key:`` lines within one edit of a known key of five letters or
more. Text are ``#123``, ``## …`` and Markdown headings (``# Two words``, the first no command).
In a customer's mail nothing is a suspect: what is no command of a customer's is text.

Words are compared in NFC and case-folded, and only if every character occurs in the table: no
homograph, zero-width character or no-break space makes a command, but each makes a suspect.

Deviation: blank lines between ``#`` lines do not end the block, because HTML turned into text puts
one after each paragraph, and ``#note`` behind one must not become part of a public answer.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.core.command_line import MOST_WORD, PLAIN, Words, command_of, hash_line, key_line, plain, words_of
from gateway.core.command_table import REPEATED, SORTS, TEXTUAL, CommandRow
from gateway.core.command_value import fold
from gateway.core.model import Command, CommandBlock
from gateway.core.policy import Field

MOST_LINES: Final = 10          # ruling 8
MOST_SUFFIX: Final = 200        # characters of a subject's suffix

SUFFIX = re.compile(rf"\[([^\[\]]{{1,{MOST_SUFFIX}}})\]\s*\Z")


def parse_block(text: str, fields: tuple[Field, ...] = ()) -> CommandBlock:
    """The commands at the top of ``text``, the lines that nearly were, and the text below them."""
    lines = text.replace("\r\n", "\n").split("\n")
    reader = _Reader(words_of(fields))
    end = 0
    for at, line in enumerate((line.strip(" \t") for line in lines), start=1):
        if not plain(line):
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


def parse_whole(text: str, subject: str, known: str, fields: tuple[Field, ...] = ()) -> CommandBlock:
    """``parse_block`` with the suffix of ``subject``, unless it stood in ``known``, the subject of the ticket, before.

    The customer's own "[urgent]" comes back in every answer.
    """
    block, found = parse_block(text, fields), SUFFIX.search(subject)
    if found is None or found.group(0).strip().casefold() in known.casefold():
        return block
    return with_suffix(block, subject, fields)


def parse_customer(text: str) -> CommandBlock:
    """A customer's commands at the top of ``text``; the first line that is none of them begins the text."""
    lines = text.replace("\r\n", "\n").split("\n")
    commands: list[Command] = []
    reasons: list[str] = []
    end = 0
    for at, line in enumerate((line.strip(" \t") for line in lines), start=1):
        if not line:
            continue
        command = _customers(line) if len(commands) < MOST_LINES else None
        if command is None or any(_sort(c) == _sort(command) and c.args != command.args for c in commands if c.name != "cc"):
            break
        if command.name == "priority":
            reasons.append(line.partition(" ")[2].strip())
        commands.append(command)
        end = at
    if not commands:
        return CommandBlock(commands=(), suspects=(), text="\n".join(lines))
    return CommandBlock(
        commands=tuple(commands), suspects=(), text=_without_blank_top("\n".join((*reasons, *lines[end:])))
    )


def _customers(line: str) -> Command | None:
    try:
        found = hash_line(line, PLAIN)
        if found is None or found[0].customer is None:
            return None
        row, value = found
        if row.name == "urgent":
            # A customer says why; the reason stays in the text. A bare "#urgent" is text.
            return Command(name="priority", args="urgent", line=line) if value and " " in line else None
        command = command_of(row, value, line)
    except ValueError:
        return None
    return None if command.name == "cc" and "-" in {item[0] for item in command.args.split()} else command


def parse_suffix(subject: str, fields: tuple[Field, ...] = ()) -> tuple[tuple[Command, ...], tuple[tuple[str, str], ...]]:
    """The commands in brackets at the end of a subject, and what of them has no sense.

    Brackets of which no item begins with a command's word are somebody's own and give neither.
    """
    shape = SUFFIX.search(subject)
    items = [item.strip() for item in shape.group(1).split(";")] if shape else []
    words = words_of(fields)
    reader = _Reader(words)
    known = False
    for item in filter(None, items):
        first = fold(re.split(r"[\s=:]", item, maxsplit=1)[0][:MOST_WORD])
        known = known or first in words.by_word
        if not reader.take(f"#{item}"):
            reader.suspects.append((item, "this is no command"))
    return (tuple(reader.commands), tuple(reader.suspects)) if known else ((), ())


def with_suffix(block: CommandBlock, subject: str, fields: tuple[Field, ...] = ()) -> CommandBlock:
    """``block`` with the commands of the subject's suffix behind its own, which win.

    Only the block can hold a mail (ruling 8); what has no sense in a subject is told.
    """
    found, senseless = parse_suffix(subject, fields)
    mine = {_sort(c) for c in block.commands if c.name not in REPEATED}
    late = tuple((c.line, "your mail says it itself") for c in found if _sort(c) in mine)
    kept = tuple(c for c in found if _sort(c) not in mine)
    if senseless:       # all or nothing
        return CommandBlock(commands=block.commands, suspects=block.suspects, text=block.text, passed_over=senseless)
    return CommandBlock(
        commands=(*block.commands, *kept), suspects=block.suspects, text=block.text, passed_over=late
    )


class _Reader:
    """What the block has said so far."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.commands: list[Command] = []
        self.suspects: list[tuple[str, str]] = []
        self.first_lines: list[str] = []
        self.started = self.after_blank = self.by_keys = False

    def take(self, line: str) -> bool:
        """Take one line; False if it is text, so that the block ends before it."""
        if len(self.commands) + len(self.suspects) > MOST_LINES:
            return False
        by_key = not plain(line).startswith("#")
        if by_key and self.started and self.after_blank:
            return False
        try:
            found = key_line(line, self.words) if by_key else hash_line(line, self.words)
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
        command = command_of(row, value, line)
        for other in self.commands:
            if command.name not in REPEATED and _sort(other) == _sort(command) and (
                other.name, other.args
            ) != (command.name, command.args):
                raise ValueError(f"{other.line} stands above and says otherwise; leave one of them")
        if command.name in TEXTUAL and value:
            self.first_lines.append(value)
        if command.name == "vendor" and (words := value.partition(" ")[2].strip()):
            self.first_lines.append(words)
        self.commands.append(command)


def _sort(command: Command) -> str:
    """Commands of one sort contradict each other; fields of one name do."""
    if command.name == "field":
        return f"field {fold(command.args.partition('=')[0])}"
    return SORTS.get(command.name, command.name)


def _without_blank_top(text: str) -> str:
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if plain(line)), len(lines))
    return "\n".join(lines[first:])
