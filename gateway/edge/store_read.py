"""Reads of the store that are no part of a decision: start-up, the postman, the canonical dump."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.core.archive import Past
from gateway.core.directory import Directory, fold
from gateway.core.rows import Delivery, Event, Message, OutboxRow, Ticket
from gateway.edge.store_files import Files, schema_of
from gateway.edge.tables import (
    DELIVERY,
    DIRECTORY_EVENT,
    DIRECTORY_NAME,
    EVENT,
    MESSAGE,
    OUTBOX,
    OUTBOX_TEXT,
    PERSON,
    TICKET,
    Cursor,
    digest,
    naive,
)

DONE = ("sent", "failed", "bounced", "delayed")     # out of our hands: nothing of it is sent again
_PAGE = 1000


def processed(cursor: Cursor, spool_ids: list[str]) -> list[str]:
    if not spool_ids:
        return []
    rows = cursor.execute(
        "SELECT DISTINCT spool_id FROM processed WHERE spool_id IN (SELECT unnest($1::VARCHAR[])) ORDER BY spool_id",
        [spool_ids],
    ).fetchall()
    return [spool_id for (spool_id,) in rows]


def pasts(cursor: Cursor, tickets: list[int]) -> dict[int, Past]:
    """All events and messages of these tickets, in order."""
    if not tickets:
        return {}
    events: defaultdict[int, list[Event]] = defaultdict(list)
    messages: defaultdict[int, list[Message]] = defaultdict(list)
    for event in EVENT.fetch(cursor, "ticket IN (SELECT unnest($1::BIGINT[])) ORDER BY seq", tickets):
        events[event.ticket].append(event)
    for message in MESSAGE.fetch(cursor, "list_contains($1::BIGINT[], ticket) ORDER BY id", tickets):
        messages[message.ticket or 0].append(message)
    return {n: Past(events=tuple(found), messages=tuple(messages[n])) for n, found in events.items()}


def persons(cursor: Cursor, addresses: list[str]) -> list[int]:
    """Ids of the persons who have these addresses."""
    found = PERSON.fetch(cursor, "list_contains($1::UBIGINT[], h)", [digest(a) for a in addresses])
    return sorted(p.id for p in found if p.address in addresses)


def directory(cursor: Cursor) -> Directory:
    """Agents, teams and organisations: a few hundred rows, folded anew."""
    events = DIRECTORY_EVENT.fetch(cursor, "true ORDER BY seq")
    persons = sorted({e.person for e in events if e.person is not None})
    found = cursor.execute("SELECT id, address FROM person WHERE id IN (SELECT unnest($1::BIGINT[]))", [persons]).fetchall()
    names = {n.entry: n for n in DIRECTORY_NAME.fetch(cursor, "true")}
    return Directory(folded=fold(events), names=names, addresses=dict(found))


def assigned(cursor: Cursor, persons: list[int]) -> dict[int, tuple[Ticket, str]]:
    """The tickets that these persons hold, with their subjects. Without an index: people leave now and then."""
    if not persons:
        return {}
    found = TICKET.fetch(cursor, "assignee IN (SELECT unnest($1::BIGINT[])) ORDER BY id", persons)
    subjects = dict(cursor.execute(
        "SELECT ticket, subject FROM ticket_text WHERE ticket IN (SELECT unnest($1::BIGINT[]))", [[t.id for t in found]]
    ).fetchall())
    return {t.id: (t, subjects.get(t.id, "")) for t in found}


def undelivered(cursor: Cursor) -> list[Delivery]:
    return DELIVERY.fetch(cursor, "NOT list_contains($1::VARCHAR[], state) ORDER BY next_at, outbox", list(DONE))


def deliveries(cursor: Cursor, ids: list[int]) -> dict[int, Delivery]:
    return {d.outbox: d for d in DELIVERY.fetch(cursor, "list_contains($1::BIGINT[], outbox)", ids)} if ids else {}


def due(cursor: Cursor, now: datetime, most: int) -> list[int]:
    rows = cursor.execute(
        "SELECT id FROM ticket WHERE status = 'pending' AND pending_until <= $1 ORDER BY pending_until, id LIMIT $2",
        [naive(now), most],
    ).fetchall()
    return [number for (number,) in rows]


def outbox_rows(files: Files, cursor: Cursor, ids: list[int]) -> dict[int, OutboxRow]:
    if not ids:
        return {}
    halves: dict[int, dict[str, Any]] = {}
    months: dict[str, list[int]] = {}
    sql = f"SELECT {OUTBOX.select}, month FROM outbox WHERE id IN (SELECT unnest($1::BIGINT[]))"  # noqa: S608
    for row in cursor.execute(sql, [ids]).fetchall():
        halves[row[0]] = OUTBOX.zoned(row)
        months.setdefault(row[-1], []).append(row[0])
    out: dict[int, OutboxRow] = {}
    for month, numbers in months.items():
        sql = (
            f"SELECT {OUTBOX_TEXT.select} FROM {schema_of(files.known(month))}.outbox_text"  # noqa: S608
            " WHERE id IN (SELECT unnest($1::BIGINT[]))"
        )
        for row in cursor.execute(sql, [numbers]).fetchall():
            out[row[0]] = OutboxRow(**{**halves[row[0]], **OUTBOX_TEXT.zoned(row)})
    return out


def dump(files: Files, cursor: Cursor) -> Iterator[str]:
    """``file table {row}`` of every table but schema_version, sorted; blobs as their hash."""
    for month in (None, *sorted(files.mail_seq)):
        prefix = f"{schema_of(month)}." if month else ""
        database = f"mail-{month}" if month else "mailwicket"
        tables = cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND table_name <> 'schema_version'"
            " ORDER BY table_name", [database],
        ).fetchall()
        for (table,) in tables:
            rows = cursor.execute(f'SELECT * FROM {prefix}"{table}" ORDER BY ALL')  # noqa: S608
            columns = [column[0] for column in rows.description or ()]
            while page := rows.fetchmany(_PAGE):
                for row in page:
                    values = dict(zip(columns, row, strict=True))
                    yield f"{database} {table} {json.dumps(values, default=_plain, ensure_ascii=False)}"


def hash_of(lines: Iterable[str]) -> str:
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return found.hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return "sha256:" + hashlib.sha256(value).hexdigest()
    raise TypeError(f"no text for {type(value)}")
