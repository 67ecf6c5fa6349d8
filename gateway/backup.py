"""Makes a backup of the running gateway, proves it, and lets go what backups made needless.

``backup`` holds the writer for the moment in which it notes how long the logs are, and makes it leave the
files alone until they are copied (edge/backup_work.py, in a niced process). A mail file without news
since the newest backup is linked to that one's instead. The directory appears at once and whole.

``retain`` forgets frames and raw mails that two verified backups hold, and removes backups beyond
``keep``. All of it can be cut off anywhere: what is half done has a name that nobody takes for a backup.

Limits: signing keys, configuration, journal and spool are not part of a backup; copy them with your files.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import structlog

from gateway.edge import backups
from gateway.edge.aside import Aside
from gateway.edge.backups import NEEDED, Backup, BackupFile, Manifest
from gateway.edge.durable import DISK, Disk
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN, counted, mail_file
from gateway.errors import StateError

KEEP = 7
_ONE = threading.Lock()     # two would sweep each other away
log = structlog.get_logger("backup")
Marks = dict[str | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a retention let go."""

    frames_before: int = 0      # frames up to here are no longer needed; 0 if nothing may go yet
    segments: int = 0
    mails: int = 0
    backups: int = 0


def _here(job: Callable[[], Marks]) -> Marks:
    return job()


def backup(
    store: Store,
    directory: Path | None = None,
    *,
    now: datetime | None = None,
    journal: Journal | None = None,
    aside: Aside | None = None,
    on_writer: Callable[[Callable[[], Marks]], Marks] = _here,
    disk: Disk = DISK,
    prove: bool = True,
    memory_limit: str = "512MB",
) -> Path:
    """A backup of the running ``store``, proven if ``prove``; any thread but the writer's. Returns where it lies.

    ``directory`` is a new one to write, or one that holds backups; without it the configured one.
    ``on_writer`` runs a job between two frames; only who runs no writer may leave it out. Without its
    ``journal`` a backup is whole, but nothing is forgotten for its sake.
    """
    if not _ONE.acquire(blocking=False):
        raise StateError("another backup is being made: `mailwicket backups` shows it when it is done")
    try:
        place = _made(store, directory, now or datetime.now(UTC), journal, aside or Aside(), on_writer, disk, memory_limit)
    finally:
        _ONE.release()
    if prove:
        proof(place, aside=aside, disk=disk)
    return place


