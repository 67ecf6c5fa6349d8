"""The spool keeps what it confirmed, whatever the disk does."""

from __future__ import annotations

import errno
import itertools
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Envelope
from gateway.edge.durable import Disk
from gateway.edge.spool import Spool
from gateway.edge.spool_in import BUFFER, Backlog, Ulids, time_of
from gateway.errors import Damaged, StateError, Temporary
from tests.edge.faults import DeadError, FaultyDisk, PowerCutDisk, build

ENVELOPE = Envelope(
    channel="smtp",
    received_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
    mail_from="grüße@kunde.example",
    rcpt_tos=("support@acme.example", "t-a1@reply.acme.example"),
    helo="mx.kunde.example",
    peer="192.0.2.7",
    tls=True,
)
RAWS = {
    "empty": b"",
    "only a line end": b"\n",
    "an ordinary mail": b"From: a@kunde.example\r\n\r\n{}\r\n",
    "no line end, NUL, 8 bit": b"\x00\xff\n\r\n.\xfe",
    "larger than the buffer": b"0123456789abcde\n" * (BUFFER // 8),
}


@pytest.mark.parametrize("raw", RAWS.values(), ids=RAWS.keys())
def test_a_mail_comes_back_byte_for_byte(tmp_path: Path, raw: bytes) -> None:
    """Through a fresh process too, with its envelope."""
    spool_id = Spool(tmp_path).put(ENVELOPE, raw)
    assert Spool(tmp_path).read(spool_id) == (ENVELOPE, raw)
    assert Spool(tmp_path).raw(spool_id) == raw


@pytest.mark.parametrize(
    "envelope",
    [
        replace(ENVELOPE, mail_from=None, rcpt_tos=()),
        replace(ENVELOPE, channel="submission", login="anna", relay="mx\r\n\u2028"),
    ],
)
def test_an_envelope_never_breaks_its_line(tmp_path: Path, envelope: Envelope) -> None:
    """The null reverse-path stays None, line ends in a value do not end the JSON line."""
    spool = Spool(tmp_path)
    assert spool.read(spool.put(envelope, b"x\r\n")) == (envelope, b"x\r\n")


def test_chunks_add_up(tmp_path: Path) -> None:
    """The writer knows the size of the raw bytes while they come in, and loses none of them."""
    raw = bytes(range(256)) * 3000
    writer = Spool(tmp_path).begin(ENVELOPE)
    for start in range(0, len(raw), 7777):
        writer.write(raw[start : start + 7777])
    assert writer.size == len(raw)
    spool_id = writer.commit()
    assert spool_id == writer.spool_id
    assert Spool(tmp_path).raw(spool_id) == raw


def test_nothing_is_visible_before_commit_or_after_abort(tmp_path: Path) -> None:
    """A mail that is only half there never waits, and an aborted one leaves no file."""
    spool = Spool(tmp_path)
    writer = spool.begin(ENVELOPE)
    writer.write(b"x" * (2 * BUFFER))
    assert spool.waiting() == [] == Spool(tmp_path).waiting()
    writer.abort()
    writer.abort()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="closed"):
        writer.commit()


def test_sweep_deletes_leftovers_and_only_those(tmp_path: Path) -> None:
    """What a killed process left in tmp/ goes, accepted mail stays."""
    spool = Spool(tmp_path)
    spool_id = spool.put(ENVELOPE, b"kept")
    writer = spool.begin(ENVELOPE)
    writer.write(b"x" * (2 * BUFFER))
    assert Spool(tmp_path).sweep() == 1
    assert list((tmp_path / "tmp").iterdir()) == []
    assert Spool(tmp_path).waiting() == [spool_id]


