"""What to do with one mail. The table CASES is read from the top; the first row that applies decides.

Pure: facts, rule hits, context and policy in; rows, drafts and reasons out (decision 6). The
effects of the classes are architecture ruling 6; second copies ruling 2.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from gateway.core import act, control, customer, relay, suppress, vendor
from gateway.core.answer import agent_mail
from gateway.core.bounce import is_report, report
from gateway.core.budget import why_no_ack
from gateway.core.case import DEAD, WAITING, Case, case_of, is_agents, link, store
from gateway.core.context import Context
from gateway.core.copies import is_copy, second_copy
from gateway.core.decision import Decision, Draft
from gateway.core.direct import direct, is_direct, is_own_sent, own_sent
from gateway.core.flood import FLOOD, flooded
from gateway.core.forwarded import forwarded, is_forwarded
from gateway.core.identity import PROVES_SENDER
from gateway.core.model import ActorKind, Command, Facts, Role, Spooled
from gateway.core.outbound import is_more_recipients, is_outbound, more_recipients, outbound
from gateway.core.policy import Policy
from gateway.core.rows import Ticket
from gateway.core.subject import ticket_subject
from gateway.core.understand import delivery_key


def conclude(
    facts: Facts, spooled: Spooled, hits: tuple[str, ...], *, context: Context, policy: Policy, now: datetime
) -> Decision:
    """Decide one mail. ``hits`` are the names of the rules whose predicates were true for it."""
    case = case_of(facts, spooled, hits, context, policy, now)
    return next(decide for applies, decide in CASES if applies(case))(case)


# --- Questions ------------------------------------------------------------------------------


def _delivered_before(case: Case) -> bool:
    return case.context.delivery_keys.get(delivery_key(case.spooled.envelope, case.spooled.mail)) is not None


def _is_known_content(case: Case) -> bool:
    return case.spooled.envelope.reread and case.spooled.mail.sha256 in case.context.contents


def _log_only(case: Case) -> bool:
    return case.facts.mail_class in ("own", "complaint", "receipt")


def _is_automatic(case: Case) -> bool:
    return case.facts.mail_class in ("out_of_office", "auto_reply")


def _is_unasked_bulk(case: Case) -> bool:
    return case.facts.mail_class == "bulk" and case.ticket is None and not case.hits and case.released is None


def _is_matched_machine(case: Case) -> bool:
    return case.facts.mail_class in ("generated", "bulk") and case.ticket is not None


def _always(case: Case) -> bool:
    return True


# --- Answers --------------------------------------------------------------------------------


def _again(case: Case) -> Decision:
    """A sender that lost our 250 sent the same bytes again: nothing happens twice."""
    message = case.context.delivery_keys[delivery_key(case.spooled.envelope, case.spooled.mail)]
    assert message is not None  # _delivered_before looked
    case.ledger.why("again", "the same mail was delivered before, byte for byte")
    return link(case, message, case.ticket)


def _read_again(case: Case) -> Decision:
    """The folder's numbers changed and all of it came once more (RFC 3501 §2.3.1.1)."""
    case.ledger.why("again", "its folder was read anew; the same mail is stored, byte for byte")
    return link(case, case.context.contents[case.spooled.mail.sha256], case.ticket)


def _log(case: Case) -> Decision:
    case.ledger.why("logged", f"{case.facts.mail_class} mail is kept without a ticket")
    return store(case, "log", ticket=None)


def _automatic(case: Case) -> Decision:
    """Out-of-office and other automatic answers: an event if matched, else kept without a ticket."""
    if case.ticket is None:
        case.ledger.why("logged", "automatic mail that belongs to no ticket")
        return store(case, "log", ticket=None)
    return _machine(case, tell=False)


def _unasked_bulk(case: Case) -> Decision:
    case.ledger.why("held", "list or bulk mail that answers nothing of ours, and no rule asks for it")
    return store(case, "held", ticket=None, hold="bulk")


def _matched_machine(case: Case) -> Decision:
    return _machine(case, tell=case.facts.mail_class == "generated")


def _machine(case: Case, *, tell: bool) -> Decision:
    """Machine mail on a ticket: no reopening, no clock, no acknowledgement."""
    ticket = case.ticket
    assert ticket is not None
    message = case.ledger.new_message()
    case.ledger.event(
        ticket, "machine_mail", actor=case.author(), actor_kind="agent" if case.agent else "system", message=message,
        is_auto=True, after=case.facts.mail_class,
    )
    drafts = _notices(case, ticket, message) if tell else []
    return store(case, "apply", ticket=ticket, message=message, drafts=drafts)


