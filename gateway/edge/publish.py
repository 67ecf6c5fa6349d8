"""Publishes what notebooks may read: a file of its own, since DuckDB locks the live one against everybody else.

    schema/published/*.sql      which columns leave the live file (a contract, and no message bodies)
    python -m reports facts     adds the tables that every report starts from, in a niced process of its own
    snapshots/current.duckdb    the result, put in place by one rename: who reads the old one keeps it

``publish`` is the only door (architecture decision 13): a node of a larger desk would write to a lake here.

Limits: takes a new copy every time. One publication at a time; two at once are harmless, the later rename wins.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import duckdb
import structlog

from gateway.edge.durable import DISK
from gateway.edge.tables import Cursor, naive
from gateway.errors import StateError

PUBLISHED = Path(__file__).resolve().parents[2] / "schema" / "published"
CURRENT = "current.duckdb"
FACTS_SECONDS = 600.0
_MAKING = "making-"
_LEFTOVER_SECONDS = 3600.0
log = structlog.get_logger("publish")


def publish(
    reader: Callable[[], Cursor],
    state: Path,
    now: datetime,
    *,
    key: str,
    zone: str = "UTC",
    agents: Iterable[tuple[str, str]] = (),
) -> Path:
    """Make a new ``state/snapshots/current.duckdb`` and return its path; blocks, so call it in a thread.

    ``reader`` gives a cursor on the live database, which is closed here. ``agents`` are pairs of canonical
    address and login. StateError: the old snapshot, if there is one, stays in place.
    """
    directory = state / "snapshots"
    try:
        DISK.mkdir(directory)
        _sweep(directory)
        making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=directory))
    except OSError as error:
        raise StateError(f"{directory}: {error}: check its rights and free space") from error
    try:
        file = making / CURRENT
        with contextlib.closing(reader()) as cursor:
            copy_published(cursor, file, now, key, zone, agents)
        _add_facts(file)
        _put(file, directory / CURRENT)
    except duckdb.Error as error:
        text = str(error).split("\n", 1)[0]
        raise StateError(f"{directory}: no snapshot was made: {text}: check the disk and its free space") from error
    except OSError as error:
        raise StateError(f"{directory}: no snapshot was made: {error}: check rights and free space") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return directory / CURRENT


def copy_published(
    cursor: Cursor, file: Path, now: datetime, key: str, zone: str, agents: Iterable[tuple[str, str]]
) -> None:
    """The published tables as one transaction sees them, in ``file``."""
    # The catalog is shared by all cursors of the process, so the name must be nobody else's.
    name = file.parent.name
    quoted = str(file).replace("'", "''")
    cursor.execute(f"ATTACH '{quoted}' AS \"{name}\"")
    try:
        cursor.execute("CREATE TEMP TABLE request (made_at TIMESTAMP, zone VARCHAR, ticket_key VARCHAR)")
        cursor.execute("INSERT INTO request VALUES ($1, $2, $3)", [naive(now), zone, key])
        cursor.execute("CREATE TEMP TABLE agent_address (address VARCHAR PRIMARY KEY, login VARCHAR)")
        for address, login in dict(agents).items():
            cursor.execute("INSERT INTO agent_address VALUES ($1, $2)", [address, login])
        cursor.execute(f'USE "{name}"')
        cursor.begin()
        for part in sorted(PUBLISHED.glob("*.sql")):
            cursor.execute(part.read_text("utf-8"))
        cursor.commit()
        cursor.execute("CHECKPOINT")
    except duckdb.Error:
        with contextlib.suppress(duckdb.Error):
            cursor.rollback()
        raise
    finally:
        cursor.execute("USE mailwicket")
        cursor.execute(f'DETACH "{name}"')


def _add_facts(file: Path) -> None:
    """In a child: it needs up to 1.4 GB for a million tickets, and gives way to the mail."""
    command = [sys.executable, "-m", "reports", "facts", str(file.resolve()), "--nice", "10"]
    try:
        # `-m` looks in the working directory first: the packages stand beside each other, installed or not.
        subprocess.run(  # noqa: S603
            command, cwd=PUBLISHED.parents[1], check=True, capture_output=True, timeout=FACTS_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise StateError(f"{file}: facts took over {FACTS_SECONDS:.0f} s: give it memory and processor time") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"exit status {error.returncode}"
        log.error("facts_failed", why=why, status=error.returncode)
        raise StateError(f"{file}: `python -m reports facts` failed: {why}: check memory and disk") from error


def _put(file: Path, target: Path) -> None:
    """Durable before the rename, so that a power cut leaves the old snapshot or the new one."""
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        DISK.fsync(fd)
    finally:
        os.close(fd)
    DISK.replace(file, target)
    DISK.fsync_dir(target.parent)


def _sweep(directory: Path) -> None:
    """Remove what a killed publication left behind."""
    for leftover in directory.glob(f"{_MAKING}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
