"""The one writer: every change goes through the journal first, then into the store, on one thread.

A frame that is in the journal is decided for ever. If the store cannot take it, the process ends
with exit code 75 and start-up applies the frame; it is never decided again (decision 4).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import ParamSpec, TypeVar

from gateway.core.directory import Directory, effective
from gateway.core.policy import Policy
from gateway.core.rows import Delivery, Rows
from gateway.edge import frames
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import StateError

QUIET = 5.0     # seconds without a frame
ASK_SECONDS = 30.0
P = ParamSpec("P")
T = TypeVar("T")


class Bookkeeper:
    """Journal and store behind a thread of their own."""

    def __init__(self, spool: Spool, journal: Journal, store: Store) -> None:
        self.spool, self.journal, self.store = spool, journal, store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._written = 0.0             # when the last frame was written (monotonic), 0 if nothing since a checkpoint
        self._policy: tuple[Policy, Directory, Policy] | None = None
        self.on_queued: Callable[[tuple[Delivery, ...]], None] = lambda states: None

    async def on_writer(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job`` on the writer thread; it is not cut off by a cancelled caller."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, lambda: job(*args, **kwargs))
        return await asyncio.shield(future)

    def ask(self, job: Callable[[], T], seconds: float | None = ASK_SECONDS) -> T:
        """Run ``job`` on the writer thread and wait for it; for threads beside the event loop. None: however long it takes."""
        return self._thread.submit(job).result(seconds)

    def policy(self, configured: Policy) -> Policy:
        """``configured`` with the agents, teams and organisations of the directory, as of the last frame.

        Made anew only when one of the two is another: no query and no copy for a batch that changes nothing.
        """
        directory, known = self.store.directory, self._policy
        if known is None or known[0] is not configured or known[1] is not directory:
            known = self._policy = (configured, directory, effective(configured, directory))
        return known[2]

    def write(self, rows: Rows, raws: Mapping[str, bytes], *, now: datetime, cause: str) -> int:
        """Journal, then store; only on the writer thread. Returns the frame's number.

        Raises StateError when either refuses: the caller must stop, not retry.
        """
        seq = max(self.journal.last_seq, self.store.applied_seq) + 1
        self.journal.append(seq, frames.encode(rows, at=now, cause=cause))
        self.store.write(seq, rows, raws)
        self.on_queued(rows.deliveries)
        self._written = time.monotonic()
        return seq

    def rest(self) -> None:
        """Fold the write-ahead log away in a quiet moment: inside a commit it would hold up the mail behind it."""
        if self._written and time.monotonic() - self._written >= QUIET:
            self._written = 0.0 if self.store.checkpoint() else self._written

    def catch_up(self) -> int:
        """Apply the frames that the store has not seen. Nothing is decided, nothing is sent."""
        if self.store.applied_seq > self.journal.last_seq > 0:
            raise StateError(
                f"the database is at frame {self.store.applied_seq}, the journal ends at {self.journal.last_seq}: "
                "put the newer journal back, or run `mailwicket restore`"
            )
        count = 0
        for seq, payload in self.journal.frames(self.store.replay_from):
            self.store.replay(seq, frames.decode(payload), self.spool.raw)
            count += 1
        self.store.settle()
        return count

    def fetch(self, spool_id: str, month: str) -> bytes:
        """Raw bytes of a stored mail: from the spool while it keeps them, else from the mail file."""
        try:
            return self.spool.raw(spool_id)
        except StateError:
            return self.store.raw(spool_id, month)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self.journal.close()
        self.store.close()
