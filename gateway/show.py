"""What the command line shows: tables for people, JSON lines for programs.

Every text is a stranger's. For terminals, escape sequences, control and bidirectional characters
are taken out and nothing is read as markup; JSON is plain ASCII, which escapes all of them.

The shapes of the rows stand above each function; unknown fields are ignored, absent ones are blank.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
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
    "delayed": "yellow",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a list. ``room`` is the least terminal width at which it is shown at all."""

    field: str
    title: str
    room: int = 0
    right: bool = False
    style: bool = False                             # by _STATUS_STYLE
    most: int | None = None                         # cells; longer text ends in an ellipsis
    words: Callable[[object], str] = clean


def moment(value: object, now: datetime | None = None) -> str:
    """A stored time as a person reads it: local, the hour if it is today, else the day. JSON has it whole."""
    text = clean(value)
    try:
        at = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return text[:16]
    today = (now or datetime.now(UTC)).astimezone().date()
    return f"{at:%H:%M}" if at.date() == today else f"{at:%Y-%m-%d}"


def _minute(value: object) -> str:
    try:
        return f"{datetime.fromisoformat(clean(value)).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):
        return clean(value)[:16]


def _name(value: object) -> str:
    """Who of the colleagues: the part before the @ says it."""
    return clean(value).partition("@")[0]


def _unusual(value: object) -> str:
    text = clean(value)
    return "" if text == "normal" else text


def _listed(value: object) -> str:
    return ", ".join(map(clean, value)) if isinstance(value, list) else clean(value)


def _by_queue(value: object) -> str:
    return ", ".join(f"{clean(k)} ({clean(v)})" for k, v in value.items()) if isinstance(value, dict) else clean(value)


_TICKETS = (
    Column(field="key", title="key"),
    Column(field="status", title="status", style=True),
    Column(field="priority", title="prio", words=_unusual),
    Column(field="queue", title="queue"),
    Column(field="assignee", title="assignee", words=_name, most=12),
    Column(field="updated_at", title="updated", words=moment),
    Column(field="messages", title="mails", right=True, room=100),
    Column(field="requester", title="requester", most=40),
    Column(field="subject", title="subject"),
)
_OUTBOX = (
    Column(field="id", title="id", right=True),
    Column(field="state", title="state", style=True),
    Column(field="kind", title="kind", room=100),
    Column(field="ticket", title="ticket"),
    Column(field="to", title="to", most=40),
    Column(field="attempts", title="tries", right=True, room=100),
    Column(field="next_at", title="next", words=moment, room=100),
    Column(field="reply", title="reply", most=60),
    Column(field="subject", title="subject"),
)
_SUPPRESSED = (
    Column(field="address", title="address", most=60),
    Column(field="since", title="since", words=moment),
    Column(field="status", title="status"),
    Column(field="agent", title="agent"),
    Column(field="cause", title="cause"),
)
_HELD = (
    Column(field="id", title="id"),
    Column(field="at", title="at", words=moment),
    Column(field="hold", title="held as"),
    Column(field="from", title="from", most=40),
    Column(field="ticket", title="ticket"),
    Column(field="subject", title="subject", most=60),
)
_SPOOL = (
    Column(field="spool_id", title="spool id"),
    Column(field="received_at", title="received", words=moment),
    Column(field="state", title="state", style=True),
    Column(field="size", title="size", right=True, room=100),
    Column(field="from", title="from", most=40),
    Column(field="to", title="to", most=40),
    Column(field="why", title="why"),
)
_AGENTS = (
    Column(field="login", title="login"),
    Column(field="name", title="name", most=30),
    Column(field="address", title="address", words=_listed, most=60),
    Column(field="role", title="role"),
    Column(field="queues", title="queues", words=_by_queue, most=60),
    Column(field="source", title="changed in", room=100),
)
_TEAMS = (
    Column(field="team", title="team"),
    Column(field="members", title="members", words=_listed),
    Column(field="source", title="changed in", room=100),
)
_ORGANISATIONS = (
    Column(field="organisation", title="organisation", most=40),
    Column(field="domains", title="domains", words=_listed),
    Column(field="shared", title="shared"),
    Column(field="source", title="changed in", room=100),
)


_BACKUPS = (
    Column(field="at", title="made", words=_minute),
    Column(field="age_hours", title="hours ago", right=True),
    Column(field="bytes", title="bytes", right=True),
    Column(field="verified_at", title="verified", words=_minute),
    Column(field="needs_frames_after", title="frames after", right=True, room=100),
    Column(field="note", title="note"),
    Column(field="backup", title="where"),
)


