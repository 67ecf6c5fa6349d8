"""What becomes of one conversation of an archive: tickets with their true times, and nothing sent.

The table of cases, in order:
    a mail that is known, or our own          stays as it is; it may have come live, or from another archive
    it goes on a ticket with live history     its mails join by their ids; no status moves, nobody is told
    it goes on imported tickets only          these are told anew with what was found now, and redirect there
    machines only, none of them generated     kept without a ticket, as live
    else                                      a ticket, or several (core/shadow.py)

Archives may come in any order. Events only grow (decision 5), so an answer found later cannot be put
between old ones: the imported ticket is void from then on and goes on in a new one, as after a merge.

Ids prove enough here (decision 9): who imports vouches for his archive. But who was never written to in
a conversation only holds it: he is sent nothing when it goes on live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from gateway.core.address import canonical
from gateway.core.archive_rows import Archived, Said, Scribe
from gateway.core.classify import classify
from gateway.core.context import Context
from gateway.core.model import Classification, Envelope
from gateway.core.policy import Policy
from gateway.core.proof import is_own, rfc_ids
from gateway.core.rows import Event, Message, Processed, Rows
from gateway.core.shadow import Side, lives
from gateway.core.sides import Agents, is_person, opener_is_customer, outsiders, recipients

CAUSE: Final = "import:"
_SPOKEN: Final = ("created", "customer_reply", "agent_reply", "note", "machine_mail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run of ``import``. ``impute``: statuses are told by core/shadow.py (``--shadow``)."""

    name: str
    agents: Agents
    impute: bool = True
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is stored of one ticket: all its events, in order, and its messages."""

    events: tuple[Event, ...]
    messages: tuple[Message, ...] = ()

    @property
    def imported(self) -> bool:
        return all(e.cause.startswith(CAUSE) for e in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """``stored`` are the spool ids whose raw mails must be kept; the others were known (or ours)."""

    rows: Rows
    stored: tuple[str, ...] = ()
    known: int = 0
    tickets: int = 0


def touched(mails: Iterable[Archived], context: Context) -> list[int]:
    """Tickets that stored mail ties to these, redirects followed; void ones are left alone."""
    ids = (i for m in mails for i in (m.mail.message_id, *rfc_ids(m.mail)) if i)
    found = (context.living(row.ticket) for i in ids for row in context.mail_ids.get(i, ()) if row.ticket is not None)
    return list(dict.fromkeys(t.id for t in found if t is not None and t.status != "void"))


def record(
    conversation: Sequence[Archived], context: Context, past: Mapping[int, Past], *, policy: Policy, plan: Plan, now: datetime
) -> Recorded:
    """The rows of one conversation. ``past`` has every ticket of ``touched``. Pure, as ever."""
    fresh = _unknown(conversation, context, policy)
    scribe = Scribe(context, policy, f"{CAUSE}{plan.name}", now)
    new = {m.spool_id for m in fresh}
    copies = tuple(_copy(m.spool_id, now) for m in {m.spool_id: m for m in conversation}.values() if m.spool_id not in new)
    tickets = 0
    if fresh:
        tickets = _write(fresh, scribe, context, past, policy, plan)
    return Recorded(
        rows=replace(rows := scribe.close(), processed=rows.processed + copies), stored=tuple(m.spool_id for m in fresh),
        known=len(conversation) - len(fresh), tickets=tickets,
    )


def _write(
    fresh: Sequence[Archived], scribe: Scribe, context: Context, past: Mapping[int, Past], policy: Policy, plan: Plan
) -> int:
    """How many tickets were begun."""
    found = [n for n in touched(fresh, context) if n in past]
    alive = [n for n in found if not past[n].imported]
    older = [] if alive else [said for n in found for said in _told(past[n], context)]
    said = _in_order(older + _sides(fresh, older, policy, plan), context)
    if alive:
        for one in said:
            scribe.join(max(alive), one)
        return 0
    if not any(s.side != "machine" or s.kind.mail_class == "generated" or s.stored for s in said):
        for one in said:
            scribe.log(one)
        return 0
    now_on: dict[int, int] = {}     # stored message -> the ticket that tells it from now on
    last: int | None = None
    told = lives([s.turn for s in said], scribe.ledger.now, impute=plan.impute)
    for steps in told:
        last = scribe.ticket(steps, said, queue=plan.queue, follows=last)
        stored = (said[s.turn].stored for s in steps if s.turn is not None)
        now_on |= {message.id: last for message in stored if message is not None}
    for number in found:
        scribe.redirect(number, now_on[past[number].messages[0].id])
    return len(told)


# --- Which mails ----------------------------------------------------------------------------


def _unknown(conversation: Sequence[Archived], context: Context, policy: Policy) -> list[Archived]:
    """The mails that are stored by no way yet, each once: by Message-ID and body, without one by their bytes."""
    seen: set[tuple[str, str]] = set()
    out = []
    for one in conversation:
        mail = one.mail
        key = (mail.message_id, mail.body_key) if mail.message_id else ("", mail.sha256)
        if key in seen or _stored(one, context) or is_own(mail, policy):
            continue
        seen.add(key)
        out.append(one)
    return out


def _stored(one: Archived, context: Context) -> bool:
    mail = one.mail
    if not mail.message_id:
        return mail.sha256 in context.contents
    same = {row.message for row in context.mail_ids.get(mail.message_id, ()) if row.role == "self"}
    return any(m.id in same for m in context.copies.get(mail.body_key, ()))


def _copy(spool_id: str, now: datetime) -> Processed:
    """The mark that makes a second run quick. Without a message: no raw mail hangs on it."""
    return Processed(spool_id=spool_id, delivery_key=spool_id, disposition="copy", message=None, at=now)


# --- Who speaks -----------------------------------------------------------------------------


def _sides(fresh: Sequence[Archived], older: Sequence[Said], policy: Policy, plan: Plan) -> list[Said]:
    """The new mails as speech. The customers of a conversation are its opener and who wrote as one before."""
    customers = {s.actor_address for s in older if s.side == "customer"}
    first = min(fresh, key=lambda m: (m.at, m.spool_id))
    if not older and opener_is_customer(first.mail, _from(first), sent=first.sent, agents=plan.agents, policy=policy):
        customers.add(_from(first))
    out = []
    for one in fresh:
        kind, address = _kind(one), _from(one)
        side: Side = "customer"
        if not is_person(one.mail, kind.mail_class):
            side = "machine"
        elif one.sent or (plan.agents.has(address) and address not in customers):
            side = "agent"
        to = recipients(one.mail)
        public = side != "agent" or not to or bool(outsiders(one.mail, plan.agents, policy) or customers & set(to))
        out.append(Said(at=one.at, side=side, public=public, kind=kind, mail=one, actor_address=address))
    return out


def _kind(one: Archived) -> Classification:
    """By the mail alone. Our own address in From is the desk that answered, not a loop."""
    envelope = Envelope(channel="import", received_at=one.at, mail_from="", rcpt_tos=())
    return classify(one.mail, envelope, own_addresses=frozenset(), own=False, bounce_address=False)


def _from(one: Archived) -> str:
    return canonical(one.mail.sender.address) if one.mail.sender is not None else ""


def _told(past: Past, context: Context) -> list[Said]:
    """The speech of an imported ticket, as its events have it."""
    people = {number: person.address for number, person in context.persons.items()}
    messages = {m.id: m for m in past.messages}
    sides: dict[str, Side] = {"agent": "agent", "customer": "customer", "collaborator": "customer"}
    return [
        Said(
            at=e.at, side="machine" if e.is_auto else sides[e.actor_kind], public=e.is_public, stored=messages[e.message],
            kind=Classification(mail_class=messages[e.message].mail_class, why=""), actor=e.actor,
            actor_address=people.get(e.actor or 0, ""),
        )
        for e in past.events if e.kind in _SPOKEN and e.message in messages
    ]


# --- In which order -------------------------------------------------------------------------


def _in_order(said: Sequence[Said], context: Context) -> list[Said]:
    """By time; but no answer before what it answers, whatever the clocks of their writers said."""
    place: dict[str, int] = {}
    for number, one in enumerate(said):
        if one.mail is not None and one.mail.mail.message_id:
            place.setdefault(one.mail.mail.message_id, number)
    message = {one.stored.id: number for number, one in enumerate(said) if one.stored is not None}
    for rfc_id in (i for one in said if one.mail is not None for i in rfc_ids(one.mail.mail)):
        rows = context.mail_ids.get(rfc_id, ())
        here = next((message[row.message] for row in rows if row.role == "self" and row.message in message), None)
        if here is not None:
            place.setdefault(rfc_id, here)
    known: dict[int, tuple[datetime, int]] = {}     # time and number of mails above
    for number in range(len(said)):
        chain: dict[int, Literal[True]] = {}
        above: int | None = number
        while above is not None and above not in known and above not in chain:
            chain[above] = True
            above = _answered(said[above], place)
        at, depth = known.get(above, (None, 0)) if above is not None else (None, 0)
        for one_up in reversed(chain):
            own = said[one_up].at
            at, depth = max(own, at) if at is not None else own, depth + 1
            known[one_up] = at, depth
    order = sorted(range(len(said)), key=lambda n: (*known[n], said[n].name))
    return [replace(said[n], at=known[n][0]) for n in order]


def _answered(one: Said, place: Mapping[str, int]) -> int | None:
    """The nearest mail above that is here."""
    if one.mail is None:
        return None
    own = one.mail.mail.message_id
    return next((place[i] for i in rfc_ids(one.mail.mail) if i in place and i != own), None)
