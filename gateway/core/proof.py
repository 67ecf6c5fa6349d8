"""What a mail carries that only we could have made: reply addresses, signed Message-IDs, marks.

Standards: RFC 5322 §3.6.4 (In-Reply-To, References), RFC 3464 (reports). A provider may send our mail
under a Message-ID of its own. The copy in its Sent folder has both our mark and that id, so the id leads
to our row (``Context.sent_ids``). Such an id may be guessable, so it proves something only for whom the
mail was sent to.

What was made for an agent dies with his role: of who left, or no longer sees the ticket's queue, it proves
nothing. He is a stranger there.

Limits: only the newest ``REFERENCES_READ`` references and the oldest are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.address import canonical
from gateway.core.context import Context
from gateway.core.model import Envelope, Mail, SignedId, Spooled, Token
from gateway.core.policy import Policy
from gateway.core.profile import is_control, read_reply, read_return
from gateway.core.token import read_mark, read_message_id

REFERENCES_READ: Final = 100
ADDRESSES_READ: Final = 40
OUTSIDE: Final = ("c", "v")       # roles of reply addresses that are no agent's


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An id of ours that the mail names. ``rewritten``: the provider's id of a mail of ours."""

    header: str
    said: SignedId
    rewritten: bool = False


def rfc_ids(mail: Mail) -> tuple[str, ...]:
    """In-Reply-To, then References newest first: the order in which they prove belonging."""
    return tuple(rfc_id for _, rfc_id in named_ids(mail))


def named_ids(mail: Mail) -> Iterator[tuple[str, str]]:
    """(header, id): In-Reply-To, then References newest first; each id once."""
    seen = dict.fromkeys(mail.in_reply_to, "In-Reply-To")
    for rfc_id in (*reversed(mail.references[-REFERENCES_READ:]), *mail.references[:1]):
        seen.setdefault(rfc_id, "References")
    return ((header, rfc_id) for rfc_id, header in seen.items())


def signed_ids(spooled: Spooled, context: Context, policy: Policy) -> Iterator[Signed]:
    """The ids of ours in the mail's order; rewritten ones only if the mail they were given to went to its sender.

    Beside what is dead the pseudo-root of its ticket proves nothing either: it stands in every mail of the thread.
    """
    found = [*_signed(spooled, context, policy)]
    dead: list[Token | SignedId] = [s.said for s in found if _to_agent(s.said, context) and is_dead(s.said, context, policy)]
    if not all(s.said.outbox for s in found):
        dead += [t for t in tokens(spooled, policy) if t.role not in OUTSIDE and is_dead(t, context, policy)]
    gone = {living.id for made in dead if (living := context.living(made.ticket)) is not None}
    for signed in found:
        living = context.living(signed.said.ticket)
        root = living is not None and not signed.said.outbox
        if signed.said not in dead and not (root and living and living.id in gone):
            yield signed


def _signed(spooled: Spooled, context: Context, policy: Policy) -> Iterator[Signed]:
    for header, rfc_id in named_ids(spooled.mail):
        said = read_message_id(policy.keys, rfc_id, policy.host)
        if said is not None:
            yield Signed(header=header, said=said)
            continue
        sent = context.outbox.get(context.sent_ids.get(rfc_id, 0))
        own = read_message_id(policy.keys, sent.rfc_id, policy.host) if sent is not None else None
        if own is not None and (spooled.envelope.sent or _went_to_sender(own, spooled.mail, context, policy)):
            yield Signed(header=header, said=own, rewritten=True)


def tokens(spooled: Spooled, policy: Policy, context: Context | None = None) -> tuple[Token, ...]:
    """The verified reply addresses among the recipients, in their order.

    Of mail fetched from a mailbox also those on To and Cc, since not every provider keeps the envelope, and our
    signed id in In-Reply-To (only there: References may be a whole family's). ``context`` adds rewritten ids, and takes
    away what is dead.
    """
    mail, envelope = spooled.mail, spooled.envelope
    if envelope.sent:
        return ()
    found = [read_reply(rcpt, policy) for rcpt in envelope.rcpt_tos]
    if envelope.channel == "imap":
        found += [read_reply(a.address, policy) for a in (*mail.to, *mail.cc)[:ADDRESSES_READ]]
        found += [_as_token(said) for said in _answered(spooled, policy, context)]
    known = dict.fromkeys(token for token in found if token is not None)
    return tuple(t for t in known if context is None or t.role in OUTSIDE or not is_dead(t, context, policy))


