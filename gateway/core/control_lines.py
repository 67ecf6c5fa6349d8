"""The reader of control mail: one line an order, and the items of a reply to a digest.

    order   = verb 1*SP ref *( 1*SP ref ) [ 1*SP value ]        close ABC-1 ABC-2 / owner ABC-3 ! / merge ABC-1 ABC-2
    item    = numbers 1*SP verb [ 1*SP value ]                  5-7 @anna / 3 pending 2d / 9 merge 4
    ref     = KEY "-" number / "it" / "-" number                it: the last ticket; -1: made further up by clone
    items of one line stand between · • ; or commas

A verb is any word of the command table, of Debbugs' control server or of RT. What the words mean is the
table's (core/command_table.py): this module only says which tickets an order is about and hands the rest on.
Nothing here knows a ticket; core/transcript.py carries orders out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Literal

from gateway.core.address import canonical
from gateway.core.command_line import BY_WORD, MOST_LINE, command_of, hash_line, words_of
from gateway.core.command_value import fold
from gateway.core.model import Command
from gateway.core.policy import Field

MOST_LINES: Final = 500
MOST_REFS: Final = 200          # tickets in one line
Kind = Literal["order", "unread", "limit", "undo", "help", "search", "admin", "dryrun"]

# Words of Debbugs and RT that the table has not -> word of the table, and what stands before the value.
FOREIGN: Final[dict[str, tuple[str, str]]] = {
    "noowner": ("release", ""), "reassign": ("group", ""), "severity": ("priority", ""), "submitter": ("requester", ""),
    "forcemerge": ("merge", ""), "clone": ("split", ""), "block": ("link", "blocked_by"), "unblock": ("unlink", ""),
    "steal": ("take", ""), "blockieren": ("link", "blocked_by"), "klonen": ("split", ""),
}
# Debbugs' severities, which are finer than priorities.
SEVERITIES: Final = {
    "critical": "urgent", "grave": "urgent", "serious": "high", "important": "high", "minor": "low", "wishlist": "low",
}
STOPS: Final = frozenset({"thanks", "thank", "thankyou", "quit", "stop", "kthxbye", "danke", "ende", "--", "#end"})
NOT_HERE: Final[dict[str, str]] = dict.fromkeys(("note", "public", "macro", "fwd", "vendor"), "reply to a mail of the ticket: there your words have a place") | dict.fromkeys(("send", "drop"), "it belongs into a reply to the mail that waits") | {
    "receipt": "this transcript is the receipt", "unsubscribe": "it is for customers",
}
ADMIN: Final = frozenset({
    "agent", "agents", "agenten", "team", "teams", "organisation", "organization", "organisationen", "organisations", "firma",
})
_RANGE = re.compile(r"#?([0-9]{1,4})(?:\s?[-–]\s?#?([0-9]{1,4}))?(?=[\s,&+@!#:]|$)\s?(?:[,&+]\s?(?=#?[0-9]))?")
_ITEMS = re.compile(r"\s*[·•;]\s*")
_ADDRESS = re.compile(r"[^\s<>,;:=]{1,64}@[^\s<>,;:=]{1,255}")
# Orders that are about no ticket.
_ALONE: Final[dict[str, Kind]] = {"help": "help", "search": "search", "undo": "undo", "dryrun": "dryrun"}
_NEGATIVE = re.compile(r"-[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One line as it was read. ``why`` says of an unread one what would have been valid."""

    line: str
    kind: Kind
    row: str = ""                       # of the command table
    refs: tuple[str, ...] = ()          # ABC-1, it, -1, or the number of a digest's line
    command: Command | None = None      # the same for each ref
    other: str = ""                     # the ref that stands in the value of merge, link, unlink
    relation: str = ""                  # of link
    named: tuple[str, ...] = ()         # what the tickets are to be called that this one makes: -1
    value: str = ""
    why: str = ""


