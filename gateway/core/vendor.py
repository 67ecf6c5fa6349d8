"""The thread with a third party below a ticket: ``#vendor acme@x.example``, and what comes back.

A question goes to the vendor alone, from the queue's address, with a reply address and a Message-ID of their own kind ("v").
Whatever carries one of those is the vendor's thread, whoever wrote it and whatever it says: it is stored as internal, told
to the agents, and never a customer's reply. Vendors are no participants of a ticket, so nothing that goes to
those can reach or quote them. What an agent writes to a customer is searched for a vendor's words as for a note's.

An agent answers the notice to write to the vendor again; ``#note`` and ``#public`` there mean what they say. Asking puts
an open ticket on hold, unless the mail says another status; a person's answer opens it again.
"""

from __future__ import annotations

from gateway.core import act, held, posting, relay
from gateway.core.case import Case, afresh, is_agents, store
from gateway.core.decision import Decision, Draft
from gateway.core.leak import leftovers, ours_attached
from gateway.core.model import Command, Token
from gateway.core.policy import Agent
from gateway.core.profile import is_ours, way_to_vendor
from gateway.core.proof import signed_ids, tokens
from gateway.core.rows import Ticket
from gateway.core.stray import strays

ELSEWHERE = frozenset({"note", "public", "send", "drop", "dryrun", "split"})     # what decides otherwise about the text


# --- To the vendor --------------------------------------------------------------------------


def asks_vendor(case: Case) -> bool:
    """An agent's words for a vendor: by ``#vendor``, or in answer to what a vendor said."""
    if not is_agents(case) or case.facts.mail_class != "human" or case.spooled.envelope.sent:
        return False
    names = {c.name for c in case.facts.block.commands}
    return ("vendor" in names or _in_thread(case)) and not names & ELSEWHERE


def ask_vendor(case: Case) -> Decision:
    """All or nothing, as every answer (core/answer.py): what is not understood whole is held."""
    agent, ticket, block = case.agent, case.ticket, case.facts.block
    assert agent is not None    # is_agents asked for both
    assert ticket is not None
    text = block.text.strip()
    attached = posting.attached(case.spooled.mail.parts)
    if case.facts.identity.level < 3:
        return held.hold(case, agent, "unproven")
    if block.suspects:
        return held.hold(case, agent, "commands", block.suspects)
    if agent.role == "light":
        return held.hold(case, agent, "role")
    if waits := held.why_it_waits(case):
        return held.hold(case, agent, waits, internal=True)
    if not (text or attached):
        return held.hold(case, agent, "empty")
    if stray := strays(text, case.policy.fields):
        return held.hold(case, agent, "commands", [(line, "write commands on top, before your text") for line in stray])
    asked = next((c for c in block.commands if c.name == "vendor"), None)
    try:
        vendor = _named(case, ticket, asked)
    except act.Refused as error:
        return held.hold(case, agent, "commands", [(asked.line if asked else "#vendor", str(error))])
    own = frozenset(v.message for v in case.context.vendors.get(ticket, ()) if v.person == vendor)
    leaks = leftovers(case, ticket, text, but=own) + ours_attached(case)
    if leaks:
        return held.hold(case, agent, "leftover", [(line, "") for line in leaks])
    return _ask(case, agent, ticket, vendor, text, tuple(c for c in block.commands if c is not asked))


def _ask(case: Case, agent: Agent, ticket: int, vendor: int, text: str, commands: tuple[Command, ...]) -> Decision:
    ledger, policy = case.ledger, case.policy
    before = ledger.ticket(ticket)
    message = ledger.new_message()
    actor = posting.actor_of(case, agent)
    ledger.event(
        ticket, "vendor_asked", actor=actor.person, actor_kind="agent", message=message, after=str(vendor)
    )
    done = act.perform(commands, ticket, ledger, actor, case.facts.identity.level, policy, language=agent.language)
    if done.refused:
        return held.hold(afresh(case), agent, "commands", done.refused)
    if before.assignee is None and not any(c.name in ("assign", "group") for c in commands):
        act.carry_out((Command(name="assign", args="me", line="#take"),), ticket, ledger, actor, policy)
    if ledger.ticket(ticket).status in ("new", "open") and not any(c.name == "status" for c in commands):
        act.set_status(ledger, ticket, "on_hold", actor)
    content = case.content(message, text)
    to_vendor = _question(case, agent, ticket, vendor, content)
    for command in case.facts.block.commands:
        ledger.why("command", command.line)
    ledger.why("vendor_asked", to_vendor.rcpt_to)
    told = _notices(case, before, content, vendor, asked=True, but=agent.addresses)
    told += posting.hand_over(case, agent, before) if case.ledger.ticket(ticket).assignee != actor.person else []
    return store(
        case, "apply", ticket=ticket, message=message, text=text,
        drafts=[to_vendor, *told, *posting.results(case, agent, ticket, message, case.facts.block.commands, done.changed)],
    )


