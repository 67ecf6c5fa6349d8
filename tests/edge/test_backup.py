"""Backups are of one moment, are proven, and what two of them hold may go: never anything else."""

from __future__ import annotations

import copy
import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest

from gateway.backup import NEEDED, Forgotten, proof
from gateway.core.rows import Processed
from gateway.edge import backups
from gateway.edge.aside import Aside, Stopped
from gateway.edge.backups import MANIFEST, directories, listed, read_manifest, sha256_of
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN
from gateway.errors import Damaged, StateError
from gateway.restore import restore_state
from tests.edge.faults import DeadError, FaultyDisk
from tests.edge.live import Here, Live
from tests.strategies import Story


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    desk = Live(tmp_path, Story(11))
    yield desk
    desk.close()


def lose_databases(state: Path) -> None:
    for path in (*state.glob("*.duckdb*"),):
        path.unlink()


# --- One moment ---


def test_all_files_of_a_backup_are_of_one_frame(tmp_path: Path) -> None:
    """Taken while mail comes in without pause, in a process of its own: no file is ahead of another."""
    live = Live(tmp_path, Story(12), Aside())
    live.run(1)
    over = threading.Event()

    def traffic() -> None:
        while not over.is_set():
            live.run(1)
            time.sleep(0.05)

    coming = threading.Thread(target=traffic)
    coming.start()
    try:
        place = live.backup()
    finally:
        over.set()
        coming.join()
    manifest = read_manifest(place)
    assert 1 <= manifest.applied_seq < live.store.applied_seq
    before = live.contents()
    live.close()
    found = {f.name: f for f in manifest.files}
    main = duckdb.connect(str(place / MAIN), read_only=True)
    for name, seq in main.execute("SELECT name || '.duckdb', number FROM meta WHERE name LIKE 'mail-%'").fetchall():
        assert found[name].applied_seq == seq
    main.close()
    restore_state(tmp_path, place, resend=True)
    live.open()
    assert live.contents() == before
    live.close()


def test_no_checkpoint_while_files_are_copied_and_the_next_one_after(live: Live) -> None:
    live.run(1)
    log = live.state / f"{MAIN}.wal"
    with live.store.files.held():
        assert not live.store.checkpoint()
        assert log.stat().st_size
    assert live.store.checkpoint()
    assert not log.exists() or not log.stat().st_size


