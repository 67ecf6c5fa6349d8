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

from gateway.core import act, relay, tell
from gateway.core.authority import may
from gateway.core.budget import why_no_automatic
from gateway.core.case import Case, afresh, store
from gateway.core.changes import changes
from gateway.core.command import parse_block
from gateway.core.command_line import row_of
from gateway.core.context import StoredMail
from gateway.core.decision import Decision, Draft
from gateway.core.leak import leftovers, newer_answer, ours_attached
from gateway.core.macro import Expanded, expand
from gateway.core.model import Command, OutgoingKind, Part
from gateway.core.policy import Agent
from gateway.core.quote import split_reply
from gateway.core.rows import Attachment, Message, Ticket
from gateway.core.stray import strays
from gateway.core.when import offset_of

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


def agent_mail(case: Case) -> Decision:
    """Decide a mail whose From is an agent's and that belongs to a ticket."""
    agent, ticket = case.agent, case.ticket
    assert agent is not None    # conclude.CASES asks for both
    assert ticket is not None
    if case.facts.identity.level < 3:
        return _hold(case, agent, "unproven")
    if any(c.name == "dryrun" for c in case.facts.block.commands):
        return _rehearse(case, agent, ticket)
    return _agent_mail(case, agent, ticket)


def _agent_mail(case: Case, agent: Agent, ticket: int) -> Decision:
    """``agent_mail`` of a proven agent, whether it is meant or only rehearsed."""
    if case.facts.block.suspects:
        return _hold(case, agent, "commands", case.facts.block.suspects)
    role = agent.role_in(case.ledger.ticket(ticket).queue)
    needs = {c.line: row_of(c.name).who for c in case.facts.block.commands}
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
    if not internal and (stray := strays(text, case.policy.fields)):
        return _hold(case, agent, "commands", [(line, "write commands on top, before your text") for line in stray])
    leaks = [] if internal else leftovers(case, ticket, text) + ours_attached(case)
    if leaks:
        return _hold(case, agent, "leftover", [(line, "") for line in leaks])
    try:
        said = _expanded(case, agent, ticket, text, case.facts.block.commands)
    except act.Refused as error:
        line = next(c.line for c in case.facts.block.commands if c.name == "macro")
        return _hold(case, agent, "commands", [(line, str(error))])
    if said.text != text:   # the HTML does not have the macro's words
        text = said.text
        case = replace(case, spooled=replace(case.spooled, mail=replace(case.spooled.mail, html="")))
    if text and not internal and (newer := newer_answer(case, ticket)):
        return _hold(case, agent, "stale", [(newer, "")])
    return _carry_out(case, agent, ticket, text, internal, said.commands)


def _carry_out(
    case: Case, agent: Agent, ticket: int, text: str, internal: bool, commands: tuple[Command, ...]
) -> Decision:
    """Everything was understood: message first, then commands; all or nothing."""
    message = case.ledger.new_message()
    ticket = _apart(case, agent, ticket, commands)
    posted = bool(text or _attached(case.spooled.mail.parts))
    content = case.content(message, text) if posted else None
    drafts, refused, changed = _do(case, agent, ticket, content, internal, commands)
    if refused:
        return _hold(afresh(case), agent, "commands", refused)
    if posted and internal and not ("note" in _names(case) or case.facts.match.audience == "internal"):
        drafts += _noted(case, agent, ticket, message)
    case.ledger.why("posted", ("note" if internal else "public answer") if posted else "commands only, no message")
    return store(
        case, "apply", ticket=ticket, message=message, is_public=posted and not internal, text=text,
        drafts=[*drafts, *_results(case, agent, ticket, message, changed)],
    )


def _actor(case: Case, agent: Agent) -> act.Actor:
    return act.Actor(
        kind="agent", person=case.author(), agent=agent, offset=offset_of(case.spooled.mail.header("date"))
    )


def _expanded(case: Case, agent: Agent, ticket: int, text: str, commands: tuple[Command, ...]) -> Expanded:
    """Text and commands with macros in place. Raises Refused."""
    person = case.ledger.find(case.ledger.ticket(ticket).requester)
    name = (person.name or person.address) if person is not None else ""
    said = expand(commands, name, relay.key_of(ticket, case.policy), agent, case.policy)
    return replace(said, text=f"{text}\n\n{said.text}".strip())


def _apart(case: Case, agent: Agent, ticket: int, commands: tuple[Command, ...]) -> int:
    """The ticket that the mail is about: with #split a new one."""
    order = next((c for c in commands if c.name == "split"), None)
    if order is None:
        return ticket
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    answered = notice.message if notice is not None else None
    return act.split(case.ledger, ticket, order.args, answered, _actor(case, agent), case.policy)


