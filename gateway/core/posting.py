"""An agent's mail that was understood: first its message, then its commands, then who hears of it; all or nothing.

Whether it may is asked before: core/answer.py for mail on a ticket, core/release.py for mail that waited,
core/outbound.py for mail that begins its ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.core import act, held, relay, tell
from gateway.core.authority import sees
from gateway.core.budget import why_no_automatic
from gateway.core.case import Case, afresh, store
from gateway.core.changes import changes
from gateway.core.decision import Decision, Draft
from gateway.core.macro import Expanded, expand
from gateway.core.model import Command, Level, OutgoingKind, Part
from gateway.core.policy import Agent
from gateway.core.rows import Attachment, Ticket
from gateway.core.when import offset_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What posting and commands led to. If any line was refused, nothing of it may be kept."""

    drafts: list[Draft]
    refused: tuple[tuple[str, str], ...]    # (line as written, what would have been valid)
    changed: tuple[str, ...]                # in words, for receipts


def carry_out(
    case: Case, agent: Agent, ticket: int, said: Expanded, internal: bool, *, began: int | None = None
) -> Decision:
    """Everything was understood: ``said`` is the mail's text and commands, with macros in place.

    ``began`` is the message that the ticket was opened with just now.
    """
    message = case.ledger.new_message() if began is None else began
    came = case
    if said.text != case.facts.block.text.strip():      # the HTML does not have the macro's words
        case = replace(case, spooled=replace(case.spooled, mail=replace(case.spooled.mail, html="")))
    ticket = apart(case, agent, ticket, said.commands)
    posted = bool(said.text or attached(case.spooled.mail.parts))
    content = case.content(message, said.text) if posted else None
    if posted:
        case.join_named(ticket)
    done = do(case, agent, ticket, content, internal, said.commands, case.facts.identity.level, is_first=began is not None)
    if done.refused:
        return held.hold(afresh(came), agent, "commands", done.refused)
    drafts = [*done.drafts, *noted(case, agent, ticket, message)] if posted and internal else done.drafts
    case.ledger.why("posted", ("note" if internal else "public answer") if posted else "commands only, no message")
    return store(
        case, "apply", ticket=ticket, message=message, is_public=posted and not internal, text=said.text,
        drafts=[*drafts, *results(case, agent, ticket, message, case.facts.block.commands, done.changed)],
    )


def do(
    case: Case, agent: Agent, ticket: int, content: relay.Content | None, internal: bool,
    commands: tuple[Command, ...], level: Level, *, is_first: bool = False,
) -> Done:
    """Post ``content``, if any, and run ``commands`` of somebody who is proven at ``level``."""
    ledger = case.ledger
    before = ledger.ticket(ticket)
    drafts: list[Draft] = []
    if content is not None and internal:
        ledger.event(ticket, "note", actor=case.author(), actor_kind="agent", message=content.message)
    elif content is not None:
        drafts = _publish(case, agent, ticket, content, is_first=is_first)
    done = act.perform(commands, ticket, ledger, _actor(case, agent), level, case.policy, language=agent.language)
    for command in commands:
        ledger.why("command", command.line)
    if content is not None:
        # After the commands, so that the footer tells the state that they made.
        told = {draft.rcpt_to for draft in drafts}
        drafts += _tell(case, "note_notice" if internal else "brief", before, content, but=told)
    drafts += _hand_over(case, agent, before)
    return Done(drafts=drafts, refused=done.refused, changed=done.changed)


def impossible(case: Case, agent: Agent, ticket: int, commands: tuple[Command, ...]) -> tuple[tuple[str, str], ...]:
    """The lines that no confirmation would make possible: the agent is told at once."""
    tried = case.ledger.fork()
    return act.perform(commands, ticket, tried, _actor(case, agent), 4, case.policy).refused


def _actor(case: Case, agent: Agent) -> act.Actor:
    return act.Actor(
        kind="agent", person=case.author(), agent=agent, offset=offset_of(case.spooled.mail.header("date"))
    )


def expanded(case: Case, agent: Agent, ticket: int, text: str, commands: tuple[Command, ...]) -> Expanded:
    """Text and commands with macros in place. Raises Refused."""
    person = case.ledger.find(case.ledger.ticket(ticket).requester)
    name = (person.name or person.address) if person is not None else ""
    said = expand(commands, name, relay.key_of(ticket, case.policy), agent, case.policy)
    return replace(said, text=f"{text}\n\n{said.text}".strip())


