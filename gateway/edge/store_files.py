"""The database files: one main file, one mail file a month attached to it; opened, checked, set aside.

    mailwicket.duckdb           everything but raw mail and text
    mail-YYYY-MM.duckdb         raw mail and text of a month, ROW_GROUP_SIZE 2048

A file that DuckDB refuses, or that has a block with a wrong checksum, goes to ``quarantine/<time>/``; the
newest backup of it takes its place, else an empty one, and the journal's frames do the rest
(architecture decision 4). Small files are read through at every start, large ones after a crash only;
damage that shows later leaves ``mailwicket.damaged``, a list of file names, and ends the process.

A damaged write-ahead log may open with fewer rows (measured). So the main file knows, in ``meta``,
the last frame each mail file must have, and each mail file the last it has.

Limits: all months are attached at start, some 10 ms each.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import structlog

from gateway.edge import backups
from gateway.edge.durable import DISK
from gateway.edge.migrate import SCHEMA, migrate
from gateway.edge.tables import Cursor
from gateway.errors import AlreadyRunning, Damaged, StateError

MAIN = "mailwicket.duckdb"
DAMAGED = "mailwicket.damaged"
READ_THROUGH = 256 * 1024 * 1024    # bytes; files up to this size are read through at every start
WAL_BYTES = "128MB"     # a checkpoint inside a commit stalls 0.2 s and more, so the writer asks for them itself
_MONTH = re.compile(r"mail-(\d{4}-\d{2})\.duckdb")
log = structlog.get_logger("store")


def mail_file(month: str) -> str:
    return f"mail-{month}.duckdb"


def is_mail_file(name: str) -> bool:
    return _MONTH.fullmatch(name) is not None


def schema_of(month: str) -> str:
    """The quoted name under which a month is attached."""
    return f'"mail-{month}"'


class Files:
    """The open files. ``mail_seq`` has the last frame of every attached month."""

    def __init__(self, state: Path, memory_limit: str, read_only: bool = False, backup: Path | None = None) -> None:
        self.state, self.read_only = state, read_only
        self.backup = backup or state / "backup"
        self._floor = backups.floor_of(state / "journal")
        self.rebuilt: list[str] = []
        self.mail_seq: dict[str, int] = {}
        self._memory_limit = memory_limit
        self._lock = threading.Lock()
        self._holding = threading.Lock()
        self._put_back_now: set[str] = set()
        self._suspects = self._marked()
        self._root = self._open_main()
        try:
            for month in sorted(self._months()):
                self._open_mail(month)
            # Only now: until every file is checked, a new start must find the list again.
            if not read_only:
                (state / DAMAGED).unlink(missing_ok=True)
        except BaseException:
            self._root.close()
            raise

    def cursor(self) -> Cursor:
        """A connection of its own for the calling thread."""
        with self._lock:
            return self._root.cursor()

    def attach(self, month: str) -> str:
        """The schema name of ``month``, whose file is made if there is none."""
        if month not in self.mail_seq:
            self._open_mail(month)
        return schema_of(month)

    def known(self, month: str) -> str:
        """``month``, if its file is attached."""
        if month not in self.mail_seq:
            raise StateError(f"{self.state / mail_file(month)} is missing: restart, or run `mailwicket restore`")
        return month

    def wanted(self) -> dict[str, int]:
        """The last frame that each month must have, as the main file knows it."""
        rows = self._root.execute("SELECT name[6:], number FROM meta WHERE name LIKE 'mail-%'").fetchall()
        return dict(rows)

    def checkpoint(self, cursor: Cursor) -> bool:
        """Fold the logs of all files that have one into them; False if a backup forbids it now."""
        if self._holding.locked():
            return False
        for name in (None, *self.mail_seq):
            wal = self.state / f"{mail_file(name) if name else MAIN}.wal"
            if wal.exists() and wal.stat().st_size:
                cursor.execute(f"CHECKPOINT {schema_of(name)}" if name else "CHECKPOINT")
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[Cursor]:
        """The files stay as they are while a backup copies them: what is committed goes to their logs only.

        Gives a cursor for ``moment``.
        """
        with self._holding, contextlib.closing(self.cursor()) as cursor:
            cursor.execute("SET GLOBAL checkpoint_threshold = '1TB'")
            try:
                yield cursor
            finally:
                with contextlib.suppress(duckdb.Error):
                    cursor.rollback()       # of the transaction that ``moment`` began
                cursor.execute(f"SET GLOBAL checkpoint_threshold = '{WAL_BYTES}'")

    def moment(self, cursor: Cursor) -> dict[str | None, int]:
        """One moment, on the writer thread: the bytes of log of each file; ``cursor`` goes on seeing just that."""
        cursor.begin()
        marks: dict[str | None, int] = {}
        for month in (None, *sorted(self.mail_seq)):
            schema = schema_of(month) if month else '"mailwicket"'
            cursor.execute(f"SELECT number FROM {schema}.meta").fetchall()  # noqa: S608  # joins the transaction
            wal = _wal(self.state / (mail_file(month) if month else MAIN))
            marks[month] = wal.stat().st_size if wal.exists() else 0
        return marks

    def close(self) -> None:
        self._root.close()

    def mark(self, error: duckdb.Error) -> None:
        """Remember for the next start that a file is damaged; without a name in the error all are suspect."""
        names = sorted({MAIN, *map(mail_file, self.mail_seq)})
        named = [n for n in names if n in str(error)]
        with contextlib.suppress(OSError):
            (self.state / DAMAGED).write_text("\n".join(named or names) + "\n", "ascii")

    # --- Opening ---

    def _marked(self) -> set[str]:
        try:
            return set((self.state / DAMAGED).read_text("ascii").split())
        except (OSError, UnicodeDecodeError):
            return set()

    def _open_main(self) -> Cursor:
        path = self.state / MAIN
        fresh = not path.exists()
        if self.read_only:
            return self._connect(path)
        if fresh and self._journal_has_frames():
            self.rebuilt.append(f"{MAIN} was missing{self._put_back(MAIN)}")
        try:
            return self._connect(path)
        except duckdb.Error as error:
            self._set_aside(MAIN, error)
        try:
            return self._connect(path)
        except duckdb.Error as error:   # a backup with the right hash, and still no database
            raise _refusal(path, error) from error

    def _connect(self, path: Path) -> Cursor:
        crashed = _wal(path).exists()
        # One thread: our statements are too small to share, and the other cores have mail to parse.
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._memory_limit, "threads": 1, "checkpoint_threshold": WAL_BYTES,
            "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
        }
        _readable(path)
        connection = duckdb.connect(str(path), read_only=self.read_only, config=config)
        try:
            if not self.read_only:
                self._check(connection, path, crashed)
                migrate(connection, SCHEMA, path)
                self._check_reaches(_applied(connection), self._floor)
        except BaseException:
            connection.close()
            raise
        return connection

    def _months(self) -> set[str]:
        there = {m.group(1) for p in self.state.glob("mail-*.duckdb") if (m := _MONTH.fullmatch(p.name))}
        return there if self.read_only else there | set(self.wanted())

    def _open_mail(self, month: str) -> None:
        name = mail_file(month)
        if not (self.state / name).exists() and self.wanted().get(month):
            self.rebuilt.append(f"{name} was missing{self._put_back(name)}")
        try:
            self._attach(month)
        except duckdb.Error as error:
            with contextlib.suppress(duckdb.Error):
                self.cursor().execute(f"DETACH {schema_of(month)}")
            if self.read_only:
                raise _refusal(self.state / name, error) from error
            self._set_aside(name, error)
        else:
            return
        try:
            self._attach(month)
        except duckdb.Error as error:
            raise _refusal(self.state / name, error) from error

    def _attach(self, month: str) -> None:
        path, schema = self.state / mail_file(month), schema_of(month)
        crashed = _wal(path).exists()
        _readable(path)
        options = "READ_ONLY" if self.read_only else "ROW_GROUP_SIZE 2048"
        quoted = str(path).replace("'", "''")
        with contextlib.closing(self.cursor()) as cursor:
            cursor.execute(f"ATTACH '{quoted}' AS {schema} ({options})")
            cursor.execute(f"USE {schema}")
            if not self.read_only:
                self._check(cursor, path, crashed)
                migrate(cursor, SCHEMA / "mail", path)
            have = _applied(cursor)
            if not self.read_only and path.name not in self._put_back_now:
                self._check_reaches(have, min(self._floor, self.wanted().get(month, 0)))
            self.mail_seq[month] = have

    def _check(self, cursor: Cursor, path: Path, crashed: bool) -> None:
        """Read every value, so that every block's checksum is compared."""
        if path.name in self._suspects:
            self._suspects.discard(path.name)
            raise duckdb.IOException("found damaged before the last stop")
        if not crashed and path.stat().st_size > READ_THROUGH:
            return
        tables = cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()"
        ).fetchall()
        for (table,) in tables:
            cursor.execute(f'SELECT bit_xor(hash(COLUMNS(*))) FROM "{table}"').fetchall()  # noqa: S608

    def _check_reaches(self, have: int, least: int) -> None:
        """Behind ``least`` the journal and the spool have forgotten something: only a backup can help."""
        if have < least:
            raise duckdb.IOException(f"ends at frame {have}; what came then up to frame {least} is only in {self.backup}")

    # --- Damage ---

    def _journal_has_frames(self) -> bool:
        return any(p.stat().st_size for p in (self.state / "journal").glob("*.log"))

    def _set_aside(self, name: str, error: duckdb.Error) -> None:
        """Move a damaged file and its log away and put the newest backup in its place."""
        if any(words in str(error) for words in _NOT_DAMAGE):
            raise _refusal(self.state / name, error) from error
        place = self.state / "quarantine" / backups.stamp()
        DISK.mkdir(place)
        for path in (self.state / name, _wal(self.state / name)):
            if path.exists():
                DISK.replace(path, place / path.name)
        DISK.fsync_dir(place)
        DISK.fsync_dir(self.state)
        why = str(error).split("\n", 1)[0]
        self.rebuilt.append(f"{name} was damaged ({why}) and now lies in {place}{self._put_back(name)}")
        log.error("damaged", file=name, why=why, quarantine=str(place))

    def _put_back(self, name: str) -> str:
        """The newest whole copy from a backup; says so."""
        _wal(self.state / name).unlink(missing_ok=True)     # the log of another life of the file
        directory = backups.newest_copy(self.backup, name, self.state / name, self._floor)
        if directory is None:
            return ""
        self._put_back_now.add(name)
        return f"; backup {directory.name} took its place"


