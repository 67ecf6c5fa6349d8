"""An import that is killed goes on where it was, by the store's own word; nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.crash.process import CHECKOUT, Site, until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

CONVERSATIONS, KILLS = 700, 4
START = datetime(2020, 1, 6, 9, 0, tzinfo=UTC)


def archive(path: Path, seed: int) -> int:
    """Questions and answers of years; how many mails."""
    dice, count = random.Random(seed), 0
    with path.open("w") as out:
        for number in range(CONVERSATIONS):
            at, before = START + timedelta(hours=5 * number), ""
            for turn in range(dice.randint(1, 5)):
                own = f"{number}-{turn}@x.example"
                pair = (f"c{number % 90}@cust.example", "support@acme.example")
                sender, to = pair if turn % 2 == 0 else pair[::-1]
                at += timedelta(hours=dice.randint(1, 300))
                named = f"In-Reply-To: <{before}>\n" if before else ""
                out.write(
                    f"From x {at:%a %b %d %H:%M:%S %Y}\nFrom: {sender}\nTo: {to}\nSubject: s{number}\nMessage-ID: <{own}>\n{named}"
                    f"Date: {at:%a, %d %b %Y %H:%M:%S} +0000\n\nText {own}.\n\n"
                )
                before, count = own, count + 1
    return count


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path / "site")
    yield found
    found.abandon()


def begin(site: Site, box: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "import", "--shadow", "--json", "--config", str(site.config), str(box)],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    )


def frames(site: Site) -> int:
    """Octets of the journal: what has been stored so far."""
    return sum(p.stat().st_size for p in (site.state / "journal").glob("*.log"))


def killed_in_the_middle(site: Site, box: Path, dice: random.Random) -> None:
    """kill -9 of the command and its parsers, soon after it stored something new."""
    before, process = frames(site), begin(site, box)
    try:
        until(lambda: frames(site) > before or process.poll() is not None, "a lot to be stored")
        time.sleep(dice.random() * 0.3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(site: Site, box: Path) -> dict[str, Any]:
    out, _ = begin(site, box).communicate(timeout=300)
    return dict(json.loads(out))


def counted(site: Site) -> tuple[int, int, int]:
    with site.books() as books:
        books.assert_folded()
        books.assert_seq_unbroken()
        assert {name for name, _ in books.raw()} == {name for (name,) in books.rows("SELECT spool_id FROM message")}
        assert books.rows("SELECT count(*) FROM outbox") == [(0,)]
        (row,) = books.rows("SELECT count(*), count(DISTINCT sha256), (SELECT count(*) FROM ticket) FROM message")
        return row[0], row[1], row[2]


@pytest.mark.soak
def test_an_import_that_is_killed_again_and_again_ends_as_one_that_was_not(site: Site, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    dice, box = random.Random(seed), tmp_path / "box"
    mails = archive(box, seed)
    for _ in range(KILLS):
        killed_in_the_middle(site, box, dice)
    last = finished(site, box)
    assert last["new"] + last["known"] == last["read"] == mails
    assert last["known"] > 0
    other = Site(tmp_path / "other")
    assert finished(other, box)["new"] == mails
    assert counted(site) == counted(other)
    assert finished(site, box)["new"] == 0


def test_a_gateway_killed_under_an_import_has_all_of_it_after_another_run(site: Site, tmp_path: Path) -> None:
    box = tmp_path / "box"
    mails = archive(box, 1)
    site.start()
    site.ready()
    before, process = frames(site), begin(site, box)
    until(lambda: frames(site) > before, "a lot to be stored")
    site.kill()
    assert process.communicate() != (b"", None) or process.returncode
    assert process.returncode == 1
    site.start()
    site.ready()
    assert finished(site, box)["known"] > 0
    site.stop()
    assert counted(site)[:2] == (mails, mails)
