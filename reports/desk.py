"""The newest snapshot, opened read-only: what it is as of, in which zone, and how to ask it.

Polars takes DuckDB's results through the Arrow C interface; nothing needs pyarrow, pandas or numpy.

Limits: one thread a Desk. A Desk keeps the snapshot it opened, also when a newer one takes its place.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import polars as pl

SCHEMA_VERSION = 1
ENVIRONMENT = "MAILWICKET_SNAPSHOTS"
DEFAULT = Path("mailwicket-state") / "snapshots"
# A report never fetches anything from outside.
CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": "false"}
_SQL = Path(__file__).parent / "sql"
_COUNTED = {"events": "fct_event", "tickets": "dim_ticket", "messages": "fct_message", "persons": "dim_person"}


class SnapshotError(Exception):
    """There is no snapshot that can be read; the text says where it was looked for and what to do."""


@cache
def statement(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return (_SQL / f"{name}.sql").read_text("utf-8")


def open(path: Path | str | None = None) -> Desk:  # noqa: A001
    """The newest snapshot at ``path``, else where MAILWICKET_SNAPSHOTS says, else in ./mailwicket-state.

    ``path`` is a snapshot, a directory with snapshots, or the gateway's state directory.
    """
    place = Path(path) if path is not None else Path(os.environ.get(ENVIRONMENT) or DEFAULT)
    return Desk(_newest(place))


def _newest(place: Path) -> Path:
    if place.is_file():
        return place
    directory = place / "snapshots" if (place / "snapshots").is_dir() else place
    found = sorted(directory.glob("*.duckdb"), key=lambda p: (p.stat().st_mtime_ns, p.name))
    if not found:
        raise SnapshotError(
            f"{directory.resolve()}: no snapshot here: run `mailwicket snapshot`, and name its directory"
            f" in reports.open(...) or in {ENVIRONMENT}"
        )
    return found[-1]


class Desk:
    """An open snapshot. ``as_of`` and ``zone`` are what reports use unless told otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cuts: dict[datetime, int] = {}
        # Attached, not connected to: DuckDB keeps one open file a path in a process, and would hand out the
        # replaced snapshot again as long as anybody has it open.
        self._connection = duckdb.connect(config=CONFIG)
        try:
            self._attach()
            self._read_meta()
            self._connection.execute(statement("relations"))
        except BaseException:
            self._connection.close()
            raise

    def _attach(self) -> None:
        # What does not fit into memory would else be spilt into the notebook's own directory.
        spill = Path(tempfile.gettempdir()) / "mailwicket-reports"
        self._connection.execute(f"SET temp_directory = {quoted(spill)}")
        self._connection.execute("SET memory_limit = '1GB'")
        self._connection.execute("SET enable_progress_bar = false")     # it would stand in the notebook's output
        try:
            self._connection.execute(f"ATTACH {quoted(self.path)} AS snapshot (READ_ONLY)")
        except duckdb.Error as error:
            why = _first_line(error)
            raise SnapshotError(f"{self.path}: {why}: is it a snapshot? run `mailwicket snapshot`") from error
        self._connection.execute("USE snapshot")

    def _read_meta(self) -> None:
        remedy = "run `mailwicket snapshot` with the Mailwicket that these reports came with"
        try:
            self._connection.execute("SET TimeZone = 'UTC'")
            meta = self._relation("FROM meta").to_dicts()[0]
            version = meta["schema_version"]
            if version != SCHEMA_VERSION:
                raise SnapshotError(f"{self.path}: has schema {version}, these reports read {SCHEMA_VERSION}: {remedy}")
            counts = {name: self._relation(f"SELECT count(*) FROM {t}").item() for name, t in _COUNTED.items()}  # noqa: S608
            self._relation("FROM fact_flow LIMIT 0")
        except (duckdb.Error, KeyError, IndexError) as error:
            why = _first_line(error)
            raise SnapshotError(f"{self.path}: this is no finished snapshot ({why}): {remedy}") from error
        lacking = [f"{n} {counts[n]} of {meta[n]}" for n in counts if counts[n] != meta[n]]
        if lacking:
            raise SnapshotError(f"{self.path}: rows are missing: {', '.join(lacking)}: {remedy}")
        self.made_at: datetime = meta["made_at"]
        self.as_of: datetime = meta["as_of"]
        self.zone: str = meta["zone"]
        self.key: str = meta["ticket_key"]
        self.tickets: int = meta["tickets"]

    def query(self, name: str, parameters: Mapping[str, object]) -> pl.DataFrame:
        """Run ``sql/<name>.sql``. Times come back in UTC, and columns ``*_us`` as durations without the suffix."""
        return self._relation(statement(name), parameters)

    def last_event(self, as_of: datetime) -> int:
        """The newest event that was recorded by ``as_of``; 0 if there was none."""
        if as_of not in self._cuts:
            sql = "SELECT coalesce(max(event_id), 0) FROM fct_event WHERE recorded_at <= $as_of"
            self._cuts[as_of] = self._relation(sql, {"as_of": naive(as_of)}).item()
        return self._cuts[as_of]

    def as_of_day(self, zone: str | None = None) -> date:
        """The date of ``as_of`` for people in ``zone``."""
        return local_day(self.as_of, zone or self.zone)

    def _relation(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        frame = pl.DataFrame(self._connection.sql(sql, params=dict(parameters or {})))
        frame = frame.with_columns(pl.col(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        spans = [c for c in frame.columns if c.endswith("_us")]
        frame = frame.with_columns(pl.col(spans).cast(pl.Duration("us")))
        return frame.rename({c: c.removesuffix("_us") for c in spans})

    def __str__(self) -> str:
        made = self.made_at.astimezone(ZoneInfo(self.zone))
        minutes = max(0, int((datetime.now(UTC) - self.made_at).total_seconds() // 60))
        days, hours = minutes // 1440, minutes // 60
        age = f"{days} days" if days > 1 else f"{hours} hours" if hours > 1 else f"{minutes} min"
        return f"Snapshot of {made:%Y-%m-%d %H:%M} ({self.zone}), {age} old, {self.tickets} tickets"

    def __repr__(self) -> str:
        return f"<{self}, {self.path}>"

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def local_day(moment: datetime, zone: str) -> date:
    """The date of ``moment`` in ``zone``."""
    return moment.astimezone(time_zone(zone)).date()


@cache
def time_zone(name: str) -> ZoneInfo:
    """ValueError with the remedy if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"zone {name!r} is not known: write it as in the IANA list, such as Europe/Berlin") from error


def quoted(text: object) -> str:
    """A string literal of SQL, where no parameter may stand."""
    return "'" + str(text).replace("'", "''") + "'"


def naive(moment: datetime) -> datetime:
    """As DuckDB stores it: UTC without zone. ValueError if nobody knows which moment is meant."""
    if moment.tzinfo is None:
        raise ValueError(f"as_of {moment} has no time zone: write datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC).replace(tzinfo=None)


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
