"""What a backup has done beside the gateway: ``python -m gateway.edge.backup_work``, one request, one answer.

    copy      database files and the part of their logs that was written when the backup began
    fold      each log into its file, by opening the copy; hash and size of the outcome
    prove     that a backup is what its manifest says, and can be read to the last row
    check     that files still have the hash they had
    covered   which mails of spool/done two backups hold, byte for byte

A live database file does not change between two checkpoints, which the gateway leaves out meanwhile: what is
committed goes to its log. So file and beginning of the log are the state of one moment, however
long the copying takes; that the file's headers are the same before and after proves it.

Answers are JSON on standard output. What cannot be done is one line on standard error, ``damaged: …`` for a
backup, ``refused: …`` for the rest. It ends when its input does, since then the gateway is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb

from gateway.core.lifecycle import fold
from gateway.edge.backups import BackupFile, read_manifest, sha256_of, verify
from gateway.edge.spool import month_directory
from gateway.edge.store_files import MAIN, is_mail_file
from gateway.edge.tables import EVENT, MESSAGE, TICKET, Cursor
from gateway.errors import Damaged, MailwicketError, StateError

CHUNK = 1 << 20
FLUSH = 8 << 20         # bytes; dirty pages that pile up would slow the fsyncs that mail waits for
HEADERS = 3 * 4096      # of a DuckDB file: the main header and two of the database, one of them current
TICKETS, MAILS = 5000, 200      # how many of each are looked at closely
READING = "256MB"       # enough to read in order; only folding needs indexes in memory
_PAGE = 500


def copy(args: dict[str, Any]) -> dict[str, Any]:
    """Each of ``files``: ``source`` to ``target``, with ``log`` bytes of its log; or a link to ``before`` if that is ``sha256``.

    Answers with the names that were linked and the bytes that were copied.
    """
    linked: list[str] = []
    copied = 0
    for file in args["files"]:
        source, target = Path(file["source"]), Path(file["target"])
        if file.get("before") and _link(Path(file["before"]), target, file["sha256"]):
            linked.append(target.name)
            continue
        headers = _headers(source)
        copied += _copy(source, target, None)
        try:
            copied += _copy(_log(source), _log(target), file["log"]) if file["log"] else 0
        except FileNotFoundError:
            headers = b""
        if _headers(source) != headers:
            raise StateError(f"{source} was checkpointed while it was copied: try again")
    return {"linked": linked, "copied": copied}


def _link(before: Path, target: Path, sha256: str) -> bool:
    """Whether ``before`` is sound and ``target`` now is the same file: a copy that rotted must not be handed on."""
    with contextlib.suppress(OSError):      # not there, or a file system without hard links
        if sha256_of(before) == sha256:
            os.link(before, target)
            return True
    return False


def _headers(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEADERS)


def _copy(source: Path, target: Path, size: int | None) -> int:
    done = dirty = 0
    with source.open("rb") as reading, target.open("xb", buffering=0) as writing:
        os.fchmod(writing.fileno(), 0o600)
        while piece := reading.read(CHUNK if size is None else min(CHUNK, size - done)):
            writing.write(piece)
            done, dirty = done + len(piece), dirty + len(piece)
            if dirty >= FLUSH:
                os.fdatasync(writing.fileno())
                dirty = 0
        os.fsync(writing.fileno())
    if size is not None and done != size:
        raise StateError(f"{source} is shorter than it was: try again")
    return done


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def fold_logs(args: dict[str, Any]) -> dict[str, Any]:
    """Leaves each of ``files`` without a log and durable. Answers with size and sha256 by name."""
    out = {}
    for path in map(Path, args["files"]):
        if _log(path).exists():
            _fold(path, args["memory_limit"])
        with path.open("rb") as file:
            os.fsync(file.fileno())
        out[path.name] = {"size": path.stat().st_size, "sha256": sha256_of(path)}
    return out


def _fold(path: Path, memory_limit: str) -> None:
    with _database(memory_limit) as cursor:
        _attach(cursor, path, "ROW_GROUP_SIZE 2048" if is_mail_file(path.name) else "")
        cursor.execute("CHECKPOINT copy")
    if _log(path).exists():
        raise StateError(f"{_log(path)} stays after a checkpoint: try again")


def prove(args: dict[str, Any]) -> dict[str, Any]:
    """Reads the backup at ``directory`` whole. Files whose hash is in ``proven`` were read by an earlier one."""
    directory, proven = Path(args["directory"]), frozenset(args.get("proven", ()))
    manifest = verify(directory)
    with _database(READING) as cursor:
        for file in manifest.files:
            _attach(cursor, directory / file.name, "READ_ONLY", _name(file.name))
            _prove_file(cursor, directory, file, deep=file.sha256 not in proven)
        dice = random.Random(manifest.applied_seq)      # noqa: S311  # a sample, no secret
        tickets = _prove_tickets(cursor, directory, dice)
        mails = sum(
            _prove_mails(cursor, directory, file, dice) for file in manifest.files if is_mail_file(file.name)
        )
    return {"files": len(manifest.files), "tickets": tickets, "mails": mails}


def _prove_file(cursor: Cursor, directory: Path, file: BackupFile, *, deep: bool) -> None:
    schema, path = _schema(file.name), directory / file.name
    found: dict[str, int] = {}
    try:
        for (table,) in cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = $1", [_name(file.name)]
        ).fetchall():
            found[table] = _one(cursor, f'SELECT count(*) FROM {schema}."{table}"')  # noqa: S608  # a name of ours
            if deep:    # every value, so that every block's checksum is compared
                cursor.execute(f'SELECT bit_xor(hash(COLUMNS(*))) FROM {schema}."{table}"').fetchall()  # noqa: S608  # a name of ours
        seq = _one(cursor, f"SELECT number FROM {schema}.meta WHERE name = 'applied_seq'")  # noqa: S608  # a name of ours
    except duckdb.Error as error:
        raise Damaged(f"{path}: {_first_line(error)}: use another backup") from error
    if found != file.rows:
        wrong = sorted(t for t in found.keys() | file.rows if found.get(t) != file.rows.get(t))
        raise Damaged(f"{path}: other numbers of rows than when it was made, in {', '.join(wrong)}: use another backup")
    if seq != file.applied_seq:
        raise Damaged(f"{path}: ends at frame {seq}, not {file.applied_seq}: use another backup")


def _prove_tickets(cursor: Cursor, directory: Path, dice: random.Random) -> int:
    """Tickets are the fold of their events (decision 5), all of them in a small desk."""
    cursor.execute(f"USE {_schema(MAIN)}")
    last = _one(cursor, "SELECT coalesce(max(id), 0) FROM ticket")
    ids = range(1, last + 1) if last <= TICKETS else sorted(dice.sample(range(1, last + 1), TICKETS))
    stored = TICKET.fetch(cursor, "id IN (SELECT unnest($1::BIGINT[]))", list(ids))
    events: dict[int, list[Any]] = {}
    for event in EVENT.fetch(cursor, "ticket IN (SELECT unnest($1::BIGINT[])) ORDER BY seq", list(ids)):
        events.setdefault(event.ticket, []).append(event)
    for ticket in stored:
        try:
            same = fold(events.get(ticket.id, ())) == ticket
        except ValueError:
            same = False
        if not same:
            raise Damaged(f"{directory / MAIN}: ticket {ticket.id} is not what its events make: use another backup")
    return len(stored)


def _prove_mails(cursor: Cursor, directory: Path, file: BackupFile, dice: random.Random) -> int:
    """Raw mails have the hash that was taken when they came in."""
    month = _name(file.name).removeprefix("mail-")
    known = MESSAGE.fetch(cursor, "month = $1 USING SAMPLE 10000 ROWS", month)
    sample = {m.spool_id: m.sha256 for m in dice.sample(known, min(MAILS, len(known)))}
    found = cursor.execute(
        f"SELECT spool_id, sha256(bytes) FROM {_schema(file.name)}.raw WHERE spool_id IN (SELECT unnest($1::VARCHAR[]))",  # noqa: S608  # a name of ours
        [list(sample)],
    ).fetchall()
    for spool_id, sha256 in found:
        if sha256 != sample[spool_id]:
            raise Damaged(f"{directory / file.name}: mail {spool_id} is not as it came: use another backup")
    return len(found)


def check(args: dict[str, Any]) -> dict[str, Any]:
    """Whether each of ``files``, pairs of path and hash, still is as it was written."""
    for path, sha256 in args["files"]:
        if sha256_of(Path(path)) != sha256:
            raise Damaged(f"{path} is not as it was written: remove this backup; nothing was forgotten")
    return {}


def covered(args: dict[str, Any]) -> dict[str, Any]:
    """The mails below ``done`` whose bytes both ``backups`` have. Nothing else of the spool may go.

    But for those that are no message (``processed.message`` is null): copies of our own mail from a Sent folder,
    whose bytes no mail file holds and no replay asks for.
    """
    done = Path(args["done"])
    waiting = {p.name for p in done.glob("[0-9]*/[0-9]*/*")}
    for directory in map(Path, args["backups"]):
        held: set[str] = set()
        with _database(READING) as cursor:
            _attach(cursor, directory / MAIN, "READ_ONLY", _name(MAIN))
            ours = cursor.execute(f"SELECT spool_id FROM {_schema(MAIN)}.processed WHERE message IS NULL").fetchall()  # noqa: S608  # a name of ours
            held |= waiting & {spool_id for (spool_id,) in ours}
            for name in (f.name for f in read_manifest(directory).files if is_mail_file(f.name)):
                _attach(cursor, directory / name, "READ_ONLY", _name(name))
                for page in _pages(cursor, name, waiting):
                    held |= {i for i, sha256 in page if sha256 == _raw_hash(done, i)}
        waiting = held
    return {"spool_ids": sorted(waiting)}


def _pages(cursor: Cursor, name: str, wanted: set[str]) -> Iterator[list[tuple[str, str]]]:
    schema = _schema(name)
    ids = (i for (i,) in cursor.execute(f"SELECT spool_id FROM {schema}.raw").fetchall() if i in wanted)  # noqa: S608  # a name of ours
    while page := list(islice(ids, _PAGE)):
        yield cursor.execute(
            f"SELECT spool_id, sha256(bytes) FROM {schema}.raw WHERE spool_id IN (SELECT unnest($1::VARCHAR[]))", [page]  # noqa: S608  # a name of ours
        ).fetchall()


def _raw_hash(done: Path, spool_id: str) -> str | None:
    """Of what stands behind the envelope's line."""
    with contextlib.suppress(OSError, MailwicketError), (done / month_directory(spool_id) / spool_id).open("rb") as file:
        file.readline()
        return hashlib.file_digest(file, "sha256").hexdigest()
    return None


