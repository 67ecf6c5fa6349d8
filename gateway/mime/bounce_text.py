"""Delivery reports in plain words, of the mail servers that never learnt RFC 3464, or broke it.

The tables are mime/bounce_dialects.py, the meaning of the words is core/bounce_reason.py. Nothing here proves
anything: whoever writes a mail can write such words, so a recipient is told to people and decides nothing.
Hostile text costs little: bounded pieces, no pattern that walks back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.core.bounce_reason import derived, explicit, meaning, plain, reason_of, reply_code
from gateway.core.model import Report
from gateway.mime.bounce_dialects import DIALECTS, HEADER_BELOW, NAMED, NOT_A_RECIPIENT, RETURNED, Dialect
from gateway.mime.headers import valid_address
from gateway.mime.reports import delivery_reports

READ: Final = 65_536    # characters of the text that are looked at for the returned mail
EARLY: Final = 250      # where the opening begins at the latest, if the sender is no mail server
_HEAD = 4_000
_LINES = 800            # enough for a hundred recipients
_LINE = 1_000
_MAX_RECIPIENTS = 100
_NEAR = 14              # lines of words in which an address that nothing announces may be the recipient
_MAX_DIAGNOSTIC = 500
_RULES = " \t>|-=*#.:~_"
# No character before it could belong to it, so a long word is tried once.
_ADDRESS = re.compile(r"(?<![^\s<>()\[\],;:\"'|=*/])[^\s<>()\[\],;:\"'@|=*]{1,64}@[^\s<>()\[\],;:\"'@/|*]{1,255}")
_LEAD = re.compile(r"[\s>*•\-–=#]{0,30}(?:\(expanded from:? )?[\"'<(\[]{0,3}(?=[^\s<>()\[\],;:\"'@|]{1,64}@)")
_BARE = re.compile(r"\s{1,20}([A-Za-z0-9._+-]{2,64})\s*")
_X400 = re.compile(r"rfc-?822=([^/;\s]{1,64})\(a\)([^/;\s]{1,255})", re.IGNORECASE)
_RETURNED_ID = re.compile(r"^[> \t]{0,8}Message-ID:[ \t]{0,8}(?:\r?\n[ \t]{1,8})?(<[^<>\s]{3,998}>)", re.IGNORECASE | re.MULTILINE)
_RETURNED_TO = re.compile(r"^[> \t]{0,8}To:[ \t]{0,8}([^\n]{3,300})$", re.IGNORECASE | re.MULTILINE)
_DSN_FIELD = re.compile(r"^[ \t]{0,8}(?:Reporting-MTA|Original-Recipient|Final-Recipient|Action|Status):", re.IGNORECASE | re.MULTILINE)
_SNS_RECIPIENTS = re.compile(r'"bouncedRecipients"\s{0,4}:\s{0,4}\[([^\]]{0,8000})\]')
_SENDERS = re.compile(r"(?:sent by|from|sender|contact|write to|send mail to)[:\s]{0,9}$", re.IGNORECASE)
_CODE = re.compile(r"[245]\d\d[ \-]|[245]\.\d")
_SNS_FIELD = re.compile(r'"(emailAddress|status|diagnosticCode|action)"\s{0,4}:\s{0,4}"([^"]{0,500})"')
_LATE = re.compile(r"(?:warning: message|.{0,40}delayed\b|.{0,40}\(delay\)|warning: could not)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A report in words. ``at`` is where it opens, ``cut`` where the returned mail begins or the text ends."""

    dialect: str
    at: int
    reports: tuple[Report, ...]
    cut: int
    returned_id: str            # with its brackets, '' if it is not known


@dataclass(frozen=True, slots=True)
class _Entry:
    """An address that is reported, and the words behind it."""

    recipient: str
    words: str


