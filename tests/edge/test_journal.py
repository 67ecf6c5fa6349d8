"""The journal gives back what it confirmed, or says what is damaged; never something else."""

from __future__ import annotations

import errno
import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge.durable import Disk
from gateway.edge.journal import MAGIC, Journal
from gateway.errors import Damaged, StateError
from tests.edge.faults import DeadError, FaultyDisk, PowerCutDisk, build

FRAMES = [(1, b'{"a":1}'), (2, b""), (5, b"\x00" * 40), (6, "größe".encode() * 9), (9, b"last")]


def filled(root: Path, frames: list[tuple[int, bytes]] = FRAMES, segment_bytes: int = 1 << 20) -> Path:
    """A journal with ``frames``; returns its last segment."""
    journal = Journal(root, segment_bytes=segment_bytes)
    for seq, payload in frames:
        journal.append(seq, payload)
    journal.close()
    return max(root.glob("*.log"))


@pytest.mark.parametrize("segment_bytes", [1, 60, 100, 1 << 20])
def test_frames_come_back_in_order(tmp_path: Path, segment_bytes: int) -> None:
    """From the same and from a fresh journal, from any place on, over any number of segments."""
    filled(tmp_path, FRAMES, segment_bytes)
    journal = Journal(tmp_path, segment_bytes=segment_bytes)
    assert journal.last_seq == 9
    for after in range(11):
        assert list(journal.frames(after)) == [(seq, payload) for seq, payload in FRAMES if seq > after]
    journal.append(10, b"more")
    assert list(journal.frames(9)) == [(10, b"more")]


def test_segments_rotate_at_their_size(tmp_path: Path) -> None:
    """No segment exceeds the limit unless a single frame does; names count without gaps."""
    filled(tmp_path, [(n, b"x" * size) for n, size in enumerate([50, 50, 500, 1, 1], 1)], segment_bytes=150)
    sizes = {path.name: path.stat().st_size for path in sorted(tmp_path.iterdir())}
    assert sizes == {"00000001.log": 140, "00000002.log": 520, "00000003.log": 42}


def test_an_empty_journal_starts_at_zero(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "journal")
    assert (journal.last_seq, list(journal.frames(0)), journal.cut) == (0, [], 0)


@pytest.mark.parametrize("seq", [9, 8, 0])
def test_sequence_numbers_only_grow(tmp_path: Path, seq: int) -> None:
    """Also against what an earlier process wrote."""
    filled(tmp_path)
    with pytest.raises(StateError, match=f"frame {seq} after 9"):
        Journal(tmp_path).append(seq, b"x")
    assert Journal(tmp_path).last_seq == 9


def test_threads_append_one_after_the_other(tmp_path: Path) -> None:
    """Concurrent appends never interleave; those that came too late are refused, none is half there."""
    journal = Journal(tmp_path, segment_bytes=500)

    def append(seq: int) -> bool:
        try:
            journal.append(seq, b"%d" % seq * 10)
        except StateError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(append, range(1, 80)))
    expected = [(seq, b"%d" % seq * 10) for seq, ok in enumerate(done, 1) if ok]
    assert list(Journal(tmp_path).frames(0)) == expected
    assert expected[-1][0] == 79


def test_reading_goes_on_while_frames_are_appended(tmp_path: Path) -> None:
    """A reader sees the frames that were confirmed when it reached the segment."""
    journal = Journal(tmp_path)
    journal.append(1, b"one")
    journal.append(2, b"two")
    reader = journal.frames(0)
    assert next(reader) == (1, b"one")
    journal.append(3, b"three")
    assert list(reader) == [(2, b"two")]


# --- Retention ---


def test_drop_before_deletes_only_whole_old_segments(tmp_path: Path) -> None:
    """Frames from ``seq`` on stay, and so does the newest segment whatever is asked."""
    filled(tmp_path, FRAMES, segment_bytes=1)
    journal = Journal(tmp_path, segment_bytes=1)
    assert journal.drop_before(1) == 0
    assert journal.drop_before(5) == 2
    assert list(journal.frames(0)) == FRAMES[2:]
    assert Journal(tmp_path).drop_before(1000) == 2
    assert list(Journal(tmp_path).frames(0)) == FRAMES[4:]
    assert Journal(tmp_path).last_seq == 9


