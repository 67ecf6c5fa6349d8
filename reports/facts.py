"""Adds the tables that every report starts from to a freshly published snapshot (sql/facts.sql).

The gateway runs it as ``python -m reports facts FILE`` before it puts the file in place.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from reports.desk import CONFIG, SnapshotError, quoted, statement


def add_facts(file: Path, memory_limit: str = "1GB") -> None:
    """Write the fact tables into ``file``, all or none; once only."""
    if not file.is_file():
        raise SnapshotError(f"{file}: there is no such file: name a snapshot that `mailwicket snapshot` wrote")
    try:
        with duckdb.connect(str(file), config=CONFIG) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET memory_limit = {quoted(memory_limit)}")
            # What does not fit goes to disk, beside the file, where there must be room for it anyway.
            connection.execute(f"SET temp_directory = {quoted(file.parent / 'spill')}")
            connection.begin()
            connection.execute(statement("facts"))
            connection.commit()
            connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        text = str(error).split("\n", 1)[0]
        raise SnapshotError(f"{file}: {text}: publish it anew with `mailwicket snapshot`") from error