class _Listing:
    """Rows as a table that fits the terminal: one line a row, nothing folded.

    A column that is blank in every line is left out, and so is one of ``dull`` that says the same in
    every line. What is too wide ends in an ellipsis, addresses before subjects.
    """

    def __init__(
        self, rows: Iterable[Row], columns: Sequence[Column], nothing: str, dull: Sequence[str] = ()
    ) -> None:
        self.columns, self.nothing, self.dull = columns, nothing, dull
        self.lines = [{c.field: c.words(row.get(c.field)) for c in columns} for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.lines:
            yield Text(self.nothing, style="dim")
            return
        shown = [c for c in self.columns if self._says_something(c, options.max_width)]
        widths = {c.field: self._width(c) for c in shown}
        for field, least in (("requester", 12), ("from", 12), ("to", 12), ("reply", 20), ("subject", 16), ("why", 16)):
            over = sum(widths.values()) + 2 * (len(widths) - 1) - options.max_width
            if field in widths and over > 0:
                widths[field] = max(min(widths[field], least), widths[field] - over)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for c in shown:
            table.add_column(
                c.title, justify="right" if c.right else "left", no_wrap=True, overflow="ellipsis",
                width=widths[c.field],
            )
        for line in self.lines:
            cells = ((line[c.field], c.style) for c in shown)
            table.add_row(*(Text(t, style=_STATUS_STYLE.get(t, "") if styled else "") for t, styled in cells))
        yield table

    def _says_something(self, column: Column, width: int) -> bool:
        said = {line[column.field] for line in self.lines}
        if column.field in self.dull and len(said) == 1 and len(self.lines) > 1:
            return False
        return width >= column.room and said != {""}

    def _width(self, column: Column) -> int:
        widest = max(cell_len(text) for text in (column.title, *(line[column.field] for line in self.lines)))
        return min(widest, column.most or widest)


def tickets(rows: Iterable[Row]) -> RenderableType:
    """{"key","subject","status","priority","queue","assignee","requester","created_at","updated_at","messages"}"""
    return _Listing(rows, _TICKETS, "No tickets.", dull=("queue",))


def outbox(rows: Iterable[Row]) -> RenderableType:
    """{"id","state","kind","to","subject","ticket","attempts","next_at","reply"}"""
    return _Listing(rows, _OUTBOX, "Nothing in the outbox.")


def suppressed(rows: Iterable[Row]) -> RenderableType:
    """{"address","since","status","cause","agent"}"""
    return _Listing(rows, _SUPPRESSED, "We write to everybody.")


def agents(rows: Iterable[Row]) -> RenderableType:
    """{"login","name","address","role","queues","language","source"}"""
    return _Listing(rows, _AGENTS, "No agents.")


def teams(rows: Iterable[Row]) -> RenderableType:
    """{"team","members","source"}"""
    return _Listing(rows, _TEAMS, "No teams.")


def organisations(rows: Iterable[Row]) -> RenderableType:
    """{"organisation","domains","shared","source"}"""
    return _Listing(rows, _ORGANISATIONS, "No organisations.")


def held(rows: Iterable[Row]) -> RenderableType:
    """{"id","at","hold","from","ticket","subject","releasable"}"""
    return _Listing(rows, _HELD, "Nothing is held.")


def spool(rows: Iterable[Row]) -> RenderableType:
    """{"spool_id","received_at","from","to","size","state"}, and "why" of mail that nobody could read."""
    return _Listing(rows, _SPOOL, "Nothing is waiting.")


def backups(rows: Iterable[Row]) -> RenderableType:
    """{"backup","at","age_hours","bytes","verified_at","needs_frames_after","restorable"}, newest first"""
    noted = [r if r.get("restorable", True) else {**r, "note": "too old for the journal"} for r in rows]
    return _Listing(noted, _BACKUPS, "No backups.")


def facts(rows: Iterable[Row]) -> RenderableType:
    """Any rows, one line a fact; what is not known is left out."""
    table = Table.grid(padding=(0, 2))
    for row in rows:
        for name, value in row.items():
            inner = isinstance(value, list) and all(isinstance(each, dict) for each in value)
            if text := "\n".join(map(_pairs, value)) if inner else clean(value):
                table.add_row(Text(name.replace("_", " "), style="dim"), Text(text, overflow="fold"))
    return table


def progress(rows: Iterable[Row]) -> RenderableType:
    """Any rows of a long command: one line each, ``name: value`` pairs."""
    return Group(*(Text(_pairs(row)) for row in rows))


def _pairs(row: Row) -> str:
    return "  ".join(f"{clean(k).replace('_', ' ')}: {clean(v)}" for k, v in row.items())


def ticket(rows: Iterable[Row]) -> RenderableType:
    """{"ticket": {…}, "messages": […], "events": […], "decisions": […]}; one row per ticket."""
    return Group(*(part for row in rows for part in _ticket(row)))


def _ticket(row: Row) -> Iterable[RenderableType]:
    """The conversation: each mail, under it what it did and why, between them what happened without mail."""
    head = row.get("ticket", {})
    messages = list(row.get("messages", ()))
    yield Text(f"{clean(head.get('key'))}  {clean(head.get('subject'))}", style="bold")
    yield _head(head)
    mails = {m.get("spool_id") for m in messages} - {None}
    events, reasons = list(row.get("events", ())), list(row.get("decisions", ()))
    alone = [e for e in events if e.get("cause") not in mails]
    for message in messages:
        at = clean(message.get("at"))
        yield from map(_happened, (e for e in alone if clean(e.get("at")) < at))
        alone = [e for e in alone if clean(e.get("at")) >= at]
        yield from _message(message)
        cause = message.get("spool_id")
        yield from _why(
            [e for e in events if cause and e.get("cause") == cause],
            [r for r in reasons if cause and r.get("spool_id") == cause],
        )
    yield from map(_happened, alone)
    yield from _why((), [r for r in reasons if r.get("spool_id") not in mails])


_HEAD = ("status", "priority", "queue", "requester", "assignee", "tags", "merged_into", "created_at", "updated_at")


def _head(head: Row) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    for name in _HEAD:
        value = head.get(name)
        text = _minute(value) if name.endswith("_at") else clean(value)
        if text:
            facts.add_row(
                Text(name.removesuffix("_at").replace("_", " "), style="dim"),
                Text(text, style=_STATUS_STYLE.get(text, ""), overflow="fold"),
            )
    return Padding(facts, (0, 0, 0, 2), expand=False)


def _message(message: Row) -> Iterable[RenderableType]:
    kind = clean(message.get("kind"))
    # Who may read a message is the first thing to know about it.
    seen = "public" if message.get("public") else "internal"
    line = Text("\n── ")
    line.append(clean(message.get("author")) or "somebody", style="bold")
    line.append(f"  {_minute(message.get('at'))}  ({seen if kind == 'human' else f'{kind}, {seen}'})", style="dim")
    if hold := clean(message.get("hold")):
        line.append(f"  held: {hold}", style="bold red")
    yield line
    text = clean(message.get("text"), lines=True).strip("\n")
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}\n[{len(text) - _MAX_TEXT} more characters]"
    yield Padding(Text(text), (0, 0, 0, 3), expand=False)
    for attachment in message.get("attachments", ()):
        yield Text(f"   [attached] {_attachment(attachment)}", style="dim")


