"""The redo journal: what was decided, fsynced before the database is told.

A directory of segments ``NNNNNNNN.log``, numbered without gaps; a segment is a row of frames:

    magic 4 | length u32 | seq u64 | crc32 u32 | payload        (big-endian; crc over seq and payload)

Sequence numbers only grow. A crash can tear only the last frame of the last segment, since each
frame is fsynced before the next is begun: what is broken there, with nothing valid behind it, was
never confirmed and is cut off. Anything else that does not read back is damage, and is told with
file, offset and remedy instead of being skipped.

Limits: payloads below 4 GiB; a bit flip in the very last frame cannot be told from a torn write.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import mmap
import os
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.edge.durable import DISK, FULL, Disk
from gateway.errors import Damaged, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# 0xF5 never occurs in UTF-8, so no JSON payload can hold what looks like a frame.
MAGIC = b"\xf5MWJ"
SEGMENT_BYTES = 64 * 1024 * 1024
_HEAD = struct.Struct(">4sIQI")
_SEQ = struct.Struct(">Q")
_REMEDY = "stop, keep a copy of this directory, and restore journal/ and the database from the newest backup"


@dataclass(slots=True)
class _Segment:
    path: Path
    number: int
    first: int | None  # sequence number of the first frame, None while there is none


def _frame(seq: int, payload: bytes) -> bytes:
    return _HEAD.pack(MAGIC, len(payload), seq, _crc(seq, payload)) + payload


def _crc(seq: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_SEQ.pack(seq)))


def _frame_at(data: bytes | mmap.mmap, offset: int, end: int) -> tuple[int, bytes] | None:
    """The valid frame that starts at ``offset``, or None."""
    body = offset + _HEAD.size
    if body > end:
        return None
    magic, length, seq, crc = _HEAD.unpack_from(data, offset)
    if magic != MAGIC or body + length > end:
        return None
    payload = data[body : body + length]
    return (seq, payload) if _crc(seq, payload) == crc else None


def _valid_behind(data: bytes | mmap.mmap, offset: int, end: int) -> bool:
    """Whether any valid frame starts after ``offset``."""
    place = data.find(MAGIC, offset + 1, end)
    while place >= 0:
        if _frame_at(data, place, end):
            return True
        place = data.find(MAGIC, place + 1, end)
    return False


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # An empty file cannot be mapped.
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


class Journal:
    """The journal in directory ``root``. Opening it cuts a torn tail off; ``cut`` says how many bytes.

    One process owns the directory. ``append`` may be called from any thread. ``broken`` is set
    when an fsync failed: the journal then refuses every further append until a new process opens
    it, because only reading it back tells what is on the disk.
    """

    def __init__(self, root: Path, disk: Disk = DISK, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.root, self.disk, self.segment_bytes = root, disk, segment_bytes
        self.broken: str | None = None
        self.cut = 0
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._size = 0  # confirmed bytes of the last segment
        self._last_seq = 0
        try:
            disk.mkdir(root)
            self._segments = self._find()
            if self._segments:
                self._recover()
        except OSError as error:
            raise StateError(f"{root}: {error}: make the directory readable and writable") from error

    @property
    def last_seq(self) -> int:
        """Sequence number of the newest frame, 0 if there is none."""
        return self._last_seq

    def append(self, seq: int, payload: bytes) -> None:
        """Write one frame; it is durable on return. StateError: it is not, and nothing was confirmed."""
        with self._lock:
            if self.broken:
                raise StateError(f"{self.root}: {self.broken}: check the disk and restart")
            if seq <= self._last_seq:
                raise StateError(f"{self.root}: frame {seq} after {self._last_seq}: restart to read anew")
            frame = _frame(seq, payload)
            try:
                self._write(frame)
            except OSError as error:
                remedy = "check the disk and restart" if self.broken else "make room on the disk"
                raise StateError(f"{self.root}: frame {seq} not written: {error}: {remedy}") from error
            if self._segments[-1].first is None:
                self._segments[-1].first = seq
            self._last_seq = seq
            self._size += len(frame)

    def frames(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Frames with a sequence number above ``after``, in order; every one is checked again."""
        with self._lock:
            segments = [(s.path, s.first) for s in self._segments]
            confirmed = self._size
        previous = 0
        for index, (path, _) in enumerate(segments):
            later = [first for _, first in segments[index + 1 :] if first is not None]
            if later and later[0] <= after + 1:
                continue  # All of this segment's frames are before the next one's first.
            with _mapped(path) as data:
                # A frame that is being appended right now lies beyond the confirmed bytes.
                end = confirmed if index == len(segments) - 1 else len(data)
                for seq, payload in self._walk(path, data, end, previous):
                    previous = seq
                    if seq > after:
                        yield seq, payload

    def digest(self, seq: int) -> str:
        """SHA-256 of the payload of frame ``seq``, "" if it is not here: tells two futures of one past apart."""
        found = next(self.frames(seq - 1), None)
        return hashlib.sha256(found[1]).hexdigest() if found and found[0] == seq else ""

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        with self._lock:
            paths = [s.path for s in self._segments]
        return sum(path.stat().st_size for path in paths if path.exists())

    def drop_before(self, seq: int) -> int:
        """Delete the segments that hold only frames below ``seq``; returns how many.

        The newest frame's segment always stays, so ``last_seq`` survives a restart.
        """
        dropped = 0
        with self._lock:
            try:
                while len(self._segments) > 1:
                    following = self._segments[1].first
                    if following is None or following > seq:
                        break
                    # One at a time and durable, so that a power cut cannot leave a gap.
                    self.disk.unlink(self._segments[0].path)
                    self.disk.fsync_dir(self.root)
                    del self._segments[0]
                    dropped += 1
            except OSError as error:
                raise StateError(f"{self._segments[0].path}: {error}: delete it by hand") from error
        return dropped

    def close(self) -> None:
        with self._lock:
            if self._fd is not None:
                fd, self._fd = self._fd, None
                self.disk.close(fd)
            self.broken = self.broken or "the journal is closed"

    # --- Opening ---

    def _find(self) -> list[_Segment]:
        paths = sorted(path for path in self.root.glob("*.log") if path.stem.isdecimal())
        segments = [_Segment(path, int(path.stem), None) for path in paths]
        for before, segment in itertools.pairwise(segments):
            if segment.number != before.number + 1:
                missing = self.root / f"{before.number + 1:08}.log"
                raise Damaged(f"{missing} is missing, {segment.path.name} follows: {_REMEDY}")
        for segment in segments:
            with _mapped(segment.path) as data:
                found = _frame_at(data, 0, len(data))
                segment.first = found[0] if found else None
        return segments

    def _recover(self) -> None:
        """Check the last segment and cut its torn tail; find the newest sequence number."""
        last = self._segments[-1]
        self._fd = self.disk.extend(last.path)
        with _mapped(last.path) as data:
            size = len(data)
            end = self._sound_end(last.path, data)
            for seq, _ in self._walk(last.path, data, end, 0):
                self._last_seq = seq
        if end < size:
            self.disk.truncate(self._fd, end)
        # Also without a cut: a killed process may have left a whole frame that was never fsynced,
        # and what is read from now on must not vanish later.
        self.disk.fsync(self._fd)
        self._size, self.cut = end, size - end
        if not end and len(self._segments) > 1:
            # A crash right after a rotation: the newest frame stands one segment earlier.
            path = self._segments[-2].path
            with _mapped(path) as data:
                for seq, _ in self._walk(path, data, len(data), 0):
                    self._last_seq = seq

    def _sound_end(self, path: Path, data: bytes | mmap.mmap) -> int:
        """Where the last valid frame ends; Damaged if a valid one stands behind a broken one."""
        offset, end = 0, len(data)
        while found := _frame_at(data, offset, end):
            offset += _HEAD.size + len(found[1])
        if offset < end and _valid_behind(data, offset, end):
            raise self._damage(path, offset)
        return offset

    def _walk(self, path: Path, data: bytes | mmap.mmap, end: int, previous: int) -> Iterator[tuple[int, bytes]]:
        """Every frame up to ``end``; Damaged at the first that is broken or out of order."""
        offset = 0
        while offset < end:
            found = _frame_at(data, offset, end)
            if found is None:
                raise self._damage(path, offset)
            seq, payload = found
            if seq <= previous:
                raise Damaged(f"{path}: frame {seq} at offset {offset} follows frame {previous}: {_REMEDY}")
            yield seq, payload
            previous = seq
            offset += _HEAD.size + len(payload)

    def _damage(self, path: Path, offset: int) -> Damaged:
        return Damaged(f"{path}: damaged frame at offset {offset}, with more behind it: {_REMEDY}")

    # --- Writing ---

    def _write(self, frame: bytes) -> None:
        if self._fd is None or (self._size and self._size + len(frame) > self.segment_bytes):
            self._rotate()
        assert self._fd is not None
        try:
            self.disk.write(self._fd, frame)
        except OSError as error:
            self._take_back(error)
            raise
        try:
            self.disk.fsync(self._fd)
        except OSError as error:
            self.broken = f"fsync of {self._segments[-1].path.name} failed: {error}"
            raise

    def _take_back(self, error: OSError) -> None:
        """Cut a half-written frame off, so that appending can go on once there is room."""
        assert self._fd is not None
        try:
            self.disk.truncate(self._fd, self._size)
        except OSError:
            self.broken = f"{self._segments[-1].path.name} ends with half a frame: {error}"
            return
        if error.errno not in FULL:
            self.broken = f"write to {self._segments[-1].path.name} failed: {error}"

    def _rotate(self) -> None:
        number = self._segments[-1].number + 1 if self._segments else 1
        path = self.root / f"{number:08}.log"
        fd = self.disk.create(path)
        try:
            self.disk.fsync_dir(self.root)
        except OSError as error:
            self.disk.close(fd)
            self.broken = f"fsync of the directory failed: {error}"
            raise
        if self._fd is not None:
            self.disk.close(self._fd)
        self._fd, self._size = fd, 0
        self._segments.append(_Segment(path, number, None))
