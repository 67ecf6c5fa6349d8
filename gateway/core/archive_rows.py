"""The rows of imported mails and tickets: the same tables as live, the mails' own times, nothing to send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from gateway.core.act import Actor, set_status
from gateway.core.address import canonical, domain
from gateway.core.context import Context
from gateway.core.ledger import Ledger
from gateway.core.model import ActorKind, Classification, Mail, Status
from gateway.core.policy import Policy
from gateway.core.proof import rfc_ids
from gateway.core.quote import split_reply
from gateway.core.rows import (
    Addressee,
    Attachment,
    DecisionRow,
    MailFacts,
    MailId,
    Message,
    MessageText,
    Processed,
    Rows,
    Ticket,
)
from gateway.core.shadow import Side, Step, Turn
from gateway.core.sides import recipients
from gateway.core.subject import header_text, ticket_subject
from gateway.core.token import read_message_id
from gateway.core.understand import TEXT_READ

TAG: Final = "imported"
_IMPUTED: Final[dict[str, Status]] = {"solved": "solved", "closed": "closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A mail of an archive. ``at`` is its own time; ``sent``: it lay in a Sent folder; ``origin`` is for people."""

    spool_id: str
    mail: Mail
    at: datetime
    sent: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One mail as speech: a new one (``mail``) or one that is stored already, with its author's number."""

    at: datetime
    side: Side
    public: bool
    kind: Classification
    mail: Archived | None = None
    stored: Message | None = None
    actor: int | None = None
    actor_address: str = ""

    @property
    def turn(self) -> Turn:
        return Turn(at=self.at, side=self.side, public=self.public)

    @property
    def name(self) -> str:
        return self.mail.spool_id if self.mail is not None else self.stored.spool_id if self.stored is not None else ""


@dataclass(slots=True)
class _Written:
    """The tables that a ledger does not keep."""

    messages: list[Message] = field(default_factory=list)
    message_texts: list[MessageText] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    mail_ids: list[MailId] = field(default_factory=list)
    addressees: list[Addressee] = field(default_factory=list)
    mail_facts: list[MailFacts] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)
    processed: list[Processed] = field(default_factory=list)


