"""What an agent's digest tells, found in the store. Reads only; core/digest.py makes the mail of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.core.digest import MOST_TICKETS, Agenda, Loose
from gateway.edge.tables import DIGEST_RUN, Cursor, naive

MOST_LOOSE = 20
SOON = timedelta(days=1)        # a ticket that waits is listed when it is due within that
_URGENT = "list_position(['urgent', 'high', 'normal', 'low'], priority)"
_MINE = f"""
SELECT id FROM ticket WHERE merged_into IS NULL AND assignee IN (SELECT unnest($1::BIGINT[]))
AND (status IN ('new', 'open') OR (status = 'pending' AND pending_until <= $2)
     OR (status IN ('pending', 'on_hold') AND due_at <= $3))
ORDER BY coalesce(due_at <= $2, false) DESC, {_URGENT}, coalesce(due_at, TIMESTAMP '9999-01-01'), updated_at, id
"""  # noqa: S608  # a constant of ours
_NOBODYS = f"""
SELECT id FROM ticket WHERE merged_into IS NULL AND assignee IS NULL AND list_contains($1::VARCHAR[], queue)
AND status IN ('new', 'open')
ORDER BY coalesce(due_at <= $2, false) DESC, {_URGENT}, created_at, id
"""  # noqa: S608  # a constant of ours
_WAITING = """
SELECT DISTINCT ticket FROM message WHERE ticket IS NOT NULL AND hold IS NOT NULL
AND author IN (SELECT unnest($1::BIGINT[])) ORDER BY ticket
"""
_LOOSE = """
SELECT m."at", f.sender, f.subject, coalesce(m.hold, m.mail_class) FROM message m JOIN mail_facts f ON f.message = m.id
WHERE m.ticket IS NULL AND m."at" > $2 AND list_contains($1::VARCHAR[], f.queue)
AND (m.mail_class IN ('out_of_office', 'auto_reply') OR (m.hold IS NOT NULL AND m.hold NOT IN ('control', 'unproven')))
ORDER BY m.id DESC LIMIT $3
"""


def agenda(cursor: Cursor, persons: list[int], queues: list[str], since: datetime, now: datetime) -> Agenda:
    """``persons`` are the agent's addresses, ``queues`` those he answers in, ``since`` when he was last told."""
    soon = naive(now + SOON)
    mine = [n for (n,) in cursor.execute(_MINE, [persons, naive(now), soon]).fetchall()]
    nobodys = [n for (n,) in cursor.execute(_NOBODYS, [queues, naive(now)]).fetchall()]
    waiting = [n for (n,) in cursor.execute(_WAITING, [persons]).fetchall()]
    loose = cursor.execute(_LOOSE, [queues, naive(since), MOST_LOOSE]).fetchall()
    return Agenda(
        mine=tuple(mine[:MOST_TICKETS]), nobodys=tuple(nobodys[:MOST_TICKETS]), all_mine=len(mine),
        all_nobodys=len(nobodys), waiting=tuple(waiting),
        loose=tuple(Loose(at=at.replace(tzinfo=UTC), sender=who, subject=about, what=what) for at, who, about, what in loose),
    )


def last_run(cursor: Cursor, persons: list[int]) -> datetime | None:
    """When a digest was last made for somebody with these addresses."""
    return max((r.at for r in DIGEST_RUN.fetch(cursor, "person IN (SELECT unnest($1::BIGINT[]))", persons)), default=None)
