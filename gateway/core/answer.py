"""An agent's mail on a ticket: commands, public answer, internal note, or held with a question.

Nothing of an agent's mail reaches a customer unless every line of it is understood: a mistyped
command, a left-over of our own notice or of a note, a colleague's newer answer, an unproven
sender each hold the whole mail (decision 10, rulings 3, 4, 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from gateway.core import act, relay
from gateway.core.authority import may, needed
from gateway.core.budget import why_no_automatic
from gateway.core.case import Case, afresh, store
from gateway.core.command import help_lines, parse_block, row_of
from gateway.core.context import StoredMail
from gateway.core.decision import Decision, Draft
from gateway.core.footer import is_footer
from gateway.core.model import OURS_INSIDE, Command, OutgoingKind, Part
from gateway.core.policy import Agent
from gateway.core.quote import split_reply
from gateway.core.rows import Attachment, Message, Ticket
from gateway.core.stray import strays
from gateway.core.token import hides_token, strip_tokens

INTERNAL_QUESTION: Final = "question_note"
# Why a mail is held -> may "#send" release it. The words for the agent are in the template held_notice.
HOLDS: Final[dict[str, bool]] = {
    "role": False,          # a command that is for others (core/authority.py)
    "unproven": False,      # nothing proves that the agent wrote it
    "question": True,       # sent to a reply address, but it answers nothing of that ticket (ruling 3)
    INTERNAL_QUESTION: True,    # the same, and it is internal: released, it is a note
    "commands": False,      # a line at the top is no command we can carry out
    "empty": False,         # no new text and no command was found in it
    "leftover": False,      # text meant for agents still stands in it
    "stale": True,          # a colleague answered meanwhile (ruling 4)
}
NOTICE_PAUSE = timedelta(hours=1)   # between notices about mail that was not proven (no mail bombs)
SHORT = 20                          # letters; a line of a note shorter than this is too common to mean a leak
PIECE, STEP = 40, 10                # letters of a note that are looked for at once, and how far apart


def agent_mail(case: Case) -> Decision:
    """Decide a mail whose From is an agent's and that belongs to a ticket."""
    agent, ticket = case.agent, case.ticket
    assert agent is not None    # conclude.CASES asks for both
    assert ticket is not None
    if case.facts.identity.level < 3:
        return _hold(case, agent, "unproven")
    if case.facts.block.suspects:
        return _hold(case, agent, "commands", case.facts.block.suspects)
    role = agent.role_in(case.ledger.ticket(ticket).queue)
    needs = {c.line: needed(c.name, row_of(c.name).who) for c in case.facts.block.commands}
    if barred := [(line, who) for line, who in needs.items() if not may(who, role)]:
        return _hold(case, agent, "role", barred)
    names = _names(case)
    internal = role == "light" or (
        ("note" in names or case.facts.match.audience == "internal") and "public" not in names
    )
    text = case.facts.block.text.strip()
    attached = _attached(case.spooled.mail.parts)
    if case.facts.token_without_proof:
        return _hold(case, agent, INTERNAL_QUESTION if internal else "question")
    if "send" in names:
        return _release(case, agent)
    if not (text or case.facts.block.commands or attached):
        return _hold(case, agent, "empty")
    if not internal and (stray := strays(text)):
        return _hold(case, agent, "commands", [(line, "write commands on top, before your text") for line in stray])
    leaks = [] if internal else leftovers(case, ticket, text) + ours_attached(case)
    if leaks:
        return _hold(case, agent, "leftover", [(line, "") for line in leaks])
    if text and not internal and (newer := _newer_answer(case, ticket)):
        return _hold(case, agent, "stale", [(newer, "")])
    return _carry_out(case, agent, ticket, text, internal)


def _carry_out(case: Case, agent: Agent, ticket: int, text: str, internal: bool) -> Decision:
    """Everything was understood: message first, then commands; all or nothing."""
    message = case.ledger.new_message()
    posted = bool(text or _attached(case.spooled.mail.parts))
    content = case.content(message, text) if posted else None
    drafts, refused = _do(case, agent, content, internal, case.facts.block.commands)
    if refused:
        return _hold(afresh(case), agent, "commands", refused)
    if posted and internal and not ("note" in _names(case) or case.facts.match.audience == "internal"):
        drafts += _noted(case, agent, ticket, message)
    case.ledger.why("posted", ("note" if internal else "public answer") if posted else "commands only, no message")
    return store(
        case, "apply", ticket=ticket, message=message, is_public=posted and not internal, text=text,
        drafts=[*drafts, *_results(case, agent, ticket, message)],
    )


