"""Who is inside, over all processes that hold one door open.

Each process has a row of cells in memory they share, writes its own row only, and adds up all of them
to read: nothing is locked. The cell of a name is chosen by a keyed hash, so two networks that
share one (1 in 65,536) share a limit, and nobody can choose to.
"""

from __future__ import annotations

import hashlib
import mmap

CELLS = 1 << 16
_BYTES = 2      # a cell; more connections than that no process can have


def size(processes: int) -> int:
    """Octets of memory that ``processes`` share."""
    return processes * CELLS * _BYTES


class Crowd:
    """Counts names; ``row`` is the number of this process among those that share ``memory``."""

    def __init__(self, memory: mmap.mmap | bytearray | None = None, row: int = 0, salt: bytes = b"") -> None:
        cells = memoryview(bytearray(size(1)) if memory is None else memory).cast("H")
        self._rows = [cells[at:at + CELLS] for at in range(0, len(cells), CELLS)]
        self._mine, self._salt = self._rows[row], salt

    def enter(self, *names: str) -> None:
        for name in names:
            self._mine[self._cell(name)] += 1

    def leave(self, *names: str) -> None:
        for name in names:
            self._mine[self._cell(name)] -= 1

    def count(self, name: str) -> int:
        cell = self._cell(name)
        return sum(row[cell] for row in self._rows)

    def _cell(self, name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=2, key=self._salt).digest(), "big")
