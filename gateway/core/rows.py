"""What is stored: one class a table, its fields the columns in their order.

``tests/schema`` compares them with ``schema/``. Personal text (addresses, names, subjects, bodies) stands only
in the classes marked "side table"; erasure overwrites those and nothing else. Times are aware and UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.core.directory_rows import DirectoryEvent, DirectoryName
from gateway.core.model import (
    ActorKind,
    Disposition,
    EventKind,
    Level,
    MailClass,
    OutboxState,
    OutgoingKind,
    Priority,
    Role,
    Status,
    TicketType,
)
from gateway.core.rows_beside import DigestRun, Listed, OptOut, TicketField, TicketLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Table ``event``: append-only truth; ids, enumerations, numbers and times only."""

    seq: int
    ticket: int
    at: datetime                    # when it happened
    recorded_at: datetime           # when we wrote it down
    kind: EventKind
    actor_kind: ActorKind
    actor: int | None               # person id
    cause: str                      # spool id, "timer", "operator:<uid>", "rule:<name>"
    message: int | None
    is_public: bool
    is_auto: bool
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Table ``ticket``: the fold of its events (core/lifecycle.apply)."""

    id: int
    queue: str
    status: Status
    priority: Priority
    assignee: int | None
    requester: int | None
    tags: str                       # sorted, separated by one space
    created_at: datetime
    updated_at: datetime
    first_reply_at: datetime | None
    solved_at: datetime | None
    last_customer_at: datetime | None
    last_agent_at: datetime | None
    last_agent: int | None          # who gave the last public answer
    last_public: int | None         # id of the last public message
    merged_into: int | None
    version: int                    # number of events folded
    type: TicketType | None = None
    due_at: datetime | None = None
    pending_until: datetime | None = None   # when a pending ticket is to be looked at again
    spent_minutes: int = 0
    estimate_minutes: int | None = None
    void_from: Status | None = None         # of a void ticket: what #restore makes it again


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketText:
    """Side table ``ticket_text``."""

    ticket: int
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Side table ``person``: everybody who ever wrote or was written to, by canonical address."""

    id: int
    address: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Table ``participant``: who may follow a ticket, and as what."""

    ticket: int
    person: int
    role: Role  # holder: wrote with somebody else's reply address
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Table ``message``: one stored mail on one ticket."""

    id: int
    ticket: int | None              # None: stored without a ticket (log, held)
    spool_id: str
    author: int | None
    at: datetime
    mail_class: MailClass
    level: Level
    disposition: Disposition
    is_public: bool
    hold: str | None                # why it is held, None once released
    month: str                      # "2026-11": which mail file has the raw bytes
    size: int
    sha256: str
    body_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageText:
    """Side table ``message_text`` in the monthly mail file, beside the raw bytes."""

    message: int
    subject: str
    from_name: str
    from_address: str
    new_text: str
    whole_text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Side table ``attachment``: fields of Part, tied to its message."""

    message: int
    ordinal: int
    name: str
    content_type: str
    size: int
    sha256: str
    start: int
    end: int
    encoding: str
    clean: bool
    content_id: str | None
    inline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MailId:
    """Table ``mail_id``: RFC 5322 Message-IDs seen on stored mail, for threading and copies."""

    rfc_id: str
    message: int
    ticket: int | None
    role: Literal["self", "reference"]
    sender: int | None              # person who sent it; proof of participation is checked against it


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Side table ``addressee``: who stood on To or Cc of a participant's stored mail."""

    message: int
    ticket: int
    person_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFacts:
    """Side table ``mail_facts``: with ``text`` beside it, the relation ``mail`` that rules read."""

    spool_id: str
    message: int | None
    received_at: datetime
    sender: str
    domain: str
    subject: str
    queue: str
    mail_class: MailClass
    level: int
    agent: bool
    signal: str
    ticket: int | None
    status: str | None              # of the matched ticket
    priority: str | None
    attachments: int
    size: int
    rules: str                      # names of the rules that hit, separated by one space


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """Side table ``decision``: why, step by step."""

    spool_id: str
    ordinal: int
    ticket: int | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """Side table ``outbox``: a rendered mail; bytes are assembled from it, always the same.

    ``headers`` and ``parts`` are JSON text: [[name, value], …] and [PartRef, …].
    """

    id: int
    kind: OutgoingKind
    ticket: int | None
    message: int | None             # the stored mail it relays, answers or speaks of
    recipient: int
    rfc_id: str
    mail_from: str                  # '' = null reverse-path
    rcpt_to: str
    headers: str
    text: str
    html: str
    parts: str
    boundary: str
    sha256: str
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Table ``delivery``: the changing half of an outbox row."""

    outbox: int
    state: OutboxState
    attempts: int
    next_at: datetime
    changed_at: datetime
    reply: str                      # last words of the other side, cut to 500 characters
    told_at: datetime | None = None     # when its writer was told that it is late


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Table ``suppression``: a person whose address is dead; core/suppress.py has the policy."""

    person: int
    since: datetime                 # of an agent, to whom we write all the same: when a colleague was told
    status: str                     # RFC 3463 status that decided it
    cause: str                      # spool id of the report, or outbox:<id>
    revived_at: datetime | None = None
    revived_by: str | None = None   # spool id, or operator:<uid>


@dataclass(frozen=True, slots=True, kw_only=True)
class SentId:
    """Table ``sent_id``: the Message-ID under which a provider sent a mail of ours."""

    rfc_id: str
    outbox: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """Table ``processed``: the exactly-once mark of a spool entry."""

    spool_id: str
    delivery_key: str               # sha256 of mail_from, sorted recipients and raw bytes
    disposition: Disposition
    message: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What one journal frame writes; a field a table, in the order they are written."""

    persons: tuple[Person, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    ticket_texts: tuple[TicketText, ...] = ()
    participants: tuple[Participant, ...] = ()
    messages: tuple[Message, ...] = ()
    message_texts: tuple[MessageText, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    mail_ids: tuple[MailId, ...] = ()
    addressees: tuple[Addressee, ...] = ()
    mail_facts: tuple[MailFacts, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    events: tuple[Event, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    processed: tuple[Processed, ...] = ()
    sent_ids: tuple[SentId, ...] = ()
    ticket_fields: tuple[TicketField, ...] = ()
    ticket_links: tuple[TicketLink, ...] = ()
    opt_outs: tuple[OptOut, ...] = ()
    listed: tuple[Listed, ...] = ()
    digest_runs: tuple[DigestRun, ...] = ()
    directory_names: tuple[DirectoryName, ...] = ()
    directory_events: tuple[DirectoryEvent, ...] = ()