def _why(events: Iterable[Row], reasons: Iterable[Row]) -> Iterable[RenderableType]:
    lines = [(clean(r.get("code")), clean(r.get("detail"))) for r in reasons]
    changes = [_change(e) for e in events if clean(e.get("kind")) not in _SAID_BY_THE_MAIL]
    if changes:
        lines.append(("changed", "; ".join(changes)))
    folded = Table.grid(padding=(0, 1))
    folded.add_column()
    folded.add_column(min_width=12)
    for code, detail in lines:
        folded.add_row("·", Text(code.replace("_", " ")), Text(detail, overflow="fold"), style="dim")
    if lines:
        yield Padding(folded, (0, 0, 0, 3), expand=False)


# What a mail says by standing there, or its reasons say, is no news under it.
_SAID_BY_THE_MAIL = {
    "created", "agent_reply", "customer_reply", "note", "held", "machine_mail", "acknowledged", "bounced", "delayed",
    "suppressed", "revived", "vendor_asked", "vendor_answered",
}
_PERSONS = {"assignee", "requester"}    # their before and after are numbers of persons


def _change(event: Row) -> str:
    kind, before, after = clean(event.get("kind")), clean(event.get("before")), clean(event.get("after"))
    if kind in _PERSONS and not f"{before}{after}".strip("0123456789"):
        return f"{kind} {'set' if after else 'removed'}"
    return f"{kind.replace('_', ' ')} {f'{before} → {after}' if before and after else after or before}".strip()


def _happened(event: Row) -> RenderableType:
    """An event that no mail of the ticket caused: a timer, an operator, what a server answered."""
    who = clean(event.get("actor")) or clean(event.get("actor_kind"))
    return Text(f"\n── {_change(event)}  {_minute(event.get('at'))}{f'  ({who})' if who else ''}", style="dim")


def _attachment(value: object) -> str:
    if not isinstance(value, dict):
        return clean(value)
    size = value.get("size")
    more = ", ".join(
        part for part in (clean(value.get("content_type")), "" if size is None else f"{clean(size)} bytes") if part
    )
    return clean(value.get("name")) + (f" ({more})" if more else "")


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
