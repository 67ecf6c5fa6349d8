"""When the text of a mail is read as a report: only where something else than the text hints at a machine.

Standards: RFC 3464 and RFC 5965 for those who broke them. People quote and forward reports; what they
write is theirs, and none of it is cut away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.core.address import domain, local
from gateway.core.bounce_reason import UNSAID, generic
from gateway.core.classify_words import FAILURE, FORWARDED
from gateway.mime.bounce_dialects import SNS_COMPLAINT
from gateway.mime.bounce_text import EARLY, Spoken, read
from gateway.mime.opaque import Fields, first
from gateway.mime.text import decode_header

if TYPE_CHECKING:
    from gateway.core.model import Address, Report

# The local part of a mail server, or its beginning; and of other robots.
_SERVER = re.compile(r".{0,20}daemon|(?:post|poost)[-_.]?master|mail[-_.]?(?:er|delivery|system)|mdaemon|microsoftexchange|sysadmin", re.IGNORECASE)
_ROBOT = re.compile(r"no[-_.]?reply|do[-_.]?not|bounce|.{0,30}admin|root|smtp|delivery|system|exchange|nobody|staff|auto|report", re.IGNORECASE)
_FEEDBACK = re.compile(r"^Feedback-Type:[ \t]{0,8}(?:abuse|fraud|opt-out|opt-out-list|virus|other|not-spam|auth-failure|dkim|miscategorized)\b",
                       re.IGNORECASE | re.MULTILINE)
_FEEDBACK_BESIDE = re.compile(r"^(?:User-Agent|Version|Original-Mail-From|Source-IP|Received-Date|Arrival-Date):",
                              re.IGNORECASE | re.MULTILINE)
_ABUSE = re.compile(r"\s{0,40}this is an? (?:email |e-mail )?(?:abuse|spam|feedback) report for (?:an? |the )?(?:email |e-mail )?message", re.IGNORECASE)
_TOP = 8_000
_SHORT = 1_000          # characters of a report without the mail it returns
_DECORATION = 60        # … and of the rules above its words


@dataclass(frozen=True, slots=True)
class Said:
    """A mail, as far as it says who speaks."""

    fields: Fields
    kind: str                       # report type, '' if none
    sender: Address | None
    subject: str
    to: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was understood: the reports, the text without the returned mail, the kind if only the text tells it."""

    reports: tuple[Report, ...]
    text: str
    kind: str = ""
    dialect: str = ""
    returned_id: str = ""


def heard(text: str, said: Said, reports: tuple[Report, ...]) -> Told:
    """``reports`` are those in the form of RFC 3464, which count more than any words."""
    if not said.kind and _complains(text, said):
        return Told(reports=reports, text=text, kind="feedback-report")
    structured = said.kind == "delivery-status" and bool(reports)
    if (structured and not any(generic(each.status) for each in reports)) or said.kind not in ("", "delivery-status"):
        return Told(reports=reports, text=text)
    server = _server(said)
    if not server and not _robot(said) and not FAILURE.search(said.subject[:300]):
        return Told(reports=reports, text=text)
    spoken = read(
        text, subject=said.subject[:300], failed=_failed(said), host=domain(said.sender.address) if said.sender else "",
        to=frozenset(each.address.casefold() for each in said.to[:20]), certain=not server,
    )
    if spoken is None:
        return Told(reports=reports, text=text)
    if structured:
        return Told(reports=tuple(_mended(each, reports, spoken) for each in reports), text=text)
    if not server and not (spoken.reports and _is_all(spoken, said, text)):
        return Told(reports=reports, text=text)
    return Told(
        reports=spoken.reports, text=text[:spoken.cut] if server else text, dialect=spoken.dialect,
        returned_id=spoken.returned_id,
    )


def _is_all(spoken: Spoken, said: Said, text: str) -> bool:
    """Nobody but the server has a word in it: a robot's mail that opens so, or a short one of a nameless sender."""
    if _robot(said):
        return spoken.at <= EARLY
    nameless = said.sender is not None and not said.sender.name
    return nameless and spoken.at <= _DECORATION and len(text) <= _SHORT and not FORWARDED.match(said.subject)


def _server(said: Said) -> bool:
    """A mail server speaks, by its name or by what only servers say; a null path is a vacation program's as well."""
    return (
        bool(said.kind) or said.sender is None or bool(_SERVER.match(local(said.sender.address)))
        or any(name == b"x-failed-recipients" for name, _ in said.fields)
    )


def _robot(said: Said) -> bool:
    return (
        (said.sender is not None and bool(_ROBOT.match(local(said.sender.address))))
        or first(said.fields, b"return-path").strip() == b"<>"
        or first(said.fields, b"auto-submitted").strip().lower() not in (b"", b"no")
    )


def _failed(said: Said) -> str:
    return decode_header(first(said.fields, b"x-failed-recipients"))


def _mended(report: Report, reports: tuple[Report, ...], spoken: Spoken) -> Report:
    """A report that gives no reason, with that of the text above it."""
    if not generic(report.status):
        return report
    same = [each for each in spoken.reports if each.recipient.casefold() == report.recipient.casefold()]
    said = next(iter(same or (spoken.reports if len(reports) == 1 == len(spoken.reports) else ())), None)
    if said is None:
        return report
    if said.derived or said.status[:1] != report.status[:1]:
        reason = said.reason if report.reason in ("", UNSAID) else report.reason
        return replace(report, diagnostic=report.diagnostic or said.diagnostic, reason=reason)
    return replace(report, status=said.status, diagnostic=report.diagnostic or said.diagnostic, reason=said.reason)


def _complains(text: str, said: Said) -> bool:
    """RFC 5965 fields in plain text, and the two providers who complain in a form of their own."""
    top = text[:_TOP]
    if _ABUSE.match(top) and (_robot(said) or _FEEDBACK_BESIDE.search(top)):
        return True
    if "eedback-" in top and _FEEDBACK.search(top) and _FEEDBACK_BESIDE.search(top):
        return True
    return top.startswith("{") and bool(SNS_COMPLAINT.match(top)) and any(n == b"x-amz-sns-message-id" for n, _ in said.fields)