def counted(cursor: Cursor, month: str | None) -> tuple[int, dict[str, int]]:
    """The last frame and the rows by table of a file, as the transaction of ``cursor`` sees it."""
    name = f"mail-{month}" if month else "mailwicket"
    tables = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 ORDER BY table_name", [name]
    ).fetchall()
    rows = {}
    for (table,) in tables:
        found = cursor.execute(f'SELECT count(*) FROM "{name}"."{table}"').fetchone()  # noqa: S608
        rows[table] = found[0] if found else 0
    seq = cursor.execute(f"SELECT number FROM \"{name}\".meta WHERE name = 'applied_seq'").fetchone()  # noqa: S608
    return (seq[0] if seq else 0), rows


# What a healthy file may also answer with.
_NOT_DAMAGE = ("Could not set lock", "No space left", "Permission denied", "Too many open files", "Out of Memory")
# Signs of a damaged file in an error that came while working; "invalidated" follows a failed fsync, too.
_DAMAGE = ("checksum", "orrupt", "INTERNAL Error", "Serialization Error", "Failed to delete all rows from index")


def shows_damage(error: duckdb.Error) -> bool:
    text = str(error)
    return any(words in text for words in _DAMAGE) and not any(words in text for words in _NOT_DAMAGE)


def _applied(cursor: Cursor) -> int:
    found = cursor.execute("SELECT number FROM meta WHERE name = 'applied_seq'").fetchone()
    return int(found[0]) if found else 0


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _readable(path: Path) -> None:
    """A missing right is no damage."""
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise StateError(f"{path} cannot be read and written: run as the user that owns it")


def _refusal(path: Path, error: duckdb.Error) -> StateError:
    text = str(error).split("\n", 1)[0]
    if "Could not set lock" in text:
        return AlreadyRunning(f"{path} is open in another process: stop that one first")
    if "No space left" in text:
        return StateError(f"{path}: {text}: make room on the disk and start again")
    if "Out of Memory" in text:
        return StateError(f"{path}: {text}: raise memory_limit and start again")
    return Damaged(f"{path}: {text}: run `mailwicket restore`")