class Scribe:
    """Writes down one conversation; ``cause`` stands in every event of it."""

    def __init__(self, context: Context, policy: Policy, cause: str, now: datetime) -> None:
        self.context, self.policy = context, policy
        self.ledger = Ledger(context, cause, now, now)
        self._rows = _Written()
        self._written_to: dict[int, set[str]] = {}      # ticket -> who stood on To and Cc of its people's mail

    def close(self) -> Rows:
        tables: dict[str, Any] = {name: tuple(getattr(self._rows, name)) for name in _Written.__slots__}
        return self.ledger.close(**tables)

    # --- Tickets ---

    def ticket(self, steps: Sequence[Step], said: Sequence[Said], *, queue: str | None, follows: int | None) -> int:
        """A ticket from its first step to its last; its number."""
        number = 0
        for step in steps:
            self.ledger.at = step.at
            if step.move == "begin" and step.turn is not None:
                number = self._begin(said[step.turn], queue, follows)
            elif step.move == "speak" and step.turn is not None:
                self.join(number, said[step.turn])
            elif step.move == "open" and step.turn is not None:
                one = said[step.turn]
                kind: ActorKind = "agent" if one.side == "agent" else "customer"
                set_status(self.ledger, number, "open", Actor(kind=kind, person=self._person(one)))
            else:
                set_status(self.ledger, number, _IMPUTED[step.move], Actor(kind="system", person=None))
        return number

    def join(self, ticket: int, one: Said) -> None:
        """The mail as one more event of a ticket; its status stays."""
        ledger = self.ledger
        ledger.at = one.at
        person = self._person(one)
        message = self._message(one, ticket, "")
        if one.side == "machine":
            ledger.event(
                ticket, "machine_mail", actor=person, actor_kind="system", message=message, is_auto=True,
                after=one.kind.mail_class,
            )
        elif one.side == "agent":
            ledger.event(
                ticket, "agent_reply" if one.public else "note", actor=person, actor_kind="agent", message=message,
                is_public=one.public,
            )
            self._take(ticket, one, person)
        else:
            self._customer(ticket, one, person, message)
        self._note_recipients(ticket, one, message, person)

    def redirect(self, old: int, new: int) -> None:
        """An imported ticket that was told anew."""
        self.ledger.at = self.ledger.now
        self.ledger.event(old, "merged_into", actor=None, actor_kind="system", after=str(new))
        self.ledger.event(new, "merged_from", actor=None, actor_kind="system", after=str(old))

    def log(self, one: Said) -> None:
        """A machine's mail that is on no ticket."""
        self._message(one, None, "kept without a ticket: no person wrote in this conversation")

    def _begin(self, one: Said, queue: str | None, follows: int | None) -> int:
        ledger, before = self.ledger, self._before(one)
        subject = one.mail.mail.subject if one.mail is not None else self.context.subjects.get(before.id if before else 0, "")
        number = ledger.new_ticket(ticket_subject(subject, self.policy.key))
        kinds: dict[Side, ActorKind] = {"agent": "agent", "customer": "customer", "machine": "system"}
        person = self._person(one)
        message = self._message(one, number, "")
        ledger.event(
            number, "created", actor=person, actor_kind=kinds[one.side], message=message,
            is_public=one.public, is_auto=one.side == "machine", after=before.queue if before else self._queue(one, queue),
        )
        requester = person
        if one.side == "agent" and (first := self._first_recipient(one, before)) is not None:
            requester = first
            ledger.event(number, "requester", actor=person, actor_kind="agent", after=str(first))
        if requester is not None:
            ledger.participant(number, requester, "requester")
        ledger.event(number, "tag_added", actor=None, actor_kind="system", after=TAG)
        if follows is not None:
            ledger.event(number, "linked", actor=None, actor_kind="system", after=str(follows))
        if before is not None:
            self._written_to[number] = set(self.context.addressees.get(before.id, ()))
        if one.side == "agent":
            self._take(number, one, person)
        self._note_recipients(number, one, message, person)
        return number

    def _customer(self, ticket: int, one: Said, person: int | None, message: int) -> None:
        """Who was written to on it is on it; another one only holds it, and is sent nothing."""
        ledger = self.ledger
        kind: ActorKind = "customer" if person == ledger.ticket(ticket).requester else "collaborator"
        ledger.event(ticket, "customer_reply", actor=person, actor_kind=kind, message=message, is_public=True)
        asked = ledger.address(person) in self._known(ticket) if person is not None else False
        if person is not None:
            ledger.join(ticket, person, "cc" if asked else "holder", actor=person, actor_kind=kind)

    def _take(self, ticket: int, one: Said, person: int | None) -> None:
        """The first public answer takes the ticket, if a configured agent gave it."""
        agent = self.policy.agent_of_address(self.ledger.address(person)) if person is not None else None
        if agent is not None and one.public and self.ledger.ticket(ticket).assignee is None:
            self.ledger.event(
                ticket, "assignee", actor=person, actor_kind="agent",
                after=str(self.ledger.person(agent.address, agent.name)),
            )

    # --- People ---

    def _person(self, one: Said) -> int | None:
        if one.mail is None:
            return one.actor
        sender = one.mail.mail.sender
        return self.ledger.person(canonical(sender.address), header_text(sender.name)) if sender is not None else None

    def _first_recipient(self, one: Said, before: Ticket | None) -> int | None:
        if one.mail is None:
            return before.requester if before is not None else None
        own = self.policy.own_addresses()
        outside = [a for a in recipients(one.mail.mail) if a not in own and self.policy.agent_of_address(a) is None]
        return self.ledger.person(outside[0]) if outside else None

    def _note_recipients(self, ticket: int, one: Said, message: int, person: int | None) -> None:
        """Decision 9: who stood on To or Cc of a participant's mail may answer it by plain references."""
        on_it = one.side == "agent" or any(
            f.person == person and f.role != "holder" for f in self.ledger.followers(ticket)
        )
        if one.mail is None or one.side == "machine" or not on_it:
            return
        own = self.policy.own_addresses()
        others = [a for a in recipients(one.mail.mail) if a not in own and self.policy.agent_of_address(a) is None]
        self._known(ticket).update(others)
        self._rows.addressees += [Addressee(message=message, ticket=ticket, person_address=a) for a in others]

    def _known(self, ticket: int) -> set[str]:
        return self._written_to.setdefault(ticket, set(self.context.addressees.get(ticket, ())))

    def _before(self, one: Said) -> Ticket | None:
        """The imported ticket that a stored mail stands on until now."""
        number = one.stored.ticket if one.stored is not None else None
        return self.context.tickets.get(number) if number is not None else None

    def _queue(self, one: Said, given: str | None) -> str:
        mail = one.mail.mail if one.mail is not None else None
        found = (self.policy.queue_of_address(a) for a in (recipients(mail) if mail is not None else ()))
        return next((q.name for q in found if q is not None), given or self.policy.queues[0].name)

    # --- Mails ---

    def _message(self, one: Said, ticket: int | None, why: str) -> int:
        """Its number. A new mail is written down, a stored one moves to ``ticket``."""
        if one.stored is not None:
            self._rows.messages.append(replace(one.stored, ticket=ticket))
            return one.stored.id
        assert one.mail is not None     # one of the two
        number, author = self.ledger.new_message(), self._person(one)
        self._store(one, one.mail, number, author, ticket, why)
        return number

    def _store(self, one: Said, found: Archived, number: int, author: int | None, ticket: int | None, why: str) -> None:
        mail, rows, now = found.mail, self._rows, self.ledger.now
        address = canonical(mail.sender.address) if mail.sender is not None else ""
        text = mail.text[:TEXT_READ]
        answers = bool(mail.in_reply_to or mail.references)
        rows.messages.append(Message(
            id=number, ticket=ticket, spool_id=found.spool_id, author=author, at=one.at, mail_class=one.kind.mail_class, level=0,
            disposition="apply" if ticket is not None else "log", is_public=one.public and one.side != "machine", hold=None,
            month=now.strftime("%Y-%m"), size=mail.size, sha256=mail.sha256, body_key=mail.body_key,
        ))
        rows.message_texts.append(MessageText(
            message=number, subject=mail.subject, from_name=header_text(mail.sender.name) if mail.sender is not None else "",
            from_address=address, new_text=split_reply(text).new if answers else text, whole_text=mail.text, html=mail.html,
        ))
        rows.attachments += [
            Attachment(message=number, **{name: getattr(part, name) for name in Attachment.__slots__[1:]}) for part in mail.parts
        ]
        rows.mail_ids += self._ids(mail, number, author, ticket)
        rows.mail_facts.append(MailFacts(
            spool_id=found.spool_id, message=number, received_at=one.at, sender=address, domain=domain(address),
            subject=mail.subject, queue=self._queue(one, None), mail_class=one.kind.mail_class, level=0,
            agent=one.side == "agent", signal="reference" if answers else "none", ticket=ticket, status=None, priority=None,
            attachments=len(mail.parts), size=mail.size, rules="",
        ))
        steps = [("imported", found.origin), ("class", f"{one.kind.mail_class}: {one.kind.why}"), ("side", why or one.side)]
        steps += [("opaque", mail.opaque)] if mail.opaque is not None else []
        rows.decisions += [
            DecisionRow(spool_id=found.spool_id, ordinal=n, ticket=ticket, code=code, detail=detail)
            for n, (code, detail) in enumerate(steps)
        ]
        rows.processed.append(Processed(
            spool_id=found.spool_id, delivery_key=found.spool_id, disposition="apply" if ticket is not None else "log",
            message=number, at=now,
        ))

    def _ids(self, mail: Mail, number: int, author: int | None, ticket: int | None) -> list[MailId]:
        """Foreign ids only: ours prove themselves by their signature."""
        own = [(mail.message_id, "self")] if mail.message_id else []
        others = [(i, "reference") for i in rfc_ids(mail) if i != mail.message_id]
        return [
            MailId(rfc_id=i, message=number, ticket=ticket, role="self" if role == "self" else "reference", sender=author)
            for i, role in (*own, *others) if read_message_id(self.policy.keys, i, self.policy.host) is None
        ]
