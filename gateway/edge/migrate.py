"""Brings a database up to the schema of this program: forward only, one transaction a file.

A directory holds ``NNNN_name.sql``, numbered from 1 without gaps. What was applied stands in
``schema_version`` with the hash of its text; a released file never changes, a correction is a new one.

Limits: no way back. An older program refuses a newer database; its remedy is the backup or the newer program.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gateway.errors import StateError

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL, name VARCHAR NOT NULL, checksum VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE schema_version IS 'Which files of schema/ made this database, in order.';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(directory: Path) -> list[Migration]:
    """The files of ``directory`` in order; StateError if there is a gap."""
    matches = [(m, p) for p in sorted(directory.glob("*.sql")) if (m := _NAME.fullmatch(p.name))]
    found = [Migration(int(m[1]), m[2], path.read_text("utf-8")) for m, path in matches]
    if not found or [m.version for m in found] != list(range(1, len(found) + 1)):
        raise StateError(f"{directory}: schema files must be numbered 0001, 0002 … without gaps: install Mailwicket again")
    return found


def migrate(cursor: duckdb.DuckDBPyConnection, directory: Path, file: Path) -> int:
    """Apply what is missing to the database that ``cursor`` uses; returns how many. ``file`` is for errors.

    StateError: the database is newer, was made with other files, or a file failed.
    """
    known = migrations(directory)
    cursor.execute(_VERSIONS)
    applied = cursor.execute("SELECT version, checksum FROM schema_version ORDER BY version").fetchall()
    if len(applied) > len(known):
        raise StateError(
            f"{file}: made by a newer Mailwicket (schema {len(applied)}, this one knows {len(known)}):"
            " start the newer version, or restore the backup from before the upgrade"
        )
    for (version, checksum), migration in zip(applied, known, strict=False):
        if (version, checksum) != (migration.version, migration.checksum):
            raise StateError(
                f"{file}: schema file {version} ({migration.name}) is not the one this database was made with:"
                " install the unchanged release again; corrections go into a new file"
            )
    for migration in known[len(applied) :]:
        cursor.begin()
        try:
            cursor.execute(migration.sql)
            cursor.execute(
                "INSERT INTO schema_version VALUES ($1, $2, $3, now() AT TIME ZONE 'UTC')",
                [migration.version, migration.name, migration.checksum],
            )
            cursor.commit()
        except duckdb.Error as error:
            cursor.rollback()
            raise StateError(
                f"{file}: schema file {migration.version} ({migration.name}) failed and changed nothing:"
                f" {error}: install the release before this one"
            ) from error
    return len(known) - len(applied)
