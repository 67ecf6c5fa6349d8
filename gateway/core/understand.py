"""From a parsed mail to facts: who wrote, what kind of mail, which ticket, which commands.

``needs`` names, from the mail alone, what the store must load; ``understand`` then reads one
mail against that context. Neither decides anything: core/conclude.py does, after the rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.core import subject as subjects
from gateway.core.address import canonical, domain, is_mailbox
from gateway.core.classify import classify
from gateway.core.command import parse_block, parse_customer, parse_whole
from gateway.core.context import Context, Needs, Search
from gateway.core.control_wants import mail_wants, tickets_ordered
from gateway.core.forward import read_forward
from gateway.core.identity import identify
from gateway.core.model import (
    Classification,
    CommandBlock,
    Envelope,
    Facts,
    Forwarded,
    Identity,
    Mail,
    Spooled,
    ThreadMatch,
    Token,
)
from gateway.core.policy import Policy, Queue
from gateway.core.profile import is_ours
from gateway.core.proof import ADDRESSES_READ, bounced, is_bounce_address, is_own, rfc_ids, tokens
from gateway.core.quote import split_reply
from gateway.core.rows import MailFacts, Message
from gateway.core.third_party import written_by
from gateway.core.thread import find_thread, token_without_proof
from gateway.core.token import read_message_id
from gateway.core.wants import wanted_of

TEXT_READ = 200_000     # characters in which quotations and commands are looked for


def delivery_key(envelope: Envelope, mail: Mail) -> str:
    """Same sender, recipients and bytes: a sender that lost our 250 and tries again (RFC 5321 §4.5.4.1).

    By the same way, too: bytes that a stranger delivered first must not swallow the proven ones.
    """
    way = (envelope.relay or "", envelope.login or "", envelope.mail_from or "<>", *("sent",) * envelope.sent)
    way += (f"released {envelope.released}",) * (envelope.released is not None)
    seed = "\n".join((*way, *sorted(map(canonical, envelope.rcpt_tos)), mail.sha256))
    return hashlib.sha256(seed.encode("utf-8", "surrogateescape")).hexdigest()


def needs(batch: Iterable[Spooled], policy: Policy) -> Needs:
    """Everything the decisions on this batch may ask of the store."""
    ids: set[str] = set()
    addresses = {agent.address for agent in policy.agents}
    tickets: set[int] = set()
    persons: set[int] = set()
    outbox: set[int] = set()
    reasons: set[int] = set()
    body_keys: set[str] = set()
    deliveries: set[str] = set()
    contents: set[str] = set()
    more, more_ids, undone = set[int](), set[str](), set[str]()
    searches: set[Search] = set()
    for spooled in batch:
        mail, envelope = spooled.mail, spooled.envelope
        own = {i for i in (mail.message_id, mail.original_id) if i}
        ids |= own | set(rfc_ids(mail))
        if envelope.channel == "submission":    # Bcc stands here only
            addresses |= set(map(canonical, envelope.rcpt_tos))
        addresses |= {canonical(a.address) for a in (*mail.to, *mail.cc)[:ADDRESSES_READ]}
        if mail.sender is not None:
            addresses.add(canonical(mail.sender.address))
        if (behind := written_by(mail, policy)) is not None:
            addresses.add(behind.address)
        if (sent_on := forwarded(mail, policy)) is not None:
            addresses.add(canonical(sent_on.sender.address))
        named = set(subjects.keys_in(mail.subject, policy.key))
        wants = mail_wants(spooled, policy)
        named |= wants.tickets
        addresses |= wants.addresses
        for token in tokens(spooled, policy):
            named.add(token.ticket)
            persons.add(token.party)
        for signed in filter(None, (read_message_id(policy.keys, i, policy.host) for i in rfc_ids(mail))):
            named.add(signed.ticket)
            outbox.add(signed.outbox)
            persons.add(signed.party)
        back = bounced(spooled, policy)
        if back is not None:
            outbox.add(back)
        tickets |= named
        if wants.reasons:
            reasons |= named
        if wants.more:
            more |= named
            more_ids |= set(rfc_ids(mail))
        undone |= wants.undone
        searches |= wants.searches
        body_keys.add(mail.body_key)
        deliveries.add(delivery_key(envelope, mail))
        if envelope.reread:
            contents.add(mail.sha256)
    return Needs(
        rfc_ids=frozenset(ids), addresses=frozenset(addresses), tickets=frozenset(tickets - {0}),
        persons=frozenset(persons), outbox=frozenset(outbox - {0}), body_keys=frozenset(body_keys),
        delivery_keys=frozenset(deliveries), contents=frozenset(contents), reasons_of=frozenset(reasons),
        more_of=frozenset(more - {0}), more_ids=frozenset(more_ids), undone=frozenset(undone),
        searches=frozenset(searches),
    )


def further(asked: Needs, context: Context, policy: Policy) -> Needs | None:
    """``asked``, and what waiting mails want which a word may let go now; None if that is nothing more."""
    more = asked
    for waiting in (s for s in context.stored.values() if s.message.hold is not None):
        author = context.persons.get(waiting.message.author or 0)
        agent = policy.agent_of_address(author.address) if author is not None else None
        wants = wanted_of(waiting.text.whole_text, waiting.text.subject, agent, policy)
        tickets = {waiting.message.ticket or 0, *wants.tickets} - {0}
        more = replace(
            more, tickets=more.tickets | (tickets - set(context.tickets)),
            addresses=more.addresses | (wants.addresses - set(context.person_ids)),
            reasons_of=more.reasons_of | (tickets if wants.reasons else set()),
            more_of=more.more_of | (tickets if wants.more else set()),
            undone=more.undone | wants.undone, searches=more.searches | wants.searches,
        )
    return None if more == asked else more


def shared_keys(spooled: Spooled, policy: Policy) -> Iterator[str]:
    """What two mails must not share to be decided in one wave (architecture ruling 1)."""
    mail = spooled.mail
    yield from (f"id:{i}" for i in (mail.message_id, *rfc_ids(mail)) if i)
    yield f"body:{mail.body_key}"
    if mail.sender is not None:
        yield f"from:{canonical(mail.sender.address)}"
    for token in tokens(spooled, policy):
        yield f"ticket:{token.ticket}"
    for number in {*subjects.keys_in(mail.subject, policy.key), *tickets_ordered(spooled, policy)}:
        yield f"ticket:{number}"
    for signed in filter(None, (read_message_id(policy.keys, i, policy.host) for i in rfc_ids(mail))):
        yield f"ticket:{signed.ticket}"


def understand(spooled: Spooled, context: Context, policy: Policy) -> Facts:
    """One mail, read against what is known. Pure: the same arguments give the same facts."""
    mail, envelope = spooled.mail, spooled.envelope
    held_tokens = tokens(spooled, policy, context)
    kind = _class(spooled, policy)
    identity = _identity(spooled, held_tokens, context, policy)
    match = find_thread(spooled, held_tokens, identity, context, policy)
    # What nobody reads to its end may not hold up the mail behind it; the whole text is stored.
    text = mail.text[:TEXT_READ]
    split = split_reply(text, _answered(match, context)) if match.ticket else None
    # What an agent closes with is part of his letter.
    new = (split.letter if identity.agent else split.new) if split else text
    block = _block(spooled, new, identity, match, context, policy)
    return Facts(
        spool_id=spooled.spool_id,
        received_at=envelope.received_at,
        mail_class=kind.mail_class,
        class_why=kind.why,
        identity=identity,
        match=match,
        queue=_queue(envelope, mail, match, context, policy).name,
        subject=mail.subject,
        base_subject=subjects.base_subject(mail.subject),
        new_text=new,
        whole_text=mail.text,
        block=block,
        copy_of=_copy_of(mail, identity, match, context),
        token_without_proof=token_without_proof(spooled, match, context, policy),
        bounces=kind.bounces,
        bounced_outbox=bounced(spooled, policy, context) if kind.mail_class in ("bounce", "receipt") else None,
        forwarded=forwarded(mail, policy) if match.ticket is None else None,
    )


def _block(
    spooled: Spooled, new: str, identity: Identity, match: ThreadMatch, context: Context, policy: Policy
) -> CommandBlock:
    """The commands of a mail on a ticket: all of an agent's, the few of a customer's; and those of a first mail at our door."""
    # What lies in a Sent folder has been sent as it is: no line of it is a command any more.
    writes_first = match.ticket is None and identity.agent is not None and spooled.envelope.channel == "submission"
    if spooled.envelope.sent or (match.ticket is None and not writes_first):
        return CommandBlock(commands=(), suspects=(), text=new)
    if identity.agent is None:
        return parse_customer(new)
    if identity.level < 3 or match.ticket is None:  # the subject of a first mail is its customer's to read
        return parse_block(new, policy.fields)
    return parse_whole(new, spooled.mail.subject, context.subjects.get(match.ticket, ""), policy.fields)


def forwarded(mail: Mail, policy: Policy) -> Forwarded | None:
    """The customer's mail in one that an agent's address sends on, attached or written out; else None.

    Whether it was the agent is core/forwarded.py's question. Colleagues and we ourselves are no customers.
    """
    if mail.sender is None or policy.agent_of_address(canonical(mail.sender.address)) is None:
        return None
    if mail.opaque is not None or not subjects.is_forward(mail.subject):
        return None
    found = mail.enclosed
    if found is not None:
        found = replace(found, above=split_reply(mail.text[:TEXT_READ]).new)
    else:
        found = read_forward(mail.text[:TEXT_READ])
    if found is None:
        return None
    address = canonical(found.sender.address)
    ours = policy.agent_of_address(address) is not None or is_ours(address, policy)
    return None if ours or not is_mailbox(address) else found


def facts_row(facts: Facts, spooled: Spooled, context: Context) -> MailFacts:
    """The row of the relation ``mail`` that rules read; ``rules`` and ``message`` are set later."""
    ticket = context.tickets.get(facts.match.ticket) if facts.match.ticket else None
    return MailFacts(
        spool_id=facts.spool_id, message=None, received_at=facts.received_at, sender=facts.identity.address,
        domain=domain(facts.identity.address) if facts.identity.address else "", subject=facts.subject,
        queue=facts.queue, mail_class=facts.mail_class, level=facts.identity.level,
        agent=facts.identity.agent is not None, signal=facts.match.signal, ticket=facts.match.ticket,
        status=ticket.status if ticket else None, priority=ticket.priority if ticket else None,
        attachments=len(spooled.mail.parts), size=spooled.mail.size, rules="",
    )


def _class(spooled: Spooled, policy: Policy) -> Classification:
    mail, envelope = spooled.mail, spooled.envelope
    # From our own address means a loop, except in the Sent folder, where it is what one expects.
    own_addresses = frozenset[str]() if envelope.sent else policy.own_addresses()
    return classify(
        mail, envelope, own_addresses=own_addresses, own=is_own(mail, policy),
        bounce_address=is_bounce_address(envelope, policy),
    )


def _identity(spooled: Spooled, held: tuple[Token, ...], context: Context, policy: Policy) -> Identity:
    """The party is that of the token which find_thread follows: the first one of a known ticket."""
    # Ticket 0 is the desk itself, of which only agents have reply addresses.
    token = next((t for t in held if t.ticket == 0 or context.living(t.ticket) is not None), None)
    party = context.persons.get(token.party) if token else None
    return identify(
        spooled.mail, spooled.envelope, party.address if party else None, policy, spooled.checked
    )


def _answered(match: ThreadMatch, context: Context) -> str | None:
    """Our own words that the mail quotes, if we know which mail of ours it answers."""
    sent = context.outbox.get(match.outbox) if match.outbox else None
    return sent.text if sent else None


def _queue(envelope: Envelope, mail: Mail, match: ThreadMatch, context: Context, policy: Policy) -> Queue:
    """The ticket's queue; for new mail the first queue among the recipients, then To, then Cc; then that of a ticket
    which was named without proof, as by the reply address of an agent who left."""
    if match.ticket is not None and match.ticket in context.tickets:
        return policy.queue(context.tickets[match.ticket].queue)
    possible = context.tickets.get(match.possible or 0)
    addresses = (*envelope.rcpt_tos, *(a.address for a in (*mail.to, *mail.cc)))
    found = (policy.queue_of_address(canonical(a)) for a in addresses)
    return next((q for q in found if q is not None), policy.queue(possible.queue) if possible else policy.queues[0])


def _copy_of(mail: Mail, identity: Identity, match: ThreadMatch, context: Context) -> int | None:
    """Message-ID, body and From together (architecture ruling 2): anyone can guess a Message-ID,
    and a mail must never vanish because a stranger sent its id first.

    Of several copies the one that did most counts: on the ticket of this one, and not held."""
    if not mail.message_id:
        return None
    same_id = {i.message for i in context.mail_ids.get(mail.message_id, ()) if i.role == "self"}
    author = context.person_ids.get(identity.address)
    copies = [m for m in context.copies.get(mail.body_key, ()) if m.id in same_id and m.author == author]

    def did(message: Message) -> tuple[bool, bool]:
        living = context.living(message.ticket) if message.ticket is not None else None
        return (living.id if living else None) == match.ticket, message.hold is None

    return max(copies, key=did).id if copies else None
