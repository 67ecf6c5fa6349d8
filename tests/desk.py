"""A desk in memory: raw mail in, decisions and outgoing mail out, every room but the disks.

It keeps all rows in plain lists and gives each batch only the slice of them that ``Context`` and
``Needs`` promise, so a decision that reads more than ``needs`` asked for fails here as it would
with the store. After each batch it checks what must hold for every batch (``Desk.receive``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from gateway.core import lifecycle
from gateway.core.act_people import forwarded_by
from gateway.core.address import domain
from gateway.core.admin import parse_admin
from gateway.core.admin_act import addresses_of, holders
from gateway.core.clerk import Author
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
    absorb,
    vendor_mails,
)
from gateway.core.control_lines import addresses_in
from gateway.core.decision import Decision
from gateway.core.directory import Directory, effective, fold
from gateway.core.model import Envelope, Mail, OutboxState, Reason, Spooled
from gateway.core.policy import Agent, Policy, Queue, Relay, Rule
from gateway.core.rows import Event, Message, OutboxRow, Rows, Ticket
from gateway.core.token import Keyring
from gateway.core.understand import further, needs
from gateway.edge.rules import RuleBook
from gateway.mime.assemble import assemble
from gateway.mime.compose import Composer
from gateway.mime.parse import parse
from gateway.pipeline import Rooms, decide, decide_admin, decide_unsent, decide_woken, joined

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SUPPORT, BILLING = "support@acme.example", "billing@acme.example"
ANNA, BERT, CARO = "anna@acme.example", "bert@acme.example", "caro@acme.example"
ANN, DAN, EVE = "ann@cust.example", "dan@cust.example", "eve@evil.example"
REPLY_DOMAIN = "reply.acme.example"
OPERATOR = Author(kind="operator", person=None, cause="operator:1000")
TEMPLATES = Path(__file__).resolve().parents[1] / "gateway" / "templates"

POLICY = Policy(
    host="desk.acme.example", key="ABC", reply_domain=REPLY_DOMAIN,
    keys=Keyring(current="a", secrets=(("a", b"thirty-two octets of test secret"),)),
    queues=(
        Queue(name="support", addresses=(SUPPORT,), from_name="Acme Support", agents=("anna", "bert")),
        Queue(name="billing", addresses=(BILLING,), from_name="Acme Billing", agents=("caro",)),
    ),
    agents=(
        Agent(login="anna", name="Anna Ek", addresses=(ANNA, "anna.ek@acme.example")),
        Agent(login="bert", name="Bert Oh", addresses=(BERT,)),
        Agent(login="caro", name="Caro Pi", addresses=(CARO,)),
    ),
    # The second one is a partner whose users' From is vouched for, customers all of them.
    relays=(
        Relay(name="mta", networks=("127.0.0.1/32",), authenticates=("acme.example",)),
        Relay(name="partner", networks=("10.0.0.0/8",), authenticates=("cust.example",)),
    ),
    rules=(
        Rule(name="invoice", when="subject ilike '%invoice%'", then=("#priority high", "#tag +billing")),
        Rule(name="ghost", when="subject ilike '%ghost%'", then=("#assign nobody-here", "#tag +seen"), stop=True),
        Rule(name="late", when="subject ilike '%ghost%'", then=("#tag +late",)),
        Rule(name="alerts", when="mail_class = 'bulk' and subject ilike '%alert%'", then=("#tag +alert",)),
    ),
)


@dataclass(frozen=True)
class Sent:
    """A mail of ours as its reader gets it: assembled, then parsed again."""

    row: OutboxRow
    raw: bytes

    @cached_property
    def mail(self) -> Mail:
        return parse(self.raw)

    @property
    def text(self) -> str:
        return self.mail.text

    @property
    def reply_to(self) -> str:
        sender = self.mail.reply_to[0] if self.mail.reply_to else self.mail.sender
        assert sender is not None
        return sender.address


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one batch did."""

    rows: Rows
    decisions: tuple[Decision, ...]
    sent: tuple[Sent, ...]

    def to(self, address: str) -> list[Sent]:
        return [s for s in self.sent if s.row.rcpt_to == address]

    def kinds(self) -> list[tuple[str, str]]:
        """(kind, recipient) of everything sent, sorted."""
        return sorted((s.row.kind, s.row.rcpt_to) for s in self.sent)

    @property
    def decision(self) -> Decision:
        (one,) = self.decisions
        return one

    @property
    def codes(self) -> dict[str, str]:
        return {r.code: r.detail for r in self.decision.reasons}

    @property
    def held(self) -> str | None:
        """Why the one mail was held."""
        message = [m for m in self.rows.messages if m.spool_id == self.decision.spool_id][-1]
        assert (message.hold is not None) == (self.decision.disposition == "held")
        return message.hold

    @property
    def opened(self) -> list[int]:
        return [e.ticket for e in self.rows.events if e.kind == "created"]

    def events(self, ticket: int) -> list[str]:
        return [e.kind for e in self.rows.events if e.ticket == ticket]


