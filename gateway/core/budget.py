"""Whether we may send automatic mail: RFC 3834 §2 and §3, and counters that end every loop.

Headers can be stripped on the way, so they alone never end a loop; the budgets do. All counts come
from ``Context.automatic``, the stored automatic mail of the last 24 hours, so a crash resets none.
Each function gives None (we may) or a short reason for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from gateway.core.address import canonical, domain, local
from gateway.core.classify_words import DAEMON, NO_REPLY, ROBOT
from gateway.core.context import AutoSent, Context
from gateway.core.model import Envelope, Facts
from gateway.core.policy import Policy
from gateway.core.profile import is_ours

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
ACKS: Final = ("ack", "customer_help", "reply_rule")     # ruling 9: a rule's reply obeys the same budgets


def why_no_ack(
    facts: Facts,
    envelope: Envelope,
    ticket: int | None,
    person: int | None,
    context: Context,
    policy: Policy,
    now: datetime,
) -> str | None:
    """Why the sender of a new mail gets no acknowledgement; None if he may get one."""
    address = facts.identity.address
    return (
        _not_answerable(facts, envelope, policy)
        or _acknowledged(ticket, person, context)
        or _ack_budget(address, context, policy, now)
        or why_no_automatic(address, ticket, context, policy, now)
    )


def why_no_help(
    facts: Facts, envelope: Envelope, ticket: int, context: Context, policy: Policy, now: datetime
) -> str | None:
    """Why a customer's #help is not answered; None if it may be. It may be on a ticket that was acknowledged."""
    return (
        _not_answerable(facts, envelope, policy)
        or _ack_budget(facts.identity.address, context, policy, now)
        or why_no_automatic(facts.identity.address, ticket, context, policy, now)
    )


def why_no_automatic(
    address: str, ticket: int | None, context: Context, policy: Policy, now: datetime
) -> str | None:
    """Why no automatic mail at all may go to ``address`` about ``ticket``; None if it may."""
    if not address:
        return "there is no address to write to"
    if is_ours(address, policy):
        return f"{address} is an address of ours"
    if ticket is None:
        return None
    limits = policy.budgets
    sent = [mail for mail in context.automatic if mail.ticket == ticket]
    what = "automatic mails on this ticket"
    return _over(sent, HOUR, limits.automatic_per_ticket_hour, what, now) or _over(
        sent, DAY, limits.automatic_per_ticket_day, what, now
    )


def _not_answerable(facts: Facts, envelope: Envelope, policy: Policy) -> str | None:
    """RFC 3834 §2: no answer to a machine, to a null path, or to an address that no person reads."""
    if facts.mail_class != "human":
        return f"the mail is {facts.mail_class}: {facts.class_why}"
    if envelope.mail_from is None and envelope.channel in ("smtp", "lmtp"):
        return "it came without a return path"
    for address in filter(None, (facts.identity.address, envelope.mail_from)):
        name = local(address)
        if any(words.fullmatch(name) for words in (NO_REPLY, ROBOT, DAEMON)):
            return f"nobody reads {address}"
        if is_ours(address, policy):
            return f"{address} is an address of ours"
    if facts.identity.level == 0 and envelope.mail_from and not _related(envelope.mail_from, facts.identity.address):
        # RFC 3834 §4 answers the return path; From alone may name a victim.
        return f"From says {facts.identity.address}, the envelope {envelope.mail_from}"
    if not policy.queue(facts.queue).acknowledge:
        return f"the queue {facts.queue} does not acknowledge"
    return None


def _related(one: str, other: str) -> bool:
    """Whether two addresses are of the same domain, or of one below the other."""
    a, b = f".{domain(one)}", f".{domain(other)}"
    return a.endswith(b) or b.endswith(a)


def _acknowledged(ticket: int | None, person: int | None, context: Context) -> str | None:
    if ticket is not None and person is not None and (ticket, person) in context.acknowledged:
        return "this ticket was acknowledged already"
    return None


def _ack_budget(address: str, context: Context, policy: Policy, now: datetime) -> str | None:
    limits = policy.budgets
    # What was sent stands in the outbox by canonical address.
    known, behind = _mailbox(canonical(address)), f"@{domain(address)}"
    to_domain = [mail for mail in context.automatic if mail.address.endswith(behind) and mail.kind in ACKS]
    to_address = [mail for mail in to_domain if _mailbox(mail.address) == known]
    what = "acknowledgements to"
    return (
        _over(to_address, HOUR, limits.acks_per_address_hour, f"{what} {address}", now)
        or _over(to_address, DAY, limits.acks_per_address_day, f"{what} {address}", now)
        or _over(to_domain, HOUR, limits.acks_per_domain_hour, f"{what} {domain(address)}", now)
    )


def _mailbox(address: str) -> str:
    """ann+1@, ann+2@ … are one mailbox nearly everywhere (RFC 5233), and one victim."""
    name, _, host = address.rpartition("@")
    return f"{name.partition('+')[0]}@{host}"


def _over(sent: Iterable[AutoSent], span: timedelta, most: int, what: str, now: datetime) -> str | None:
    """A sent mail counts until ``span`` has passed; one dated later counts, too."""
    count = sum(now - mail.at < span for mail in sent)
    if count < most:
        return None
    return f"{count} {what} within {'an hour' if span == HOUR else 'a day'}; at most {most}"
