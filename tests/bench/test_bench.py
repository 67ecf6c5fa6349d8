"""The benchmark measures what it says: the mix has its shares, the generated past is one the gateway could have had."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from gateway.core.lifecycle import fold
from gateway.core.rows import Event
from gateway.edge.store import Store
from gateway.edge.tables import EVENT, TICKET, digest
from tests.bench import lives, million, mix, procfs, rooms
from tests.bench.feed import feed
from tests.bench.site import Desk
from tests.bench.table import Line, Table, percentile
from tests.crash.process import Books

END = datetime(2026, 11, 20, tzinfo=UTC)
TICKETS = 400


# --- The mix --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def letters() -> list[mix.Letter]:
    return mix.letters(1000, 7)


def test_the_same_seed_gives_the_same_octets(letters: list[mix.Letter]) -> None:
    assert mix.letters(1000, 7) == letters
    assert mix.letters(1000, 8) != letters


def test_shares_and_sizes_are_those_of_the_mix(letters: list[mix.Letter]) -> None:
    mails = [message_from_bytes(one.raw) for one in letters]
    kinds = Counter(part.get_content_type() for mail in mails for part in mail.walk())
    assert Counter(one.kind for one in letters) == {"new": 600, "reply": 400}
    assert kinds["text/html"] == 700
    assert kinds["application/octet-stream"] == 100
    assert sum(not one.raw.isascii() for one in letters) == pytest.approx(200, abs=15)    # a short text may hold no foreign word
    assert statistics.fmean(len(one.raw) for one in letters) == pytest.approx(15_800, rel=0.03)
    assert [mail.defects for mail in mails if mail.defects] == []
    assert [one for one in letters if b"\n" in one.raw.replace(b"\r\n", b"")] == []


def test_no_sender_and_no_domain_hits_a_budget(letters: list[mix.Letter]) -> None:
    """Else the benchmark would count mails that cost next to nothing. Three an hour and 60 a domain are the defaults."""
    new = [one.sender for one in letters if one.kind == "new"]
    assert len(set(new)) == 200
    assert set(Counter(new).values()) == {3}
    assert set(Counter(sender.partition("@")[2] for sender in new).values()) == {30}


def test_an_answer_comes_after_its_ticket_and_from_the_same_customer(letters: list[mix.Letter]) -> None:
    opened = {one.message_id: (n, one.sender) for n, one in enumerate(letters) if one.kind == "new"}
    for n, one in enumerate(letters):
        if one.answers:
            place, sender = opened[one.answers]
            assert (place < n - mix.LAG // 2, sender) == (True, one.sender)


def test_every_second_answer_goes_to_a_known_thread() -> None:
    known = [mix.Thread("old@past.example", "<old@past.example>", "Long ago")]
    found = Counter(one.sender == "old@past.example" for one in mix.letters(1000, 7, known=known) if one.kind == "reply")
    assert found[True] == pytest.approx(200, rel=0.2)


# --- The generated past ---------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def half_a_year() -> Iterator[None]:
    """Every month is a file, and files take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(million, "SPAN", timedelta(days=150))
        yield


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("past") / "state"
    million.generate(state, TICKETS, end=END)
    return state


@pytest.fixture
def books(past: Path) -> Iterator[Books]:
    store = Store.open(past, read_only=True)
    try:
        yield Books(store)
    finally:
        store.close()


def test_every_generated_ticket_is_the_fold_of_its_events(books: Books) -> None:
    assert books.assert_folded() == TICKETS
    books.assert_seq_unbroken()


def test_a_ticket_that_is_not_its_fold_would_be_seen(books: Books) -> None:
    """Shows that the test above can fail: the newest events are those of unfinished lives."""
    cursor = books.store.reader()
    ticket = TICKET.fetch(cursor, "status = 'closed' ORDER BY id LIMIT 1")[0]
    events: list[Event] = EVENT.fetch(cursor, "ticket = $1 ORDER BY seq", ticket.id)
    assert fold(events) == ticket
    assert fold(events[:-1]) != ticket