def read_control(text: str, key: str, fields: tuple[Field, ...] = (), *, digest: bool = False) -> list[Order]:
    """The orders of a mail, in their order, up to the line that ends them. ``digest``: numbers name lines of one."""
    orders: list[Order] = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        line = " ".join(raw.split())
        if not line or line.startswith((">", "＞")):
            continue
        word = fold(line.partition(" ")[0].rstrip(",!.:"))
        if raw.rstrip() == "--" or raw == "-- " or word in STOPS:
            break
        if len(orders) == MOST_LINES:
            orders.append(_unread(line, f"a mail may have {MOST_LINES} lines; send the rest in another one"))
            break
        if line[0] == "#" and not (digest and line[1:2].isdigit()):
            orders += _comment(line, key)
        else:
            parts = _items(line) if digest and _heading(line) else [line]
            orders += [read_order(part, key, fields, digest=digest) for part in parts]
    return orders


def read_order(line: str, key: str, fields: tuple[Field, ...] = (), *, digest: bool = False) -> Order:
    """One line, or one item of a line."""
    if len(line) > MOST_LINE + 16 * MOST_REFS:
        return _unread(line, "the line is too long")
    heading = _heading(line)
    try:
        if heading:
            if not digest:
                return _unread(line, f"numbers are those of a digest: reply to it, or write {key}-{heading.strip()}")
            return _order(line, line[len(heading):].lstrip(" :"), key, fields, numbers=_numbers(heading))
        return _order(line, line, key, fields, numbers=None)
    except ValueError as error:
        return _unread(line, str(error))


def refs_in(text: str, key: str) -> set[int]:
    """Numbers of tickets that a text names: what has to be known before it can be carried out."""
    return {int(n) for n in re.findall(rf"(?<![\w-]){re.escape(key)}-([0-9]{{1,15}})(?![\w-])", text, re.IGNORECASE)}


def addresses_in(text: str) -> set[str]:
    """Canonical addresses that a text names, for the same reason."""
    return {canonical(found.lstrip("+-").removeprefix("mailto:")) for found in _ADDRESS.findall(text)}


def _order(line: str, said: str, key: str, fields: tuple[Field, ...], *, numbers: tuple[str, ...] | None) -> Order:
    tokens = said.split(" ")
    if numbers is not None and tokens[0].startswith("@") and len(tokens[0]) > 1:
        tokens = ["assign", *tokens]
    if numbers is not None and tokens[0] in ("!", "me", "mir"):
        tokens = ["take", *tokens[1:]]
    word = fold(tokens[0].rstrip(":").lstrip("#" if numbers else ""))
    if numbers is None and word in ADMIN and not (len(tokens) > 1 and _is_ref(tokens[1], key)):
        return Order(line=line, kind="admin", value=said)
    if numbers is None and word in ("limit", "package", "nur"):
        return Order(line=line, kind="limit", value=" ".join(tokens[1:]))
    name, before = FOREIGN.get(word, (word, ""))
    row = words_of(fields).by_word.get(name)
    if row is None:
        raise ValueError(_suggest(word, fields))
    canonical = row.means[0] if row.means else row.name
    if row.name in NOT_HERE:
        raise ValueError(f"#{row.name} cannot stand here; {NOT_HERE[row.name]}")
    if (kind := _ALONE.get(row.name)) is not None:
        return Order(line=line, kind=kind, row=row.name, value=" ".join(tokens[1:]), command=_command(row.name, tokens[1:], fields, line))
    refs, rest = _refs(tokens[1:], key, row.name) if numbers is None else (numbers, tokens[1:])
    if not refs:
        raise ValueError(f"which ticket? {word} {key}-123")
    order = Order(line=line, kind="order", row=row.name, refs=refs)
    if canonical in ("merge", "link", "unlink"):
        return _tied(order, canonical, before, rest, key, digits=numbers is not None)
    if canonical == "split":
        named = tuple(t for t in rest if _NEGATIVE.fullmatch(t))
        command = _command("split", [t for t in rest if t not in named], fields, line)
        return replace(order, named=named, value=command.args, command=command)
    if canonical == "priority":
        rest = [SEVERITIES.get(fold(t), t) for t in rest]
    if canonical in ("tag", "cc"):
        rest = _signed(rest)
    return replace(order, command=_command(word if name == word else name, rest, fields, line))


def _command(word: str, rest: list[str], fields: tuple[Field, ...], line: str) -> Command:
    found = hash_line(f"#{word} {' '.join(rest)}".rstrip(), words_of(fields))
    assert found is not None    # the word is in the table: hash_line gives its row, or raises
    return command_of(*found, line)


