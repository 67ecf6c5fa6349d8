"""Backups on disk: directories ``backup/<UTC time>`` with a manifest, and which of them are whole.

A backup holds ``mailwicket.duckdb``, the mail files, and ``manifest.json`` with the hash and size of
each. Making one is gateway/restore.py's; here is what also start-up needs after damage.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.edge.durable import DISK
from gateway.errors import Damaged

MANIFEST = "manifest.json"
VERSION = 1


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

    def file(self, name: str) -> BackupFile | None:
        return next((f for f in self.files if f.name == name), None)


def stamp(now: datetime | None = None) -> str:
    """A directory name that sorts by time."""
    return (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H%M%S.%fZ")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def verify(directory: Path) -> Manifest:
    """The manifest, if every file of it is as it was written; else Damaged."""
    manifest = read_manifest(directory)
    for file in manifest.files:
        path = directory / file.name
        if Path(file.name).name != file.name or not path.is_file():
            raise Damaged(f"{path} is missing: this backup is not whole, use another one")
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise Damaged(f"{path} is not as it was written: use another backup")
    return manifest


def directories(root: Path) -> list[Path]:
    """All finished backups below ``root``, newest first."""
    return sorted((p.parent for p in root.glob(f"*/{MANIFEST}") if not p.parent.name.startswith(".")), reverse=True)


def newest_copy(root: Path, name: str, target: Path) -> Path | None:
    """Put file ``name`` of the newest backup in which it is whole at ``target``; which backup it was."""
    for directory in directories(root):
        source = directory / name
        try:
            file = read_manifest(directory).file(name)
            if file is None or sha256_of(source) != file.sha256:
                continue
            copy(source, target)
        except (Damaged, FileNotFoundError):
            continue
        return directory
    return None


def copy(source: Path, target: Path) -> None:
    """A durable copy that appears all at once."""
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    DISK.replace(partial, target)
    DISK.fsync_dir(target.parent)
