"""Answers to an agent's questions by mail: #show, #search, #why, #help, and what a mail did or would do.

They go to the agent's registered address only, and only at level 3 (core/answer.py asks). They are plain
lines; names and words of others in them are text from mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.core import authority
from gateway.core.changes import changes, moment
from gateway.core.command_line import row_of
from gateway.core.command_table import STATUSES, help_lines
from gateway.core.command_value import choice
from gateway.core.context import Context, Search, StoredMail
from gateway.core.decision import Decision
from gateway.core.ledger import Ledger
from gateway.core.model import Command
from gateway.core.policy import Agent, Policy
from gateway.core.rows import Ticket
from gateway.core.subject import header_text
from gateway.core.when import span

QUESTIONS: Final = frozenset({"help", "why", "show", "search"})
MOST_TEXT: Final = 2_000        # characters of one message in #show
MOST_FOUND: Final = 25
MOST_CHANGES: Final = 30        # events in #show


SENT: Final = frozenset({"reply", "notice", "note_notice", "brief", "handed", "result"})
_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "unchanged": "nothing changed", "dryrun": "#dryrun: nothing was done. This mail would do:",
        "passed_over": "Of your subject this was not carried out:", "held": "it would be held: {code}",
        "reply": "public answer to", "notice": "notice to", "note_notice": "note to", "brief": "brief copy to",
        "handed": "handed to", "result": "answer to",
    },
    "de": {
        "unchanged": "nichts geändert", "dryrun": "#probe: Es wurde nichts getan. Diese Mail täte:",
        "passed_over": "Aus Ihrem Betreff wurde nicht ausgeführt:", "held": "sie würde angehalten: {code}",
        "reply": "öffentliche Antwort an", "notice": "Nachricht an", "note_notice": "Notiz an", "brief": "Kurzfassung an",
        "handed": "übergeben an", "result": "Auskunft an",
    },
}


def words(name: str, language: str) -> list[str]:
    """A line of ours in the agent's language."""
    return [_WORDS["de" if language.partition("-")[0].casefold() == "de" else "en"][name]]


def held_words(decision: Decision, language: str) -> list[str]:
    """Why a mail would be held, with the lines that its notice would name."""
    code = next((m.hold or "" for m in decision.rows.messages), "")
    lines = words("held", language)[0].format(code=code)
    named = [line for d in decision.drafts for line in d.values.get("lines", ())]  # type: ignore[attr-defined]
    return [lines, *(f"> {each['line']}\n  {each['valid']}".rstrip() for each in named)]


def sees(agent: Agent, ticket: Ticket, policy: Policy) -> bool:
    """Whether this agent may read this ticket. Void ones stay readable, so that #restore can be decided."""
    known = policy.agent(agent.login)
    return known is not None and authority.sees(known, ticket.queue) and any(q.name == ticket.queue for q in policy.queues)


def answers(
    commands: Iterable[Command], ticket: int, agent: Agent, ledger: Ledger, policy: Policy, offset: int
) -> list[str]:
    """The lines that answer the questions among ``commands``, in their order."""
    lines: list[str] = []
    for command in commands:
        if command.name == "help":
            lines += help_lines(agent.language)
        elif command.name == "why":
            known = ledger.context.reasons.get(ticket, ())
            lines += [f"{r.code}: {r.detail}" for r in known] or ["nothing is recorded"]
        elif command.name == "show":
            number = named(command.args, policy)
            lines += show(ticket if number is None else number, agent, ledger, policy, offset)
        elif command.name == "search":
            lines += found(command.args, agent, ledger.context, policy)
    return lines


def named(args: str, policy: Policy) -> int | None:
    """The number in ``ABC-123``, None for ''. A key of another desk is no number here."""
    key, _, digits = args.rpartition("-")
    return int(digits) if digits and key in ("", policy.key) else (0 if args else None)


def show(number: int, agent: Agent, ledger: Ledger, policy: Policy, offset: int) -> list[str]:
    """One ticket whole: what it is, who is on it, what happened, what was said."""
    state = ledger.context.living(number)
    if state is None or not sees(agent, state, policy):
        return [f"{policy.key}-{number} is not a ticket that you can see"]
    state = ledger.ticket(state.id)
    return [
        *_head(state, ledger, policy, offset), "", *_history(state, ledger, policy, agent.language, offset), "",
        *_said(ledger.context.told.get(state.id, ()), offset),
    ]


