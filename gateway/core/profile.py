"""The two ways to be reached (architecture §3): how each writes and reads our addresses.

    MX       reply address  t-…@<reply domain>           envelope sender  b-…@<reply domain>
    mailbox  reply address  support+t-…@acme.example     envelope sender  support@acme.example

A provider refuses or rewrites foreign senders, so through a mailbox everything comes from its own
address. Where it delivers no sub-addresses (RFC 5233) there is no reply address at all, and our signed
Message-ID in In-Reply-To counts as one (core/proof.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.address import canonical, domain, local
from gateway.core.model import Token
from gateway.core.policy import Policy, Queue
from gateway.core.token import make_address, read_address, read_bounce


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The addresses of one outgoing mail. ``mail_from`` '' asks for a bounce address of its own."""

    from_address: str
    reply_to: str | None
    mail_from: str = ""


def way_to_agent(token: Token, queue: Queue, policy: Policy) -> Way:
    """Agents' replies must find their ticket whatever the subject says."""
    if queue.mailbox is None:
        address = make_address(policy.keys, token, policy.reply_domain)
        return Way(from_address=address, reply_to=address)
    return Way(from_address=queue.address, reply_to=_sub_address(token, queue, policy), mail_from=queue.address)


def way_to_customer(token: Token, queue: Queue, policy: Policy) -> Way:
    """Customers see the queue's address; a reply address only where the desk or the mailbox wants it."""
    if queue.mailbox is not None:
        return Way(from_address=queue.address, reply_to=_sub_address(token, queue, policy), mail_from=queue.address)
    reply_to = make_address(policy.keys, token, policy.reply_domain) if policy.reply_to_token else None
    return Way(from_address=queue.address, reply_to=reply_to)


def way_to_vendor(token: Token, queue: Queue, policy: Policy) -> Way:
    """From the queue, as to a customer, but always with a reply address: a vendor's desk keeps no Message-IDs."""
    if queue.mailbox is not None:
        return Way(from_address=queue.address, reply_to=_sub_address(token, queue, policy), mail_from=queue.address)
    return Way(from_address=queue.address, reply_to=make_address(policy.keys, token, policy.reply_domain))


def read_reply(address: str, policy: Policy) -> Token | None:
    """What a valid reply address of either form says."""
    if policy.reply_domain and (token := read_address(policy.keys, address, policy.reply_domain)) is not None:
        return token
    bare = _without_mailbox(address, policy)
    return read_address(policy.keys, bare, domain(bare)) if bare else None


def is_control(address: str, policy: Policy) -> bool:
    """Whether it takes many commands in one mail: control@, or support+control@ of a mailbox."""
    known = canonical(address)
    below = (q for q in policy.queues if q.mailbox is not None and q.mailbox.subaddressing)
    return known in policy.control or any(known == f"{local(q.address)}+control@{domain(q.address)}" for q in below)


def read_return(address: str, policy: Policy) -> int | None:
    """The outbox id of a valid bounce address; mailboxes have none."""
    return read_bounce(policy.keys, address, policy.reply_domain) if policy.reply_domain else None


def is_ours(address: str, policy: Policy) -> bool:
    """Whether mail to ``address`` would come back to us: a queue's, of the reply domain, below a mailbox."""
    known = canonical(address)
    if known in policy.own_addresses() or (policy.reply_domain and domain(known) == policy.reply_domain):
        return True
    return _without_mailbox(known, policy) != "" or is_control(known, policy)


def _sub_address(token: Token, queue: Queue, policy: Policy) -> str | None:
    if queue.mailbox is None or not queue.mailbox.subaddressing:
        return None
    return f"{local(queue.address)}+{make_address(policy.keys, token, domain(queue.address))}"


def _without_mailbox(address: str, policy: Policy) -> str:
    """``t-…@acme.example`` of ``support+t-…@acme.example``; '' if it lies below no mailbox of ours."""
    known = canonical(address)
    for queue in policy.queues:
        prefix = f"{local(queue.address)}+"
        if queue.mailbox is not None and queue.mailbox.subaddressing and known.startswith(prefix):
            bare = known.removeprefix(prefix)
            if domain(bare) == domain(queue.address):
                return bare
    return ""
