"""Digests are made once a day, at each agent's hour; a restart neither repeats nor forgets one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway import morning as room
from gateway.books import Bookkeeper
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import MailwicketError
from gateway.morning import Morning
from tests.core.test_control_mail import desk_of
from tests.desk import ANNA, POLICY, rooms_of

AGENTS = (
    replace(POLICY.agents[0], digest="07:30", zone="Europe/Berlin"),    # 06:30 UTC in winter
    replace(POLICY.agents[1], digest=""),
    POLICY.agents[2],                                                   # as the desk has it: 08:00 UTC
)
POLICY_OF_DAY = replace(POLICY, agents=AGENTS, digest="08:00", zone="UTC")


def on(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Days:
    """A desk on disk whose clock is set by the test; ``restart`` is what a new process finds."""

    def __init__(self, state: Path) -> None:
        self.state, self.now = state, on("2026-11-23T20:00")
        self.open()

    def open(self) -> None:
        self.books = Bookkeeper(Spool(self.state / "spool"), Journal(self.state / "journal"), Store.open(self.state))
        self.books.catch_up()
        self.morning = Morning(self.books, rooms_of(POLICY_OF_DAY), look=0.01, now=lambda: self.now)

    def restart(self) -> None:
        self.books.close()
        self.open()

    def at(self, text: str) -> list[str]:
        """Who got a digest by a look at this moment."""
        self.now = on(text)
        before = self.sent()
        self.morning.look()
        return self.sent()[len(before):]

    def sent(self) -> list[str]:
        cursor = self.books.store.reader()
        try:
            return [to for (to,) in cursor.execute("SELECT rcpt_to FROM outbox WHERE kind = 'digest' ORDER BY id").fetchall()]
        finally:
            cursor.close()


@pytest.fixture
def days(tmp_path: Path) -> Days:
    days = Days(tmp_path)
    own = desk_of(2)
    days.books.ask(lambda: days.books.write(own.all, own.raws, now=own.now, cause="mail"))
    return days


def test_each_gets_his_at_his_hour_once_a_day(days: Days) -> None:
    assert days.at("2026-11-23T23:59") == [], "a new desk waits for the first hour"
    assert days.at("2026-11-24T06:29") == []
    assert days.at("2026-11-24T06:30") == [ANNA]
    assert days.at("2026-11-24T06:31") == []
    assert days.at("2026-11-24T08:00") == [], "caro has nothing to do and is told nothing"
    days.restart()
    assert days.at("2026-11-24T09:00") == []
    assert days.at("2026-11-25T06:30") == [ANNA]
    days.books.close()


def test_a_missed_one_is_made_up_once(days: Days) -> None:
    assert days.at("2026-11-24T06:30") == [ANNA]
    days.now = on("2026-11-27T15:00")
    days.restart()
    assert days.at("2026-11-27T15:01") == [ANNA]
    assert days.at("2026-11-27T15:02") == []
    assert days.at("2026-11-28T06:30") == [ANNA]
    days.books.close()


def test_an_operator_may_send_one_now(days: Days) -> None:
    assert days.morning.send("anna")
    assert not days.morning.send("caro")
    with pytest.raises(MailwicketError, match="ghost is no agent here; agents are anna, bert, caro"):
        days.morning.send("ghost")
    assert days.sent() == [ANNA]
    days.books.close()


def test_a_replayed_journal_makes_the_same_digests(days: Days, tmp_path: Path) -> None:
    days.at("2026-11-24T06:30")
    whole = [line for line in days.books.store.dump() if " listed " in line or " digest_run " in line or " outbox" in line]
    days.books.close()
    for file in tmp_path.glob("*.duckdb*"):
        file.unlink()
    days.open()
    again = [line for line in days.books.store.dump() if " listed " in line or " digest_run " in line or " outbox" in line]
    assert again == whole
    assert any(" listed " in line for line in whole)
    assert days.at("2026-11-24T06:31") == []
    days.books.close()


def test_a_digest_that_fails_stops_nothing_but_a_store_that_refuses_does(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    days.now = on("2026-11-24T06:30")

    def fails(error: Exception) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(room, "decide_digest", raises)

    with capture_logs() as logs:
        fails(ValueError("a bug"))
        days.morning.look()
        fails(TimeoutError())
        days.morning.look()
    assert [entry["event"] for entry in logs] == ["digest_failed", "digest_waits"]
    fails(MailwicketError("the disk is full"))
    with pytest.raises(MailwicketError):
        days.morning.look()
    monkeypatch.undo()
    assert days.at("2026-11-24T06:31") == [ANNA], "it is tried again"
    days.books.close()


def test_it_looks_until_it_is_stopped(days: Days) -> None:
    days.now = on("2026-11-24T07:00")

    async def run() -> None:
        task = asyncio.create_task(days.morning.run())
        while not days.sent():
            await asyncio.sleep(0.01)
        days.morning.stop()
        await asyncio.wait_for(task, 10)

    asyncio.run(run())
    assert days.sent() == [ANNA]
    assert timedelta(0) < timedelta(seconds=room.LOOK) <= timedelta(minutes=1)
    days.books.close()