def _do(
    case: Case, agent: Agent, content: relay.Content | None, internal: bool, commands: tuple[Command, ...]
) -> tuple[list[Draft], list[tuple[str, str]]]:
    """Post ``content``, if any, and run ``commands``: the mails that follow, or the refused lines."""
    ledger, ticket = case.ledger, case.ticket
    assert ticket is not None  # agent_mail asked
    before = ledger.ticket(ticket)
    drafts: list[Draft] = []
    if content is not None and internal:
        ledger.event(ticket, "note", actor=case.author(), actor_kind="agent", message=content.message)
    elif content is not None:
        drafts = _publish(case, agent, ticket, content)
    refused = act.carry_out(
        commands, ticket, ledger, act.Actor(kind="agent", person=case.author(), agent=agent), case.policy
    )
    for command in commands:
        ledger.why("command", command.line)
    if content is not None:
        # After the commands, so that the footer tells the state that they made.
        told = {draft.rcpt_to for draft in drafts}
        drafts += _tell(case, "note_notice" if internal else "brief", before, content, but=told)
    return drafts, refused


def _names(case: Case) -> set[str]:
    return {c.name for c in case.facts.block.commands}


def _noted(case: Case, agent: Agent, ticket: int, message: int) -> list[Draft]:
    """A light agent hears that what looks like an answer to the customer has stayed inside."""
    case.ledger.why("noted", f"{agent.login} may write notes only: the answer is one")
    if why_no_automatic(agent.address, ticket, case.context, case.policy, case.ledger.now) is not None:
        return []
    return [relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy, template="noted"
    )]


def _attached(parts: Iterable[Part | Attachment]) -> bool:
    """A logo in a signature is no message."""
    return any(not part.inline for part in parts)


def _publish(case: Case, agent: Agent, ticket: int, content: relay.Content) -> list[Draft]:
    """The public answer: to the customers, who see the last public message below it."""
    ledger, policy = case.ledger, case.policy
    actor = act.Actor(kind="agent", person=case.author(), agent=agent)
    drafts = relay.to_customers(ticket, content, agent, ledger, policy, but=relay.on_to_or_cc(case.spooled.mail))
    if not drafts:
        ledger.why("nobody_to_tell", "every customer on this ticket already has this mail")
    ledger.event(
        ticket, "agent_reply", actor=actor.person, actor_kind="agent", message=content.message, is_public=True
    )
    act.first_answer(ledger, ticket, actor, policy)
    return drafts


def _tell(
    case: Case, kind: OutgoingKind, before: Ticket, content: relay.Content, *, but: Iterable[str]
) -> list[Draft]:
    """Colleagues on the ticket hear of an answer or a note; its writer and those who have it do not."""
    agent = case.agent
    have = {*but, *relay.on_to_or_cc(case.spooled.mail), *(agent.addresses if agent else ())}
    agents = relay.readers(before, case.ledger, case.policy, but=have)
    shown = content if kind == "note_notice" else replace(content, parts=())
    return relay.to_agents(kind, agents, before.id, shown, case.shown_author(), case.ledger, case.policy, cut=True)


def _results(case: Case, agent: Agent, ticket: int, message: int) -> list[Draft]:
    """Answers to #help and #why, to the agent only."""
    wanted = {c.name for c in case.facts.block.commands} & {"help", "why"}
    lines: list[str] = []
    if "help" in wanted:
        lines += help_lines(agent.language)
    if "why" in wanted:
        lines += [f"{r.code}: {r.detail}" for r in case.context.reasons.get(ticket, ())] or ["nothing is recorded"]
    if not lines:
        return []
    title = " ".join(f"#{name}" for name in sorted(wanted))
    return [relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy,
        template="result", title=title, lines=lines
    )]


def _hold(case: Case, agent: Agent, code: str, lines: Iterable[tuple[str, str]] = ()) -> Decision:
    """Store the mail, do nothing of it, and tell the registered address why."""
    ledger, ticket = case.ledger, case.ticket
    assert ticket is not None  # only mail on a ticket is held here
    message = ledger.new_message()
    ledger.event(
        ticket, "held", actor=case.author(), actor_kind="agent", message=message, after=code
    )
    ledger.why("held", code)
    drafts: tuple[Draft, ...] = ()
    last = case.context.held_notice_at.get(agent.address)
    silent = code == "unproven" and last is not None and ledger.now - last < NOTICE_PAUSE
    # A robot at an agent's address would answer our notice, and be held, and be told …
    if not silent and why_no_automatic(agent.address, ticket, case.context, case.policy, ledger.now) is None:
        # A notice about unproven mail repeats nothing of it: the writer may be anybody (decision 10).
        drafts = (relay.answer_agent(
            "unproven_notice" if code == "unproven" else "held_notice", agent, case.facts, case.spooled.mail, message,
            ledger, case.policy, template="held_notice",
            code="question" if code == INTERNAL_QUESTION else code,
            lines=[{"line": line[:200], "valid": valid} for line, valid in lines],
        ),)
    return store(
        case, "held", ticket=ticket, message=message, hold=code, text=case.facts.block.text.strip(), drafts=drafts
    )


