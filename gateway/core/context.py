"""The slice of stored state that a batch of decisions may see, and how a decision changes it.

``needs`` says, from parsed mail alone, what a batch will ask about; the store loads all of it
in a few set-wise queries (edge/store.load). ``absorb`` puts a decision back in, so that a later
mail of the same batch sees what an earlier one did (architecture ruling 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from gateway.core.model import OutgoingKind, Reason
from gateway.core.rows import (
    Attachment,
    Delivery,
    Event,
    MailId,
    Message,
    MessageText,
    Participant,
    Person,
    Rows,
    Suppression,
    Ticket,
)
from gateway.core.rows_beside import Listed, TicketField, TicketLink

K = TypeVar("K")
V = TypeVar("V")

# Mail that no person wrote; it counts against the budgets.
AUTOMATIC: frozenset[OutgoingKind] = frozenset(
    ("ack", "customer_help", "reply_rule", "result", "held_notice", "unproven_notice", "undelivered", "delayed_notice",
     "transcript", "rehearsal", "digest")
)

# Mails about no ticket that ask about a stored one, which is loaded with them.
ASKING: frozenset[OutgoingKind] = frozenset(("rehearsal", "unproven_notice"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a batch will ask the store. Every member is a set to look up at once."""

    rfc_ids: frozenset[str] = frozenset()          # own, In-Reply-To, References, returned original
    addresses: frozenset[str] = frozenset()        # canonical: senders, To, Cc, agents, queues
    tickets: frozenset[int] = frozenset()          # from tokens, signed ids, subject keys, #merge
    persons: frozenset[int] = frozenset()          # parties of tokens and signed ids
    outbox: frozenset[int] = frozenset()           # from signed ids and bounce addresses
    body_keys: frozenset[str] = frozenset()
    delivery_keys: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()         # sha256 of mail that may be known under another number
    reasons_of: frozenset[int] = frozenset()       # tickets asked about with #why
    more_of: frozenset[int] = frozenset()          # tickets of which a command asks all: events, fields, links, texts
    more_ids: frozenset[str] = frozenset()         # and mail ids whose tickets are meant
    undone: frozenset[str] = frozenset()           # transactions (causes of events) that are to be taken back
    searches: frozenset[Search] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What ``#search`` looks for: all words, in subject, requester or tags; and what narrows it, '' or None for any."""

    words: tuple[str, ...]
    status: str = ""
    queue: str = ""
    assignee: str | None = None     # an address, '' for nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMail:
    """An outbox row as decisions need it. Loaded for Needs.outbox; the text is for the quote diff."""

    id: int
    kind: OutgoingKind
    rfc_id: str
    ticket: int | None
    message: int | None
    recipient: int
    text: str
    created_at: datetime
    delivery: Delivery | None = None    # how far it got; None: not written down yet


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSent:
    """An automatic mail of the last 24 hours, for the budgets."""

    address: str
    ticket: int | None
    kind: OutgoingKind
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """An event ``bounced``: a mail to somebody was lost for good. ``seq`` is the event's."""

    seq: int
    at: datetime
    status: str                     # RFC 3463


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorMail:
    """A message to a third party, or from one."""

    message: int
    person: int                     # who the third party is
    asked: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMail:
    """A stored message with its text and attachments: what is quoted, released or compared."""

    message: Message
    rfc_id: str                     # its own Message-ID, '' if it had none
    text: MessageText
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Loaded for all of Needs, plus what hangs on it: the tickets of the found ids and outbox rows,
    redirects followed (both ends present), participants and addressees of those tickets, the persons
    named anywhere, and of each ticket the last public message, its internal notes and held messages.
    """

    next_seq: int = 1
    next_ticket: int = 1
    next_message: int = 1
    next_outbox: int = 1
    next_person: int = 1
    tickets: dict[int, Ticket] = field(default_factory=dict)
    subjects: dict[int, str] = field(default_factory=dict)
    persons: dict[int, Person] = field(default_factory=dict)
    person_ids: dict[str, int] = field(default_factory=dict)           # by canonical address
    participants: dict[int, tuple[Participant, ...]] = field(default_factory=dict)
    addressees: dict[int, frozenset[str]] = field(default_factory=dict)   # by ticket
    mail_ids: dict[str, tuple[MailId, ...]] = field(default_factory=dict)
    outbox: dict[int, SentMail] = field(default_factory=dict)
    copies: dict[str, tuple[Message, ...]] = field(default_factory=dict)  # by body key
    sent_ids: dict[str, int] = field(default_factory=dict)                # a provider's id of a mail of ours -> outbox
    delivery_keys: dict[str, int | None] = field(default_factory=dict)    # of 7 days -> message id
    contents: dict[str, int] = field(default_factory=dict)                # sha256 -> message id, of Needs.contents
    automatic: tuple[AutoSent, ...] = ()                                  # to Needs.addresses' domains, or on the tickets
    opened: dict[str, tuple[int, ...]] = field(default_factory=dict)      # tickets opened in the last hour, by address
    stored: dict[int, StoredMail] = field(default_factory=dict)           # by message id
    notes: dict[int, tuple[int, ...]] = field(default_factory=dict)       # ticket -> message ids of notes
    threads: dict[int, tuple[str, ...]] = field(default_factory=dict)     # ticket -> Message-IDs of customers' mail, old to new
    held_notice_at: dict[str, datetime] = field(default_factory=dict)     # address -> last notice of unproven mail
    reasons: dict[int, tuple[Reason, ...]] = field(default_factory=dict)  # ticket -> reasons, newest mail first
    acknowledged: frozenset[tuple[int, int]] = frozenset()                # (ticket, person)
    suppressions: dict[int, Suppression] = field(default_factory=dict)    # of persons, revived ones too
    bounces: dict[int, tuple[Bounce, ...]] = field(default_factory=dict)  # of the last 7 days, by recipient of ``outbox``
    opted_out: frozenset[int] = frozenset()                               # persons who want no automatic mail
    # Of Needs.more_of, more_ids and undone only:
    history: dict[int, tuple[Event, ...]] = field(default_factory=dict)       # ticket -> its events
    fields: dict[int, tuple[TicketField, ...]] = field(default_factory=dict)  # ticket -> values, all that ever were
    links: dict[int, tuple[TicketLink, ...]] = field(default_factory=dict)    # ticket -> links, ended ones too
    told: dict[int, tuple[StoredMail, ...]] = field(default_factory=dict)     # ticket -> its last messages, oldest first
    listed: dict[int, tuple[Listed, ...]] = field(default_factory=dict)       # outbox -> tickets that it named by number
    vendors: dict[int, tuple[VendorMail, ...]] = field(default_factory=dict)  # ticket -> mails to and from third parties
    found: dict[Search, tuple[int, ...]] = field(default_factory=dict)        # tickets, which are in ``tickets``; newest first

    def living(self, ticket: int) -> Ticket | None:
        """The ticket that ``ticket`` became after merges, or None if it is unknown."""
        seen: set[int] = set()
        found = self.tickets.get(ticket)
        while found is not None and found.merged_into is not None and found.id not in seen:
            seen.add(found.id)
            found = self.tickets.get(found.merged_into)
        return found

    def person(self, address: str) -> Person | None:
        known = self.person_ids.get(address)
        return None if known is None else self.persons.get(known)


def absorb(context: Context, rows: Rows) -> Context:
    """``context`` as it is after ``rows`` were written; ``context`` itself stays as it was."""
    return fold(own(context), rows)


def own(context: Context) -> Context:
    """A copy that shares no dictionary with ``context``, so that ``fold`` may change it."""
    found = ((f.name, getattr(context, f.name)) for f in fields(Context))
    copies: dict[str, Any] = {name: dict(value) for name, value in found if isinstance(value, dict)}
    return replace(context, **copies)


def fold(context: Context, rows: Rows) -> Context:
    """As ``absorb``, but the dictionaries of ``context`` are changed: whoever has it must use the result instead.

    For a batch, where copying all that was loaded for every mail would cost its square.
    """
    texts = {t.message: t for t in rows.message_texts}
    own_id = {i.message: i.rfc_id for i in rows.mail_ids if i.role == "self"}
    stored = {
        m.id: StoredMail(
            message=m, rfc_id=own_id.get(m.id, ""), text=texts[m.id],
            attachments=tuple(a for a in rows.attachments if a.message == m.id),
        )
        for m in rows.messages if m.id in texts
    }
    # A held mail that was released: the row changes, its text does not.
    context.stored.update({
        m.id: replace(context.stored[m.id], message=m)
        for m in rows.messages if m.id not in texts and m.id in context.stored
    })
    context.stored.update(stored)
    _group(context.threads, _asked(context, rows, stored))
    context.tickets.update((t.id, t) for t in rows.tickets)
    context.subjects.update((t.ticket, t.subject) for t in rows.ticket_texts)
    _fold_people(context, rows)
    for a in rows.addressees:
        context.addressees[a.ticket] = context.addressees.get(a.ticket, frozenset()) | {a.person_address}
    _group(context.mail_ids, ((i.rfc_id, i) for i in rows.mail_ids))
    _sent(context.outbox, rows)
    _group(context.copies, ((m.body_key, m) for m in rows.messages))
    context.sent_ids.update((s.rfc_id, s.outbox) for s in rows.sent_ids)
    context.delivery_keys.update((p.delivery_key, p.message) for p in rows.processed)
    context.contents.update((m.sha256, m.id) for m in rows.messages)
    known = context.persons
    _group(context.opened, (
        (known[e.actor].address, e.ticket) for e in rows.events if e.kind == "created" and e.actor in known
    ))
    _group(context.notes, ((e.ticket, e.message) for e in rows.events if e.kind == "note" and e.message))
    _group(context.bounces, (
        (e.actor, Bounce(seq=e.seq, at=e.recorded_at, status=e.after))
        for e in rows.events if e.kind == "bounced" and e.actor is not None and e.after
    ))
    _fold_more(context, rows, stored)
    context.suppressions.update((s.person, s) for s in rows.suppressions)
    context.held_notice_at.update((o.rcpt_to, o.created_at) for o in rows.outbox if o.kind == "unproven_notice")
    return replace(
        context,
        opted_out=context.opted_out | {o.person for o in rows.opt_outs},
        next_seq=max([context.next_seq, *(e.seq + 1 for e in rows.events)]),
        next_ticket=max([context.next_ticket, *(t.id + 1 for t in rows.tickets)]),
        next_message=max([context.next_message, *(m.id + 1 for m in rows.messages)]),
        next_outbox=max([context.next_outbox, *(o.id + 1 for o in rows.outbox)]),
        next_person=max([context.next_person, *(p.id + 1 for p in rows.persons)]),
        automatic=context.automatic + tuple(
            AutoSent(address=o.rcpt_to, ticket=o.ticket, kind=o.kind, at=o.created_at)
            for o in rows.outbox if o.kind in AUTOMATIC
        ),
        acknowledged=context.acknowledged | {
            (o.ticket, o.recipient) for o in rows.outbox if o.kind == "ack" and o.ticket is not None
        },
    )


def vendor_mails(events: Iterable[Event]) -> Iterator[tuple[int, VendorMail]]:
    """(ticket, mail) of those events that are mails to or from third parties."""
    for event in events:
        if event.kind in ("vendor_asked", "vendor_answered") and event.message is not None and event.after is not None:
            yield event.ticket, VendorMail(
                message=event.message, person=int(event.after), asked=event.kind == "vendor_asked", at=event.at
            )


def _fold_people(context: Context, rows: Rows) -> None:
    """Each is on a ticket once, as what he is now."""
    context.persons.update((p.id, p) for p in rows.persons)
    context.person_ids.update((p.address, p.id) for p in rows.persons)
    for p in rows.participants:
        others = (q for q in context.participants.get(p.ticket, ()) if q.person != p.person)
        context.participants[p.ticket] = (*others, p) if p.role != "gone" else tuple(others)


def _fold_more(context: Context, rows: Rows, stored: dict[int, StoredMail]) -> None:
    """What few commands ask: what was loaded stays true; what was not is not half known."""
    _group(context.listed, ((r.outbox, r) for r in rows.listed))
    _group(context.vendors, vendor_mails(rows.events))
    _group(context.history, ((e.ticket, e) for e in rows.events if e.ticket in context.history))
    _group(context.fields, ((f.ticket, f) for f in rows.ticket_fields if f.ticket in context.fields))
    for link in rows.ticket_links:
        same = (k for k in context.links.get(link.ticket, ()) if (k.other, k.relation) != (link.other, link.relation))
        context.links[link.ticket] = (*same, link)
    asked = ((m.message.ticket, m) for m in stored.values() if m.message.ticket is not None)
    _group(context.told, ((ticket, m) for ticket, m in asked if ticket in context.told))


def _asked(context: Context, rows: Rows, stored: dict[int, StoredMail]) -> Iterator[tuple[int, str]]:
    """Message-IDs of public mail from the customers' side: what their mail programs know a thread by."""
    for event in rows.events:
        mail = stored.get(event.message) if event.is_public and event.message is not None else None
        if mail is None or not mail.rfc_id or mail.message.mail_class != "human":
            continue
        before = context.participants.get(event.ticket, ())
        side = (*before, *(p for p in rows.participants if p.ticket == event.ticket))
        if any(p.person == mail.message.author and p.role != "holder" for p in side):
            yield event.ticket, mail.rfc_id


def _sent(outbox: dict[int, SentMail], rows: Rows) -> None:
    outbox.update(
        (o.id, SentMail(
            id=o.id, kind=o.kind, rfc_id=o.rfc_id, ticket=o.ticket, message=o.message, recipient=o.recipient,
            text=o.text, created_at=o.created_at,
        ))
        for o in rows.outbox
    )
    outbox.update((d.outbox, replace(outbox[d.outbox], delivery=d)) for d in rows.deliveries if d.outbox in outbox)


def _group(groups: dict[K, tuple[V, ...]], more: Iterable[tuple[K, V]]) -> None:
    """Put each value behind the others of its key, once."""
    for key, value in more:
        groups[key] = (*(v for v in groups.get(key, ()) if v != value), value)
