"""Migrations go forward once, whole or not at all, and never silently differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from gateway.core.context import Needs
from gateway.core.rows import Delivery, Rows, Suppression
from gateway.edge import frames
from gateway.edge.migrate import SCHEMA, migrate, migrations
from gateway.edge.store import Store
from gateway.edge.tables import Cursor
from gateway.errors import StateError

FILE = Path("/state/mailwicket.duckdb")


@pytest.fixture
def cursor() -> Iterator[Cursor]:
    with duckdb.connect() as connection:
        yield connection


def schema(directory: Path, *texts: str) -> Path:
    for number, text in enumerate(texts, 1):
        (directory / f"{number:04}_step.sql").write_text(text)
    return directory


def tables(cursor: Cursor) -> set[str]:
    return {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_each_file_is_applied_once_and_written_down(cursor: Cursor, tmp_path: Path) -> None:
    schema(tmp_path, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")
    assert migrate(cursor, tmp_path, FILE) == 1
    schema(tmp_path, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)", "ALTER TABLE a ADD COLUMN y INTEGER")
    assert migrate(cursor, tmp_path, FILE) == 1
    assert migrate(cursor, tmp_path, FILE) == 0
    assert cursor.execute("SELECT x, y FROM a").fetchall() == [(1, None)]
    assert cursor.execute("SELECT version, name FROM schema_version ORDER BY version").fetchall() == [(1, "step"), (2, "step")]


def test_a_file_that_fails_in_the_middle_leaves_nothing(cursor: Cursor, tmp_path: Path) -> None:
    schema(tmp_path, "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER); INSERT INTO b VALUES ('no number')")
    with pytest.raises(StateError, match="schema file 2 .* changed nothing"):
        migrate(cursor, tmp_path, FILE)
    assert tables(cursor) == {"a", "schema_version"}
    schema(tmp_path, "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    assert migrate(cursor, tmp_path, FILE) == 1


def test_a_changed_file_is_refused_with_its_name(cursor: Cursor, tmp_path: Path) -> None:
    migrate(cursor, schema(tmp_path, "CREATE TABLE a (x INTEGER)"), FILE)
    with pytest.raises(StateError, match=r"mailwicket\.duckdb: schema file 1 \(step\).*new file"):
        migrate(cursor, schema(tmp_path, "CREATE TABLE a (x BIGINT)"), FILE)


def test_a_newer_database_is_refused_with_the_remedy(cursor: Cursor, tmp_path: Path) -> None:
    migrate(cursor, schema(tmp_path, "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)"), FILE)
    (tmp_path / "0002_step.sql").unlink()
    with pytest.raises(StateError, match="schema 2, this one knows 1.*start the newer version"):
        migrate(cursor, tmp_path, FILE)


@pytest.mark.parametrize("names", [[], ["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_files_with_gaps_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StateError, match="without gaps"):
        migrations(tmp_path)


def test_the_shipped_schema_is_whole() -> None:
    assert migrations(SCHEMA) and migrations(SCHEMA / "mail")


def test_a_state_of_the_first_schema_opens_with_its_rows(tmp_path: Path) -> None:
    """What version 0001 wrote: a delivery gets the new column empty, and takes a new row in its place."""
    first = tmp_path / "first"
    first.mkdir()
    (first / "0001_base.sql").write_text((SCHEMA / "0001_base.sql").read_text("utf-8"))
    state = tmp_path / "state"
    state.mkdir()
    with duckdb.connect(state / "mailwicket.duckdb") as old:
        migrate(old, first, FILE)
        old.execute("INSERT INTO delivery VALUES (7, 'deferred', 3, '2026-11-23', '2026-11-23', '451 later')")
        old.execute(
            "INSERT INTO outbox VALUES (7, 'reply', NULL, NULL, 1, 'x@y', 'ann@cust.example', '', 1, '2026-11-23', '2026-11')"
        )
        old.execute("INSERT INTO person VALUES (1, 'ann@cust.example', 'Ann', '2026-11-23', 1)")
    for seq in (1, 2):      # the second start has nothing to do
        store = Store.open(state)
        (row,) = store.undelivered()
        assert (row.outbox, row.state, row.attempts, row.reply) == (7, "deferred", seq + 2, "451 later")
        told = replace(row, attempts=row.attempts + 1, told_at=datetime(2026, 11, 24, tzinfo=UTC))
        dead = Suppression(person=1, since=row.changed_at, status="5.1.1", cause=f"outbox:{seq}")
        store.write(seq, Rows(deliveries=(told,), suppressions=(dead,)), {})
        assert store.undelivered() == [told]
        assert store.load(Needs(persons=frozenset({1})), row.changed_at).suppressions == {1: dead}
        store.close()


def test_a_frame_of_the_first_schema_is_read(tmp_path: Path) -> None:
    """The journal is older than the column: nobody was told then."""
    row = Delivery(outbox=7, state="sent", attempts=1, next_at=datetime(2026, 11, 23, tzinfo=UTC), changed_at=datetime(2026, 11, 23, tzinfo=UTC), reply="")
    old = frames.encode(Rows(deliveries=(row,)), at=row.next_at, cause="send").replace(b',"told_at":null', b"")
    assert b"told_at" not in old
    assert frames.decode(old).rows == Rows(deliveries=(row,))
