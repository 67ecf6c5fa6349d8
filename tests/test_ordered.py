"""An admin's confirmed lines: from two real mails to the directory, and what the admin is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway import intake as room
from gateway.books import Bookkeeper
from gateway.core.admin import parse_admin
from gateway.core.decision import Decision
from gateway.core.model import Envelope, Spooled
from gateway.core.rows import Rows
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import MailwicketError
from gateway.intake import Intake, _Waiting
from gateway.mime.parse import parse
from tests.desk import ANNA, POLICY, rooms_of

CONTROL = "control@desk.acme.example"
ROOMS = rooms_of(replace(POLICY, control=(CONTROL,), agents=(replace(POLICY.agents[0], role="admin"), *POLICY.agents[1:])))


class Days:
    def __init__(self, state: Path) -> None:
        self.books = Bookkeeper(Spool(state / "spool"), Journal(state / "journal"), Store.open(state))
        self.books.catch_up()
        self.intake = Intake(self.books.spool, None, ROOMS, self.books)  # type: ignore[arg-type]  # no parser here
        self.count = 0

    def mail(self, text: str, answers: str = "") -> None:
        """Anna, logged in, writes to control@."""
        self.count += 1
        head = f"From: {ANNA}\r\nTo: {CONTROL}\r\nSubject: people\r\nMessage-ID: <a{self.count}@acme.example>\r\n"
        raw = (head + (f"In-Reply-To: {answers}\r\n" if answers else "") + f"\r\n{text}\r\n").encode()
        envelope = Envelope(
            channel="submission", login="anna", received_at=datetime.now(UTC), mail_from=ANNA, rcpt_tos=(CONTROL,)
        )
        waiting = _Waiting(Spooled(spool_id=self.books.spool.put(envelope, raw), envelope=envelope, mail=parse(raw)), raw)
        self.books.ask(lambda: self.intake._decide_and_write([waiting]))

    def sent(self) -> list[Any]:
        return self.books.ask(lambda: [*self.books.store.outbox_rows(range(1, 99)).values()])


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    found = Days(tmp_path)
    yield found
    found.books.close()


def test_lines_are_carried_out_in_their_order_and_told(days: Days) -> None:
    days.mail('agent add dora dora@acme.example "Dora Au"\nagent role dora lead\nagent role nobody lead\nagent role dora lead')
    (rehearsal,) = days.sent()
    assert rehearsal.kind == "rehearsal"
    assert days.books.policy(ROOMS.policy).agent("dora") is None
    days.mail("yes", f"<{rehearsal.rfc_id}>")
    dora = days.books.policy(ROOMS.policy).agent("dora")
    assert dora is not None
    assert (dora.role, dora.address) == ("lead", "dora@acme.example")
    transcript = days.sent()[-1]
    assert (transcript.kind, transcript.rcpt_to) == ("transcript", ANNA)
    lines = transcript.text.splitlines()
    assert [line for line in lines if line.startswith("> ")] == [
        '> agent add dora dora@acme.example "Dora Au"', "> agent role dora lead", "> agent role nobody lead", "> agent role dora lead",
    ]
    assert "nobody" in transcript.text
    assert "so already" in lines[-1]
    days.mail("yes", f"<{rehearsal.rfc_id}>")
    assert "waits no more" in days.sent()[-1].text


def test_who_is_an_agent_no_more_is_told_nothing(days: Days) -> None:
    gone = Decision(
        spool_id="x", disposition="log", rows=Rows(), drafts=(), reasons=(), admin=(parse_admin("team add night bert"),),
    )
    days.books.ask(lambda: room.people.ordered(days.books, ROOMS, gone))
    assert days.sent() == []
    assert days.books.policy(ROOMS.policy).team("night") is not None


def test_a_bug_in_a_line_does_not_decide_the_mail_again(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    days.mail("agent add dora dora@acme.example")
    (rehearsal,) = days.sent()

    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(room.people, "ordered", fails)
    with capture_logs() as logs:
        days.mail("yes", f"<{rehearsal.rfc_id}>")
    assert [entry["event"] for entry in logs] == ["admin_failed"]
    assert [o.kind for o in days.sent()] == ["rehearsal", "transcript"]

    def refuses(*_: object) -> None:
        raise MailwicketError("the disk is full")

    days.mail("agent add dora dora@acme.example")
    monkeypatch.setattr(room.people, "ordered", refuses)
    with pytest.raises(MailwicketError):
        days.mail("yes", f"<{days.sent()[-1].rfc_id}>")
