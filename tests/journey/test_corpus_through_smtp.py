"""Thousands of real mails through the real door: none is lost, changed, decided twice, or stops the next one.

The mails are other projects' test suites, read in place where they are present and never copied.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.edge.archive import Archives, Place
from gateway.mime.parse import parse
from tests.crash.process import DESK, Books, Peer, Site

CORPUS = Path(os.environ.get("MAILWICKET_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
THREADS = CORPUS / "threads"
CONNECTIONS = 4
SAME = ("ticket", "ticket_text", "person", "participant", "message", "attachment", "mail_id", "addressee", "event", "outbox", "delivery")

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not THREADS.is_dir(), reason=f"no mail corpus at {CORPUS}; set MAILWICKET_CORPUS"),
]


@dataclass(frozen=True)
class Delivered:
    """What went over the wire: spool id from the 250 -> sha256 of the mail as sent."""

    sent: dict[str, str]
    rate: float             # 250s a second
    decided: float          # mails a second until the last one was committed and its answers were sent
    seconds: float


@dataclass(frozen=True)
class Corpus:
    """The desk after everything was delivered, and after the threads' files were delivered once more; it is stopped."""

    site: Site
    mails: list[bytes]          # the threads' files, those of the other suites, those of the mailboxes
    files: int
    first: Delivered
    again: Delivered
    after_first: dict[str, str]
    after_again: dict[str, str]
    log: tuple[Counter[str], ...]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    files = sorted(THREADS.rglob("*.eml"))
    others = sorted(file for file in CORPUS.rglob("*.eml") if THREADS not in file.parents)
    with tempfile.TemporaryDirectory() as scratch, contextlib.closing(Archives(Path(scratch))) as archives:
        found = archives.scan([*files, *others, *sorted(THREADS.rglob("*.mbox"))])
        mails = [_wire(archives.read(place)) for place in found if isinstance(place, Place)]
    site = Site(tmp_path_factory.mktemp("corpus"))
    try:
        first, after_first, log_first = _deliver(site, mails)
        again, after_again, log_again = _deliver(site, mails[: len(files)])
        for name, run in (("first", first), ("again", again)):
            print(f"\n{name}: {len(run.sent)} mails in {run.seconds:.1f} s, {run.rate:.0f}/s accepted, {run.decided:.0f}/s decided and answered")
        yield Corpus(site, mails, len(files), first, again, after_first, after_again, (log_first, log_again))
    finally:
        site.abandon()


def _wire(raw: bytes) -> bytes:
    """Line ends as SMTP wants them (RFC 5321 §2.3.8), written here once more so as not to trust the sender."""
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(line.removesuffix(b"\r") + b"\r\n" for line in lines)


def _deliver(site: Site, mails: list[bytes]) -> tuple[Delivered, dict[str, str], Counter[str]]:
    site.start()
    site.ready()
    begun = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as senders:
        sent = dict(pair for part in senders.map(lambda n: _send(site.port, mails[n::CONNECTIONS]), range(CONNECTIONS)) for pair in part)
    accepted = time.monotonic() - begun
    site.quiet()
    took = time.monotonic() - begun
    site.stop()
    log = Counter(row["level"] for event in ("mail", "batch_failed", "unsendable", "unreadable") for row in site.said(event))
    with site.books() as books:
        state = {table: _hash(books, table) for table in SAME}
    return Delivered(sent, len(sent) / accepted, len(sent) / took, took), state, log


def _send(port: int, mails: list[bytes]) -> list[tuple[str, str]]:
    peer = Peer(port)
    try:
        return [(peer.deliver("sender@peer.example", DESK, raw), hashlib.sha256(raw).hexdigest()) for raw in mails]
    finally:
        peer.close()


def _hash(books: Books, table: str) -> str:
    found = hashlib.sha256()
    for row in books.rows(f"SELECT * FROM {table} ORDER BY ALL"):
        found.update(repr(row).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def test_every_mail_is_kept_as_it_was_sent(corpus: Corpus) -> None:
    assert corpus.files > 2000
    assert len(corpus.mails) > corpus.files
    with corpus.site.books() as books:
        stored = list(books.raw())
    assert len(stored) == len(corpus.first.sent) + len(corpus.again.sent) == len(corpus.mails) + corpus.files
    assert dict(stored) == corpus.first.sent | corpus.again.sent


def test_every_mail_is_decided_exactly_once(corpus: Corpus) -> None:
    with corpus.site.books() as books:
        processed = books.rows("SELECT spool_id FROM processed ORDER BY 1")
        books.assert_spool_told(corpus.site.state / "spool")
        lost = books.rows(
            "SELECT spool_id FROM processed WHERE message IS NULL OR message NOT IN (SELECT id FROM message)"
        )
    assert processed == [(spool_id,) for spool_id in sorted(corpus.first.sent | corpus.again.sent)]
    assert not lost, "every decision names the message that holds the mail"


def test_no_mail_stops_a_parser_or_a_batch(corpus: Corpus) -> None:
    """Nothing above level info is logged, and where no text was stored there is none to read."""
    assert corpus.log == (Counter(info=len(corpus.mails)), Counter(info=corpus.files))
    with corpus.site.books() as books:
        empty: list[bytes] = []
        for month in books.store.files.mail_seq:
            empty += [raw for (raw,) in books.rows(
                f'SELECT r.bytes FROM "mail-{month}".message_text t JOIN message m ON m.id = t.message'
                f' JOIN "mail-{month}".raw r ON r.spool_id = m.spool_id WHERE t.whole_text = \'\''
            )]
    assert not [raw[:200] for raw in empty if parse(raw).text]


def test_tickets_are_the_fold_of_their_events_and_as_many_as_can_be(corpus: Corpus) -> None:
    with corpus.site.books() as books:
        tickets = books.assert_folded()
        books.assert_seq_unbroken()
        books.assert_sent_once(corpus.site.sent())
        kinds = dict(books.rows("SELECT kind, count(*) FROM event GROUP BY kind"))
        homeless = books.rows("SELECT mail_class, count(*) FROM message WHERE ticket IS NULL GROUP BY mail_class")
        (speaking,) = books.rows("SELECT count(*) FROM message WHERE ticket IS NOT NULL")[0]
    print(f"\n{tickets} tickets; events {kinds}; without a ticket {dict(homeless)}")
    assert kinds["created"] == tickets
    assert speaking == kinds["created"] + kinds.get("customer_reply", 0) + kinds.get("machine_mail", 0)
    assert "human" not in dict(homeless), "what a person wrote has a ticket"
    assert tickets > 100


def test_the_same_mails_once_more_change_nothing(corpus: Corpus) -> None:
    """RFC 5321 §4.5.4.1: a sender that lost our 250 sends again; the desk only notes that it did."""
    assert corpus.after_again == corpus.after_first
    with corpus.site.books() as books:
        spool_ids = sorted(corpus.again.sent)
        found = books.rows(
            "SELECT disposition, count(*) FROM processed WHERE list_contains($1::VARCHAR[], spool_id) GROUP BY 1", spool_ids
        )
        reasons = books.rows(
            "SELECT count(DISTINCT spool_id) FROM decision WHERE code = 'again' AND list_contains($1::VARCHAR[], spool_id)",
            spool_ids,
        )
    assert found == [("copy", len(spool_ids))]
    assert reasons == [(len(spool_ids),)]
