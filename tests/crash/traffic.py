"""Mail without pause, from senders that do what RFC 5321 asks: who got no answer sends the same again.

Every letter has a sender and a Message-ID of its own, so that its effects can be counted afterwards.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from tests.crash.process import DESK, Books, Lost, Peer, Site, wire

SENDERS = 3
PAUSE = 0.015       # seconds between two mails of a sender: kills shall meet work, not a growing queue
GIVES_UP = 0.1      # share of the lost answers after which a sender never comes again


@dataclass
class Letter:
    """One mail and what its sender knows of it."""

    number: int
    sender: str
    message_id: str
    raw: bytes
    answers: Letter | None = None
    copies: int = 0             # second copies that were accepted
    fate: Literal["writing", "accepted", "given up"] = "writing"


@dataclass
class Traffic:
    """``begin`` sends until ``end``, which waits until every letter has its fate."""

    site: Site
    seed: int
    letters: list[Letter] = field(default_factory=list)
    deliveries: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._acknowledged: dict[str, str] = {}     # sender -> Message-ID of our acknowledgement
        self._seen: set[str] = set()
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    # --- A sender ---

    def _send(self, number: int) -> None:
        dice = random.Random(f"{self.seed} {number}")
        peer: Peer | None = None
        mine: list[Letter] = []
        try:
            while not self._over.is_set():
                peer = self._one(dice, number, mine, peer)
                time.sleep(PAUSE)
        except BaseException as error:
            self._failure = error
        finally:
            if peer is not None:
                peer.close()

    def _one(self, dice: random.Random, number: int, mine: list[Letter], peer: Peer | None) -> Peer | None:
        """One more mail of sender ``number``: new, an answer, the same again, or a second copy."""
        known = [letter for letter in mine if letter.fate == "accepted"]
        what = dice.choices(("new", "answer", "again", "copy"), (60, 25, 10, 5))[0]
        if what in ("again", "copy") and known:
            letter = dice.choice(known[-20:])
            if what == "again":
                return self._deliver(dice, letter, letter.sender, letter.raw, peer)[1]
            # As by a mailing list: other hops, another return path, the same mail.
            raw = f"Received: from list.example by mx.example; copy {self.deliveries}\r\n".encode() + letter.raw
            accepted, peer = self._deliver(dice, letter, "list@lists.example", raw, peer)
            letter.copies += accepted
            return peer
        parent = self._answerable(dice, mine) if what == "answer" else None
        letter = self.write(number, parent)
        mine.append(letter)
        accepted, peer = self._deliver(dice, letter, letter.sender, letter.raw, peer)
        letter.fate = "accepted" if accepted else "given up"
        return peer

    def _deliver(
        self, dice: random.Random, letter: Letter, mail_from: str, raw: bytes, peer: Peer | None
    ) -> tuple[bool, Peer | None]:
        """Whether it got its 250; from then on the gateway answers for it."""
        while True:
            try:
                peer = peer or Peer(self.site.port)
            except Lost:
                time.sleep(0.02)
                continue
            try:
                peer.deliver(mail_from, DESK, raw)
            except Lost:
                peer = None
                with self._lock:
                    self.lost += 1
                if letter.fate != "accepted" and dice.random() < GIVES_UP:
                    return False, None
            else:
                with self._lock:
                    self.deliveries += 1
                return True, peer

    def write(self, number: int, parent: Letter | None) -> Letter:
        """A letter that is yet to be sent; with ``parent`` it answers our acknowledgement of that one."""
        with self._lock:
            count = len(self.letters) + 1
            sender = parent.sender if parent else f"c{count}@d{count}.example"
            message_id = f"<{count}.{number}@mua.example>"
            ids = ""
            if parent:
                ack = self._acknowledged[parent.sender]
                ids = f"In-Reply-To: {ack}\nReferences: {parent.message_id} {ack}\n"
            raw = wire(
                f"From: Customer {count} <{sender}>\nTo: {DESK}\nSubject: Matter {count}\nMessage-ID: {message_id}\n"
                f"Date: Mon, 23 Nov 2026 10:00:00 +0000\n{ids}\nThis is number {count}.\n.\nThe end.\n".encode()
            )
            letter = Letter(number=count, sender=sender, message_id=message_id, raw=raw, answers=parent)
            self.letters.append(letter)
            return letter

    def _answerable(self, dice: random.Random, mine: list[Letter]) -> Letter | None:
        """A letter that opened a ticket and whose acknowledgement has come."""
        self.fetch()
        with self._lock:
            found = [one for one in mine if one.answers is None and one.sender in self._acknowledged]
        return dice.choice(found) if found else None

    def fetch(self) -> None:
        """Read the mail that came since the last time."""
        if not self.site.world.is_dir():
            return
        names = {path.name for path in self.site.world.iterdir()}
        with self._lock:
            fresh, self._seen = names - self._seen, self._seen | names
        for name in fresh:
            head = (self.site.world / name).read_bytes().partition(b"\r\n\r\n")[0].decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line and line[0] not in " \t")
            with self._lock:
                self._acknowledged[fields["Delivered-To"]] = fields["Message-ID"]

    # --- The reckoning ---

    def assert_once(self, books: Books) -> None:
        """Every accepted letter has its effect exactly once; one that was given up at most once."""
        effects = books.rows(
            "SELECT i.rfc_id, i.message, m.ticket, list(e.kind ORDER BY e.seq), list(e.ticket ORDER BY e.seq)"
            " FROM mail_id i JOIN message m ON m.id = i.message"
            " LEFT JOIN event e ON e.message = m.id AND e.kind <> 'copy' WHERE i.role = 'self' GROUP BY ALL"
        )
        found: dict[str, list[tuple[int, int, list[str], list[int]]]] = {}
        for rfc_id, *effect in effects:
            found.setdefault(rfc_id, []).append(tuple(effect))
        wrong: list[str] = []
        tickets: dict[int, int] = {}
        for letter in self.letters:
            got = found.pop(letter.message_id.strip("<>"), [])
            wanted = "customer_reply" if letter.answers else "created"
            most, least = 1, letter.fate == "accepted"
            if not least <= len(got) <= most or any(g[2] != [wanted] or g[3] != [g[1]] for g in got):
                wrong.append(f"letter {letter.number} ({letter.fate}, {wanted}): {got}")
            for one in got:
                tickets[letter.number] = one[1]
        assert not wrong, wrong[:10]
        assert not found, "effects of letters nobody wrote"
        astray = [
            letter.number for letter in self.letters if letter.answers and letter.number in tickets
            and tickets[letter.number] != tickets[letter.answers.number]
        ]
        assert not astray, "answers on another ticket than the one they answer"
        self._assert_answered(books, tickets)

    def _assert_answered(self, books: Books, tickets: dict[int, int]) -> None:
        """One acknowledgement a ticket, to its requester; one notice a letter, to the agent; nothing else."""
        opened = {tickets[one.number]: one.sender for one in self.letters if one.number in tickets and not one.answers}
        acks = books.rows("SELECT ticket, rcpt_to FROM outbox WHERE kind = 'ack' ORDER BY ticket")
        assert acks == sorted(opened.items())
        notices = books.rows("SELECT ticket, rcpt_to FROM outbox WHERE kind <> 'ack' ORDER BY ticket")
        assert notices == [(ticket, "anna@acme.example") for ticket in sorted(tickets.values())]
        assert [t for (t,) in books.rows("SELECT id FROM ticket ORDER BY id")] == sorted(opened)
        assert books.rows("SELECT count(*), count(ticket) FROM message") == [(len(tickets), len(tickets))]
        copies = sum(one.copies for one in self.letters)
        assert books.rows("SELECT count(*) FROM event WHERE kind = 'copy'") == [(copies,)]
