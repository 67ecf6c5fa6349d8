"""Agents come, change and go: what an admin's line about an agent does.

Who leaves, or no longer sees a queue, holds no ticket of it: they become nobody's, each with an event, and
who is told of these queues hears of all of them in one mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.core.admin import AdminCommand
from gateway.core.authority import may
from gateway.core.clerk import Clerk
from gateway.core.decision import Draft
from gateway.core.model import Token
from gateway.core.policy import Agent
from gateway.core.profile import way_to_agent
from gateway.core.relay import key_of, subject_of
from gateway.core.rows import Ticket

SETTLED: Final = ("closed", "void")     # tickets that stay with whom they were
MOST_LISTED = 200                       # released tickets in one mail


def add(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    login, options = command.name, dict(command.options)
    if "@" not in command.values[0]:
        raise ValueError(f"behind {login} comes the address, then the name in quotes")
    if (known := clerk.effective.agent(login)) is not None:
        raise ValueError(f"{login} is an agent already: {known.name}, {known.address}; see `agent role` and `agent address`")
    before = clerk.directory.entry("agent", login)
    address = clerk.free(command.values[0], before)
    role, queues = options.get("role", "agent"), [clerk.queue(q) for q in options.get("queues", "").split(",") if q]
    if role == "none" or (role == "admin" and queues):
        raise ValueError("an admin is one for the whole desk; leave queues= away" if queues else "a role of an agent is not none")
    label = command.values[1] if len(command.values) > 1 else login.capitalize()
    number = clerk.name(clerk.entry("agent", login), "agent", login, label)
    clerk.event("agent_added", number, value="none" if queues else role)
    clerk.event("agent_address_added", number, person=clerk.person(address, label))
    for queue in queues:
        clerk.event("agent_role", number, queue=queue, value=role)
    if "language" in options:
        clerk.event("agent_language", number, value=options["language"])
    clerk.said.append(f"{login} <{address}> is {_article(role)} in {', '.join(queues) or 'all queues'}")
    return ()


def _article(role: str) -> str:
    return {"light": "a light agent", "lead": "a lead"}.get(role, f"an {role}")


def role(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number, _ = clerk.agent(command.name)
    for value in command.values:
        queue, equals, role = value.rpartition("=")
        entry = clerk.directory.folded.agents[number]
        if equals and role == "admin":
            raise ValueError(f"an admin is one for the whole desk: agent role {command.name} admin")
        if (dict(entry.roles).get(clerk.queue(queue)) if equals else entry.role) == role:
            continue
        clerk.event("agent_role", number, queue=queue or None, value=role)
        where = f"in {queue}" if equals else "in all other queues" if entry.roles else "in all queues"
        clerk.said.append(f"{command.name} {'sees nothing' if role == 'none' else f'is {_article(role)}'} {where}")
    hidden = _out_of_sight(clerk, number)
    return _release(clerk, hidden, command.name)


def _out_of_sight(clerk: Clerk, number: int) -> list[Ticket]:
    """Tickets of an agent in queues that he no longer sees, or may no longer answer in."""
    agent = clerk.effective.agent(clerk.directory.names[number].name)
    return [] if agent is None else [
        t for t in _assigned(clerk, clerk.directory.folded.agents[number].persons) if not may("agent", agent.role_in(t.queue))
    ]


def address(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number, entry = clerk.agent(command.name)
    before = entry.persons
    for value in command.values:
        sign, address = value[0], value[1:]
        persons = clerk.directory.folded.agents[number].persons
        person = next((p for p in persons if clerk.directory.addresses.get(p) == address), None)
        if sign == "+" and person is None:
            clerk.event("agent_address_added", number, person=clerk.person(clerk.free(address, number), command.name))
            clerk.said.append(f"{address} is {command.name}'s")
        elif sign == "-" and person is not None:
            clerk.event("agent_address_removed", number, person=person)
            clerk.said.append(f"{address} is {command.name}'s no more; reply addresses made for it are dead")
    persons = clerk.directory.folded.agents[number].persons
    if not persons:
        raise ValueError(f"{command.name} needs an address; add the new one first, or: agent leave {command.name}")
    # A ticket is assigned to the person of the first address.
    for ticket in _assigned(clerk, {*before} - {*persons}):
        _assign(clerk, ticket, persons[0])
    return ()


def name(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number, _ = clerk.agent(command.name)
    (label,) = command.values
    if clerk.directory.names[number].label != label:
        clerk.name(number, "agent", command.name, label)
        clerk.event("agent_renamed", number)
        clerk.said.append(f"customers see {command.name} as {label}")
    return ()


def language(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number, entry = clerk.agent(command.name)
    (language,) = command.values
    if entry.language != language:
        clerk.event("agent_language", number, value=language)
        clerk.said.append(f"we write to {command.name} in {language}")
    return ()


def leave(clerk: Clerk, command: AdminCommand) -> tuple[Draft, ...]:
    number, entry = clerk.agent(command.name)
    clerk.event("agent_left", number)
    clerk.said.append(f"{command.name} is an agent no more; reply addresses made for {command.name} are dead")
    return _release(clerk, _assigned(clerk, entry.persons), command.name)


def _assigned(clerk: Clerk, persons: Iterable[int]) -> list[Ticket]:
    held = set(persons)
    return [t for t in clerk.ledger.context.tickets.values() if t.assignee in held and t.status not in SETTLED]


def _assign(clerk: Clerk, ticket: Ticket, person: int | None) -> None:
    clerk.ledger.event(
        ticket.id, "assignee", actor=clerk.author.person, actor_kind=clerk.author.kind,
        before=str(ticket.assignee), after=None if person is None else str(person),
    )


def _release(clerk: Clerk, tickets: list[Ticket], login: str) -> tuple[Draft, ...]:
    """The tickets become nobody's, each with an event, and who is told of their queues hears of all at once."""
    for ticket in tickets:
        _assign(clerk, ticket, None)
    if tickets:
        clerk.said.append(f"{len(tickets)} of {login}'s tickets are nobody's now: " + ", ".join(
            key_of(t.id, clerk.policy) for t in tickets[:MOST_LISTED]
        ))
    policy = clerk.effective
    told = dict.fromkeys(a.login for t in tickets for a in policy.told(t.queue))
    return tuple(_word(clerk, agent, tickets, login) for agent in map(policy.agent, told) if agent is not None)


def _word(clerk: Clerk, agent: Agent, tickets: list[Ticket], login: str) -> Draft:
    """The released tickets of the queues that ``agent`` is told of."""
    policy, ledger = clerk.effective, clerk.ledger
    his = [t for t in tickets if agent in policy.told(t.queue)]
    queue = policy.queue(his[0].queue)
    person = ledger.person(agent.address, agent.name)
    keys = [key_of(t.id, policy) for t in his]
    way = way_to_agent(Token(role="a", ticket=0, party=person), queue, policy)
    return Draft(
        kind="result", template="released", language=agent.language, ticket=None, message=None, recipient=person,
        rcpt_to=agent.address, from_name=queue.from_name, from_address=way.from_address, reply_to=way.reply_to,
        mail_from=way.mail_from, to_name=agent.name, subject=f"{login}: {', '.join(keys[:5])}{' …' if len(keys) > 5 else ''}",
        signed_kind="x", in_reply_to=None, references=(), automatic="auto-generated",
        values={
            "login": login, "count": len(his), "more": max(0, len(his) - MOST_LISTED),
            "tickets": [
                {"key": key, "queue": t.queue, "status": t.status, "subject": subject_of(t.id, ledger)}
                for key, t in zip(keys[:MOST_LISTED], his, strict=False)
            ],
        },
    )