def _do(
    case: Case, agent: Agent, ticket: int, content: relay.Content | None, internal: bool, commands: tuple[Command, ...]
) -> tuple[list[Draft], tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Post ``content``, if any, and run ``commands``: the mails that follow, the refused lines, what changed."""
    ledger = case.ledger
    before = ledger.ticket(ticket)
    drafts: list[Draft] = []
    if content is not None and internal:
        ledger.event(ticket, "note", actor=case.author(), actor_kind="agent", message=content.message)
    elif content is not None:
        drafts = _publish(case, agent, ticket, content)
    done = act.perform(
        commands, ticket, ledger, _actor(case, agent), case.facts.identity.level, case.policy, language=agent.language
    )
    for command in commands:
        ledger.why("command", command.line)
    if content is not None:
        # After the commands, so that the footer tells the state that they made.
        told = {draft.rcpt_to for draft in drafts}
        drafts += _tell(case, "note_notice" if internal else "brief", before, content, but=told)
    drafts += _hand_over(case, agent, before)
    return drafts, done.refused, done.changed


def _hand_over(case: Case, agent: Agent, before: Ticket) -> list[Draft]:
    """Whom the ticket concerns only since this mail: who has it now, or the agents of its new queue."""
    ledger, state = case.ledger, case.ledger.ticket(before.id)
    moved = state.queue != before.queue and state.assignee is None
    given = state.assignee is not None and state.assignee != before.assignee
    if state.status == "void" or not (moved or given):
        return []
    had = {a.login for a in relay.readers(before, ledger, case.policy)} if not given else set()
    agents = [a for a in relay.readers(state, ledger, case.policy, but=agent.addresses) if a.login not in had]
    last = case.context.stored.get(before.last_public or 0)
    return relay.handed(
        agents, before.id, last.message.id if last else 0, last, case.shown_author(), ledger, case.policy, to_queue=moved
    )


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
    actor = _actor(case, agent)
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
    after = relay.readers(case.ledger.ticket(before.id), case.ledger, case.policy, but=have)
    agents += [a for a in after if a not in agents]
    shown = content if kind == "note_notice" else replace(content, parts=())
    return relay.to_agents(kind, agents, before.id, shown, case.shown_author(), case.ledger, case.policy, cut=True)


def _results(case: Case, agent: Agent, ticket: int, message: int, changed: tuple[str, ...]) -> list[Draft]:
    """Answers to questions, receipts, and what of a subject was passed over: to the agent only."""
    block, ledger = case.facts.block, case.ledger
    offset = offset_of(case.spooled.mail.header("date"))
    lines = tell.answers(block.commands, ticket, agent, ledger, case.policy, offset)
    titles = [tell.title(block.commands)] if lines else []
    if any(c.name in ("receipt", "undo") for c in block.commands):
        lines += [*(changed or tell.words("unchanged", agent.language)), f"#undo {ledger.cause}"]
        titles.append(relay.key_of(ticket, case.policy))
    lines += [line for item, why in block.passed_over for line in (f"[{item}]", f"  {why}")]
    if not lines:
        return []
    title = " ".join(titles) or tell.words("passed_over", agent.language)[0]
    return [relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy,
        template="result", title=title, lines=lines
    )]


def _rehearse(case: Case, agent: Agent, ticket: int) -> Decision:
    """#dryrun: the mail is decided, told, and forgotten but for its copy."""
    block = case.facts.block
    meant = replace(block, commands=tuple(c for c in block.commands if c.name != "dryrun"))
    rehearsal = afresh(replace(case, facts=replace(case.facts, block=meant)))
    decided = _agent_mail(rehearsal, agent, ticket)
    offset = offset_of(case.spooled.mail.header("date"))
    lines = changes(decided.rows.events, rehearsal.ledger, case.policy, agent.language, offset=offset)
    lines += [f"{tell.words(d.kind, agent.language)[0]}: {d.rcpt_to}" for d in decided.drafts if d.kind in tell.SENT]
    if decided.disposition == "held":
        lines = tell.held_words(decided, agent.language)
    message = case.ledger.new_message()
    case.ledger.why("dryrun", "nothing was done")
    result = relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy, template="result",
        title=tell.words("dryrun", agent.language)[0], lines=lines or tell.words("unchanged", agent.language),
    )
    return store(case, "log", ticket=ticket, message=message, text=block.text.strip(), drafts=(result,))


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
    # The stored text is without the commands that stood above it.
    commands = parse_block(split_reply(held.text.whole_text).new, case.policy.fields).commands + beside
    try:
        said = _expanded(case, agent, ticket, text, commands)
    except act.Refused as error:
        return _hold(case, agent, "commands", [(line, str(error))])
    html, text, commands = "" if said.text != text.strip() else held.text.html, said.text, said.commands
    ticket = _apart(case, agent, ticket, commands)
    posted = bool(text or _attached(held.attachments))
    content = relay.Content(
        message=held.message.id, text=text, html=html,
        parts=relay.part_refs(held.attachments, held.message.spool_id, held.message.month),
    )
    ledger.event(
        ticket, "released", actor=case.author(), actor_kind="agent", message=held.message.id, before=why
    )
    drafts, refused, _ = _do(case, agent, ticket, content if posted else None, internal, commands)
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


# What core/vendor.py and core/control.py share with answers.
actor_of, attached, hand_over, hold, results = _actor, _attached, _hand_over, _hold, _results
