"""The way back from a backup.

``restore`` puts a backup in the place of the database files and applies the journal's frames above it,
with raw bytes from the spool; nothing is decided anew. What the journal has forgotten since (gateway/backup.py)
newer backups hold: one that is too old for it is refused before anything is touched.

A restore sends nothing. What was queued and is not known as sent is marked failed, with NOT_SENT as its
last words (``mailwicket outbox`` shows them): how much of it went out before nobody can know. With
``resend`` it stays as it was and goes out at the next start. A start after damage is another matter:
its journal says what was sent, nothing is lost, and it simply goes on.

Limits: signing keys, configuration, journal and spool are not part of a backup; copy them with your files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Config
from gateway.core.rows import Rows
from gateway.edge import backups, frames
from gateway.edge.backups import Backup, Manifest, directories, verify
from gateway.edge.durable import DISK
from gateway.edge.journal import Journal
from gateway.edge.lock import Lock
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import StateError

NOT_SENT = "not sent: restored without --resend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did. ``unsent`` mails were marked failed, or will go out if ``resend``."""

    backup: str
    quarantine: str
    backup_seq: int
    applied_seq: int
    frames: int
    lost_raws: int
    unsent: int
    resend: bool


def restore(config: Config, directory: Path | None = None, *, resend: bool = False) -> list[dict[str, object]]:
    """``mailwicket restore``: what was done, as one row."""
    return [asdict(restore_state(
        config.state, directory, memory_limit=config.memory_limit, resend=resend, root=config.backup.directory
    ))]


def restore_state(
    state: Path, directory: Path | None = None, *, memory_limit: str = "512MB", resend: bool = False,
    root: Path | None = None,
) -> Restored:
    """Put the given or the newest whole backup in place and apply the journal. No gateway may run.

    ``root`` is where backups are looked for; ``state/backup`` without it.
    """
    root = root or state / "backup"
    with Lock(state / "lock"):
        source, manifest = _find(directory or root, state / "journal")
        place = _set_aside(state)
        for file in manifest.files:
            backups.copy(source / file.name, state / file.name)
        with _opened(state, memory_limit, root) as (store, journal, spool):
            count = 0
            for seq, payload in journal.frames(store.replay_from):
                store.replay(seq, frames.decode(payload), spool.raw)
                count += 1
            store.settle()
            unsent = store.undelivered()
            if unsent and not resend:
                now = datetime.now(UTC)
                rows = Rows(deliveries=tuple(
                    replace(d, state="failed", changed_at=now, reply=NOT_SENT) for d in unsent
                ))
                seq = max(journal.last_seq, store.applied_seq) + 1
                journal.append(seq, frames.encode(rows, at=now, cause="restore"))
                store.write(seq, rows, {})
            return Restored(
                backup=str(source), quarantine=str(place), backup_seq=manifest.applied_seq,
                applied_seq=store.applied_seq, frames=count, lost_raws=len(store.lost), unsent=len(unsent),
                resend=resend,
            )


def _find(directory: Path, journal: Path) -> tuple[Path, Manifest]:
    """``directory`` itself, or the newest whole backup below it that the journal still reaches."""
    if (directory / backups.MANIFEST).exists():
        return directory, _usable(directory, journal)
    troubles = []
    for found in directories(directory):
        try:
            return found, _usable(found, journal)
        except StateError as error:
            troubles.append(str(error))
    raise StateError("; ".join(troubles) or f"{directory} holds no backup: give the directory that `mailwicket backup` wrote")


def _usable(directory: Path, journal: Path) -> Manifest:
    manifest = verify(directory)
    backups.check_reaches(Backup(path=directory, manifest=manifest), journal)
    return manifest


def _set_aside(state: Path) -> Path:
    place = state / "quarantine" / backups.stamp()
    DISK.mkdir(place)
    for path in (*state.glob("mailwicket.duckdb*"), *state.glob("mail-*.duckdb*")):
        if path.is_file():
            DISK.replace(path, place / path.name)
    DISK.fsync_dir(place)
    DISK.fsync_dir(state)
    return place


@contextmanager
def _opened(state: Path, memory_limit: str, root: Path) -> Iterator[tuple[Store, Journal, Spool]]:
    with (
        closing(Journal(state / "journal")) as journal,
        closing(Store.open(state, memory_limit=memory_limit, backup=root)) as store,
    ):
        yield store, journal, Spool(state / "spool")
