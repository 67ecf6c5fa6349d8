"""Opens pending tickets when their time has come; later timers (SLA) have their place here.

What is due is read from the store at each look, so nothing is missed by a desk that was off, and nothing is
done twice: the ticket is pending no more. Limits: MOST tickets a look; a moment is met to within LOOK seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from gateway.books import Bookkeeper
from gateway.core.context import Needs, absorb
from gateway.core.rows import Rows
from gateway.core.woken import CAUSE
from gateway.pipeline import Rooms, decide_woken, joined

LOOK = 20.0     # seconds between two looks
MOST = 200      # tickets in one frame
log = structlog.get_logger("waker")


class Waker:
    """``run`` until ``stop``."""

    def __init__(
        self, books: Bookkeeper, rooms: Rooms, *, look: float = LOOK, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.books, self.rooms, self.now, self._look = books, rooms, now, look
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), self._look)
            except TimeoutError:
                await self.books.on_writer(self.look)

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> int:
        """On the writer thread: open what is due; returns how many."""
        now = self.now()
        due = self.books.store.due(now, MOST)
        if not due:
            return 0
        rooms = self.rooms.under(self.books.policy(self.rooms.policy))
        addresses = frozenset(agent.address for agent in rooms.policy.agents)
        context = self.books.store.load(Needs(tickets=frozenset(due), addresses=addresses), now)
        parts: list[Rows] = []
        for ticket in due:
            rows = decide_woken(ticket, context, rooms, fetch=self.books.fetch, now=now)
            context = absorb(context, rows)
            parts.append(rows)
        self.books.write(joined(parts), {}, now=now, cause=CAUSE)
        log.info("woken", tickets=due)
        return len(due)
