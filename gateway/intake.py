"""Spool to store: takes waiting mails, has them parsed, and commits them batch by batch.

Two batches are on their way at once: one in the parser processes, one on the writer thread. A
batch that fails is halved; a mail that fails alone three times is stored unread ("opaque") on hold,
so that it never stops the mail behind it (architecture ruling 1). If even that fails, it waits in spool/bad.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from gateway import people
from gateway.books import Bookkeeper
from gateway.core.authres import Authentication
from gateway.core.decision import Decision
from gateway.core.model import Envelope, Spooled
from gateway.core.rows import Rows
from gateway.edge.sender_check import SenderCheck
from gateway.edge.spool import Spool
from gateway.edge.workers import ParserPool
from gateway.errors import MailwicketError
from gateway.pipeline import Rooms, context_of, decide

BATCH = 256                     # most mails at once: what the store costs, it costs by the statement
BATCH_BYTES = 32 * 1024 * 1024  # and what they may weigh together, beyond the first
TRIES = 3
log = structlog.get_logger("mailwicket")


@dataclass(frozen=True, slots=True)
class _Waiting:
    spooled: Spooled
    raw: bytes


class Intake:
    """Runs until cancelled. ``wake`` is set by whoever put something into the spool."""

    def __init__(
        self, spool: Spool, pool: ParserPool, rooms: Rooms, books: Bookkeeper, check: SenderCheck | None = None
    ) -> None:
        self.spool, self.pool, self.rooms, self.books, self.check = spool, pool, rooms, books, check
        self.wake = asyncio.Event()
        self._in_flight: frozenset[str] = frozenset()
        self._stopping = False

    async def run(self) -> None:
        """Parse the next batch while the last one is being committed; ends after ``stop``."""
        committing: asyncio.Task[None] | None = None
        try:
            while not self._stopping:
                self.wake.clear()
                batch = await self._next()
                if committing is not None:
                    await committing
                    committing = None
                if batch:
                    committing = asyncio.create_task(self._commit(batch))
                elif not self._stopping:
                    await self.wake.wait()
        finally:
            if committing is not None:
                await committing

    def stop(self) -> None:
        """Finish the batch that is being committed, begin no other."""
        self._stopping = True
        self.wake.set()

    async def _next(self) -> list[_Waiting]:
        ids = await asyncio.to_thread(self.spool.waiting, BATCH, self._in_flight)
        if not ids:
            return []
        read = await asyncio.to_thread(self._read, ids)
        self._in_flight |= frozenset(spool_id for spool_id, _, _ in read)
        mails = await self.pool.parse_many([raw for _, _, raw in read])
        checked: list[Authentication | None] = [None] * len(read)
        if self.check is not None:
            checked = await self.check.check_many([(e, m, raw) for (_, e, raw), m in zip(read, mails, strict=True)])
        return [
            _Waiting(Spooled(spool_id=i, envelope=e, mail=m, checked=c), raw)
            for (i, e, raw), m, c in zip(read, mails, checked, strict=True)
        ]

    def _read(self, ids: Sequence[str]) -> list[tuple[str, Envelope, bytes]]:
        """Those of ``ids`` that are one batch; what is left of them waits for the next."""
        out: list[tuple[str, Envelope, bytes]] = []
        room = BATCH_BYTES
        for spool_id in ids:
            if room <= 0:
                break
            try:
                out.append((spool_id, *self.spool.read(spool_id)))
            except MailwicketError as error:
                log.error("unreadable", spool_id=spool_id, why=str(error), remedy="look into spool/bad")
                self.spool.quarantine(spool_id, str(error))
                continue
            room -= len(out[-1][2])
        return out

    async def _commit(self, batch: list[_Waiting]) -> None:
        begun = time.perf_counter()
        decisions = await self.books.on_writer(self._decide_and_write, batch)
        decided = [(w, d) for w, d in zip(batch, decisions, strict=True) if d is not None]
        await asyncio.to_thread(self.spool.finish, [w.spooled.spool_id for w, _ in decided])
        self._in_flight -= frozenset(w.spooled.spool_id for w in batch)
        took = (time.perf_counter() - begun) * 1000 / len(batch)
        for waiting, decision in decided:
            _log(waiting, decision, took)

    # On the writer thread from here on.

    def _decide_and_write(self, batch: list[_Waiting]) -> list[Decision | None]:
        """The decisions in the order of ``batch``; None for a mail that was set aside."""
        try:
            return [*self._whole(batch)]
        except MailwicketError:
            raise   # journal or store refuse: nothing is decided any more, the service stops
        except Exception as error:  # a bug must not stop the mail behind it
            if len(batch) > 1:
                middle = len(batch) // 2
                return self._decide_and_write(batch[:middle]) + self._decide_and_write(batch[middle:])
            log.exception("batch_failed", spool_id=batch[0].spooled.spool_id)
            return self._alone(batch[0], error)

    def _alone(self, waiting: _Waiting, error: Exception) -> list[Decision | None]:
        for _ in range(TRIES - 1):
            try:
                return [*self._whole([waiting])]
            except MailwicketError:
                raise
            except Exception as again:  # noqa: BLE001
                error = again
        why = f"could not be decided: {type(error).__name__}"
        mail = replace(waiting.spooled.mail, opaque=why, text="", html="", parts=(), text_from="none")
        opaque = replace(waiting, spooled=replace(waiting.spooled, mail=mail))
        try:
            return [*self._whole([opaque])]
        except (MailwicketError, MemoryError):
            raise   # memory may be there after a new start; the mail is not to blame
        except Exception:  # else the next start would stumble over it again, and every one after
            spool_id = waiting.spooled.spool_id
            log.exception("undecidable", spool_id=spool_id, remedy="look into spool/bad and report it")
            self.spool.quarantine(spool_id, why)
            return [None]

    def _whole(self, batch: list[_Waiting]) -> list[Decision]:
        now = datetime.now(UTC)
        spooled = [w.spooled for w in batch]
        raws = {w.spooled.spool_id: w.raw for w in batch}
        # Who is an agent is asked once a batch; what this batch changes of it holds from the next one on.
        rooms = self.rooms.under(self.books.policy(self.rooms.policy))
        context = context_of(spooled, rooms.policy, lambda asked: self.books.store.load(asked, now))

        def fetch(spool_id: str, month: str) -> bytes:
            return raws[spool_id] if spool_id in raws else self.books.fetch(spool_id, month)

        rows, decisions = decide(spooled, context, rooms, fetch=fetch, now=now)
        self.books.write(rows, raws, now=now, cause="mail")
        self._order(decisions)
        return decisions

    def _order(self, decisions: list[Decision]) -> None:
        """What admins confirmed. The mails are written: nothing here may have them decided once more."""
        for decision in (d for d in decisions if d.admin):
            try:
                people.ordered(self.books, self.rooms, decision)
            except MailwicketError:
                raise
            except Exception:
                log.exception("admin_failed", spool_id=decision.spool_id)


def _log(waiting: _Waiting, decision: Decision, took: float) -> None:
    """The one canonical line of a mail; above it what an operator must set right."""
    rows: Rows = decision.rows
    for reason in decision.reasons:
        if reason.code == "agent_unreachable":
            log.error(reason.code, why=reason.detail, spool_id=decision.spool_id)
    log.info(
        "mail",
        spool_id=decision.spool_id,
        channel=waiting.spooled.envelope.channel,
        size=len(waiting.raw),
        disposition=decision.disposition,
        ticket=next((m.ticket for m in rows.messages), None),
        reasons=[r.code for r in decision.reasons],
        outgoing=[d.kind for d in decision.drafts],
        ms=round(took, 1),
    )