def test_a_segment_with_one_needed_frame_stays(tmp_path: Path) -> None:
    filled(tmp_path, FRAMES)
    assert Journal(tmp_path).drop_before(9) == 0
    assert list(Journal(tmp_path).frames(0)) == FRAMES


# --- Damage ---


def test_a_missing_segment_is_named(tmp_path: Path) -> None:
    filled(tmp_path, FRAMES, segment_bytes=1)
    (tmp_path / "00000003.log").unlink()
    with pytest.raises(Damaged, match=r"00000003\.log is missing.*restore"):
        Journal(tmp_path)


def test_damage_in_an_older_segment_is_found_on_reading(tmp_path: Path) -> None:
    """A torn tail is only forgiven at the end of the last segment."""
    filled(tmp_path, FRAMES, segment_bytes=100)
    first = tmp_path / "00000001.log"
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(Damaged, match=r"00000001\.log: damaged frame at offset 27,.*restore"):
        list(Journal(tmp_path).frames(0))


def test_frames_out_of_order_are_damage(tmp_path: Path) -> None:
    """A segment copied over another one is not read as if it were right."""
    filled(tmp_path, FRAMES, segment_bytes=1)
    (tmp_path / "00000004.log").write_bytes((tmp_path / "00000002.log").read_bytes())
    with pytest.raises(Damaged, match=r"00000004\.log: frame 2 at offset 0 follows frame 5"):
        list(Journal(tmp_path).frames(0))


@pytest.mark.parametrize("tail", [b"\x00", b"\x00" * 5000, MAGIC, MAGIC * 30, b"\xff" * 25, MAGIC + b"\xff" * 30])
def test_a_torn_tail_is_cut_and_writing_goes_on(tmp_path: Path, tail: bytes) -> None:
    """Zero-filled, half-written or rubbish: what was confirmed stays, the rest goes, for good."""
    last = filled(tmp_path)
    whole = last.read_bytes()
    last.write_bytes(whole + tail)
    journal = Journal(tmp_path)
    assert (journal.cut, last.read_bytes()) == (len(tail), whole)
    journal.append(10, b"next")
    assert list(Journal(tmp_path).frames(0)) == [*FRAMES, (10, b"next")]


payloads = st.lists(st.binary(max_size=60), min_size=1, max_size=6).map(lambda found: list(enumerate(found, 1)))


