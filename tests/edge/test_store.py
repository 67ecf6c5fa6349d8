"""The store gives back what was written, and after any damage it is what the journal says."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from gateway.core.context import Needs
from gateway.core.rows import Delivery, Event, MailId, OutboxRow, Rows
from gateway.edge import frames, store_write
from gateway.edge.journal import Journal
from gateway.edge.store import Store
from gateway.edge.store_files import DAMAGED, MAIN
from gateway.edge.tables import MAIN as TABLES
from gateway.edge.tables import MESSAGE_TEXT, OUTBOX_TEXT, digest
from gateway.errors import AlreadyRunning, Damaged, StateError
from tests.edge.desk import Desk
from tests.strategies import START, Story


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(tmp_path)
    yield found
    found.close()


def filled(store: Store, seed: int = 1, count: int = 3, **story: object) -> tuple[Story, list[tuple[Rows, dict[str, bytes]]]]:
    told = Story(seed, **story)  # type: ignore[arg-type]
    parts = list(told.frames(count))
    for seq, (rows, raws) in enumerate(parts, 1):
        store.write(seq, rows, raws)
    return told, parts


def everything(story: Story) -> Needs:
    return Needs(
        rfc_ids=frozenset(f"{m.id}@kunde.example" for m in story.messages),
        addresses=frozenset(p.address for p in story.persons), tickets=frozenset(t.id for t in story.tickets),
        outbox=frozenset(d.outbox for d in story.deliveries), body_keys=frozenset(m.body_key for m in story.messages),
        delivery_keys=frozenset(f"key{m.id}" for m in story.messages),
        reasons_of=frozenset(t.id for t in story.tickets),
    )


# --- Round trips ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", [*TABLES, MESSAGE_TEXT, OUTBOX_TEXT], ids=lambda t: t.name)
def test_columns_are_the_fields_of_the_class_in_order(store: Store, table: object) -> None:
    """Schema and model say the same; what the schema has more of, stands behind."""
    filled(store, count=1)
    mail = table in (MESSAGE_TEXT, OUTBOX_TEXT)
    cursor = store.reader()
    if mail:
        cursor.execute('USE "mail-2026-10"')
    names = [row[0] for row in cursor.execute(f"DESCRIBE {table.name}").fetchall()]  # type: ignore[attr-defined]
    assert names == [*table.columns, *(name for name, _ in table.extra)]  # type: ignore[attr-defined]
    assert set(f.name for f in fields(OutboxRow)) == set(next(t for t in TABLES if t.name == "outbox").columns) | set(OUTBOX_TEXT.columns)
    cursor.close()


def test_every_row_of_every_table_comes_back(store: Store) -> None:
    """Of rows with one key the last; times with their zone; NUL, quotes and emoji as they were."""
    _, parts = filled(store)
    for table in TABLES:
        written = [row for rows, _ in parts for row in getattr(rows, table.field)]
        if table.key_of is not None:
            written = list({table.key_of(row): row for row in written}.values())
        assert written, f"the story never writes {table.name}"
        if table.name != "outbox":
            assert set(table.fetch(store._cursor, "true")) == set(written)
    mails = {o.id: o for rows, _ in parts for o in rows.outbox}
    assert store.outbox_rows(mails) == mails
    month = {m.spool_id: m.month for rows, _ in parts for m in rows.messages}
    for _, raws in parts:
        assert {i: store.raw(i, month[i]) for i in raws} == raws


def test_rows_of_one_key_in_one_batch_and_over_batches_leave_one_row(store: Store) -> None:
    """Ticket, person, participant, message and delivery are replaced, never doubled."""
    story, parts = filled(store, count=1)
    first = parts[0][0]
    again = Rows(
        persons=(replace(first.persons[0], name="Other"), replace(first.persons[0], name="Last")),
        tickets=(replace(story.tickets[0], status="solved"), replace(story.tickets[0], status="closed")),
        participants=(replace(first.participants[0], role="cc"), replace(first.participants[0], role="holder")),
        messages=(replace(first.messages[0], hold="x"), replace(first.messages[0], hold="y")),
        deliveries=(replace(first.deliveries[0], state="sending"), replace(first.deliveries[0], state="sent")),
        suppressions=(replace(first.suppressions[0], status="5.1.2"), replace(first.suppressions[0], revived_at=START)),
    )
    store.write(2, again, {})
    found = {t.name: t.fetch(store._cursor, "true") for t in TABLES if t.name != "outbox"}
    for table in TABLES:
        written = getattr(again, table.field)
        if written:
            assert found[table.name].count(written[-1]) == 1
            assert table.key_of is not None
            assert len({table.key_of(r) for r in found[table.name]}) == len(found[table.name])


def test_a_copy_without_a_message_row_keeps_its_raw_bytes(store: Store) -> None:
    """Also of a second copy the bytes stay readable, in the month it came."""
    story, parts = filled(store, count=1)
    first = parts[0][0]
    store.write(2, Rows(processed=(replace(first.processed[0], spool_id="copy", at=START),)), {"copy": b"again"})
    assert store.raw("copy", "2026-10") == b"again"


# --- load -----------------------------------------------------------------------------------


def test_load_gives_what_hangs_on_the_needs(store: Store) -> None:
    """Everything of a small desk, asked for as a whole, is in the context."""
    story, parts = filled(store, 10, count=4)
    context = store.load(everything(story), story.now)
    events: list[Event] = [e for rows, _ in parts for e in rows.events]
    texts = {t.message: t for rows, _ in parts for t in rows.message_texts}
    held = {m.id for m in story.messages if m.hold}
    notes = {e.message for e in events if e.kind == "note"}
    last = {t.last_public for t in story.tickets} - {None}
    assert held and notes and last
    assert context.tickets == {t.id: t for t in story.tickets}
    assert context.persons == {p.id: p for p in story.persons}
    assert context.person_ids == {p.address: p.id for p in story.persons}
    assert context.subjects == {t.ticket: t.subject for rows, _ in parts for t in rows.ticket_texts}
    assert set(context.stored) == held | notes | last
    assert all(s.text == texts[i] and s.message == story.messages[i - 1] for i, s in context.stored.items())
    assert {n for found in context.notes.values() for n in found} == notes
    assert {i for found in context.mail_ids.values() for i in found} == {i for rows, _ in parts for i in rows.mail_ids}
    assert {o: m.text for o, m in context.outbox.items()} == {o.id: o.text for rows, _ in parts for o in rows.outbox}
    assert {t: set(p) for t, p in context.participants.items()} == {
        t.id: {p for rows, _ in parts for p in rows.participants if p.ticket == t.id} for t in story.tickets
    }
    assert set(context.addressees) == {t.id for t in story.tickets}
    assert {m.id for found in context.copies.values() for m in found} == {m.id for m in story.messages}
    week = {f"key{m.id}": m.id for m in story.messages if m.at >= story.now - timedelta(days=7)}
    assert context.delivery_keys == week
    assert context.acknowledged == {
        (o.ticket, o.recipient) for rows, _ in parts for o in rows.outbox if o.kind == "ack"
    }
    assert context.suppressions == {s.person: s for rows, _ in parts for s in rows.suppressions}
    assert {o: m.delivery for o, m in context.outbox.items()} == {d.outbox: d for d in story.deliveries}
    newest = max(d.spool_id for rows, _ in parts for d in rows.decisions)
    ticket = next(d.ticket for rows, _ in parts for d in rows.decisions if d.spool_id == newest)
    assert ticket is not None
    assert [r.code for r in context.reasons[ticket][:3]] == ["code0", "code1", "code2"]
    assert (context.next_seq, context.next_ticket, context.next_message, context.next_outbox, context.next_person) == (
        story.seq + 1, len(story.tickets) + 1, len(story.messages) + 1, len(story.deliveries) + 1, len(story.persons) + 1
    )


def test_load_of_nothing_is_the_empty_context_with_counters(store: Store) -> None:
    story, _ = filled(store, count=1)
    context = store.load(Needs(), story.now)
    assert (context.tickets, context.persons, context.automatic) == ({}, {}, ())
    assert context.next_ticket == len(story.tickets) + 1


def test_threads_have_the_first_and_the_last_nine_public_mails_of_people(store: Store) -> None:
    story, parts = filled(store, count=1, mails=1)
    rows, _ = parts[0]
    base = replace(rows.messages[0], is_public=True, mail_class="human")
    more = [replace(base, id=n, spool_id=f"s{n}") for n in range(2, 16)]
    machine = replace(base, id=16, spool_id="s16", mail_class="generated")
    inside = replace(base, id=17, spool_id="s17", is_public=False)
    ids = [MailId(rfc_id=f"{m.id}@kunde.example", message=m.id, ticket=1, role="self", sender=1) for m in (*more, machine, inside)]
    store.write(2, Rows(messages=(*more, machine, inside), mail_ids=tuple(ids)), {})
    found = store.load(Needs(tickets=frozenset({1})), story.now).threads
    assert found == {1: tuple(f"{n}@kunde.example" for n in (1, *range(7, 16)))}


def test_a_merged_ticket_brings_the_living_one(store: Store) -> None:
    """Redirects are followed to their end, circles included."""
    story, _ = filled(store, count=1, mails=10)
    a, b, c = story.tickets[:3]
    store.write(2, Rows(tickets=(
        replace(a, merged_into=b.id), replace(b, merged_into=c.id), replace(c, merged_into=None),
    )), {})
    context = store.load(Needs(tickets=frozenset({a.id})), story.now)
    living = context.living(a.id)
    assert set(context.tickets) == {a.id, b.id, c.id} and living is not None and living.id == c.id
    # Their notes are looked for in answers on the living one, so the other direction is loaded as well.
    assert set(store.load(Needs(tickets=frozenset({c.id})), story.now).tickets) == {a.id, b.id, c.id}
    store.write(3, Rows(tickets=(replace(c, merged_into=a.id),)), {})
    assert set(store.load(Needs(tickets=frozenset({a.id})), story.now).tickets) == {a.id, b.id, c.id}


def test_automatic_mail_of_a_day_counts_by_domain_and_by_ticket(store: Store) -> None:
    """Replies, older mail and other domains do not count."""
    story, parts = filled(store, count=1, mails=1)
    one = replace(parts[0][0].outbox[0], created_at=story.now)
    cases = {
        "same domain": replace(one, id=2, kind="ack", ticket=None, rcpt_to="x@acme.example"),
        "the ticket": replace(one, id=3, kind="result", ticket=1, rcpt_to="y@other.example"),
        "neither": replace(one, id=4, kind="ack", ticket=None, rcpt_to="y@other.example"),
        "a reply": replace(one, id=5, kind="reply", ticket=1, rcpt_to="x@acme.example"),
        "too old": replace(one, id=6, kind="ack", ticket=1, created_at=story.now - timedelta(hours=25)),
        "a notice of unproven mail": replace(one, id=7, kind="unproven_notice", ticket=None, rcpt_to="anna@acme.example"),
    }
    store.write(2, Rows(outbox=tuple(cases.values())), {})
    needs = Needs(tickets=frozenset({1}), addresses=frozenset({"anna@acme.example"}))
    context = store.load(needs, story.now)
    assert {a.address for a in context.automatic} == {"x@acme.example", "y@other.example", "anna@acme.example", one.rcpt_to}
    assert len(context.automatic) == 4
    assert context.held_notice_at == {"anna@acme.example": story.now}


def test_tickets_an_address_opened_within_the_hour_are_loaded(store: Store) -> None:
    story, parts = filled(store, count=1, mails=1)
    created = parts[0][0].events[0]
    old = replace(created, seq=2, recorded_at=story.now - timedelta(hours=2))
    store.write(2, Rows(events=(old,)), {})
    context = store.load(Needs(addresses=frozenset({story.persons[0].address})), story.now)
    assert context.opened == {story.persons[0].address: (1,)}
    assert set(context.tickets) == {1}


def test_bounces_of_seven_days_are_loaded_for_whom_the_outbox_rows_went_to(store: Store) -> None:
    """With the status that was said; others, older ones and those without a status are not counted."""
    story, parts = filled(store, count=1)
    mail, event = parts[0][0].outbox[0], parts[0][0].events[0]

    def bounce(seq: int, days: float, who: int, after: str | None, kind: str = "bounced") -> Event:
        at = story.now - timedelta(days=days)
        return replace(event, seq=story.seq + seq, kind=kind, actor=who, after=after, recorded_at=at)  # type: ignore[arg-type]

    store.write(2, Rows(events=(
        bounce(1, 8, mail.recipient, "5.1.1"), bounce(2, 6, mail.recipient, "5.2.2"), bounce(3, 1, mail.recipient + 1, "5.2.2"),
        bounce(4, 1, mail.recipient, None), bounce(5, 1, mail.recipient, "4.2.2", "delayed"), bounce(6, 1, mail.recipient, "5.1.1"),
    )), {})
    found = store.load(Needs(outbox=frozenset({mail.id})), story.now).bounces
    assert {who: [b.status for b in all_] for who, all_ in found.items()} == {mail.recipient: ["5.2.2", "5.1.1"]}
    assert found[mail.recipient][0].at == story.now - timedelta(days=6)


def test_a_hash_that_collides_does_not_bring_another_address(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index holds hashes; the text decides."""
    monkeypatch.setattr("gateway.edge.tables.digest", lambda text: 1)
    monkeypatch.setattr("gateway.edge.store_load.digest", lambda text: 1)
    story, _ = filled(store, count=1)
    wanted = story.persons[0].address
    context = store.load(Needs(addresses=frozenset({wanted}), rfc_ids=frozenset({"1@kunde.example"})), story.now)
    assert set(context.mail_ids) == {"1@kunde.example"}
    assert wanted in context.person_ids


