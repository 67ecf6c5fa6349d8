"""Years of old mail in the weekly review on the first day: our own small archive to the figure, real archives without a stumble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import reports
from gateway import cli

pytest.importorskip("altair")
pytest.importorskip("great_tables")
pytest.importorskip("nbclient")

from tests.notebooks.test_weekly_review import execute, shown
from tests.test_importer import config, write

assert config   # a fixture
CORPUS = Path(os.environ.get("MAILWICKET_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))


@pytest.mark.timeout(900)
def test_the_review_reads_what_was_imported(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    assert cli.main(["import", "--shadow", "--config", str(config.file), *write(tmp_path)]) == 0
    assert cli.main(["snapshot", "--config", str(config.file)]) == 0
    numbers, outputs = execute(config.state / "snapshots", tmp_path)
    assert numbers["now"][0]["backlog_after"] == 0      # nothing of the past waits for anybody
    assert numbers["oldest"] == []
    assert "Nothing is open." in shown(outputs)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no mail corpus at {CORPUS}; set MAILWICKET_CORPUS")
@pytest.mark.timeout(600)
def test_a_month_of_a_real_list_gives_figures_that_can_be_true(config, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    boxes = CORPUS / "threads" / "mbox"
    sources = [str(boxes / f"r-devel-2009-{month}.mbox") for month in ("January", "February")]
    sources += [str(p) for p in boxes.glob("maven_duplicates*.mbox")]
    agents = "r-project.org,stats.ox.ac.uk,stats.uwo.ca,biostat.ku.dk,apache.org"
    assert cli.main(["import", "--shadow", "--config", str(config.file), "--agents", agents, *sources]) == 0
    assert cli.main(["snapshot", "--config", str(config.file)]) == 0
    with reports.open(config.state / "snapshots") as desk:
        first = reports.first_response(desk)
        summary = reports.first_response_summary(desk).to_dicts()[0]
        flow = reports.arrivals_and_closures(desk)
        assert reports.open_tickets(desk).height == 0
    # Three archives have the same ten mails of Maven's list; all else is January and February 2009.
    assert 0 < summary["answered"] <= summary["asked"] <= 673 + 10
    assert summary["answered"] + summary["no_reply"] == summary["asked"]
    assert summary["median"].total_seconds() > 0
    assert flow["arrivals"].sum() == flow["closures"].sum() - flow["reopens"].sum()
    days = first["asked_at"].dt.year().unique().to_list()
    assert set(days) <= {2009, 2017}