def test_every_life_can_be_lived() -> None:
    """The core folds each script to its end; the shares make twenty twentieths and ten events a ticket."""
    assert sum(share for share, _ in lives.SCRIPTS) == 20
    assert sum(share * len(steps) for share, steps in lives.SCRIPTS) / 20 >= 10
    assert {e.status for e in lives.endings()} == {"new", "open", "pending", "solved", "closed"}
    for _, steps in lives.SCRIPTS:
        assert [step.hours for step in steps] == sorted(step.hours for step in steps)


@pytest.mark.parametrize("sql", [
    "SELECT id FROM message EXCEPT SELECT message FROM mail_id WHERE role = 'self'",
    "SELECT spool_id FROM message EXCEPT SELECT spool_id FROM processed",
    "SELECT spool_id FROM message EXCEPT SELECT spool_id FROM mail_facts",
    "SELECT message FROM event WHERE message IS NOT NULL EXCEPT SELECT id FROM message",
    "SELECT id FROM outbox EXCEPT SELECT outbox FROM delivery",
    "SELECT ticket FROM message EXCEPT SELECT id FROM ticket",
    "SELECT requester FROM ticket EXCEPT SELECT id FROM person",
    "SELECT last_public FROM ticket EXCEPT SELECT id FROM message WHERE is_public",
    "SELECT spool_id FROM message GROUP BY ALL HAVING count(*) > 1",
    "SELECT id FROM ticket EXCEPT SELECT ticket FROM ticket_text",
    "SELECT id FROM ticket EXCEPT SELECT ticket FROM participant",
])
def test_what_refers_to_something_finds_it(books: Books, sql: str) -> None:
    assert books.rows(sql) == []


@pytest.mark.parametrize(("table", "key"), [
    ("event", "seq"), ("message", "id"), ("mail_id", "message"), ("outbox", "id"), ("delivery", "outbox"), ("processed", "spool_id"),
    ("ticket", "id"), ("mail_facts", "message"),
])
def test_rows_lie_as_they_were_written_in_life(books: Books, table: str, key: str) -> None:
    """Oldest first: look-ups without an index read only the blocks whose range fits."""
    assert books.rows(
        f"SELECT count(*) FROM (SELECT {key} < lag({key}) OVER (ORDER BY rowid) AS back FROM {table}) WHERE back"
    ) == [(0,)]


def test_look_ups_go_by_the_hashes_the_gateway_makes(books: Books) -> None:
    for rfc_id, h in books.rows("SELECT rfc_id, h FROM mail_id"):
        assert h == digest(rfc_id)
    for address, h in books.rows("SELECT address, h FROM person"):
        assert h == digest(address)
    for key, h in books.rows('SELECT delivery_key, h FROM processed WHERE "at" > (SELECT max("at") - INTERVAL 7 DAY FROM processed)'):
        assert h == digest(key)


def test_all_texts_are_in_the_file_of_their_month(books: Books) -> None:
    months = sorted(books.store.files.mail_seq)
    assert [m for (m,) in books.rows("SELECT DISTINCT month FROM message ORDER BY 1")] == months
    for month in months:
        for table, rows in (("message_text", "SELECT id FROM message"), ("outbox_text", "SELECT id FROM outbox")):
            key = "message" if table == "message_text" else "id"
            assert books.rows(f'{rows} WHERE month = $1 EXCEPT SELECT {key} FROM "mail-{month}".{table}', month) == []


def test_indexes_are_those_of_the_schema(books: Books, tmp_path: Path) -> None:
    asked = "SELECT index_name, sql FROM duckdb_indexes() WHERE database_name = 'mailwicket' ORDER BY ALL"
    fresh = Store.open(tmp_path / "fresh")
    try:
        assert books.rows(asked) == fresh.reader().execute(asked).fetchall()
    finally:
        fresh.close()


def test_the_same_seed_gives_the_same_past(books: Books, tmp_path: Path) -> None:
    million.generate(tmp_path / "again", TICKETS, end=END)
    again = Store.open(tmp_path / "again", read_only=True)
    try:
        ours, theirs = (
            [line for line in store.dump() if "schema_version" not in line] for store in (books.store, again)
        )
        assert ours == theirs
    finally:
        again.close()