def _release(case: Case, agent: Agent) -> Decision:
    """``#send`` in reply to our notice: the held mail is done after all, then the commands beside ``#send``."""
    ledger, ticket, beside = case.ledger, case.ticket, case.facts.block.commands
    assert ticket is not None
    held = _held_mail(case)
    line = next(c.line for c in beside if c.name == "send")
    if held is None or held.message.author != case.author():
        return _hold(case, agent, "commands", [(line, "reply #send to the notice about the held mail")])
    why, text = held.message.hold or "", held.text.new_text
    if not HOLDS.get(why):
        return _hold(case, agent, "commands", [(line, "send the answer again; this one cannot be released")])
    internal = why == INTERNAL_QUESTION or any(c.name == "note" for c in beside)
    leaks = [] if internal else leftovers(case, ticket, text)
    if leaks:
        return _hold(case, agent, "leftover", [(leak, "") for leak in leaks])
    posted = bool(text or _attached(held.attachments))
    content = relay.Content(
        message=held.message.id, text=text, html=held.text.html,
        parts=relay.part_refs(held.attachments, held.message.spool_id, held.message.month),
    )
    ledger.event(
        ticket, "released", actor=case.author(), actor_kind="agent", message=held.message.id, before=why
    )
    # The stored text is without the commands that stood above it.
    commands = parse_block(split_reply(held.text.whole_text).new).commands + beside
    drafts, refused = _do(case, agent, content if posted else None, internal, commands)
    if refused:
        return _hold(afresh(case), agent, "commands", refused)
    ledger.why("released", f"the mail held as {why} was carried out")
    freed: Message = replace(
        held.message, hold=None, disposition="apply", is_public=posted and not internal, ticket=ticket
    )
    return store(case, "apply", ticket=ticket, text="", drafts=drafts, changed=(freed,))


def _held_mail(case: Case) -> StoredMail | None:
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    found = case.context.stored.get(notice.message) if notice and notice.message is not None else None
    return found if found is not None and found.message.hold is not None else None


def leftovers(case: Case, ticket: int, text: str) -> list[str]:
    """Lines of our footer or of an internal note that stand in what would go to the customer."""
    context = case.context
    merged = [n for n in context.notes if (living := context.living(n)) is not None and living.id == ticket]
    numbers = [message for n in merged for message in context.notes[n] if message in context.stored]
    found = [line for line in text.splitlines() if is_footer(line)]
    answer = _plain(text)
    for number in numbers:
        note = _plain(context.stored[number].text.new_text)
        # Clients wrap lines anew, so a note is looked for piece by piece, blanks and line ends aside.
        pieces = (note[at:at + PIECE] for at in range(0, max(1, len(note) - PIECE + STEP), STEP))
        lines = (_plain(line) for line in context.stored[number].text.new_text.splitlines())
        if any(len(piece) >= SHORT and piece in answer for piece in (*pieces, *lines)):
            found += [line for line in text.splitlines() if _shares(_plain(line), note)]
    bare = strip_tokens(text, case.policy.reply_domain, "")
    found += [line for line in bare.splitlines() if hides_token(line)] or (["…"] if hides_token(bare) else [])
    return list(dict.fromkeys(found))


def _shares(line: str, note: str) -> bool:
    return len(line) >= SHORT and any(line[at:at + SHORT] in note for at in range(len(line) - SHORT + 1))


def ours_attached(case: Case) -> list[str]:
    """A mail of ours that goes along as a file ("attach original") would show notes and reply addresses."""
    return [OURS_INSIDE] if OURS_INSIDE in case.spooled.mail.defects else []


def _plain(line: str) -> str:
    """Letters only: case, blanks, line ends and quote marks aside."""
    return "".join(line.replace(">", " ").casefold().split())


def _newer_answer(case: Case, ticket: int) -> str | None:
    """Ruling 4: who answered in public, and when, after the notice that this mail replies to."""
    state = case.context.tickets[ticket]
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    if notice is None or state.last_agent_at is None or state.last_agent == case.author():
        return None
    if state.last_agent_at <= notice.created_at:
        return None
    colleague = case.ledger.find(state.last_agent)
    known = case.policy.agent_of_address(colleague.address) if colleague else None
    name = known.name if known else (colleague.name or colleague.address) if colleague else "?"
    return f"{name}, {state.last_agent_at.strftime('%Y-%m-%d %H:%M UTC')}"
