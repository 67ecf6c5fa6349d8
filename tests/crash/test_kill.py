"""The promise of a 250, against kill -9 (security faults F1, F2, F7; architecture decisions 2 to 4, 8).

Mail flows without pause while the gateway is killed again and again, at start-up, at work and while a
parser of its dies too. Afterwards everything is counted. What is left then loses its database: by
deletion, by a backup from the middle of the storm, by garbage; the same dump must come back.

MAILWICKET_KILLS and MAILWICKET_SEED set how often and which moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.process import Site, environment_number
from tests.crash.traffic import Traffic

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

CI, SOAK = 12, 50
AT_WORK = 0.6       # seconds; kills fall into the first of these after the gateway is ready


@dataclass
class Storm:
    """A desk that went through it, stopped; and what was sent to it."""

    site: Site
    traffic: Traffic
    dump_hash: str
    applied: int
    kills: int
    parsers_killed: int


@pytest.fixture(scope="module", params=[
    pytest.param(environment_number("MAILWICKET_KILLS", CI), id="some"),
    pytest.param(SOAK, id="many", marks=pytest.mark.soak),  # of which `make test` has no time
])
def storm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    seed = environment_number("MAILWICKET_SEED", int.from_bytes(os.urandom(4)))
    print(f"\nMAILWICKET_KILLS={request.param} MAILWICKET_SEED={seed}")
    site = Site(tmp_path_factory.mktemp("storm"))
    traffic = Traffic(site, seed)
    begun = time.monotonic()
    try:
        found = _through(site, traffic, random.Random(seed), request.param)
        print(
            f"{len(traffic.letters)} letters, {traffic.deliveries} times 250, {traffic.lost} answers lost,"
            f" {found.kills} gateways and {found.parsers_killed} parsers killed, frame {found.applied},"
            f" {time.monotonic() - begun:.0f} s"
        )
        yield found
    finally:
        site.abandon()


def _through(site: Site, traffic: Traffic, dice: random.Random, kills: int) -> Storm:
    """Start, kill, start …; then a last life in which everything is worked off."""
    site.start()
    site.ready()
    traffic.begin()
    parsers = 0
    try:
        for number in range(kills):
            if number == kills // 2:
                site.ready()
                backup = site.run("backup", str(site.root / "backup"))
                assert backup.returncode == 0, backup.stderr
            if dice.random() < 0.4:
                # Somewhere in the start: doors open, frames applied, spool brought up, first batch.
                time.sleep(dice.uniform(0.2, 2.5))
            else:
                site.ready()
                time.sleep(dice.uniform(0, AT_WORK))
            if dice.random() < 0.3 and (workers := site.workers()):
                parsers += _kill_parser(dice.choice(workers))
                time.sleep(dice.uniform(0, AT_WORK))
            site.kill()
            site.start()
    finally:
        site.ready()
        traffic.end()
    site.quiet()
    dump_hash, applied = site.dump_hash(), site.ask("status")[0]["applied_seq"]
    site.stop()
    return Storm(
        site=site, traffic=traffic, dump_hash=dump_hash, applied=applied, kills=kills, parsers_killed=parsers
    )


def _kill_parser(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:      # retired just now
        return False
    return True


@pytest.fixture
def twin(storm: Storm, tmp_path: Path) -> Iterator[Site]:
    """A copy of the desk, to be damaged."""
    shutil.copytree(storm.site.root, tmp_path / "twin", ignore=shutil.ignore_patterns("control.sock"))
    site = Site(tmp_path / "twin")
    try:
        yield site
    finally:
        site.abandon()


def test_every_accepted_mail_has_its_effect_and_its_answers_exactly_once(storm: Storm) -> None:
    assert sum(one.fate == "accepted" for one in storm.traffic.letters) > 10 * storm.kills
    assert any(one.answers for one in storm.traffic.letters)
    with storm.site.books() as books:
        storm.traffic.assert_once(books)
        books.assert_spool_told(storm.site.state / "spool")


def test_every_mail_of_ours_left_once_with_the_bytes_that_were_decided(storm: Storm) -> None:
    with storm.site.books() as books:
        books.assert_sent_once(storm.site.sent())


def test_every_ticket_is_the_fold_of_its_events(storm: Storm) -> None:
    with storm.site.books() as books:
        assert books.assert_folded()
        books.assert_seq_unbroken()


def test_no_batch_failed_and_no_mail_was_called_unreadable(storm: Storm) -> None:
    lines = "".join(log.read_text("utf-8") for log in sorted(storm.site.root.glob("life-*.log")))
    assert not [line for line in lines.splitlines() if '"level": "error"' in line or "Traceback" in line]


def test_without_its_database_files_the_desk_comes_back_the_same(storm: Storm, twin: Site) -> None:
    """Decision 4: journal and spool are the truth, the database is what they make."""
    files = [*twin.state.glob("mailwicket.duckdb*"), *twin.state.glob("mail-*.duckdb*")]
    assert len(files) >= 2
    for file in files:
        file.unlink()
    _assert_same(twin, storm)


@pytest.mark.parametrize("which", ["mailwicket.duckdb", "mail-*.duckdb"])
def test_garbage_over_a_database_file_is_told_set_aside_and_mended(storm: Storm, twin: Site, which: str) -> None:
    (file,) = twin.state.glob(which)
    garbage = random.Random(1).randbytes(file.stat().st_size)
    file.write_bytes(garbage)
    _assert_same(twin, storm)
    (told,) = twin.said("damaged")
    assert told["file"] == file.name
    assert (Path(told["quarantine"]) / file.name).read_bytes() == garbage, "what was there is kept for a person"


def test_a_backup_from_the_middle_and_the_journal_make_the_same_desk(storm: Storm, twin: Site) -> None:
    restored = twin.run("restore", str(storm.site.root / "backup"))
    assert restored.returncode == 0, restored.stderr
    _assert_same(twin, storm)


def _assert_same(twin: Site, storm: Storm) -> None:
    before = twin.sent()
    twin.start()
    twin.ready()
    assert twin.dump_hash() == storm.dump_hash
    twin.quiet()
    twin.stop()
    assert twin.sent() == before, "nothing is sent anew"