def test_a_file_that_was_checkpointed_meanwhile_is_no_backup(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should DuckDB do it all the same, the headers tell."""
    live.run(1)

    class Meddling(Here):
        def ask(self, verb: str, **args: object) -> object:
            if verb == "copy":
                from gateway.edge import backup_work

                real = backup_work._copy

                def meddling(source: Path, target: Path, size: int | None) -> int:
                    done = real(source, target, size)
                    if source.name == MAIN:
                        cursor = live.store.reader()
                        cursor.execute("CHECKPOINT")
                        cursor.close()
                    return done

                monkeypatch.setattr(backup_work, "_copy", meddling)
            return super().ask(verb, **args)

    live.aside = Meddling()
    with pytest.raises(StateError, match=r"checkpointed while it was copied|shorter than it was"):
        live.backup()
    assert directories(live.state / "backup") == []


def test_a_closed_month_is_copied_once(live: Live) -> None:
    live.run(5)
    first = live.backup()
    live.run(1)
    second = live.backup()
    closed, main = "mail-2026-10.duckdb", MAIN
    assert (first / closed).samefile(second / closed)
    assert not (first / main).samefile(second / main)


def test_a_linked_month_that_rotted_is_copied_anew(live: Live) -> None:
    live.run(5)
    first = live.backup()
    live.run(1)
    closed = first / "mail-2026-10.duckdb"
    data = bytearray(closed.read_bytes())
    data[len(data) // 2] ^= 1
    closed.write_bytes(data)
    second = live.backup()
    assert not closed.samefile(second / closed.name)
    assert read_manifest(second).verified_at


def test_two_backups_at_once_are_refused(live: Live) -> None:
    live.run(1)
    inside = threading.Event()
    refused: list[str] = []

    class Slow(Here):
        def ask(self, verb: str, **args: object) -> object:
            if verb == "copy" and not inside.is_set():
                inside.set()
                with pytest.raises(StateError, match="another backup") as found:
                    live.backup()
                refused.append(str(found.value))
            return super().ask(verb, **args)

    live.aside = Slow()
    place = live.backup()
    assert refused and read_manifest(place).verified_at


def test_stop_in_the_middle_leaves_nothing_that_looks_whole(live: Live) -> None:
    """SIGTERM: the process beside us is ended, what it made is taken away, the next backup works."""
    live.run(1)

    class Stopping(Aside):
        def ask(self, verb: str, **args: object) -> object:
            if verb == "fold":
                self.stop()
            return super().ask(verb, **args)

    live.aside = Stopping()
    with pytest.raises(Stopped):
        live.backup()
    assert list((live.state / "backup").iterdir()) == []
    assert live.store.checkpoint(), "the files are free again"
    live.aside = Aside()
    assert read_manifest(live.backup()).verified_at


# --- Proof ---


def tampered(place: Path, name: str, sql: str, **manifest: object) -> None:
    """The backup with a change that its hashes know of, as a bug of ours would make it."""
    with duckdb.connect(str(place / name)) as cursor:
        cursor.execute(sql)
    found = read_manifest(place)
    files = tuple(
        msgspec.structs.replace(f, sha256=sha256_of(place / f.name), size=(place / f.name).stat().st_size) for f in found.files
    )
    backups.write_manifest(place, msgspec.structs.replace(found, files=files, verified_at=None))


@pytest.mark.parametrize(("name", "sql", "why"), [
    (MAIN, "DELETE FROM decision WHERE rowid = 0", "numbers of rows.* in decision"),
    (MAIN, "UPDATE meta SET number = number - 1 WHERE name = 'applied_seq'", "ends at frame 4, not 5"),
    (MAIN, "UPDATE ticket SET status = 'closed' WHERE id = 1", "ticket 1 is not what its events make"),
    (MAIN, "UPDATE event SET kind = 'note' WHERE seq = 1", "ticket 1 is not what its events make"),
    ("mail-2026-11.duckdb", "UPDATE raw SET bytes = 'x'::BLOB", "is not as it came"),
])
def test_a_proof_looks_into_the_files(live: Live, name: str, sql: str, why: str) -> None:
    live.run(5)
    place = live.backup(prove=False)
    tampered(place, name, sql)
    with pytest.raises(Damaged, match=why):
        proof(place)
    assert read_manifest(place).verified_at is None


def test_a_proof_stands_in_the_manifest(live: Live) -> None:
    live.run(2)
    place = live.backup(prove=False)
    assert read_manifest(place).verified_at is None
    assert proof(place) == read_manifest(place)
    assert read_manifest(place).verified_at


# --- Retention ---


def test_nothing_goes_without_two_verified_backups(live: Live) -> None:
    live.run(4)
    mails = live.done()
    assert live.retain() == Forgotten()
    live.backup()
    live.backup(prove=False)
    assert live.retain() == Forgotten()
    assert live.done() == mails and live.first_frame() == 1


def test_what_two_hold_goes_and_nothing_newer(live: Live) -> None:
    live.run(5)
    live.backup()
    old = live.done()
    live.run(4)
    live.backup()
    between = live.done() - old
    live.run(3)
    newest = live.done() - old - between
    done = live.retain()
    assert done.frames_before == 5 and done.segments and done.mails == len(old)
    assert live.done() == between | newest
    assert 1 < live.first_frame() <= 6
    assert live.retain() == Forgotten(frames_before=5), "what has gone does not go again"


def test_copies_of_our_own_mail_do_not_stay_for_ever(live: Live) -> None:
    """They are taken from a Sent folder for their Message-ID only; no mail file has them, so no backup ever did."""
    def sent(number: int) -> str:
        live.run(1)
        rows, raws = next(iter(live.story.frames(1)))
        spool_id = f"0000000000000000000000{number:04d}"
        processed = Processed(spool_id=spool_id, delivery_key="k", disposition="copy", message=None, at=live.story.now)
        live.writer.submit(live._write, replace(rows, processed=(*rows.processed, processed)), {**raws, spool_id: b"Subject: ours"}).result()
        return spool_id

    first = sent(1)
    live.backup()
    live.run(1)
    live.backup()
    last = sent(2)
    live.retain()
    assert first not in live.done()
    assert last in live.done(), "no backup knows of it yet"


@pytest.mark.parametrize("harm", ["missing", "rotted", "no manifest"])
def test_a_backup_that_is_no_longer_whole_does_not_count(live: Live, harm: str) -> None:
    live.run(3)
    first = live.backup()
    live.run(3)
    live.backup()
    path = first / MAIN
    if harm == "missing":
        path.unlink()
    elif harm == "rotted":
        data = bytearray(path.read_bytes())
        data[5000] ^= 1
        path.write_bytes(data)
    else:
        (first / MANIFEST).unlink()
    before = live.done()
    try:
        assert live.retain() == Forgotten()
    except Damaged as error:
        assert harm == "rotted" and "nothing was forgotten" in str(error)
    assert live.done() == before and live.first_frame() == 1


def test_a_mail_whose_bytes_a_backup_lacks_stays(live: Live) -> None:
    """The last word has the comparison of bytes, not the bookkeeping."""
    live.run(3)
    odd = sorted(live.done())[2]
    (path,) = (live.state / "spool" / "done").glob(f"*/*/{odd}")
    path.write_bytes(b"{}\nother bytes")
    live.backup()
    live.run(1)
    live.backup()
    live.retain()
    assert odd in live.done() and len(live.done()) == 1 + 6


def test_backups_of_a_life_that_a_restore_ended_do_not_count(live: Live, tmp_path: Path) -> None:
    """Frames have the same numbers there and say something else: on their strength nothing may go."""
    live.run(3)
    live.backup()
    live.close()
    shutil.copytree(tmp_path, tmp_path.parent / "past")
    live.open()
    live.run(3)
    for _ in range(NEEDED):
        live.backup()
    live.close()
    ahead = tmp_path.parent / "ahead"
    shutil.move(tmp_path / "backup", ahead)
    shutil.rmtree(tmp_path)
    shutil.move(tmp_path.parent / "past", tmp_path)
    shutil.move(ahead, tmp_path / "backup")
    # The desk that was copied whole goes on otherwise, past the numbers of those backups.
    again = Live(tmp_path, Story(99), live.aside)
    for seq in range(8):
        again.journal.append(again.journal.last_seq + 1, f"another future {seq}".encode())
    mails = again.done()
    assert again.retain() == Forgotten()
    assert again.done() == mails
    again.close()


def test_the_oldest_backups_go_but_never_the_two_newest_verified(live: Live) -> None:
    live.run(2)
    sound = [live.backup() for _ in range(4)]
    loose = [live.backup(prove=False) for _ in range(2)]
    named = live.state / "backup" / "before the upgrade"
    shutil.copytree(sound[0], named)
    assert live.retain(keep=2).backups == 2
    assert set(directories(live.state / "backup")) == {named, *sound[2:], *loose}


@pytest.mark.parametrize("seed", range(6))
def test_either_of_the_two_newest_and_the_journal_make_the_same_desk(tmp_path: Path, seed: int) -> None:
    """Backups and retentions at any time; then the databases are lost in one of five ways."""
    dice = random.Random(seed)
    live = Live(tmp_path, Story(seed, mails=dice.randint(1, 9)))
    live.run(dice.randint(1, 4))
    for _ in range(dice.randint(2, 4)):
        live.backup()
        live.run(dice.randint(0, 4))
        live.retain(keep=dice.randint(2, 3))
    before = live.contents()
    live.close()
    for way in ("start", "newest", "second", "month", "main"):
        state = tmp_path.parent / way
        shutil.copytree(tmp_path, state)
        two = directories(state / "backup")[:2]
        if way == "month":
            dice.choice(sorted(state.glob("mail-*.duckdb"))).write_bytes(b"garbage")
        elif way == "main":
            (state / MAIN).unlink()
        else:
            lose_databases(state)
        if way in ("newest", "second"):
            restore_state(state, two[way == "second"], resend=True)
        again = Live(state, Story(seed), live.aside)
        assert again.store.lost == []
        assert again.contents() == before, way
        again.close()
        shutil.rmtree(state)


# --- What the journal has forgotten ---


@pytest.fixture
def forgetful(live: Live) -> Live:
    """A desk that has let go what backups hold."""
    live.run(5)
    live.backup()
    live.run(2)
    live.backup()
    live.run(1)
    assert live.retain().frames_before == 5
    live.close()
    return live


def test_without_the_backups_a_lost_database_is_told_and_not_begun_anew(forgetful: Live) -> None:
    """Even when no segment went, the raw mails did: starting from nothing would lose them in silence."""
    state = forgetful.state
    (state / "backup").rename(state / "away")
    lose_databases(state)
    with pytest.raises(StateError, match=r"only in .*backup"):
        Store.open(state)
    (state / "away").rename(state / "backup")
    forgetful.open()
    assert forgetful.store.applied_seq == 8 and not forgetful.store.lost


def test_a_lost_month_is_told_too(forgetful: Live) -> None:
    state = forgetful.state
    (state / "backup").rename(state / "away")
    (state / "mail-2026-10.duckdb").unlink()
    with pytest.raises(StateError, match="mail-2026-10"):
        Store.open(state)
    (state / "away").rename(state / "backup")
    forgetful.open()
    assert not forgetful.store.lost


def test_a_backup_from_before_is_refused_and_nothing_is_touched(forgetful: Live, tmp_path: Path) -> None:
    """Restore goes by what the journal still reaches, also when it chooses."""
    state = forgetful.state
    old = state / "backup" / "2020-01-01T000000.000000Z"
    shutil.copytree(directories(state / "backup")[1], old)
    backups.write_manifest(old, msgspec.structs.replace(read_manifest(old), applied_seq=4))
    with pytest.raises(StateError, match="has forgotten those up to 5"):
        restore_state(state, old)
    assert not (state / "quarantine").exists()
    for newer in directories(state / "backup")[:2]:
        shutil.rmtree(newer)
    with pytest.raises(StateError, match="has forgotten"):
        restore_state(state)
    forgetful.open()


# --- Death at every step ---


@pytest.mark.parametrize("part", range(4))
def test_death_at_every_step_of_backup_and_retention_loses_nothing(tmp_path: Path, part: int) -> None:
    """Afterwards the desk starts, what is listed is whole, the next round works, and the databases can be lost."""
    first = Live(tmp_path / "first", Story(13, mails=2, step=timedelta(hours=1)))
    first.run(8)
    first.backup()
    first.run(1)
    first.close()
    deaths = 0
    for at in range(part, 200, 4):
        state = tmp_path / f"{at:03}"
        shutil.copytree(tmp_path / "first", state)
        live = Live(state, copy.deepcopy(first.story))
        live.journal.disk = live.spool.disk = disk = FaultyDisk(DeadError(), at)
        try:
            live.backup(disk)
            live.retain(disk, keep=2)
        except DeadError:
            deaths += 1
        before = live.contents()
        live.close()
        for found in listed(state / "backup"):
            backups.verify(found.path)
        if not disk.hit:
            break
        lose_databases(state)
        live.open()
        assert live.contents() == before and not live.store.lost, at
        if at % 3 == 0:
            live.backup()
            live.backup()
            assert live.retain(keep=2).frames_before == 9
            assert [p for p in (state / "backup").iterdir() if p.name.startswith(".")] == []
        live.close()
        shutil.rmtree(state)
    assert deaths > 6
