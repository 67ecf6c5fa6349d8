"""What commands do to a ticket: the table ACTS, who may use it, and all or nothing.

Commands of people and of rules run through the same table (architecture decision 7). Acts stand in
core/act_*.py by subject. ``perform`` is the door for whoever has commands for a ticket: an agent's reply,
and later ``control@`` and digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.core import act_people, act_state, act_tickets, act_undo, authority
from gateway.core.act_state import first_answer, set_status
from gateway.core.act_tickets import merge, split
from gateway.core.actor import Actor, Refused
from gateway.core.changes import changes
from gateway.core.command_line import parse_action, row_of
from gateway.core.ledger import Ledger
from gateway.core.model import Command, Level
from gateway.core.policy import Policy

__all__ = ["ACTS", "Actor", "Done", "Refused", "apply_rules", "carry_out", "first_answer", "merge", "perform", "set_status", "split", "too_low"]

Act = Callable[[Ledger, int, str, Actor, Policy], None]
ACTS: Final[dict[str, Act]] = {
    "status": act_state.status,
    "assign": act_state.assign,
    "group": act_state.group,
    "priority": act_state.priority,
    "type": act_state.kind,
    "tag": act_state.tag,
    "due": act_state.due,
    "spent": act_state.spent,
    "estimate": act_state.estimate,
    "field": act_state.field,
    "spam": act_state.spam,
    "restore": act_state.restore,
    "requester": act_people.requester,
    "fwd": act_people.fwd,
    "cc": act_people.cc,
    "revive": act_people.revive,
    "vendor": act_people.vendor,
    "unsubscribe": act_people.unsubscribe,
    "link": act_tickets.link,
    "unlink": act_tickets.unlink,
    "merge": act_tickets.merge_into,
    "undo": act_undo.undo,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of commands on one ticket: refusals, or changes."""

    refused: tuple[tuple[str, str], ...]    # (line as written, what would have been valid)
    changed: tuple[str, ...]                # in words, for transcripts and receipts
    transaction: str                        # what #undo takes


def perform(
    commands: Iterable[Command], ticket: int, ledger: Ledger, actor: Actor, level: Level, policy: Policy,
    *, language: str = "en",
) -> Done:
    """Authorise and carry out ``commands`` on one living ticket: all of them, or none.

    ``actor.agent`` is who orders, ``level`` how sure we are of that (core/identity.py). The ticket must be in
    ``ledger.context``, with what hangs on it; #undo, #field, #link and #unlink need it in ``Needs.more_of``, a named
    other ticket in ``Needs.tickets``. They run on a fork of ``ledger``: if any is refused, ``ledger`` is as it
    was, and ``Done.refused`` tells each refused line with what would have been valid; else ``ledger`` has taken the events
    over and ``Done.changed`` says what changed, a line an event, keys before those of other tickets.
    The events' cause is the ledger's, so several calls on one ledger (the lines of a control mail) are one transaction.

    Commands without an act (note, public, help, why, show, search, split, macro …) are authorised, and
    carried out by the caller.
    """
    every = tuple(commands)
    queue = ledger.ticket(ticket).queue
    refused = [(c.line, why) for c in every if (why := _forbidden(c, actor, level, queue))]
    scratch = ledger.fork()
    if not refused:
        refused = carry_out(every, ticket, scratch, actor, policy)
    if refused:
        return Done(refused=tuple(refused), changed=(), transaction=ledger.cause)
    done = scratch.events[len(ledger.events):]
    ledger.adopt(scratch)
    changed = []
    for event in done:
        there = "" if event.ticket == ticket else f"{policy.key}-{event.ticket}: "
        changed += [there + line for line in changes([event], ledger, policy, language, offset=actor.offset)]
    return Done(refused=(), changed=tuple(changed), transaction=ledger.cause)


def too_low(commands: Iterable[Command], level: Level) -> list[Command]:
    """Those that need a higher level: what a confirmation would have to raise."""
    return [c for c in commands if level < row_of(c.name).level]


def _forbidden(command: Command, actor: Actor, level: Level, queue: str) -> str:
    """Why this actor may not, '' if he may."""
    row = row_of(command.name)
    role = actor.agent.role_in(queue) if actor.agent is not None else "admin"
    if not authority.may(row.who, role):
        return f"this is for {row.who}s; you are {role or 'nobody'} here"
    if too_low([command], level):
        return f"this needs a sender proven at level {row.level}; yours is {level}"
    return ""


def carry_out(
    commands: Iterable[Command], ticket: int, ledger: Ledger, actor: Actor, policy: Policy
) -> list[tuple[str, str]]:
    """Run the commands that have an act, whoever may; on a ledger that is thrown away if any was refused.

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
        actions = tuple(parse_action(line, policy.fields) for line in rule.then)
        refused += [(rule.name, *why) for why in carry_out(actions, ticket, ledger, actor, policy)]
        if rule.stop:
            break
    return refused
