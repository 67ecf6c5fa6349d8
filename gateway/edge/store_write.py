"""Writes the rows of one journal frame: first the mail files, then everything else with ``applied_seq``.

Two commits, because one DuckDB transaction writes to one file only. A crash between them leaves the
mail files one frame ahead; applying the frame again then passes over them (architecture decision 3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import duckdb

from gateway.core.rows import MessageText, OutboxRow, Rows
from gateway.edge.store_files import Files
from gateway.edge.tables import (
    MAIN,
    MESSAGE_TEXT,
    OUTBOX_TEXT,
    Counters,
    Cursor,
    Table,
    month_of,
)

Fetch = Callable[[str], bytes | None]   # spool id -> raw bytes, None if they are lost

# How rows that a new one replaces are found. An indexed column needs list_contains to use its index,
# one without needs the join, which reads only blocks whose range fits (both measured).
_REPLACE = {
    "ticket": "list_contains($1::BIGINT[], id)",
    "ticket_text": "ticket IN (SELECT unnest($1::BIGINT[]))",
    "person": "id IN (SELECT unnest($1::BIGINT[]))",
    "message": "id IN (SELECT unnest($1::BIGINT[]))",
    "delivery": "list_contains($1::BIGINT[], outbox)",
    "suppression": "person IN (SELECT unnest($1::BIGINT[]))",
    "opt_out": "person IN (SELECT unnest($1::BIGINT[]))",
    "directory_name": "entry IN (SELECT unnest($1::BIGINT[]))",
}


@dataclass(slots=True)
class MonthRows:
    """What one frame writes into one mail file."""

    spool_ids: list[str] = field(default_factory=list)
    texts: list[MessageText] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)


def by_month(cursor: Cursor, rows: Rows, spool_ids: Iterable[str]) -> dict[str, MonthRows]:
    """Which rows go into which mail file: a mail's into that of its arrival, ours into that of its making."""
    out: dict[str, MonthRows] = {}
    month = {m.id: m.month for m in rows.messages}
    ours = {p.spool_id for p in rows.processed if p.message is None}     # our own mail; the outbox has it
    arrived = {f.spool_id: month_of(f.received_at) for f in rows.mail_facts}
    arrived |= {m.spool_id: m.month for m in rows.messages}
    done = {p.spool_id: month_of(p.at) for p in rows.processed}
    for spool_id in dict.fromkeys(i for i in spool_ids if i not in ours):
        if when := arrived.get(spool_id) or done.get(spool_id):
            out.setdefault(when, MonthRows()).spool_ids.append(spool_id)
    elsewhere = {t.message for t in rows.message_texts} - set(month)
    if elsewhere:
        month |= dict(cursor.execute(
            "SELECT id, month FROM message WHERE id IN (SELECT unnest($1::BIGINT[]))", [sorted(elsewhere)]
        ).fetchall())
    for text in rows.message_texts:
        if text.message in month:
            out.setdefault(month[text.message], MonthRows()).texts.append(text)
    for mail in rows.outbox:
        out.setdefault(month_of(mail.created_at), MonthRows()).outbox.append(mail)
    return dict(sorted(out.items()))


def write_mails(
    files: Files, cursor: Cursor, seq: int, months: dict[str, MonthRows], raw: Fetch, *, again: bool
) -> None:
    """The first half: one commit a month. ``again``: a month that has the frame already is passed over."""
    for month, found in months.items():
        schema = files.attach(month)
        if again and files.mail_seq[month] >= seq:
            continue
        raws = [(i, content) for i in found.spool_ids if (content := raw(i)) is not None]
        cursor.begin()
        try:
            _append(cursor, f"{schema}.raw", raws)
            _append(cursor, f"{schema}.message_text", MESSAGE_TEXT.records(found.texts))
            _append(cursor, f"{schema}.outbox_text", OUTBOX_TEXT.records(found.outbox))
            cursor.execute(f"UPDATE {schema}.meta SET number = $1 WHERE name = 'applied_seq'", [seq])  # noqa: S608  # a name of ours
            cursor.commit()
        except BaseException:
            _roll_back(cursor)
            raise
        files.mail_seq[month] = seq


def write_main(cursor: Cursor, seq: int, rows: Rows, months: Iterable[str], known: set[str], next_: Counters) -> None:
    """The second half: everything else, the marks of the mail files, and ``applied_seq``, in one commit."""
    names = [f"mail-{m}" for m in months]
    cursor.begin()
    try:
        for table in MAIN:
            _replace(cursor, table, getattr(rows, table.field), next_)
        _append(cursor, "meta", [(n, seq) for n in names if n not in known])
        cursor.execute(
            "UPDATE meta SET number = $1 WHERE list_contains($2::VARCHAR[], name)", [seq, ["applied_seq", *names]]
        )
        cursor.commit()
    except BaseException:
        _roll_back(cursor)
        raise
    known.update(names)


def _replace(cursor: Cursor, table: Table[object], rows: tuple[object, ...], next_: Counters) -> None:
    """Append; before that delete what has a key of ``rows``, unless the key is a new one."""
    if not rows:
        return
    new = {
        "ticket": next_.ticket, "ticket_text": next_.ticket, "person": next_.person, "message": next_.message,
        "delivery": next_.outbox, "suppression": next_.person, "opt_out": next_.person,
        "directory_name": 1 << 62,      # few and rare: always looked for
    }
    if table.name in _REPLACE:
        old = sorted({k for r in rows if (k := table.key_of(r)) < new[table.name]})  # type: ignore[misc]
        if old:
            cursor.execute(f"DELETE FROM {table.name} WHERE {_REPLACE[table.name]}", [old])  # noqa: S608
    elif table.name == "participant":
        pairs = {table.key_of(r) for r in rows if r.ticket < next_.ticket}  # type: ignore[misc, attr-defined]
        if pairs:
            cursor.execute(
                "DELETE FROM participant WHERE list_contains($1::BIGINT[], ticket)"
                " AND list_contains($2::VARCHAR[], ticket || ' ' || person)",
                [sorted({t for t, _ in pairs}), [f"{t} {p}" for t, p in sorted(pairs)]],
            )
    elif table.name == "ticket_link":
        keys = {table.key_of(r) for r in rows}  # type: ignore[misc]
        cursor.execute(
            "DELETE FROM ticket_link WHERE ticket IN (SELECT unnest($1::BIGINT[]))"
            " AND list_contains($2::VARCHAR[], ticket || ' ' || other || ' ' || relation)",
            [sorted({t for t, _, _ in keys}), [f"{t} {o} {r}" for t, o, r in sorted(keys)]],
        )
    _append(cursor, table.name, table.records(rows))


def _append(cursor: Cursor, name: str, records: Sequence[tuple[object, ...]]) -> None:
    if records:
        appender = cursor.appender(name)
        appender.append_rows(records)
        appender.flush()


def _roll_back(cursor: Cursor) -> None:
    try:
        cursor.rollback()
    except duckdb.Error:
        pass    # the transaction is gone already; the first error says why

