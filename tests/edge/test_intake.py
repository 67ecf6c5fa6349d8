"""Spool to store: what makes a batch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import config, intake
from gateway.core.model import Envelope
from gateway.edge.rules import RuleBook
from gateway.edge.spool import Spool
from gateway.edge.workers import ParserPool
from gateway.mime.compose import Composer
from gateway.pipeline import Rooms
from gateway.service import TEMPLATES, open_books
from tests.crash.process import DESK, Site, until
from tests.strategies import START


@pytest.mark.parametrize(("most_octets", "frames"), [(1, 3), (intake.BATCH_BYTES, 1)])
async def test_a_batch_ends_with_the_mail_that_makes_it_too_heavy_and_the_rest_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_octets: int, frames: int
) -> None:
    monkeypatch.setattr(intake, "BATCH_BYTES", most_octets)
    settings = config.load(Site(tmp_path).config)
    spool = Spool(settings.state / "spool")
    envelope = Envelope(channel="smtp", received_at=START, mail_from="a@cust.example", rcpt_tos=(DESK,))
    ids = [spool.put(envelope, f"From: a@cust.example\r\nSubject: {n}\r\n\r\nx\r\n".encode()) for n in range(3)]
    books, pool = open_books(settings, spool), ParserPool(1)
    rooms = Rooms(policy=settings.policy, rules=RuleBook(()), composer=Composer(TEMPLATES, settings.policy))
    await pool.start()
    desk = intake.Intake(spool, pool, rooms, books)
    running = asyncio.create_task(desk.run())
    try:
        await asyncio.to_thread(until, lambda: not spool.backlog().count or running.done(), "an empty spool")
        desk.stop()
        await running
        assert sorted(books.store.processed(ids)) == ids
        assert books.journal.last_seq == frames
    finally:
        running.cancel()
        await pool.close()
        books.close()
