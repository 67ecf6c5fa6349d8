"""The first look at archives: where each mail stands, when it was sent, which conversation it belongs to.

Only headers are read, in this process, and of them only numbers are kept: some 300 octets a mail, so the index
of a million mails is far smaller than their bodies, which are read in the second look, conversation by
conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.core.conversation import Conversations, Letter, by_subject, own_time
from gateway.edge.archive import Archives, Place, Unreadable
from gateway.mime.archive_head import Head, head_of, people_of, subject_of

PIECE_MAILS = 1_000                 # of one conversation that are decided at once
PIECE_BYTES = 48 * 1024 * 1024      # what they may weigh together


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One mail at the second look. ``at`` is None if nothing says when it was sent."""

    raw: bytes
    at: datetime | None
    sent: bool
    origin: str


class Index:
    """Grows by ``take``; then ``conversations`` gives them in the order in which they began."""

    def __init__(self, archives: Archives, now: datetime, *, subject: bool = False, ids: bool = False) -> None:
        self.archives, self.now = archives, now
        self.unreadable: list[Unreadable] = []
        self.ids: list[str | None] | None = [] if ids else None     # Message-IDs, for a dry run
        self._letters: list[Letter] | None = [] if subject else None
        self._groups = Conversations()
        self._places: list[Place] = []
        self._nodes: list[int] = []         # place of the mail in _groups
        self._at: list[float] = []          # Unix seconds, -1: unknown
        self._sent: set[int] = set()        # nodes of which a copy lay in a Sent folder

    def __len__(self) -> int:
        return len(self._places)

    def take(self, found: Place | Unreadable) -> None:
        """One mail more. What cannot be read is kept in ``unreadable``, with its reason."""
        if isinstance(found, Unreadable):
            self.unreadable.append(found)
            return
        name = self.origin(found)
        try:
            head = head_of(self.archives.read(found))
        except OSError as error:
            self.unreadable.append(Unreadable(name=name, why=f"cannot be read: {error.strerror or error}"))
            return
        if head is None:
            self.unreadable.append(Unreadable(name=name, why="no mail: it has no header"))
            return
        given = datetime.fromtimestamp(found.given, UTC) if found.given else None
        at = own_time(head.date, *head.hops, given, self.now)
        node = self._groups.add(head.keys)
        self._places.append(found)
        self._nodes.append(node)
        self._at.append(at.timestamp() if at is not None else -1)
        if self.archives.sources[found.source].sent:
            self._sent.add(node)
        if self.ids is not None:
            self.ids.append(head.message_id)
        if self._letters is not None:
            self._letters.append(_letter(head, at or self.now))

    def numbers(self) -> list[int]:
        """The conversation of each mail: 0, 1, … in the order in which they first appear."""
        self._by_subject()
        numbers: dict[int, int] = {}
        return [numbers.setdefault(self._groups.root(node), len(numbers)) for node in self._nodes]

    def conversations(self) -> Iterator[list[int]]:
        """The mails of each, oldest first; a very large one comes in pieces."""
        numbers = self.numbers()
        order = sorted(range(len(numbers)), key=lambda n: (self._at[n] if self._at[n] >= 0 else self.now.timestamp(), n))
        found: dict[int, list[int]] = {}
        for mail in order:
            found.setdefault(numbers[mail], []).append(mail)
        for mails in found.values():
            yield from self._pieces(mails)

    def look(self, mail: int) -> Look:
        """The mail itself. OSError if its file has gone."""
        place, at = self._places[mail], self._at[mail]
        return Look(
            raw=self.archives.read(place), at=datetime.fromtimestamp(at, UTC) if at >= 0 else None,
            sent=self._nodes[mail] in self._sent, origin=self.origin(place),
        )

    def weight(self, mail: int) -> int:
        return self._places[mail].end - self._places[mail].start

    def origin(self, place: Place) -> str:
        name = self.archives.sources[place.source].name
        return f"{name} at {place.start}" if place.boxed else name

    def _pieces(self, mails: list[int]) -> Iterator[list[int]]:
        piece: list[int] = []
        octets = 0
        for mail in mails:
            if piece and (len(piece) >= PIECE_MAILS or octets + self.weight(mail) > PIECE_BYTES):
                yield piece
                piece, octets = [], 0
            piece.append(mail)
            octets += self.weight(mail)
        yield piece

    def _by_subject(self) -> None:
        for one, other in by_subject(self._letters or ()):
            self._groups.join(one, other)
        self._letters = None


def _letter(head: Head, at: datetime) -> Letter:
    base, answers = subject_of(head)
    sender, people = people_of(head)
    return Letter(ref=head.keys.ref, at=at, base=base, answers=answers, sender=sender, people=people)
