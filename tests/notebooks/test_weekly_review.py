"""The weekly review runs on any snapshot, says the same in every time zone, and shows strangers' text harmlessly."""

from __future__ import annotations

import ast
import html
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.reports.histories import History

pytest.importorskip("altair")
pytest.importorskip("great_tables")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
REVIEW = REPOSITORY / "notebooks" / "01_weekly_review.ipynb"
HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> \u202e=1+1 $\\href{javascript:alert(3)}{x}$"
# Read after the last cell: the values the reader sees, as Python sees them.
NUMBERS = """
import json
print(json.dumps({"now": now.to_dicts(), "before": before.to_dicts(), "flow": flow.to_dicts(),
                  "answers": answers.to_dicts(), "oldest": oldest.to_dicts()}, default=str))
"""


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def execute(snapshots: Path, tmp_path: Path, tz: str = "UTC") -> tuple[dict[str, Any], list[Any]]:
    """Run the notebook as Jupyter does; its numbers, and the outputs of all its cells."""
    notebook = nbformat.read(REVIEW, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(NUMBERS))
    place = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=240, startup_timeout=240, kernel_name="python3", resources=place)
    with environment(MAILWICKET_SNAPSHOTS=str(snapshots), PYTHONPATH=str(REPOSITORY), TZ=tz, IPYTHONDIR=str(tmp_path)):
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    numbers = json.loads(outputs.pop().text)
    return numbers, outputs


def shown(outputs: list[Any]) -> str:
    """All HTML and text."""
    return "\n".join(o.get("text", "") or o.get("data", {}).get("text/html", "") for o in outputs)


def pictures(outputs: list[Any]) -> list[str]:
    return [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]


def busy() -> History:
    """Two weeks: an old open ticket, one answered after two hours, one merged, one spam, one that waits."""
    history = History().mail(1, subject=HOSTILE).wait(days=8)
    history.mail(2).wait(hours=2).answer(2).move(2, "solved").wait(hours=1)
    history.mail(3).mail(4).merge(4, 3).mail(5).move(5, "void").wait(days=1)
    return history.move(2, "open").wait(minutes=30)


@pytest.fixture
def quiet_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")


@pytest.mark.timeout(900)   # three kernels start more slowly than anything else here
@pytest.mark.usefixtures("quiet_jupyter")
def test_the_review_shows_the_right_numbers_and_they_are_the_same_in_every_time_zone(tmp_path: Path) -> None:
    busy().snapshot(tmp_path / "s")
    numbers, outputs = execute(tmp_path / "s", tmp_path)
    now = numbers["now"][0]
    assert {k: now[k] for k in ("arrivals", "reopens", "closures", "voided", "backlog_before", "backlog_after")} == {
        "arrivals": 2, "reopens": 1, "closures": 1, "voided": 0, "backlog_before": 1, "backlog_after": 3,
    }
    assert (now["first"], now["last"]) == ("2026-10-27", "2026-11-02")
    assert (now["asked"], now["answered"], now["waiting"], now["median"]) == (2, 1, 1, "2:00:00")
    assert numbers["before"][0]["arrivals"] == 1
    assert [(t["key"], t["status"]) for t in numbers["oldest"]] == [("ABC-1", "new"), ("ABC-2", "open"), ("ABC-3", "new")]
    page = shown(outputs)
    for words in ("27 Oct to 02 Nov", "20 Oct to 26 Oct", "2 h 00 min", "ABC-3", "9 d 3 h"):
        assert words in page
    assert len(pictures(outputs)) in (0, 3)     # none without vl-convert-python: JupyterLab draws them

    elsewhere, drawn = execute(tmp_path / "s", tmp_path, tz="America/New_York")
    assert elsewhere == numbers
    assert pictures(drawn) == pictures(outputs)


@pytest.mark.timeout(900)   # three kernels start more slowly than anything else here
@pytest.mark.usefixtures("quiet_jupyter")
@pytest.mark.parametrize(("history", "said"), [
    (History(), "Nothing is open."),
    (History().mail(1, subject=HOSTILE), "ABC-1"),
], ids=["no ticket", "one ticket"])
def test_a_new_desk_has_a_review_too(history: History, said: str, tmp_path: Path) -> None:
    history.snapshot(tmp_path / "s")
    numbers, outputs = execute(tmp_path / "s", tmp_path)
    assert numbers["now"][0]["backlog_after"] == len(history.tickets)
    assert said in shown(outputs)


def test_a_strangers_subject_is_text_and_nothing_else(tmp_path: Path) -> None:
    import reports
    from reports import tables

    with reports.open(History().mail(1, subject=HOSTILE).wait(hours=1).snapshot(tmp_path)) as desk:
        page = tables.open_tickets(reports.open_tickets(desk), "UTC")._repr_html_()
    assert "<script" not in page and "<img" not in page
    assert "\u202e" not in page
    assert html.escape("</script><script>alert(1)</script>", quote=False) in page
    # MathJax would make a link of \href; these classes tell its versions 2 and 3 to look away.
    assert page.startswith('<div class="tex2jax_ignore mathjax_ignore">')
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_short_stripped_and_begins_with_its_parameters(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= 12
    assert "parameters" in notebook.cells[0].metadata.tags
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            ast.parse(cell.source)
            assert len(cell.source.splitlines()) <= 15
            assert not re.search(r"\bSELECT\b|now\(\)|today\(\)", cell.source)
