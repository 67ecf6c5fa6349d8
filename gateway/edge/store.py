"""The store: DuckDB as a projection of the journal (architecture decisions 3 and 4).

``write`` and ``replay`` apply one frame, ``load`` gives decisions what they may see. One connection
writes, on one thread; whoever else reads takes ``reader()``, a cursor of its own. Whatever DuckDB
refuses while writing ends in StateError, and then the process must end: the frame is in the
journal, and start-up applies it.

Limits: one process. Everything a batch asks for is one statement each, since a statement costs
1-2 ms and a row next to nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import structlog

from gateway.core.archive import Past
from gateway.core.context import Context, Needs
from gateway.core.digest import Agenda
from gateway.core.directory import Directory
from gateway.core.rows import Delivery, Message, OutboxRow, Rows, Ticket
from gateway.edge import store_digest, store_read
from gateway.edge.frames import Frame
from gateway.edge.store_files import MAIN, Files, schema_of, shows_damage
from gateway.edge.store_load import load
from gateway.edge.store_write import Fetch, by_month, write_mails, write_main
from gateway.edge.tables import MESSAGE, Cursor, counters
from gateway.errors import Damaged, StateError

log = structlog.get_logger("store")


class Store:
    """The open database. ``rebuilt`` says which files were set aside or missing, None if all was well."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.state = files.state
        self.lost: list[str] = []       # spool ids whose raw bytes no place had at replay
        self.rebuilt: str | None = "; ".join(files.rebuilt) or None
        self._cursor = files.cursor()
        self._side = files.cursor()     # for raw(), which any thread may call
        self._side_lock = threading.Lock()
        self._directory: Directory | None = None
        self._directory_lock = threading.Lock()
        self._broken: str | None = None
        self._next = counters(self._cursor)
        self._known = {f"mail-{month}" for month in files.wanted()}
        found = self._cursor.execute("SELECT number FROM meta WHERE name = 'applied_seq'").fetchone()
        self._applied: int = found[0] if found else 0

    @classmethod
    def open(
        cls, state: Path, *, memory_limit: str = "512MB", read_only: bool = False, backup: Path | None = None
    ) -> Store:
        """The store below ``state``, brought to this program's schema. ``backup`` holds the backups, if not ``state/backup``.

        Damaged files are set aside (``rebuilt``); the caller replays the journal above ``replay_from``.
        """
        if not read_only:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not (state / MAIN).exists():
            raise StateError(f"{state / MAIN} does not exist: start the gateway once, or correct --state")
        try:
            return cls(Files(state, memory_limit, read_only, backup))
        except duckdb.Error as error:
            raise Damaged(f"{state / MAIN}: {error}: run `mailwicket restore`") from error

    @property
    def applied_seq(self) -> int:
        """The last journal frame whose rows are in the main file."""
        return self._applied

    @property
    def replay_from(self) -> int:
        """The frame after which the journal must be replayed: ``applied_seq``, or less if a mail file lags."""
        have = self.files.mail_seq
        return min([self._applied, *(have[m] for m, seq in self.files.wanted().items() if have.get(m, 0) < seq)])

    # --- Writing, on the writer thread ---

    def write(self, seq: int, rows: Rows, raws: Mapping[str, bytes]) -> None:
        """Apply frame ``seq``, which stands in the journal. StateError: stop, and let start-up apply it."""
        if seq <= self._applied:
            raise StateError(f"{self._main}: frame {seq} comes after {self._applied}: restart to read the journal anew")
        self._apply(seq, rows, list(raws), raws.get, again=False)

    def replay(self, seq: int, frame: Frame, raw: Callable[[str], bytes]) -> None:
        """The same from the journal; what the files already have is passed over. ``raw`` reads the spool."""
        if seq > self._applied + 1:
            raise StateError(
                f"{self._main}: the journal goes on with frame {seq}, the database ends at {self._applied}:"
                " run `mailwicket restore`"
            )

        def fetch(spool_id: str) -> bytes | None:
            try:
                return raw(spool_id)
            except StateError as error:
                self.lost.append(spool_id)
                log.error("raw_lost", spool_id=spool_id, why=str(error))
                return None

        self._apply(seq, frame.rows, [p.spool_id for p in frame.rows.processed], fetch, again=True)

    def settle(self) -> None:
        """After a replay: a mail file that still lags lacks frames nobody has; do not look for them again."""
        for month, seq in self.files.wanted().items():
            if self.files.mail_seq.get(month, 0) < seq:
                log.error("mail_lost", month=month, frames=f"{self.files.mail_seq.get(month, 0) + 1} to {seq}")
                schema = self.files.attach(month)
                self._cursor.execute(f"UPDATE {schema}.meta SET number = $1 WHERE name = 'applied_seq'", [seq])  # noqa: S608  # a name of ours
                self.files.mail_seq[month] = seq

    def checkpoint(self) -> bool:
        """Fold the write-ahead logs into the files; for quiet moments, since it takes a while. False: a backup forbids it."""
        try:
            return self.files.checkpoint(self._cursor)
        except duckdb.Error as error:
            raise self._refuse(error) from error

    def _apply(self, seq: int, rows: Rows, spool_ids: Iterable[str], raw: Fetch, *, again: bool) -> None:
        if self._broken:
            raise StateError(f"{self._main}: {self._broken}: restart; start-up applies the journal")
        try:
            months = by_month(self._cursor, rows, spool_ids)
            write_mails(self.files, self._cursor, seq, months, raw, again=again)
            if seq > self._applied:
                write_main(self._cursor, seq, rows, months, self._known, self._next)
        except duckdb.Error as error:
            raise self._refuse(error) from error
        if seq > self._applied:
            self._applied = seq
            self._next.take(rows)
            if rows.directory_events or rows.directory_names:
                with self._directory_lock:
                    self._directory = self._read_directory()

    def _refuse(self, error: duckdb.Error) -> StateError:
        """After a failed write the store is behind the journal and takes nothing more."""
        self._broken = str(error).split("\n", 1)[0]
        return self._told(error)

    def _told(self, error: duckdb.Error) -> StateError:
        text = str(error).split("\n", 1)[0]
        if shows_damage(error):
            self.files.mark(error)
            return Damaged(f"{self._main}: {text}: restart; start-up sets the damaged file aside and rebuilds it")
        return StateError(f"{self._main}: {text}: check the disk and its free space, and restart")

    @property
    def _main(self) -> Path:
        return self.state / MAIN

    # --- Reading, on the writer thread ---

    def load(self, needs: Needs, now: datetime) -> Context:
        """What decisions on a batch may see. MemoryError: try a smaller batch."""
        try:
            return load(self.files, self._cursor, needs, now, self._next)
        except duckdb.OutOfMemoryException as error:
            raise MemoryError(str(error)) from error
        except duckdb.Error as error:
            raise self._told(error) from error

    def processed(self, spool_ids: Iterable[str]) -> list[str]:
        """Those of ``spool_ids`` that are decided already."""
        return store_read.processed(self._cursor, list(spool_ids))

    def message(self, number: int) -> Message | None:
        return next(iter(MESSAGE.fetch(self._cursor, "id = $1::BIGINT", number)), None)

    def pasts(self, tickets: Iterable[int]) -> dict[int, Past]:
        """All that is stored of these tickets, for an import that goes on with them; what is not stored is left out."""
        return store_read.pasts(self._cursor, sorted(tickets))

    def agenda(self, addresses: Iterable[str], queues: Iterable[str], now: datetime) -> Agenda:
        """What an agent's digest is to tell."""
        persons = store_read.persons(self._cursor, list(addresses))
        since = store_digest.last_run(self._cursor, persons) or now - timedelta(days=1)
        return store_digest.agenda(self._cursor, persons, list(queues), since, now)

    def digest_run(self, addresses: Iterable[str]) -> datetime | None:
        """When the agent with these addresses last got a digest made."""
        return store_digest.last_run(self._cursor, store_read.persons(self._cursor, list(addresses)))

    def assigned(self, persons: Iterable[int]) -> dict[int, tuple[Ticket, str]]:
        """The tickets in these persons' hands, with their subjects."""
        return store_read.assigned(self._cursor, sorted(persons))

    def undelivered(self) -> list[Delivery]:
        """Everything that is neither sent nor given up, oldest first."""
        return store_read.undelivered(self._cursor)

    def deliveries(self, ids: Iterable[int]) -> dict[int, Delivery]:
        """How far these outbox rows got."""
        return store_read.deliveries(self._cursor, list(ids))

    def due(self, now: datetime, most: int) -> list[int]:
        """Pending tickets whose time has come, the longest waiting first."""
        return store_read.due(self._cursor, now, most)

    def outbox_rows(self, ids: Iterable[int]) -> dict[int, OutboxRow]:
        """Whole outbox rows, both halves."""
        return store_read.outbox_rows(self.files, self._cursor, list(ids))

    # --- Reading, on any thread ---

    def raw(self, spool_id: str, month: str) -> bytes:
        """The mail as received; StateError if the month's file does not have it."""
        found = None
        if month in self.files.mail_seq:
            with self._side_lock:
                try:
                    found = self._side.execute(
                        f"SELECT bytes FROM {schema_of(month)}.raw WHERE spool_id = $1", [spool_id]  # noqa: S608
                    ).fetchone()
                except duckdb.Error as error:
                    raise self._told(error) from error
        if found is None:
            raise StateError(f"{self.state}: mail {spool_id} is not in mail-{month}.duckdb: restore it from a backup")
        return bytes(found[0])

    @property
    def directory(self) -> Directory:
        """Agents, teams and organisations as of the last frame: the same object until one changes them."""
        with self._directory_lock:
            self._directory = self._directory or self._read_directory()
            return self._directory

    def _read_directory(self) -> Directory:
        """Any trouble stops the desk: mail must not be decided under the wrong policy, or be blamed for it."""
        try:
            with contextlib.closing(self.reader()) as cursor:
                return store_read.directory(cursor)
        except duckdb.Error as error:
            raise self._told(error) from error
        except (ValueError, KeyError) as error:
            raise StateError(f"{self._main}: the directory of agents cannot be read ({error}): run `mailwicket restore`") from error

    def reader(self) -> Cursor:
        """A cursor for another thread, which sees the last commit; close it when done."""
        return self.files.cursor()

    def dump(self) -> Iterator[str]:
        """Every row of every table as text, sorted; two stores with the same rows give the same lines."""
        cursor = self.reader()
        try:
            yield from store_read.dump(self.files, cursor)
        finally:
            cursor.close()

    @property
    def dump_hash(self) -> str:
        return store_read.hash_of(self.dump())

    def close(self) -> None:
        for cursor in (self._cursor, self._side):
            cursor.close()
        self.files.close()
