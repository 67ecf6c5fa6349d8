"""Backups and the way back.

``backup`` copies all database files from the running gateway: first the main file, then the mail
files, so that no mail a ticket speaks of is missing. ``restore`` puts a backup in their place and
applies the journal's frames above it, with raw bytes from the spool; nothing is decided anew.

A restore sends nothing. What was queued and is not known as sent is marked failed, with NOT_SENT as its
last words (``mailwicket outbox`` shows them): how much of it went out before nobody can know. With
``resend`` it stays as it was and goes out at the next start. A start after damage is another matter:
its journal says what was sent, nothing is lost, and it simply goes on.

Limits: signing keys, configuration, journal and spool are not part of a backup; copy them with your files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.config import Config
from gateway.core.rows import Rows
from gateway.edge import backups, frames
from gateway.edge.backups import BackupFile, Manifest, directories, read_manifest, sha256_of, verify
from gateway.edge.durable import DISK, put_file
from gateway.edge.journal import Journal
from gateway.edge.lock import Lock
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN, copy_database, mail_file
from gateway.errors import Damaged, StateError

__all__ = ["NOT_SENT", "Restored", "backup", "restore", "restore_state", "verify"]

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


def backup(store: Store, directory: Path | None = None) -> Path:
    """A verified backup of the running ``store``; any thread. Returns where it lies.

    ``directory`` is a new one to write, or one that holds backups; without it ``backup/`` of the state.
    """
    root = store.state / "backup"
    now = datetime.now(UTC)
    if directory is None or directory.is_dir():
        target = (directory or root) / backups.stamp(now)
    else:
        target = directory
    partial = target.with_name(f".{target.name}.part")
    try:
        DISK.mkdir(target.parent)
        DISK.mkdir(partial)
        manifest = _copy_all(store, partial, next(iter(directories(target.parent)), None), now)
        put_file(DISK, partial / ".manifest", partial / backups.MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        DISK.replace(partial, target)
        DISK.fsync_dir(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StateError(f"{target}: {error.strerror or error}: choose a directory that is yours and has room") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    verify(target)
    return target


def restore(config: Config, directory: Path | None = None, *, resend: bool = False) -> list[dict[str, object]]:
    """``mailwicket restore``: what was done, as one row."""
    return [asdict(restore_state(config.state, directory, memory_limit=config.memory_limit, resend=resend))]


def restore_state(
    state: Path, directory: Path | None = None, *, memory_limit: str = "512MB", resend: bool = False
) -> Restored:
    """Put the given or the newest whole backup in place and apply the journal. No gateway may run."""
    with Lock(state / "lock"):
        source, manifest = _find(directory or state / "backup")
        place = _set_aside(state)
        for file in manifest.files:
            backups.copy(source / file.name, state / file.name)
        with _opened(state, memory_limit) as (store, journal, spool):
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


def _copy_all(store: Store, partial: Path, before: Path | None, now: datetime) -> Manifest:
    earlier = read_manifest(before) if before else None
    files = []
    with closing(store.reader()) as cursor:
        for month in (None, *sorted(store.files.mail_seq)):
            name = mail_file(month) if month else MAIN
            known = earlier.file(name) if earlier else None
            if month and before and known and known.applied_seq == store.files.mail_seq[month]:
                # A month without news; the hash is verified with all others afterwards.
                _link(before / name, partial / name)
                files.append(known)
                continue
            seq, rows = copy_database(cursor, month, partial / name)
            files.append(BackupFile(
                name=name, size=(partial / name).stat().st_size, sha256=sha256_of(partial / name),
                applied_seq=seq, rows=rows,
            ))
    return Manifest(at=now, applied_seq=files[0].applied_seq, files=tuple(files))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:     # another file system, or one without hard links
        backups.copy(source, target)


def _find(directory: Path) -> tuple[Path, Manifest]:
    """``directory`` itself, or the newest whole backup below it."""
    if (directory / backups.MANIFEST).exists():
        return directory, verify(directory)
    troubles = []
    for found in directories(directory):
        try:
            return found, verify(found)
        except Damaged as error:
            troubles.append(str(error))
    raise StateError("; ".join(troubles) or f"{directory} holds no backup: give the directory that `mailwicket backup` wrote")


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
def _opened(state: Path, memory_limit: str) -> Iterator[tuple[Store, Journal, Spool]]:
    with (
        closing(Journal(state / "journal")) as journal,
        closing(Store.open(state, memory_limit=memory_limit)) as store,
    ):
        yield store, journal, Spool(state / "spool")
