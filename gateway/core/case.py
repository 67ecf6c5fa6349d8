"""One mail on the decision table: what is known of it, what is being written, and the two ways
to end: ``store`` it with its consequences, or ``hold`` it untouched with a word to the agent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gateway.core import relay, suppress
from gateway.core.address import canonical
from gateway.core.authority import sees
from gateway.core.context import Context
from gateway.core.decision import Decision, Draft, PartRef
from gateway.core.identity import PROVES_SENDER
from gateway.core.ledger import Ledger
from gateway.core.model import Disposition, Facts, Spooled
from gateway.core.policy import Agent, Policy
from gateway.core.profile import is_ours
from gateway.core.proof import ADDRESSES_READ, rfc_ids
from gateway.core.relay import Author, Content, part_refs
from gateway.core.rows import (
    Addressee,
    Attachment,
    DecisionRow,
    Delivery,
    MailId,
    Message,
    MessageText,
    Processed,
    SentId,
    Ticket,
)
from gateway.core.subject import header_text
from gateway.core.token import read_message_id
from gateway.core.understand import delivery_key, facts_row

WAITING: Final = ("pending", "on_hold", "solved")   # a customer's mail opens these again
DEAD: Final = ("closed", "void")                    # mail on these begins a new ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    facts: Facts
    spooled: Spooled
    hits: tuple[str, ...]           # names of the rules whose predicate is true
    context: Context
    policy: Policy
    ledger: Ledger
    revived: int | None = None      # the writer, whose address was thought dead until this mail

    @property
    def ticket(self) -> int | None:
        """The matched ticket; what it became, if an earlier mail of the wave has merged it."""
        matched = self.facts.match.ticket
        living = self.context.living(matched) if matched is not None else None
        return living.id if living is not None else None

    @property
    def month(self) -> str:
        return self.spooled.envelope.received_at.strftime("%Y-%m")

    @property
    def agent(self) -> Agent | None:
        return self.policy.agent(self.facts.identity.agent) if self.facts.identity.agent else None

    @property
    def released(self) -> int | None:
        """The held message that an operator had decided once more, as proven; this is it."""
        return self.spooled.envelope.released

    def to_relay(self) -> list[str]:
        """Outside people whom an agent named at our submission door: if we do not write to them, nobody does."""
        envelope, policy = self.spooled.envelope, self.policy
        if envelope.channel != "submission":
            return []
        named = dict.fromkeys(map(canonical, envelope.rcpt_tos))
        return [a for a in named if policy.agent_of_address(a) is None and not is_ours(a, policy)]

    def named_agents(self) -> list[Agent]:
        """Colleagues named there; they have no other copy, either."""
        envelope = self.spooled.envelope
        named = map(canonical, envelope.rcpt_tos) if envelope.channel == "submission" else ()
        found = (self.policy.agent_of_address(a) for a in named)
        return list(dict.fromkeys(a for a in found if a is not None))

    def have(self) -> set[str]:
        """Addresses that this mail itself has gone to."""
        envelope = self.spooled.envelope
        ours_to_bring = set(map(canonical, envelope.rcpt_tos)) if envelope.channel == "submission" else set()
        return relay.on_to_or_cc(self.spooled.mail) - ours_to_bring

    def join_named(self, ticket: int) -> None:
        """Whom the agent named at the submission door takes part from now on."""
        for address in self.to_relay():
            person = self.ledger.person(address, self.name_of(address))
            self.ledger.join(ticket, person, "cc", actor=self.author(), actor_kind="agent")

    def name_of(self, address: str) -> str:
        """What the mail calls ``address``."""
        mail = self.spooled.mail
        found = (a.name for a in (*mail.to, *mail.cc)[:ADDRESSES_READ] if canonical(a.address) == address)
        return header_text(next(found, ""), 80)

    def author(self) -> int | None:
        """Person id of the writer; None when From names nobody."""
        identity = self.facts.identity
        return self.ledger.person(identity.address, identity.name) if identity.address else None

    def shown_author(self) -> Author:
        """Agents are shown by their configured names; customers by what they call themselves."""
        identity, agent = self.facts.identity, self.agent
        name = agent.name if agent is not None and identity.level >= 3 else header_text(identity.name, 80)
        return Author(person=self.author(), name=name, address=identity.address)

    def is_colleague(self, ticket: Ticket) -> bool:
        """The writer is proven to be of the requester's organisation, which shares its tickets."""
        proven = self.agent is None and self.facts.identity.level in PROVES_SENDER
        requester = self.ledger.address(ticket.requester or 0)
        return proven and self.policy.colleagues(self.facts.identity.address, requester)

    def unproven(self) -> str:
        """What agents are warned of: a name or a number that anybody may write, and nothing behind it."""
        if self.facts.identity.level in PROVES_SENDER:
            return ""
        if self.agent is not None:
            return "agent"
        return "subject" if self.facts.match.signal == "subject" else ""

    def content(self, message: int, text: str) -> Content:
        """The mail as it is relayed; one that could not be read goes along whole, as a file."""
        mail, spool_id = self.spooled.mail, self.spooled.spool_id
        parts = part_refs(mail.parts, spool_id, self.month)
        if mail.opaque is not None:
            parts = (PartRef(
                spool_id=spool_id, month=self.month, start=0, end=mail.size, encoding="binary", clean=False,
                name="original.eml", content_type="application/octet-stream", content_id=None, inline=False,
            ),)
        return Content(message=message, text=text, html=mail.html, parts=parts)

    def others(self) -> list[str]:
        """Outside people on To and Cc: not us, not our agents, not a reply address, not the writer."""
        mail, policy = self.spooled.mail, self.policy
        found = dict.fromkeys(canonical(a.address) for a in (*mail.to, *mail.cc)[:ADDRESSES_READ])
        return [
            a for a in found
            if a != self.facts.identity.address and policy.agent_of_address(a) is None and not is_ours(a, policy)
        ]


