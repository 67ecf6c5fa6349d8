"""A snapshot is whole, made beside the running gateway, harmless to its readers, and keeps people's words at home."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

import reports
from gateway.edge.publish import PUBLISHED, publish
from gateway.errors import StateError
from reports.facts import add_facts
from tests.reports.histories import AGENTS, START, History, live_database

HISTORY = History().mail(1, subject="Drucker").wait(hours=1).answer(1).move(1, "open").mail(2)
NOW = HISTORY.now + timedelta(minutes=5)


@pytest.fixture
def live(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    return live_database(tmp_path, HISTORY.rows())


def test_a_published_snapshot_has_the_gateways_moment_zone_and_every_row(
    live: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = publish(live.cursor, tmp_path, NOW, key="ABC", zone="Asia/Kolkata", agents=AGENTS)
    assert path == tmp_path / "snapshots" / "current.duckdb"
    assert [p.name for p in path.parent.iterdir()] == ["current.duckdb"]
    with reports.open(tmp_path) as desk:
        assert (desk.path, desk.made_at, desk.as_of) == (path, NOW, NOW)
        assert (desk.zone, desk.key, desk.tickets) == ("Asia/Kolkata", "ABC", 2)
        assert desk.last_event(NOW) == len(HISTORY.events)


def test_no_address_name_or_body_is_published(live: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Every value of every table is looked at; a customer is a number and a domain."""
    path = publish(live.cursor, tmp_path, NOW, key="ABC", agents=AGENTS)
    with duckdb.connect(str(path), read_only=True) as snapshot:
        tables = [t for (t,) in snapshot.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        said = "\n".join(str(row) for t in tables for row in snapshot.execute(f"FROM {t}").fetchall())
        people = snapshot.execute("SELECT domain, is_agent, login FROM dim_person ORDER BY person_id").fetchall()
    assert "Drucker" in said
    assert "Secret" not in said and "secret" not in said and "@" not in said
    assert people == [
        ("acme.example", True, "anna"), ("acme.example", True, "bert"), ("customer1.example", False, None),
        ("customer2.example", False, None),
    ]


def test_an_erased_subject_is_gone_with_the_next_snapshot(live: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    publish(live.cursor, tmp_path, NOW, key="ABC")
    live.execute("UPDATE ticket_text SET subject = '' WHERE ticket = 1")
    publish(live.cursor, tmp_path, NOW, key="ABC")
    with reports.open(tmp_path) as desk:
        assert reports.open_tickets(desk)["subject"].to_list() == ["", "Printer"]


def test_whoever_reads_the_old_snapshot_keeps_it(live: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    publish(live.cursor, tmp_path, NOW, key="ABC")
    with reports.open(tmp_path) as old:
        live.execute("INSERT INTO ticket SELECT * REPLACE (99 AS id) FROM ticket WHERE id = 1")
        publish(live.cursor, tmp_path, NOW, key="ABC")
        with reports.open(tmp_path) as new:
            assert (old.tickets, new.tickets) == (2, 3)
            assert reports.open_tickets(old).height == 2


def test_a_snapshot_made_while_another_thread_commits_is_of_one_moment(
    live: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A ticket and its event are committed together all the time; no snapshot has one without the other."""
    stop = threading.Event()

    def write() -> None:
        cursor, number = live.cursor(), 100
        while not stop.is_set():
            number += 1
            cursor.begin()
            cursor.execute(f"INSERT INTO ticket SELECT * REPLACE ({number} AS id) FROM ticket WHERE id = 1")
            cursor.execute(f"INSERT INTO event SELECT * REPLACE ({number} AS seq, {number} AS ticket) FROM event WHERE seq = 1")
            cursor.commit()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(2):
            path = publish(live.cursor, tmp_path, NOW, key="ABC")
            with duckdb.connect(str(path), read_only=True) as snapshot:
                pairs = "SELECT count(*), count(e.ticket_id) FROM dim_ticket t LEFT JOIN fct_event e ON e.ticket_id = t.ticket_id AND e.kind = 'created'"
                tickets, events = snapshot.execute(pairs).fetchone() or (0, -1)
                assert tickets == events >= 2
    finally:
        stop.set()
        thread.join()


def test_a_publication_that_fails_leaves_the_old_snapshot_and_no_litter(
    live: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    publish(live.cursor, tmp_path, NOW, key="ABC")
    live.execute("ALTER TABLE ticket_text RENAME TO hidden")
    with pytest.raises(StateError, match="no snapshot was made.*check the disk"):
        publish(live.cursor, tmp_path, NOW, key="ABC")
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == ["current.duckdb"]
    with reports.open(tmp_path) as desk:
        assert desk.tickets == 2
    live.execute("ALTER TABLE hidden RENAME TO ticket_text")
    publish(live.cursor, tmp_path, NOW + timedelta(hours=1), key="ABC")
    with reports.open(tmp_path) as desk:
        assert desk.made_at == NOW + timedelta(hours=1)


def test_what_a_killed_publication_left_is_swept_after_an_hour(
    live: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    old, fresh = tmp_path / "snapshots" / "making-old", tmp_path / "snapshots" / "making-now"
    for leftover in (old, fresh):
        leftover.mkdir(parents=True)
    os.utime(old, (0, 0))
    publish(live.cursor, tmp_path, NOW, key="ABC")
    assert sorted(p.name for p in old.parent.iterdir()) == ["current.duckdb", "making-now"]


def test_events_recorded_after_publication_began_still_belong_to_the_snapshots_moment(tmp_path: Path) -> None:
    with reports.open(HISTORY.snapshot(tmp_path, now=START)) as desk:
        assert (desk.made_at, desk.as_of) == (START, HISTORY.now)


def test_every_published_table_is_explained() -> None:
    """Files run in the order of their names; every table has a comment, and every comment's column exists."""
    files = sorted(PUBLISHED.glob("*.sql"))
    assert files[0].name == "001_meta.sql"
    for file in files:
        text = file.read_text("utf-8")
        for table in re.findall(r"CREATE TABLE (\w+)", text):
            assert f"COMMENT ON TABLE {table} IS" in text


# --- Finding and refusing snapshots ---


def test_the_newest_snapshot_is_found_by_argument_environment_or_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "mailwicket-state" / "snapshots"
    current = HISTORY.snapshot(state)
    older = state / "older.duckdb"
    older.write_bytes(current.read_bytes())
    os.utime(older, (0, 0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAILWICKET_SNAPSHOTS", raising=False)
    for place in (None, state, state.parent, str(current)):
        with reports.open(place) as desk:
            assert desk.path.resolve() == current.resolve()
    monkeypatch.setenv("MAILWICKET_SNAPSHOTS", str(tmp_path / "nowhere"))
    with pytest.raises(reports.SnapshotError, match="nowhere: no snapshot here: run `mailwicket snapshot`"):
        reports.open()


def test_a_desk_says_its_moment_and_its_age(tmp_path: Path) -> None:
    made = datetime.now(UTC) - timedelta(hours=5, minutes=1)
    with reports.open(HISTORY.snapshot(tmp_path, now=made, zone="UTC")) as desk:
        assert str(desk) == f"Snapshot of {made:%Y-%m-%d %H:%M} (UTC), 5 hours old, 2 tickets"


@pytest.mark.parametrize(("change", "why"), [
    ("UPDATE meta SET schema_version = 2", "has schema 2, these reports read 1"),
    ("DELETE FROM fct_event WHERE event_id = 1", "rows are missing: events"),
    ("DROP TABLE fact_flow", "no finished snapshot"),
    ("DELETE FROM meta", "no finished snapshot"),
])
def test_a_snapshot_that_is_not_whole_is_refused_with_the_remedy(change: str, why: str, tmp_path: Path) -> None:
    path = HISTORY.snapshot(tmp_path)
    with duckdb.connect(str(path)) as snapshot:
        snapshot.execute(change)
    with pytest.raises(reports.SnapshotError, match=f"{re.escape(str(path))}: .*{why}.*run `mailwicket snapshot`"):
        reports.open(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("hello" * 5000)
    with pytest.raises(reports.SnapshotError, match="is it a snapshot"):
        reports.open(tmp_path)


def test_facts_are_added_once(tmp_path: Path) -> None:
    with pytest.raises(reports.SnapshotError, match="fact_ticket.*publish it anew"):
        add_facts(HISTORY.snapshot(tmp_path))
    with pytest.raises(reports.SnapshotError, match="no such file"):
        add_facts(tmp_path / "absent.duckdb")


# --- python -m reports ---


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "reports", *arguments], capture_output=True, text=True,
        cwd=PUBLISHED.parents[1], env={**os.environ, **environment},
    )


def test_overview_for_programs_is_json_and_the_same_in_every_time_zone(tmp_path: Path) -> None:
    HISTORY.snapshot(tmp_path)
    found = [run("overview", "--json", "--snapshots", str(tmp_path), TZ=tz) for tz in ("UTC", "Asia/Kolkata")]
    assert [f.stderr for f in found] == ["", ""]
    assert found[0].stdout == found[1].stdout
    row = json.loads(found[0].stdout)
    assert (row["zone"], row["arrivals"], row["median"], row["last"]) == ("Europe/Berlin", 2, 3600.0, "2026-10-23")


def test_overview_for_people_and_its_error(tmp_path: Path) -> None:
    HISTORY.snapshot(tmp_path / "there")
    told = run("overview", MAILWICKET_SNAPSHOTS=str(tmp_path / "there"))
    assert told.returncode == 0 and told.stdout.startswith("Snapshot of 2026-10-23 23:00 (Europe/Berlin), ")
    lost = run("overview", "--snapshots", str(tmp_path / "not"))
    assert (lost.returncode, lost.stdout) == (1, "") and "no snapshot here" in lost.stderr


def test_reports_need_only_duckdb_and_polars() -> None:
    """Charts and tables are an extra; importing reports loads neither them nor anything of the gateway."""
    code = "import sys, reports; print(*sorted({m.split('.')[0] for m in sys.modules} & {'altair', 'great_tables', 'gateway'}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PUBLISHED.parents[1])
    assert (found.stdout.strip(), found.stderr) == ("", "")
