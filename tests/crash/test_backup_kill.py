"""kill -9 in the middle of backups and of what they let go, while mail flows (security faults F1, F15).

Afterwards every backup that is listed is whole, the next ones work, and a desk whose databases are lost comes
back from them and from what journal and spool still hold.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from gateway.edge import backups
from gateway.errors import MailwicketError
from tests.crash.process import Site, environment_number
from tests.crash.traffic import Traffic

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]


@pytest.mark.parametrize("kills", [
    pytest.param(environment_number("MAILWICKET_KILLS", 5), id="some", marks=pytest.mark.soak),
    pytest.param(40, id="many", marks=pytest.mark.soak),
])
def test_backups_survive_the_death_of_the_gateway(tmp_path: Path, kills: int) -> None:
    seed = environment_number("MAILWICKET_SEED", int.from_bytes(os.urandom(4)))
    print(f"\nMAILWICKET_KILLS={kills} MAILWICKET_SEED={seed}")
    dice = random.Random(seed)
    site = Site(tmp_path / "desk")
    traffic = Traffic(site, seed)
    try:
        site.start()
        site.ready()
        traffic.begin()
        for _ in range(kills):
            asking = threading.Thread(target=_backups, args=(site,))
            asking.start()
            time.sleep(dice.uniform(0.2, 9))
            site.kill()
            asking.join()
            for found in backups.listed(site.state / "backup"):
                backups.verify(found.path)
            site.start()
            site.ready()
        traffic.end()
        site.quiet()
        for _ in range(2):
            site.ask("backup")
        kept = len(list((site.state / "spool" / "done").glob("*/*/*")))
        dump = site.dump_hash()
        site.stop()
        assert kept == 0, "two verified backups hold every mail"
        assert not [p for p in (site.state / "backup").iterdir() if p.name.startswith(".")]
        with site.books() as books:
            traffic.assert_once(books)
            books.assert_folded()
        _lose(site)
        site.start()
        site.ready()
        assert site.dump_hash() == dump
        site.stop()
    finally:
        traffic._over.set()
        site.abandon()


def _backups(site: Site) -> None:
    """As many as the gateway lives for."""
    with contextlib.suppress(MailwicketError, OSError):
        while True:
            site.ask("backup")


def _lose(site: Site) -> None:
    for path in (*site.state.glob("mailwicket.duckdb*"), *site.state.glob("mail-*.duckdb*")):
        path.unlink()
    shutil.rmtree(site.state / "snapshots", ignore_errors=True)
