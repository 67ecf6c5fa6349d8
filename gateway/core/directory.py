"""The directory: agents, teams and organisations that mail and operators made; the fold of its events.

The configuration declares the first admins and defaults, which nobody changes by mail (architecture
ruling 13). All others are entries here. Events hold ids, roles and names of queues; logins, names and
domains stand in DirectoryName, addresses in Person (decision 5). ``effective`` makes one Policy of both,
and decisions know no other: where the two disagree, the configuration wins and the entry is as if it were not.

Limits: a decision sees the directory as it was when its batch began. What a batch changes holds from the
next one on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar, cast, get_args

from gateway.core.directory_rows import DirectoryEvent, DirectoryKind, DirectoryName
from gateway.core.policy import Agent, AgentRole, Organisation, Policy, Queue, QueueRole, Team
from gateway.core.profile import is_ours

Kind = Literal["agent", "team", "organisation", "domain"]
E = TypeVar("E")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEntry:
    """``persons`` are the ids of his addresses, the first is where we write to."""

    persons: tuple[int, ...] = ()
    role: QueueRole = "agent"       # where ``roles`` names no other; none: only those queues are seen
    roles: tuple[tuple[str, QueueRole], ...] = ()
    language: str = "en"
    left: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamEntry:
    members: tuple[int, ...] = ()   # entries of agents
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationEntry:
    domains: tuple[int, ...] = ()   # entries of domains
    shared: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What the events make: ids only. ``version`` is the number of the last event."""

    version: int = 0
    agents: Mapping[int, AgentEntry] = field(default_factory=dict)
    teams: Mapping[int, TeamEntry] = field(default_factory=dict)
    organisations: Mapping[int, OrganisationEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The fold with its words: names by entry, addresses by person."""

    folded: Folded = field(default_factory=Folded)
    names: Mapping[int, DirectoryName] = field(default_factory=dict)
    addresses: Mapping[int, str] = field(default_factory=dict)

    @property
    def next_entry(self) -> int:
        return max(self.names, default=0) + 1

    def entry(self, kind: Kind, name: str) -> int | None:
        """The entry of that name, in whatever case."""
        known = (n for n in self.names.values() if n.kind == kind and n.name.casefold() == name.casefold())
        return next((n.entry for n in known), None)


# --- The fold -------------------------------------------------------------------------------


def apply(folded: Folded, event: DirectoryEvent) -> Folded:
    """The directory after ``event``. Raises ValueError if the event cannot happen to it."""
    if event.seq <= folded.version:
        raise _impossible(event, f"event {folded.version} was there before")
    if event.kind in _AGENT:
        agent = _of(folded.agents, event, AgentEntry(), begins="agent_added")
        return replace(folded, version=event.seq, agents={**folded.agents, event.entry: _AGENT[event.kind](agent, event)})
    if event.kind in _TEAM:
        team = _of(folded.teams, event, TeamEntry(), begins="team_added")
        return replace(folded, version=event.seq, teams={**folded.teams, event.entry: _TEAM[event.kind](team, event)})
    home = _of(folded.organisations, event, OrganisationEntry(), begins="organisation_added")
    after = {**folded.organisations, event.entry: _ORGANISATION[event.kind](home, event)}
    return replace(folded, version=event.seq, organisations=after)


def fold(events: Iterable[DirectoryEvent], folded: Folded | None = None) -> Folded:
    """What the events make, oldest first, of ``folded`` or of nothing."""
    folded = folded or Folded()
    for event in events:
        folded = apply(folded, event)
    return folded


def _of(entries: Mapping[int, E], event: DirectoryEvent, new: E, *, begins: DirectoryKind) -> E:
    found = entries.get(event.entry)
    if found is None and event.kind != begins:
        raise _impossible(event, f"entry {event.entry} was never added")
    return new if found is None else found


def _impossible(event: DirectoryEvent, why: str) -> ValueError:
    return ValueError(f"directory event {event.seq} ({event.kind}) of entry {event.entry} is impossible: {why}")


def _role(event: DirectoryEvent) -> QueueRole:
    if event.value not in get_args(QueueRole):
        raise _impossible(event, f"roles are {', '.join(get_args(QueueRole))}, not {event.value}")
    return cast("QueueRole", event.value)


def _with(ids: tuple[int, ...], more: int | None, event: DirectoryEvent) -> tuple[int, ...]:
    if more is None:
        raise _impossible(event, "it names nobody")
    return ids if more in ids else (*ids, more)


def _without(ids: tuple[int, ...], less: int | None) -> tuple[int, ...]:
    return tuple(i for i in ids if i != less)


def _agent_role(agent: AgentEntry, event: DirectoryEvent) -> AgentEntry:
    role = _role(event)
    if event.queue is None:
        return replace(agent, role=role)
    others = tuple((queue, kept) for queue, kept in agent.roles if queue != event.queue)
    return replace(agent, roles=tuple(sorted((*others, (event.queue, role)))))


_AGENT: Final[dict[DirectoryKind, Callable[[AgentEntry, DirectoryEvent], AgentEntry]]] = {
    # Who comes back begins anew: no role and no address of his last time is remembered.
    "agent_added": lambda agent, event: AgentEntry(role=_role(event)),
    "agent_left": lambda agent, event: replace(agent, left=True),
    "agent_address_added": lambda agent, event: replace(agent, persons=_with(agent.persons, event.person, event)),
    "agent_address_removed": lambda agent, event: replace(agent, persons=_without(agent.persons, event.person)),
    "agent_role": _agent_role,
    "agent_language": lambda agent, event: replace(agent, language=event.value or "en"),
    "agent_renamed": lambda agent, event: agent,
}
_TEAM: Final[dict[DirectoryKind, Callable[[TeamEntry, DirectoryEvent], TeamEntry]]] = {
    "team_added": lambda team, event: TeamEntry(),
    "team_removed": lambda team, event: replace(team, removed=True),
    "member_added": lambda team, event: replace(team, members=_with(team.members, event.other, event)),
    "member_removed": lambda team, event: replace(team, members=_without(team.members, event.other)),
}
_ORGANISATION: Final[dict[DirectoryKind, Callable[[OrganisationEntry, DirectoryEvent], OrganisationEntry]]] = {
    "organisation_added": lambda home, event: OrganisationEntry(),
    "organisation_removed": lambda home, event: replace(home, removed=True),
    "domain_added": lambda home, event: replace(home, domains=_with(home.domains, event.other, event)),
    "domain_removed": lambda home, event: replace(home, domains=_without(home.domains, event.other)),
    "organisation_shared": lambda home, event: replace(home, shared=event.value == "on"),
}


# --- Configuration and directory ------------------------------------------------------------


def effective(policy: Policy, directory: Directory) -> Policy:
    """``policy``, which is the configuration's, with all that the directory adds to it."""
    if not directory.folded.version:
        return policy
    more = _agents(policy, directory)
    agents = (*policy.agents, *more)
    logins = {a.login for a in agents}
    return replace(
        policy, agents=agents,
        queues=tuple(replace(q, agents=(*q.agents, *(a.login for a in more if _is_told(a, q)))) for q in policy.queues),
        teams=(*policy.teams, *_teams(policy, directory, logins)),
        organisations=(*policy.organisations, *_organisations(policy, directory)),
    )


def _agents(policy: Policy, directory: Directory) -> list[Agent]:
    out: list[Agent] = []
    logins = {a.login for a in policy.agents}
    taken = {a for agent in policy.agents for a in agent.addresses}
    for number, entry in sorted(directory.folded.agents.items()):
        name = directory.names[number]
        found = (directory.addresses.get(p, "") for p in entry.persons)
        addresses = tuple(a for a in found if a and a not in taken and not is_ours(a, policy))
        if entry.left or name.name in logins or not addresses:
            continue
        taken.update(addresses)
        role: AgentRole = "agent" if entry.role == "none" else entry.role
        out.append(Agent(
            login=name.name, name=name.label, addresses=addresses, role=role, language=entry.language,
            roles=entry.roles, elsewhere=entry.role != "none",
        ))
    return out


def _is_told(agent: Agent, queue: Queue) -> bool:
    """A queue that names its agents in the configuration has others only if they name it."""
    return agent.role_in(queue.name) not in (None, "light") and (queue.everybody or queue.name in dict(agent.roles))


def _teams(policy: Policy, directory: Directory, logins: set[str]) -> Iterable[Team]:
    for number, entry in sorted(directory.folded.teams.items()):
        name = directory.names[number].name
        if not entry.removed and policy.team(name) is None:
            members = (directory.names[m].name for m in entry.members)
            yield Team(name=name, members=tuple(m for m in members if m in logins))


def _organisations(policy: Policy, directory: Directory) -> Iterable[Organisation]:
    names = {o.name.casefold() for o in policy.organisations}
    taken = {d for o in policy.organisations for d in o.domains}
    for number, entry in sorted(directory.folded.organisations.items()):
        name = directory.names[number].name
        domains = tuple(d for d in (directory.names[i].name for i in entry.domains) if d not in taken)
        if not entry.removed and name.casefold() not in names:
            taken.update(domains)
            yield Organisation(name=name, domains=domains, shared=entry.shared)