def test_waiting_gives_the_oldest_first(tmp_path: Path) -> None:
    """In the order of their names, not of their commits; limit and skip work together."""
    spool = Spool(tmp_path)
    writers = [spool.begin(ENVELOPE) for _ in range(6)]
    for writer in reversed(writers):
        writer.commit()
    ids = [writer.spool_id for writer in writers]
    for one in (spool, Spool(tmp_path)):
        assert one.waiting() == ids
        assert one.waiting(limit=2) == ids[:2]
        assert one.waiting(limit=3, skip=frozenset({ids[0], ids[2], "elsewhere"})) == [ids[1], ids[3], ids[4]]
        assert one.waiting(skip=frozenset(ids)) == []


def test_finish_moves_to_the_month_and_is_idempotent(tmp_path: Path) -> None:
    """Raw bytes are still found, doing it again is harmless, a lost mail is not passed over."""
    spool = Spool(tmp_path)
    first, second = spool.put(ENVELOPE, b"one"), spool.put(ENVELOPE, b"two")
    spool.finish([first])
    spool.finish([first])
    assert spool.waiting() == [second]
    assert spool.path(first) == tmp_path / "done" / f"{time_of(first):%Y/%m}" / first
    assert spool.raw(first) == b"one"
    assert Spool(tmp_path).read(first) == (ENVELOPE, b"one")
    spool.path(second).unlink()
    with pytest.raises(Damaged, match=f"{second} is missing: restore"):
        spool.finish([second])


def test_quarantine_keeps_mail_and_reason(tmp_path: Path) -> None:
    """A mail set aside no longer waits, can be read, and says why it is there; twice is once."""
    spool = Spool(tmp_path)
    spool_id = spool.put(ENVELOPE, b"odd")
    spool.quarantine(spool_id, "three attempts failed: größer")
    spool.quarantine(spool_id, "four attempts failed")
    assert Spool(tmp_path).waiting() == spool.waiting() == []
    assert spool.raw(spool_id) == b"odd"
    assert (tmp_path / "bad" / f"{spool_id}.why").read_text() == "four attempts failed\n"


def test_backlog_counts_what_waits(tmp_path: Path) -> None:
    """Counters kept in memory equal those of a fresh scan, after every kind of step."""
    spool = Spool(tmp_path)
    assert spool.backlog() == Backlog(count=0, bytes=0, oldest=None)
    ids = [spool.put(ENVELOPE, b"x" * size) for size in (10, 2000, 0)]
    spool.begin(ENVELOPE).abort()
    spool.finish(ids[:1])
    assert spool.backlog() == Spool(tmp_path).backlog()
    assert spool.backlog().count == 2
    assert spool.backlog().oldest == time_of(ids[1])
    assert spool.backlog().bytes == sum(spool.path(i).stat().st_size for i in ids[1:])
    spool.quarantine(ids[1], "odd")
    spool.finish(ids[2:])
    assert spool.backlog() == Backlog(count=0, bytes=0, oldest=None)


def test_free_tells_bytes_and_share_of_inodes(tmp_path: Path) -> None:
    free_bytes, inodes = Spool(tmp_path).free()
    assert free_bytes > 0
    assert 0 < inodes <= 1


def test_many_threads_put_at_once(tmp_path: Path) -> None:
    """Concurrent commits neither lose nor mix mails, and each is announced once."""
    told: list[str] = []

    class Telling(Spool):
        def arrived(self, mails: Sequence[tuple[str, int]]) -> None:
            for spool_id, length in mails:
                assert (tmp_path / "in" / spool_id).stat().st_size == length
                told.append(spool_id)
            super().arrived(mails)

    woken: list[None] = []
    spool = Telling(tmp_path, on_put=lambda: woken.append(None))
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: spool.put(ENVELOPE, b"%d" % n), range(200)))
    assert [spool.raw(spool_id) for spool_id in ids] == [b"%d" % n for n in range(200)]
    assert sorted(told) == sorted(ids) == spool.waiting() == Spool(tmp_path).waiting()
    assert woken


# --- Names ---


