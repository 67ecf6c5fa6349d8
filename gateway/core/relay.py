"""Which mails a decision sends, to whom, and from which address. Words come from the templates.

Agents get a new message (never a re-send) from an address made for that agent and that ticket;
customers get mail from the queue's address (architecture §4, rulings 3, 4, 11).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.core.address import canonical
from gateway.core.bounce_reason import UNSAID, reason_of
from gateway.core.command_table import help_lines
from gateway.core.context import StoredMail
from gateway.core.decision import Draft, PartRef
from gateway.core.ledger import Ledger
from gateway.core.model import Facts, Mail, OutgoingKind, Part, Report, Token
from gateway.core.policy import Agent, Policy, Queue
from gateway.core.profile import is_ours, way_to_agent, way_to_customer
from gateway.core.rows import Attachment, Participant, Ticket
from gateway.core.token import strip_tokens

MOST_BYTES_TO_AGENTS = 5_000_000    # ruling 11: above it agents get a list
MOST_SHOWN = 100_000                # characters of a mail in a notice; the whole text is stored
MOST_QUOTED = 10_000                # characters of the quotation below an answer
# The commands that make sense in each status, for the one-line footer.
NEXT_STEPS = {
    "new": "#take #pending #solved #note #help",
    "open": "#pending #solved #assign #note #help",
    "pending": "#open #solved #note #help",
    "on_hold": "#open #solved #note #help",
    "solved": "#open #note #help",
    "closed": "#note #help",
    "void": "#help",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who is shown as the writer of a relayed text."""

    person: int | None
    name: str
    address: str

    @property
    def shown(self) -> str:
        return self.name or self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A stored mail as it is relayed: text, cleaned HTML, parts."""

    message: int
    text: str
    html: str
    parts: tuple[PartRef, ...]


def part_refs(parts: Iterable[Part | Attachment], spool_id: str, month: str) -> tuple[PartRef, ...]:
    return tuple(
        PartRef(
            spool_id=spool_id, month=month, start=p.start, end=p.end, encoding=p.encoding, clean=p.clean, name=p.name,
            content_type=p.content_type, content_id=p.content_id, inline=p.inline,
        )
        for p in parts
    )


def readers(ticket: Ticket, ledger: Ledger, policy: Policy, *, but: Iterable[str] = ()) -> list[Agent]:
    """The agents a ticket concerns: its assignee, else all of its queue; without the addresses ``but``."""
    left_out = set(but)
    holder = policy.agent_of_address(ledger.address(ticket.assignee)) if ticket.assignee is not None else None
    agents = [holder] if holder and holder.role_in(ticket.queue) else policy.told(ticket.queue)
    return [a for a in agents if not left_out & set(a.addresses)]


def on_to_or_cc(mail: Mail) -> set[str]:
    """Addresses that already have this mail: nobody gets a second copy."""
    return {canonical(a.address) for a in (*mail.to, *mail.cc)}


def to_agents(
    kind: OutgoingKind, agents: Iterable[Agent], ticket: int, content: Content, author: Author,
    ledger: Ledger, policy: Policy, **values: object,
) -> list[Draft]:
    """A notice of customer mail, a note, or a brief copy of a colleague's answer."""
    state = ledger.ticket(ticket)
    queue = policy.queue(state.queue)
    internal = kind in ("note_notice", "vendor_notice")
    total = sum(p.end - p.start for p in content.parts)
    parts = content.parts if total <= MOST_BYTES_TO_AGENTS else ()
    left_out = [] if parts else [{"name": p.name, "size": p.end - p.start} for p in content.parts]
    drafts = []
    for agent in agents:
        person = ledger.person(agent.address, agent.name)
        way = way_to_agent(Token(role="n" if internal else "a", ticket=ticket, party=person), queue, policy)
        drafts.append(Draft(
            kind=kind, template=kind, language=agent.language, ticket=ticket, message=content.message,
            recipient=person, rcpt_to=agent.address, from_name=f"{author.shown} via {queue.from_name}",
            from_address=way.from_address, reply_to=way.reply_to, mail_from=way.mail_from, to_name=agent.name,
            subject=subject_of(ticket, ledger), signed_kind="i" if internal else "n", in_reply_to=None, references=(), parts=parts,
            automatic="", extra_headers=agent_headers(state, policy),
            values={
                **footer_values(state, ledger, policy), "author_name": author.name, "author_address": author.address,
                "text": _short(content.text, MOST_SHOWN), "html": content.html, "left_out": left_out, "first": False, "holder": "", "outsider": "",
                "opaque": "", "unproven": "", "dead_since": "",
                "suggested_cc": [], "possible": "", "to_cc": [], **values,
            },
        ))
    return drafts


