"""Points in time and spans of time, as people write them in a command.

    when  = "+" number unit / weekday [time] / today|tomorrow [time] / date [time] / "none"
    unit  = m h d w bd        and their words in English and German; bd are business days
    time  = 9 / 9:00 / 14h / 9 Uhr
    date  = 2026-12-24 / 2026-12-24T09:00 / 24.12. / 24.12.2026

``read_when`` gives the one form that others read, ``resolve`` the moment, by the clock of the writer's own Date
(an offset from UTC in minutes). Limits: an offset is no zone, so a summer time that begins before the moment
moves it by an hour. Business time is Monday to Friday, 9 to 17, without holidays: ``add_business`` is the one
place that calendars (issue D) are to replace.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal

OPENS: Final = time(9, 0)
CLOSES: Final = time(17, 0)
FARTHEST: Final = timedelta(days=3653)
MOST_MINUTES: Final = 100_000       # of one working time: 208 days of 8 hours

_UNITS: Final[dict[str, tuple[str, ...]]] = {
    "m": ("m", "min", "mins", "minute", "minutes", "minuten"),
    "h": ("h", "hr", "hrs", "hour", "hours", "std", "stunde", "stunden"),
    "d": ("d", "day", "days", "t", "tag", "tage", "tagen"),
    "w": ("w", "week", "weeks", "woche", "wochen"),
    "bd": ("bd", "business day", "business days", "at", "werktag", "werktage", "arbeitstag", "arbeitstage"),
}
_UNIT: Final = {word: unit for unit, words in _UNITS.items() for word in words}
_DAYS: Final[dict[str, tuple[str, ...]]] = {
    "mon": ("mo", "monday", "montag"), "tue": ("tu", "di", "tues", "tuesday", "dienstag"),
    "wed": ("we", "mi", "wednesday", "mittwoch"), "thu": ("th", "do", "thur", "thurs", "thursday", "donnerstag"),
    "fri": ("fr", "friday", "freitag"), "sat": ("sa", "saturday", "samstag", "sonnabend"),
    "sun": ("su", "so", "sunday", "sonntag"), "today": ("heute",), "tomorrow": ("morgen",),
    "overmorrow": ("übermorgen",),
}
_DAY: Final = {word: day for day, words in _DAYS.items() for word in (day, *words)}
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NOTHING: Final = ("none", "never", "-", "nie", "keine", "keiner")

_AFTER = re.compile(r"\+?\s*([0-9]{1,5})\s*([a-zäöü][a-zäöü ]{0,14})")
_TIME = re.compile(r"(?:at |um )?([01]?[0-9]|2[0-3])(?::([0-5][0-9]))?\s*(?:h|uhr)?")
_ISO = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[t ]+(.+))?")
_GERMAN = re.compile(r"([0-9]{1,2})\.\s?([0-9]{1,2})\.(?:\s?([0-9]{4}))?(?:\s+(.+))?")
_UNTIL = re.compile(r"(?:until|till|bis(?: zum)?)\s+")
_SPAN = re.compile(r"(?:([0-9]{1,5}(?:[.,][0-9]{1,2})?)\s*(?:h|hr|hrs|hours?|std|stunden?)\.?)?\s*(?:([0-9]{1,6})\s*(?:m|min|mins|minutes?|minuten?)?\.?)?")
VALID: Final = "write +2d, +4h, +2bd (business days), fri, tomorrow 9:00 or 2026-12-24"


def read_when(value: str) -> str:
    """The canonical words of a moment; 'none' for no moment. Raises ValueError with what would be valid."""
    text = " ".join(_UNTIL.sub("", value.strip().casefold(), count=1).replace(",", " ").split())
    if text in NOTHING:
        return "none"
    found = _after(text) or _named(text) or _dated(text)
    if found is None:
        raise ValueError(VALID)
    return found


def _after(text: str) -> str | None:
    shape = _AFTER.fullmatch(text)
    unit = _UNIT.get(shape.group(2).strip()) if shape else None
    return f"+{int(shape.group(1))}{unit}" if shape and unit else None


def _named(text: str) -> str | None:
    word, _, clock = text.partition(" ")
    day = _DAY.get(word.rstrip("."))
    if day is None:
        return None
    if not clock:
        return day
    at = _clock(clock)
    return f"{day} {at}" if at else None


def _dated(text: str) -> str | None:
    iso, german = _ISO.fullmatch(text), _GERMAN.fullmatch(text)
    if iso is not None:
        year, month, day, clock = iso.groups()
    elif german is not None:
        day, month, year, clock = german.groups()
    else:
        return None
    at = _clock(clock) if clock else ""
    try:
        # A leap day, so that 29.2. without a year passes; which year is found when it is resolved.
        date(int(year or 2024), int(month), int(day))
    except ValueError:
        return None
    if at is None:
        return None
    return f"{year or '----'}-{int(month):02}-{int(day):02} {at}".strip()


def _clock(text: str) -> str | None:
    shape = _TIME.fullmatch(text)
    return f"{int(shape.group(1)):02}:{shape.group(2) or '00'}" if shape else None


def resolve(words: str, at: datetime, offset: int, *, end: Literal["morning", "evening"]) -> datetime | None:
    """The moment in UTC that ``read_when``'s words mean at ``at``, for a writer ``offset`` minutes east of UTC.

    A day without a time begins or ends with its work. None for 'none'. Raises ValueError for a moment that is
    past, does not exist, or is more than ten years away.
    """
    if words == "none":
        return None
    here = timedelta(minutes=offset)
    local = at.astimezone(UTC).replace(tzinfo=None) + here
    if words.startswith("+"):
        found = _later(local, words)
    else:
        day, _, clock = words.partition(" ")
        hour = time.fromisoformat(clock) if clock else (OPENS if end == "morning" else CLOSES)
        found = datetime.combine(_day(day, local.date()), hour)
    if found <= local:
        raise ValueError(f"{found:%Y-%m-%d %H:%M} is past")
    if found - local > FARTHEST:
        raise ValueError("that is more than ten years away")
    return (found - here).replace(tzinfo=UTC, second=0, microsecond=0)


def _later(local: datetime, words: str) -> datetime:
    number = int(re.sub(r"\D", "", words))
    unit = words.lstrip("+0123456789")
    if unit == "bd":
        return add_business(local, min(number, 5000))
    span = {"m": timedelta(minutes=number), "h": timedelta(hours=number), "d": timedelta(days=number),
            "w": timedelta(weeks=min(number, 5000))}
    return local + span[unit]


def _day(word: str, today: date) -> date:
    ahead = {"today": 0, "tomorrow": 1, "overmorrow": 2}.get(word)
    if ahead is None and word in _WEEK:
        ahead = (_WEEK.index(word) - today.weekday() - 1) % 7 + 1     # always after today
    if ahead is not None:
        return today + timedelta(days=ahead)
    year, month, day = word.rsplit("-", 2)
    if year != "----":
        return date(int(year), int(month), int(day))
    years = (date(y, int(month), int(day)) for y in range(today.year, today.year + 9) if _exists(y, int(month), int(day)))
    return next(d for d in years if d > today)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def add_business(local: datetime, days: int) -> datetime:
    """``days`` business days later, at the same hour or the nearest working one. To be replaced by calendars."""
    found = local
    while days > 0 or found.weekday() > 4:
        found += timedelta(days=1)
        days -= found.weekday() < 5
    clock = min(max(found.time(), OPENS), CLOSES)
    return datetime.combine(found.date(), clock)


def read_span(value: str) -> int:
    """Minutes of ``30m``, ``2h``, ``1h30``, ``1:30``, ``1,5h``; a bare number is minutes. Raises ValueError."""
    text = value.strip().casefold()
    colon = re.fullmatch(r"([0-9]{1,4}):([0-5][0-9])", text)
    shape = _SPAN.fullmatch(text)
    if colon:
        minutes = int(colon.group(1)) * 60 + int(colon.group(2))
    elif text and shape and any(shape.groups()):
        hours = float((shape.group(1) or "0").replace(",", "."))
        minutes = round(hours * 60) + int(shape.group(2) or 0)
    else:
        raise ValueError("write minutes or hours: 30m, 2h, 1h30m, 1:30")
    if minutes > MOST_MINUTES:
        raise ValueError(f"at most {MOST_MINUTES} minutes at once")
    return minutes


def span(minutes: int) -> str:
    """``1h 30m``, for people."""
    hours, rest = divmod(abs(minutes), 60)
    words = " ".join(w for w in (f"{hours}h" if hours else "", f"{rest}m" if rest or not hours else "") if w)
    return f"-{words}" if minutes < 0 else words


def offset_of(header: str) -> int:
    """Minutes east of UTC in a Date header (RFC 5322 §3.3); 0 if it names none, or none that exists."""
    found = re.search(r"([+-])(\d\d):?([0-5]\d)\s*(?:\([^()]*\)\s*)?\Z", header[:256])
    if found is None:
        return 0
    minutes = int(found.group(2)) * 60 + int(found.group(3))
    return (minutes if found.group(1) == "+" else -minutes) if minutes <= 14 * 60 else 0