def _named(case: Case, ticket: int, asked: Command | None) -> int:
    """The vendor whom ``#vendor`` names, or whose thread it is. Raises Refused."""
    if asked is None:
        return _whose(case)
    address, policy = asked.args, case.policy
    if is_ours(address, policy) or policy.agent_of_address(address) is not None:
        raise act.Refused(f"{address} is one of us; name somebody outside")
    if address in {case.ledger.address(f.person) for f in case.ledger.followers(ticket)}:
        raise act.Refused(f"{address} is a customer on this ticket: answer without #vendor")
    return case.ledger.person(address)


def _whose(case: Case) -> int:
    """The vendor of the mail of ours that is answered, or of the reply address that is used."""
    notice = case.context.outbox.get(case.facts.match.outbox or 0)
    by_message = {v.message: v.person for found in case.context.vendors.values() for v in found}
    vendor = by_message.get(notice.message or 0) if notice is not None else None
    vendor = _made_for(case) if vendor is None else vendor
    assert vendor is not None   # _in_thread saw one or the other
    return vendor


def _question(case: Case, agent: Agent, ticket: int, vendor: int, content: relay.Content) -> Draft:
    """As an answer to a customer, but text alone: no quotation, and a thread of its own."""
    ledger, policy = case.ledger, case.policy
    person = ledger.find(vendor)
    assert person is not None   # _named found or made it
    queue = policy.queue(ledger.ticket(ticket).queue)
    way = way_to_vendor(Token(role="v", ticket=ticket, party=vendor), queue, policy)
    theirs = [v for v in case.context.vendors.get(ticket, ()) if v.person == vendor and not v.asked]
    thread = tuple(m.rfc_id for v in theirs if (m := case.context.stored.get(v.message)) is not None and m.rfc_id)
    return Draft(
        kind="vendor", template="vendor", language=queue.language, ticket=ticket, message=content.message,
        recipient=vendor, rcpt_to=person.address, from_name=f"{agent.name} ({queue.from_name})",
        from_address=way.from_address, reply_to=way.reply_to, mail_from=way.mail_from, to_name=person.name,
        subject=relay.subject_of(ticket, ledger), signed_kind="v", in_reply_to=thread[-1] if thread else None,
        references=thread, parts=content.parts, values={"text": content.text, "first": not thread},
    )


# --- From the vendor ------------------------------------------------------------------------


def is_vendors(case: Case) -> bool:
    """A mail that only a vendor's thread can have led to."""
    return case.ticket is not None and not is_agents(case) and not case.spooled.envelope.sent and _in_thread(case)


def vendor_mail(case: Case) -> Decision:
    """What came back: internal, whoever wrote it; machines of vendors are told, too, but move nothing."""
    ledger, ticket = case.ledger, case.ticket
    assert ticket is not None   # is_vendors asked
    before = ledger.ticket(ticket)
    message, vendor = ledger.new_message(), _party(case)
    is_auto = case.facts.mail_class != "human"
    ledger.event(
        ticket, "vendor_answered", actor=case.author(), actor_kind="collaborator", message=message, is_auto=is_auto,
        after=None if vendor is None else str(vendor),
    )
    if before.status == "on_hold" and not is_auto:
        act.set_status(ledger, ticket, "open", act.Actor(kind="collaborator", person=case.author()))
    ledger.why("vendor_answered", f"{case.facts.identity.address} in the thread with {ledger.address(vendor or 0) or 'a vendor'}")
    content = case.content(message, case.facts.new_text or case.facts.whole_text)
    unread = case.spooled.mail.opaque is not None
    return store(
        case, "held" if unread else "apply", ticket=ticket, message=message, hold="opaque" if unread else None,
        drafts=_notices(case, before, content, vendor, asked=False, but=()),
    )


def _in_thread(case: Case) -> bool:
    found = tokens(case.spooled, case.policy, case.context)
    if any(t.role == "v" for t in found):
        return True
    answered = case.context.outbox.get(case.facts.match.outbox or 0)
    if answered is not None and answered.kind in ("vendor", "vendor_notice"):
        return True
    return any(s.said.kind == "v" for s in signed_ids(case.spooled, case.context, case.policy))


def _party(case: Case) -> int | None:
    """Whose thread it is; of a mail to an agent's address in it, the ticket's last vendor."""
    here = case.context.vendors.get(case.ticket or 0, ())
    return _made_for(case) or (here[-1].person if here else None)


def _made_for(case: Case) -> int | None:
    """The vendor whom our reply address or Message-ID was made for."""
    found = [t.party for t in tokens(case.spooled, case.policy, case.context) if t.role == "v"]
    found += [s.said.party for s in signed_ids(case.spooled, case.context, case.policy) if s.said.kind == "v"]
    return found[0] if found else None


def _notices(
    case: Case, before: Ticket, content: relay.Content, vendor: int | None, *, asked: bool, but: tuple[str, ...]
) -> list[Draft]:
    """To the agents of the ticket; their answer to it goes to the vendor."""
    agents = relay.readers(before, case.ledger, case.policy, but={*but, *relay.on_to_or_cc(case.spooled.mail)})
    return relay.to_agents(
        "vendor_notice", agents, before.id, content, case.shown_author(), case.ledger, case.policy,
        vendor=case.ledger.address(vendor) if vendor is not None else "", asked=asked, cut=True,
    )
