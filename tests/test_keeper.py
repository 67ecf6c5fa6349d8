"""A backup a day: due once, made up once, whatever the clock does; a failure is told and tried again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from gateway.backup import backup
from gateway.books import Bookkeeper
from gateway.config import Backup, Config, load
from gateway.counter import Counter
from gateway.edge.backups import Manifest, directories, listed, read_manifest, stamp, write_manifest
from gateway.edge.journal import Journal
from gateway.edge.spool import Spool
from gateway.edge.store import Store
from gateway.edge.store_files import MAIN
from gateway.errors import ConfigError
from gateway.keeper import Keeper, is_due, rows, slot
from tests.crash.process import TOML
from tests.edge.desk import Desk
from tests.edge.live import Here
from tests.strategies import Story

AT = time(3, 30)
BORN = datetime(2026, 1, 1, tzinfo=UTC)


def on(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("now", "zone", "since"), [
    ("2026-11-23T03:29", "UTC", "2026-11-22T03:30"),
    ("2026-11-23T03:30", "UTC", "2026-11-23T03:30"),
    ("2026-11-23T02:29", "Europe/Berlin", "2026-11-22T02:30"),
    ("2026-11-23T02:30", "Europe/Berlin", "2026-11-23T02:30"),
    ("2026-11-22T18:29", "Asia/Tokyo", "2026-11-21T18:30"),
    # 2026-10-25 Berlin goes back an hour: 03:30 is an hour later by UTC from then on.
    ("2026-10-25T01:31", "Europe/Berlin", "2026-10-24T01:30"),
    ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T02:30"),
])
def test_the_time_of_day_is_that_of_the_desk(now: str, zone: str, since: str) -> None:
    assert slot(on(now), AT, zone) == on(since)


def test_an_hour_that_a_zone_skips_comes_all_the_same() -> None:
    """2026-03-29 has no 02:30 in Berlin; one backup is due that day, as on every other."""
    seen = {slot(on("2026-03-27T00:00") + timedelta(minutes=m), time(2, 30), "Europe/Berlin") for m in range(5 * 24 * 60)}
    assert len({s.date() for s in seen}) == len(seen) == 6


@pytest.mark.parametrize(("made", "born", "due"), [
    ([], "2026-11-01T00:00", True),                             # never one
    ([], "2026-11-23T04:00", False),                            # a new desk waits for its first night
    (["2026-11-22T03:30"], "2026-11-01T00:00", True),
    (["2026-11-23T03:31"], "2026-11-01T00:00", False),
    (["2026-11-09T03:30"], "2026-11-01T00:00", True),           # the machine was off for two weeks
    (["2026-11-22T03:31", "2026-11-25T10:00"], "2026-11-01T00:00", True),     # one from a clock that was ahead
    (["2026-11-23T03:31", "2026-11-25T10:00"], "2026-11-01T00:00", False),
])
def test_when_one_is_due(made: list[str], born: str, due: bool) -> None:
    now = on("2026-11-23T12:00")
    assert is_due(now, slot(now, AT, "UTC"), map(on, made), on(born)) is due


@pytest.mark.parametrize(("jumps", "most"), [
    ({}, 0), ({30: 48}, 1), ({30: -48}, 1), ({30: 48, 33: -48}, 1), ({30: -48, 33: 48}, 1), ({20: 48, 90: -48, 140: 48}, 2),
])
def test_a_clock_that_jumps_neither_repeats_nor_skips(jumps: dict[int, int], most: int) -> None:
    """Ten days, a look every hour; jumps are hours by the hour at which the clock leaps."""
    made: list[datetime] = []
    true: list[int] = []
    ahead = 0
    for hour in range(240):
        ahead += jumps.get(hour, 0)
        now = BORN + timedelta(days=10, hours=hour + ahead)
        if is_due(now, slot(now, AT, "UTC"), made, BORN):
            made.append(now)
            true.append(hour)
    assert len(made) <= 11 + most
    gaps = [b - a for a, b in zip(true, true[1:], strict=False)]
    assert max(gaps) <= 24 + 48, "never skipped for ever"
    if not jumps:
        assert set(gaps[1:]) == {24}


def test_settings_that_make_no_sense_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mailwicket.toml"
    file.write_text(TOML.format(port=0) + '[backup]\nkeep = 1\nat = "25:00"\n')
    with pytest.raises(ConfigError) as found:
        load(file, state=tmp_path / "state")
    assert {p.key for p in found.value.problems} == {"backup.at", "backup.keep"}
    file.write_text(TOML.format(port=0) + '[backup]\nkeep = 3\nat = "1:05"\ndirectory = "safe"\n')
    assert load(file, state=tmp_path / "state").backup == Backup(directory=tmp_path / "safe", at=time(1, 5), keep=3)
    file.write_text(TOML.format(port=0) + '[backup]\nat = "off"\n')
    assert load(file, state=tmp_path / "state").backup == Backup(directory=tmp_path / "state" / "backup", at=None)


# --- At work ---


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = load(None, state=tmp_path / "state")
    long_ago = datetime.now(UTC) - timedelta(days=30)
    os.utime(found.state / "keys.json", (long_ago.timestamp(),) * 2)
    return found


@pytest.fixture
def books(config: Config) -> Iterator[Bookkeeper]:
    Desk(config.state, Story(21)).run(3)
    found = Bookkeeper(Spool(config.state / "spool"), Journal(config.state / "journal"), Store.open(config.state))
    yield found
    found.close()


def keeper(config: Config, books: Bookkeeper, **setting: object) -> Keeper:
    made = Keeper(replace(config, backup=replace(config.backup, **setting)), books, again=0)  # type: ignore[arg-type]
    made._aside = Here()
    return made


def test_what_is_due_is_made_proven_and_let_go_once_a_day(config: Config, books: Bookkeeper) -> None:
    one = keeper(config, books)
    one.look()
    one.look()
    (first,) = directories(config.backup.directory)
    assert read_manifest(first).verified_at and not one.trouble
    one.now = lambda: datetime.now(UTC) + timedelta(days=1)
    one.look()
    assert len(directories(config.backup.directory)) == 2
    assert list((config.state / "spool" / "done").glob("*/*/*")) == [], "two verified backups hold all of it"


def test_off_is_off(config: Config, books: Bookkeeper) -> None:
    keeper(config, books, at=None).look()
    assert not config.backup.directory.exists()


def test_a_failure_is_told_shown_and_tried_again_later(config: Config, books: Bookkeeper, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = keeper(config, books, directory=tmp_path / "file" / "sub")
    one._again = 3600
    one.look()
    assert "choose a directory" in one.trouble
    (status,) = Counter(config, books, books.spool, keeper=one).handlers()["status"]({})
    assert status["backup_trouble"] == one.trouble and status["backup"] is None
    (tmp_path / "file").unlink()
    one.look()
    assert one.trouble, "not before its hour is over"
    one._not_before = 0.0
    one.look()
    assert not one.trouble and len(listed(tmp_path / "file" / "sub")) == 1


def test_a_bug_of_ours_does_not_end_the_desk(config: Config, books: Bookkeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    one = keeper(config, books)
    monkeypatch.setattr(one, "_born", lambda: 1 / 0)
    one.look()
    assert "ZeroDivisionError" in one.trouble


def test_a_proof_that_was_cut_off_is_made_up_without_another_copy(config: Config, books: Bookkeeper) -> None:
    place = backup(books.store, config.backup.directory / stamp(), journal=books.journal, aside=Here(), prove=False)
    one = keeper(config, books)
    one.look()
    assert directories(config.backup.directory) == [place]
    assert read_manifest(place).verified_at


def test_a_backup_that_cannot_be_proven_does_not_fill_the_disk(config: Config, books: Bookkeeper) -> None:
    """It stays the only one until the next night, and the trouble stays to be seen."""
    place = backup(books.store, config.backup.directory / stamp(), journal=books.journal, aside=Here(), prove=False)
    (place / MAIN).write_bytes(b"not it")
    one = keeper(config, books)
    for _ in range(3):
        one.look()
    assert directories(config.backup.directory) == [place]
    assert "not as it was written" in one.trouble


def test_backups_of_another_desk_in_the_same_directory_are_left_alone(config: Config, books: Bookkeeper) -> None:
    strange = config.backup.directory / stamp(datetime.now(UTC))
    strange.mkdir(parents=True)
    write_manifest(strange, Manifest(at=datetime.now(UTC), applied_seq=999, files=(), line="other", verified_at=datetime.now(UTC)))
    one = keeper(config, books, keep=2)
    for day in range(4):
        one.now = lambda day=day: datetime.now(UTC) + timedelta(days=day)  # type: ignore[misc]
        one.look()
    assert strange.exists() and len(directories(config.backup.directory)) == 3


def test_backups_are_listed_with_what_they_need(config: Config, books: Bookkeeper) -> None:
    keeper(config, books).look()
    (row,) = rows(config, datetime.now(UTC))
    assert row["needs_frames_after"] == 3 and row["restorable"] and row["verified_at"] and row["age_hours"] == 0
    assert row["bytes"] > 100_000


def test_status_tells_backup_journal_and_spool(config: Config, books: Bookkeeper) -> None:
    one = keeper(config, books)
    counter = Counter(config, books, books.spool, keeper=one)
    (before,) = counter.handlers()["status"]({})
    assert before["backup"] is None and before["done_bytes"] > 0 and before["journal_bytes"] > 0
    one.look()
    (after,) = counter.handlers()["status"]({})
    assert after["backup"] and after["backup_verified"] and after["backup_trouble"] is None
