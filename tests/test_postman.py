"""The postman against a store on disk: what is said of mail that does not arrive, and that it is said once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.books import Bookkeeper
from gateway.core.retry import SendResult
from gateway.core.rows import Delivery, OutboxRow, Rows
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import StateError
from gateway.postman import Postman, Ways
from tests.desk import ANN, ANNA, BERT, Desk, answered

AT_DOOR = "450 4.2.0 come back later"


class Road:
    """A way out on which everybody answers ``says``; what happens meanwhile is ``meanwhile``."""

    def __init__(self, says: SendResult) -> None:
        self.says, self.tried = says, list[str]()
        self.meanwhile: Callable[[], None] = lambda: None

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str) -> SendResult:
        self.tried.append(rcpt_to)
        self.meanwhile()
        return self.says

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Bookkeeper]:
    found = Bookkeeper(Spool(tmp_path / "spool"), Journal(tmp_path / "journal"), Store.open(tmp_path))
    yield found
    found.close()


def kept(books: Bookkeeper, age: timedelta) -> tuple[Desk, OutboxRow]:
    """Ann wrote and Anna answered ``age`` ago; all our mail but the answer has gone out."""
    desk, _, out = answered(desk=Desk(now=datetime.now(UTC) - age))
    answer = next(s.row for s in out.to(ANN) if s.row.kind == "reply")
    waits = Delivery(
        outbox=answer.id, state="queued", attempts=0, next_at=desk.now, changed_at=desk.now, reply=""
    )
    rows = replace(desk.all, deliveries=(*desk.all.deliveries, waits))
    books.write(rows, desk.raws, now=desk.now, cause="mail")
    return desk, answer


class Silent(Road):
    """A way out that does not answer before ``says_something``."""

    def __init__(self) -> None:
        super().__init__(SendResult("sent", "250 ok"))
        self.says_something = asyncio.Event()

    async def send(self, mail_from: str, rcpt_to: str, raw: bytes, name: str) -> SendResult:
        self.tried.append(rcpt_to)
        await self.says_something.wait()
        return self.says


def start(books: Bookkeeper, desk: Desk, road: Road) -> Postman:
    postman = Postman(books, Ways(road), desk.rooms)
    postman.take_up(books.store.undelivered())
    return postman


async def a_round(books: Bookkeeper, desk: Desk, road: Road) -> Postman:
    """Everything undelivered is tried, as after a restart when all of it is due."""
    books.write(
        Rows(deliveries=tuple(replace(d, next_at=desk.now) for d in books.store.undelivered())), {}, now=desk.now,
        cause="test",
    )
    postman = start(books, desk, road)
    await postman._round(postman._next())
    return postman


def told(books: Bookkeeper) -> list[tuple[str, str, str]]:
    """(kind, to, state) of what was made after the two stories of the desk."""
    rows = books.store.reader().execute(
        "SELECT o.kind, o.rcpt_to, d.state FROM outbox o JOIN delivery d ON d.outbox = o.id"
        " WHERE o.kind IN ('undelivered', 'delayed_notice') ORDER BY o.id"
    ).fetchall()
    return [(kind, to, state) for kind, to, state in rows]


async def test_an_answer_put_off_beyond_the_hour_is_told_once_over_restarts(books: Bookkeeper) -> None:
    desk, answer = kept(books, timedelta(hours=2))
    road = Road(SendResult("deferred", AT_DOOR))
    await a_round(books, desk, road)
    assert told(books) == [("delayed_notice", ANNA, "queued")]
    state = books.store.deliveries([answer.id])[answer.id]
    assert (state.state, state.told_at is not None) == ("deferred", True)
    for _ in range(2):
        await a_round(books, desk, road)
    assert [to for _, to, _ in told(books)] == [ANNA]
    assert road.tried.count(ANN) == 3, "it is tried all the same"


async def test_a_fresh_answer_that_is_put_off_is_no_news(books: Bookkeeper) -> None:
    desk, _ = kept(books, timedelta(minutes=5))
    await a_round(books, desk, Road(SendResult("deferred", AT_DOOR)))
    assert told(books) == []


async def test_while_the_smarthost_is_away_nobody_is_told_by_the_same_road(books: Bookkeeper) -> None:
    desk, _ = kept(books, timedelta(hours=2))
    await a_round(books, desk, Road(SendResult("deferred", "connection lost at MAIL: refused")))
    assert told(books) == []


async def test_a_refused_dead_address_is_kept_and_told_in_the_frame_of_the_refusal(books: Bookkeeper) -> None:
    desk, answer = kept(books, timedelta(minutes=30))
    before = books.journal.last_seq
    await a_round(books, desk, Road(SendResult("failed", "550 5.1.1 no such user")))
    assert books.journal.last_seq == before + 3, "the test's own frame, the mark and the outcome"
    assert told(books) == [("undelivered", ANNA, "queued")]
    found = books.store.reader().execute("SELECT status, cause, revived_at FROM suppression").fetchall()
    assert found == [("5.1.1", f"outbox:{answer.id}", None)]


@pytest.mark.parametrize("outcome", ["sent", "failed", "deferred", "uncertain"])
@pytest.mark.parametrize("report", ["bounced", "delayed"])
async def test_a_report_that_comes_while_we_send_stands(books: Bookkeeper, outcome: str, report: str) -> None:
    """Found while building this: the outcome of the attempt wrote over the report, and told a second time."""
    desk, answer = kept(books, timedelta(hours=2))
    road = Road(SendResult(outcome, "550 5.1.1 no such user"))  # type: ignore[arg-type]
    said = Delivery(
        outbox=answer.id, state=report, attempts=1, next_at=desk.now, changed_at=desk.now, reply="x",  # type: ignore[arg-type]
    )
    road.meanwhile = lambda: books.ask(lambda: books.write(Rows(deliveries=(said,)), {}, now=desk.now, cause="mail")) and None
    postman = await a_round(books, desk, road)
    assert books.store.deliveries([answer.id])[answer.id] == said
    assert told(books) == []
    assert answer.id not in postman._states


@pytest.mark.parametrize("report", ["bounced", "delayed", "sent"])
async def test_what_a_report_settles_before_it_falls_due_is_not_sent(books: Bookkeeper, report: str) -> None:
    """The report is written, the postman has not heard of it yet."""
    desk, answer = kept(books, timedelta(hours=2))
    road = Road(SendResult("sent", "250 ok"))
    postman = start(books, desk, road)
    due = postman._next()
    said = replace(due[0], state=report)  # type: ignore[arg-type]
    books.write(Rows(deliveries=(said,)), {}, now=desk.now, cause="mail")
    await postman._round(due)
    assert road.tried == []
    assert books.store.deliveries([answer.id])[answer.id] == said


async def test_mail_reported_late_is_not_sent_again_after_a_restart(books: Bookkeeper) -> None:
    desk, answer = kept(books, timedelta(hours=2))
    late = replace(books.store.deliveries([answer.id])[answer.id], state="delayed")
    books.write(Rows(deliveries=(late,)), {}, now=desk.now, cause="mail")
    assert books.store.undelivered() == []


async def test_an_agents_dead_address_is_an_error_in_the_log_and_word_to_a_colleague(books: Bookkeeper) -> None:
    desk, _ = kept(books, timedelta(minutes=30))
    notice = next(s.row for s in desk.sent if s.row.rcpt_to == BERT)
    waits = replace(books.store.deliveries([notice.id])[notice.id], state="queued")
    books.write(Rows(deliveries=(waits,)), {}, now=desk.now, cause="test")
    with capture_logs() as logs:
        await a_round(books, desk, Road(SendResult("failed", "550 5.1.1 no such user")))
    assert [line["why"] for line in logs if line["log_level"] == "error"] == [
        "bert at bert@acme.example: 5.1.1; correct [[agent]] address"
    ]
    assert ("undelivered", ANNA, "queued") in told(books)


async def test_a_provider_that_is_silent_holds_up_nobody_elses_mail(books: Bookkeeper) -> None:
    """Found in review: one dead mailbox provider held up all sending for as long as it was dialled."""
    desk, answer = kept(books, timedelta(minutes=5))
    other = next(s.row for s in desk.sent if s.row.rcpt_to == BERT)
    waits = replace(books.store.deliveries([other.id])[other.id], state="queued", next_at=desk.now)
    books.write(Rows(deliveries=(waits,)), {}, now=desk.now, cause="test")
    silent, road = Silent(), Road(SendResult("sent", "250 ok"))
    postman = Postman(books, Ways(road, {answer.mail_from: silent}), desk.rooms)
    postman.take_up(books.store.undelivered())
    running = asyncio.create_task(postman.run())
    while not running.done() and books.ask(lambda: books.store.deliveries([other.id])[other.id]).state != "sent":
        await asyncio.sleep(0.01)
    assert (silent.tried, road.tried) == ([ANN], [BERT])
    assert books.store.deliveries([answer.id])[answer.id].state == "sending"
    silent.says_something.set()
    postman.stop()
    await running
    assert books.store.deliveries([answer.id])[answer.id].state == "sent", "the round in hand is finished"


async def test_a_journal_that_refuses_ends_the_postman(books: Bookkeeper) -> None:
    desk, _ = kept(books, timedelta(minutes=5))
    postman = start(books, desk, Road(SendResult("sent", "250 ok")))
    books.journal.broken = "fsync failed"
    with pytest.raises(StateError):
        await asyncio.wait_for(postman.run(), 20)