@cache
def rooms_of(policy: Policy) -> Rooms:
    return Rooms(policy=policy, rules=RuleBook(policy.rules), composer=Composer(TEMPLATES, policy))


@dataclass
class Desk:
    policy: Policy = POLICY
    now: datetime = START
    raws: dict[str, bytes] = field(default_factory=dict)
    all: Rows = field(default_factory=Rows)
    sent: list[Sent] = field(default_factory=list)
    count: int = 0
    directory: Directory = field(default_factory=Directory)
    configured: Policy | None = None    # the policy without the directory, once an admin has spoken

    @property
    def rooms(self) -> Rooms:
        return rooms_of(self.configured or self.policy).under(self.policy)

    # --- People ---

    def admin(self, line: str, author: Author | None = None) -> tuple[Outcome, tuple[str, ...]]:
        """Carry out an admin's line, and what the admin is told. Raises ValueError as it does."""
        self.configured = self.configured or self.policy
        self.now += MINUTE
        command = parse_admin(line)
        agents = {a.address for a in self.policy.agents}
        held = {t.id for t in self.tickets.values() if t.assignee in set(holders(command, self.directory))}
        context = replace(
            self.context(Needs(addresses=addresses_of(command) | agents)), tickets={n: self.tickets[n] for n in held},
            subjects={t.ticket: t.subject for t in self.all.ticket_texts if t.ticket in held},
        )
        rows, said = decide_admin(
            command, self.directory, context, self.rooms.under(self.configured), author or OPERATOR,
            fetch=lambda i, _: self.raws[i], now=self.now,
        )
        outcome = self._keep(rows, [])
        self.directory = Directory(
            folded=fold(self.all.directory_events), names={n.entry: n for n in self.all.directory_names},
            addresses={p.id: p.address for p in self.all.persons},
        )
        self.policy = effective(self.configured, self.directory)
        return outcome, said

    # --- Mail in ---

    def spooled(self, raw: bytes, sender: str | None, *rcpts: str, **envelope: Any) -> Spooled:
        """One mail as it stands in the spool; the clock goes a minute on."""
        self.count += 1
        self.now += MINUTE
        spool_id = f"{self.count:026d}"
        self.raws[spool_id] = raw
        known = {"channel": "lmtp", "relay": "mta", "received_at": self.now, **envelope}
        return Spooled(
            spool_id=spool_id, envelope=Envelope(mail_from=sender, rcpt_tos=rcpts, **known), mail=parse(raw)
        )

    def write(
        self, sender: str, to: str | Iterable[str], text: str, *, rcpts: Iterable[str] = (), envelope: Any = None,
        **headers: str,
    ) -> Spooled:
        """A mail of ``sender``; ``headers`` in Python spelling (in_reply_to), an empty one is left out."""
        to = [to] if isinstance(to, str) else [*to]
        given = {name.replace("_", "-").title(): value for name, value in headers.items()}
        fields = {
            "From": sender, "To": ", ".join(to), "Subject": "Printer broken",
            "Message-Id": f"<m{self.count + 1}@{domain(sender) or 'x'}>", **given,
        }
        raw = "".join(f"{k}: {v}\n" for k, v in fields.items() if v) + "\n" + text + "\n"
        bare = sender.partition("<")[2].rstrip(">") or sender
        envelope = {"mail_from": bare, **(envelope or {})}
        return self.spooled(
            raw.replace("\n", "\r\n").encode(), envelope.pop("mail_from"), *(tuple(rcpts) or to), **envelope
        )

    def reply(self, sent: Sent, sender: str, text: str, **more: Any) -> Spooled:
        """A reply as a mail client writes it: to Reply-To, with ids, Re: and the original below."""
        mail = sent.mail
        quoted = "\n".join(f"> {line}" for line in mail.text.splitlines())
        refs = " ".join(f"<{i}>" for i in (*mail.references, mail.message_id))
        fields: dict[str, Any] = {
            "subject": f"Re: {mail.subject}", "in_reply_to": f"<{mail.message_id}>", "references": refs,
            "to": sent.reply_to, **more,
        }
        to = fields.pop("to")
        return self.write(sender, to, f"{text}\n\nOn Mon, 23 Nov 2026 at 09:05, somebody <x@y.example> wrote:\n{quoted}", **fields)

    # --- Decide ---

    def receive(self, *batch: Spooled) -> Outcome:
        """Decide ``batch`` and keep its rows; what must hold after any batch is checked here."""
        asked = needs(batch, self.policy)
        context = self.context(asked)
        if (more := further(asked, context, self.policy)) is not None:
            context = self.context(more)
        rows, decisions = decide(batch, context, self.rooms, fetch=lambda i, _: self.raws[i], now=self.now)
        assert sorted(p.spool_id for p in rows.processed) == sorted(s.spool_id for s in batch)
        assert not [d for d in rows.decisions if d.code == "unsendable"]
        return self._keep(rows, decisions)

    def mail(self, sender: str, to: str | Iterable[str], text: str, **more: Any) -> Outcome:
        return self.receive(self.write(sender, to, text, **more))

    def answer(self, sent: Sent, sender: str, text: str, **more: Any) -> Outcome:
        return self.receive(self.reply(sent, sender, text, **more))

    def give_up(self, sent: Sent, reply: str) -> Outcome:
        """The other side refused ``sent`` for good."""
        return self._attempt(sent, "failed", reply)

    def put_off(self, sent: Sent, reply: str) -> Outcome:
        """The other side has put off ``sent`` for so long that its writer must hear of it."""
        return self._attempt(sent, "deferred", reply)

    def wake(self) -> Outcome:
        """As the waker does: what is pending and due."""
        due = [n for n, t in self.tickets.items() if t.status == "pending" and t.pending_until and t.pending_until <= self.now]
        context = self.context(Needs(tickets=frozenset(due), addresses=frozenset(a.address for a in self.policy.agents)))
        parts = []
        for number in due:
            parts.append(decide_woken(number, context, self.rooms, fetch=lambda i, _: self.raws[i], now=self.now))
            context = absorb(context, parts[-1])
        return self._keep(joined(parts), [])

    def _attempt(self, sent: Sent, state: OutboxState, reply: str) -> Outcome:
        """As the postman does: unless a report came in meanwhile, the state and what follows from it."""
        self.now += MINUTE
        tickets = frozenset(() if sent.row.ticket is None else {sent.row.ticket})
        addresses = frozenset(agent.address for agent in self.policy.agents)
        context = self.context(Needs(tickets=tickets, addresses=addresses, outbox=frozenset({sent.row.id})))
        before = context.outbox[sent.row.id].delivery
        assert before is not None
        after = replace(
            before, state=state, changed_at=self.now, next_at=self.now + HOUR, reply=reply,
            told_at=self.now if state == "deferred" else before.told_at,
        )
        rows = decide_unsent(
            sent.row, after, context, self.rooms, fetch=lambda i, _: self.raws[i], now=self.now
        )
        return self._keep(replace(rows, deliveries=(after, *rows.deliveries)), [])

    def _keep(self, rows: Rows, decisions: list[Decision]) -> Outcome:
        sent = tuple(Sent(row=o, raw=assemble(o, lambda i, _: self.raws[i])) for o in rows.outbox)
        self.all = Rows(**{n: getattr(self.all, n) + getattr(rows, n) for n in Rows.__slots__})
        # The postman of this desk is never late.
        out = tuple(replace(d, state="sent", attempts=1) for d in rows.deliveries if d.state == "queued")
        self.all = replace(self.all, deliveries=self.all.deliveries + out)
        self.sent.extend(sent)
        self.check()
        return Outcome(rows=rows, decisions=tuple(decisions), sent=sent)

    def check(self) -> None:
        """Numbers are used once and in order, tickets are the fold of their events, nothing dangles."""
        seqs = [e.seq for e in self.all.events]
        assert seqs == list(range(1, len(seqs) + 1))
        ids = [o.id for o in self.all.outbox]
        assert ids == list(range(1, len(ids) + 1))
        tickets = self.tickets
        for number, ticket in tickets.items():
            assert lifecycle.fold(e for e in self.all.events if e.ticket == number) == ticket
        messages = {m.id: m for m in self.all.messages}
        assert set(messages) == {t.message for t in self.all.message_texts}
        assert len(self.all.message_texts) == len(messages), "a message is stored once"
        for event in self.all.events:
            assert event.ticket in tickets
            assert event.message is None or event.message in messages
        persons = {p.id for p in self.all.persons}
        assert {e.actor for e in self.all.events} - {None} <= persons
        assert {o.recipient for o in self.all.outbox} <= persons
        assert len({p.address for p in self.all.persons}) == len(persons), "an address is one person"

    # --- What is known ---

    @property
    def tickets(self) -> dict[int, Ticket]:
        return {t.id: t for t in self.all.tickets}

    def ticket(self, number: int) -> Ticket:
        return self.tickets[number]

    def events(self, ticket: int) -> list[Event]:
        return [e for e in self.all.events if e.ticket == ticket]

    def message(self, number: int) -> Message:
        return next(m for m in reversed(self.all.messages) if m.id == number)

    def roles(self, ticket: int) -> dict[str, str]:
        """Address -> role of everybody on a ticket."""
        address = {p.id: p.address for p in self.all.persons}
        roles = {address[p.person]: p.role for p in self.all.participants if p.ticket == ticket}
        return {a: role for a, role in roles.items() if role != "gone"}

    def everything_to(self, *addresses: str) -> Iterator[Sent]:
        return (s for s in self.sent if s.row.rcpt_to in addresses)

    def context(self, asked: Needs) -> Context:
        """The slice that gateway/edge/store_load.py gives for ``asked``, out of all rows."""
        every = self.all
        messages = {m.id: m for m in every.messages}
        persons = {p.id: p for p in every.persons}
        mail_ids = _grouped((i.rfc_id, i) for i in every.mail_ids if i.rfc_id in asked.rfc_ids)
        sent_ids = {s.rfc_id: s.outbox for s in every.sent_ids if s.rfc_id in asked.rfc_ids}
        outbox = {o.id: o for o in every.outbox if o.id in {*asked.outbox, *sent_ids.values()}}
        known = {p.address: p.id for p in persons.values() if p.address in asked.addresses}
        listed = _grouped((r.outbox, r) for r in sorted(every.listed, key=lambda r: r.number) if r.outbox in outbox)
        opened = _grouped(
            (persons[e.actor].address, e.ticket) for e in every.events
            if e.kind == "created" and e.actor in known.values() and e.recorded_at >= self.now - HOUR
        )
        undone = {e.ticket for e in every.events if e.cause in asked.undone}
        found_by = {search: self._search(search) for search in asked.searches}
        tickets = self._with_redirects({
            *asked.tickets, *(i.ticket for rows in mail_ids.values() for i in rows),
            *(o.ticket for o in outbox.values()), *(t for found in opened.values() for t in found),
            *(t for found in found_by.values() for t in found), *undone,
            *(r.ticket for found in listed.values() for r in found),
        })
        more = {*asked.more_of, *undone, *(r.ticket for found in listed.values() for r in found),
                *(i.ticket for r in asked.more_ids for i in mail_ids.get(r, ()))} - {None}
        more |= {t.merged_into for n, t in tickets.items() if n in more and t.merged_into is not None}
        more = {n for n, t in tickets.items() if n in more or t.merged_into in more}
        history = {n: tuple(e for e in every.events if e.ticket == n) for n in more}
        tickets |= self._with_redirects({int(e.after) for h in history.values() for e in h if e.kind in ("linked", "unlinked")})
        on = [m for m in messages.values() if m.ticket in tickets]
        notes = _grouped((e.ticket, e.message) for e in every.events if e.kind == "note" and e.message in {m.id for m in on})
        chosen = {m.id for m in on if m.hold} | {t.last_public for t in tickets.values()}
        of_vendors = _grouped(vendor_mails(e for e in every.events if e.message in {m.id for m in on}))
        chosen |= {v.message for found in of_vendors.values() for v in found}
        chosen |= {o.message for o in outbox.values() if o.ticket is None and o.kind in ASKING and o.message is not None}
        chosen |= {m for found in notes.values() for m in found} | {m.id for m in on if m.ticket in more}
        texts = {t.message: t for t in every.message_texts}
        own = {i.message: i.rfc_id for i in every.mail_ids if i.role == "self"}
        auto = tuple(
            AutoSent(address=o.rcpt_to, ticket=o.ticket, kind=o.kind, at=o.created_at) for o in every.outbox
            if o.kind in AUTOMATIC and o.created_at >= self.now - 24 * HOUR
            and (domain(o.rcpt_to) in {domain(a) for a in asked.addresses} or o.ticket in tickets)
        )
        people = {(p.ticket, p.person): p for p in every.participants if p.ticket in tickets}
        participants = _grouped((p.ticket, p) for p in people.values() if p.role != "gone")
        side = {(t, p.person) for t, found in participants.items() for p in found if p.role != "holder"}
        public = _grouped(
            (m.ticket, own.get(m.id)) for m in on
            if m.is_public and m.mail_class == "human" and (m.ticket, m.author) in side
        )
        own_copies = {i.message for rows in mail_ids.values() for i in rows if i.role == "self"}
        stored = {
            i: StoredMail(
                message=messages[i], rfc_id=own.get(i, ""), text=texts[i],
                attachments=tuple(a for a in every.attachments if a.message == i),
            )
            for i in chosen if i is not None
        }
        named = {
            *asked.persons, *known.values(), *(o.recipient for o in outbox.values()),
            *(p.person for found in participants.values() for p in found),
            *(i.sender for rows in mail_ids.values() for i in rows),
            *(who for t in tickets.values() for who in (t.requester, t.assignee, t.last_agent)),
            *(v.person for found in of_vendors.values() for v in found),
            *(s.message.author for s in stored.values()), *(e.actor for found in history.values() for e in found),
            *(int(e.after) for found in history.values() for e in found if e.after and e.kind in (
                "assignee", "requester", "participant_added", "participant_removed", "revived")),
        }
        said = {s.address for i in chosen if i in stored and messages[i].ticket in more if (s := forwarded_by(stored[i]))}
        said |= {a for o in outbox.values() if o.ticket is None and o.kind in ASKING and o.message in stored
                 for a in addresses_in(stored[o.message].text.whole_text)}
        seen = {i: p for i, p in persons.items() if i in named or p.address in said}
        deliveries = {d.outbox: d for d in every.deliveries}
        return Context(
            next_seq=len(every.events) + 1, next_ticket=max(self.tickets, default=0) + 1,
            next_message=max(messages, default=0) + 1, next_outbox=len(every.outbox) + 1,
            next_person=max(persons, default=0) + 1, tickets=tickets, persons=seen,
            subjects={t.ticket: t.subject for t in every.ticket_texts if t.ticket in tickets},
            person_ids={p.address: p.id for p in seen.values()}, participants=participants,
            addressees={
                t: frozenset(found) for t, found in
                _grouped((a.ticket, a.person_address) for a in every.addressees if a.ticket in tickets).items()
            },
            mail_ids=mail_ids,
            outbox={
                o.id: SentMail(id=o.id, kind=o.kind, rfc_id=o.rfc_id, ticket=o.ticket, message=o.message,
                               recipient=o.recipient, text=o.text, created_at=o.created_at,
                               delivery=deliveries.get(o.id))
                for o in outbox.values()
            },
            copies=_grouped((m.body_key, m) for i, m in messages.items() if i in own_copies and m.body_key in asked.body_keys),
            sent_ids=sent_ids,
            contents={m.sha256: i for i, m in sorted(messages.items(), reverse=True) if m.sha256 in asked.contents},
            delivery_keys={
                p.delivery_key: p.message for p in every.processed
                if p.delivery_key in asked.delivery_keys and p.at >= self.now - timedelta(days=7)
            },
            automatic=auto, opened=opened, stored=stored, notes=notes, listed=listed, vendors=of_vendors,
            threads={t: tuple(i for i in ids if i) for t, ids in public.items() if any(ids)},
            held_notice_at={a.address: a.at for a in auto if a.kind == "unproven_notice" and a.address in asked.addresses},
            reasons=self._reasons(asked.reasons_of),
            acknowledged=frozenset(
                (o.ticket, o.recipient) for o in every.outbox
                if o.kind == "ack" and o.ticket is not None and o.message in {m.id for m in on}
            ),
            opted_out=frozenset(o.person for o in every.opt_outs if o.person in seen), history=history, found=found_by,
            fields={n: tuple(f for f in every.ticket_fields if f.ticket == n) for n in more},
            links={n: tuple({(k.other, k.relation): k for k in every.ticket_links if k.ticket == n}.values()) for n in more},
            told={n: tuple(s for _, s in sorted(stored.items()) if s.message.ticket == n) for n in more},
            suppressions={s.person: s for s in every.suppressions if s.person in seen},
            bounces=_grouped(
                (e.actor, Bounce(seq=e.seq, at=e.recorded_at, status=e.after)) for e in every.events
                if e.kind == "bounced" and e.after and e.recorded_at >= self.now - timedelta(days=7)
                and e.actor in {o.recipient for o in outbox.values()}
            ),
        )

    def _with_redirects(self, wanted: set[int | None]) -> dict[int, Ticket]:
        every, out = self.tickets, {}
        left = {n for n in wanted if n in every}
        while left:
            out |= {n: every[n] for n in left}
            left = {t.merged_into for t in out.values() if t.merged_into is not None} - set(out)
        while more := {t.id: t for t in every.values() if t.merged_into in out and t.id not in out}:
            out |= more
        return out

    def _search(self, search: Search) -> tuple[int, ...]:
        """As the store does it."""
        subject = {t.ticket: t.subject for t in self.all.ticket_texts}
        person = {p.id: p for p in self.all.persons}
        out = []
        for n, t in self.tickets.items():
            asker = person.get(t.requester or 0)
            text = f"{subject[n]} {asker.address if asker else ''} {asker.name if asker else ''} {t.tags}".lower()
            holder = person[t.assignee].address if t.assignee is not None else ""
            if all(w in text for w in search.words) and t.merged_into is None and search.queue in ("", t.queue) and (
                t.status == search.status or (not search.status and t.status != "void")
            ) and search.assignee in (None, holder):
                out.append(n)
        return tuple(sorted(out, reverse=True))

    def _reasons(self, tickets: frozenset[int]) -> dict[int, tuple[Reason, ...]]:
        rows = [d for d in self.all.decisions if d.ticket in tickets]
        rows.sort(key=lambda d: d.ordinal)
        rows.sort(key=lambda d: d.spool_id, reverse=True)
        return _grouped((d.ticket, Reason(code=d.code, detail=d.detail)) for d in rows)


def header(sent: Sent, name: str) -> str:
    return dict((k.lower(), v) for k, v in json.loads(sent.row.headers)).get(name.lower(), "")


def with_policy(**changes: Any) -> Desk:
    return Desk(policy=replace(POLICY, **changes))


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, tuple[Any, ...]]:
    out: dict[Any, tuple[Any, ...]] = {}
    for key, value in pairs:
        out[key] = (*out.get(key, ()), value)
    return out


# --- Stories that most tests begin with -----------------------------------------------------


def opened(text: str = "It is on fire.", desk: Desk | None = None, **more: Any) -> tuple[Desk, Outcome]:
    """Ann has written to support; her ticket is ABC-1 and nobody has it."""
    desk = desk or Desk()
    return desk, desk.mail(f"Ann Ames <{ANN}>", SUPPORT, text, **more)


def answered(text: str = "Have you tried water?", desk: Desk | None = None) -> tuple[Desk, Outcome, Outcome]:
    """Ann has written and Anna has answered."""
    desk, first = opened(desk=desk)
    return desk, first, desk.answer(first.to(ANNA)[0], ANNA, text)
