"""When a mail says that it was written.

Standards: RFC 5322 §3.3 and §4.3 (obsolete zones), ISO 8601. The standard library reads the regular and most of the
old forms; what mail programs get wrong is first written as it should be.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.mime.text import decode_header

# Zones that programs write by name; RFC 5322 §4.3 knows the North American ones only. Names that stand for
# zones of several countries (IST, CST of China) are not here, but for those that mail means one by.
_ZONES = {
    "wet": "+0000", "west": "+0100", "bst": "+0100", "cet": "+0100", "met": "+0100", "mez": "+0100", "cest": "+0200",
    "mest": "+0200", "mesz": "+0200", "eet": "+0200", "eest": "+0300", "msk": "+0300", "sgt": "+0800", "hkt": "+0800",
    "awst": "+0800", "jst": "+0900", "kst": "+0900", "aest": "+1000", "aedt": "+1100", "nzst": "+1200", "nzdt": "+1300",
}
# By their first letters, as programs write them that take the language of their user.
_MONTHS = {
    "jän": "Jan", "gen": "Jan", "ene": "Jan", "fév": "Feb", "fev": "Feb", "mär": "Mar", "mrz": "Mar", "maa": "Mar", "mrt": "Mar",
    "avr": "Apr", "abr": "Apr", "mai": "May", "mei": "May", "mag": "May", "maj": "May", "giu": "Jun", "juin": "Jun",
    "lug": "Jul", "juil": "Jul", "aoû": "Aug", "ago": "Aug", "set": "Sep", "okt": "Oct", "out": "Oct", "ott": "Oct",
    "dez": "Dec", "déc": "Dec", "dic": "Dec", "des": "Dec",
}
_REGULAR = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} [012]\d:\d\d(?::[0-5]\d)? (?:[+-]\d{4}|GMT)(?: \([A-Z]{3,5}\))?")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]\d{1,9})? ?(Z|UTC|GMT|[+-]\d\d:?\d\d|)(?: ?\(.*\))?")
_OFFSET = re.compile(r"(?:\b(?:GMT|UTC?) ?)?([+-]\d\d):?([0-5]\d)(?= ?(?:\(|\Z))", re.IGNORECASE)
_COMMENT_FIRST = re.compile(r"\([^()]{0,40}\) (?=[+-]\d{4})")
_ZONE = re.compile(r"(?<=\d )\(?([A-Za-z]{3,4})\)?(?=\Z| \d{4}\Z)")
_YEAR_LAST = re.compile(r"(\d\d:\d\d:\d\d) ([+-]\d{4}) (\d{4})\Z")
_HALF_DAY = re.compile(r"\b(\d{1,2})(:\d\d(?::\d\d)?) ?([AP])M\b", re.IGNORECASE)
_MONTH = re.compile(r"(?<=\d )([^\W\d_]{3,10})\.?(?= \d)")
_DAY_NAME = re.compile(r"\A[^\W\d_]{2,12}\.?,? (?=\d{1,2}[. ])")


def date_of(value: bytes) -> datetime | None:
    """RFC 5322 §3.3 date in UTC; None if it is unreadable or outside of what a datetime holds.

    "-0000" and no zone at all are taken for UTC. A leap second is the second before it.
    """
    if len(value) > 256:
        return None
    text = " ".join(decode_header(value).replace('"', "").split())
    usual = text if _REGULAR.fullmatch(text) else _usual(text)
    return _read(usual) or (_read(text) if usual != text else None)


def _read(text: str) -> datetime | None:
    try:
        if iso := _ISO.fullmatch(text):
            zone = {"": "+00:00", "Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00"}.get(iso[3], iso[3])
            at = datetime.fromisoformat(f"{iso[1]}T{iso[2]}{zone}")
        else:
            at = parsedate_to_datetime(text)
        # RFC 5322 §3.3: "-0000" is UTC of an unknown zone.
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _usual(text: str) -> str:
    """``text`` as parsedate_to_datetime reads it right."""
    text = _OFFSET.sub(r"\1\2", text)
    text = _COMMENT_FIRST.sub("", text).replace(":60", ":59")
    text = _HALF_DAY.sub(_whole_day, text)
    text = _ZONE.sub(lambda found: _ZONES.get(found[1].lower(), found[0]), text)
    text = _YEAR_LAST.sub(r"\1 \3 \2", text)
    if not text.isascii() or not re.match(r"(?:mon|tue|wed|thu|fri|sat|sun)", text, re.IGNORECASE):
        text = _DAY_NAME.sub("", text)
    return _MONTH.sub(_english, text)


def _whole_day(found: re.Match[str]) -> str:
    hour = int(found[1])
    if 1 <= hour <= 12:
        hour = hour % 12 + (12 if found[3] in "pP" else 0)
    return f"{hour:02}{found[2]}"


def _english(found: re.Match[str]) -> str:
    word = found[1].lower()
    return _MONTHS.get(word[:4]) or _MONTHS.get(word[:3]) or (found[1] if word.isascii() and len(word) == 3 else word[:3])
