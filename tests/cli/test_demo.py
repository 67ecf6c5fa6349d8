"""`make demo` from the outside: the story ends well, what it prints is right, and what it advises works."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "-W", "error", "-m", "gateway", "demo"]
Ran = subprocess.CompletedProcess[str]


def environment(temporary: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TMPDIR": str(temporary), "COLUMNS": "80", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One demo for all tests of this file. Its directory is short: a unix socket lies in it."""
    temporary = tmp_path_factory.mktemp("d")
    return subprocess.run(
        DEMO, cwd=ROOT, env=environment(temporary), capture_output=True, text=True, timeout=120, check=False
    )


def test_the_story_comes_to_its_end_without_a_complaint(demo: Ran) -> None:
    assert (demo.returncode, demo.stderr) == (0, "")
    assert "Eve has seen the subject" in demo.stdout


def test_the_printed_tickets_are_right(demo: Ran) -> None:
    listed = demo.stdout.partition("the desk now")[2].partition("database")[0]
    rows = [re.sub(r"\d\d:\d\d|\d{4}-\d\d-\d\d", "TIME", line).split() for line in listed.splitlines() if "ABC-" in line]
    assert sorted(rows) == [
        ["ABC-1", "solved", "anna", "TIME", "ann@cust.example", "Printer", "on", "fire"],
        ["ABC-2", "new", "high", "bert", "TIME", "ben@shop.example", "Invoice", "4711"],
        ["ABC-3", "open", "bert", "TIME", "chloe@studio.example", "Opening", "hours"],
        ["ABC-4", "new", "TIME", "eve@elsewhere.example", "Printer", "on", "fire"],
    ]


def test_what_customers_were_sent_holds_nothing_internal(demo: Ran) -> None:
    """The mistyped command and Bert's note stay inside, Eve learns nothing of Ann's ticket."""
    out = Path(re.findall(r"^mail out +(\S+)$", demo.stdout, re.MULTILINE)[0])
    mails = [p.read_text("utf-8") for p in (out / "new").iterdir()]
    outside = [m for m in mails if re.search(r"^Delivered-To: \S+@(cust|shop|studio|elsewhere)\.example$", m, re.MULTILINE)]
    assert len(outside) >= 7
    for secret in ("sovled", "#pending", "#solved", "#take", "price list", "hardware"):
        assert not [m for m in outside if secret in m], secret
    to_eve = [m for m in outside if "elsewhere.example" in m]
    assert not [m for m in to_eve if "plug" in m or "LaserMax" in m]


def test_it_fits_80_columns_but_for_what_is_copied(demo: Ran) -> None:
    """Paths and commands stay whole, so that they can be copied; everything else keeps to the width."""
    told = demo.stdout.partition("database")[0]
    assert not [line for line in told.splitlines() if len(line) > 80 and "mailwicket-demo-" not in line]


def advised(demo: Ran) -> list[list[str]]:
    lines = demo.stdout.partition("Try next:")[2].splitlines()
    return [shlex.split(line) for line in lines if re.match(r"  \S", line)]


def test_what_it_advises_works_afterwards(demo: Ran, tmp_path: Path) -> None:
    commands = [words for words in advised(demo) if words[0] != "make"]
    assert [[w for w in words if not w.startswith("/")] for words in commands] != []
    said = {}
    for words in commands:
        # The entry point of whatever environment runs the tests.
        arguments = words[words.index("-m") + 2:] if "-m" in words else words[1:]
        if arguments[0] == "init":
            arguments += ["--config", str(tmp_path / "mailwicket.toml")]
        ran = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments], cwd=ROOT, env=environment(tmp_path), capture_output=True,
            text=True, check=False,
        )
        assert ran.returncode == 0, ran.stderr
        said[arguments[0]] = ran.stdout
    assert set(said) == {"show", "outbox", "init"}
    assert re.search(r"held: commands.*public answer", said["show"], re.DOTALL)
    assert "sent" in said["outbox"]
    assert "bounced" in said["outbox"]
    assert ["make", "demo", "KEEP=1"] in advised(demo)


def test_kept_it_takes_mail_shows_what_it_sends_and_closes_on_ctrl_c(tmp_path_factory: pytest.TempPathFactory) -> None:
    with subprocess.Popen(
        [*DEMO, "--keep"], cwd=ROOT, env=environment(tmp_path_factory.mktemp("k")) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            told = _until(process, "The desk stands")
            port = int(re.findall(r"swaks --server 127\.0\.0\.1:(\d+)", told)[0])
            with smtplib.SMTP("127.0.0.1", port) as smtp:
                smtp.sendmail("me@cust.example", ["support@acme.example"],
                              "From: me@cust.example\r\nTo: support@acme.example\r\nSubject: Hello desk\r\n\r\nHi\r\n")
            assert "→ " in _until(process, "[ABC-5] Hello desk")
            file = re.findall(r"--config (\S+)", told)[0]
            asked = subprocess.run(
                [sys.executable, "-m", "gateway", "tickets", "--json", "--config", file], cwd=ROOT,
                env=environment(Path(file).parent), capture_output=True, text=True, check=True,
            )
            assert "Hello desk" in {json.loads(line)["subject"] for line in asked.stdout.splitlines()}
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def _until(process: subprocess.Popen[str], words: str) -> str:
    """What it prints up to the line with ``words``; the time limit of the test run is the only clock."""
    assert process.stdout
    told = ""
    for line in process.stdout:
        told += line
        if words in line:
            return told
    raise AssertionError(f"it ended before it said {words!r}: {told}")
