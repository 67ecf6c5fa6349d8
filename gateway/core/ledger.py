"""What one decision writes down: numbers events, folds tickets, allots ids.

A ledger lives for the length of one ``conclude`` call and never leaves it; outside, decisions
are plain rows. Ids are allotted here and travel in the journal frame, so a replay gives the
same ones (architecture decision 4).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.core import lifecycle
from gateway.core.context import Context
from gateway.core.model import ActorKind, EventKind, Reason, Role
from gateway.core.rows import Event, Participant, Person, Rows, Suppression, Ticket, TicketText
from gateway.core.rows_beside import OptOut, TicketField, TicketLink


class Ledger:
    """Rows in the making. ``cause`` is the spool id, timer or operator behind all of it."""

    def __init__(self, context: Context, cause: str, at: datetime, now: datetime) -> None:
        self.context, self.cause, self.at, self.now = context, cause, at, now
        self.reasons: list[Reason] = []
        self.rows = Rows()
        self._next_person = context.next_person
        self._next_ticket = context.next_ticket
        self._next_message = context.next_message
        self._events: list[Event] = []
        self._tickets: dict[int, Ticket] = {}
        self._persons: dict[str, Person] = {}
        self._participants: list[Participant] = []
        self._texts: list[TicketText] = []
        self._suppressions: dict[int, Suppression] = {}
        self._fields: list[TicketField] = []
        self._links: dict[tuple[int, int, str], TicketLink] = {}
        self._opt_outs: dict[int, OptOut] = {}

    def fork(self) -> Ledger:
        """A scratch copy: what is written there is not written here, unless ``adopt`` takes it over."""
        scratch = Ledger(self.context, self.cause, self.at, self.now)
        for name, value in vars(self).items():
            setattr(scratch, name, value.copy() if isinstance(value, (dict, list)) else value)
        return scratch

    def adopt(self, scratch: Ledger) -> None:
        """Become what ``scratch`` is, which was forked from this ledger and is not used any more."""
        self.__dict__.update(vars(scratch))

    @property
    def events(self) -> tuple[Event, ...]:
        """What was written so far."""
        return tuple(self._events)

    def why(self, code: str, detail: str = "") -> None:
        self.reasons.append(Reason(code=code, detail=detail))

    def person(self, address: str, name: str = "") -> int:
        """Id of the person with this canonical address; a new one is written down once."""
        known = self.context.person(address) or self._persons.get(address)
        if known is None:
            known = Person(id=self._next_person, address=address, name=name, created_at=self.now)
            self._next_person += 1
            self._persons[address] = known
        elif name and not known.name:
            known = replace(known, name=name)
            self._persons[address] = known
        return known.id

    def address(self, person: int) -> str:
        found = self.find(person)
        return found.address if found else ""

    def find(self, person: int | None) -> Person | None:
        mine = next((p for p in self._persons.values() if p.id == person), None)
        return mine or (self.context.persons.get(person) if person is not None else None)

    def new_ticket(self, subject: str) -> int:
        number = self._next_ticket
        self._next_ticket += 1
        self._texts.append(TicketText(ticket=number, subject=subject))
        return number

    def new_message(self) -> int:
        number = self._next_message
        self._next_message += 1
        return number

    def ticket(self, number: int) -> Ticket:
        return self._tickets.get(number) or self.context.tickets[number]

    def living(self, number: int) -> Ticket | None:
        """As ``Context.living``, with what this ledger has opened and merged."""
        found, seen = self._tickets.get(number) or self.context.tickets.get(number), set[int]()
        while found is not None and found.merged_into is not None and found.id not in seen:
            seen.add(found.id)
            found = self._tickets.get(found.merged_into) or self.context.tickets.get(found.merged_into)
        return found

    def event(
        self,
        ticket: int,
        kind: EventKind,
        *,
        actor: int | None,
        actor_kind: ActorKind,
        message: int | None = None,
        is_public: bool = False,
        is_auto: bool = False,
        before: str | None = None,
        after: str | None = None,
        cause: str | None = None,
    ) -> None:
        """Write one event and fold it into its ticket. Raises ValueError if it is not allowed."""
        event = Event(
            seq=self.next_seq, ticket=ticket, at=self.at, recorded_at=self.now,
            kind=kind, actor_kind=actor_kind, actor=actor, cause=cause or self.cause, message=message,
            is_public=is_public, is_auto=is_auto, before=before, after=after,
        )
        known = self._tickets.get(ticket) or self.context.tickets.get(ticket)
        self._tickets[ticket] = lifecycle.apply(known, event)
        self._events.append(event)

    def participant(self, ticket: int, person: int, role: Role) -> bool:
        """Add a follower unless there; True if added."""
        if any(p.person == person for p in self.followers(ticket)):
            return False
        self._participants.append(Participant(ticket=ticket, person=person, role=role, since=self.now))
        return True

    def join(
        self, ticket: int, person: int, role: Role, *, actor: int | None, actor_kind: ActorKind, cause: str | None = None
    ) -> None:
        """``participant``, and the event that says so; nothing if the person is there already."""
        if self.participant(ticket, person, role):
            self.event(
                ticket, "participant_added", actor=actor, actor_kind=actor_kind, after=str(person), cause=cause
            )

    def followers(self, ticket: int) -> tuple[Participant, ...]:
        """Who is on the ticket, each once, as what he is now; not who was taken off."""
        rows = {p.person: p for p in (*self.context.participants.get(ticket, ()), *self._participants) if p.ticket == ticket}
        return tuple(p for p in rows.values() if p.role != "gone")

    def role(self, ticket: int, person: int, role: Role) -> Role | None:
        """Give somebody a role on a ticket, 'gone' for none; returns the one he had. Writes no event."""
        had = next((p for p in self.followers(ticket) if p.person == person), None)
        since = had.since if had is not None else self.now     # what somebody has read by then he may see quoted
        self._participants.append(Participant(ticket=ticket, person=person, role=role, since=since))
        return had.role if had is not None else None

    def fields(self, ticket: int) -> dict[str, TicketField]:
        """The values of own fields, cleared ones too, by name. Only of tickets in ``Needs.more_of``."""
        return {row.field: row for row in self.all_fields(ticket)}

    def all_fields(self, ticket: int) -> list[TicketField]:
        """All values that were ever set, in their order."""
        rows = (*self.context.fields.get(ticket, ()), *(f for f in self._fields if f.ticket == ticket))
        return sorted(rows, key=lambda row: row.event)

    def field(self, row: TicketField) -> None:
        self._fields.append(row)

    @property
    def next_seq(self) -> int:
        """The number of the next event."""
        return self.context.next_seq + len(self._events)

    def links(self, ticket: int) -> tuple[TicketLink, ...]:
        """The standing links of a ticket. Only of tickets in ``Needs.more_of``."""
        rows = {(r.ticket, r.other, r.relation): r for r in self.context.links.get(ticket, ())}
        rows |= {key: row for key, row in self._links.items() if key[0] == ticket}
        return tuple(row for row in rows.values() if row.until is None)

    def link(self, row: TicketLink) -> None:
        self._links[row.ticket, row.other, row.relation] = row

    def opted_out(self, person: int | None) -> bool:
        """Whether this person wants no automatic mail."""
        return person in self.context.opted_out or person in self._opt_outs

    def opt_out(self, person: int) -> None:
        self._opt_outs[person] = OptOut(person=person, since=self.now, cause=self.cause)

    def suppression(self, person: int) -> Suppression | None:
        """The row of a person, revived or not; core/suppress.py tells what it means."""
        return self._suppressions.get(person) or self.context.suppressions.get(person)

    def suppress(self, row: Suppression) -> None:
        self._suppressions[row.person] = row

    def new_texts(self) -> tuple[TicketText, ...]:
        return tuple(self._texts)

    def close(self, **more: object) -> Rows:
        """All rows, with ``more`` for the tables the ledger does not keep."""
        return Rows(
            persons=tuple(self._persons.values()),
            tickets=tuple(self._tickets.values()),
            ticket_texts=tuple(self._texts),
            participants=tuple(self._participants),
            events=tuple(self._events),
            suppressions=tuple(self._suppressions.values()),
            ticket_fields=tuple(self._fields),
            ticket_links=tuple(self._links.values()),
            opt_outs=tuple(self._opt_outs.values()),
            **more,  # type: ignore[arg-type]
        )
