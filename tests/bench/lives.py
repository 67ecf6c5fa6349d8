"""How tickets live, as scripts; and what each comes to, as the core folds it.

A generated store (million.py) is these scripts, once a ticket, with its own pace. Because the ticket rows
are made from ``fold`` itself, for every length that a script can have been cut to, they are consistent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.core.lifecycle import fold
from gateway.core.model import ActorKind, EventKind
from gateway.core.rows import Event

_ACTORS: dict[str, ActorKind] = {"customer": "customer", "agent": "agent", "system": "system"}
_PEOPLE = {"customer": 1, "agent": 2, "system": None}
THE_AGENT = "agent"         # stands in ``after`` for the id of the ticket's agent
_ZERO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One event, ``hours`` after the ticket began. ``mail``: a stored message goes with it."""

    hours: float
    kind: EventKind
    who: str
    mail: bool = False
    is_public: bool = False
    is_auto: bool = False
    before: str | None = None
    after: str | None = None


def _written(hours: float, kind: EventKind, who: str) -> Step:
    return Step(hours, kind, who, mail=True, is_public=kind != "note")


def _status(hours: float, before: str, after: str, who: str = "agent") -> Step:
    return Step(hours, "status", who, before=before, after=after)


_BEGUN = (
    Step(0, "created", "customer", mail=True, is_public=True, after="support"),
    Step(0, "acknowledged", "system", is_auto=True),
)
_ANSWERED = (
    *_BEGUN, _written(3, "agent_reply", "agent"), Step(3, "assignee", "agent", after=THE_AGENT),
)
_TALK = (
    *_ANSWERED, _status(3, "new", "pending"), _written(20, "customer_reply", "customer"),
    _status(20, "pending", "open", "customer"), _written(26, "agent_reply", "agent"), _status(26, "open", "solved"),
)
# (share of tickets in twentieths, steps); 10.7 events and 3.6 mails a ticket.
SCRIPTS: tuple[tuple[int, tuple[Step, ...]], ...] = (
    (4, (*_ANSWERED, _status(3, "new", "solved"), _status(99, "solved", "closed", "system"))),
    (7, (*_TALK, Step(26, "tag_added", "agent", after="lamps"), _status(122, "solved", "closed", "system"))),
    (3, (
        *_TALK, _written(50, "customer_reply", "customer"), _status(50, "solved", "open", "customer"),
        Step(51, "priority", "agent", after="high"), _written(51, "note", "agent"), _written(70, "agent_reply", "agent"),
        _status(70, "open", "solved"), _status(166, "solved", "closed", "system"),
    )),
    (2, (*_TALK, _written(300, "customer_reply", "customer"), _status(300, "solved", "open", "customer"))),
    (3, (*_TALK, _written(40, "note", "agent"), Step(41, "tag_added", "agent", after="returns"), _status(42, "solved", "open"),
         _written(43, "agent_reply", "agent"), _status(43, "open", "pending"))),
    (1, _BEGUN),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """A ticket after the first ``version`` steps of a script; times in hours, ``last_public`` as a step."""

    script: int
    version: int
    status: str
    priority: str
    tags: str
    assigned: bool
    answered: bool
    updated: float
    first_reply: float | None
    solved: float | None
    last_customer: float | None
    last_agent: float | None
    last_public: int | None


def endings() -> list[Ending]:
    return [_ending(n, steps[:k]) for n, (_, steps) in enumerate(SCRIPTS) for k in range(1, len(steps) + 1)]


def _ending(script: int, steps: tuple[Step, ...]) -> Ending:
    ticket = fold(_event(n, step) for n, step in enumerate(steps))

    def hours(at: datetime | None) -> float | None:
        return None if at is None else (at - _ZERO) / timedelta(hours=1)

    return Ending(
        script=script, version=ticket.version, status=ticket.status, priority=ticket.priority, tags=ticket.tags,
        assigned=ticket.assignee is not None, answered=ticket.last_agent is not None, updated=hours(ticket.updated_at) or 0.0,
        first_reply=hours(ticket.first_reply_at), solved=hours(ticket.solved_at), last_customer=hours(ticket.last_customer_at),
        last_agent=hours(ticket.last_agent_at), last_public=None if ticket.last_public is None else ticket.last_public - 1,
    )


def _event(number: int, step: Step) -> Event:
    at = _ZERO + timedelta(hours=step.hours)
    return Event(
        seq=number + 1, ticket=1, at=at, recorded_at=at, kind=step.kind, actor_kind=_ACTORS[step.who],
        actor=_PEOPLE[step.who], cause="", message=number + 1 if step.mail else None,
        is_public=step.is_public, is_auto=step.is_auto, before=step.before,
        after=str(_PEOPLE["agent"]) if step.after == THE_AGENT else step.after,
    )
