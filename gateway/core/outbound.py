"""Agents write first (architecture ruling 5): a mail to people outside begins their ticket.

Through the submission door it is written anew, from the queue's address and with our signed Message-ID, to whom the agent
named there; nobody sees the others but by the agent's own To and Cc. A logged-in agent's mail that only names
people outside in To or Cc has gone to them another way, with the queue on copy: it is written down and not sent again.
What an answer must not hold, this must not: every reason to hold one holds here, too.
"""

from __future__ import annotations

from typing import Final

from gateway.core import act, held, relay
from gateway.core.authority import may, sees
from gateway.core.case import Case, is_agents, store
from gateway.core.decision import Decision
from gateway.core.leak import leftovers, ours_attached
from gateway.core.policy import Agent
from gateway.core.posting import attached, carry_out, expanded, is_rehearsal, no_macro, rehearse
from gateway.core.stray import misplaced
from gateway.core.subject import ticket_subject

NEEDS_TICKET: Final = frozenset({"split", "send", "drop", "undo"})     # they are about what was there before


def is_outbound(case: Case) -> bool:
    """An agent's mail to people outside that answers no ticket he works on."""
    if case.agent is None or case.facts.mail_class != "human" or is_agents(case):
        return False
    if case.to_relay():
        return True
    known = case.facts.identity.level >= 3 and sees(case.agent, case.facts.queue)   # else he is that queue's customer
    return known and case.ticket is None and bool(case.others())


def is_more_recipients(case: Case) -> bool:
    """A mail program hands in one mail in several lots of recipients."""
    return case.facts.identity.level == 4 and case.facts.copy_of is not None and bool(_not_told(case))


def outbound(case: Case) -> Decision:
    agent, block = case.agent, case.facts.block
    assert agent is not None    # is_outbound asked
    if case.facts.identity.level >= 3 and is_rehearsal(case):
        return rehearse(case, agent, outbound)
    if refusal := _why_not(case, agent):
        return held.hold(case, agent, *refusal)
    to_relay = case.to_relay()
    outside = to_relay or case.others()
    ledger, policy, text = case.ledger, case.policy, block.text.strip()
    earlier = case.ticket
    ticket, message = ledger.new_ticket(ticket_subject(case.facts.subject, policy.key)), ledger.new_message()
    author = case.author()
    ledger.event(
        ticket, "created", actor=author, actor_kind="agent", message=message, is_public=True, after=case.facts.queue
    )
    requester = ledger.person(outside[0], case.name_of(outside[0]))
    ledger.event(ticket, "requester", actor=author, actor_kind="agent", after=str(requester))
    ledger.participant(ticket, requester, "requester")
    for address in outside[1:]:
        ledger.join(ticket, ledger.person(address, case.name_of(address)), "cc", actor=author, actor_kind="agent")
    if earlier is not None:
        ledger.event(ticket, "linked", actor=None, actor_kind="system", after=str(earlier))
    ledger.why("opened", f"{relay.key_of(ticket, policy)}: {agent.login} writes to {outside[0]}")
    try:
        said = expanded(case, agent, ticket, text, block.commands)
    except act.Refused as error:
        return no_macro(case, agent, block.commands, error)
    return carry_out(case, agent, ticket, said, internal=False, began=message)


def _why_not(case: Case, agent: Agent) -> tuple[str, list[tuple[str, str]]] | None:
    """Why nothing of it is sent and no ticket opened, as for an answer (core/answer.py)."""
    facts = case.facts
    block, text = facts.block, facts.block.text.strip()
    names = {c.name for c in block.commands}
    early = [(c.line, "there is no ticket yet; write it to the ticket's reply address") for c in block.commands if c.name in NEEDS_TICKET]
    checks: tuple[tuple[bool, str, list[tuple[str, str]]], ...] = (
        (case.spooled.mail.opaque is not None, "unread", []),
        (facts.identity.level < 3, "unproven", []),
        (bool(block.suspects), "commands", list(block.suspects)),
        (not may("agent", agent.role_in(facts.queue)), "role", []),
        ("note" in names, "outside", []),
        (bool(early), "commands", early),
        (not (text or "macro" in names or attached(case.spooled.mail.parts)), "empty", []),
    )
    found = next(((code, lines) for applies, code, lines in checks if applies), None)
    if found is not None:
        return found
    if stray := misplaced(text, case.policy.fields):
        return "commands", stray
    leaks = leftovers(case, 0, text) + ours_attached(case)
    return ("leftover", [(line, "") for line in leaks]) if leaks else None


def more_recipients(case: Case) -> Decision:
    """The same words to those who were not named before."""
    first = next(m for copies in case.context.copies.values() for m in copies if m.id == case.facts.copy_of)
    agent, living = case.agent, case.context.living(first.ticket or 0)
    assert agent is not None
    assert living is not None   # _not_told looked
    wanted = _not_told(case)
    told = {case.ledger.address(f.person) for f in case.ledger.followers(living.id)}
    case.join_named(living.id)
    content = case.content(first.id, case.facts.block.text.strip())
    drafts = relay.to_customers(living.id, content, agent, case.ledger, case.policy, but=told - set(wanted), named=wanted, first=True)
    case.ledger.why("posted", f"the same mail, to {', '.join(wanted)}")
    return store(case, "copy", ticket=living.id, text="", drafts=drafts)


def _not_told(case: Case) -> list[str]:
    found = [m for copies in case.context.copies.values() for m in copies if m.id == case.facts.copy_of]
    posted = next((m for m in found[-1:] if m.hold is None and m.is_public), None)
    living = case.context.living(posted.ticket or 0) if posted is not None else None
    if living is None:
        return []
    told = {case.ledger.address(f.person) for f in case.ledger.followers(living.id)}
    return [a for a in case.to_relay() if a not in told]