def _customer_mail(case: Case) -> Decision:
    """People's mail, and generated or bulk mail that opens a ticket."""
    known = case.context.tickets.get(case.ticket) if case.ticket is not None else None
    if known is None:
        flood = flooded(case)
        return _append(case, flood) if flood else _open(case, follows=None)
    if known.status in DEAD and not (known.status == "closed" and customer.reopens(customer.orders(case, known))):
        case.ledger.why("follow_up", f"{relay.key_of(known.id, case.policy)} is {known.status}")
        return _open(case, follows=known.id)
    if case.facts.token_without_proof:
        case.ledger.why("follow_up", "the reply address fits, but neither the ids nor the subject do")
        return _open(case, follows=known.id)
    return _append(case, known)


def _open(case: Case, follows: int | None) -> Decision:
    """A new ticket, perhaps linked to the one it follows; rules, notices, acknowledgement."""
    facts, ledger, policy = case.facts, case.ledger, case.policy
    author = case.author()
    is_auto = facts.mail_class != "human"
    ticket = ledger.new_ticket(ticket_subject(facts.subject, policy.key))
    message = ledger.new_message()
    ledger.event(
        ticket, "created", actor=author, actor_kind="system" if is_auto else "customer", message=message,
        is_public=True, is_auto=is_auto, after=facts.queue,
    )
    if author is not None:
        ledger.participant(ticket, author, "requester")
    suggested = _join_copied(case, ticket)
    earlier = follows or facts.match.possible
    if earlier is not None:
        ledger.event(ticket, "linked", actor=None, actor_kind="system", after=str(earlier))
    for name, line, valid in act.apply_rules(case.hits, ticket, ledger, policy):
        ledger.why("rule_refused", f"{name}: {line}: {valid}")
    drafts = _notices(
        case, ticket, message, first=True, suggested_cc=suggested,
        possible=relay.key_of(earlier, policy) if earlier is not None else "",
    )
    no_ack = _no_answer(case) or why_no_ack(
        facts, case.spooled.envelope, ticket, author, case.context, policy, ledger.now
    )
    if no_ack is None and author is not None:
        drafts.append(relay.acknowledgement(ticket, message, author, case.spooled.mail, ledger, policy))
        ledger.event(ticket, "acknowledged", actor=author, actor_kind="system", is_auto=True)
    ledger.why("acknowledged" if no_ack is None else "not_acknowledged", no_ack or facts.identity.address)
    ledger.why("opened", relay.key_of(ticket, policy))
    return _store_customers(case, ticket, message, drafts)


def _append(case: Case, state: Ticket) -> Decision:
    """The customer's side writes again: the ticket opens if it was waiting or solved."""
    ledger, policy = case.ledger, case.policy
    author = case.author()
    message = ledger.new_message()
    orders = customer.orders(case, state)
    if orders:
        case = customer.without(case, orders)
        if customer.is_bare(case):
            return _ordered(case, state, message, orders)
    who = _side(case, state)
    # Only the flood ticket takes in mail of machines here; it starts no clock and reopens nothing.
    is_auto = case.facts.mail_class != "human"
    ledger.event(
        state.id, "customer_reply", actor=author, actor_kind=who, message=message, is_public=True, is_auto=is_auto
    )
    holder = _foreign_holder(case)
    colleague = case.is_colleague(state)
    if author is not None:
        role: Role = "holder" if who == "collaborator" and not colleague else "cc"
        ledger.join(state.id, author, role, actor=author, actor_kind=who)
    outside = not colleague and any(f.person == author and f.role == "holder" for f in ledger.followers(state.id))
    if state.status in WAITING and not is_auto and not outside and not customer.closes(orders):
        act.set_status(ledger, state.id, "open", act.Actor(kind=who, person=author))
    _obey(case, state, orders)
    suggested = _join_copied(case, state.id)
    flooding = FLOOD in state.tags.split() and case.ticket is None
    drafts = [] if flooding else _notices(
        case, state.id, message, holder=holder, suggested_cc=suggested,
        outsider=case.facts.identity.address if outside else "",
    )
    if case.ticket is None and not flooding:
        ledger.event(state.id, "tag_added", actor=None, actor_kind="system", after=FLOOD)
        ledger.why("flood", "this address opened too many tickets within an hour; what follows is collected here")
    drafts += customer.help_mail(case, state.id, message, orders)
    ledger.why("appended", relay.key_of(state.id, policy))
    return _store_customers(case, state.id, message, drafts)


