"""Outbox to the world: sends what is queued, at least once, always the same bytes (decision 8).

The next attempt is written down before the dialling, the outcome after it, both as journal frames;
a crash between them leaves ``sending``, which start-up takes up again with the same Message-ID.
Every way out has rounds of its own, so that a provider that is down holds up nobody else's mail.
The postman keeps the undelivered part of the outbox in memory; the store is its truth.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from gateway.books import Bookkeeper
from gateway.core.context import Needs, absorb
from gateway.core.model import OutboxState
from gateway.core.retry import SendResult, is_late, next_attempt, settled
from gateway.core.rows import Delivery, OutboxRow, Rows
from gateway.edge.store_read import DONE
from gateway.mime.assemble import assemble
from gateway.pipeline import Rooms, decide_unsent, joined

AT_ONCE = 100       # rows marked in one frame
CONNECTIONS = 4
UNCERTAIN_PAUSE = timedelta(minutes=30)     # time for a bounce or a copy to turn up
OUR_FAULT_PAUSE = timedelta(minutes=5)
log = structlog.get_logger("mailwicket")


class Carrier(Protocol):
    """A way out: smarthost or Maildir."""

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str) -> SendResult: ...

    async def close(self) -> None: ...


class Ways:
    """A mailbox's mail leaves through its own provider, by envelope sender; all else by the default way."""

    def __init__(self, default: Carrier, by_sender: Mapping[str, Carrier] | None = None) -> None:
        self.default, self.by_sender = default, by_sender or {}

    def name(self, mail_from: str) -> str:
        """Which way mail of this sender takes; '' is the default."""
        return mail_from if mail_from in self.by_sender else ""

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str) -> SendResult:
        return await self.by_sender.get(mail_from, self.default).send(mail_from, rcpt_to, raw, name)

    async def close(self) -> None:
        await asyncio.gather(self.default.close(), *(way.close() for way in self.by_sender.values()))


