"""Made-up rows: one desk's life, frame by frame, from a seed; nothing in it comes from real mail."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta

from gateway.core.directory_rows import DirectoryEvent, DirectoryName
from gateway.core.lifecycle import apply
from gateway.core.rows import (
    Addressee,
    Attachment,
    DecisionRow,
    Delivery,
    Event,
    MailFacts,
    MailId,
    Message,
    MessageText,
    OutboxRow,
    Participant,
    Person,
    Processed,
    Rows,
    SentId,
    Suppression,
    Ticket,
    TicketText,
)
from gateway.core.rows_beside import DigestRun, Listed, OptOut, TicketField, TicketLink

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
START = datetime(2026, 10, 30, 8, 0, tzinfo=UTC)
WORDS = ["printer", "invoice", "Grüße", "猫", "password", "\x00", "a'b\"c;", "--", "line\nbreak", "📨", "refund"]


def spool_id(at: datetime, number: int) -> str:
    """A ULID with the time of ``at``."""
    value = int(at.timestamp() * 1000) << 80 | number
    return "".join(DIGITS[value >> shift & 31] for shift in range(125, -1, -5))


@dataclass(slots=True)
class Story:
    """Frames of a small desk: new tickets, answers, releases, deliveries. ``step`` is the time between mails."""

    seed: int
    mails: int = 6
    step: timedelta = timedelta(hours=5)
    random: random.Random = field(init=False)
    persons: list[Person] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    seq: int = 0
    now: datetime = START

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def frames(self, count: int) -> Iterator[tuple[Rows, dict[str, bytes]]]:
        for _ in range(count):
            parts = [self.mail() for _ in range(self.mails)]
            rows = Rows(**{
                name: tuple(row for part, _ in parts for row in getattr(part, name)) for name in [f.name for f in fields(Rows)]
            })
            yield rows, {key: raw for _, raws in parts for key, raw in raws.items()}

    def mail(self) -> tuple[Rows, dict[str, bytes]]:
        """One mail: it opens a ticket or joins one; now and then it frees a held one."""
        self.now += self.step
        new = not self.tickets or self.random.random() < 0.5
        persons: tuple[Person, ...] = (self._person(),) if new else ()
        author = persons[0] if new else self.random.choice(self.persons)
        note = not new and self.random.random() < 0.3
        held = not new and not note and self.random.random() < 0.3
        number = len(self.tickets) + 1 if new else self.random.choice(self.tickets).id
        raw = f"Subject: {self.random.choice(WORDS)}\r\n\r\n".encode() + self.random.randbytes(40)
        message = Message(
            id=len(self.messages) + 1, ticket=number, spool_id=spool_id(self.now, len(self.messages)),
            author=author.id, at=self.now, mail_class="human", level=1, disposition="held" if held else "apply",
            is_public=not note and not held, hold="commands" if held else None, month=self.now.strftime("%Y-%m"),
            size=len(raw), sha256=hashlib.sha256(raw).hexdigest(), body_key=f"body{len(self.messages)}",
        )
        freed: list[Message] = []
        if self.messages and self.messages[-1].hold:
            freed = [replace(self.messages.pop(), hold=None, disposition="apply", is_public=True)]
        self.messages += [*freed, message]
        event = self._event(number, message, new=new, note=note, held=held)
        ticket = apply(None if new else self.tickets[number - 1], event)
        self.tickets[number - 1 :] = [ticket, *self.tickets[number:]]
        outbox = self._outbox(ticket, author, message)
        return Rows(
            persons=persons,
            tickets=(replace(ticket, status="void"), ticket),   # two waves of a batch: the last one counts
            ticket_texts=(TicketText(ticket=ticket.id, subject=self._words()),) if new else (),
            participants=(Participant(ticket=ticket.id, person=author.id, role="requester", since=self.now),) if new else (),
            messages=(*freed, message),
            message_texts=(MessageText(
                message=message.id, subject=self._words(), from_name=author.name, from_address=author.address,
                new_text=self._words(), whole_text=self._words(), html="",
            ),),
            attachments=(Attachment(
                message=message.id, ordinal=0, name="a.pdf", content_type="application/pdf", size=9, sha256="1" * 64,
                start=10, end=22, encoding="base64", clean=True, content_id=None, inline=False,
            ),) if self.random.random() < 0.3 else (),
            mail_ids=(
                MailId(rfc_id=f"{message.id}@kunde.example", message=message.id, ticket=ticket.id, role="self", sender=author.id),
                MailId(rfc_id=f"{max(1, message.id - 3)}@kunde.example", message=message.id, ticket=ticket.id, role="reference", sender=author.id),
            ),
            addressees=(Addressee(message=message.id, ticket=ticket.id, person_address="cc@kunde.example"),),
            mail_facts=(MailFacts(
                spool_id=message.spool_id, message=message.id, received_at=self.now, sender=author.address,
                domain="kunde.example", subject="s", queue="support", mail_class="human", level=1, agent=False,
                signal="none", ticket=ticket.id, status=None, priority=None, attachments=0, size=50, rules="",
            ),),
            decisions=tuple(
                DecisionRow(spool_id=message.spool_id, ordinal=n, ticket=ticket.id, code=f"code{n}", detail=self._words())
                for n in range(3)
            ),
            events=(event,),
            outbox=(outbox,),
            deliveries=(*self._delivered(), self.deliveries[-1]),
            ticket_fields=(TicketField(event=event.seq, ticket=ticket.id, field="site", value=f"value {event.seq}"),),
            ticket_links=(TicketLink(
                ticket=ticket.id, other=1, relation="relates", since=self.now, until=self.now if message.id % 2 else None
            ),),
            opt_outs=(OptOut(person=author.id, since=self.now, cause=message.spool_id),) if message.id % 3 == 0 else (),
            listed=(Listed(outbox=1_000_000 + outbox.id, number=message.id % 5 - 2, ticket=ticket.id, version=ticket.version),),
            digest_runs=(DigestRun(person=author.id, at=self.now),) if message.id % 3 == 0 else (),
            sent_ids=(SentId(rfc_id=f"{outbox.id}@provider.example", outbox=outbox.id),),
            suppressions=(Suppression(
                person=author.id, since=self.now, status="5.1.1", cause=message.spool_id,
                revived_at=self.now if message.id % 2 else None, revived_by="operator:0" if message.id % 2 else None,
            ),) if message.id % 3 == 0 else (),
            directory_names=(
                DirectoryName(entry=1 + message.id % 2, kind="agent", name=f"agent{message.id % 2}", label=author.name),
            ) if message.id % 3 == 0 else (),
            directory_events=(
                DirectoryEvent(
                    seq=message.id, at=self.now, recorded_at=self.now, kind="agent_added", actor_kind="operator", actor=None,
                    cause="operator:0", entry=1 + message.id % 2, person=None, other=None, queue=None, value="lead",
                ),
            ) if message.id % 3 == 0 else (),
            processed=(Processed(
                spool_id=message.spool_id, delivery_key=f"key{message.id}", disposition=message.disposition,
                message=message.id, at=self.now,
            ),),
        ), {message.spool_id: raw}

    def _words(self) -> str:
        return " ".join(self.random.choices(WORDS, k=4))

    def _person(self) -> Person:
        number = len(self.persons) + 1
        self.persons.append(Person(id=number, address=f"p{number}@kunde.example", name=self._words(), created_at=self.now))
        return self.persons[-1]

    def _event(self, ticket: int, message: Message, *, new: bool, note: bool, held: bool) -> Event:
        """Of which the ticket is the fold: it is created, opened by the next word, then answered."""
        self.seq += 1
        opens = not new and not note and not held and self.tickets[ticket - 1].status == "new"
        return Event(
            seq=self.seq, ticket=ticket, at=self.now, recorded_at=self.now,
            kind="created" if new else "note" if note else "held" if held else "status" if opens else "customer_reply",
            actor_kind="customer", actor=message.author, cause=message.spool_id, message=message.id,
            is_public=message.is_public, is_auto=False, before="new" if opens else None,
            after="support" if new else "open" if opens else None,
        )

    def _outbox(self, ticket: Ticket, to: Person, message: Message) -> OutboxRow:
        number = len(self.deliveries) + 1
        self.deliveries.append(
            Delivery(outbox=number, state="queued", attempts=0, next_at=self.now, changed_at=self.now, reply="")
        )
        return OutboxRow(
            id=number, kind="ack" if ticket.version == 1 else "reply", ticket=ticket.id, message=message.id,
            recipient=to.id, rfc_id=f"out{number}@desk.example", mail_from="", rcpt_to=to.address,
            headers='[["Subject","x"]]', text=self._words(), html="<p>x</p>", parts="[]", boundary="b",
            sha256="2" * 64, size=100, created_at=self.now,
        )

    def _delivered(self) -> tuple[Delivery, ...]:
        """An earlier mail of ours has gone out: the store must replace its row."""
        waiting = [d for d in self.deliveries[:-1] if d.state == "queued"]
        if not waiting:
            return ()
        sent = replace(waiting[0], state="sent", attempts=1, changed_at=self.now, reply="250 ok")
        self.deliveries[sent.outbox - 1] = sent
        return (sent,)
