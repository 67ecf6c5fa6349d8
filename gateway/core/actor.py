"""Who acts on a ticket, and what a refusal is. Acts themselves are core/act_*.py."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.ledger import Ledger
from gateway.core.model import ActorKind, EventKind
from gateway.core.policy import Agent


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an agent or a customer through a mail, or a rule."""

    kind: ActorKind
    person: int | None
    agent: Agent | None = None
    cause: str | None = None        # "rule:<name>" for rules
    offset: int = 0                 # minutes east of UTC where the writer is, for "tomorrow 9:00"


class Refused(Exception):
    """A command that cannot be carried out; the text tells the agent what would have been valid."""


def change(
    ledger: Ledger, ticket: int, kind: EventKind, actor: Actor, before: str | None, after: str | None
) -> None:
    """One event of ``actor``, unless it changes nothing."""
    if before != after:
        note(ledger, ticket, kind, actor, before, after)


def note(
    ledger: Ledger, ticket: int, kind: EventKind, actor: Actor, before: str | None = None, after: str | None = None
) -> None:
    """One event of ``actor``."""
    ledger.event(ticket, kind, actor=actor.person, actor_kind=actor.kind, before=before, after=after, cause=actor.cause)