def read(
    text: str, *, subject: str = "", failed: str = "", host: str = "", to: frozenset[str] = frozenset(),
    certain: bool = False, inner: bool = False,
) -> Spoken | None:
    """The report that ``text`` is, or None if it opens like none.

    ``failed`` is X-Failed-Recipients (Exim), ``host`` the domain of the server that writes, ``to`` are those it
    writes to, in lower case; ``certain`` wants an opening that only servers write, ``inner`` says that this is what another report returned.
    """
    text = text[:READ]
    head = " ".join(text[:_HEAD].split()).casefold()
    dialect, at = _dialect(head, certain=certain)
    if dialect is None:
        return None
    cut = returned_at(text)
    said, returned = text[:cut], text[cut:]
    found = _RETURNED_ID.search(returned)
    reports = _structured(said) or _sns(said) or _worded(dialect, said, returned, subject, failed, host, to)
    if not reports and not inner:               # a report that was itself returned, or handed on by a gateway
        below = read(returned.partition("\n\n")[2], inner=True)
        reports = below.reports if below is not None else ()
    return Spoken(
        dialect=dialect.name, at=at, reports=reports, cut=cut, returned_id=found[1] if found else "",
    )


def _dialect(head: str, *, certain: bool) -> tuple[Dialect | None, int]:
    for dialect in DIALECTS:
        if dialect.loose and certain:
            continue
        for opening in dialect.openings:
            at = head.find(opening)
            if at >= 0:
                return dialect, at
    return None, 0


def returned_at(text: str) -> int:
    """Where the returned mail begins: below a line that announces it, or at the first line of its header."""
    at, end = 0, len(text)
    header = HEADER_BELOW.search(text)
    if header is not None:
        end = header.start()
    for number, line in enumerate(text[:end].split("\n")):
        core = line.strip(_RULES) if len(line) < 200 else ""
        if 8 <= len(core) <= 150 and at and RETURNED.fullmatch(core):
            return at
        at += len(line) + 1
        if number > _LINES:
            break
    return end


def _structured(said: str) -> tuple[Report, ...]:
    """RFC 3464 fields that stand in the text because a Content-Type or a boundary was lost."""
    if "-recipient:" not in said.casefold():
        return ()
    first = _DSN_FIELD.search(said)
    if first is None:
        return ()
    fields = "\n".join(line.strip() if _DSN_FIELD.match(line) else line for line in said[first.start():].split("\n")[:_LINES])
    return tuple(each for each in delivery_reports(fields.encode("utf-8", "replace")) if _valid(each.recipient))


def _sns(said: str) -> tuple[Report, ...]:
    """Amazon's notification: JSON, often folded in the middle of a word, so it is not parsed as such."""
    at = said.find('"bouncedRecipients"')
    found = _SNS_RECIPIENTS.match(said, at) if at >= 0 else None
    out = []
    for piece in found[1].split("}")[:_MAX_RECIPIENTS] if found else ():
        fields = dict(_SNS_FIELD.findall(piece))
        recipient = valid_address(fields.get("emailAddress", ""))
        if recipient:
            words = " ".join((fields.get("status", ""), fields.get("diagnosticCode", "")))
            out.append(_report(recipient, words, "", waits=False))
    return tuple(out)


# --- Words ----------------------------------------------------------------------------------


def _worded(
    dialect: Dialect, said: str, returned: str, subject: str, failed: str, host: str, to: frozenset[str],
) -> tuple[Report, ...]:
    waits = dialect.waits or bool(_LATE.match(subject))
    lines = [line[:_LINE] for line in said.split("\n")[:_LINES]]
    entries = _entries(lines)
    named = [each for each in (_valid(match[0]) for match in _ADDRESS.finditer(failed[:_LINE * 4])) if each]
    if named:                               # Exim says whom it means; its text may name what he is an alias for
        entries = [*entries, *(_Entry(each, "") for each in named if each.casefold() not in {e.recipient.casefold() for e in entries})]
    elif not entries:
        entries = (
            [_Entry(each, "") for each in _bare(dialect, lines, host)]
            or list(_anywhere(lines, to))
            or [_Entry(each, "") for each in _in(subject)]
            or [_Entry(each, "") for each in _returned_to(returned)]
        )
    words: dict[str, str] = {}
    shown: dict[str, str] = {}
    for entry in entries:
        key = entry.recipient.casefold()
        shown.setdefault(key, entry.recipient)
        words[key] = f"{words.get(key, '')} {entry.words}".strip()
    if len(words) == 1 and not explicit(next(iter(words.values()))):
        told = _telling(lines)
        words = {key: told if told and (not value or explicit(told)) else value for key, value in words.items()}
    elif not all(words.values()):
        told = _telling(lines)
        words = {key: value or told for key, value in words.items()}
    return tuple(_report(shown[key], words[key], said, waits=waits) for key in list(words)[:_MAX_RECIPIENTS])