def _made(
    store: Store, directory: Path | None, now: datetime, journal: Journal | None, aside: Aside,
    on_writer: Callable[[Callable[[], Marks]], Marks], disk: Disk, memory_limit: str,
) -> Path:
    if directory is None or directory.is_dir():
        target = (directory or store.files.backup) / backups.stamp(now)
    else:
        target = directory
    line = line_of(store.state / "journal", disk)
    partial = target.with_name(f".{target.name}.{line}.part")
    try:
        disk.mkdir(target.parent)
        _sweep(target.parent, line)
        disk.mkdir(partial)
        files = _copied(store, partial, aside, on_writer, memory_limit)
        seq = files[0].applied_seq
        manifest = Manifest(
            at=now, applied_seq=seq, files=files, line=line, frame=journal.digest(seq) if journal else ""
        )
        backups.write_manifest(partial, manifest, disk)
        disk.replace(partial, target)
        disk.fsync_dir(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StateError(f"{target}: {error.strerror or error}: choose a directory that is yours and has room") from error
    except Exception:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def proof(directory: Path, *, aside: Aside | None = None, disk: Disk = DISK) -> Manifest:
    """Read the backup at ``directory`` whole, and note in its manifest that it is sound. Damaged if it is not."""
    manifest = backups.read_manifest(directory)
    earlier = (b.manifest for b in backups.listed(directory.parent) if b.path != directory)
    proven = {f.sha256 for m in earlier if m.verified_at for f in m.files}
    (aside or Aside()).ask("prove", directory=directory.absolute(), proven=sorted(proven))
    try:
        return backups.note_verified(directory, manifest, datetime.now(UTC), disk)
    except OSError as error:
        raise StateError(f"{directory}: sound, but that could not be noted: {error}: make it writable") from error


def line_of(journal: Path, disk: Disk = DISK) -> str:
    """The name that ties this journal and its backups; given now if it has none."""
    found = backups.read_line(journal)
    if found is None:
        try:
            disk.mkdir(journal)
            found = backups.write_line(journal, backups.new_line(), disk)
        except OSError as error:
            raise StateError(f"{journal}: {error}: make the directory writable") from error
    return found.line


def _copied(
    store: Store, partial: Path, aside: Aside, on_writer: Callable[[Callable[[], Marks]], Marks], memory_limit: str
) -> tuple[BackupFile, ...]:
    """All files of one moment below ``partial``, the main one first."""
    newest = next(iter(backups.listed(partial.parent)), None)
    with store.files.held() as cursor:
        marks = on_writer(lambda: store.files.moment(cursor))
        seen = {month: counted(cursor, month) for month in marks}
        wanted = [_wanted(store.state, partial, newest, month, size, seen[month][0]) for month, size in marks.items()]
        done = aside.ask("copy", files=wanted)
    known = {f.name: f for f in newest.manifest.files} if newest else {}
    names = {month: mail_file(month) if month else MAIN for month in marks}
    linked = set(done["linked"])
    made = aside.ask(
        "fold", files=[(partial / n).absolute() for n in names.values() if n not in linked], memory_limit=memory_limit
    )
    files = tuple(
        known[name] if name in linked else BackupFile(name=name, applied_seq=seen[month][0], rows=seen[month][1], **made[name])
        for month, name in names.items()
    )
    log.info("copied", bytes=done["copied"], linked=len(linked), files=len(files))
    return files


def _wanted(
    state: Path, partial: Path, newest: Backup | None, month: str | None, log_bytes: int, seq: int
) -> dict[str, object]:
    name = mail_file(month) if month else MAIN
    out: dict[str, object] = {"source": (state / name).absolute(), "target": (partial / name).absolute(), "log": log_bytes}
    known = newest.manifest.file(name) if newest and month else None
    if newest and known and known.applied_seq == seq:      # a month without news
        out |= {"before": (newest.path / name).absolute(), "sha256": known.sha256}
    return out


def _sweep(root: Path, line: str) -> None:
    """Take away what a killed backup or removal of this desk left behind."""
    for leftover in (*root.glob(f".*.{line}.part"), *root.glob(f".*.{line}.gone")):
        shutil.rmtree(leftover, ignore_errors=True)


# --- Letting go ---


def retain(
    root: Path,
    journal: Journal,
    spool: Spool,
    *,
    aside: Aside | None = None,
    keep: int = KEEP,
    disk: Disk = DISK,
) -> Forgotten:
    """Forget what the two newest verified backups below ``root`` hold; no frame and no mail if there are not two.

    The older of the two is read again first: nothing goes on the strength of a file that rotted since.
    """
    aside = aside or Aside()
    line = backups.read_line(journal.root)
    if line is None:
        return Forgotten()
    known = backups.listed(root)
    sound = list(islice((b for b in backups.verified(known, line.line) if _of_this_future(b, journal, line.floor)), NEEDED))
    done = Forgotten()
    if len(sound) == NEEDED:
        done = _forget(sound, line, journal, spool, aside, disk)
    return replace(done, backups=_remove(root, known, line.line, {b.path for b in sound}, keep, disk))


def _forget(
    sound: list[Backup], line: backups.Line, journal: Journal, spool: Spool, aside: Aside, disk: Disk
) -> Forgotten:
    newer, older = sound
    proven = frozenset(_same_bytes(newer, older))
    aside.ask("check", files=[
        (older.path.absolute() / f.name, f.sha256) for f in older.manifest.files if f.name not in proven
    ])
    floor = older.manifest.applied_seq
    if floor > line.floor:      # before anything goes: start-up must know what it cannot find any more
        try:
            backups.write_line(journal.root, backups.Line(line=line.line, floor=floor), disk)
        except OSError as error:
            raise StateError(f"{journal.root}: {error}: make the directory writable") from error
    segments = journal.drop_before(floor + 1)
    held = aside.ask(
        "covered", done=(spool.root / "done").absolute(), backups=[b.path.absolute() for b in sound],
    )
    return Forgotten(frames_before=floor, segments=segments, mails=spool.forget(held["spool_ids"]))


def _same_bytes(newer: Backup, older: Backup) -> list[str]:
    """Files of ``older`` that are links to those of ``newer``, which was read a moment ago."""
    return [
        f.name for f in older.manifest.files
        if newer.manifest.file(f.name) == f and (newer.path / f.name).samefile(older.path / f.name)
    ]


def _of_this_future(backup: Backup, journal: Journal, floor: int) -> bool:
    """Not of a life that a restore ended, whose frames have the same numbers and say something else."""
    seq, frame = backup.manifest.applied_seq, backup.manifest.frame
    return seq == floor or (bool(frame) and journal.digest(seq) == frame)


def _remove(root: Path, known: list[Backup], line: str, sound: set[Path], keep: int, disk: Disk) -> int:
    """Remove this desk's oldest backups beyond ``keep``, never one of ``sound``."""
    count = 0
    for one in backups.in_line(known, line)[keep:]:
        if one.path not in sound:
            gone = one.path.with_name(f".{one.path.name}.{line}.gone")
            try:
                disk.replace(one.path, gone)
                disk.fsync_dir(root)
            except OSError as error:
                raise StateError(f"{one.path}: {error}: remove it by hand") from error
            shutil.rmtree(gone, ignore_errors=True)
            count += 1
    return count