def _refs(tokens: list[str], key: str, row: str) -> tuple[tuple[str, ...], list[str]]:
    """The tickets that the order is about, and what is left."""
    refs: list[str] = []
    for at, token in enumerate(tokens):
        bare = token.rstrip(",;").strip("[]")
        # "-30" behind the first one is time for some rows; and "-1" a new name for split.
        later = at > 0 and row in ("spent", "estimate", "split") and _NEGATIVE.fullmatch(bare)
        if later or not _is_ref(bare, key) or len(refs) == MOST_REFS:
            return tuple(refs), tokens[at:]
        refs.append(bare)
    return tuple(refs), []


def _is_ref(token: str, key: str) -> bool:
    bare = token.rstrip(",;").strip("[]")
    if fold(bare) in ("it", "es") or _NEGATIVE.fullmatch(bare):
        return True
    return re.fullmatch(rf"{re.escape(key)}-[0-9]{{1,15}}", bare, re.IGNORECASE) is not None


def _tied(order: Order, canonical: str, before: str, rest: list[str], key: str, *, digits: bool) -> Order:
    """merge, link and unlink: the last ticket is what the others are tied to."""
    words = [t for t in rest if fold(t) not in ("by", "von", "into", "with", "in", "mit")]
    last = words[-1].strip("[],;#") if words else ""
    if last and (_is_ref(last, key) or (digits and last.isdecimal() and len(last) <= 4)):
        words, refs, other = words[:-1], order.refs, last
    elif len(order.refs) > 1 and not words and not digits:
        refs, other = order.refs[:-1], order.refs[-1]
    else:
        raise ValueError(f"name both tickets: {order.row} {key}-1 {key}-2")
    relation = before or "_".join(words) if canonical == "link" else ""
    if words and (canonical != "link" or before):
        raise ValueError(f"{' '.join(words)} has no meaning here: {order.row} {key}-1 {key}-2")
    return replace(order, refs=refs, other=other, relation=relation.replace("_", " "))


def _signed(tokens: list[str]) -> list[str]:
    """Debbugs writes the sign once: ``tags ABC-1 + a b``."""
    if not tokens or tokens[0] not in ("+", "-", "="):
        return tokens
    if tokens[0] == "=":
        return ["=" + " ".join(tokens[1:])]
    return [tokens[0] + t for t in tokens[1:]]


def _comment(line: str, key: str) -> Iterator[Order]:
    """``#undo TX`` is an order; other lines with # are comments, and said to be if they look like more."""
    bare = line.lstrip("# ")
    words = bare.split()
    word = fold(words[0]) if words else ""
    if word in ("undo", *BY_WORD["undo"].aliases):
        yield read_order(bare, key)
    elif word in BY_WORD and any(_is_ref(w, key) for w in words[1:]):
        yield Order(line=line, kind="unread", why="comment")


def _items(line: str) -> list[str]:
    """The items of a line. What stands behind a comma begins one only if a number begins it: ``4 tag a, b``."""
    items: list[str] = []
    for part in _ITEMS.split(line):
        pieces = [p.strip() for p in part.split(",") if p.strip() and fold(p.strip(" .!")) not in STOPS]
        for n, piece in enumerate(pieces):
            bare = n > 0 and _heading(pieces[n - 1]) == pieces[n - 1]
            if bare or (n > 0 and not _heading(piece)):
                items[-1] = f"{items[-1]}, {piece}"
            else:
                items.append(piece)
    return items


def _heading(text: str) -> str:
    """The numbers that ``text`` begins with, '' if it begins with none."""
    end = 0
    while found := _RANGE.match(text, end):
        end = found.end()
    return text[:end]


def _numbers(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for first, last in (found.groups() for found in _RANGE.finditer(text)):
        low, high = int(first), int(last or first)
        if high < low or high - low >= MOST_REFS:
            raise ValueError(f"{first}-{last} is no range")
        found |= dict.fromkeys(str(n) for n in range(low, high + 1))
    return tuple(found)


def _suggest(word: str, fields: tuple[Field, ...]) -> str:
    known = [*words_of(fields).by_word, *FOREIGN, "limit"]
    near = get_close_matches(word[:40], known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}? help lists the words" if near else "help lists the words"


def _unread(line: str, why: str) -> Order:
    return Order(line=line, kind="unread", why=why)
