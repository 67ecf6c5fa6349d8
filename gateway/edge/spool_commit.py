"""Mails that end at about the same time become durable together, and the event loop is told once.

Each mail is written, fsynced and renamed by a thread of its own, so that the disk can serve many
fsyncs with one flush. Whoever then finds nobody flushing in/ does it for all names that stand there
by then; the others go on to the next mail instead of waiting. What a mail costs here is mostly
threads handing Python's lock to each other, so there are no futures, events or wake-ups a mail
that a batch can share.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor

from gateway.edge.spool_in import Inlet, SpoolId, SpoolWriter

Write = Callable[[], SpoolWriter]  # everything up to the rename; raises what commit() raises
_Told = asyncio.Future[SpoolId]


class GroupCommit:
    """Commits the mails of one event loop. Limit: at most ``width`` threads of ``threads`` at a time."""

    def __init__(self, spool: Inlet, threads: Executor, width: int) -> None:
        self._spool, self._threads, self._width = spool, threads, width
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._jobs: collections.deque[tuple[Write, _Told]] = collections.deque()
        self._running = 0
        self._placed: list[tuple[SpoolWriter, _Told]] = []
        self._flushing = False
        self._answers: list[tuple[_Told, SpoolId | Exception]] = []

    def commit(self, write: Write) -> asyncio.Future[SpoolId]:
        """Done when the mail is durable, or refused. Cancelling it only makes us not listen: the job runs."""
        told = self._loop.create_future()
        with self._lock:
            if self._running < self._width:
                self._threads.submit(self._run)
                self._running += 1
            self._jobs.append((write, told))
        return told

    def _run(self) -> None:
        """Take jobs until there are none."""
        while True:
            with self._lock:
                if not self._jobs:
                    self._running -= 1
                    return
                write, told = self._jobs.popleft()
            try:
                writer = write()
            except Exception as error:  # noqa: BLE001  # whatever it is, the peer's connection answers it
                self._tell([(told, error)])
            else:
                self._flush(writer, told)

    def _flush(self, writer: SpoolWriter, told: _Told) -> None:
        """One flush of in/ for every name that is there before it begins."""
        with self._lock:
            self._placed.append((writer, told))
            if self._flushing:
                return
            self._flushing = True
        while True:
            with self._lock:
                batch, self._placed = self._placed, []
                if not batch:
                    self._flushing = False
                    return
            try:
                self._spool.settle([one for one, _ in batch])
            except Exception as error:  # noqa: BLE001  # as above
                self._tell([(each, error) for _, each in batch])
            else:
                self._tell([(each, one.spool_id) for one, each in batch])

    def _tell(self, answers: list[tuple[_Told, SpoolId | Exception]]) -> None:
        with self._lock:
            first = not self._answers
            self._answers += answers
        if first:
            # A closed loop has no connections left to answer: then the mail is stored unanswered.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        with self._lock:
            answers, self._answers = self._answers, []
        for told, answer in answers:
            if told.done():
                continue
            if isinstance(answer, Exception):
                told.set_exception(answer)
            else:
                told.set_result(answer)