def test_memory_that_is_short_asks_for_a_smaller_batch(store: Store) -> None:
    """Not a StateError: the batch is halved instead of the service stopped."""
    story, _ = filled(store, count=1)
    store._cursor.execute("SET memory_limit='8MB'")
    with pytest.raises(MemoryError):
        store.load(Needs(addresses=frozenset(f"{n}@x.example" for n in range(300_000))), story.now)


# --- Start-up, outbox, spool ----------------------------------------------------------------


def test_undelivered_is_what_is_neither_sent_nor_given_up(store: Store) -> None:
    """Due mail first."""
    states = ("queued", "sending", "sent", "uncertain", "deferred", "failed", "bounced", "delayed")
    rows = tuple(
        Delivery(outbox=n, state=s, attempts=0, next_at=START - timedelta(hours=n), changed_at=START, reply="")  # type: ignore[arg-type]
        for n, s in enumerate(states)
    )
    store.write(1, Rows(deliveries=rows), {})
    assert [d.state for d in store.undelivered()] == ["deferred", "uncertain", "sending", "queued"]


def test_processed_names_what_is_decided(store: Store) -> None:
    story, parts = filled(store, count=1)
    done = [m.spool_id for m in story.messages]
    assert store.processed([*done, "unknown"]) == sorted(done)
    assert store.processed([]) == []


