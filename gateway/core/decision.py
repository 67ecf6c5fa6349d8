"""What is decided: the rows of one mail, the mails that follow from it, and the reasons in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.core.admin import AdminCommand
from gateway.core.model import Disposition, OutgoingKind, Reason
from gateway.core.rows import Rows


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
    signed_kind: Literal["p", "n", "i", "x", "v"]
    in_reply_to: str | None
    references: tuple[str, ...]
    values: dict[str, object] = field(default_factory=dict)
    parts: tuple[PartRef, ...] = ()
    automatic: Literal["", "auto-replied", "auto-generated"] = ""
    mail_from: str = ""             # envelope sender; '' = a bounce address of its own
    extra_headers: tuple[tuple[str, str], ...] = ()
    listed: tuple[tuple[int, int, int], ...] = ()   # number, ticket, version: what its reader may answer by number


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one mail does: rows without rendered mail, drafts, and the reasons in order."""

    spool_id: str
    disposition: Disposition
    rows: Rows
    drafts: tuple[Draft, ...]
    reasons: tuple[Reason, ...]
    admin: tuple[AdminCommand, ...] = ()    # confirmed lines for the directory, which is another frame's (gateway/people.py)
    admin_by: int | None = None             # person who ordered them
