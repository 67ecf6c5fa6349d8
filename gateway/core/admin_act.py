"""What an admin's line does to the directory: events, and what follows for tickets. One row of ACTS a verb.

``carry_out`` takes a line that was authorised already: of an operator at the control socket, or of an admin
who logged in and confirmed it (security §3.2). What the configuration declares it refuses to change
(architecture ruling 13). A line that asks for what is so already changes nothing and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from gateway.core import admin_agents
from gateway.core.admin import AdminCommand
from gateway.core.clerk import Author, Clerk, Done, near
from gateway.core.context import Context
from gateway.core.decision import Draft
from gateway.core.directory import Directory
from gateway.core.policy import Policy

_MOVES: Final = ("leave", "role", "address")    # verbs that may take tickets out of an agent's hands


def addresses_of(command: AdminCommand) -> frozenset[str]:
    """Addresses whose persons ``carry_out`` must know: for Needs."""
    if command.noun != "agent":
        return frozenset()
    return frozenset(v[1:] if command.verb == "address" else v for v in command.values if "@" in v)


def holders(command: AdminCommand, directory: Directory) -> tuple[int, ...]:
    """Persons whose tickets ``carry_out`` must see: those of an agent who leaves or changes."""
    touched = command.noun == "agent" and command.verb in _MOVES
    number = directory.entry("agent", command.name) if touched else None
    entry = directory.folded.agents.get(number or 0)
    return entry.persons if entry is not None else ()


def carry_out(
    command: AdminCommand, directory: Directory, context: Context, policy: Policy, author: Author, now: datetime
) -> Done:
    """The rows of one line. ``policy`` is the configuration's. Raises ValueError with what would be valid.

    ``context`` has the persons of ``addresses_of``, the agents' and all tickets that are assigned to ``holders``.
    """
    clerk = Clerk(directory, context, policy, author, now)
    drafts = ACTS[command.noun, command.verb](clerk, command)
    return clerk.close(drafts)


def _team_add(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    if clerk.policy.team(command.name) is not None:
        raise ValueError(f"team {command.name} is declared in mailwicket.toml; change [[team]] there and restart")
    logins = [a.login for a in clerk.effective.agents]
    if strange := [m for m in command.values if m not in logins]:
        raise ValueError(f"{strange[0]} is no agent here; {near(strange[0], logins)}")
    number = clerk.entry("team", command.name)
    known = clerk.directory.folded.teams.get(number)
    if known is None or known.removed:
        clerk.event("team_added", number)
        clerk.said.append(f"{command.name} is a team")
    for login in command.values:
        member = clerk.entry("agent", login)
        if member not in clerk.directory.folded.teams[number].members:
            clerk.event("member_added", number, other=member)
            clerk.said.append(f"{login} is in team {command.name}")
    return ()


def _team_remove(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number = clerk.directory.entry("team", command.name)
    team = clerk.directory.folded.teams.get(number or 0)
    if number is None or team is None or team.removed or clerk.policy.team(command.name) is not None:
        raise ValueError(f"{command.name} is no team that can be changed here; {near(command.name, _teams_of(clerk))}")
    members = {clerk.directory.names[m].name: m for m in team.members}
    for login in command.values:
        if login not in members:
            raise ValueError(f"{login} is not in team {command.name}; {near(login, members)}")
        clerk.event("member_removed", number, other=members[login])
        clerk.said.append(f"{login} is in team {command.name} no more")
    if not command.values:
        clerk.event("team_removed", number)
        clerk.said.append(f"{command.name} is a team no more")
    return ()


def _teams_of(clerk: Clerk) -> Iterable[str]:
    return (t.name for t in clerk.effective.teams if clerk.policy.team(t.name) is None)


def _organisation(clerk: Clerk, name: str) -> int:
    """The entry of an organisation that may be changed here. Raises ValueError."""
    number = clerk.directory.entry("organisation", name)
    known = clerk.directory.folded.organisations.get(number or 0)
    _not_declared(clerk, name)
    if number is None or known is None or known.removed:
        raise ValueError(f"{name} is no organisation here; {near(name, (o.name for o in clerk.effective.organisations))}")
    return number


def _not_declared(clerk: Clerk, name: str) -> None:
    if any(o.name.casefold() == name.casefold() for o in clerk.policy.organisations):
        raise ValueError(f"{name} is declared in mailwicket.toml; change [[organisation]] there and restart")


def _organisation_add(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    _not_declared(clerk, command.name)
    number = clerk.entry("organisation", command.name)
    known = clerk.directory.folded.organisations.get(number)
    if known is None or known.removed:
        clerk.event("organisation_added", number)
        clerk.said.append(f"{command.name} is an organisation; its tickets are not shared")
    for name in command.values:
        holder = clerk.effective.organisation_of(f"x@{name}")
        if holder is not None and holder.name.casefold() != command.name.casefold():
            raise ValueError(f"{name} belongs to {holder.name}")
        if holder is None:
            clerk.event("domain_added", number, other=clerk.entry("domain", name))
            clerk.said.append(f"{name} belongs to {command.name}")
    return ()


def _organisation_remove(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number = _organisation(clerk, command.name)
    domains = {clerk.directory.names[d].name: d for d in clerk.directory.folded.organisations[number].domains}
    for name in command.values:
        if name not in domains:
            raise ValueError(f"{name} does not belong to {command.name}; {near(name, domains)}")
        clerk.event("domain_removed", number, other=domains[name])
        clerk.said.append(f"{name} belongs to {command.name} no more")
    if not command.values:
        clerk.event("organisation_removed", number)
        clerk.said.append(f"{command.name} is an organisation no more")
    return ()


def _organisation_share(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number = _organisation(clerk, command.name)
    (switch,) = command.values
    if clerk.directory.folded.organisations[number].shared != (switch == "on"):
        clerk.event("organisation_shared", number, value=switch)
        does = "may" if switch == "on" else "may not"
        clerk.said.append(f"people of {clerk.directory.names[number].name} {does} add to each other's tickets")
    return ()


Act = Callable[[Clerk, AdminCommand], tuple[Draft, ...]]
ACTS: Final[dict[tuple[str, str], Act]] = {
    ("agent", "add"): admin_agents.add,
    ("agent", "role"): admin_agents.role,
    ("agent", "address"): admin_agents.address,
    ("agent", "name"): admin_agents.name,
    ("agent", "language"): admin_agents.language,
    ("agent", "leave"): admin_agents.leave,
    ("team", "add"): _team_add,
    ("team", "remove"): _team_remove,
    ("organisation", "add"): _organisation_add,
    ("organisation", "remove"): _organisation_remove,
    ("organisation", "share"): _organisation_share,
}
