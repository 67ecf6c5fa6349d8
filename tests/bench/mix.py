"""The mail of a busy help desk, seeded: the same ``n`` and ``seed`` give the same octets.

    60 % new tickets, 40 % answers to a ticket of the same customer
    text of 4 KiB; 70 % with an HTML alternative beside it; 20 % not ASCII
    answers: 1 KiB of new text above a quotation; In-Reply-To and References name the customer's first mail
    10 % with a file of 50 KiB (random, 68 KiB on the wire)
    n/5 senders in n/50 domains, each with as many new tickets as the next: budgets are on and not hit

The shares and sizes are those of the mix that the peers were measured with: 15.8 KB a mail.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

QUEUE = "support@acme.example"
LAG = 40    # letters between a ticket and its first answer: more than sessions that send at once
TEXT, NEW_TEXT, FILE = 4096, 1024, 50 * 1024
BEGUN = datetime(2026, 6, 1, 8, tzinfo=UTC)
_WORDS = ["we", "bought", "two", "of", "these", "lamps", "last", "autumn", "and", "one", "has", "gone", "dark", "while", "its", "twin", "works", "could", "you", "tell", "me", "whether", "a", "new", "bulb", "will", "do", "or", "must", "it", "be", "sent", "back", "order", "number", "receipt", "parcel", "courier", "arrived", "broken", "box", "missing", "screw", "manual", "page", "account", "address", "changed", "invoice", "twice", "charged", "refund", "bank", "transfer", "kindly", "look", "into", "this", "thank", "you", "best", "wishes", "from", "all", "of", "us", "at", "office", "third", "floor", "door", "bell", "rings", "phone", "after", "nine", "before", "noon", "any", "day", "is", "fine"]
_FOREIGN = ("schöne Grüße", "déjà vu", "año próximo", "до свидания", "ありがとう", "źródło")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail for the queue. ``answers`` is the Message-ID of the customer's first mail on that ticket."""

    kind: Literal["new", "reply"]
    sender: str
    message_id: str
    raw: bytes
    answers: str | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """What it takes to answer: who wrote the first mail of a ticket, its id and its subject."""

    sender: str
    message_id: str
    subject: str


def letters(n: int, seed: int, *, known: Sequence[Thread] = (), queue: str = QUEUE) -> list[Letter]:
    """``n`` letters. Every second answer goes to a thread of ``known``, tickets that a store has already."""
    writer = _Writer(n, seed, queue)
    dice = writer.dice
    fresh = round(n * 0.6)
    head = min(fresh, LAG + 10)
    rest = ["new"] * (fresh - head) + ["reply"] * (n - fresh)
    dice.shuffle(rest)
    opened: list[Thread] = []
    out: list[Letter] = []
    for number, kind in enumerate(["new"] * head + rest):
        if kind == "new":
            thread, letter = writer.opens(number, len(opened))
            opened.append(thread)
        else:
            old = known and (not len(opened) > LAG or dice.random() < 0.5)
            thread = dice.choice(known if old else opened[:max(1, len(opened) - LAG)])
            letter = writer.answers(number, thread)
        out.append(letter)
    return out


def flood(n: int, seed: int, queue: str = QUEUE) -> list[Letter]:
    """The same mix with one sender who does not stop."""
    writer = _Writer(n, seed, queue)
    writer.customers = writer.customers[:1]
    return [writer.opens(number, number)[1] for number in range(n)]


