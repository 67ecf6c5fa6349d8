"""Loads the context of a batch, set-wise: ids, then tickets, then what hangs on the tickets.

A query whose set is empty is not asked. Sets that an index serves go through list_contains, which
uses it; sets of growing numbers without an index through a join with unnest, which reads only the
blocks whose range fits (both measured; the other way round costs twenty times as much). A few rows
are sorted here: ORDER BY costs as much as half the query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway.core.act_people import forwarded_by
from gateway.core.address import domain
from gateway.core.archive import CAUSE
from gateway.core.context import (
    ASKING,
    AUTOMATIC,
    AutoSent,
    Bounce,
    Context,
    Needs,
    Search,
    SentMail,
    StoredMail,
    VendorMail,
    vendor_mails,
)
from gateway.core.control_lines import addresses_in
from gateway.core.model import Reason
from gateway.core.rows import Event, MailId, Message, MessageText, Participant, Person, Suppression, Ticket
from gateway.core.rows_beside import Listed
from gateway.core.suppress import SPAN
from gateway.edge.group import by_ticket, grouped, numbers
from gateway.edge.store_files import Files, schema_of
from gateway.edge.store_read import deliveries
from gateway.edge.tables import (
    ATTACHMENT,
    EVENT,
    LISTED,
    MAIL_ID,
    MESSAGE,
    MESSAGE_TEXT,
    PARTICIPANT,
    PERSON,
    SENT_ID,
    SUPPRESSION,
    TICKET,
    TICKET_FIELD,
    TICKET_LINK,
    Counters,
    Cursor,
    digest,
    naive,
)

V = TypeVar("V")
KEYS = timedelta(days=7)        # how long a repeated delivery is recognised
BUDGET = timedelta(hours=24)    # how far budgets look back
OPENED = timedelta(hours=1)
THREAD = 9                      # newest Message-IDs of a ticket that are kept, beside the first
REASONS = 40
TOLD = 40                       # messages of a ticket in #show
OF_TICKETS = "ticket IN (SELECT unnest($1::BIGINT[]))"


def load(files: Files, cursor: Cursor, needs: Needs, now: datetime, next_: Counters) -> Context:
    """See Context for what it promises."""
    return _Load(files, cursor, needs, now).context(next_)


class _Load:
    def __init__(self, files: Files, cursor: Cursor, needs: Needs, now: datetime) -> None:
        self.files, self.cursor, self.needs, self.now = files, cursor, needs, now
        self.id_hashes = [*map(digest, needs.rfc_ids)]
        self.persons: dict[int, Person] = {}
        self.messages: dict[int, Message] = {}      # every row read so far

    def context(self, next_: Counters) -> Context:
        needs = self.needs
        mail_ids = self._mail_ids()
        self._persons_by_address(needs.addresses)
        person_ids = {p.address: p.id for p in self.persons.values()}
        sent_ids = self._sent_ids()
        outbox = self._outbox({*needs.outbox, *sent_ids.values()})
        listed = self._listed(outbox)
        opened = self._opened()
        found_by = {search: self._search(search) for search in needs.searches}
        tickets = self._tickets({
            *needs.tickets,
            *(row.ticket for rows in mail_ids.values() for row in rows),
            *(mail.ticket for mail in outbox.values()),
            *(ticket for found in opened.values() for ticket in found),
            *(ticket for numbers in found_by.values() for ticket in numbers), *self._of_transactions(),
            *(row.ticket for rows in listed.values() for row in rows),
        })
        history = self._more(tickets, mail_ids, listed)
        tickets |= self._tickets(_linked(e for events in history.values() for e in events))
        participants = self._participants(tickets)
        messages = self._messages(tickets)
        chosen, notes, vendors = self._chosen(tickets, messages)
        waiting = {m.message for m in outbox.values() if m.ticket is None and m.kind in ASKING}
        chosen |= self._messages_by_id(numbers(waiting))
        threads = self._threads(messages, participants)
        told = self._last_said(history, messages)
        chosen |= told
        own = self._own_ids({*chosen, *(i for ids in threads.values() for i in ids)})
        stored = self._stored(chosen, own)
        self._persons_by_address(a for i in waiting if i in stored for a in addresses_in(stored[i].text.whole_text))
        automatic, held_notice_at = self._automatic(tickets)
        self._persons_by_address(sender.address for i in told if i in stored if (sender := forwarded_by(stored[i])))
        self._persons_by_id({
            *needs.persons,
            *(p.person for found in participants.values() for p in found),
            *(row.sender for rows in mail_ids.values() for row in rows),
            *(mail.recipient for mail in outbox.values()),
            *(who for t in tickets.values() for who in (t.requester, t.assignee, t.last_agent)),
            *(mail.message.author for mail in stored.values()), *(v.person for found in vendors.values() for v in found),
            *(who for events in history.values() for e in events for who in (e.actor, _person_in(e))),
        })
        return Context(
            next_seq=next_.seq, next_ticket=next_.ticket, next_message=next_.message, next_outbox=next_.outbox,
            next_person=next_.person, tickets=tickets, subjects=self._subjects(tickets), persons=self.persons,
            person_ids=person_ids | {p.address: p.id for p in self.persons.values()}, participants=participants,
            addressees=self._addressees(tickets), mail_ids=mail_ids, outbox=outbox, copies=self._copies(mail_ids),
            sent_ids=sent_ids, delivery_keys=self._delivery_keys(), contents=self._contents(), automatic=automatic,
            opened=opened, stored=stored, notes=notes,
            threads=_named(threads, own), held_notice_at=held_notice_at, reasons=self._reasons(),
            acknowledged=self._acknowledged(messages), suppressions=self._suppressions(),
            bounces=self._bounces({mail.recipient for mail in outbox.values()}),
            opted_out=self._opted_out(), history=history, found=found_by, listed=listed, vendors=vendors,
            fields=by_ticket(history, TICKET_FIELD.fetch(self.cursor, OF_TICKETS, sorted(history)) if history else []),
            links=by_ticket(history, TICKET_LINK.fetch(self.cursor, OF_TICKETS, sorted(history)) if history else []),
            told=by_ticket(history, [stored[i] for i in sorted(told) if i in stored]),
        )

    # --- By what the mails name ---

    def _mail_ids(self) -> dict[str, tuple[MailId, ...]]:
        if not self.needs.rfc_ids:
            return {}
        found = MAIL_ID.fetch(self.cursor, "list_contains($1::UBIGINT[], h)", self.id_hashes)
        found.sort(key=lambda row: (row.message, row.role, row.ticket or 0))
        return grouped((row.rfc_id, row) for row in found if row.rfc_id in self.needs.rfc_ids)

    def _persons_by_address(self, addresses: Iterable[str]) -> None:
        wanted = set(addresses)
        if wanted:
            found = PERSON.fetch(self.cursor, "list_contains($1::UBIGINT[], h)", [*map(digest, wanted)])
            self.persons |= {p.id: p for p in found if p.address in wanted}

    def _persons_by_id(self, ids: Iterable[int | None]) -> None:
        missing = numbers(ids) - set(self.persons)
        if missing:
            found = PERSON.fetch(self.cursor, "id IN (SELECT unnest($1::BIGINT[]))", sorted(missing))
            self.persons |= {p.id: p for p in found}

    def _sent_ids(self) -> dict[str, int]:
        if not self.needs.rfc_ids:
            return {}
        found = SENT_ID.fetch(self.cursor, "list_contains($1::UBIGINT[], h)", self.id_hashes)
        return {row.rfc_id: row.outbox for row in found if row.rfc_id in self.needs.rfc_ids}

    def _outbox(self, wanted: Collection[int]) -> dict[int, SentMail]:
        rows = self._ask(
            "SELECT id, kind, rfc_id, ticket, message, recipient, created_at, month FROM outbox"
            " WHERE id IN (SELECT unnest($1::BIGINT[]))", wanted,
        )
        far = deliveries(self.cursor, sorted(wanted))
        text: dict[int, str] = {}
        for month, ids in grouped((row[7], row[0]) for row in rows).items():
            if month in self.files.mail_seq:
                text |= dict(self._ask(
                    f"SELECT id, text FROM {schema_of(month)}.outbox_text"  # noqa: S608
                    " WHERE id IN (SELECT unnest($1::BIGINT[]))", ids,
                ))
        return {
            row[0]: SentMail(
                id=row[0], kind=row[1], rfc_id=row[2], ticket=row[3], message=row[4], recipient=row[5],
                text=text.get(row[0], ""), created_at=row[6].replace(tzinfo=UTC), delivery=far.get(row[0]),
            )
            for row in rows
        }

    def _listed(self, outbox: Collection[int]) -> dict[int, tuple[Listed, ...]]:
        found = LISTED.fetch(self.cursor, "outbox IN (SELECT unnest($1::BIGINT[]))", sorted(outbox)) if outbox else []
        return grouped((row.outbox, row) for row in sorted(found, key=lambda row: row.number))

    def _suppressions(self) -> dict[int, Suppression]:
        if not self.persons:
            return {}
        found = SUPPRESSION.fetch(self.cursor, "person IN (SELECT unnest($1::BIGINT[]))", sorted(self.persons))
        return {s.person: s for s in found}

    def _bounces(self, recipients: Iterable[int]) -> dict[int, tuple[Bounce, ...]]:
        rows = self._ask(
            "SELECT actor, seq, recorded_at, after FROM event WHERE recorded_at >= $2 AND kind = 'bounced'"
            " AND after IS NOT NULL AND actor IN (SELECT unnest($1::BIGINT[])) ORDER BY seq",
            recipients, naive(self.now - SPAN),
        )
        return grouped((who, Bounce(seq=seq, at=at.replace(tzinfo=UTC), status=status)) for who, seq, at, status in rows)

    def _delivery_keys(self) -> dict[str, int | None]:
        keys = self.needs.delivery_keys
        rows = self._ask(
            'SELECT delivery_key, message FROM processed WHERE "at" >= $2'
            " AND h IN (SELECT unnest($1::UBIGINT[]))",
            map(digest, keys), naive(self.now - KEYS),
        )
        return {key: message for key, message in rows if key in keys}

    def _contents(self) -> dict[str, int]:
        """Without an index: a folder is read again once in a blue moon."""
        return dict(self._ask(
            "SELECT sha256, min(id) FROM message WHERE sha256 IN (SELECT unnest($1::VARCHAR[])) GROUP BY sha256",
            self.needs.contents,
        ))

    def _copies(self, mail_ids: dict[str, tuple[MailId, ...]]) -> dict[str, tuple[Message, ...]]:
        """Ruling 2 asks for the Message-ID, too, so the messages that own one of the ids are enough."""
        own = {row.message for rows in mail_ids.values() for row in rows if row.role == "self"}
        if not own or not self.needs.body_keys:
            return {}
        found = self._messages_by_id(own).values()
        return grouped((m.body_key, m) for m in found if m.body_key in self.needs.body_keys)

    def _opened(self) -> dict[str, tuple[int, ...]]:
        """What came by mail; an import records years within the hour, and is no flood."""
        rows = self._ask(
            "SELECT actor, ticket FROM event WHERE recorded_at >= $2 AND kind = 'created'"
            " AND actor IN (SELECT unnest($1::BIGINT[])) AND NOT starts_with(cause, $3) ORDER BY seq",
            self.persons, naive(self.now - OPENED), CAUSE,
        )
        return grouped((self.persons[actor].address, ticket) for actor, ticket in rows)

    def _reasons(self) -> dict[int, tuple[Reason, ...]]:
        rows = self._ask(
            "SELECT ticket, code, detail FROM decision WHERE ticket IN (SELECT unnest($1::BIGINT[]))"
            " ORDER BY spool_id DESC, ordinal", self.needs.reasons_of,
        )
        found = grouped((ticket, (code, detail)) for ticket, code, detail in rows)
        return {
            ticket: tuple(Reason(code=c, detail=d) for c, d in steps[:REASONS]) for ticket, steps in found.items()
        }

    def _opted_out(self) -> frozenset[int]:
        return frozenset(person for (person,) in self._ask(
            "SELECT person FROM opt_out WHERE person IN (SELECT unnest($1::BIGINT[]))", self.persons
        ))

    # --- What few commands ask: without an index, since they are few ---

    def _of_transactions(self) -> list[int]:
        return [n for (n,) in self._ask(
            "SELECT DISTINCT ticket FROM event WHERE cause IN (SELECT unnest($1::VARCHAR[]))", self.needs.undone
        )]

    def _search(self, search: Search) -> tuple[int, ...]:
        """Numbers of tickets, newest first. A word may be a part of one."""
        sql = (
            "SELECT t.id FROM ticket AS t LEFT JOIN ticket_text AS x ON x.ticket = t.id"
            " LEFT JOIN person AS p ON p.id = t.requester LEFT JOIN person AS a ON a.id = t.assignee"
            " WHERE list_bool_and([contains(lower(coalesce(x.subject, '') || ' ' || coalesce(p.address, '') || ' '"
            " || coalesce(p.name, '') || ' ' || t.tags), w) FOR w IN $1::VARCHAR[]]) IS DISTINCT FROM FALSE"
            " AND ($2 = '' AND t.status <> 'void' OR t.status = $2) AND ($3 = '' OR t.queue = $3)"
            " AND ($4 IS NULL OR coalesce(a.address, '') = $4) AND t.merged_into IS NULL ORDER BY t.id DESC LIMIT 50"
        )
        found = self.cursor.execute(sql, [list(search.words), search.status, search.queue, search.assignee]).fetchall()
        return tuple(n for (n,) in found)

    def _more(
        self, tickets: dict[int, Ticket], mail_ids: dict[str, tuple[MailId, ...]], listed: dict[int, tuple[Listed, ...]]
    ) -> dict[int, tuple[Event, ...]]:
        """All events of the tickets that commands ask about, of what they became and of what became part of them."""
        asked = {*self.needs.more_of, *self._of_transactions()}
        asked |= numbers(row.ticket for i in self.needs.more_ids for row in mail_ids.get(i, ()))
        asked |= {row.ticket for rows in listed.values() for row in rows}
        into = {n: t.merged_into for n, t in tickets.items()}
        while more := numbers(into.get(n) for n in asked) - asked:
            asked |= more
        asked |= {n for n, other in into.items() if other in asked}
        wanted = {n for n in asked if n in tickets}
        if not wanted:
            return {}
        found = EVENT.fetch(self.cursor, OF_TICKETS, sorted(wanted))
        found.sort(key=lambda e: e.seq)
        return dict.fromkeys(wanted, ()) | grouped((e.ticket, e) for e in found)

    def _last_said(self, history: Collection[int], messages: list[Message]) -> dict[int, Message]:
        """The last messages of the tickets that are asked about."""
        said = grouped((m.ticket, m) for m in messages if m.ticket in history)
        return {m.id: m for found in said.values() for m in found[-TOLD:]}

    # --- By ticket ---

    def _tickets(self, wanted: Iterable[int | None]) -> dict[int, Ticket]:
        """The tickets, those they were merged into, and those that were merged into them."""
        out: dict[int, Ticket] = {}
        asked: set[int] = set()
        missing = numbers(wanted)
        while missing:
            found = TICKET.fetch(self.cursor, "list_contains($1::BIGINT[], id)", sorted(missing))
            out |= {t.id: t for t in found}
            asked |= missing
            missing = numbers(t.merged_into for t in found) - asked
        # What was merged into them brought its notes along, and those must not leak either.
        fresh = list(out)
        while fresh:
            found = TICKET.fetch(
                self.cursor, "merged_into IS NOT NULL AND merged_into IN (SELECT unnest($1::BIGINT[]))", fresh
            )
            fresh = [t.id for t in found if t.id not in out]
            out |= {t.id: t for t in found}
        return dict(sorted(out.items()))

    def _subjects(self, tickets: Collection[int]) -> dict[int, str]:
        return dict(self._ask(
            "SELECT ticket, subject FROM ticket_text WHERE ticket IN (SELECT unnest($1::BIGINT[]))", tickets
        ))

    def _participants(self, tickets: Collection[int]) -> dict[int, tuple[Participant, ...]]:
        if not tickets:
            return {}
        found = PARTICIPANT.fetch(self.cursor, "list_contains($1::BIGINT[], ticket) AND role <> 'gone'", sorted(tickets))
        found.sort(key=lambda p: (p.since, p.person))
        return grouped((p.ticket, p) for p in found)

    def _addressees(self, tickets: Collection[int]) -> dict[int, frozenset[str]]:
        rows = self._ask(
            "SELECT ticket, person_address FROM addressee WHERE list_contains($1::BIGINT[], ticket)", tickets
        )
        return {ticket: frozenset(found) for ticket, found in grouped(rows).items()}

    def _messages(self, tickets: Collection[int]) -> list[Message]:
        if not tickets:
            return []
        found = MESSAGE.fetch(self.cursor, "list_contains($1::BIGINT[], ticket)", sorted(tickets))
        self.messages |= {m.id: m for m in found}
        return sorted(found, key=lambda m: m.id)

    def _messages_by_id(self, ids: Collection[int]) -> dict[int, Message]:
        missing = set(ids) - set(self.messages)
        if missing:
            found = MESSAGE.fetch(self.cursor, "id IN (SELECT unnest($1::BIGINT[]))", sorted(missing))
            self.messages |= {m.id: m for m in found}
        return {i: self.messages[i] for i in sorted(ids) if i in self.messages}

    def _threads(
        self, messages: list[Message], participants: dict[int, tuple[Participant, ...]]
    ) -> dict[int, tuple[int, ...]]:
        """The public messages of the customers' side, the first and the last few."""
        side = {(ticket, p.person) for ticket, found in participants.items() for p in found if p.role != "holder"}
        public = grouped(
            (m.ticket, m.id) for m in messages
            if m.is_public and m.mail_class == "human" and (m.ticket, m.author) in side
        )
        return {t: (*ids[:1], *ids[1:][-THREAD:]) for t, ids in public.items()}

    def _chosen(
        self, tickets: dict[int, Ticket], messages: list[Message]
    ) -> tuple[dict[int, Message], dict[int, tuple[int, ...]], dict[int, tuple[VendorMail, ...]]]:
        """The last public message, notes, vendors' and held messages of each ticket; and which of them are which."""
        quiet = {m.id for m in messages if not m.is_public and m.disposition == "apply"}
        inside = EVENT.fetch(
            self.cursor, "message IN (SELECT unnest($1::BIGINT[])) AND kind IN ('note', 'vendor_asked', 'vendor_answered')",
            sorted(quiet),
        ) if quiet else []
        inside.sort(key=lambda e: e.seq)
        notes = grouped((e.ticket, e.message) for e in inside if e.kind == "note")
        # A merge leaves a message with the ticket it came to, so the last public one may be elsewhere.
        wanted = {m.id for m in messages if m.hold is not None} | numbers(t.last_public for t in tickets.values())
        wanted |= numbers(e.message for e in inside)
        return self._messages_by_id(wanted), notes, grouped(vendor_mails(inside))

    def _stored(self, messages: dict[int, Message], own: dict[int, str]) -> dict[int, StoredMail]:
        """The messages with text and attachments."""
        if not messages:
            return {}
        texts: dict[int, MessageText] = {}
        for month, ids in grouped((m.month, m.id) for m in messages.values()).items():
            if month in self.files.mail_seq:
                sql = (
                    f"SELECT {MESSAGE_TEXT.select} FROM {schema_of(month)}.message_text"  # noqa: S608
                    " WHERE message IN (SELECT unnest($1::BIGINT[]))"
                )
                texts |= {row[0]: MESSAGE_TEXT.row(**MESSAGE_TEXT.zoned(row)) for row in self._ask(sql, ids)}
        found = ATTACHMENT.fetch(self.cursor, "message IN (SELECT unnest($1::BIGINT[]))", sorted(messages))
        attached = grouped((a.message, a) for a in sorted(found, key=lambda a: a.ordinal))
        return {
            i: StoredMail(message=m, rfc_id=own.get(i, ""), text=texts[i], attachments=attached.get(i, ()))
            for i, m in messages.items() if i in texts
        }

    def _own_ids(self, messages: Collection[int]) -> dict[int, str]:
        return dict(self._ask(
            "SELECT message, rfc_id FROM mail_id WHERE message IN (SELECT unnest($1::BIGINT[])) AND role = 'self'",
            messages,
        ))

    def _automatic(self, tickets: Collection[int]) -> tuple[tuple[AutoSent, ...], dict[str, datetime]]:
        domains = sorted({domain(a) for a in self.needs.addresses})
        if not domains and not tickets:
            return (), {}
        rows = self._ask(
            "SELECT rcpt_to, ticket, kind, created_at FROM outbox WHERE created_at >= $2"
            " AND list_contains($1::VARCHAR[], kind) AND (list_contains($3::VARCHAR[], split_part(rcpt_to, '@', -1))"
            " OR list_contains($4::BIGINT[], ticket)) ORDER BY id",
            AUTOMATIC, naive(self.now - BUDGET), domains, sorted(tickets),
        )
        sent = tuple(
            AutoSent(address=to, ticket=ticket, kind=kind, at=at.replace(tzinfo=UTC)) for to, ticket, kind, at in rows
        )
        return sent, {s.address: s.at for s in sent if s.kind == "unproven_notice" and s.address in self.needs.addresses}

    def _acknowledged(self, messages: list[Message]) -> frozenset[tuple[int, int]]:
        return frozenset(self._ask(
            "SELECT ticket, recipient FROM outbox WHERE message IN (SELECT unnest($1::BIGINT[])) AND kind = 'ack'"
            " AND ticket IS NOT NULL", {m.id for m in messages},
        ))

    def _ask(self, sql: str, keys: Iterable[Any], *more: object) -> list[tuple[Any, ...]]:
        """The rows of a query by a set of keys, $1; none without keys."""
        values = sorted(keys)
        return self.cursor.execute(sql, [values, *more]).fetchall() if values else []


def _named(threads: dict[int, tuple[int, ...]], own: dict[int, str]) -> dict[int, tuple[str, ...]]:
    """Message ids as Message-IDs; a ticket whose mails had none is left out."""
    named = {t: tuple(dict.fromkeys(own[i] for i in ids if i in own)) for t, ids in threads.items()}
    return {t: ids for t, ids in named.items() if ids}


def _linked(events: Iterable[Event]) -> set[int]:
    """The tickets that links name: to take one back is an event there, too."""
    return {int(e.after) for e in events if e.kind in ("linked", "unlinked") and e.after}


def _person_in(event: Event) -> int | None:
    """The person whose id an event holds as its value."""
    if event.kind in ("assignee", "requester", "participant_added", "participant_removed", "revived", "vendor_asked", "vendor_answered") and event.after:
        return int(event.after)
    return None
