"""A mail inside a mail: who wrote it, when, about what, and its words.

``read_forward`` reads the first header block that a mail program wrote above a mail it forwarded: below
"Begin forwarded message:", "---------- Forwarded message ---------", "-----Original Message-----", or
Outlook's bare From/Sent/To/Subject; in the languages of core/quote_words.py, marked with ``>`` or not.

Pure and linear. Limits: a name without an address gives no sender; a date without its zone is only given in
words (``when``), since an hour is missing either way; Lotus Notes' labels without colons are read for the address only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import takewhile
from typing import Final

from gateway.core.address import canonical, is_mailbox
from gateway.core.model import Address, Forwarded
from gateway.core.quote import MOST_LOOKED, announces, is_block, split_reply
from gateway.core.quote_words import FIELD_OF, FORWARD, MOST_LABEL, RULE
from gateway.core.signature import MOST_SHOWN
from gateway.core.subject import header_text

MOST_FIELDS: Final = 40         # lines that a header block may have, blank ones included
MOST_VALUE: Final = 2_000       # characters of one field
MOST_PEOPLE: Final = 100        # addresses that are read of To and Cc each

_EMAIL = re.compile(r"[^\s<>\[\]()\"',;:|*]{1,64}@[^\s<>\[\]()\"',;:|*]{1,255}")
_MAILTO = re.compile(r"[<\[(]?\s*mailto:\s*", re.IGNORECASE)
_MARK = re.compile(r"[>\s]*>\s?")
_FRILLS = " \t\"'*_<>[](),;|\u00ab\u00bb\u201c\u201d\u201e"


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a forward begins, and where its header block does."""

    at: int
    fields: int


