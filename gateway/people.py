"""An admin's line on its way: read, decided, written; the desk of the moment is the books' (``Bookkeeper.policy``).

The caller has authorised it. Lines of operators come by the control socket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.books import Bookkeeper
from gateway.core.admin import AdminCommand, parse_words
from gateway.core.admin_act import addresses_of, holders
from gateway.core.clerk import Author
from gateway.core.context import Needs
from gateway.core.decision import Decision
from gateway.core.policy import Agent, Policy
from gateway.errors import MailwicketError
from gateway.pipeline import Rooms, decide_admin, decide_told

Row = dict[str, Any]


def change(books: Bookkeeper, rooms: Rooms, command: AdminCommand, author: Author) -> tuple[str, ...]:
    """Carry out one line on the writer thread: one frame, or none if nothing changes. Raises ValueError."""
    now, directory = datetime.now(UTC), books.store.directory
    agents = {a.address for a in books.policy(rooms.policy).agents}
    context = books.store.load(Needs(addresses=addresses_of(command) | agents), now)
    held = books.store.assigned(holders(command, directory))
    context = replace(
        context, tickets={n: ticket for n, (ticket, _) in held.items()}, subjects={n: s for n, (_, s) in held.items()}
    )
    rows, said = decide_admin(command, directory, context, rooms, author, fetch=books.fetch, now=now)
    if rows.directory_events:
        books.write(rows, {}, now=now, cause="operator" if author.kind == "operator" else "mail")
    return said


def operate(books: Bookkeeper, rooms: Rooms, words: Sequence[str], actor: str) -> Iterator[Row]:
    """A line of an operator; ``actor`` is operator:<uid>. Raises MailwicketError with what would have been valid."""
    try:
        command = parse_words(words)
        said = books.ask(lambda: change(books, rooms, command, Author(kind="operator", person=None, cause=actor)))
    except ValueError as error:
        raise MailwicketError(f"{error}") from error
    for line in said:
        yield {"done": line}


def ordered(books: Bookkeeper, rooms: Rooms, decision: Decision) -> None:
    """The confirmed lines of a control mail, on the writer thread, after the mail's own frame; their admin is told.

    Each line is a frame. After a crash between the frames the rest is not carried out, and no transcript says so.
    """
    author = Author(kind="agent", person=decision.admin_by, cause=decision.spool_id)
    lines: list[str] = []
    for command in decision.admin:
        lines.append(f"> {command.line}")
        try:
            lines += [f"  {line}" for line in change(books, rooms, command, author)]
        except ValueError as error:
            lines.append(f"  {error}")
    now, policy = datetime.now(UTC), books.policy(rooms.policy)
    context = books.store.load(Needs(persons=frozenset({decision.admin_by or 0})), now)
    person = context.persons.get(decision.admin_by or 0)
    agent = policy.agent_of_address(person.address) if person is not None else None
    if agent is not None:   # else he took himself out
        context = books.store.load(Needs(addresses=frozenset(agent.addresses)), now)
        rows = decide_told(agent, lines, context, rooms.under(policy), cause=decision.spool_id, fetch=books.fetch, now=now)
        books.write(rows, {}, now=now, cause="mail")


def listed(noun: str, configured: Policy, policy: Policy) -> Iterator[Row]:
    """Who is who, by ``noun``: agent, team or organisation. ``source`` is where it can be changed."""
    if noun == "agent":
        for agent in policy.agents:
            yield {
                "login": agent.login, "name": agent.name, "address": list(agent.addresses), "role": agent.role if agent.elsewhere or agent.role == "admin" else None,
                "queues": {q.name: role for q in policy.queues if (role := agent.role_in(q.name)) is not None},
                "language": agent.language, "source": _source(configured.agent(agent.login)),
            }
    elif noun == "team":
        for team in policy.teams:
            yield {"team": team.name, "members": list(team.members), "source": _source(configured.team(team.name))}
    else:
        for home in policy.organisations:
            yield {
                "organisation": home.name, "domains": list(home.domains), "shared": home.shared,
                "source": _source(home if home in configured.organisations else None),
            }


def _source(declared: Agent | object | None) -> str:
    return "directory" if declared is None else "mailwicket.toml"