def _telling(lines: list[str]) -> str:
    """The first words of the report that hold a code, with the line below; else the first that mean what it says."""
    for number, line in enumerate(lines):
        if _CODE.search(line) and (explicit(line) or reply_code(line)):
            return " ".join(each.strip() for each in lines[number:number + 2])
    meant = meaning("\n".join(lines))
    return next((line.strip() for line in lines if meant and meant.found_in(plain(line))), "")


def _report(recipient: str, words: str, said: str, *, waits: bool) -> Report:
    """``words`` are those about this recipient, ``said`` is the whole report, where they say nothing."""
    told = words if explicit(words) or meaning(words) else f"{words}\n{said}".strip()
    status = explicit(told)
    guessed = not status
    status = status or derived(told, lasting=not waits)
    diagnostic = " ".join((words or told).split())[:_MAX_DIAGNOSTIC]
    return Report(
        recipient=recipient, status=status, permanent=not waits and not status.startswith("4"), diagnostic=diagnostic,
        reason=reason_of("" if guessed else status, told), derived=guessed, gave_up=not waits,
    )


def _entries(lines: list[str]) -> list[_Entry]:
    """Addresses that begin a line, each with what follows up to the next; else those that words announce."""
    places = [
        (number, *found) for number, line in enumerate(lines)
        if "@" in line and (found := _leading(line)) and not _SENDERS.search(" ".join(lines[max(0, number - 2):number])[-80:])
    ]
    if not places:
        places = [(number, *found) for number, line in enumerate(lines) if "@" in line for found in _announced(line)]
    out = []
    for place, (number, address, rest) in enumerate(places[:_MAX_RECIPIENTS * 4]):
        following = places[place + 1][0] if place + 1 < len(places) else number + 25
        below = lines[number + 1:following]
        out.append(_Entry(address, " ".join((rest, *_paragraph(below)))[:_LINE * 2]))
    return out


def _paragraph(below: list[str]) -> Iterator[str]:
    """Up to the first blank line behind words."""
    begun = False
    for line in below:
        if not line.strip():
            if begun:
                return
            continue
        begun = True
        yield line.strip()


def _leading(line: str) -> tuple[str, str] | None:
    lead = _LEAD.match(line)
    found = _ADDRESS.match(line, lead.end()) if lead else None
    address = _valid(found[0]) if found else None
    return (address, line[found.end():].lstrip(">)]\"':;,. ")) if found and address else None


def _announced(line: str) -> Iterator[tuple[str, str]]:
    for found in _ADDRESS.finditer(line):
        if NAMED.search(line[max(0, found.start() - 80):found.start()]) and (address := _valid(found[0])):
            yield address, line if len(line) < 300 else line[found.end():]
    for x400 in _X400.finditer(line):
        if address := _valid(f"{x400[1]}@{x400[2]}"):
            yield address, ""


def _anywhere(lines: list[str], to: frozenset[str]) -> Iterator[_Entry]:
    for line in [line for line in lines if line.strip()][:_NEAR]:
        if "@" in line and not NOT_A_RECIPIENT.search(line):
            yield from (_Entry(each, line) for each in _in(line) if each.casefold() not in to)


def _bare(dialect: Dialect, lines: list[str], host: str) -> list[str]:
    """AOL leaves out its own domain."""
    found = (_BARE.fullmatch(line) for line in lines) if dialect.bare and host else ()
    return [address for each in found if each and (address := _valid(f"{each[1]}@{host}"))]


def _returned_to(returned: str) -> list[str]:
    """Whom the returned mail was for, if that was one address."""
    found = _RETURNED_TO.search(returned[:_HEAD * 2])
    addresses = _in(found[1]) if found else []
    return addresses if len(addresses) == 1 else []


def _in(text: str) -> list[str]:
    return [address for each in _ADDRESS.finditer(text) if (address := _valid(each[0]))]


def _valid(word: str) -> str | None:
    """An address one can write to; a host without a dot is somebody's own machine."""
    address = valid_address(word.strip(".!?&`´’"))
    return address if address and "." in address.rpartition("@")[2] else None