def _head(state: Ticket, ledger: Ledger, policy: Policy, offset: int) -> Iterator[str]:
    holder = ledger.address(state.assignee) if state.assignee is not None else "nobody"
    yield f"{policy.key}-{state.id}  {header_text(ledger.context.subjects.get(state.id, ''), 120)}"
    yield f"{state.status}, {state.priority}, {state.queue}, {holder}" + (f", {state.type}" if state.type else "")
    for what, at in (("opened", state.created_at), ("due", state.due_at), ("pending until", state.pending_until)):
        if at is not None:
            yield f"{what} {moment(at, offset)}"
    if state.tags:
        yield f"tags {state.tags}"
    if state.spent_minutes or state.estimate_minutes is not None:
        yield f"spent {span(state.spent_minutes)} of {span(state.estimate_minutes or 0)}"
    yield from (f"{row.field}: {row.value}" for row in ledger.fields(state.id).values() if row.value)
    yield from (f"{row.relation.replace('_', ' ')} {policy.key}-{row.other}" for row in ledger.links(state.id))
    yield from (f"{f.role} {ledger.address(f.person)}" for f in ledger.followers(state.id))


def _history(state: Ticket, ledger: Ledger, policy: Policy, language: str, offset: int) -> Iterator[str]:
    events = ledger.context.history.get(state.id, ())[-MOST_CHANGES:]
    for event in events:
        for line in changes([event], ledger, policy, language, offset=offset):
            who = ledger.address(event.actor) if event.actor is not None else event.actor_kind
            mark = f"  (#undo {event.cause})" if event.actor_kind == "agent" else ""
            yield f"{moment(event.at, offset)}  {who}: {line}{mark}"


def _said(mails: tuple[StoredMail, ...], offset: int) -> Iterator[str]:
    for mail in mails:
        kind = "" if mail.message.is_public else " (held)" if mail.message.hold else " (internal)"
        yield f"--- {moment(mail.message.at, offset)}  {mail.text.from_name} <{mail.text.from_address}>{kind}"
        yield from mail.text.new_text[:MOST_TEXT].splitlines()


def read_search(args: str, agent: Agent, policy: Policy) -> Search:
    """``printer status:open assignee:me``: words, and what narrows them. An unknown name before a colon is a word."""
    words: list[str] = []
    status = queue = ""
    assignee: str | None = None
    for item in args.split():
        name, colon, value = item.partition(":")
        try:
            if colon and name.casefold() == "status":
                status = choice({**STATUSES, "new": ("neu",), "void": ("spam",)}, value)
            elif colon and name.casefold() in ("queue", "group"):
                queue = choice({q.name: () for q in policy.queues}, value)
            elif colon and name.casefold() in ("assignee", "owner"):
                assignee = _holder(value, agent, policy)
            else:
                words.append(item.casefold())
        except ValueError:
            words.append(item.casefold())
    return Search(words=tuple(words), status=status, queue=queue, assignee=assignee)


def _holder(value: str, agent: Agent, policy: Policy) -> str:
    if value in ("none", "nobody", "niemand"):
        return ""
    known = agent if value in ("me", "!") else policy.agent(value)
    if known is None:
        raise ValueError(value)
    return known.address


def found(args: str, agent: Agent, context: Context, policy: Policy) -> list[str]:
    numbers = context.found.get(read_search(args, agent, policy), ())
    rows = [t for n in numbers if (t := context.tickets.get(n)) is not None and sees(agent, t, policy)]
    return [
        f"{policy.key}-{t.id}  {t.status}, {t.priority}, {t.queue}  {header_text(context.subjects.get(t.id, ''), 90)}"
        for t in rows[:MOST_FOUND]
    ] or ["no ticket has all of these words"]


def title(commands: Iterable[Command]) -> str:
    return " ".join(f"#{row_of(name).name}" for name in sorted({c.name for c in commands} & QUESTIONS))