def no_macro(case: Case, agent: Agent, commands: tuple[Command, ...], error: act.Refused) -> Decision:
    """The mail waits, since ``expanded`` refused a macro of it."""
    line = next(c.line for c in commands if c.name == "macro")
    return held.hold(afresh(case), agent, "commands", [(line, str(error))])


def apart(case: Case, agent: Agent, ticket: int, commands: tuple[Command, ...]) -> int:
    """The ticket that the mail is about: with #split a new one."""
    order = next((c for c in commands if c.name == "split"), None)
    if order is None:
        return ticket
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    answered = notice.message if notice is not None else None
    return act.split(case.ledger, ticket, order.args, answered, _actor(case, agent), case.policy)


def attached(parts: Iterable[Part | Attachment]) -> bool:
    """A logo in a signature is no message."""
    return any(not part.inline for part in parts)


# --- Who hears of it ------------------------------------------------------------------------


def _publish(case: Case, agent: Agent, ticket: int, content: relay.Content, *, is_first: bool) -> list[Draft]:
    """The public answer: to the customers, who see the last public message below it."""
    ledger, policy = case.ledger, case.policy
    actor = _actor(case, agent)
    drafts = relay.to_customers(
        ticket, content, agent, ledger, policy, but=case.have(), named=case.to_relay(), first=is_first
    )
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
    after = case.ledger.ticket(before.id)
    agents += [a for a in relay.readers(after, case.ledger, case.policy, but=have) if a not in agents]
    agents += [
        a for a in case.named_agents() if a not in agents and not have & set(a.addresses) and sees(a, after.queue)
    ]
    shown = content if kind == "note_notice" else replace(content, parts=())
    return relay.to_agents(kind, agents, before.id, shown, case.shown_author(), case.ledger, case.policy, cut=True)


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


def noted(case: Case, agent: Agent, ticket: int, message: int) -> list[Draft]:
    """A light agent hears that what looks like an answer to the customer has stayed inside."""
    if case.facts.match.audience == "internal" or any(c.name == "note" for c in case.facts.block.commands):
        return []
    case.ledger.why("noted", f"{agent.login} may write notes only: the answer is one")
    if why_no_automatic(agent.address, ticket, case.context, case.policy, case.ledger.now) is not None:
        return []
    return [relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy, template="noted"
    )]


def results(
    case: Case, agent: Agent, ticket: int, message: int, commands: tuple[Command, ...], changed: tuple[str, ...]
) -> list[Draft]:
    """Answers to questions, receipts, and what of a subject was passed over: to the agent only."""
    ledger = case.ledger
    offset = offset_of(case.spooled.mail.header("date"))
    lines = tell.answers(commands, ticket, agent, ledger, case.policy, offset)
    titles = [tell.title(commands)] if lines else []
    if any(c.name in ("receipt", "undo") for c in commands):
        lines += [*(changed or tell.words("unchanged", agent.language)), f"#undo {ledger.cause}"]
        titles.append(relay.key_of(ticket, case.policy))
    lines += [line for item, why in case.facts.block.passed_over for line in (f"[{item}]", f"  {why}")]
    if not lines:
        return []
    title = " ".join(titles) or tell.words("passed_over", agent.language)[0]
    return [relay.answer_agent(
        "result", agent, case.facts, case.spooled.mail, message, case.ledger, case.policy,
        template="result", title=title, lines=lines
    )]


def is_rehearsal(case: Case) -> bool:
    return any(c.name == "dryrun" for c in case.facts.block.commands)


def rehearse(case: Case, agent: Agent, decide: Callable[[Case], Decision]) -> Decision:
    """#dryrun: the mail is decided by ``decide``, told, and forgotten but for its copy."""
    block = case.facts.block
    meant = replace(block, commands=tuple(c for c in block.commands if c.name != "dryrun"))
    rehearsal = afresh(replace(case, facts=replace(case.facts, block=meant)))
    decided = decide(rehearsal)
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
    return store(case, "log", ticket=case.ticket, message=message, text=block.text.strip(), drafts=(result,))


# What core/vendor.py and core/control.py share with answers.
actor_of, hand_over = _actor, _hand_over
