"""How far a folder has been read: never past a mail that is not durable here.

Standards: RFC 3501 §2.3.1.1 (UID, UIDVALIDITY), §2.3.3 (a UID's internal date does not change).

``State`` is a value; ``CursorFile`` keeps it as one small JSON file. A crash between mails and their cursor
repeats these mails with the same origins, by which they are known again. UIDs need not become visible
in order, so the last WINDOW delivered ones are remembered by number: whatever else shows up among
them is late, and one whose date changed is another mail under an old number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.edge.durable import DISK, Disk, put_file
from gateway.errors import Damaged

WINDOW = 100
MAX_UID = (1 << 32) - 1     # RFC 3501 §9: nz-number
_MOST_SKIPPED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``uid`` is the last durable one of ``uidvalidity``.

    ``epoch`` counts how often a server went back to old numbers without a new UIDVALIDITY. Mails up
    to ``floor`` were there before us and are none of our business; ``since`` says the same as a time
    (Unix seconds), for when the numbers change. Mails up to ``rescan`` are read again.
    """

    version: int = 1
    uidvalidity: int
    uid: int = 0
    epoch: int = 0
    floor: int = 0
    since: int = 0
    rescan: int = 0
    recent: Mapping[int, int] = field(default_factory=dict)     # UID -> internal date, 0 if unknown
    skipped: Mapping[int, str] = field(default_factory=dict)    # UID -> why it was not taken

    def after(self, uid: int, date: int | None) -> State:
        """The mail is durable; with ``date`` None it was rightly left alone."""
        last = max(uid, self.uid)
        recent = {u: d for u, d in {**self.recent, uid: date}.items() if d is not None and u > last - WINDOW}
        return replace(self, uid=last, recent=recent, skipped={u: why for u, why in self.skipped.items() if u != uid})

    def without(self, uid: int, why: str) -> State:
        """The mail is passed over, with a record."""
        kept = [*((u, w) for u, w in self.skipped.items() if u != uid), (uid, why)]
        return replace(self, uid=max(uid, self.uid), skipped=dict(kept[-_MOST_SKIPPED:]))


class Cursor(Protocol):
    """What a watched folder needs; every method returns only when it is durable."""

    def load(self) -> State | None: ...
    def begin(self, state: State) -> None: ...
    def advance(self, uidvalidity: int, dates: Mapping[int, int | None]) -> None: ...
    def skip(self, uidvalidity: int, uid: int, why: str) -> None: ...


class CursorFile:
    """A cursor in the file ``path``, whose directory must exist."""

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        self._path, self._disk = path, disk
        self._state = self._read()

    def load(self) -> State | None:
        return self._state

    def begin(self, state: State) -> None:
        self._keep(state)

    def advance(self, uidvalidity: int, dates: Mapping[int, int | None]) -> None:
        state = self._now(uidvalidity)
        for uid, date in dates.items():
            state = state.after(uid, date)
        self._keep(state)

    def skip(self, uidvalidity: int, uid: int, why: str) -> None:
        self._keep(self._now(uidvalidity).without(uid, why))

    def _now(self, uidvalidity: int) -> State:
        assert self._state is not None, "begin comes first"
        assert self._state.uidvalidity == uidvalidity, "UIDVALIDITY changes only with begin"
        return self._state

    def _read(self) -> State | None:
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            remedy = "restore it from a backup, or delete it and the whole folder is read again"
            raise Damaged(f"{self._path}: {error}: {remedy}") from error
        if state.version != 1:
            raise Damaged(f"{self._path}: version {state.version}, this program knows 1: use the newer program")
        return state

    def _keep(self, state: State) -> None:
        put_file(self._disk, self._path.with_suffix(".tmp"), self._path, msgspec.json.encode(state) + b"\n")
        # Only now: an error above must leave us where the disk is.
        self._state = state
