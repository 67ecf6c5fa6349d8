"""The schema is read by people: every table says what it is, and no name surprises DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from gateway.edge.migrate import SCHEMA, migrate


@pytest.mark.parametrize("directory", [SCHEMA, SCHEMA / "mail"], ids=["main", "mail"])
def test_every_table_has_a_comment(directory: Path) -> None:
    with duckdb.connect() as connection:
        migrate(connection, directory, Path("x"))
        rows = connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
        assert rows and [name for name, comment in rows if not comment] == []


@pytest.mark.parametrize("directory", [SCHEMA, SCHEMA / "mail"], ids=["main", "mail"])
def test_there_are_no_foreign_keys(directory: Path) -> None:
    """DuckDB refuses most ALTERs on a referenced table, so later migrations would fail."""
    with duckdb.connect() as connection:
        migrate(connection, directory, Path("x"))
        found = connection.execute("SELECT * FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'").fetchall()
        assert found == []


def test_side_tables_say_so() -> None:
    """Erasure finds personal text by these words; events have none of it."""
    sides = {
        "ticket_text", "ticket_field", "person", "attachment", "addressee", "mail_facts", "decision", "outbox", "directory_name",
    }
    with duckdb.connect() as connection:
        migrate(connection, SCHEMA, Path("x"))
        rows = connection.execute("SELECT table_name FROM duckdb_tables() WHERE comment LIKE 'Side table%'").fetchall()
        assert {name for (name,) in rows} == sides
