"""Conversations of an archive, for ``import``: mails that name each other, or a common ancestor.

Standards: RFC 5322 §3.6.4. Union-find over Message-ID, In-Reply-To and References, ids of mails
that are not in the archive included. The order of the mails changes the numbers, never the groups.
Time is linear in the number of ids, for practical purposes.

By subject only if it is asked for, and guarded: a reply without any id joins the newest mail of the same
subject within 30 days whose writer or receivers it answers.

Limits: an archive is taken at its word, there is no proof of participation here. An id without
``@`` is an id, too: ``<yes>``, typed at the prompt of a program, joins its typist's series, and in
one archive out of many would join two typists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_SHORTEST = 3       # "<1>" or "<y>" is no id of anything
SUBJECT_DAYS: Final = timedelta(days=30)
SHORTEST_SUBJECT: Final = 5     # "Re: Hi" is the subject of many
CLOCKS: Final = timedelta(days=1)   # how far a clock, or a mail that waited to be sent, may be off
OLDEST: Final = datetime(1971, 1, 1, tzinfo=UTC)    # what is older was written by a clock without a battery


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What ties one mail to others. ``ref`` is its Message-ID, or any text unique to it if it has none."""

    ref: str
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a subject is judged by. ``base`` is the base subject (RFC 5256 §2.1), ``people`` are From, To and Cc."""

    ref: str
    at: datetime
    base: str
    answers: bool       # a reply by its prefix that names no mail
    sender: str
    people: frozenset[str]


class Conversations:
    """Groups that grow mail by mail; only the ids are kept."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._parent: list[int] = []

    def add(self, mail: Keys) -> int:
        """The mail's place, for ``root`` once all are in."""
        own = self._at(mail.ref)
        for other in (*mail.references, *mail.in_reply_to):
            if _is_id(other):
                self._join(self._at(other), own)
        return own

    def join(self, ref: str, other: str) -> None:
        self._join(self._at(ref), self._at(other))

    def root(self, place: int) -> int:
        """What all mails of its conversation have in common."""
        parent = self._parent
        while parent[place] != place:   # paths are halved on the way, which keeps them short
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def _at(self, ref: str) -> int:
        place = self._place.setdefault(ref, len(self._parent))
        if place == len(self._parent):
            self._parent.append(place)
        return place

    def _join(self, one: int, other: int) -> None:
        self._parent[self.root(one)] = self.root(other)


def conversations(keys: Sequence[Keys]) -> list[int]:
    """The conversation of each mail: 0, 1, … in the order in which they first appear."""
    groups = Conversations()
    places = [groups.add(mail) for mail in keys]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(groups.root(place), len(numbers)) for place in places]


def by_subject(letters: Iterable[Letter]) -> Iterator[tuple[str, str]]:
    """Pairs of mails that their subjects tie, under the guard above. ``letters`` in any order."""
    latest: dict[str, list[Letter]] = {}
    for letter in sorted(letters, key=lambda one: (one.at, one.ref)):
        if len(letter.base) < SHORTEST_SUBJECT:
            continue
        before = latest.setdefault(letter.base, [])
        before[:] = [one for one in before if letter.at - one.at <= SUBJECT_DAYS]
        if letter.answers:
            known = next((one for one in reversed(before) if letter.sender in one.people and one.sender in letter.people), None)
            if known is not None:
                yield letter.ref, known.ref
        before.append(letter)


def own_time(
    date: datetime | None, first_hop: datetime | None, last_hop: datetime | None, given: datetime | None, now: datetime
) -> datetime | None:
    """When a mail was sent: its Date, unless the servers that it passed know better. None if nobody knows.

    ``first_hop`` and ``last_hop`` are the oldest and the newest Received; ``given`` is what the archive says of it.
    No mail is written after it arrived, and one that was written offline counts from when it was sent.
    """
    date, first_hop, last_hop, given = (_sane(time, now) for time in (date, first_hop, last_hop, given))
    if date is None:
        return last_hop or given
    if last_hop is not None and date > last_hop:
        return last_hop
    return first_hop if first_hop is not None and first_hop - date > CLOCKS else date


def _sane(time: datetime | None, now: datetime) -> datetime | None:
    return None if time is None or not OLDEST <= time <= now + CLOCKS else min(time, now)


def _is_id(text: str) -> bool:
    """RFC 5322 asks for an ``@``, but real series hang together by ids without one (measured)."""
    return len(text) >= _SHORTEST and not any(map(str.isspace, text))