def test_raw_that_nobody_has_is_a_state_error(store: Store) -> None:
    filled(store, count=1)
    for month in ("2026-10", "1999-01", "x'; DROP TABLE ticket; --"):
        with pytest.raises(StateError, match="nowhere-id"):
            store.raw("nowhere-id", month)


def test_raw_may_be_read_from_many_threads_while_one_writes(store: Store) -> None:
    story, parts = filled(store, count=2)
    wanted = [(m.spool_id, m.month) for m in story.messages]
    raws = {i: r for _, found in parts for i, r in found.items()}
    errors: list[object] = []

    def read() -> None:
        try:
            for spool_id, month in wanted * 3:
                assert store.raw(spool_id, month) == raws[spool_id]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for seq, (rows, more) in enumerate(itertools.islice(story.frames(3), 3), 3):
        store.write(seq, rows, more)
    for thread in threads:
        thread.join()
    assert not errors


def test_a_reader_sees_the_last_commit_and_not_more(store: Store) -> None:
    filled(store, count=1)
    reader = store.reader()
    before = reader.execute("SELECT count(*) FROM event").fetchone()
    store._cursor.begin()
    store._cursor.execute("DELETE FROM event")
    assert reader.execute("SELECT count(*) FROM event").fetchone() == before
    store._cursor.rollback()
    reader.close()