def _ordered(case: Case, state: Ticket, message: int, orders: tuple[Command, ...]) -> Decision:
    """A customer's commands without a word: no message and no clock, but his agents hear of them."""
    before = case.ledger.ticket(state.id)
    _obey(case, state, orders)
    quiet = all(c.name in ("help", "unsubscribe") for c in orders) or before == case.ledger.ticket(state.id)
    drafts = [] if quiet else _notices(case, state.id, message)
    drafts += customer.help_mail(case, state.id, message, orders)
    return store(case, "apply", ticket=state.id, message=message, drafts=drafts)


def _obey(case: Case, state: Ticket, orders: tuple[Command, ...]) -> None:
    customer.obey(case, state, orders, case.ledger)
    for command in orders:
        case.ledger.why("command", command.line)


# --- Parts of the answers -------------------------------------------------------------------


def _store_customers(case: Case, ticket: int, message: int, drafts: list[Draft]) -> Decision:
    """A mail that could not be read is on hold beside its ticket, so that it is found again (ruling 1)."""
    unread = case.spooled.mail.opaque is not None
    return store(
        case, "held" if unread else "apply", ticket=ticket, message=message, is_public=True, drafts=drafts,
        hold="opaque" if unread else None,
    )


def _no_answer(case: Case) -> str | None:
    mail = case.spooled.mail
    if mail.opaque is not None:
        return f"the mail was not read: {mail.opaque}"
    if mail.ambiguous is not None:
        return f"From is ambiguous: {mail.ambiguous}"
    if case.spooled.envelope.reread:
        return "its folder was read anew: who was to be answered has been"
    if case.ledger.opted_out(case.author()):
        return "this person wants no automatic mail"
    dead = suppress.stopped(case.author(), case.ledger, case.policy)
    return suppress.why(dead, case.ledger) if dead else None


def _side(case: Case, state: Ticket) -> ActorKind:
    author = case.author()
    if author == state.requester:
        return "customer"
    return "customer" if any(
        f.person == author and f.role == "requester" for f in case.ledger.followers(state.id)
    ) else "collaborator"


def _foreign_holder(case: Case) -> str:
    """Whose reply address the writer used, if it was made for somebody else."""
    party = case.ledger.find(case.facts.match.party)
    if party is None or party.address == case.facts.identity.address:
        return ""
    return party.address


def _join_copied(case: Case, ticket: int) -> list[str]:
    """Ruling 2: who stands on Cc of a proven mail joins; of an unproven one he is suggested."""
    others, author = case.others(), case.author()
    on_it = any(f.person == author and f.role != "holder" for f in case.ledger.followers(ticket))
    if case.facts.identity.level not in PROVES_SENDER or not on_it:
        known = {case.ledger.address(f.person) for f in case.ledger.followers(ticket)}
        return [a for a in others if a not in known]
    for address in others:
        case.ledger.join(ticket, case.ledger.person(address), "cc", actor=author, actor_kind="customer")
    return []


def _notices(case: Case, ticket: int, message: int, **values: object) -> list[Draft]:
    """The mail as the agents of the ticket see it; a first mail is shown whole."""
    first = bool(values.get("first"))
    text = case.facts.whole_text if first else case.facts.new_text or case.facts.whole_text
    have = relay.on_to_or_cc(case.spooled.mail) | {case.facts.identity.address}
    state = case.ledger.ticket(ticket)
    agents = relay.readers(state, case.ledger, case.policy, but=have)
    if not agents and case.facts.identity.level not in PROVES_SENDER:
        # Nobody gets a second copy; but To and Cc of an unproven mail may say what never happened.
        agents = relay.readers(state, case.ledger, case.policy, but=(case.facts.identity.address,))
    dead = suppress.stopped(case.author(), case.ledger, case.policy)
    return relay.to_agents(
        "notice", agents, ticket, case.content(message, text), case.shown_author(), case.ledger, case.policy,
        **{"to_cc": case.others(), "cut": not first, "opaque": case.spooled.mail.opaque or "", "unproven": case.unproven(),
           "dead_since": suppress.day(dead.since) if dead else "", **values},
    )


CASES: Final[tuple[tuple[Callable[[Case], bool], Callable[[Case], Decision]], ...]] = (
    (_delivered_before, _again),
    (_is_known_content, _read_again),
    (is_own_sent, own_sent),
    (is_direct, direct),
    (is_report, report),
    (_log_only, _log),
    (is_more_recipients, more_recipients),
    (is_copy, second_copy),
    (_is_automatic, _automatic),
    (control.is_control, control.control),
    (_is_unasked_bulk, _unasked_bulk),
    (vendor.is_vendors, vendor.vendor_mail),
    (_is_matched_machine, _matched_machine),
    (vendor.asks_vendor, vendor.ask_vendor),
    (is_agents, agent_mail),
    (is_outbound, outbound),
    (is_forwarded, forwarded),
    (_always, _customer_mail),
)
