"""A backup of the running store brings all of it back, and a restore sends nothing by itself."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from gateway.backup import backup
from gateway.edge import frames
from gateway.edge.backups import MANIFEST, directories, verify
from gateway.edge.journal import Journal
from gateway.edge.lock import Lock
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN
from gateway.errors import AlreadyRunning, Damaged, StateError
from gateway.restore import NOT_SENT, restore_state
from tests.edge.desk import Desk
from tests.strategies import Story


def backed_up(desk: Desk, directory: Path | None = None) -> Path:
    store = desk.open()
    try:
        return backup(store, directory)
    finally:
        store.close()


def contents(state: Path) -> list[str]:
    """The dump without the deliveries, which a restore changes, and without the frame numbers."""
    store = Store.open(state)
    try:
        return [line for line in store.dump() if line.split(" ")[1] not in ("delivery", "meta")]
    finally:
        store.close()


def test_backup_and_restore_give_the_same_dump(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "state", Story(1))
    before = desk.run(3)
    place = backed_up(desk, tmp_path / "safe")
    assert place == tmp_path / "safe"
    for path in desk.state.glob("*.duckdb*"):
        path.write_bytes(b"garbage")
    shutil.rmtree(desk.state / "journal")
    done = restore_state(desk.state, place, resend=True)
    assert (done.backup_seq, done.applied_seq, done.frames, done.lost_raws) == (3, 3, 0, 0)
    assert desk.hash() == before
    assert len(list(Path(done.quarantine).glob("*.duckdb"))) >= 2


def test_the_journal_is_applied_above_the_backup(tmp_path: Path) -> None:
    """An old backup and the journal give today's state, raw mail included."""
    desk = Desk(tmp_path, Story(2))
    desk.run(2)
    backed_up(desk)
    before = desk.run(2)
    done = restore_state(desk.state, resend=True)
    assert (done.backup_seq, done.applied_seq, done.frames) == (2, 4, 2)
    assert desk.hash() == before


def test_a_restore_sends_nothing_of_what_was_queued(tmp_path: Path) -> None:
    """What is not known as sent is failed with the reason, as a frame of the journal, and counted."""
    desk = Desk(tmp_path, Story(3))
    desk.run(2)
    before = contents(tmp_path)
    store = desk.open()
    waiting = {d.outbox for d in store.undelivered()}
    backup(store)
    store.close()
    assert waiting
    done = restore_state(tmp_path)
    assert done.unsent == len(waiting)
    store = desk.open()
    assert store.undelivered() == []
    rows = store.reader().execute("SELECT outbox, reply FROM delivery WHERE state = 'failed'").fetchall()
    assert set(rows) == {(number, NOT_SENT) for number in waiting}
    assert store.applied_seq == done.applied_seq == 3
    store.close()
    assert contents(tmp_path) == before
    # And it stays so when the database is lost once more.
    (tmp_path / MAIN).unlink()
    store = desk.open()
    assert store.undelivered() == []
    store.close()


def test_with_resend_the_queue_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Story(3))
    desk.run(1)
    store = desk.open()
    waiting = store.undelivered()
    backup(store)
    store.close()
    assert restore_state(tmp_path, resend=True).unsent == len(waiting)
    store = desk.open()
    assert store.undelivered() == waiting
    store.close()


def test_start_up_after_damage_takes_the_newest_whole_backup(tmp_path: Path) -> None:
    """With the journal's older frames dropped the backup is needed; a broken one is passed over."""
    desk = Desk(tmp_path, Story(4))
    desk.run(2)
    good = backed_up(desk)
    before = desk.run(1)
    bad = backed_up(desk)
    (bad / MAIN).write_bytes(b"not it")
    (tmp_path / MAIN).write_bytes(b"garbage")
    store = desk.open()
    assert store.rebuilt and good.name in store.rebuilt
    assert store.dump_hash == before
    store.close()