class _Writer:
    def __init__(self, n: int, seed: int, queue: str) -> None:
        self.dice, self.seed, self.queue = random.Random(seed), seed, queue
        many = max(1, n // 5)
        self.customers = [f"c{i}@d{i // 10}.s{seed}.example" for i in range(many)]
        self.dice.shuffle(self.customers)
        self.lines = [self._line() for _ in range(1500)]
        self.with_html = self._share(n, 0.7)
        self.with_file = self._share(n, 0.1)
        self.foreign = self._share(n, 0.2)

    def _share(self, n: int, share: float) -> set[int]:
        return set(self.dice.sample(range(n), round(n * share)))

    def _line(self) -> str:
        line = ""
        while len(line) < 66:
            line += self.dice.choice(_WORDS) + " "
        return line.rstrip() + ("." if self.dice.random() < 0.2 else "")

    def _text(self, size: int, foreign: bool) -> list[str]:
        out: list[str] = []
        while size > 0:
            line = self.dice.choice(self.lines)
            if foreign and self.dice.random() < 0.3:
                line += " " + self.dice.choice(_FOREIGN)
            out.append(line)
            size -= len(line) + 2
        return out

    def opens(self, number: int, ordinal: int) -> tuple[Thread, Letter]:
        sender = self.customers[ordinal % len(self.customers)]
        subject = " ".join(self.dice.choices(_WORDS, k=6)).capitalize() + f" ({number})"
        text = self._text(TEXT, number in self.foreign)
        message_id, raw = self._mail(number, sender, subject, text, None)
        return Thread(sender, message_id, subject), Letter("new", sender, message_id, raw)

    def answers(self, number: int, thread: Thread) -> Letter:
        quoted = [f"> {line}" for line in self._text(TEXT - NEW_TEXT - 200, foreign=False)]
        text = [*self._text(NEW_TEXT, number in self.foreign), "", "On Mon, 1 Jun 2026 at 10:00, Support wrote:", *quoted]
        message_id, raw = self._mail(number, thread.sender, f"Re: {thread.subject}", text, thread.message_id)
        return Letter("reply", thread.sender, message_id, raw, thread.message_id)

    def _mail(self, number: int, sender: str, subject: str, text: list[str], answers: str | None) -> tuple[str, bytes]:
        """Message-ID and octets; written by hand, since the email package takes 3 ms a mail."""
        message_id = f"<{number}.{self.dice.getrandbits(60):x}@mua.s{self.seed}.example>"
        date = format_datetime(BEGUN + timedelta(seconds=41 * number))
        ids = f"In-Reply-To: {answers}\r\nReferences: {answers}\r\n" if answers else ""
        head = (
            f"Received: from mua.example (mua.example [192.0.2.{number % 250}]) by mx.acme.example with ESMTPS\r\n"
            f" id {self.dice.getrandbits(44):X} for <{self.queue}>; {date}\r\n"
            f"Message-ID: {message_id}\r\nDate: {date}\r\nFrom: \"Customer {sender.partition('@')[0]}\" <{sender}>\r\n"
            f'To: "Support" <{self.queue}>\r\nSubject: {subject}\r\n{ids}'
            "User-Agent: Mozilla Thunderbird\r\nContent-Language: en-GB\r\nMIME-Version: 1.0\r\n"
        )
        charset, coding = ("utf-8", "8bit") if number in self.foreign else ("us-ascii", "7bit")
        body = _leaf(f"text/plain; charset={charset}", coding, "\r\n".join(text) + "\r\n")
        if number in self.with_html:
            html = _leaf(f"text/html; charset={charset}", coding, _html(text))
            body = _multipart("alternative", f"=_alt_{number}", [body, html])
        if number in self.with_file:
            file = base64.encodebytes(self.dice.randbytes(FILE)).decode().replace("\n", "\r\n")
            name = f'application/octet-stream; name="scan-{number}.bin"\r\nContent-Disposition: attachment; filename="scan-{number}.bin"'
            body = _multipart("mixed", f"=_mix_{number}", [body, _leaf(name, "base64", file)])
        return message_id, (head + body).encode()


def _html(text: list[str]) -> str:
    rows = (
        f"<p class=\"t\">{line.replace('>', '&gt;')}</p>" if n % 8 else f"<p><b>{line.replace('>', '&gt;')}</b> <a href=\"https://www.example/{n}\">more</a></p>"
        for n, line in enumerate(text)
    )
    return "<html><head><style>p { margin: 0 }</style></head><body>\r\n" + "\r\n".join(rows) + "\r\n</body></html>\r\n"


def _leaf(kind: str, coding: str, body: str) -> str:
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n{body}"


def _multipart(kind: str, boundary: str, parts: list[str]) -> str:
    inner = "".join(f"--{boundary}\r\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{inner}--{boundary}--\r\n'
