"""The digests: one a day for each agent who wants one, at his hour; a missed one is made up, none is made twice.

When one was made stands in the store (``digest_run``), in the frame that queues the mail, so a restart neither repeats nor
forgets it. A desk that is new, or was without digests, sends the first one at the next hour, not at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

import structlog

from gateway.books import Bookkeeper
from gateway.core.context import Needs
from gateway.core.digest import addresses
from gateway.core.policy import Agent, Policy
from gateway.errors import MailwicketError
from gateway.keeper import slot
from gateway.pipeline import Rooms, decide_digest

LOOK = 20.0             # seconds between two looks at the clock
log = structlog.get_logger("digest")


class Morning:
    """``run`` until ``stop``."""

    def __init__(
        self, books: Bookkeeper, rooms: Rooms, *, look: float = LOOK, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.books, self.rooms, self.now, self._look = books, rooms, now, look
        self._begun = now()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), self._look)
            except TimeoutError:
                await asyncio.to_thread(self.look)

    def stop(self) -> None:
        self._stopping.set()

    # --- On a thread of its own ---

    def look(self) -> None:
        """Send what is due. No trouble of a digest may stop the mail, but a store that refuses does."""
        policy = self._policy()
        for agent in policy.agents:
            at = policy.digest if agent.digest is None else agent.digest
            if not at:
                continue
            since = slot(self.now(), time_of_day.fromisoformat(at), agent.zone or policy.zone)
            try:
                self.books.ask(lambda a=agent, s=since: self._if_due(a, s))  # type: ignore[misc]
            except TimeoutError:
                log.warning("digest_waits", agent=agent.login, why="the writer is busy; the next look tries again")
            except MailwicketError:
                raise
            except Exception:   # a bug here must not end the desk
                log.exception("digest_failed", agent=agent.login)

    def send(self, login: str) -> bool:
        """One now, because an operator asks; False if there is nothing to tell. MailwicketError for nobody's login."""
        policy = self._policy()
        agent = policy.agent(login)
        if agent is None:
            known = ", ".join(a.login for a in policy.agents)
            raise MailwicketError(f"{login} is no agent here; agents are {known}")
        return self.books.ask(lambda: self._make(agent))

    def _policy(self) -> Policy:
        """The configuration's, with the people of the directory."""
        return self.books.policy(self.rooms.policy)

    # --- On the writer thread ---

    def _if_due(self, agent: Agent, since: datetime) -> None:
        last = self.books.store.digest_run(addresses(agent))
        # The first of all waits for its hour to come while we look.
        if since > (last or self._begun):
            self._make(agent)

    def _make(self, agent: Agent) -> bool:
        now, policy, store = self.now(), self._policy(), self.books.store
        queues = [q.name for q in policy.queues if agent in policy.told(q.name)]
        found = store.agenda(addresses(agent), queues, now)
        context = store.load(
            Needs(addresses=addresses(agent), tickets=frozenset((*found.mine, *found.nobodys))), now
        )
        offset = now.astimezone(ZoneInfo(agent.zone or policy.zone)).utcoffset()
        rows = decide_digest(
            agent, found, context, self.rooms.under(policy), offset=int(offset.total_seconds() // 60) if offset else 0,
            fetch=self.books.fetch, now=now,
        )
        self.books.write(rows, {}, now=now, cause="timer")
        log.info("digest", agent=agent.login, tickets=len(rows.listed), sent=bool(rows.outbox))
        return bool(rows.outbox)