def test_a_gateway_opens_the_past_and_answers_thread_onto_it(past: Path, tmp_path: Path) -> None:
    """A real process, real SMTP: answers of its customers join the generated tickets, new mail opens new ones."""
    desk = Desk(tmp_path / "desk")
    shutil.copytree(past, desk.state)
    known = million.threads(past, 20)
    letters = mix.letters(120, 3, known=known)
    with desk.running():
        sent = feed(desk.port, letters, sessions=4)
        desk.committed()
        found = desk.decided(len(letters))
    rows = {one.letter.message_id: found[one.spool_id][1] for one in sent}
    old = [rows[one.message_id] for one in letters if one.answers in {t.message_id for t in known}]
    new = [rows[one.message_id] for one in letters if one.kind == "new"]
    assert old
    assert {(row["disposition"], row["ticket"] <= TICKETS) for row in old} == {("apply", True)}
    assert {(row["disposition"], row["ticket"] > TICKETS) for row in new} == {("apply", True)}
    with desk.books() as books:
        assert books.assert_folded() == TICKETS + len(new)


def test_a_past_is_made_once(tmp_path: Path) -> None:
    made, told = million.ready(tmp_path / "cache", tmp_path, 50)
    again, from_where = million.ready(tmp_path / "cache", tmp_path, 50)
    assert (again, "50 tickets" in told, from_where) == (made, True, f"from {tmp_path / 'cache'}")


# --- The measuring --------------------------------------------------------------------------


def test_every_clock_has_its_room() -> None:
    """A function that was renamed would be measured as nothing."""
    for place in rooms.ROOMS:
        assert callable(rooms.find(place)[2])
    with pytest.raises(LookupError, match="correct its row in ROOMS"):
        rooms.find("gateway.pipeline:nothing")


def test_a_clock_leaves_out_the_rooms_it_calls(tmp_path: Path) -> None:
    clocks = rooms.Clocks()
    inner = clocks.around(lambda: sum(range(2_000_000)), "inner")
    clocks.around(inner, "outer")()
    clocks.around(inner, "*whole")()
    assert clocks._calls == {"inner": 1, "outer": 1, "whole": 1}
    assert clocks._cpu["outer"] < clocks._cpu["inner"] / 2
    assert clocks._cpu["whole"] > clocks._cpu["inner"] / 2


async def test_callbacks_are_told_by_their_coroutine() -> None:
    async def nothing() -> None:
        await asyncio.sleep(0)

    task = asyncio.create_task(nothing())

    class Step:
        __self__ = task

    assert rooms.loop_room(Step()) == "loop: other"
    await task


def test_a_held_pipeline_accepts_and_waits(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    file = tmp_path / "rooms.json"
    with desk.running(hold=True, rooms=file):
        feed(desk.port, mix.letters(20, 5), sessions=2)
        assert (desk.waiting(), desk.decided()) == (20, {})
        desk.release()
        assert len(desk.decided(20)) == 20
        own, below = desk.cpu()
        assert own > 0 < below
        assert procfs.pss(desk.pid) > 10_000_000
    for room in ("accept: news", "load", "conclude", "compose", "store write", "parse: pipes", "send: books"):
        assert f'"{room}"' in file.read_text()


def test_cpu_of_ended_children_is_counted() -> None:
    before = sum(procfs.cpu_seconds(os.getpid()))
    pid = os.fork()
    if not pid:
        sum(range(20_000_000))
        os._exit(0)
    os.waitpid(pid, 0)
    assert sum(procfs.cpu_seconds(os.getpid())) - before >= 5 / procfs.TICK


def test_a_bar_is_met_or_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add(
        Line(part="1", what="rate", value=500, unit="/s", bar=400), Line(part="1", what="CPU", value=5, unit="ms", bar=4, way="at most"),
        Line(part="1", what="told", value=5, unit="ms"),
    )
    assert [line.met for line in table.lines] == [True, False, None]
    assert [line.what for line in table.missed()] == ["CPU"]
    assert "at most 4  MISSED" in capsys.readouterr().out


@pytest.mark.parametrize(("values", "share", "found"), [([], 0.5, 0), ([1.0], 0.99, 1), ([*range(100)], 0.5, 50), ([*range(100)], 0.99, 99)])
def test_percentiles(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found
