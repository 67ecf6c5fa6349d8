"""The nouns of the desk, in the words of RFC 5321, 5322, 5598 and of the helpdesk trade.

What comes in, and what is understood of it; core/rows.py has what is stored, core/decision.py what is
decided. Frozen values only: no I/O, no clock, no behaviour beyond trivial look-ups. All times are
aware datetimes in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from gateway.core.authres import Authentication

Status = Literal["new", "open", "pending", "on_hold", "solved", "closed", "void"]
Priority = Literal["low", "normal", "high", "urgent"]
TicketType = Literal["question", "incident", "problem", "change", "request", "bug"]
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
    "requester",        # the ticket is somebody else's than its creator's; after = person
    "status", "assignee", "priority", "queue", "type", "tag_added", "tag_removed",
    "participant_added", "participant_removed",     # after = person, before = the role he had
    "merged_into", "merged_from",
    "unmerged_into", "unmerged_from",   # a merge was undone, on the ticket that lives again and on the other; before = the other
    "linked", "unlinked",   # after = the other ticket, before = the relation, None for "it follows that one"
    "due",              # before and after are times
    "until",            # after = when a pending ticket is to be looked at again
    "spent", "estimate",    # after = minutes; those of "spent" may be negative
    "field",            # after = name of the field, before = event of its last value; values are in ticket_field
    "undone",           # after = the transaction that was taken back
    "acknowledged",     # an acknowledgement was queued
    "bounced",          # a mail of ours came back; after = RFC 3463 status, None if nobody said one
    "delayed",          # a mail of ours is late; after = RFC 3463 status
    "suppressed",       # the actor's address is dead, we write to it no more; after = RFC 3463 status
    "revived",          # we write again to the person whose id is in after
    "vendor_asked", "vendor_answered",  # a question to a third party, a mail of theirs; after = person
]
OURS_INSIDE = "an attached mail of ours"     # a defect of Mail: our own mark stands below its header
OutgoingKind = Literal[
    "ack", "reply", "notice", "note_notice", "brief", "held_notice", "unproven_notice", "result", "undelivered",
    "reply_rule", "delayed_notice",
    "handed",           # an agent or a queue got a ticket that was somebody else's
    "customer_help",    # which commands customers have
    "transcript",       # what the lines of a control mail or of a digest's answer did
    "rehearsal",        # what they would do, once it is confirmed
    "digest",           # an agent's tickets, numbered
    "vendor", "vendor_notice",      # a question to a third party; its answer, to the agents
]
OutboxState = Literal["queued", "sending", "sent", "uncertain", "deferred", "failed", "bounced", "delayed"]
Signal = Literal["token", "signed_id", "reference", "subject", "none"]
# On a ticket. A holder only has somebody else's reply address; who is gone was taken off and is in no context.
Role = Literal["requester", "cc", "holder", "gone"]
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
    origin: str = ""    # of a mail we fetched: where it lies there; the same again only for the same mail
    sent: bool = False  # it lay in the Sent folder of the mailbox named in ``relay``
    released: int | None = None     # the held message (id) that an operator had decided once more
    reread: bool = False    # its folder was read again from the start: it may be known


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A mailbox of RFC 5322 §3.4: display name (may be '') and addr-spec."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A leaf of the MIME tree that is not the body text: attachment or inline image.

    ``start``/``end`` is the byte range of the *encoded* body inside the raw mail; ``size`` and
    ``sha256`` are of the decoded bytes. ``encoding`` is its transfer encoding, or the steps to a file
    inside of another (mime/unpack.py). ``clean`` says the slice may be relayed as it stands:
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
    """One recipient of a delivery report (RFC 3464 §2.3).

    ``derived`` says that the status was read out of words, for want of one; ``gave_up`` that the
    server will not try again, whatever its status says; ``reason`` is one of core.bounce_reason.REASONS.
    """

    recipient: str
    status: str           # "5.1.1", or "" if none was given
    permanent: bool
    diagnostic: str = ""
    delivered: bool = False     # RFC 3464 §2.3.3: delivered, relayed or expanded
    reason: str = ""
    derived: bool = False
    gave_up: bool = False

    @property
    def final(self) -> bool:
        """Nobody tries any more, whatever the class of the status says of the cause."""
        return self.permanent or self.gave_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """A mail that stands in another one (core/forward.py). ``when`` is its date in its own words."""

    sender: Address
    when: str
    date: datetime | None           # UTC; None unless it names its zone
    subject: str
    body: str
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    above: str = ""                 # what the one who forwards it says about it
    message_id: str | None = None   # only of one that is attached


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
    original_mark: str              # its X-Mailwicket-Id, '' if it has none
    opaque: str | None
    defects: tuple[str, ...]
    size: int
    sha256: str
    body_key: str
    dialect: str = ""               # of a delivery report in plain words, as mime/bounce_dialects.py names it
    results: tuple[str, ...] = ()   # Authentication-Results above the first Received, as written (RFC 8601)
    enclosed: Forwarded | None = None   # the one mail that is attached, as mail programs forward "as attachment"

    def header(self, name: str) -> str:
        """First value of header ``name`` (lower case), or ''."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One mail on its way through the rooms; ``checked`` is None where we did not look ourselves."""

    spool_id: str
    envelope: Envelope
    mail: Mail
    checked: Authentication | None = None


# --- What is understood ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One step of a decision: a stable code and words for a person. Side table ``decision``."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token address says once its MAC has verified (security: level 2)."""

    role: Literal["a", "n", "c", "v"]   # agent, agent's note thread, customer, vendor
    ticket: int                     # 0: no ticket; control mail and digests
    party: int                      # person id


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedId:
    """What one of our own Message-IDs says once its MAC has verified."""

    kind: Literal["p", "n", "i", "x", "r", "v"]     # public, notice, internal notice, automatic, pseudo-root, vendor
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
    back_on: date | None = None     # of an absence notice that says when its writer is back


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
    name: str                       # canonical name, a row of core/command_table.py
    args: str
    line: str                       # as it was written, for messages to the agent


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBlock:
    """The commands at the top of an agent's mail, the lines that nearly were, and the text below."""

    commands: tuple[Command, ...]
    suspects: tuple[tuple[str, str], ...]   # (line, what would have been valid)
    text: str
    passed_over: tuple[tuple[str, str], ...] = ()   # of the subject's suffix: (item, why it was not carried out)


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
    forwarded: Forwarded | None = None      # a customer's mail that an agent sent on to the queue
