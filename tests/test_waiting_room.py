"""Held mail in the operator's hands: what waits, letting it go, forgetting it. Real spool, journal, store and intake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.books import Bookkeeper
from gateway.config import Config, load
from gateway.core.model import Envelope
from gateway.core.policy import Policy
from gateway.counter import Counter
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.edge.workers import ParserPool
from gateway.errors import MailwicketError
from gateway.intake import Intake
from gateway.waiting_room import is_releasable
from tests.desk import ANN, ANNA, EVE, POLICY, SUPPORT, rooms_of

TOP = "From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{id}@x.example>\r\n{more}\r\n{text}\r\n"


class Desk:
    """Mail in, decided by the running rooms; the counter beside it."""

    def __init__(self, config: Config, policy: Policy) -> None:
        self.spool = Spool(config.state / "spool")
        self.books = Bookkeeper(self.spool, Journal(config.state / "journal"), Store.open(config.state))
        self.counter = Counter(replace(config, policy=policy), self.books, self.spool)
        self.policy, self.count = policy, 0

    def ask(self, verb: str, **args: Any) -> list[dict[str, Any]]:
        return list(self.counter.handlers()[verb]({**args, "actor": "operator:0"}))

    def mail(self, sender: str, to: str, text: str, subject: str = "Printer", more: str = "", **envelope: Any) -> None:
        self.count += 1
        raw = TOP.format(sender=sender, to=to, subject=subject, id=self.count, text=text, more=more)
        known: dict[str, Any] = {"channel": "lmtp", "mail_from": sender, "received_at": datetime.now(UTC), **envelope}
        self.spool.put(Envelope(rcpt_tos=(to,), **known), raw.encode())

    def work(self) -> None:
        async def once() -> None:
            pool = ParserPool(1)
            await pool.start()
            intake = Intake(self.spool, pool, rooms_of(self.policy), self.books)
            running = asyncio.create_task(intake.run())
            while self.spool.waiting():
                await asyncio.sleep(0.02)
            intake.stop()
            await running
            await pool.close()

        asyncio.run(once())

    def sent(self) -> list[tuple[str, str, str]]:
        with self.books.store.reader() as cursor:
            rows = cursor.execute("SELECT kind, rcpt_to, rfc_id FROM outbox ORDER BY id").fetchall()
        return [tuple(row) for row in rows]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(load(None, state=tmp_path, first_start=False), POLICY)
    yield made
    made.books.close()


def reply_to(desk: Desk) -> str:
    """Anna's reply address for the first ticket."""
    with desk.books.store.reader() as cursor:
        (raw,) = cursor.execute("SELECT o.id FROM outbox o WHERE o.rcpt_to = $1 ORDER BY id LIMIT 1", [ANNA]).fetchone()
    from gateway.core.model import Token
    from gateway.core.profile import way_to_agent
    with desk.books.store.reader() as cursor:
        (person,) = cursor.execute("SELECT id FROM person WHERE address = $1", [ANNA]).fetchone()
    assert raw
    return way_to_agent(Token(role="a", ticket=1, party=person), POLICY.queues[0], POLICY).reply_to or ""


def test_a_released_answer_goes_through_the_desk_once_more_and_waits_no_more(desk: Desk) -> None:
    desk.mail(ANN, SUPPORT, "It is on fire.")
    desk.work()
    ids = [i for _, to, i in desk.sent() if to == ANNA]
    desk.mail(ANNA, reply_to(desk), "#solved\r\nAll is well.", "Re: [ABC-1] Printer", f"In-Reply-To: <{ids[0]}>\r\n", mail_from=EVE)
    desk.work()
    (row,) = desk.ask("held")
    assert (row["hold"], row["from"], row["ticket"], row["releasable"]) == ("unproven", ANNA, "ABC-1", True)
    assert desk.ask("release", id=row["id"]) == [{"released": row["id"], "from": ANNA}]
    desk.work()
    assert ("reply", ANN) in [(kind, to) for kind, to, _ in desk.sent()]
    assert desk.ask("held") == []
    assert desk.ask("tickets")[0]["status"] == "solved"
    with pytest.raises(MailwicketError, match="does not wait"):
        desk.ask("release", id=row["id"])


def test_a_released_newsletter_opens_a_ticket(desk: Desk) -> None:
    desk.mail("news@shop.example", SUPPORT, "Buy now.", "Offers", "List-Id: <news.shop.example>\r\nPrecedence: bulk\r\n")
    desk.work()
    (row,) = desk.ask("held")
    assert (row["hold"], row["ticket"], row["subject"]) == ("bulk", None, "Offers")
    desk.ask("release", id=row["id"])
    desk.work()
    assert desk.ask("held") == []
    assert len(desk.ask("tickets")) == 1


def test_a_dropped_mail_stays_stored_and_is_done_with(desk: Desk) -> None:
    desk.mail(ANN, SUPPORT, "It is on fire.")
    desk.work()
    desk.mail(ANNA, reply_to(desk), "Pay me.", "Re: [ABC-1] Printer", mail_from=EVE)
    desk.mail("news@shop.example", SUPPORT, "Buy now.", "Offers", "List-Id: <news.shop.example>\r\nPrecedence: bulk\r\n")
    desk.work()
    for row in desk.ask("held"):
        assert desk.ask("drop", id=row["id"]) == [{"dropped": row["id"]}]
    assert desk.ask("held") == []
    (shown,) = desk.ask("show", key="ABC-1")
    assert [e["after"] for e in shown["events"] if e["kind"] == "released"] == ["dropped"]
    assert desk.ask("tickets")[0]["status"] == "new"


def test_what_must_be_sent_again_cannot_be_released(desk: Desk) -> None:
    desk.mail(ANN, SUPPORT, "It is on fire.")
    desk.work()
    desk.mail(ANNA, reply_to(desk), "#sovled\r\nHi.", "Re: [ABC-1] Printer", relay="mta")
    desk.work()
    (row,) = desk.ask("held")
    assert row["releasable"] is False
    with pytest.raises(MailwicketError, match="sent again"):
        desk.ask("release", id=row["id"])
    for verb in ("release", "drop"):
        with pytest.raises(MailwicketError, match="mailwicket held"):
            desk.ask(verb, id=999)
        with pytest.raises(MailwicketError, match="by its number"):
            desk.ask(verb)


@pytest.mark.parametrize(("hold", "known"), [
    ("unproven", True), ("unproven_note", True), ("bulk", True), ("commands", False), ("opaque", False), ("", False),
])
def test_what_can_be_let_go(hold: str, known: bool) -> None:
    assert is_releasable(hold) is known


def test_a_mail_that_was_held_long_ago_can_still_be_released(desk: Desk) -> None:
    """Its Date is old by then; who releases it has seen that."""
    old = datetime.now(UTC) - timedelta(days=3)
    desk.mail(ANN, SUPPORT, "It is on fire.")
    desk.work()
    desk.mail(
        ANNA, reply_to(desk), "#solved\r\nDone.", "Re: [ABC-1] Printer", f"Date: {old:%a, %d %b %Y %H:%M:%S} +0000\r\n", mail_from=EVE,
    )
    desk.work()
    (row,) = desk.ask("held")
    desk.ask("release", id=row["id"])
    desk.work()
    assert desk.ask("tickets")[0]["status"] == "solved"
