"""Held mail, as the operator handles it: what waits, and letting it go.

A released mail goes through the spool once more, as everything does (architecture decision 1), with an envelope that
says whose it is and that it was released: it is decided with all checks but those it was held for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.books import Bookkeeper
from gateway.core import held
from gateway.core.context import Needs
from gateway.core.model import Envelope, Token
from gateway.core.policy import Policy
from gateway.core.profile import way_to_agent
from gateway.core.rows import Message
from gateway.errors import MailwicketError

LISTED = """
SELECT m.id, m."at", m.hold, p.address AS author, m.ticket, m.month
FROM message m LEFT JOIN person p ON p.id = m.author WHERE m.hold IS NOT NULL ORDER BY m.id DESC LIMIT $1::BIGINT
"""


def is_releasable(hold: str) -> bool:
    """Whether doing it all the same makes sense; a mistyped command must be sent again, an unread mail be read."""
    return hold == "bulk" or held.HOLDS.get(hold.removesuffix(held.NOTE), False)


def release(books: Bookkeeper, policy: Policy, number: int, now: datetime) -> dict[str, Any]:
    """Put message ``number`` into the spool again. Raises MailwicketError if it does not wait, or cannot be let go."""
    message, address, ticket = books.ask(lambda: _found(books, number, now))
    if not is_releasable(message.hold or "") or (message.hold != "bulk" and ticket is None):
        raise MailwicketError(f"message {number} is held as {message.hold}: it has to be sent again; --drop forgets it")
    agent = policy.agent_of_address(address)
    to = policy.queues[0].address
    if ticket is not None and agent is not None and message.author is not None:
        internal = held.is_internal(message)
        token = Token(role="n" if internal else "a", ticket=ticket[0], party=message.author)
        way = way_to_agent(token, policy.queue(ticket[1]), policy)
        to = way.reply_to or way.from_address
    envelope = Envelope(
        channel="drop", received_at=now, mail_from=address or None, rcpt_tos=(to,), released=number,
        login=agent.login if agent else None,
    )
    books.spool.put(envelope, books.fetch(message.spool_id, message.month))
    return {"released": number, "from": address}


def drop(books: Bookkeeper, number: int, actor: str, now: datetime) -> dict[str, Any]:
    """Message ``number`` stays stored and waits no more. Raises MailwicketError if it does not wait."""

    def write() -> None:
        message, _, ticket = _found(books, number, now)
        asked = Needs(tickets=frozenset() if ticket is None else frozenset({ticket[0]}))
        rows = held.dropped_by_operator(message, books.store.load(asked, now), actor, now)
        books.write(rows, {}, now=now, cause="operator")

    books.ask(write)
    return {"dropped": number}


def _found(books: Bookkeeper, number: int, now: datetime) -> tuple[Message, str, tuple[int, str] | None]:
    """The waiting message, the address it came from, and its ticket with its queue."""
    message = books.store.message(number)
    if message is None or message.hold is None:
        raise MailwicketError(f"message {number} does not wait; `mailwicket held` lists what does")
    asked = Needs(
        persons=frozenset(() if message.author is None else {message.author}),
        tickets=frozenset(() if message.ticket is None else {message.ticket}),
    )
    context = books.store.load(asked, now)
    person = context.persons.get(message.author or 0)
    living = context.living(message.ticket or 0)
    return message, person.address if person else "", (living.id, living.queue) if living else None