class Postman:
    def __init__(self, books: Bookkeeper, ways: Ways, rooms: Rooms) -> None:
        self.books, self.ways, self.rooms = books, ways, rooms
        self._due: list[tuple[datetime, int]] = []
        self._states: dict[int, Delivery] = {}
        self._waiting: dict[str, deque[Delivery]] = defaultdict(deque)  # due, by their way
        self._at_work: dict[str, asyncio.Task[None]] = {}               # by way
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stopping = False

    def take_up(self, left: Sequence[Delivery]) -> None:
        """At start-up: everything undelivered; what was being sent when we died is due at once."""
        now = datetime.now(UTC)
        for state in left:
            self._push(replace(state, next_at=now) if state.state == "sending" else state)

    def queued(self, states: tuple[Delivery, ...]) -> None:
        """From the writer thread: rows that a batch has just committed."""
        self._loop.call_soon_threadsafe(self._take, states)

    def _take(self, states: tuple[Delivery, ...]) -> None:
        for state in states:
            if state.state == "queued":
                self._push(state)
            elif state.state in DONE:   # a report came in: nothing of it is sent again
                self._states.pop(state.outbox, None)
        self._wake.set()

    def _push(self, state: Delivery) -> None:
        self._states[state.outbox] = state
        heapq.heappush(self._due, (state.next_at, state.outbox))

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        while not self._stopping:
            batch = self._next()
            if batch:
                await self._sort(batch)
                continue
            self._wake.clear()
            pause = (self._due[0][0] - datetime.now(UTC)).total_seconds() if self._due else 3600.0
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.0, min(pause, 3600.0)))
            except TimeoutError:
                pass
        await asyncio.gather(*self._at_work.values())   # the rounds in hand, or the error that one ended with
        await self.ways.close()

    def _next(self) -> list[Delivery]:
        now = datetime.now(UTC)
        batch: list[Delivery] = []
        while self._due and self._due[0][0] <= now and len(batch) < AT_ONCE:
            _, number = heapq.heappop(self._due)
            state = self._states.get(number)
            if state is not None and state.next_at <= now:
                batch.append(state)
        return batch

    async def _sort(self, batch: list[Delivery]) -> None:
        """Put what is due behind what waits for the same way, and let every way get on with it."""
        mails: dict[int, OutboxRow] = {}
        if self.ways.by_sender:
            mails = await self.books.on_writer(self.books.store.outbox_rows, [s.outbox for s in batch])
        for state in batch:
            way = self.ways.name(mails[state.outbox].mail_from) if state.outbox in mails else ""
            self._waiting[way].append(state)
            self._go_on(way)

    def _go_on(self, way: str) -> None:
        if self._waiting[way] and way not in self._at_work and not self._stopping:
            self._at_work[way] = asyncio.create_task(self._work(way))
            self._at_work[way].add_done_callback(partial(self._rested, way))

    async def _work(self, way: str) -> None:
        waiting = self._waiting[way]
        while waiting and not self._stopping:
            await self._round([waiting.popleft() for _ in range(min(len(waiting), AT_ONCE))])

    def _rested(self, way: str, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.stop()     # journal or store refuse: ``run`` ends with that error
            return
        del self._at_work[way]
        self._go_on(way)
        self._wake.set()

    async def _round(self, batch: list[Delivery]) -> None:
        """Mark, send, write down the outcome; two frames for up to a hundred mails."""
        now = datetime.now(UTC)
        sending = [
            replace(s, state="sending", attempts=s.attempts + 1, changed_at=now, next_at=now + UNCERTAIN_PAUSE)
            for s in batch
        ]
        mails = await self.books.on_writer(self._mark, sending, now)
        gate = asyncio.Semaphore(CONNECTIONS)
        sending = [s for s in sending if s.outbox in mails]
        results = await asyncio.gather(*(self._send(mails[s.outbox], gate) for s in sending))
        done = datetime.now(UTC)
        tried = [_outcome(s, mails[s.outbox], r, done) for s, r in zip(sending, results, strict=True)]
        after = await self.books.on_writer(self._write_outcomes, tried, mails, done)
        for state in after:
            if state.state in DONE:
                self._states.pop(state.outbox, None)
            else:
                self._push(state)
            log.info("sent", outbox=state.outbox, state=state.state, attempts=state.attempts, reply=state.reply[:200])

    def _mark(self, sending: list[Delivery], now: datetime) -> dict[int, OutboxRow]:
        """The mails, marked as being sent; not those of which a report came in since they fell due."""
        known = self.books.store.deliveries([s.outbox for s in sending])
        over = {number for number, state in known.items() if state.state in DONE}
        marked = [s for s in sending if s.outbox not in over]
        if marked:
            self.books.write(Rows(deliveries=tuple(marked)), {}, now=now, cause="send")
        return self.books.store.outbox_rows([s.outbox for s in marked])

    def _write_outcomes(self, tried: list[Delivery], mails: dict[int, OutboxRow], now: datetime) -> list[Delivery]:
        """On the writer thread: the states as they stand then, and word to agents whose answer is refused or late."""
        known = self.books.store.deliveries([s.outbox for s in tried])
        after = [settled(known.get(s.outbox), s) for s in tried]
        new = [s for s, ours in zip(after, tried, strict=True) if s is ours]
        late = [s for s in new if is_late(mails[s.outbox].kind, mails[s.outbox].created_at, s)]
        news = late + [s for s in new if s.state == "failed"]
        parts = [Rows(deliveries=tuple(new))]
        tickets = frozenset(t for s in news if (t := mails[s.outbox].ticket) is not None)
        if tickets:
            rooms = self.rooms.under(self.books.policy(self.rooms.policy))
            needs = Needs(
                tickets=tickets, addresses=frozenset(agent.address for agent in rooms.policy.agents),
                outbox=frozenset(s.outbox for s in news),
            )
            context = self.books.store.load(needs, now)
            for state in news:
                rows = decide_unsent(mails[state.outbox], state, context, rooms, fetch=self.books.fetch, now=now)
                context = absorb(context, rows)
                parts.append(rows)
            # Told: that must be in the same frame as the word itself.
            told = {s.outbox: replace(s, told_at=now) for s in late}
            parts[0] = Rows(deliveries=tuple(told.get(s.outbox, s) for s in new))
            after = [told.get(s.outbox, s) for s in after]
        if new:
            self.books.write(joined(parts), {}, now=now, cause="send")
        _alarm(parts)
        return after

    async def _send(self, mail: OutboxRow, gate: asyncio.Semaphore) -> SendResult:
        async with gate:
            try:
                raw = await asyncio.to_thread(assemble, mail, self.books.fetch)
                return await self.ways.send(mail.mail_from, mail.rcpt_to, raw, f"{mail.id:012d}")
            except Exception as error:  # one unsendable mail must not stop the others
                log.exception("unsendable", outbox=mail.id)
                return SendResult(outcome="deferred", reply=f"could not be sent: {type(error).__name__}")


def _outcome(state: Delivery, mail: OutboxRow, result: SendResult, now: datetime) -> Delivery:
    """The state after an attempt; a deferred mail that is out of attempts has failed."""
    reply = result.reply[:500]
    pauses: dict[str, timedelta] = {"uncertain": UNCERTAIN_PAUSE, "misconfigured": OUR_FAULT_PAUSE}
    if result.outcome in ("sent", "failed"):
        final: OutboxState = "sent" if result.outcome == "sent" else "failed"
        return replace(state, state=final, changed_at=now, reply=reply)
    if result.outcome in pauses:
        kept: OutboxState = "uncertain" if result.outcome == "uncertain" else "deferred"
        return replace(state, state=kept, changed_at=now, next_at=now + pauses[result.outcome], reply=reply)
    again = next_attempt(state.attempts, mail.created_at, now, random.uniform(-1, 1))  # noqa: S311  # jitter only
    if again is None:
        return replace(state, state="failed", changed_at=now, reply=reply)
    return replace(state, state="deferred", changed_at=now, next_at=again, reply=reply)


def _alarm(parts: Sequence[Rows]) -> None:
    """What an operator must set right, and nobody may hear of by mail."""
    for row in (row for rows in parts for row in rows.decisions):
        if row.code == "agent_unreachable":
            log.error(row.code, why=row.detail)
