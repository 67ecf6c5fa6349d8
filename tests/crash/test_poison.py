"""A mail on which the program itself fails (architecture ruling 1): it must not stop the mail behind it, ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway import config
from gateway.core.model import Envelope
from gateway.core.rows import MailFacts
from gateway.edge.rules import RuleBook
from gateway.edge.spool import Spool
from gateway.edge.workers import ParserPool
from gateway.intake import Intake
from gateway.mime.compose import Composer
from gateway.pipeline import Rooms
from gateway.service import TEMPLATES, open_books
from tests.crash.process import DESK, Site, until, wire
from tests.strategies import START

pytestmark = pytest.mark.crash


class FaultyRules(RuleBook):
    """The desk's rules with a fault in the program: some mails make it fail, in their text or even without."""

    def hits(self, rows: Sequence[MailFacts], texts: Sequence[str]) -> list[tuple[str, ...]]:
        if any("poison" in text for text in texts) or any("poison" in row.subject for row in rows):
            raise RuntimeError("a fault of ours")
        return super().hits(rows, texts)


async def test_a_mail_that_fails_by_itself_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    settings = config.load(Site(tmp_path).config)
    spool = Spool(settings.state / "spool")
    envelope = Envelope(channel="smtp", received_at=START, mail_from="a@cust.example", rcpt_tos=(DESK,))
    mails = (("one", "fine"), ("two", "poison"), ("poison three", "fine"), ("four", "fine"))
    ids = [
        spool.put(envelope, wire(f"From: {n}@cust{n}.example\nSubject: {subject}\nMessage-ID: <{n}@x>\n\n{text}\n".encode()))
        for n, (subject, text) in enumerate(mails)
    ]
    books, pool = open_books(settings, spool), ParserPool(1)
    rooms = Rooms(policy=settings.policy, rules=FaultyRules(()), composer=Composer(TEMPLATES, settings.policy))
    await pool.start()
    intake = Intake(spool, pool, rooms, books)
    running = asyncio.create_task(intake.run())
    try:
        await asyncio.to_thread(until, lambda: not spool.backlog().count or running.done(), "an empty spool")
        assert not running.done(), "the intake goes on"
        intake.stop()
        await running
        assert sorted(books.store.processed(ids)) == sorted([ids[0], ids[1], ids[3]])
        assert [p.name for p in (spool.root / "bad").iterdir() if p.suffix != ".why"] == [ids[2]]
        assert "RuntimeError" in (spool.root / "bad" / f"{ids[2]}.why").read_text("utf-8")
    finally:
        running.cancel()
        await pool.close()
        books.close()