# --- Databases ---


@contextlib.contextmanager
def _database(memory_limit: str) -> Iterator[Cursor]:
    cursor = duckdb.connect(config={
        "memory_limit": memory_limit, "threads": 1,
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
    })
    try:
        yield cursor
    finally:
        cursor.close()


def _attach(cursor: Cursor, path: Path, options: str, name: str = "copy") -> None:
    quoted = str(path).replace("'", "''")
    try:
        cursor.execute(f"ATTACH '{quoted}' AS \"{name}\" ({options})".replace(" ()", ""))
    except duckdb.Error as error:
        raise Damaged(f"{path}: {_first_line(error)}: use another backup") from error


def _name(file: str) -> str:
    return file.removesuffix(".duckdb")


def _schema(file: str) -> str:
    return f'"{_name(file)}"'


def _one(cursor: Cursor, sql: str) -> int:
    found = cursor.execute(sql).fetchone()
    return int(found[0]) if found else 0


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


# --- The process ---

VERBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "copy": copy, "fold": fold_logs, "prove": prove, "check": check, "covered": covered,
}


def main() -> int:
    os.nice(10)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_gateway, daemon=True).start()
    try:
        answer = VERBS[request.pop("verb")](request)
    except Damaged as error:
        return _refuse("damaged", str(error))
    except (MailwicketError, duckdb.Error) as error:
        return _refuse("refused", _first_line(error))
    except OSError as error:
        return _refuse("refused", f"{error.filename or 'disk'}: {error.strerror or error}: choose a directory that is yours and has room")
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    return 0


def _refuse(kind: str, why: str) -> int:
    sys.stderr.write(f"{kind}: {' '.join(why.split())}\n")
    return 1


def _end_with_the_gateway() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    # Not sys.exit(): the thread above may hold the lock of standard input.
    code = main()
    sys.stderr.flush()
    os._exit(code)
