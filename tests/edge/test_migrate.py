"""Migrations go forward once, whole or not at all, and never silently differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from gateway.edge.migrate import SCHEMA, migrate, migrations
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
