"""The whole benchmark at toy size: every figure is there, whatever it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import peers
from tests.crash.process import CHECKOUT


def bench(*words: str) -> dict[str, object]:
    """A run of ``python -m tests.bench``; what it wrote with --json. Skips when Postfix's programs are missing."""
    if why := peers.missing("postfix", "smtp-source", "smtp-sink"):
        if os.environ.get("MAILWICKET_SERVERS") == "required":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    file = Path(words[-1])
    done = subprocess.run([sys.executable, "-m", "tests.bench", *words[:-1], "--json", file], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(file.read_text())
    return found


@pytest.mark.soak
@pytest.mark.servers
def test_accept_is_measured_beside_postfix(tmp_path: Path) -> None:
    lines = bench("--quick", "--only", "accept", "--seconds", "0.1", "--sessions", "4", str(tmp_path / "out.json"))["lines"]
    ratios = [line for line in lines if str(line["what"]).endswith("ratio")]     # type: ignore[attr-defined]
    assert [line["bar"] for line in ratios] == [0.8] * 4
    assert all(line["value"] > 0 and line["met"] == (line["value"] >= 0.8) for line in ratios)


@pytest.mark.soak
@pytest.mark.servers
def test_the_way_of_a_mail_is_measured_on_both_stores(tmp_path: Path) -> None:
    found = bench(
        "--only", "empty", "--only", "million", "--tickets", "50", "--mails", "40", "--just", "start", "--just", "throughput", str(tmp_path / "out.json")
    )
    lines = {(line["what"], line["store"]): line for line in found["lines"]}     # type: ignore[attr-defined]
    for store in ("empty", "50"):
        for what in ("start to first 250", "memory at rest", "from a full spool, mail of ours queued", "all processes, accept to commit"):
            assert lines[what, store]["value"] > 0
        assert "24 acknowledged, 16 joined a ticket, 0 not applied" in lines["then sending what they caused", store]["note"]
    assert lines["rate with a past / on an empty store", "50"]["bar"] == 0.7
    assert found["cores"] == str(os.cpu_count())
