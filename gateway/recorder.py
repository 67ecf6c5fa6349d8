"""Imported mail into the store: one frame a lot, on the writer thread, decided by core/archive.py.

Between live batches, so mail that comes in meanwhile waits for one lot at most. The raw mails are durable
before the frame says that they are stored, as they are for mail that came by the spool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import structlog

from gateway.books import Bookkeeper
from gateway.core.address import canonical
from gateway.core.archive import Past, Recorded, record, touched
from gateway.core.archive_rows import TAG, Archived
from gateway.core.context import Needs, fold, own
from gateway.core.policy import Policy
from gateway.core.proof import rfc_ids
from gateway.core.rows import Event, Message, Rows
from gateway.core.sides import recipients
from gateway.edge.lots import Lot, Tally
from gateway.edge.spool_keep import keep
from gateway.errors import MailwicketError
from gateway.pipeline import joined

log = structlog.get_logger("mailwicket")


class Recorder:
    """Its methods run on the writer thread (``Bookkeeper.ask``)."""

    def __init__(self, books: Bookkeeper, policy: Policy) -> None:
        self.books, self.policy = books, policy

    def known(self, spool_ids: Sequence[str]) -> list[str]:
        """Those of an earlier run; the others may be known all the same, by their Message-ID."""
        return self.books.store.processed(spool_ids)

    def live_tickets(self) -> int:
        """Tickets that no import made."""
        cursor = self.books.store.reader()
        try:
            found = cursor.execute(
                "SELECT count(*) FROM ticket WHERE NOT list_contains(string_split(tags, ' '), $1)", [TAG]
            ).fetchone()
        finally:
            cursor.close()
        return int(found[0]) if found else 0

    def record(self, lot: Lot) -> Tally:
        """Store what is new in the lot. Raises StateError as ``Bookkeeper.write`` does."""
        now, policy = datetime.now(UTC), self.books.policy(self.policy)
        context = own(self.books.store.load(_needs(lot, policy), now))
        past: dict[int, Past] = {}
        done: list[Recorded] = []
        failed: list[tuple[str, str]] = []
        for conversation in lot.conversations:
            missing = {n for n in touched(conversation, context) if n not in past}
            past |= self.books.store.pasts(missing)
            try:
                one = record(conversation, context, past, policy=policy, plan=lot.plan, now=now)
            except MailwicketError:
                raise
            except Exception as error:  # a bug must not stop the conversations behind it
                log.exception("import_failed", mails=[m.spool_id for m in conversation], remedy="report it")
                failed += [(m.origin, f"{type(error).__name__}: {error}") for m in conversation]
                continue
            context = fold(context, one.rows)
            _follow(past, one.rows)
            done.append(one)
        self._write(lot, done, now)
        return Tally(
            new=sum(len(one.stored) for one in done), known=sum(one.known for one in done),
            tickets=sum(one.tickets for one in done), failed=tuple(failed),
        )

    def _write(self, lot: Lot, done: Sequence[Recorded], now: datetime) -> None:
        raws = {spool_id: lot.raws[spool_id] for one in done for spool_id in one.stored}
        rows = joined([one.rows for one in done])
        if not rows.processed:
            return
        keep(self.books.spool, raws, {m.spool_id: m.at for c in lot.conversations for m in c})
        self.books.write(rows, raws, now=now, cause="import")


def _needs(lot: Lot, policy: Policy) -> Needs:
    """What the decisions on a lot ask of the store."""
    mails: list[Archived] = [one for conversation in lot.conversations for one in conversation]
    return Needs(
        rfc_ids=frozenset(i for one in mails for i in (one.mail.message_id, *rfc_ids(one.mail)) if i),
        addresses=frozenset(_addresses(mails)) | {a for agent in policy.agents for a in agent.addresses},
        body_keys=frozenset(one.mail.body_key for one in mails),
        contents=frozenset(one.mail.sha256 for one in mails if not one.mail.message_id),
    )


def _addresses(mails: Iterable[Archived]) -> Iterable[str]:
    for one in mails:
        yield from recipients(one.mail)
        if one.mail.sender is not None:
            yield canonical(one.mail.sender.address)


def _follow(past: dict[int, Past], rows: Rows) -> None:
    """What was just decided is past for the next conversation of the lot."""
    moved = {m.id for m in rows.messages}
    events: defaultdict[int, list[Event]] = defaultdict(list)
    messages: defaultdict[int, list[Message]] = defaultdict(list)
    for event in rows.events:
        events[event.ticket].append(event)
    for message in rows.messages:
        messages[message.ticket or 0].append(message)
    # A message leaves a ticket only by a redirect, which is an event of that ticket.
    for ticket, more in events.items():
        before = past.get(ticket, Past(events=()))
        kept = [m for m in before.messages if m.id not in moved]
        past[ticket] = Past(events=(*before.events, *more), messages=(*kept, *messages[ticket]))