def case_of(
    facts: Facts, spooled: Spooled, hits: tuple[str, ...], context: Context, policy: Policy, now: datetime
) -> Case:
    ledger = Ledger(context, spooled.spool_id, spooled.envelope.received_at, now)
    if spooled.envelope.origin:
        ledger.why("origin", spooled.envelope.origin)
    ledger.why("class", f"{facts.mail_class}: {facts.class_why}")
    if spooled.checked is not None:
        ledger.why("authentication", spooled.checked.words)
    ledger.why("identity", f"level {facts.identity.level}: {facts.identity.why}")
    ledger.why("thread", f"{facts.match.signal}: {facts.match.why}")
    if spooled.mail.opaque is not None:
        ledger.why("opaque", spooled.mail.opaque)
    for name in hits:
        ledger.why("rule", name)
    return Case(
        facts=facts, spooled=spooled, hits=hits, context=context, policy=policy, ledger=ledger,
        revived=suppress.returned(facts, ledger),
    )


def is_agents(case: Case) -> bool:
    """An agent's own mail on a ticket, unless he is the customer there, or the queue is hidden from him."""
    if case.agent is None or case.ticket is None or not sees(case.agent, case.ledger.ticket(case.ticket).queue):
        return False
    person = case.context.person_ids.get(case.facts.identity.address)
    followers = case.context.participants.get(case.ticket, ())
    return all(f.person != person or f.role != "requester" for f in followers)


def store(
    case: Case,
    disposition: Disposition,
    *,
    ticket: int | None,
    message: int | None = None,
    is_public: bool = False,
    hold: str | None = None,
    text: str | None = None,
    drafts: Iterable[Draft] = (),
    changed: Iterable[Message] = (),
    deliveries: Iterable[Delivery] = (),
    beside: tuple[Message, MessageText] | None = None,
) -> Decision:
    """End the case: the mail is stored under ``message`` (allotted if None) with all that was decided.

    ``beside`` is a second message that stands in the same mail.
    """
    facts, mail, ledger = case.facts, case.spooled.mail, case.ledger
    number = ledger.new_message() if message is None else message
    author = case.author()
    mails = _sendable(case, drafts, number)
    _welcome(case, ticket)
    changed = (*changed, *_let_go(case))
    row = Message(
        id=number, ticket=ticket, spool_id=facts.spool_id, author=author, at=facts.received_at,
        mail_class=facts.mail_class, level=facts.identity.level, disposition=disposition, is_public=is_public,
        hold=hold, month=case.month, size=mail.size, sha256=mail.sha256, body_key=mail.body_key,
    )
    words = MessageText(
        message=number, subject=mail.subject, from_name=facts.identity.name, from_address=facts.identity.address,
        new_text=facts.new_text if text is None else text, whole_text=facts.whole_text, html=mail.html,
    )
    rows = ledger.close(
        messages=(row, *changed, *((beside[0],) if beside else ())),
        message_texts=(words, *((beside[1],) if beside else ())),
        attachments=tuple(_attachment(number, part) for part in mail.parts),
        mail_ids=_mail_ids(case, number, ticket, author),
        addressees=_addressees(case, number, ticket) if disposition == "apply" else (),
        deliveries=tuple(deliveries),
        **_paper(case, disposition, number, ticket),
    )
    reasons = tuple(ledger.reasons)
    return Decision(spool_id=facts.spool_id, disposition=disposition, rows=rows, drafts=mails, reasons=reasons)


