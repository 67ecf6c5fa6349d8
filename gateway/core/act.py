"""What commands do to a ticket. One row a command; a refusal says what would have been valid.

Commands of people and of rules run through the same table (architecture decision 7). A caller
works on a ledger of its own and throws it away if anything was refused: all or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.core import authority, suppress
from gateway.core.command import parse_action
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import TRANSITIONS
from gateway.core.model import ActorKind, Command, Status
from gateway.core.policy import Agent, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an agent through a mail, or a rule."""

    kind: ActorKind
    person: int | None
    agent: Agent | None = None
    cause: str | None = None        # "rule:<name>" for rules


class Refused(Exception):
    """A command that cannot be carried out; the text tells the agent what would have been valid."""


STATUSES: Final[dict[str, Status]] = {status: status for status in TRANSITIONS}


def carry_out(
    commands: tuple[Command, ...], ticket: int, ledger: Ledger, actor: Actor, policy: Policy
) -> list[tuple[str, str]]:
    """Run the commands that change a ticket; others (help, why, note …) are the caller's.

    Returns (line, what would be valid) of every refused command; empty if all were carried out.
    """
    refused: list[tuple[str, str]] = []
    for command in commands:
        act = ACTS.get(command.name)
        if act is None:
            continue
        into = ledger.ticket(ticket).merged_into
        try:
            if into is not None:
                raise Refused(f"the ticket is part of {policy.key}-{into} by then; write #merge last")
            act(ledger, ticket, command.args, actor, policy)
        except Refused as error:
            refused.append((command.line, str(error)))
    return refused


def apply_rules(
    hits: tuple[str, ...], ticket: int, ledger: Ledger, policy: Policy
) -> list[tuple[str, str, str]]:
    """The actions of the rules that hit, in file order until one says stop.

    Returns (rule, line, what would be valid) of every refused action; the others of its rule stand.
    """
    refused: list[tuple[str, str, str]] = []
    for rule in (rule for rule in policy.rules if rule.name in hits):
        actor = Actor(kind="rule", person=None, cause=f"rule:{rule.name}")
        actions = tuple(parse_action(line) for line in rule.then)
        refused += [(rule.name, *why) for why in carry_out(actions, ticket, ledger, actor, policy)]
        if rule.stop:
            break
    return refused


def set_status(ledger: Ledger, ticket: int, after: Status, actor: Actor) -> None:
    """Move the ticket, if it is not there already. Raises Refused on a move that the table lacks."""
    before = ledger.ticket(ticket).status
    if before == after:
        return
    if after not in TRANSITIONS[before]:
        raise Refused(f"a ticket that is {before} can become {', '.join(sorted(TRANSITIONS[before])) or 'nothing else'}")
    ledger.event(
        ticket, "status", actor=actor.person, actor_kind=actor.kind, before=before, after=after, cause=actor.cause
    )


def first_answer(ledger: Ledger, ticket: int, actor: Actor, policy: Policy) -> None:
    """A new ticket that is answered is open; who answers first takes it, so that the customer's next mail reaches one person."""
    state = ledger.ticket(ticket)
    if state.status == "new":
        set_status(ledger, ticket, "open", actor)
    if state.assignee is None and actor.agent is not None:
        _assign(ledger, ticket, "me", actor, policy)


def _status(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    set_status(ledger, ticket, STATUSES[args], actor)   # the grammar admits no other word


def _assign(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    agent = actor.agent if args == "me" else None
    if args not in ("me", "none"):
        agent = policy.agent(args) or policy.agent_of_address(args)
    able = authority.assignable(ledger.ticket(ticket).queue, policy)
    if args != "none" and (agent is None or agent.login not in able):
        raise Refused("agents are " + ", ".join(able) + ", or me, or none")
    after = str(ledger.person(agent.address, agent.name)) if agent else None
    held = ledger.ticket(ticket).assignee
    before = str(held) if held is not None else None
    if before != after:
        ledger.event(
            ticket, "assignee", actor=actor.person, actor_kind=actor.kind, before=before, after=after,
            cause=actor.cause,
        )


def _priority(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    before = ledger.ticket(ticket).priority
    if before != args:
        ledger.event(
            ticket, "priority", actor=actor.person, actor_kind=actor.kind, before=before, after=args,
            cause=actor.cause,
        )


def _tag(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    for item in args.split():
        sign, tag = (item[0], item[1:]) if item[0] in "+-" else ("+", item)
        have = tag in ledger.ticket(ticket).tags.split()
        if (sign == "+") == have:
            continue
        ledger.event(
            ticket, "tag_added" if sign == "+" else "tag_removed", actor=actor.person, actor_kind=actor.kind,
            after=tag, cause=actor.cause,
        )


def _merge(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    found = re.fullmatch(rf"(?:{re.escape(policy.key)}-)?(\d{{1,15}})", args.strip(), re.IGNORECASE)
    if found is None:
        raise Refused(f"#merge {policy.key}-123")
    into = ledger.context.living(int(found.group(1)))
    if into is None or not authority.sees(actor.agent, into.queue):
        raise Refused(f"{policy.key}-{found.group(1)} is not a ticket here")
    if into.id == ticket:
        raise Refused(f"{policy.key}-{into.id} is this ticket")
    merge(ledger, ticket, into.id, actor)


def merge(ledger: Ledger, ticket: int, into: int, actor: Actor) -> None:
    """``ticket`` becomes void and redirects to ``into`` for ever; its followers move along."""
    ledger.event(
        ticket, "merged_into", actor=actor.person, actor_kind=actor.kind, after=str(into), cause=actor.cause
    )
    ledger.event(into, "merged_from", actor=actor.person, actor_kind=actor.kind, after=str(ticket), cause=actor.cause)
    for follower in ledger.followers(ticket):
        ledger.join(
            into, follower.person, "holder" if follower.role == "holder" else "cc", actor=actor.person,
            actor_kind=actor.kind, cause=actor.cause,
        )


def _revive(ledger: Ledger, ticket: int, args: str, actor: Actor, policy: Policy) -> None:
    """Only of this ticket: an agent who writes to somebody else's customer does so on that one's ticket."""
    on_it = {f.person for f in ledger.followers(ticket)}
    dead = {ledger.address(row.person): row for p in on_it if (row := suppress.stopped(p, ledger, policy))}
    row = dead.get(args)
    if row is None:
        listed = ", ".join(sorted(dead))
        raise Refused(f"on this ticket we do not write to {listed}" if listed else "we write to everybody on this ticket")
    suppress.revive(row, ledger)
    ledger.event(ticket, "revived", actor=actor.person, actor_kind=actor.kind, after=str(row.person), cause=actor.cause)


Act = Callable[[Ledger, int, str, Actor, Policy], None]
ACTS: Final[dict[str, Act]] = {
    "status": _status,
    "assign": _assign,
    "priority": _priority,
    "tag": _tag,
    "merge": _merge,
    "revive": _revive,
}
