"""What the command line shows: tables for people, JSON lines for programs.

Every text is a stranger's. For terminals, escape sequences, control and bidirectional characters
are taken out and nothing is read as markup; JSON is plain ASCII, which escapes all of them.

The shapes of the rows stand above each function; unknown fields are ignored, absent ones are blank.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]

# ECMA-48: CSI sequences; OSC, DCS, SOS, PM and APC strings up to their end; other two-byte escapes.
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)?"
    "|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_STATUS_STYLE = {
    "new": "bold green",
    "open": "green",
    "pending": "yellow",
    "held": "bold red",
    "failed": "bold red",
    "bounced": "bold red",
    "uncertain": "red",
    "deferred": "yellow",
}
_MAX_TEXT = 20_000


def clean(value: object, *, lines: bool = False) -> str:
    """``value`` as text that cannot drive a terminal; one line unless ``lines``."""
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    text = text.replace("\u2028", "\n").replace("\u2029", "\n").replace("\x85", "\n")
    text = _CONTROLS.sub("", text)
    return text if lines else " ".join(text.split())


def as_json(row: Row) -> str:
    """One JSON line, ASCII only."""
    return json.dumps(row, default=str).replace("\x7f", "\\u007f")


def _cell(column: str, value: object) -> Text:
    # "2026-11-23T10:32:05+00:00" is shown to the minute; the JSON has it whole.
    text = clean(value)
    if column.endswith("_at") or column == "at":
        text = text[:16].replace("T", " ")
    return Text(text, style=_STATUS_STYLE.get(text, ""), overflow="fold")


def _table(rows: Iterable[Row], columns: Sequence[str], nothing: str) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in {"messages", "size", "attempts", "id"}
        table.add_column(column.removesuffix("_at").replace("_", " "), justify="right" if number else "left")
    for row in rows:
        table.add_row(*(_cell(c, row.get(c)) for c in columns))
    return table if table.row_count else Text(nothing, style="dim")


def tickets(rows: Iterable[Row]) -> RenderableType:
    """{"key","subject","status","priority","queue","assignee","requester","created_at","updated_at","messages"}"""
    columns = (
        "key",
        "status",
        "priority",
        "queue",
        "assignee",
        "requester",
        "updated_at",
        "messages",
        "subject",
    )
    return _table(rows, columns, "No tickets.")


def outbox(rows: Iterable[Row]) -> RenderableType:
    """{"id","state","kind","to","subject","ticket","attempts","next_at","reply"}"""
    columns = ("id", "state", "kind", "to", "ticket", "attempts", "next_at", "reply", "subject")
    return _table(rows, columns, "Nothing in the outbox.")


def spool(rows: Iterable[Row]) -> RenderableType:
    """{"spool_id","received_at","from","to","size","state"}"""
    return _table(rows, ("spool_id", "received_at", "state", "size", "from", "to"), "Nothing is waiting.")


def progress(rows: Iterable[Row]) -> RenderableType:
    """Any rows of a long command: one line each, ``name: value`` pairs."""
    lines = [Text("  ".join(f"{clean(k)}: {clean(v)}" for k, v in row.items())) for row in rows]
    return Group(*lines)


def ticket(rows: Iterable[Row]) -> RenderableType:
    """{"ticket": {…}, "messages": […], "events": […], "decisions": […]}; one row per ticket."""
    return Group(*(part for row in rows for part in _ticket(row)))


def _ticket(row: Row) -> Iterable[RenderableType]:
    head = row.get("ticket", {})
    yield Text(f"{clean(head.get('key'))}  {clean(head.get('subject'))}", style="bold")
    facts = Table.grid(padding=(0, 2))
    for name, value in head.items():
        if name not in {"key", "subject"} and clean(value):
            facts.add_row(Text(clean(name).replace("_", " "), style="dim"), _cell(name, value))
    yield Padding(facts, (0, 0, 0, 2), expand=False)
    for message in row.get("messages", ()):
        yield from _message(message)
    for name in ("events", "decisions"):
        if listed := list(row.get(name, ())):
            columns = list(dict.fromkeys(key for one in listed for key in one))
            yield Text(f"\n{name}", style="bold")
            yield Padding(_table(listed, columns, ""), (0, 0, 0, 2), expand=False)


def _message(message: Row) -> Iterable[RenderableType]:
    kind = clean(message.get("kind"))
    # Who may read a message is the first thing to know about it.
    seen = "public" if message.get("public") else "internal"
    line = Text(
        f"\n── {_cell('at', message.get('at')).plain}  {clean(message.get('author'))}  ({kind}, {seen})"
    )
    if hold := clean(message.get("hold")):
        line.append(f"  held: {hold}", style="bold red")
    yield line
    text = clean(message.get("text"), lines=True)
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}\n[{len(text) - _MAX_TEXT} more characters]"
    yield Padding(Text(text), (0, 0, 0, 2), expand=False)
    for attachment in message.get("attachments", ()):
        yield Text(f"  [attached] {clean(_attachment(attachment))}", style="dim")


def _attachment(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return "  ".join(str(v) for v in value.values() if v is not None)


def show(
    rows: Iterable[Row],
    view: Callable[[Iterable[Row]], RenderableType],
    *,
    json_lines: bool,
    console: Console,
) -> int:
    """Print rows as JSON lines or through ``view``; how many there were."""
    listed = []
    for row in rows:
        listed.append(row)
        if json_lines:
            console.file.write(as_json(row) + "\n")
    if not json_lines:
        console.print(view(listed))
    return len(listed)
