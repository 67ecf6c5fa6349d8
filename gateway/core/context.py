"""The slice of stored state that a batch of decisions may see, and how a decision changes it.

``needs`` says, from parsed mail alone, what a batch will ask about; the store loads all of it
in a few set-wise queries (edge/store.load). ``absorb`` folds a decision back in, so that a later
mail of the same batch sees what an earlier one did (architecture ruling 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from gateway.core.model import OutgoingKind, Reason
from gateway.core.rows import Attachment, MailId, Message, MessageText, Participant, Person, Rows, Ticket

K = TypeVar("K")
V = TypeVar("V")

# Mail that no person wrote; it counts against the budgets.
AUTOMATIC: frozenset[OutgoingKind] = frozenset(("ack", "reply_rule", "result", "held_notice", "unproven_notice", "undelivered"))


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
    bounced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoSent:
    """An automatic mail of the last 24 hours, for the budgets."""

    address: str
    ticket: int | None
    kind: OutgoingKind
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
    """``context`` as it is after ``rows`` were written. Dictionaries are copied, never changed."""
    persons = {p.id: p for p in rows.persons}
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
    stored |= {
        m.id: replace(context.stored[m.id], message=m)
        for m in rows.messages if m.id not in texts and m.id in context.stored
    }
    known = {**context.persons, **persons}
    return replace(
        context,
        next_seq=max([context.next_seq, *(e.seq + 1 for e in rows.events)]),
        next_ticket=max([context.next_ticket, *(t.id + 1 for t in rows.tickets)]),
        next_message=max([context.next_message, *(m.id + 1 for m in rows.messages)]),
        next_outbox=max([context.next_outbox, *(o.id + 1 for o in rows.outbox)]),
        next_person=max([context.next_person, *(p.id + 1 for p in rows.persons)]),
        tickets={**context.tickets, **{t.id: t for t in rows.tickets}},
        subjects={**context.subjects, **{t.ticket: t.subject for t in rows.ticket_texts}},
        persons=known,
        person_ids={**context.person_ids, **{p.address: p.id for p in rows.persons}},
        participants=_grouped(context.participants, ((p.ticket, p) for p in rows.participants)),
        addressees={
            **context.addressees,
            **{
                t: context.addressees.get(t, frozenset()) | {a.person_address for a in rows.addressees if a.ticket == t}
                for t in {a.ticket for a in rows.addressees}
            },
        },
        mail_ids=_grouped(context.mail_ids, ((i.rfc_id, i) for i in rows.mail_ids)),
        outbox=_sent(context, rows),
        copies=_grouped(context.copies, ((m.body_key, m) for m in rows.messages)),
        sent_ids={**context.sent_ids, **{s.rfc_id: s.outbox for s in rows.sent_ids}},
        delivery_keys={**context.delivery_keys, **{p.delivery_key: p.message for p in rows.processed}},
        contents={**context.contents, **{m.sha256: m.id for m in rows.messages}},
        automatic=context.automatic + tuple(
            AutoSent(address=o.rcpt_to, ticket=o.ticket, kind=o.kind, at=o.created_at)
            for o in rows.outbox if o.kind in AUTOMATIC
        ),
        opened=_grouped(
            context.opened,
            (
                (known[e.actor].address, e.ticket)
                for e in rows.events if e.kind == "created" and e.actor in known
            ),
        ),
        stored={**context.stored, **stored},
        notes=_grouped(
            context.notes, ((e.ticket, e.message) for e in rows.events if e.kind == "note" and e.message)
        ),
        threads=_grouped(context.threads, _asked(context, rows, stored)),
        held_notice_at={
            **context.held_notice_at, **{o.rcpt_to: o.created_at for o in rows.outbox if o.kind == "unproven_notice"}
        },
        acknowledged=context.acknowledged | {
            (o.ticket, o.recipient) for o in rows.outbox if o.kind == "ack" and o.ticket is not None
        },
    )


def _asked(context: Context, rows: Rows, stored: dict[int, StoredMail]) -> Iterator[tuple[int, str]]:
    """Message-IDs of public mail from the customers' side: what their mail programs know a thread by."""
    side = {
        (p.ticket, p.person)
        for p in (*rows.participants, *(p for found in context.participants.values() for p in found))
        if p.role != "holder"
    }
    for event in rows.events:
        mail = stored.get(event.message) if event.is_public and event.message is not None else None
        if mail is None or not mail.rfc_id or mail.message.mail_class != "human":
            continue
        if (event.ticket, mail.message.author) in side:
            yield event.ticket, mail.rfc_id


def _sent(context: Context, rows: Rows) -> dict[int, SentMail]:
    new = {
        o.id: SentMail(
            id=o.id, kind=o.kind, rfc_id=o.rfc_id, ticket=o.ticket, message=o.message, recipient=o.recipient,
            text=o.text, created_at=o.created_at,
        )
        for o in rows.outbox
    }
    back = {d.outbox for d in rows.deliveries if d.state == "bounced"}
    known = context.outbox | new
    return known | {i: replace(known[i], bounced=True) for i in back if i in known}


def _grouped(before: dict[K, tuple[V, ...]], more: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    out = dict(before)
    for key, value in more:
        out[key] = (*(v for v in out.get(key, ()) if v != value), value)
    return out