# --- Frames and crashes ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_replay_of_the_frames_gives_the_same_dump_as_writing(tmp_path: Path, seed: int) -> None:
    (tmp_path / "a").mkdir()
    one, two = Store.open(tmp_path / "a"), Store.open(tmp_path / "b")
    _, parts = filled(one, seed)
    for seq, (rows, raws) in enumerate(parts, 1):
        two.replay(seq, frames.decode(frames.encode(rows, at=START, cause="mail")), raws.__getitem__)
    assert list(one.dump()) == list(two.dump())
    assert one.dump_hash == two.dump_hash
    one.close()
    two.close()


def test_the_dump_differs_when_one_value_does(store: Store) -> None:
    filled(store, count=1)
    before = store.dump_hash
    store._cursor.execute('UPDATE "mail-2026-10".raw SET bytes = $1 WHERE spool_id = (SELECT min(spool_id) FROM "mail-2026-10".raw)', [b"x"])
    assert store.dump_hash != before


def test_a_crash_between_the_two_commits_is_healed_by_replay(tmp_path: Path) -> None:
    """The mail files are one frame ahead; applying it again doubles nothing."""
    plain, torn = Store.open(tmp_path / "plain"), Store.open(tmp_path / "torn")
    _, parts = filled(plain)
    for seq, (rows, raws) in enumerate(parts, 1):
        months = store_write.by_month(torn._cursor, rows, raws)
        store_write.write_mails(torn.files, torn._cursor, seq, months, raws.get, again=False)
        torn.close()
        torn = Store.open(tmp_path / "torn")
        assert (torn.applied_seq, torn.replay_from) == (seq - 1, seq - 1)
        torn.replay(seq, frames.decode(frames.encode(rows, at=START, cause="mail")), raws.__getitem__)
    assert torn.dump_hash == plain.dump_hash
    plain.close()
    torn.close()