def to_customers(
    ticket: int, content: Content, agent: Agent, ledger: Ledger, policy: Policy, *, but: Iterable[str] = (),
    named: Iterable[str] = (), first: bool = False,
) -> list[Draft]:
    """An agent's public answer, from the queue's address with the agent's name; a mere holder gets it if ``named``."""
    state = ledger.ticket(ticket)
    queue = policy.queue(state.queue)
    # An agent may be the customer here; only the one who answers needs no copy.
    left_out = {*but, *agent.addresses}
    quoted = ledger.context.stored.get(state.last_public or 0)
    quoted_name = ""
    if quoted is not None:
        colleague = policy.agent_of_address(quoted.text.from_address)
        quoted_name = f"{colleague.name} ({queue.from_name})" if colleague else quoted.text.from_name or quoted.text.from_address
    thread = ledger.context.threads.get(ticket, ())
    # Ruling 3 also for names of files: what clients save a notice as may hold its address.
    parts = tuple(
        replace(p, name=strip_tokens(p.name, policy.reply_domain, queue.address)) for p in content.parts
    )
    drafts = []
    for follower in ledger.followers(ticket):
        person = ledger.find(follower.person)
        if person is None or person.address in left_out or is_ours(person.address, policy):
            continue
        if follower.role == "holder" and person.address not in named:
            continue
        shown = quoted if quoted is not None and _has_seen(follower, quoted, state) else None
        way = way_to_customer(Token(role="c", ticket=ticket, party=person.id), queue, policy)
        drafts.append(Draft(
            kind="reply", template="reply", language=queue.language, ticket=ticket, message=content.message,
            recipient=person.id, rcpt_to=person.address, from_name=f"{agent.name} ({queue.from_name})",
            from_address=way.from_address, reply_to=way.reply_to, mail_from=way.mail_from, to_name=person.name,
            subject=subject_of(ticket, ledger), signed_kind="p",
            in_reply_to=thread[-1] if thread else None, references=thread, parts=parts,
            values={
                "text": content.text, "html": content.html, "first": first,
                "quoted_text": _short(shown.text.new_text, MOST_QUOTED) if shown else "", "quoted_author": quoted_name,
                "quoted_at": shown.message.at.strftime("%Y-%m-%d %H:%M UTC") if shown else "",
            },
        ))
    return drafts


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[…]"


def _has_seen(follower: Participant, quoted: StoredMail, state: Ticket) -> bool:
    """Security §3.2: nobody is shown what he neither wrote nor was sent. Customers' mail goes to agents only."""
    message = quoted.message
    ours = message.author == state.last_agent
    return message.author == follower.person or (ours and follower.since <= message.at)


def acknowledgement(ticket: int, message: int, person: int, mail: Mail, ledger: Ledger, policy: Policy) -> Draft:
    """One word that the mail has come in (RFC 3834); it repeats nothing of the mail's text."""
    state = ledger.ticket(ticket)
    queue = policy.queue(state.queue)
    way = way_to_customer(Token(role="c", ticket=ticket, party=person), queue, policy)
    return Draft(
        kind="ack", template="ack", language=queue.language, ticket=ticket, message=message, recipient=person,
        rcpt_to=ledger.address(person), from_name=queue.from_name, from_address=way.from_address,
        reply_to=way.reply_to, mail_from=way.mail_from,
        to_name="", subject=subject_of(ticket, ledger)[:80], signed_kind="x", in_reply_to=mail.message_id,
        references=(mail.message_id,) if mail.message_id else (), automatic="auto-replied",
        values={"queue_name": queue.from_name, "key": key_of(ticket, policy), "language": queue.language},
    )


def customer_help(ticket: int, message: int, person: int, mail: Mail, ledger: Ledger, policy: Policy) -> Draft:
    """The answer to a customer's #help: an acknowledgement with other words."""
    draft = acknowledgement(ticket, message, person, mail, ledger, policy)
    lines = help_lines(draft.language, customer=True)
    return replace(draft, kind="customer_help", template="customer_help", values={**draft.values, "lines": lines})