@settings(deadline=None)
@given(payloads, st.data())
def test_any_truncation_gives_a_prefix(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """Cut the last segment anywhere: the frames before the cut, no exception, and a usable journal."""
    with tempfile.TemporaryDirectory() as name:
        last = filled(Path(name), frames, data.draw(st.sampled_from([1, 90, 1 << 20])))
        whole = last.read_bytes()
        size = data.draw(st.integers(0, len(whole)))
        last.write_bytes(whole[:size])
        journal = Journal(Path(name))
        found = list(journal.frames(0))
        assert found == frames[: len(found)]
        assert journal.last_seq == (found[-1][0] if found else 0)
        journal.append(journal.last_seq + 1, b"next")
        assert list(Journal(Path(name)).frames(0)) == [*found, (journal.last_seq, b"next")]


@settings(deadline=None)
@given(payloads, st.data())
def test_any_bit_flip_is_damage_or_a_lost_last_frame(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """A flip before the last frame is told; one in the last frame loses at most that frame."""
    with tempfile.TemporaryDirectory() as name:
        last = filled(Path(name), frames)
        content = bytearray(last.read_bytes())
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        last.write_bytes(content)
        start_of_last = len(content) - 20 - len(frames[-1][1])
        if bit // 8 < start_of_last:
            with pytest.raises(Damaged, match=r"00000001\.log: damaged frame at offset"):
                Journal(Path(name))
            assert last.read_bytes() == content, "evidence is not touched"
        else:
            assert list(Journal(Path(name)).frames(0)) == frames[:-1]


# --- A failing disk ---


@pytest.mark.parametrize("step", ["fsync", "fsync_dir"])
def test_an_fsync_error_is_final(tmp_path: Path, step: str) -> None:
    """No append is confirmed after it, though the disk seems well again; a new process may."""
    disk = FaultyDisk()
    journal = Journal(tmp_path, disk, segment_bytes=1)
    journal.append(1, b"one")
    disk.error, disk.only = OSError(errno.EIO, "injected"), step
    with pytest.raises(StateError, match=r"frame 2 not written.*injected.*restart"):
        journal.append(2, b"two")
    disk.error = None
    with pytest.raises(StateError, match=r"fsync of .* failed.*restart"):
        journal.append(2, b"two")
    assert journal.broken
    assert journal.last_seq == 1
    again = Journal(tmp_path)
    again.append(again.last_seq + 1, b"next")
    assert next(again.frames(0)) == (1, b"one")


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_a_full_disk_passes(tmp_path: Path, segment_bytes: int) -> None:
    """The half frame is taken back, and once there is room the same append succeeds."""
    disk = FaultyDisk()
    journal = Journal(tmp_path, disk, segment_bytes=segment_bytes)
    journal.append(1, b"one" * 20)
    disk.error, disk.only = OSError(errno.ENOSPC, "injected"), "write"
    for _ in range(2):
        with pytest.raises(StateError, match="make room"):
            journal.append(2, b"two" * 20)
    assert list(journal.frames(0)) == list(Journal(tmp_path).frames(0)) == [(1, b"one" * 20)]
    disk.error = None
    journal.append(2, b"two" * 20)
    assert list(Journal(tmp_path).frames(0)) == [(1, b"one" * 20), (2, b"two" * 20)]


def test_a_half_frame_that_cannot_be_taken_back_is_final(tmp_path: Path) -> None:
    """Appending behind it would turn a torn tail into damage in the middle."""

    class Stuck(FaultyDisk):
        def truncate(self, fd: int, size: int) -> None:
            raise OSError(errno.EIO, "injected")

    disk = Stuck()
    journal = Journal(tmp_path, disk)
    journal.append(1, b"one")
    disk.error, disk.only = OSError(errno.ENOSPC, "injected"), "write"
    with pytest.raises(StateError):
        journal.append(2, b"two")
    disk.error = None
    with pytest.raises(StateError, match="half a frame"):
        journal.append(2, b"two")
    assert list(Journal(tmp_path).frames(0)) == [(1, b"one")]


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, b"one")
    journal.close()
    with pytest.raises(StateError, match="closed"):
        journal.append(2, b"two")


def story(root: Path, disk: Disk, confirmed: list[tuple[int, bytes]]) -> None:
    """Frames over several segments, then the old ones are dropped."""
    journal = Journal(root, disk, segment_bytes=70)
    for seq, payload in FRAMES:
        journal.append(seq, payload)
        confirmed.append((seq, payload))
    journal.drop_before(6)
    disk.fsync_dir(root)  # One more step, so that dying right after the last one is tried too.


def check(root: Path, confirmed: list[tuple[int, bytes]]) -> None:
    """What is found ends with all that was confirmed, or one frame later, and starts where it may."""
    journal = Journal(root)
    found = list(journal.frames(0))
    assert found == FRAMES[len(FRAMES) - len(found) :][: len(found)] or found == FRAMES[: len(found)]
    needed = [frame for frame in confirmed if frame[0] >= (6 if len(confirmed) == len(FRAMES) else 0)]
    assert all(frame in found for frame in needed)
    assert len(found) <= len(confirmed) + 1
    journal.append(journal.last_seq + 1, b"next")


def test_killed_or_unpowered_at_every_step(tmp_path: Path) -> None:
    """Each state that kill -9 or a power cut can leave opens, and keeps every confirmed frame."""
    seen = 0
    for at in itertools.count():
        root = tmp_path / str(at)
        root.mkdir()
        disk = PowerCutDisk(at)
        confirmed: list[tuple[int, bytes]] = []
        try:
            story(root, disk, confirmed)
        except DeadError:
            worlds = list(disk.worlds())
            check(root, confirmed)
            for world in worlds:
                seen += 1
                (tmp_path / f"{at}-{seen}").mkdir()
                check(build(world, root, tmp_path / f"{at}-{seen}"), confirmed)
        if not disk.hit:
            break
    assert seen > 60
