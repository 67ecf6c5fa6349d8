"""Which class is which table: rows of gateway/core/rows.py ⇄ tuples of DuckDB.

DuckDB returns TIMESTAMP WITH TIME ZONE only with an extra library, so columns are UTC without zone
and the zone is put on and taken off here, and nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import duckdb

from gateway.core import rows as stored
from gateway.core import rows_beside as beside
from gateway.core.directory_rows import DirectoryEvent, DirectoryName

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection
# Columns of OutboxRow that stand in the mail file.
TEXT_COLUMNS = ("mail_from", "headers", "text", "html", "parts", "boundary")


def digest(text: str) -> int:
    """The 64-bit hash that stands for a text in an index; who finds by it compares the text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)


def month_of(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m")


class Table(Generic[T]):
    """A table of one class. ``key`` names the columns by which a row replaces an older one; () only grows."""

    def __init__(
        self,
        name: str,
        row: type[T],
        field: str,
        *,
        key: tuple[str, ...] = (),
        columns: tuple[str, ...] = (),
        extra: tuple[tuple[str, Callable[[Any], object]], ...] = (),
    ) -> None:
        hints = get_type_hints(row)
        self.name, self.row, self.field, self.key, self.extra = name, row, field, key, extra
        self.columns = columns or tuple(f.name for f in fields(row))  # type: ignore[arg-type]
        self._get = attrgetter(*self.columns)
        self._times = [
            n for n, c in enumerate(self.columns) if hints[c] is datetime or datetime in get_args(hints[c])
        ]
        self.key_of: Callable[[T], Any] | None = attrgetter(*key) if key else None
        self.select = ", ".join(f'"{c}"' for c in self.columns)

    def record(self, row: T) -> tuple[object, ...]:
        """The tuple that is stored for ``row``."""
        values = list(self._get(row))
        for n in self._times:
            if values[n] is not None:
                values[n] = naive(values[n])
        values += [make(row) for _, make in self.extra]
        return tuple(values)

    def records(self, rows: Iterable[T]) -> list[tuple[object, ...]]:
        """All tuples; of rows with one key the last."""
        if self.key_of is not None:
            rows = {self.key_of(row): row for row in rows}.values()
        return [self.record(row) for row in rows]

    def zoned(self, values: Sequence[Any]) -> dict[str, Any]:
        """The columns of a fetched tuple by name, times with their zone."""
        found = list(values[: len(self.columns)])
        for n in self._times:
            if found[n] is not None:
                found[n] = found[n].replace(tzinfo=UTC)
        return dict(zip(self.columns, found, strict=True))

    def fetch(self, cursor: Cursor, where: str, *parameters: object) -> list[T]:
        """The rows ``where`` finds; SQL text is ours, values are parameters."""
        sql = f"SELECT {self.select} FROM {self.name} WHERE {where}"  # noqa: S608
        return [self.row(**self.zoned(v)) for v in cursor.execute(sql, list(parameters)).fetchall()]


TICKET = Table("ticket", stored.Ticket, "tickets", key=("id",))
TICKET_TEXT = Table("ticket_text", stored.TicketText, "ticket_texts", key=("ticket",))
PERSON = Table("person", stored.Person, "persons", key=("id",), extra=(("h", lambda r: digest(r.address)),))
PARTICIPANT = Table("participant", stored.Participant, "participants", key=("ticket", "person"))
MESSAGE = Table("message", stored.Message, "messages", key=("id",))
ATTACHMENT = Table("attachment", stored.Attachment, "attachments")
MAIL_ID = Table("mail_id", stored.MailId, "mail_ids", extra=(("h", lambda r: digest(r.rfc_id)),))
ADDRESSEE = Table("addressee", stored.Addressee, "addressees")
MAIL_FACTS = Table("mail_facts", stored.MailFacts, "mail_facts")
DECISION = Table("decision", stored.DecisionRow, "decisions")
EVENT = Table("event", stored.Event, "events")
OUTBOX = Table(
    "outbox", stored.OutboxRow, "outbox",
    columns=tuple(f.name for f in fields(stored.OutboxRow) if f.name not in TEXT_COLUMNS),
    extra=(("month", lambda r: month_of(r.created_at)),),
)
DELIVERY = Table("delivery", stored.Delivery, "deliveries", key=("outbox",))
SUPPRESSION = Table("suppression", stored.Suppression, "suppressions", key=("person",))
PROCESSED = Table(
    "processed", stored.Processed, "processed", key=("spool_id",), extra=(("h", lambda r: digest(r.delivery_key)),)
)
SENT_ID = Table("sent_id", stored.SentId, "sent_ids", extra=(("h", lambda r: digest(r.rfc_id)),))
TICKET_FIELD = Table("ticket_field", beside.TicketField, "ticket_fields")
TICKET_LINK = Table("ticket_link", beside.TicketLink, "ticket_links", key=("ticket", "other", "relation"))
OPT_OUT = Table("opt_out", beside.OptOut, "opt_outs", key=("person",))
LISTED = Table("listed", beside.Listed, "listed")
DIGEST_RUN = Table("digest_run", beside.DigestRun, "digest_runs", key=("person",))
DIRECTORY_NAME = Table("directory_name", DirectoryName, "directory_names", key=("entry",))
DIRECTORY_EVENT = Table("directory_event", DirectoryEvent, "directory_events")
MESSAGE_TEXT = Table("message_text", stored.MessageText, "message_texts", key=("message",))
OUTBOX_TEXT = Table("outbox_text", stored.OutboxRow, "outbox", key=("id",), columns=("id", *TEXT_COLUMNS))

# In the order in which they are written.
MAIN: tuple[Table[Any], ...] = (
    PERSON, TICKET, TICKET_TEXT, PARTICIPANT, MESSAGE, ATTACHMENT, MAIL_ID, ADDRESSEE, MAIL_FACTS, DECISION, EVENT,
    OUTBOX, DELIVERY, SUPPRESSION, PROCESSED, SENT_ID,
    TICKET_FIELD, TICKET_LINK, OPT_OUT, LISTED, DIGEST_RUN, DIRECTORY_NAME, DIRECTORY_EVENT,
)


@dataclass(slots=True)
class Counters:
    """The next free numbers; core allots them, the store only remembers."""

    seq: int = 1
    ticket: int = 1
    message: int = 1
    outbox: int = 1
    person: int = 1

    def take(self, rows: stored.Rows) -> None:
        """Count past everything in ``rows``."""
        self.seq = max([self.seq, *(e.seq + 1 for e in rows.events)])
        self.ticket = max([self.ticket, *(t.id + 1 for t in rows.tickets)])
        self.message = max([self.message, *(m.id + 1 for m in rows.messages)])
        self.outbox = max([self.outbox, *(o.id + 1 for o in rows.outbox)])
        self.person = max([self.person, *(p.id + 1 for p in rows.persons)])


def counters(cursor: Cursor) -> Counters:
    """As the tables have them."""
    found = cursor.execute(
        "SELECT (SELECT coalesce(max(seq), 0) + 1 FROM event), (SELECT coalesce(max(id), 0) + 1 FROM ticket),"
        " (SELECT coalesce(max(id), 0) + 1 FROM message), (SELECT coalesce(max(id), 0) + 1 FROM outbox),"
        " (SELECT coalesce(max(id), 0) + 1 FROM person)"
    ).fetchone()
    assert found is not None
    return Counters(*found)
