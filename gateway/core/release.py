"""``#send`` and ``#drop``: an agent's word about his mail that waits, and what still stands in its way.

A waiting mail has been looked at as far as the reason it was held for; the rest is asked here. An answer to our
notice at level 3 is the confirmation that commands of level 4 need (security §3.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from gateway.core import act, held, posting, relay
from gateway.core.authority import may
from gateway.core.case import Case, afresh, store
from gateway.core.command import parse_block, parse_whole
from gateway.core.command_line import row_of
from gateway.core.context import StoredMail
from gateway.core.decision import Decision
from gateway.core.leak import leftovers, newer_answer
from gateway.core.macro import Expanded
from gateway.core.model import OURS_INSIDE, Command, CommandBlock, Level
from gateway.core.policy import Agent
from gateway.core.quote import split_reply
from gateway.core.rows import Attachment, Message
from gateway.core.stray import misplaced
from gateway.core.tell import QUESTIONS

RELEASES: Final = frozenset({"send", "drop"})
Refusal = tuple[str, list[tuple[str, str]]]     # why it is held, and the lines that the notice names


def confirmed(case: Case, agent: Agent, *, internal: bool) -> Decision:
    """Mail that proves nothing, unless it answers our notice about another that proved nothing (security §3.2)."""
    ticket, answered = case.ticket, held.confirmation(case, agent)
    assert ticket is not None   # answer.agent_mail asked
    if answered is None:
        return held.hold(case, agent, "unproven", internal=internal)
    if held.is_late(case):
        return held.ask_again(case, agent, answered, "unproven")
    return release(case, agent, ticket, answered)


def release(case: Case, agent: Agent, ticket: int, waiting: StoredMail | None) -> Decision:
    """The held mail is done after all, then the commands beside ``#send``."""
    beside = case.facts.block.commands
    line = next(c.line for c in beside if c.name in RELEASES)
    if waiting is None or waiting.message.author != case.author():
        return held.hold(case, agent, "commands", [(line, "reply #send to the notice about the held mail")])
    if any(c.name == "drop" for c in beside):
        return held.drop(case, waiting.message)
    why = held.reason(waiting.message)
    if not held.HOLDS.get(why):
        return held.hold(case, agent, "commands", [(line, "send the answer again; this one cannot be released")])
    if far := act.too_low(beside, 4 if case.facts.identity.level == 4 else 3):
        return held.hold(case, agent, "commands", [(c.line, "write it in a mail of its own: it is asked about") for c in far])
    block = _block(case, waiting)
    try:
        said = posting.expanded(case, agent, ticket, waiting.text.new_text, block.commands + beside)
    except act.Refused as error:
        return posting.no_macro(case, agent, block.commands + beside, error)
    role = agent.role_in(case.ledger.ticket(ticket).queue)
    names = {c.name for c in said.commands}
    internal = role == "light" or ((held.is_internal(waiting.message) or "note" in names) and "public" not in names)
    if refusal := _why_not(case, ticket, role, waiting, block, said, internal=internal):
        return held.hold(case, agent, *refusal)
    if (why == "confirm" or act.too_low(said.commands, 3)) and held.is_late(case):
        return held.ask_again(case, agent, waiting, "confirm")
    return _done(case, agent, ticket, waiting, said, internal=internal)


def _block(case: Case, waiting: StoredMail) -> CommandBlock:
    """What the waiting mail ordered: its stored text is without the commands that stood above it."""
    new, fields = split_reply(waiting.text.whole_text).new, case.policy.fields
    if waiting.message.level < 3 or waiting.message.ticket is None:
        return parse_block(new, fields)
    return parse_whole(new, waiting.text.subject, case.context.subjects.get(waiting.message.ticket, ""), fields)


def _done(
    case: Case, agent: Agent, ticket: int, waiting: StoredMail, said: Expanded, *, internal: bool
) -> Decision:
    message, why, ledger = waiting.message, held.reason(waiting.message), case.ledger
    proven = case.facts.identity.level >= 3
    level: Level = 4 if proven else 3
    html = waiting.text.html if said.text == waiting.text.new_text.strip() else ""
    ledger.event(ticket, "released", actor=case.author(), actor_kind="agent", message=message.id, before=why)
    ticket = posting.apart(case, agent, ticket, said.commands)
    posted = _is_post(waiting, said)
    content = relay.Content(
        message=message.id, text=said.text, html=html,
        parts=relay.part_refs(waiting.attachments, message.spool_id, message.month),
    )
    done = posting.do(case, agent, ticket, content if posted else None, internal, said.commands, level)
    if done.refused:
        return held.hold(afresh(case), agent, "commands", done.refused)
    ledger.why("released", f"the mail held as {why} was carried out")
    drafts, number = list(done.drafts), ledger.new_message()
    if posted and internal and not (held.is_internal(message) or any(c.name == "note" for c in said.commands)):
        drafts += posting.noted(case, agent, ticket, number)
    if proven:
        drafts += posting.results(case, agent, ticket, number, said.commands, done.changed)
    freed: Message = replace(message, hold=None, disposition="apply", is_public=posted and not internal, ticket=ticket)
    return store(case, "apply", ticket=ticket, message=number, text="", drafts=drafts, changed=(freed,))


def _why_not(
    case: Case, ticket: int, role: str | None, waiting: StoredMail, block: CommandBlock, said: Expanded, *, internal: bool
) -> Refusal | None:
    """What would have held the waiting mail, had it come with its proof: nobody has looked at it so far."""
    text, unproven = waiting.text.new_text, held.reason(waiting.message) == "unproven"
    if block.suspects:
        return "commands", list(block.suspects)
    barred: list[tuple[str, str]] = [(c.line, who) for c in said.commands if not may(who := row_of(c.name).who, role)]
    if barred:
        return "role", barred
    if odd := _out_of_place(block.commands, unproven=unproven):
        return "commands", odd
    if not (_is_post(waiting, said) or block.commands):
        return "empty", []
    if internal:
        return None
    if stray := misplaced(text, case.policy.fields):
        return "commands", stray
    leaks = leftovers(case, ticket, text)
    if (unproven or held.is_internal(waiting.message)) and any(map(_may_be_ours, waiting.attachments)):
        leaks += [OURS_INSIDE]
    if leaks:
        return "leftover", [(leak, "") for leak in leaks]
    if _is_post(waiting, said) and unproven and (newer := newer_answer(case, ticket)):
        return "stale", [(newer, "")]
    return None


def _out_of_place(commands: Iterable[Command], *, unproven: bool) -> list[tuple[str, str]]:
    """Commands that make no sense in a mail which waited; history is read by a proven mail only (security §3.2)."""
    never = RELEASES | {"dryrun"} | (QUESTIONS - {"help"} if unproven else frozenset())
    return [(c.line, "write it in a new mail") for c in commands if c.name in never]


def _is_post(waiting: StoredMail, said: Expanded) -> bool:
    return bool(said.text or posting.attached(waiting.attachments))


def _may_be_ours(file: Attachment) -> bool:
    """A mail that goes along as a file: whether it is one of ours was not kept."""
    return file.content_type.startswith("message/") or file.name.lower().endswith((".eml", ".msg"))
