"""A lot of an import on its way from the command to the gateway: parsed mails and their bytes, in a file.

The file lies in the state directory, which only its owner can write; what is decoded is checked by type all
the same. The control socket carries its name only, since a line there ends at 8 MiB.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.archive import Plan
from gateway.core.archive_rows import Archived
from gateway.errors import Damaged, StateError

FOLDER: Final = "import"
_LEFTOVER_SECONDS = 3600.0
_NAME = re.compile(r"[0-9A-Za-z-]{1,60}\.lot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Whole conversations, which are stored in one frame. ``raws`` by spool id."""

    plan: Plan
    conversations: tuple[tuple[Archived, ...], ...]
    raws: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of a lot. ``failed`` names the mails of conversations that could not be decided, and why."""

    new: int = 0
    known: int = 0
    tickets: int = 0
    failed: tuple[tuple[str, str], ...] = ()


def write(lot: Lot, state: Path, name: str) -> None:
    """Put it where ``read`` finds it. OSError if the disk refuses."""
    folder = state / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / name).write_bytes(msgspec.msgpack.encode(lot))


def sweep(state: Path) -> None:
    """Remove what a killed import left; one that is at work has no lot of an hour ago."""
    for leftover in (state / FOLDER).glob("*.lot"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink()


def read(state: Path, name: str) -> Lot:
    """The lot of that name. StateError if there is none, Damaged if it is no lot."""
    if not _NAME.fullmatch(name):
        raise StateError(f"{name!r} is no lot of an import: run `mailwicket import`")
    path = state / FOLDER / name
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Lot)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}: run the import again") from error
    except msgspec.MsgspecError as error:
        raise Damaged(f"{path}: {error}: run the import again, with the same version as the gateway") from error
