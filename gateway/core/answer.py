"""An agent's mail on a ticket: commands, public answer, internal note, or held with a question.

Nothing of an agent's mail reaches a customer unless every line of it is understood: a mistyped
command, a left-over of our own notice or of a note, a colleague's newer answer, an unproven
sender each hold the whole mail (decision 10, rulings 3, 4, 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.core import act, held, relay
from gateway.core.case import Case, afresh, store
from gateway.core.command import help_lines, parse_block
from gateway.core.context import StoredMail
from gateway.core.decision import Decision, Draft
from gateway.core.footer import is_footer
from gateway.core.model import OURS_INSIDE, Command, CommandBlock, OutgoingKind, Part
from gateway.core.policy import Agent
from gateway.core.quote import split_reply
from gateway.core.rows import Attachment, Message, Ticket
from gateway.core.stray import strays
from gateway.core.token import hides_token, strip_tokens

RELEASES = frozenset({"send", "drop"})
LIGHT = frozenset({"note", "help", "why"})      # the commands of a light agent
SHORT = 20                          # letters; a line of a note shorter than this is too common to mean a leak
PIECE, STEP = 40, 10                # letters of a note that are looked for at once, and how far apart


def agent_mail(case: Case) -> Decision:
    """Decide a mail whose From is an agent's and that belongs to a ticket."""
    agent, ticket = case.agent, case.ticket
    assert agent is not None    # conclude.CASES asks for both
    assert ticket is not None
    if case.facts.identity.level < 3:
        return _confirmed(case, agent)
    if case.facts.block.suspects:
        return held.hold(case, agent, "commands", case.facts.block.suspects)
    names = {c.name for c in case.facts.block.commands}
    internal = _is_internal(case)
    text = case.facts.block.text.strip()
    files = attached(case.spooled.mail.parts)
    if agent.role == "light" and not (names <= LIGHT and (internal or (names and not text and not files))):
        return held.hold(case, agent, "role")
    if case.released is None and (waits := held.why_it_waits(case)):
        return held.hold(case, agent, waits, internal=internal)
    if names & RELEASES:
        return _release(case, agent, held.waiting_mail(case))
    if internal and case.to_relay():
        return held.hold(case, agent, "outside")
    if not (text or case.facts.block.commands or files):
        return held.hold(case, agent, "empty")
    if not internal and (stray := strays(text)):
        return held.hold(case, agent, "commands", [(line, "write commands on top, before your text") for line in stray])
    leaks = [] if internal else leftovers(case, ticket, text) + ours_attached(case)
    if leaks:
        return held.hold(case, agent, "leftover", [(line, "") for line in leaks])
    if text and not internal and case.released is None and (newer := _newer_answer(case, ticket)):
        return held.hold(case, agent, "stale", [(newer, "")])
    return carry_out(case, agent, ticket, text, internal)


def carry_out(
    case: Case, agent: Agent, ticket: int, text: str, internal: bool, *, began: int | None = None
) -> Decision:
    """Everything was understood: message first, then commands; all or nothing.

    ``began`` is the message that the ticket was opened with just now.
    """
    message = case.ledger.new_message() if began is None else began
    posted = bool(text or attached(case.spooled.mail.parts))
    content = case.content(message, text) if posted else None
    if posted:
        case.join_named(ticket)
    drafts, refused = _do(case, agent, ticket, content, internal, case.facts.block.commands, is_first=began is not None)
    if refused:
        return held.hold(afresh(case), agent, "commands", refused)
    case.ledger.why("posted", ("note" if internal else "public answer") if posted else "commands only, no message")
    return store(
        case, "apply", ticket=ticket, message=message, is_public=posted and not internal, text=text,
        drafts=[*drafts, *_results(case, agent, ticket, message)],
    )


def _do(
    case: Case, agent: Agent, ticket: int, content: relay.Content | None, internal: bool,
    commands: tuple[Command, ...], *, is_first: bool = False,
) -> tuple[list[Draft], list[tuple[str, str]]]:
    """Post ``content``, if any, and run ``commands``: the mails that follow, or the refused lines."""
    ledger = case.ledger
    before = ledger.ticket(ticket)
    drafts: list[Draft] = []
    if content is not None and internal:
        ledger.event(ticket, "note", actor=case.author(), actor_kind="agent", message=content.message)
    elif content is not None:
        drafts = _publish(case, agent, ticket, content, is_first=is_first)
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


def _is_internal(case: Case) -> bool:
    names = {c.name for c in case.facts.block.commands}
    return ("note" in names or case.facts.match.audience == "internal") and "public" not in names


def attached(parts: Iterable[Part | Attachment]) -> bool:
    """A logo in a signature is no message."""
    return any(not part.inline for part in parts)


