"""What customers may order by mail: close, reopen, cc, urgent, unsubscribe, help; all else of theirs is text.

A customer's command counts if the mail may be added to the ticket in the customer's own name: by a reply address
that was made for this sender, or by a proven sender who takes part (security §3.2). #cc needs the proof (ruling 2).
A block that cannot be carried out whole is text, and is never held: people write ``#1`` and ``#help``
without knowing of us.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.core import act, relay
from gateway.core.budget import why_no_help
from gateway.core.case import Case
from gateway.core.command_line import BY_WORD
from gateway.core.command_table import COMMANDS, CommandRow
from gateway.core.decision import Draft
from gateway.core.identity import PROVES_SENDER
from gateway.core.ledger import Ledger
from gateway.core.model import Command
from gateway.core.rows import Ticket


def orders(case: Case, state: Ticket) -> tuple[Command, ...]:
    """The commands of the mail that are to be carried out: all that it has, or none."""
    commands = case.facts.block.commands
    if not commands or case.agent is not None or case.facts.mail_class != "human":
        return ()
    if any(not _may(row, case, state) for row in map(_row, commands)):
        return ()
    return () if obey(case, state, commands, case.ledger.fork()) else commands


def obey(case: Case, state: Ticket, commands: tuple[Command, ...], ledger: Ledger) -> list[tuple[str, str]]:
    """Carry them out on ``ledger``; what cannot be is returned."""
    return act.carry_out(commands, state.id, ledger, act.Actor(kind="customer", person=case.author()), case.policy)


def reopens(commands: tuple[Command, ...]) -> bool:
    return any((c.name, c.args) == ("status", "open") for c in commands)


def closes(commands: tuple[Command, ...]) -> bool:
    return any((c.name, c.args) == ("status", "closed") for c in commands)


def without(case: Case, commands: tuple[Command, ...]) -> Case:
    """The mail as its readers are to see it: without the commands; of one that has nothing else, the commands."""
    text = case.facts.block.text.strip() or "\n".join(c.line for c in commands)
    return replace(case, facts=replace(case.facts, new_text=text))


def is_bare(case: Case) -> bool:
    """Commands and nothing else: no message is posted."""
    return not case.facts.block.text.strip() and all(part.inline for part in case.spooled.mail.parts)


def help_mail(case: Case, ticket: int, message: int, commands: tuple[Command, ...]) -> list[Draft]:
    """The answer to #help, if we may send one."""
    author = case.author()
    if author is None or not any(c.name == "help" for c in commands):
        return []
    no = why_no_help(case.facts, case.spooled.envelope, ticket, case.context, case.policy, case.ledger.now)
    if no is None and case.ledger.opted_out(author):
        no = "this person wants no automatic mail"
    case.ledger.why("help" if no is None else "no_help", no or case.facts.identity.address)
    return [] if no else [relay.customer_help(ticket, message, author, case.spooled.mail, case.ledger, case.policy)]


def _may(row: CommandRow, case: Case, state: Ticket) -> bool:
    identity, match, author = case.facts.identity, case.facts.match, case.author()
    on_it = any(f.person == author and f.role != "holder" for f in case.ledger.followers(state.id))
    if identity.level in PROVES_SENDER and on_it:
        return True
    return row.customer == 2 and identity.level == 2 and match.signal == "token" and match.party == author and on_it


def _row(command: Command) -> CommandRow:
    """The row that the customer wrote: short forms have their own."""
    short = next((r for r in COMMANDS if r.means == (command.name, command.args) and r.customer is not None), None)
    return short or BY_WORD[command.name]
