"""Mails that share a flush: each is told 250 only after a flush that began when its name was there."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.model import Envelope
from gateway.edge.durable import Disk
from gateway.edge.spool import Spool
from gateway.edge.spool_commit import GroupCommit
from gateway.edge.spool_in import SpoolWriter
from gateway.errors import Temporary
from tests.edge.door import HEADER, START, opened, stored, visit
from tests.edge.faults import FaultyDisk

ENVELOPE = Envelope(
    channel="smtp", received_at=datetime(2026, 11, 23, tzinfo=UTC), mail_from=None, rcpt_tos=("support@acme.example",)
)


class GatedDisk(Disk):
    """Stops at every flush of in/ until it is let on; ``failures`` are raised by the first flushes."""

    def __init__(self, *failures: OSError) -> None:
        self.failures = list(failures)
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.flushes: list[frozenset[str]] = []  # the names that stood in in/ when each began

    def fsync_dir(self, path: Path) -> None:
        if path.name == "in":
            self.flushes.append(frozenset(one.name for one in path.iterdir()))
            self.begun.release()
            assert self.go_on.acquire(timeout=20)
            if self.failures:
                raise self.failures.pop(0)
        super().fsync_dir(path)


def _write(spool: Spool, raw: bytes) -> SpoolWriter:
    writer = spool.begin(ENVELOPE)
    writer.write(raw)
    writer.place()
    return writer


async def _in_flight(group: GroupCommit, spool: Spool, names: int, first: int = 0) -> list[asyncio.Future[str]]:
    """So many commits, begun, and every name of theirs in in/."""
    told = [group.commit(lambda n=n: _write(spool, b"%d" % n)) for n in range(first, first + names)]  # type: ignore[misc]
    while len(list((spool.root / "in").iterdir())) < first + names:
        await asyncio.sleep(0.01)
    return told


async def test_mails_that_came_during_a_flush_share_the_next_one(tmp_path: Path) -> None:
    """One flush for the first mail, one for the eleven that were renamed meanwhile, none unanswered or too early."""
    disk = GatedDisk()
    spool = Spool(tmp_path, disk)
    with ThreadPoolExecutor(4) as threads:
        group = GroupCommit(spool, threads, 4)
        first = await _in_flight(group, spool, 1)
        assert await asyncio.to_thread(disk.begun.acquire, timeout=20)
        others = await _in_flight(group, spool, 11, first=1)
        assert not any(one.done() for one in first + others)
        assert spool.waiting() == []
        disk.go_on.release()
        assert await first[0] in disk.flushes[0]
        assert await asyncio.to_thread(disk.begun.acquire, timeout=20)
        assert not any(one.done() for one in others)
        disk.go_on.release()
        ids = await asyncio.gather(*others)
    assert set(ids) <= disk.flushes[1]
    assert len(disk.flushes) == 2
    assert [spool.raw(spool_id) for spool_id in ids] == [b"%d" % n for n in range(1, 12)]
    assert spool.waiting() == sorted([*ids, first[0].result()]) == Spool(tmp_path).waiting()


async def test_a_failed_flush_refuses_all_who_shared_it_and_all_after(tmp_path: Path) -> None:
    """The next flush would succeed and prove nothing: the kernel may have dropped what the first one lost."""
    disk = GatedDisk(OSError(errno.EIO, "lost"))
    spool = Spool(tmp_path, disk)
    with ThreadPoolExecutor(4) as threads:
        group = GroupCommit(spool, threads, 4)
        told = await _in_flight(group, spool, 1)
        assert await asyncio.to_thread(disk.begun.acquire, timeout=20)
        told += await _in_flight(group, spool, 5, first=1)
        for _ in range(3):
            disk.go_on.release()
        answers = await asyncio.gather(*told, return_exceptions=True)
        with pytest.raises(Temporary):
            await group.commit(lambda: _write(spool, b"later"))
    assert [type(one) for one in answers] == [Temporary] * 6
    assert spool.broken
    assert spool.waiting() == [] == list((tmp_path / "in").iterdir())


async def test_a_mail_that_fails_alone_takes_nobody_with_it(tmp_path: Path) -> None:
    """A full disk while one mail is written, a bug while another is: the third one is stored."""
    spool, full = Spool(tmp_path / "good"), Spool(tmp_path / "full", FaultyDisk(OSError(errno.ENOSPC, "full"), only="write"))

    def bug() -> SpoolWriter:
        raise RuntimeError("ours")

    with ThreadPoolExecutor(1) as threads:
        group = GroupCommit(spool, threads, 1)
        told = [group.commit(lambda: _write(full, b"x")), group.commit(bug), group.commit(lambda: _write(spool, b"x"))]
        answers = await asyncio.gather(*told, return_exceptions=True)
    assert [type(one) for one in answers] == [Temporary, RuntimeError, str]
    assert spool.waiting() == [answers[2]]


async def test_who_stops_listening_does_not_stop_the_mail(tmp_path: Path) -> None:
    """Cancelled in every state of a commit: waiting for a thread, and in the middle of the flush."""
    disk = GatedDisk()
    spool = Spool(tmp_path, disk)
    with ThreadPoolExecutor(1) as threads:
        group = GroupCommit(spool, threads, 1)
        flushing = group.commit(lambda: _write(spool, b"flushing"))
        assert await asyncio.to_thread(disk.begun.acquire, timeout=20)
        queued = group.commit(lambda: _write(spool, b"queued"))
        flushing.cancel()
        queued.cancel()
        disk.go_on.release()
        disk.go_on.release()
        await asyncio.to_thread(threads.shutdown)
    assert sorted(spool.raw(spool_id) for spool_id in spool.waiting()) == [b"flushing", b"queued"]


def test_a_loop_that_is_gone_leaves_the_mail_stored(tmp_path: Path) -> None:
    """The service was stopped the hard way while a thread was at work: no mail behind it is held up."""
    disk = GatedDisk()
    spool = Spool(tmp_path, disk)
    with ThreadPoolExecutor(1) as threads:

        async def leave() -> None:
            group = GroupCommit(spool, threads, 1)
            for n in range(3):
                group.commit(lambda n=n: _write(spool, b"%d" % n))  # type: ignore[misc]

        asyncio.run(leave())
        for _ in range(3):
            disk.go_on.release()
    assert len(spool.waiting()) == 3


async def test_after_the_threads_are_gone_a_commit_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    """Nothing waits for a thread that will never come."""
    spool = Spool(tmp_path)
    threads = ThreadPoolExecutor(1)
    group = GroupCommit(spool, threads, 1)
    threads.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            group.commit(lambda: _write(spool, b"x"))


async def test_peers_that_end_together_share_a_flush(tmp_path: Path) -> None:
    """Through the door: twelve connections, far fewer flushes, and a 250 only for what a flush has covered."""
    disk = GatedDisk()
    async with opened(tmp_path, disk=disk) as door:
        peers = [await visit(door) for _ in range(12)]
        for peer in peers:
            await peer.send(START + b"DATA\r\n" + HEADER + b".\r\n")
        while len(list((tmp_path / "in").iterdir())) < len(peers):
            await asyncio.sleep(0.01)
        for _ in peers:
            disk.go_on.release()
        for peer in peers:
            replies = [await peer.reply() for _ in range(5)]
            code, _, spool_id = replies[-1].rpartition(" ")
            assert code == "250 2.0.0"
            assert any(spool_id in flush for flush in disk.flushes)
    assert len(disk.flushes) == 2
    assert len(stored(tmp_path)) == len(peers)