def read_forward(text: str) -> Forwarded | None:
    """The mail that ``text`` forwards; None if there is none, or nobody is named as its sender."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    start = _start(lines)
    if start is None:
        return None
    above = split_reply("\n".join(lines[: start.at])).new
    inner = _unquoted(lines, start)
    fields, behind = _fields(inner)
    people = {kind: _people(fields.get(kind, "")) for kind in ("from", "to", "cc")}
    if not people["from"]:
        return None
    when = header_text(fields.get("date", ""))
    return Forwarded(
        sender=people["from"][0], when=when, date=read_date(when), subject=header_text(fields.get("subject", "")),
        body="\n".join(line.rstrip() for line in inner[behind:]).strip("\n"), to=people["to"], cc=people["cc"],
        above=above,
    )


def _start(lines: list[str]) -> _Start | None:
    for i, line in enumerate(lines[:MOST_LOOKED]):
        shown = line[:MOST_SHOWN].strip()
        if not shown:
            continue
        if _is_field(line) and is_block([_bare(each) for each in lines[i : i + 12]], 0):
            return _Start(at=i, fields=i)
        if announces(shown):
            below = next((j for j in range(i + 1, min(len(lines), i + 6)) if lines[j].strip(" >\t")), None)
            if below is not None and (_is_field(lines[below]) or FORWARD.match(shown) or "@" in lines[below]):
                return _Start(at=i, fields=below)
    return None


def _bare(line: str) -> str:
    return _MARK.sub("", line[:MOST_SHOWN], count=1)


def _unquoted(lines: list[str], start: _Start) -> list[str]:
    """The lines of the forward without the marks it was quoted with; it ends where they end."""
    first = lines[start.fields]
    if not first.lstrip().startswith(">"):
        return lines[start.fields :]
    depth = first[: len(first) - len(first.lstrip("> "))].count(">")
    mark = re.compile(rf"\s*(?:>\s?){{1,{depth}}}")
    marked = takewhile(lambda line: not line.strip() or line.lstrip().startswith(">"), lines[start.fields :])
    return [mark.sub("", line, count=1) for line in marked]


def _is_field(line: str) -> bool:
    return _kind(_bare(line), frozenset()) is not None


def _kind(line: str, seen: frozenset[str]) -> str | None:
    head = line[:MOST_LABEL]
    return next((kind for kind, field in FIELD_OF.items() if kind not in seen and field.match(head)), None)


def _fields(lines: list[str]) -> tuple[dict[str, str], int]:
    """The header fields by kind, and the line behind them. Blank lines may stand between fields."""
    found: dict[str, str] = {}
    behind, last, gap = 0, "", False
    for i, line in enumerate(lines[:MOST_FIELDS]):
        shown = line[:MOST_VALUE].strip()
        if not shown or RULE.match(shown):
            gap = True
            continue
        kind = _kind(shown, frozenset(found) - {"other"})
        if kind is not None:
            value = re.split(r"[:：]", shown, maxsplit=1)[1]
            found[kind], last = value.strip().strip("*_|").strip(), kind
        elif not found and "@" in shown:
            found["from"], last = shown, "date"     # Lotus Notes begins with the name
        elif gap or not last or not _goes_on(found.get(last, ""), line, last):
            break
        else:
            found[last] = f"{found.get(last, '')} {shown}".strip()[:MOST_VALUE]
        behind, gap = i + 1, False
    return found, behind


def _goes_on(value: str, line: str, kind: str) -> bool:
    """Whether ``line`` continues a folded field: it is indented, or the value above plainly is not whole."""
    if not value or line[:1] in (" ", "\t") or value[-1:] in (",", ";", "<"):
        return True
    return kind != "subject" and "<" in line and "@" in line


# --- People ---------------------------------------------------------------------------------


def _people(value: str) -> tuple[Address, ...]:
    """The mailboxes in ``value`` however a client writes them: ``Ann <a@b>``, ``Ann [mailto:a@b]``, ``a@b``."""
    plain = _MAILTO.sub("<", value)
    out: dict[str, Address] = {}
    at = 0
    for found in _EMAIL.finditer(plain):
        name = plain[at : found.start()].strip(_FRILLS)
        at = found.end()
        address = canonical(found[0].strip(".'"))
        if is_mailbox(address):
            out.setdefault(address, Address(name=header_text(name, 80), address=address))
        if len(out) == MOST_PEOPLE:
            break
    return tuple(out.values())


# --- Dates ----------------------------------------------------------------------------------

# The first letters of months in English, German, French, Spanish, Italian, Portuguese, Dutch and the North.
_MONTHS: Final = {
    name: number
    for number, names in enumerate((
        "jan ene gen janv", "feb fév fev febr", "mar mär mrt maa märz mars", "apr avr abr", "may mai mag maj mei mayo",
        "jun juin giu", "jul juil lug", "aug aoû ago", "sep set sept", "oct okt out ott", "nov", "dec dez déc dic des",
    ), start=1)
    for name in names.split()
}
_ZONES: Final = {
    "gmt": 0, "utc": 0, "z": 0, "wet": 0, "bst": 60, "cet": 60, "mez": 60, "cest": 120, "mesz": 120, "eet": 120,
    "eest": 180, "msk": 180, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "jst": 540,
}
_ISO = re.compile(r"\b(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\b")
_WORDS = re.compile(
    r"\b(\d{1,2})(?:\.|st|nd|rd|th|er|º)?\s+(?:de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+|del\s+)?(\d{4})\b")
_AMERICAN = re.compile(r"\b([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})\b")
_TIME = re.compile(r"\b(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([ap]\.?m\b)?", re.IGNORECASE)
_ZONE = re.compile(r"(?:\b(?:GMT|UTC)\s*)?([+-])(\d{1,2}):?(\d{2})?\)?(?!\d)|\b([A-Z]{1,4})\b\)?\s*$")


def read_date(words: str) -> datetime | None:
    """The moment that ``words`` name, in UTC; None unless day, time and zone are all plain."""
    shown = words[:200]
    day, time = _day(shown), _TIME.search(shown)
    zone = _ZONE.search(shown[time.end() :]) if time else None
    if day is None or time is None or zone is None:
        return None
    minutes = _ZONES.get((zone[4] or "").lower()) if zone[4] else int(zone[2]) * 60 + int(zone[3] or 0)
    if minutes is None:
        return None
    hour = int(time[1]) % 12 + 12 * (time[4][0] in "pP") if time[4] else int(time[1])
    try:
        offset = timezone(timedelta(minutes=-minutes if zone[1] == "-" else minutes))
        return datetime(*day, hour, int(time[2]), int(time[3] or 0), tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _day(words: str) -> tuple[int, int, int] | None:
    """Year, month, day; all-digit dates only where the year comes first, as the others may be read two ways."""
    if found := _ISO.search(words):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _WORDS.search(words):
        month = _month(found[2])
        return (int(found[3]), month, int(found[1])) if month else None
    if found := _AMERICAN.search(words):
        month = _month(found[1])
        return (int(found[3]), month, int(found[2])) if month else None
    return None


def _month(name: str) -> int:
    folded = name.casefold()
    return next((_MONTHS[folded[:size]] for size in (4, 3) if folded[:size] in _MONTHS), 0)
