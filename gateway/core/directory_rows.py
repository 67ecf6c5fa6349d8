"""What is stored of agents, teams and organisations, as core/rows.py has all other tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.core.model import ActorKind

DirectoryKind = Literal[
    "agent_added",          # entry is an agent, or one again; value = role
    "agent_left",
    "agent_address_added", "agent_address_removed",     # person
    "agent_role",           # value = role in ``queue``; without a queue, wherever none is named; none hides
    "agent_language",       # value
    "agent_renamed",        # his name is in DirectoryName
    "team_added", "team_removed", "member_added", "member_removed",     # other = agent
    "organisation_added", "organisation_removed", "domain_added", "domain_removed",     # other = domain
    "organisation_shared",  # value = on or off
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEvent:
    """Table ``directory_event``: append-only; the directory of agents, teams and organisations is its fold."""

    seq: int
    at: datetime                    # when it was asked
    recorded_at: datetime           # when we wrote it down
    kind: DirectoryKind
    actor_kind: ActorKind
    actor: int | None               # person id
    cause: str                      # spool id, or operator:<uid>
    entry: int                      # the agent, team or organisation; its words are in DirectoryName
    person: int | None              # whose address an agent's is
    other: int | None               # the agent who is in a team, the domain of an organisation
    queue: str | None
    value: str | None               # a role, a language, on or off


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryName:
    """Side table ``directory_name``: a login, the name of a team or organisation, or a domain."""

    entry: int
    kind: Literal["agent", "team", "organisation", "domain"]
    name: str
    label: str                      # what customers see of an agent