def _publish(case: Case, agent: Agent, ticket: int, content: relay.Content, *, is_first: bool) -> list[Draft]:
    """The public answer: to the customers, who see the last public message below it."""
    ledger, policy = case.ledger, case.policy
    actor = act.Actor(kind="agent", person=case.author(), agent=agent)
    drafts = relay.to_customers(ticket, content, agent, ledger, policy, but=case.have(), named=case.to_relay(), first=is_first)
    if not drafts:
        ledger.why("nobody_to_tell", "every customer on this ticket already has this mail")
    if not is_first:    # else it opened the ticket, and answers nothing
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
    have = {*but, *case.have(), *(agent.addresses if agent else ())}
    agents = relay.readers(before, case.ledger, case.policy, but=have)
    agents += [a for a in case.named_agents() if a not in agents and not have & set(a.addresses)]
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


def _confirmed(case: Case, agent: Agent) -> Decision:
    """Mail that proves nothing, unless it answers our notice about another that proved nothing (security §3.2)."""
    answered = held.confirmation(case, agent)
    if answered is None:
        return held.hold(case, agent, "unproven", internal=_is_internal(case))
    if held.is_late(case):
        return held.ask_again(case, agent, answered)
    return _release(case, agent, answered)


def _release(case: Case, agent: Agent, waiting: StoredMail | None) -> Decision:
    """``#send`` in reply to our notice: the held mail is done after all, then the commands beside ``#send``."""
    ledger, ticket, beside = case.ledger, case.ticket, case.facts.block.commands
    assert ticket is not None
    line = next(c.line for c in beside if c.name in RELEASES)
    if waiting is None or waiting.message.author != case.author():
        return held.hold(case, agent, "commands", [(line, "reply #send to the notice about the held mail")])
    why, text = held.reason(waiting.message), waiting.text.new_text
    if any(c.name == "drop" for c in beside):
        return held.drop(case, waiting.message)
    if not held.HOLDS.get(why):
        return held.hold(case, agent, "commands", [(line, "send the answer again; this one cannot be released")])
    if why == "confirm" and held.is_late(case):
        return held.ask_again(case, agent, waiting)
    # The stored text is without the commands that stood above it.
    block = parse_block(split_reply(waiting.text.whole_text).new)
    names = {c.name for c in (*block.commands, *beside)}
    internal = (held.is_internal(waiting.message) or "note" in names) and "public" not in names
    posted = bool(text or attached(waiting.attachments))
    if refusal := _why_not(case, agent, waiting, block, internal=internal, posted=posted):
        return held.hold(case, agent, *refusal)
    content = relay.Content(
        message=waiting.message.id, text=text, html=waiting.text.html,
        parts=relay.part_refs(waiting.attachments, waiting.message.spool_id, waiting.message.month),
    )
    ledger.event(
        ticket, "released", actor=case.author(), actor_kind="agent", message=waiting.message.id, before=why
    )
    drafts, refused = _do(case, agent, ticket, content if posted else None, internal, block.commands + beside)
    if refused:
        return held.hold(afresh(case), agent, "commands", refused)
    ledger.why("released", f"the mail held as {why} was carried out")
    freed: Message = replace(
        waiting.message, hold=None, disposition="apply", is_public=posted and not internal, ticket=ticket
    )
    return store(case, "apply", ticket=ticket, text="", drafts=drafts, changed=(freed,))


def _why_not(
    case: Case, agent: Agent, waiting: StoredMail, block: CommandBlock, *, internal: bool, posted: bool
) -> tuple[str, list[tuple[str, str]]] | None:
    """What would have held the waiting mail, had it come with its proof: nobody has looked at it so far."""
    text, ticket = waiting.text.new_text, case.ticket
    assert ticket is not None
    if block.suspects:
        return "commands", list(block.suspects)
    if agent.role == "light" and not ({c.name for c in block.commands} <= LIGHT and (internal or not posted)):
        return "role", []
    if not (posted or block.commands):
        return "empty", []
    if internal:
        return None
    if stray := strays(text):
        return "commands", [(line, "write commands on top, before your text") for line in stray]
    leaks = leftovers(case, ticket, text)
    if any(a.content_type.startswith("message/") or a.name.lower().endswith((".eml", ".msg")) for a in waiting.attachments):
        leaks += [OURS_INSIDE] if held.reason(waiting.message) == "unproven" else []
    if leaks:
        return "leftover", [(leak, "") for leak in leaks]
    if posted and held.reason(waiting.message) == "unproven" and (newer := _newer_answer(case, ticket)):
        return "stale", [(newer, "")]
    return None


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
