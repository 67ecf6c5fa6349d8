"""Disks that fail, die or forget; the only fakes that storage tests use.

``FaultyDisk`` raises at its N-th operation. ``PowerCutDisk`` works on real files and keeps a model
of what a power cut may leave of them: unsynced data may be lost, torn or zero-filled, unsynced
names may be missing, in any combination; a rename is atomic (gateway/edge/durable.py says so).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.edge.durable import Disk


class DeadError(BaseException):
    """The process was killed here: nothing of it runs on, so no ``except Exception`` may see it."""


class FaultyDisk(Disk):
    """Raises ``error`` at operation number ``at`` (from 0), or at every call of the operation ``only``.

    A DeadError comes again at every later operation: a dead process does not clean up.
    """

    def __init__(self, error: BaseException | None = None, at: int = -1, only: str = "") -> None:
        self.error, self.at, self.only, self.count, self.hit = error, at, only, 0, False

    def _step(self, name: str) -> None:
        number, self.count = self.count, self.count + 1
        dead = isinstance(self.error, DeadError) and self.hit
        if self.error and (dead or number == self.at or name == self.only):
            self.hit = True
            raise self.error

    def create(self, path: Path) -> int:
        self._step("create")
        return super().create(path)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        try:
            self._step("write")
        except BaseException:
            super().write(fd, bytes(data)[: len(data) // 2])  # A failed write may leave a part.
            raise
        super().write(fd, data)

    def fsync(self, fd: int) -> None:
        self._step("fsync")
        super().fsync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        self._step("replace")
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._step("fsync_dir")
        super().fsync_dir(path)


@dataclass
class _Inode:
    current: bytes = b""
    synced: bytes = b""

    def remains(self) -> dict[str, bytes]:
        """What may be on the platter after the cut, by manner of loss."""
        tail = len(self.current) - len(self.synced)
        return {
            "written": self.current,
            "lost": self.synced,
            "torn": self.synced + self.current[len(self.synced) :][: tail // 2] if tail > 0 else self.synced,
            "zeroed": self.synced + bytes(max(tail, 0)),
        }


class PowerCutDisk(FaultyDisk):
    """Dies at operation ``at``; then ``worlds()`` gives every state the next start may find."""

    def __init__(self, at: int) -> None:
        super().__init__(DeadError(), at)
        self.names: dict[Path, _Inode] = {}
        self.pending: list[tuple[frozenset[Path], Path | None, Path | None, _Inode]] = []
        self.durable: dict[Path, _Inode] = {}
        self.files: dict[int, _Inode] = {}

    def create(self, path: Path) -> int:
        fd = super().create(path)
        inode = self.files[fd] = self.names[path] = _Inode()
        self.pending.append((frozenset({path.parent}), None, path, inode))
        return fd

    def extend(self, path: Path) -> int:
        fd = super().extend(path)
        self.files[fd] = self.names[path]
        return fd

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> None:
        self.files[fd].current += bytes(data)
        super().write(fd, data)

    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        self.files[fd].synced = self.files[fd].current

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self.files[fd].current = self.files[fd].current[:size]

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        inode = self.names[target] = self.names.pop(source)
        self.pending.append((frozenset({source.parent, target.parent}), source, target, inode))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.pending.append((frozenset({path.parent}), path, None, self.names.pop(path)))

    def fsync_dir(self, path: Path) -> None:
        super().fsync_dir(path)
        for change in [change for change in self.pending if path in change[0]]:
            self._apply(self.durable, change)
            self.pending.remove(change)

    @staticmethod
    def _apply(names: dict[Path, _Inode], change: tuple[frozenset[Path], Path | None, Path | None, _Inode]) -> None:
        _, removed, added, inode = change
        if removed is not None:
            names.pop(removed, None)
        if added is not None:
            names[added] = inode

    def worlds(self) -> Iterator[dict[Path, bytes]]:
        for kept in itertools.product((False, True), repeat=len(self.pending)):
            names = dict(self.durable)
            for change in itertools.compress(self.pending, kept):
                self._apply(names, change)
            for manner in ("written", "lost", "torn", "zeroed"):
                yield {path: inode.remains()[manner] for path, inode in names.items()}


def build(world: dict[Path, bytes], old: Path, new: Path) -> Path:
    """Lay ``world``, whose paths are below ``old``, out below ``new``."""
    for path, content in world.items():
        target = new / path.relative_to(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return new