def handed(
    agents: Iterable[Agent], ticket: int, message: int, last: StoredMail | None, author: Author,
    ledger: Ledger, policy: Policy, *, to_queue: bool,
) -> list[Draft]:
    """Whoever got the ticket reads what its customer said last; nobody else tells."""
    text = last.text.new_text if last is not None else ""
    words_by = (last.text.from_name or last.text.from_address) if last is not None else ""
    content = Content(message=message, text=text, html="", parts=())
    return to_agents("handed", agents, ticket, content, author, ledger, policy, words_by=words_by, to_queue=to_queue)


def answer_agent(
    kind: OutgoingKind, agent: Agent, facts: Facts, mail: Mail, message: int | None, ledger: Ledger, policy: Policy,
    *, template: str, **values: object,
) -> Draft:
    """A held notice or a command's result: to the registered address, whoever wrote."""
    ticket = facts.match.ticket
    person = ledger.person(agent.address, agent.name)
    queue = policy.queue(facts.queue)
    way = way_to_agent(Token(role="a", ticket=ticket or 0, party=person), queue, policy)
    return Draft(
        kind=kind, template=template, language=agent.language, ticket=ticket, message=message, recipient=person,
        rcpt_to=agent.address, from_name=queue.from_name, from_address=way.from_address, reply_to=way.reply_to,
        mail_from=way.mail_from, to_name=agent.name, subject=subject_of(ticket, ledger) if ticket else facts.base_subject, signed_kind="x",
        in_reply_to=mail.message_id, references=(mail.message_id,) if mail.message_id else (),
        automatic="auto-replied", values={"key": key_of(ticket, policy) if ticket else "", **values},
        extra_headers=agent_headers(ledger.ticket(ticket), policy) if ticket else (),
    )


def undelivered(
    ticket: int, agent: Agent, report: Report, message: int | None, ledger: Ledger, policy: Policy,
    *, kind: OutgoingKind = "undelivered", template: str = "undelivered", **values: object,
) -> Draft:
    """A mail of ours came back or is late: ``agent`` is told in the words of ``template``."""
    state = ledger.ticket(ticket)
    person = ledger.person(agent.address, agent.name)
    queue = policy.queue(state.queue)
    way = way_to_agent(Token(role="a", ticket=ticket, party=person), queue, policy)
    return Draft(
        kind=kind, template=template, language=agent.language, ticket=ticket, message=message,
        recipient=person, rcpt_to=agent.address, from_name=queue.from_name, from_address=way.from_address,
        reply_to=way.reply_to, mail_from=way.mail_from, to_name=agent.name, subject=subject_of(ticket, ledger),
        signed_kind="x", in_reply_to=None,
        references=(), automatic="auto-generated", extra_headers=agent_headers(state, policy),
        values={
            "recipient": report.recipient, "status": report.status, "diagnostic": report.diagnostic[:300],
            "key": key_of(ticket, policy), "stopped": False, "reason": why_undelivered(report), **values,
        },
    )


def why_undelivered(report: Report) -> str:
    """The reason in words of REASONS, '' if none is known."""
    reason = report.reason or reason_of(report.status, report.diagnostic)
    return "" if reason == UNSAID else reason


def key_of(ticket: int, policy: Policy) -> str:
    return f"{policy.key}-{ticket}"


def subject_of(ticket: int, ledger: Ledger) -> str:
    new = next((t.subject for t in ledger.new_texts() if t.ticket == ticket), None)
    return new if new is not None else ledger.context.subjects.get(ticket, "")


def footer_values(state: Ticket, ledger: Ledger, policy: Policy) -> dict[str, object]:
    holder = policy.agent_of_address(ledger.address(state.assignee)) if state.assignee is not None else None
    return {
        "key": key_of(state.id, policy), "status": state.status, "priority": state.priority,
        "assignee": holder.login if holder else "", "queue": state.queue, "subject": subject_of(state.id, ledger),
        "commands": NEXT_STEPS[state.status],
    }


def agent_headers(state: Ticket, policy: Policy) -> tuple[tuple[str, str], ...]:
    """For the filters of agents' mail clients (RFC 2919 List-Id); they never leave to customers."""
    queue: Queue = policy.queue(state.queue)
    return (
        ("List-Id", f"{queue.name} <{queue.name}.{policy.host}>"),
        ("X-Mailwicket-Ticket", key_of(state.id, policy)),
        ("X-Mailwicket-Queue", queue.name),
        ("X-Mailwicket-Status", state.status),
    )