@given(st.lists(st.integers(0, 2**47), min_size=1, max_size=50))
def test_ulids_grow_even_when_the_clock_does_not(times: list[int]) -> None:
    """Names sort by arrival within a process whatever the clock does."""
    clock = iter(times)
    ulids = Ulids(clock=lambda: next(clock) * 1_000_000)
    names = [ulids.next() for _ in times]
    assert names == sorted(set(names))
    assert all(re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", name) for name in names)


def test_time_of_reads_what_the_clock_said() -> None:
    when = datetime(2026, 11, 30, 23, 59, 59, 999000, tzinfo=UTC)
    assert time_of(Ulids(clock=lambda: int(when.timestamp() * 1000) * 1_000_000).next()) == when


@pytest.mark.parametrize(
    "name", ["", "x", "../../etc/passwd", "0" * 25, "0" * 27, "8" + "0" * 25, "7" + "Z" * 25, "U" * 26]
)
def test_a_name_that_is_no_ulid_never_reaches_the_file_system(tmp_path: Path, name: str) -> None:
    spool = Spool(tmp_path)
    asks = (spool.raw, spool.read, spool.path, lambda i: spool.finish([i]), lambda i: spool.quarantine(i, ""))
    for ask in asks:
        with pytest.raises(StateError, match="not a spool id"):
            ask(name)


def test_strange_files_in_the_queue_are_left_alone(tmp_path: Path) -> None:
    """An editor's backup copy does not stop the spool."""
    spool_id = Spool(tmp_path).put(ENVELOPE, b"x")
    (tmp_path / "in" / f"{spool_id}~").write_bytes(b"x")
    assert Spool(tmp_path).waiting() == [spool_id]
    assert Spool(tmp_path).backlog().count == 1


# --- Damage ---


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no envelope line"),
        (b'{"version":1}', "no envelope line"),
        (b"{}\nraw", "received_at|channel"),
        (b"\xff\nraw", "JSON|UTF-8|malformed"),
        (
            (b'{"version":2,"channel":"smtp","received_at":"2026-11-23T09:30:00Z","mail_from":null,"rcpt_tos":[]}\n'),
            "version 2",
        ),
    ],
)
def test_a_damaged_entry_says_which_file(tmp_path: Path, content: bytes, why: str) -> None:
    spool = Spool(tmp_path)
    spool_id = spool.put(ENVELOPE, b"x")
    spool.path(spool_id).write_bytes(content)
    with pytest.raises(Damaged, match=why) as caught:
        spool.read(spool_id)
    assert str(tmp_path / "in" / spool_id) in str(caught.value)


def test_a_missing_entry_is_damage(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="missing: restore it from a backup"):
        Spool(tmp_path).raw(Ulids().next())


# --- A failing disk ---

STEPS = ["create", "write", "fsync", "replace", "fsync_dir"]


@pytest.mark.parametrize("size", [10, 2 * BUFFER])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "reply"),
    [
        (errno.ENOSPC, "452 4.3.1 "),
        (errno.EDQUOT, "452 4.3.1 "),
        (errno.EIO, "451 4.3.0 "),
        (errno.EROFS, "451 4.3.0 "),
    ],
)
def test_a_disk_error_is_temporary_and_accepts_nothing(
    tmp_path: Path, step: str, number: int, reply: str, size: int
) -> None:
    """Whatever fails, the peer gets 4xx without our paths, no file stays, nothing waits."""
    Spool(tmp_path)
    told: list[str] = []
    spool = Spool(tmp_path, FaultyDisk(OSError(number, "injected"), only=step), told.append)
    with pytest.raises(Temporary) as caught:
        spool.put(ENVELOPE, b"x" * size)
    assert caught.value.reply.startswith(reply)
    assert str(tmp_path) not in caught.value.reply
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert spool.backlog() == Backlog(count=0, bytes=0, oldest=None)
    assert told == []


