"""The nouns of the desk, in the words of RFC 5321, 5322, 5598 and of the helpdesk trade.

Frozen values only: no I/O, no clock, no behaviour beyond trivial look-ups. A class whose
docstring names a table *is* that table: its fields are the columns, in order, and
``tests/edge`` compares them with ``schema/``. All times are aware datetimes in UTC.

Personal text (addresses, names, subjects, bodies) stands only in the classes marked
"side table"; erasure overwrites those and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Status = Literal["new", "open", "pending", "on_hold", "solved", "closed", "void"]
Priority = Literal["low", "normal", "high", "urgent"]
MailClass = Literal[
    "human", "out_of_office", "auto_reply", "generated", "bulk", "bounce", "complaint", "receipt", "own"
]
Level = Literal[0, 1, 2, 3, 4]  # see core/identity.py
ActorKind = Literal["customer", "collaborator", "agent", "system", "operator", "rule"]
EventKind = Literal[
    "created",          # the ticket begins; after = queue
    "customer_reply",   # mail from the customer's side joins
    "agent_reply",      # an agent's public answer
    "note",             # an internal note
    "machine_mail",     # out-of-office, generated or bulk mail that was matched
    "held",             # a mail was stored but not acted on; after = why
    "released",         # a held mail was acted on after all
    "copy",             # a second copy of a known mail came in
    "status", "assignee", "priority", "queue", "tag_added", "tag_removed",
    "participant_added", "merged_into", "merged_from", "linked",
    "acknowledged",     # an acknowledgement was queued
    "bounced",          # a mail of ours came back; after = RFC 3463 status
]
OutgoingKind = Literal[
    "ack", "reply", "notice", "note_notice", "brief", "held_notice", "unproven_notice", "result", "undelivered",
    "reply_rule",
]
OutboxState = Literal["queued", "sending", "sent", "uncertain", "deferred", "failed", "bounced"]
Signal = Literal["token", "signed_id", "reference", "subject", "none"]
Disposition = Literal["apply", "held", "log", "copy"]


# --- What comes in --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who handed us the mail and how (RFC 5321 §3.6, RFC 2033); the spool file's first line.

    ``mail_from`` is None for the null reverse-path ``<>``. ``relay`` names the configured
    ``[[relay]]`` the connection came from; ``login`` is an agent's SMTP AUTH identity.
    """

    version: int = 1
    channel: Literal["smtp", "lmtp", "submission", "drop", "imap", "import"]
    received_at: datetime
    mail_from: str | None
    rcpt_tos: tuple[str, ...]
    helo: str = ""
    peer: str = ""
    tls: bool = False
    login: str | None = None
    relay: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A mailbox of RFC 5322 §3.4: display name (may be '') and addr-spec."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A leaf of the MIME tree that is not the body text: attachment or inline image.

    ``start``/``end`` is the byte range of the *encoded* body inside the raw mail; ``size`` and
    ``sha256`` are of the decoded bytes. ``clean`` says the slice may be relayed as it stands:
    CRLF line ends, 7-bit, no line over 998 octets (RFC 5322 §2.1.1).
    """

    ordinal: int
    name: str
    content_type: str
    size: int
    sha256: str
    start: int
    end: int
    encoding: str
    clean: bool
    content_id: str | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One recipient of a delivery report (RFC 3464 §2.3)."""

    recipient: str
    status: str           # "5.1.1", or "" if none was given
    permanent: bool
    diagnostic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A parsed message (RFC 5322, 2045). Total: any bytes make one; trouble is in ``defects``.

    ``sender`` is None when From is missing or unreadable; ``ambiguous`` says why From proves
    nothing (two mailboxes, parsers disagree …). ``headers`` are (lower-case name, decoded value)
    in order. ``opaque`` is the reason why the mail was not read beyond its headers.
    ``body_key`` is a hash of the text and the attachments, the same for two copies of one mail.
    """

    message_id: str | None
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    sender: Address | None
    ambiguous: str | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    date: datetime | None
    text: str
    text_from: Literal["plain", "html", "none"]
    html: str                       # cleaned: no script, style, form, remote image; '' if none
    parts: tuple[Part, ...]
    headers: tuple[tuple[str, str], ...]
    report_type: str                # "delivery-status", "feedback-report" …, '' if no report
    reports: tuple[Report, ...]
    original_id: str | None         # Message-ID of the mail that a report returns
    opaque: str | None
    defects: tuple[str, ...]
    size: int
    sha256: str
    body_key: str

    def header(self, name: str) -> str:
        """First value of header ``name`` (lower case), or ''."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One mail on its way through the rooms. ``mail`` is None until the parse room."""

    spool_id: str
    envelope: Envelope
    mail: Mail