def test_a_mail_file_comes_back_from_backup_and_journal(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Story(5))
    desk.run(1)
    backed_up(desk)
    before = desk.run(2)
    (tmp_path / "mail-2026-10.duckdb").write_bytes(b"garbage")
    assert desk.hash() == before


def test_a_month_without_news_is_stored_once(tmp_path: Path) -> None:
    """The next backup links to it instead of copying."""
    desk = Desk(tmp_path, Story(6, mails=20))
    desk.run(2)
    first = backed_up(desk)
    desk.run(1)
    second = backed_up(desk)
    same = [n for n in ("mail-2026-10.duckdb", "mail-2026-11.duckdb", MAIN) if (first / n).samefile(second / n)]
    assert same == ["mail-2026-10.duckdb"]
    verify(second)


def test_a_backup_taken_while_mail_comes_in_is_whole(tmp_path: Path) -> None:
    """Whatever it caught, with the journal it becomes the same desk."""
    desk = Desk(tmp_path, Story(7))
    desk.run(1)
    store = desk.open()
    found: list[Path] = []
    copying = threading.Thread(target=lambda: found.append(backup(store)))
    copying.start()
    journal = Journal(tmp_path / "journal")
    for rows, raws in desk.story.frames(6):
        seq = journal.last_seq + 1
        journal.append(seq, frames.encode(rows, at=desk.story.now, cause="mail"))
        desk.keep(raws)
        store.write(seq, rows, raws)
    copying.join()
    before = store.dump_hash
    journal.close()
    store.close()
    manifest = verify(found[0])
    assert 1 <= manifest.applied_seq <= 7
    restore_state(tmp_path, found[0], resend=True)
    assert desk.hash() == before


def test_the_manifest_counts_rows(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Story(8))
    desk.run(1)
    place = backed_up(desk)
    file = verify(place).file(MAIN)
    assert file is not None and file.rows["message"] == 6
    assert json.loads((place / MANIFEST).read_text())["version"] == 1


@pytest.mark.parametrize("harm", ["flip", "cut", "missing", "no manifest", "half a manifest", "outside"])
def test_verify_notices_every_harm(tmp_path: Path, harm: str) -> None:
    desk = Desk(tmp_path / "state", Story(9))
    desk.run(1)
    place = backed_up(desk, tmp_path / "safe")
    path, manifest = place / MAIN, place / MANIFEST
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:-1])
    elif harm == "missing":
        path.unlink()
    elif harm == "no manifest":
        manifest.unlink()
    elif harm == "half a manifest":
        manifest.write_text(manifest.read_text()[:40])
    else:
        (tmp_path / "x").write_bytes(data)
        manifest.write_text(manifest.read_text().replace(MAIN, "../x"))
    with pytest.raises(Damaged, match="backup"):
        verify(place)


def test_restore_refuses_while_a_gateway_runs_and_without_a_backup(tmp_path: Path) -> None:
    """And has touched nothing then."""
    desk = Desk(tmp_path, Story(9))
    before = desk.run(1)
    with Lock(tmp_path / "lock"), pytest.raises(AlreadyRunning):
        restore_state(tmp_path)
    with pytest.raises(StateError, match="holds no backup"):
        restore_state(tmp_path)
    assert desk.hash() == before
    assert not (tmp_path / "quarantine").exists()


def test_a_backup_that_fails_leaves_nothing_half_made(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "state", Story(9))
    desk.run(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="choose a directory"):
        backed_up(desk, tmp_path / "file" / "sub")
    assert directories(tmp_path) == []


def test_a_directory_that_is_there_gets_a_backup_by_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "state", Story(9))
    desk.run(1)
    (tmp_path / "safe").mkdir()
    one, two = backed_up(desk, tmp_path / "safe"), backed_up(desk, tmp_path / "safe")
    assert directories(tmp_path / "safe") == [two, one]
    assert restore_state(desk.state, tmp_path / "safe").backup == str(two)
