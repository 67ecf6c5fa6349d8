"""What the counter answers is what the store and the spool hold, in plain JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import counter as counters
from gateway.books import Bookkeeper
from gateway.config import Config, load
from gateway.core.rows import Person, Rows, Suppression
from gateway.counter import Counter, offline
from gateway.edge import frames
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.errors import MailwicketError, StateError
from tests.edge.desk import ENVELOPE, Desk
from tests.strategies import START, Story


@pytest.fixture
def story() -> Story:
    return Story(1)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(None, state=tmp_path, first_start=False)


@pytest.fixture
def counter(config: Config, story: Story) -> Iterator[Counter]:
    Desk(config.state, story).run(3)
    books = Bookkeeper(Spool(config.state / "spool"), Journal(config.state / "journal"), Store.open(config.state))
    yield Counter(config, books, books.spool)
    books.close()


def ask(counter: Counter, verb: str, **args: object) -> list[dict[str, Any]]:
    rows = list(counter.handlers()[verb]({**args, "actor": "operator:0"}))
    json.dumps(rows)
    return rows


def test_tickets_come_newest_first_with_their_counts(counter: Counter, story: Story) -> None:
    rows = ask(counter, "tickets")
    key = counter.config.policy.key
    assert {r["key"] for r in rows} == {f"{key}-{t.id}" for t in story.tickets}
    assert [r["updated_at"] for r in rows] == sorted((r["updated_at"] for r in rows), reverse=True)
    assert sum(r["messages"] for r in rows) == len(story.messages)
    people = {p.id: p.address for p in story.persons}
    assert {r["requester"] for r in rows} == {people[t.requester or 0] for t in story.tickets}
    assert str(rows[0]["updated_at"]).endswith("+00:00")


def test_tickets_can_be_narrowed(counter: Counter, story: Story) -> None:
    by_status = ask(counter, "tickets", status="open")
    assert len(by_status) == sum(t.status == "open" for t in story.tickets) > 0
    assert ask(counter, "tickets", queue="nowhere") == []
    assert len(ask(counter, "tickets", limit=2)) == 2


def test_show_has_messages_events_and_decisions(counter: Counter, story: Story) -> None:
    ticket = max(story.tickets, key=lambda t: t.version)
    (row,) = ask(counter, "show", key=f"{counter.config.policy.key.lower()}-{ticket.id}")
    messages = [m for m in story.messages if m.ticket == ticket.id]
    assert [m["hold"] for m in row["messages"]] == [m.hold for m in messages]
    assert all(m["text"] for m in row["messages"])
    assert set(row["messages"][0]) >= {"at", "author", "kind", "public", "text", "attachments", "disposition", "hold"}
    assert len(row["events"]) == len(messages)
    assert len(row["decisions"]) == 3 * len(messages)


@pytest.mark.parametrize("key", ["", "ABC", "999999", "XYZ-1", "-1", "1; DROP TABLE ticket", None, "9" * 40])
def test_show_of_no_ticket_says_what_to_do(counter: Counter, key: object) -> None:
    with pytest.raises(MailwicketError, match=r"look like|lists them"):
        ask(counter, "show", key=key)


def test_outbox_shows_what_is_not_sent_first(counter: Counter, story: Story) -> None:
    """Waiting before failed; sent mail only with ``all``; the subject is read from the headers."""
    last = story.deliveries[-1]
    counter.store.write(4, Rows(deliveries=(replace(last, state="failed", reply="550 no"),)), {})
    rows = ask(counter, "outbox")
    assert "sent" not in {r["state"] for r in rows}
    assert rows[-1]["state"] == "failed" and rows[-1]["reply"] == "550 no"
    assert rows[-1]["subject"] == "x"
    assert len(ask(counter, "outbox", all=True)) == len(story.deliveries)


def test_dead_addresses_are_listed_and_revived_through_the_journal(counter: Counter, story: Story) -> None:
    rows = ask(counter, "suppressed")
    assert rows and {"address", "since", "status", "cause", "agent"} == set(rows[0])
    address = rows[0]["address"]
    assert ask(counter, "revive", address=address.upper()) == [{"revived": address}]
    assert address not in {r["address"] for r in ask(counter, "suppressed")}
    assert counter.books is not None
    *_, (seq, payload) = counter.books.journal.frames(1)
    frame = frames.decode(payload)
    assert (seq, frame.cause, frame.rows.suppressions[0].revived_by) == (4, "operator", "operator:0")
    with pytest.raises(MailwicketError, match="is not suppressed; `mailwicket suppressed` lists"):
        ask(counter, "revive", address=address)


@pytest.mark.parametrize("address", ["", "nobody", "nobody@here.example", "a b@c"])
def test_revive_of_what_is_not_suppressed_says_where_to_look(counter: Counter, address: str) -> None:
    with pytest.raises(MailwicketError, match="mailwicket suppressed"):
        ask(counter, "revive", address=address)


def test_an_agents_dead_address_is_listed_with_his_login(config: Config, counter: Counter) -> None:
    agent = config.policy.agents[0]
    at = START
    counter.store.write(4, Rows(
        persons=(Person(id=900, address=agent.address, name="", created_at=at),),
        suppressions=(Suppression(person=900, since=at, status="5.1.1", cause="outbox:1"),),
    ), {})
    assert {r["agent"] for r in ask(counter, "suppressed") if r["address"] == agent.address} == {agent.login}


def test_spool_lists_waiting_and_bad_mail(counter: Counter) -> None:
    good = counter.spool.put(ENVELOPE, b"Subject: x\r\n\r\n")
    bad = counter.spool.put(ENVELOPE, b"y")
    counter.spool.quarantine(bad, "unreadable")
    rows = {r["spool_id"]: r for r in ask(counter, "spool")}
    assert rows[good]["state"] == "waiting" and rows[good]["from"] == ENVELOPE.mail_from and rows[good]["size"] == 14
    assert rows[bad]["state"] == "bad" and rows[bad]["why"] == "unreadable"


def test_status_and_dump_name_the_last_frame(counter: Counter, story: Story) -> None:
    (status,) = ask(counter, "status")
    assert (status["applied_seq"], status["tickets"], status["messages"]) == (3, len(story.tickets), len(story.messages))
    assert ask(counter, "dump") == [{"dump_hash": counter.store.dump_hash, "applied_seq": 3}]


def test_backup_is_written_where_the_operator_says(counter: Counter, tmp_path: Path) -> None:
    (row,) = ask(counter, "backup", directory=str(tmp_path / "safe"))
    assert row["backup"] == str(tmp_path / "safe") and (tmp_path / "safe" / "manifest.json").exists()


def test_a_read_that_takes_too_long_is_cut_off(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is interrupted; the writer is not disturbed and the next question is answered."""
    monkeypatch.setattr(counters, "SECONDS", 0.1)
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 7"
    with pytest.raises(StateError, match="longer than"):
        list(counter._rows(endless))
    assert ask(counter, "tickets", limit=1)


def test_without_a_gateway_the_same_answers_come_from_the_files(config: Config, story: Story) -> None:
    Desk(config.state, story).run(3)
    handlers = offline(config)
    assert "backup" not in handlers
    assert len(list(handlers["tickets"]({}))) == len(story.tickets)


def test_without_state_the_remedy_is_told(config: Config) -> None:
    with pytest.raises(StateError, match="start the gateway once"):
        offline(config)