# --- What is understood ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One step of a decision: a stable code and words for a person. Side table ``decision``."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token address says once its MAC has verified (security: level 2)."""

    role: Literal["a", "n", "c"]    # agent, agent's note thread, customer
    ticket: int
    party: int                      # person id


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedId:
    """What one of our own Message-IDs says once its MAC has verified."""

    kind: Literal["p", "n", "i", "x", "r"]  # public, notice, internal notice, automatic, pseudo-root
    ticket: int
    outbox: int                     # 0 for the pseudo-root
    party: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who wrote, and how sure we are (core/identity.py has the ladder)."""

    level: Level
    address: str                    # canonical addr-spec, '' if there is none
    name: str
    agent: str | None               # login of the agent whose address this is
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    mail_class: MailClass
    why: str
    bounces: tuple[Report, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMatch:
    """Which ticket the mail belongs to, by which proof. ``outbox`` is the mail of ours it answers."""

    ticket: int | None
    signal: Signal
    why: str
    outbox: int | None = None
    audience: Literal["public", "internal"] = "public"
    party: int | None = None        # person id a token or signed id was made for
    possible: int | None = None     # a ticket that was named without proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str                       # canonical name, a row of core/command.py
    args: str
    line: str                       # as it was written, for messages to the agent


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBlock:
    """The commands at the top of an agent's mail, the lines that nearly were, and the text below."""

    commands: tuple[Command, ...]
    suspects: tuple[tuple[str, str], ...]   # (line, what would have been valid)
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known about one mail before rules; what rules, replay and explain read.

    ``core.understand.facts_row`` flattens it to the table MailFacts.
    """

    spool_id: str
    received_at: datetime
    mail_class: MailClass
    class_why: str
    identity: Identity
    match: ThreadMatch
    queue: str
    subject: str
    base_subject: str
    new_text: str                   # what the author newly wrote
    whole_text: str
    block: CommandBlock
    copy_of: int | None             # message id this is a second copy of
    token_without_proof: bool       # ruling 3: token, but neither ids nor subject of that ticket
    bounces: tuple[Report, ...] = ()
    bounced_outbox: int | None = None


# --- What is stored: one class a table ------------------------------------------------------


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
    role: Literal["requester", "cc", "holder"]  # holder: wrote with somebody else's reply address
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
class PartRef:
    """A part of an outgoing mail that is cut from a stored one (ruling 11)."""

    spool_id: str
    month: str
    start: int
    end: int
    encoding: str
    clean: bool
    name: str
    content_type: str
    content_id: str | None
    inline: bool


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
    processed: tuple[Processed, ...] = ()


# --- What is decided ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An outgoing mail as decided, before words are chosen: the compose room renders it.

    ``template`` names a pair of Jinja files; ``values`` fills it (str, int, bool, lists and
    dicts of them). ``subject`` is final but for the ticket key. ``parts`` go along as they are.
    """

    kind: OutgoingKind
    template: str
    language: str
    ticket: int | None
    message: int | None
    recipient: int                  # person id
    rcpt_to: str
    from_name: str
    from_address: str
    reply_to: str | None            # None: From is where replies go
    to_name: str
    subject: str
    signed_kind: Literal["p", "n", "i", "x"]
    in_reply_to: str | None
    references: tuple[str, ...]
    values: dict[str, object] = field(default_factory=dict)
    parts: tuple[PartRef, ...] = ()
    automatic: Literal["", "auto-replied", "auto-generated"] = ""
    null_path: bool = False
    extra_headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one mail does: rows without rendered mail, drafts, and the reasons in order."""

    spool_id: str
    disposition: Disposition
    rows: Rows
    drafts: tuple[Draft, ...]
    reasons: tuple[Reason, ...]
