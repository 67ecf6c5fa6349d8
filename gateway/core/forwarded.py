"""A customer's mail that an agent sends on to the queue: the ticket is the customer's, not the agent's.

Only an agent whose address is proven may say whose mail it is (core/identity.py); anybody else's forward is his own
mail. What the agent wrote above is for his colleagues: a note of its own, which never goes to the customer.
The customer is not acknowledged: he wrote to a person and does not expect a machine.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.core import act, relay
from gateway.core.case import Case, store
from gateway.core.decision import Decision, Draft
from gateway.core.identity import PROVES_SENDER
from gateway.core.model import Forwarded
from gateway.core.relay import Author, Content
from gateway.core.rows import Message, MessageText
from gateway.core.subject import header_text, ticket_subject


def is_forwarded(case: Case) -> bool:
    """A proven agent's forward that belongs to no ticket yet."""
    facts = case.facts
    return (
        facts.forwarded is not None and case.ticket is None and case.agent is not None
        and facts.identity.level in PROVES_SENDER and facts.mail_class == "human"
    )


def forwarded(case: Case) -> Decision:
    """Open the customer's ticket with the customer's words; the agent's become a note."""
    inner = case.facts.forwarded
    assert inner is not None    # is_forwarded asked
    ledger, policy, agent = case.ledger, case.policy, case.author()
    ticket = ledger.new_ticket(ticket_subject(inner.subject or case.facts.subject, policy.key))
    message = ledger.new_message()
    customer = ledger.person(inner.sender.address, header_text(inner.sender.name, 80))
    ledger.event(
        ticket, "created", actor=customer, actor_kind="customer", message=message, is_public=True,
        after=case.facts.queue,
    )
    ledger.participant(ticket, customer, "requester")
    ledger.why("forwarded", _words(inner, case.facts.identity.address))
    for name, line, valid in act.apply_rules(case.hits, ticket, ledger, policy):
        ledger.why("rule_refused", f"{name}: {line}: {valid}")
    drafts = _notices(case, ticket, message, inner, customer)
    note = _note(case, ticket, inner.above)
    if note is not None:
        ledger.event(ticket, "note", actor=agent, actor_kind="agent", message=note[0].id)
        drafts += _tell(case, ticket, note[1])
    ledger.why("not_acknowledged", "the customer wrote to a person, who sent it on")
    ledger.why("opened", relay.key_of(ticket, policy))
    # The agent's words stand in the HTML, too: it is kept with the raw mail and never relayed.
    outer = case.spooled.mail
    named = (inner.message_id,) if inner.message_id else ()
    mail = replace(outer, html="", references=(*outer.references, *named))
    shown = replace(case, spooled=replace(case.spooled, mail=mail))
    return store(
        shown, "apply", ticket=ticket, message=message, is_public=True, text=inner.body, drafts=drafts, beside=note
    )


def _words(inner: Forwarded, agent: str) -> str:
    dated = f" of {inner.when}" if inner.when else ""
    return f"{agent} sent on a mail{dated} from {inner.sender.address}, whose ticket this is"


def _notices(case: Case, ticket: int, message: int, inner: Forwarded, customer: int) -> list[Draft]:
    """The customer's words to the agents, the one who sent them on included: he has no reply address yet."""
    ledger, policy = case.ledger, case.policy
    have = relay.on_to_or_cc(case.spooled.mail)
    agents = relay.readers(ledger.ticket(ticket), ledger, policy, but=have)
    author = Author(person=customer, name=header_text(inner.sender.name, 80), address=inner.sender.address)
    content = replace(case.content(message, inner.body), html="")
    return relay.to_agents("notice", agents, ticket, content, author, ledger, policy, first=True, cut=False)


def _note(case: Case, ticket: int, words: str) -> tuple[Message, MessageText] | None:
    """What the agent said about it, as a message of its own on the same mail."""
    if not words:
        return None
    facts, mail = case.facts, case.spooled.mail
    number = case.ledger.new_message()
    row = Message(
        id=number, ticket=ticket, spool_id=facts.spool_id, author=case.author(), at=facts.received_at,
        mail_class=facts.mail_class, level=facts.identity.level, disposition="apply", is_public=False, hold=None,
        month=case.month, size=len(words.encode()),
        sha256="", body_key="",     # it is no mail, and never found as a copy of one
    )
    text = MessageText(
        message=number, subject=mail.subject, from_name=facts.identity.name, from_address=facts.identity.address,
        new_text=words, whole_text=words, html="",
    )
    return row, text


def _tell(case: Case, ticket: int, note: MessageText) -> list[Draft]:
    ledger, agent = case.ledger, case.agent
    have = {*relay.on_to_or_cc(case.spooled.mail), *(agent.addresses if agent else ())}
    agents = relay.readers(ledger.ticket(ticket), ledger, case.policy, but=have)
    content = Content(message=note.message, text=note.new_text, html="", parts=())
    return relay.to_agents("note_notice", agents, ticket, content, case.shown_author(), ledger, case.policy, cut=True)