def test_an_fsync_error_stops_the_spool_but_a_full_disk_does_not(tmp_path: Path) -> None:
    """After EIO from fsync nothing more is accepted by this process; after ENOSPC it goes on by itself."""
    Spool(tmp_path)
    for step, number, stops in [
        ("fsync", errno.EIO, True),
        ("fsync_dir", errno.EIO, True),
        ("fsync", errno.ENOSPC, False),
        ("write", errno.ENOSPC, False),
        ("create", errno.EIO, False),
    ]:
        disk = FaultyDisk(OSError(number, "injected"), only=step)
        spool = Spool(tmp_path, disk)
        with pytest.raises(Temporary):
            spool.put(ENVELOPE, b"x")
        disk.error = None
        if stops:
            assert spool.broken
            with pytest.raises(Temporary, match=r"^451 4\.3\.0"):
                spool.put(ENVELOPE, b"y")
        else:
            assert spool.broken is None
            assert spool.raw(spool.put(ENVELOPE, b"y")) == b"y"


def test_quarantine_on_a_full_disk_keeps_the_mail_waiting(tmp_path: Path) -> None:
    """The mail is not lost, and the operator reads which file and what to do."""
    spool_id = Spool(tmp_path).put(ENVELOPE, b"odd")
    spool = Spool(tmp_path, FaultyDisk(OSError(errno.ENOSPC, "injected"), only="write"))
    with pytest.raises(StateError, match=f"{spool_id}.why.*make"):
        spool.quarantine(spool_id, "why")
    assert Spool(tmp_path).waiting() == [spool_id]


# --- Crashes ---


def story(spool: Spool, confirmed: dict[str, bytes], raws: list[bytes]) -> None:
    """Three mails come in, the first is finished, the second set aside."""
    for raw in raws:
        confirmed[spool.put(ENVELOPE, raw)] = raw
    first, second, _ = confirmed
    spool.finish([first])
    spool.quarantine(second, "odd")


def check(root: Path, confirmed: dict[str, bytes], raws: list[bytes]) -> None:
    """Every confirmed mail is there whole, nothing waits that is not a whole mail, work can go on."""
    spool = Spool(root)
    spool.sweep()
    assert {spool_id: spool.raw(spool_id) for spool_id in confirmed} == confirmed
    assert all(spool.read(spool_id) in [(ENVELOPE, raw) for raw in raws] for spool_id in spool.waiting())
    assert len(set(spool.waiting()) | set(confirmed)) <= len(confirmed) + 1
    spool.finish(spool.waiting())


def test_killed_at_every_step(tmp_path: Path) -> None:
    """kill -9 before any single operation: a 250 is kept, a mail without one is there at most once."""
    raws = [b"one", b"two" * BUFFER, b"three"]
    for at in itertools.count():
        root = tmp_path / str(at)
        disk = FaultyDisk(DeadError(), at)
        confirmed: dict[str, bytes] = {}
        try:
            story(Spool(root, disk), confirmed, raws)
        except DeadError:
            check(root, confirmed, raws)
        if not disk.hit:
            break
    assert at > 25


def test_power_cut_at_every_step(tmp_path: Path) -> None:
    """Every state that lost, torn, zeroed or nameless unsynced data can leave keeps each 250."""
    raws = [b"one", b"two", b"three"]
    seen = 0
    for at in itertools.count():
        root = tmp_path / str(at)
        Spool(root)
        disk = PowerCutDisk(at)
        confirmed: dict[str, bytes] = {}
        try:
            story(Spool(root, disk), confirmed, raws)
        except DeadError:
            for world in disk.worlds():
                seen += 1
                check(build(world, root, tmp_path / f"{at}-{seen}"), confirmed, raws)
        if not disk.hit:
            break
    assert seen > 100


def test_the_real_disk_makes_names_durable(tmp_path: Path) -> None:
    """mkdir of nested directories syncs each parent, so that a done/ month cannot vanish with its mails."""
    synced: list[Path] = []

    class Watching(Disk):
        def fsync_dir(self, path: Path) -> None:
            synced.append(path)
            super().fsync_dir(path)

    Watching().mkdir(tmp_path / "done" / "2026" / "11")
    assert synced == [tmp_path, tmp_path / "done", tmp_path / "done" / "2026"]