def link(case: Case, message: int | None, ticket: int | None, *, sent_ids: tuple[SentId, ...] = ()) -> Decision:
    """End the case of a mail that is stored already, as a message or (None) as what we sent: it is recorded."""
    _welcome(case, ticket)
    rows = case.ledger.close(**_paper(case, "copy", message, ticket), sent_ids=sent_ids)
    return Decision(
        spool_id=case.facts.spool_id, disposition="copy", rows=rows, drafts=(), reasons=tuple(case.ledger.reasons)
    )


def _sendable(case: Case, drafts: Iterable[Draft], message: int) -> tuple[Draft, ...]:
    """The drafts without those to dead addresses; of an answer that stays its writer is told at once."""
    ledger, policy = case.ledger, case.policy
    mails, stayed = suppress.withhold(drafts, ledger, policy)
    rows = [row for d in stayed if d.kind in ("reply", "vendor") and (row := suppress.stopped(d.recipient, ledger, policy))]
    if rows and case.agent is not None:
        mails.append(relay.answer_agent(
            "undelivered", case.agent, case.facts, case.spooled.mail, message, ledger, policy, template="withheld",
            addresses=[
                {"address": ledger.address(r.person), "since": suppress.day(r.since), "status": r.status} for r in rows
            ],
        ))
    return tuple(mails)


def _welcome(case: Case, ticket: int | None) -> None:
    if case.revived is not None and ticket is not None:
        case.ledger.event(
            ticket, "revived", actor=case.revived, actor_kind="customer", is_auto=True, after=str(case.revived)
        )


def _let_go(case: Case) -> tuple[Message, ...]:
    """The held message that was decided anew: it waits no more, whatever became of it now."""
    known = next((m for copies in case.context.copies.values() for m in copies if m.id == case.released), None)
    if known is None or known.hold is None:
        return ()
    if known.ticket is not None:
        case.ledger.event(
            known.ticket, "released", actor=None, actor_kind="operator", message=known.id, before=known.hold
        )
    return (replace(known, hold=None, disposition="copy"),)


def afresh(case: Case) -> Case:
    """The same case with nothing written yet: for all-or-nothing."""
    return case_of(case.facts, case.spooled, case.hits, case.context, case.policy, case.ledger.now)


def _paper(case: Case, disposition: Disposition, message: int | None, ticket: int | None) -> dict[str, tuple[object, ...]]:
    """The exactly-once mark, the reasons, and the facts as rules saw them."""
    facts = facts_row(case.facts, case.spooled, case.context)
    return {
        "mail_facts": (replace(facts, message=message, ticket=ticket, rules=" ".join(case.hits)),),
        "decisions": tuple(
            DecisionRow(spool_id=case.facts.spool_id, ordinal=n, ticket=ticket, code=r.code, detail=r.detail)
            for n, r in enumerate(case.ledger.reasons)
        ),
        "processed": (
            Processed(
                spool_id=case.facts.spool_id, delivery_key=delivery_key(case.spooled.envelope, case.spooled.mail),
                disposition=disposition, message=message, at=case.ledger.now,
            ),
        ),
    }


def _attachment(message: int, part: object) -> Attachment:
    return Attachment(message=message, **{name: getattr(part, name) for name in Attachment.__slots__[1:]})


def _mail_ids(case: Case, message: int, ticket: int | None, author: int | None) -> tuple[MailId, ...]:
    """Foreign ids only: ours prove themselves by their signature."""
    mail, policy = case.spooled.mail, case.policy
    rows = []
    if mail.message_id:
        rows.append(MailId(rfc_id=mail.message_id, message=message, ticket=ticket, role="self", sender=author))
    for other in rfc_ids(mail):
        if other != mail.message_id and read_message_id(policy.keys, other, policy.host) is None:
            rows.append(MailId(rfc_id=other, message=message, ticket=ticket, role="reference", sender=author))
    return tuple(rows)


def _addressees(case: Case, message: int, ticket: int | None) -> tuple[Addressee, ...]:
    """Decision 9: who stood on To or Cc of a participant's mail may answer it by plain references."""
    if ticket is None:
        return ()
    followers = {f.person for f in case.ledger.followers(ticket)}
    if case.author() not in followers and case.agent is None:
        return ()
    return tuple(Addressee(message=message, ticket=ticket, person_address=a) for a in case.others())