def is_dead(made: Token | SignedId, context: Context, policy: Policy) -> bool:
    """Whether the agent for whom ``made`` was made is none now in the queue of its ticket."""
    person, ticket = context.persons.get(made.party), context.living(made.ticket)
    if person is None or ticket is None:
        return False
    agent = policy.agent_of_address(person.address)
    return agent is None or agent.role_in(ticket.queue) is None


def _to_agent(said: SignedId, context: Context) -> bool:
    """Whether the mail of this id went to an agent as an agent. Automatic mail goes to both sides."""
    sent = context.outbox.get(said.outbox)
    return said.kind in ("n", "i") or (said.kind == "x" and sent is not None and sent.kind not in ("ack", "reply_rule"))


def to_control(spooled: Spooled, policy: Policy, held: tuple[Token, ...]) -> bool:
    """Whether a mail holds orders: sent to control@, or in answer to a digest or a transcript of ours.

    ``held`` are its verified reply addresses; one of a ticket says that the mail is that ticket's.
    """
    envelope, mail = spooled.envelope, spooled.mail
    if envelope.sent or any(token.ticket for token in held):
        return False
    recipients = [*envelope.rcpt_tos]
    if envelope.channel == "imap":
        recipients += [a.address for a in (*mail.to, *mail.cc)[:ADDRESSES_READ]]
    return bool(held) or any(is_control(r, policy) for r in recipients)


def bounced(spooled: Spooled, policy: Policy, context: Context | None = None) -> int | None:
    """The outbox row a report speaks of: by its bounce address, else by the mark or Message-ID it returns."""
    for rcpt in spooled.envelope.rcpt_tos:
        outbox = read_return(rcpt, policy)
        if outbox is not None:
            return outbox
    mail = spooled.mail
    if (marked := read_mark(policy.keys, mail.original_mark)) is not None:
        return marked
    returned = mail.original_id or ""
    if (signed := read_message_id(policy.keys, returned, policy.host)) is not None:
        return signed.outbox or None
    return context.sent_ids.get(returned) if context is not None else None


def own_mark(mail: Mail, policy: Policy) -> int | None:
    """The outbox id of a mail that is ours by its mark."""
    return read_mark(policy.keys, mail.header("x-mailwicket-id"))


def is_own(mail: Mail, policy: Policy) -> bool:
    """Whether we made this mail: by Message-ID or by mark."""
    return read_message_id(policy.keys, mail.message_id or "", policy.host) is not None or own_mark(mail, policy) is not None


def is_bounce_address(envelope: Envelope, policy: Policy) -> bool:
    return any(read_return(rcpt, policy) is not None for rcpt in envelope.rcpt_tos)


def _answered(spooled: Spooled, policy: Policy, context: Context | None) -> Iterator[SignedId]:
    if context is not None:
        yield from (s.said for s in signed_ids(spooled, context, policy) if s.header == "In-Reply-To")
        return
    for rfc_id in spooled.mail.in_reply_to:
        if (said := read_message_id(policy.keys, rfc_id, policy.host)) is not None:
            yield said


def _as_token(said: SignedId) -> Token | None:
    """The pseudo-root names a ticket and nobody; it is no reply address."""
    if not said.outbox:
        return None
    roles: dict[str, Literal["a", "n", "c", "v"]] = {"i": "n", "n": "a", "v": "v"}
    return Token(role=roles.get(said.kind, "c"), ticket=said.ticket, party=said.party)


def _went_to_sender(said: SignedId, mail: Mail, context: Context, policy: Policy) -> bool:
    """Whether From is the person that ``said`` was made for; an agent has several addresses."""
    person = context.persons.get(said.party)
    if person is None or mail.sender is None or mail.ambiguous is not None:
        return False
    address, holder = canonical(mail.sender.address), policy.agent_of_address(person.address)
    return address == person.address or (holder is not None and address in holder.addresses)