def test_applied_seq_and_counters_survive_a_restart(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    story, _ = filled(store)
    before = store.load(Needs(), story.now)
    store.close()
    store = Store.open(tmp_path)
    assert (store.applied_seq, store.replay_from, store.rebuilt) == (3, 3, None)
    assert store.load(Needs(), story.now) == before
    store.close()


def test_a_frame_is_never_written_twice_and_none_is_skipped(store: Store) -> None:
    _, parts = filled(store)
    with pytest.raises(StateError, match="restart"):
        store.write(3, *parts[2])
    with pytest.raises(StateError, match="mailwicket restore"):
        store.replay(5, frames.decode(frames.encode(parts[0][0], at=START, cause="mail")), parts[0][1].__getitem__)
    assert store.applied_seq == 3


def test_a_write_that_fails_leaves_nothing_and_stops_the_store(tmp_path: Path) -> None:
    """The frame is in the journal: the store must not go on with the next one."""
    store = Store.open(tmp_path)
    story, _ = filled(store, count=1)
    before = [line for line in store.dump() if line.startswith("mailwicket ")]
    rows, raws = next(iter(story.frames(1)))
    broken = replace(rows, events=(replace(rows.events[0], kind=None),))  # type: ignore[arg-type]
    with pytest.raises(StateError, match="restart"):
        store.write(2, broken, raws)
    assert [line for line in store.dump() if line.startswith("mailwicket ")] == before
    with pytest.raises(StateError, match="start-up applies the journal"):
        store.write(2, rows, raws)
    store.close()
    store = Store.open(tmp_path)
    assert store.applied_seq == 1
    store.replay(2, frames.decode(frames.encode(rows, at=START, cause="mail")), raws.__getitem__)
    assert store.applied_seq == 2
    store.close()


def test_a_raw_mail_that_is_lost_everywhere_does_not_stop_the_replay(store: Store) -> None:
    def nowhere(spool_id: str) -> bytes:
        raise Damaged(f"{spool_id} is missing")

    rows, raws = next(iter(Story(1).frames(1)))
    store.replay(1, frames.decode(frames.encode(rows, at=START, cause="mail")), nowhere)
    assert store.applied_seq == 1
    assert sorted(store.lost) == sorted(raws)


def test_checkpoint_keeps_the_content(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    filled(store)
    before = store.dump_hash
    store.checkpoint()
    assert not (tmp_path / f"{MAIN}.wal").exists() or (tmp_path / f"{MAIN}.wal").stat().st_size == 0
    assert store.dump_hash == before
    store.close()


# --- Damage --------------------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(50_000))


def zeroes(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("harm", [delete, garbage, zeroes, empty, half], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", [MAIN, "mail-2026-10.duckdb"])
def test_a_damaged_file_is_set_aside_and_rebuilt(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    desk = Desk(tmp_path, Story(2))
    before = desk.run(3)
    harm(tmp_path / name)
    store = desk.open()
    assert store.dump_hash == before
    assert store.rebuilt and name in store.rebuilt
    assert store.lost == []
    store.close()
    kept = list((tmp_path / "quarantine").glob(f"*/{name}"))
    assert len(kept) == (0 if harm is delete else 1)
    store = desk.open()
    assert store.rebuilt is None
    store.close()


def killed(desk: Desk, target: Path) -> None:
    """Two more frames, and a copy of all files as a kill -9 leaves them: rows in the write-ahead logs."""
    store = desk.open()
    journal = Journal(desk.state / "journal")
    for rows, raws in desk.story.frames(2):
        seq = journal.last_seq + 1
        journal.append(seq, frames.encode(rows, at=desk.story.now, cause="mail"))
        desk.keep(raws)
        store.write(seq, rows, raws)
    journal.close()
    shutil.copytree(desk.state, target)
    store.close()


@pytest.mark.parametrize("part", range(6))
def test_a_damaged_log_never_loses_a_row(tmp_path: Path, part: int) -> None:
    """A cut, garbled or deleted write-ahead log of either file: the journal fills the gap."""
    desk = Desk(tmp_path / "run", Story(3))
    desk.run(2)
    killed(desk, tmp_path / "copy")
    before = desk.hash()
    chosen = random.Random(part)
    for wal in sorted((tmp_path / "copy").glob("*.wal")):
        data = bytearray(wal.read_bytes())
        assert data
        place = chosen.randrange(len(data))
        harms: tuple[Callable[[], bytes | None], ...] = (
            lambda: bytes(data[:place]), lambda: bytes(data[:place]) + chosen.randbytes(len(data) - place), lambda: None,
            lambda: bytes(data[:place]) + bytes([data[place] ^ 1 << chosen.randrange(8)]) + bytes(data[place + 1 :]),
            lambda: bytes(data[:-3]), lambda: bytes(len(data)),
        )
        content = harms[part]()
        if content is None:
            wal.unlink()
        else:
            wal.write_bytes(content)
    assert Desk(tmp_path / "copy", desk.story).hash() == before


@pytest.mark.parametrize("name", [f"{MAIN}.wal", "mail-2026-11.duckdb.wal"])
def test_a_lost_log_of_one_file_is_noticed(tmp_path: Path, name: str) -> None:
    """The file opens without complaint and with fewer rows; the marks of the other file tell."""
    desk = Desk(tmp_path / "run", Story(3, mails=10))
    desk.run(2)
    killed(desk, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    before = desk.hash()
    store = Store.open(tmp_path / "copy")
    assert store.replay_from < 4
    store.close()
    assert Desk(tmp_path / "copy", desk.story).hash() == before


@pytest.mark.parametrize("name", [MAIN, "mail-2026-10.duckdb"])
def test_a_flipped_bit_anywhere_changes_nothing(tmp_path: Path, name: str) -> None:
    """Whether DuckDB notices at once, while reading, or never because the block was free."""
    desk = Desk(tmp_path / "run", Story(4))
    before = desk.run(3)
    good = (tmp_path / "run" / name).read_bytes()
    places = random.Random(5)
    for number, place in enumerate([*range(0, 40, 8), *(places.randrange(len(good)) for _ in range(8))]):
        copy = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", copy)
        data = bytearray(good)
        data[place] ^= 1 << places.randrange(8)
        (copy / name).write_bytes(data)
        assert Desk(copy, desk.story).hash() == before, f"bit flipped at {place}"


def test_damage_found_while_working_is_healed_at_the_next_start(tmp_path: Path) -> None:
    """The file is named for the next start; that one sets it aside, and the list is gone."""
    desk = Desk(tmp_path, Story(6))
    before = desk.run(2)
    store = desk.open()
    told = store._told(duckdb.IOException(f'Corrupt database file "{tmp_path / MAIN}": computed checksum 1 does not match'))
    assert isinstance(told, Damaged) and "restart" in str(told)
    assert (tmp_path / DAMAGED).read_text() == f"{MAIN}\n"
    store.close()
    store = desk.open()
    assert store.rebuilt is not None and MAIN in store.rebuilt and store.dump_hash == before
    assert not (tmp_path / DAMAGED).exists()
    store.close()


@pytest.mark.parametrize("words", ["IO Error: No space left on device", "Out of Memory Error: failed to pin block"])
def test_a_full_disk_is_no_damage(tmp_path: Path, words: str) -> None:
    desk = Desk(tmp_path, Story(6))
    desk.run(1)
    store = desk.open()
    assert not isinstance(store._told(duckdb.IOException(words)), Damaged)
    assert not (tmp_path / DAMAGED).exists()
    store.close()


def test_a_mail_file_whose_frames_are_gone_is_asked_for_once_only(tmp_path: Path) -> None:
    """No journal, no backup: the desk still starts, and next time it does not search again."""
    desk = Desk(tmp_path, Story(7))
    desk.run(2)
    shutil.rmtree(tmp_path / "journal")
    (tmp_path / "mail-2026-10.duckdb").unlink()
    store = desk.open()
    assert store.rebuilt and store.applied_seq == 2
    store.close()
    store = desk.open()
    assert (store.rebuilt, store.replay_from) == (None, 2)
    store.close()


def test_a_database_that_another_process_holds_is_not_damage(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    code = f"import duckdb,sys; c = duckdb.connect({str(tmp_path / MAIN)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with pytest.raises(AlreadyRunning, match="stop"):
            Store.open(tmp_path)
        assert other.stdin is not None
        other.stdin.close()
    assert not (tmp_path / "quarantine").exists()


def test_read_only_changes_no_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Story(8))
    before = desk.run(2)
    files = {p: p.read_bytes() for p in tmp_path.glob("*.duckdb*")}
    store = Store.open(tmp_path, read_only=True)
    assert store.dump_hash == before
    store.close()
    assert {p: p.read_bytes() for p in tmp_path.glob("*.duckdb*")} == files
    with pytest.raises(StateError, match="start the gateway once"):
        Store.open(tmp_path / "nowhere", read_only=True)


def test_digest_is_stable_and_takes_any_text() -> None:
    """It stands in files: a change would lose every look-up."""
    assert digest("anna@acme.example") == 0x249a5318481798a1
    assert 0 <= digest("\ud800") < 2**64

