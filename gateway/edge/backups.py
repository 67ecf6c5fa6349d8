"""Backups on disk: directories ``backup/<UTC time>`` with a manifest, and which of them are whole.

A backup holds ``mailwicket.duckdb``, the mail files, and ``manifest.json`` with the hash, size and rows of
each. ``verified_at`` stands there once a process of its own has read all of it (edge/backup_work.py).
Making one is gateway/backup.py's; here is what also start-up needs after damage.

``journal/line.json`` names the desk (several may share a directory of backups), and up to which frame the
journal's frames and the spool's raw mails may be gone because backups have them (``floor``).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.edge.durable import DISK, Disk, put_file
from gateway.errors import Damaged, StateError

MANIFEST = "manifest.json"
LINE = "line.json"
VERSION = 1
NEEDED = 2      # verified backups that must hold what the journal and the spool forget
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z")


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file. ``rows`` counts by table; ``applied_seq`` is the last journal frame in it."""

    name: str
    size: int
    sha256: str
    applied_seq: int
    rows: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    version: int = VERSION
    at: datetime
    applied_seq: int
    files: tuple[BackupFile, ...]
    line: str = ""                          # the desk it is of
    frame: str = ""                         # hash of the journal's frame ``applied_seq``
    verified_at: datetime | None = None

    def file(self, name: str) -> BackupFile | None:
        return next((f for f in self.files if f.name == name), None)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What ties a desk's journal and its backups. Frames up to ``floor`` may be gone from the journal, raw mails from the spool."""

    line: str
    floor: int = 0


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A finished backup and where it lies."""

    path: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        return sum(f.size for f in self.manifest.files)


def stamp(now: datetime | None = None) -> str:
    """A directory name that sorts by time."""
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H%M%S.%fZ")


def is_stamp(name: str) -> bool:
    """Whether we gave a directory its name; one that a person named is never ours to remove."""
    return _STAMP.fullmatch(name) is not None


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Manifests ---


def read_manifest(directory: Path) -> Manifest:
    """Damaged if there is none that can be read."""
    path = directory / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise Damaged(f"{path}: {error}: this is no whole backup, use another one") from error
    if found.version > VERSION:
        raise Damaged(f"{path}: version {found.version}, this program knows {VERSION}: use the newer Mailwicket")
    return found


def write_manifest(directory: Path, manifest: Manifest, disk: Disk = DISK) -> None:
    """All at once, or not at all."""
    text = msgspec.json.format(msgspec.json.encode(manifest))
    put_file(disk, directory / ".manifest", directory / MANIFEST, text)


def note_verified(directory: Path, manifest: Manifest, at: datetime, disk: Disk = DISK) -> Manifest:
    """Write down that all of it was read; returns the new manifest."""
    manifest = msgspec.structs.replace(manifest, verified_at=at)
    write_manifest(directory, manifest, disk)
    return manifest


def check_present(directory: Path, manifest: Manifest) -> None:
    """Damaged unless every file is there in its size; a glance, no reading."""
    for file in manifest.files:
        path = directory / file.name
        if Path(file.name).name != file.name or not path.is_file():
            raise Damaged(f"{path} is missing: this backup is not whole, use another one")
        if path.stat().st_size != file.size:
            raise Damaged(f"{path} is not as it was written: use another backup")


def verify(directory: Path) -> Manifest:
    """The manifest, if every file of it is as it was written; else Damaged."""
    manifest = read_manifest(directory)
    check_present(directory, manifest)
    for file in manifest.files:
        if sha256_of(directory / file.name) != file.sha256:
            raise Damaged(f"{directory / file.name} is not as it was written: use another backup")
    return manifest


# --- Which there are ---


def directories(root: Path) -> list[Path]:
    """All finished backups below ``root``, newest first."""
    return sorted((p.parent for p in root.glob(f"*/{MANIFEST}") if not p.parent.name.startswith(".")), reverse=True)


def listed(root: Path) -> list[Backup]:
    """The same with their manifests; one whose manifest cannot be read is left out."""
    out = []
    for directory in directories(root):
        try:
            out.append(Backup(path=directory, manifest=read_manifest(directory)))
        except Damaged:
            continue
    return out


def in_line(backups: Iterable[Backup], line: str) -> list[Backup]:
    """Those that one desk made and named, in the order given; what a person named is a person's to remove."""
    return [b for b in backups if line and b.manifest.line == line and is_stamp(b.path.name)]


def verified(backups: Iterable[Backup], line: str) -> list[Backup]:
    """Those ``in_line`` that were read whole once and still are there by the look of it.

    The furthest first: by frame, since clocks may step back.
    """
    out = []
    for backup in sorted(in_line(backups, line), key=lambda b: (b.manifest.applied_seq, b.manifest.at), reverse=True):
        try:
            check_present(backup.path, backup.manifest)
        except Damaged:
            continue
        if backup.manifest.verified_at is not None:
            out.append(backup)
    return out


# --- Journal and backups ---


def read_line(journal: Path) -> Line | None:
    """None before the first backup."""
    path = journal / LINE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Line)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Damaged(f"{path}: {error}: restore journal/ from a copy, or run `mailwicket restore`") from error


def write_line(journal: Path, line: Line, disk: Disk = DISK) -> Line:
    put_file(disk, journal / f".{LINE}", journal / LINE, msgspec.json.encode(line) + b"\n")
    return line


def new_line(floor: int = 0) -> Line:
    return Line(line=secrets.token_hex(8), floor=floor)


def floor_of(journal: Path) -> int:
    """The frame that a database must have reached to be brought up to date by this journal and spool."""
    line = read_line(journal)
    return line.floor if line else 0


# --- Taking files out ---


def newest_copy(root: Path, name: str, target: Path, floor: int = 0) -> Path | None:
    """Put file ``name`` of the newest backup in which it is whole at ``target``; which backup it was.

    Backups from before frame ``floor`` are passed over: what came between is in newer ones only.
    """
    for backup in listed(root):
        source, file = backup.path / name, backup.manifest.file(name)
        try:
            if file is None or backup.manifest.applied_seq < floor or sha256_of(source) != file.sha256:
                continue
            copy(source, target)
        except FileNotFoundError:
            continue
        return backup.path
    return None


def check_reaches(backup: Backup, journal: Path) -> None:
    """StateError if the journal no longer has what came after ``backup``."""
    floor = floor_of(journal)
    if backup.manifest.applied_seq < floor:
        raise StateError(
            f"{backup.path} ends at frame {backup.manifest.applied_seq}, and the journal has forgotten those up to {floor},"
            " since newer backups hold them: use one of those (`mailwicket backups` lists them), or move"
            f" {journal} away and lose what came after it"
        )


def copy(source: Path, target: Path) -> None:
    """A durable copy that appears all at once."""
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    DISK.replace(partial, target)
    DISK.fsync_dir(target.parent)
