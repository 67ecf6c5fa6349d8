"""Dying at a known step: the gateway is killed as it enters a system call, by strace (security fault F1).

Between two steps of the protocol lies nothing but computing, so a death at each of them is a death
everywhere. ``STEPS`` are the steps that promise something, in the order of a mail's way; the soak takes
every fsync, rename and write of a whole life instead, one death each. Skipped where strace or the right
to trace is missing.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import MailwicketError
from tests.crash.process import DESK, Lost, Peer, Site, until
from tests.crash.traffic import Letter, Traffic


def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync", "true"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not _may_trace(), reason="strace is missing or may not trace here; apt install strace"),
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The ``when``-th ``call`` of a thread, only on ``path`` if given; ``fresh`` is a desk's first start."""

    call: str
    when: int = 1
    path: str = ""
    fresh: bool = False
    frames: int | None = None   # that the next start finds in the journal and not in the database

    def strace(self, site: Site) -> list[str]:
        only = ["-P", str(site.root / self.path.format(month=datetime.now(UTC).strftime("%Y-%m")))] if self.path else []
        return [
            "strace", "-f", "--seccomp-bpf", "-qq", "-o", str(site.root / "trace"), *only, "-e", f"trace={self.call}",
            "-e", f"inject={self.call}:signal=SIGKILL:when={self.when}",
        ]


MAIN, MAIL, JOURNAL = "state/mailwicket.duckdb.wal", "state/mail-{month}.duckdb.wal", "state/journal/00000001.log"
STEPS = {
    "the database is being made": Step(call="fdatasync", path="state/mailwicket.duckdb", fresh=True),
    "the first segment of the journal is not durable": Step(call="fsync", path="state/journal", fresh=True),
    "the first mail file is being made": Step(call="fdatasync", path="state/mail-{month}.duckdb", fresh=True, frames=1),
    "a mail is written and not accepted": Step(call="rename"),
    "a mail is accepted and its sender not told": Step(call="fsync", path="state/spool/in"),
    "a mail is decided and not committed": Step(call="fsync", when=2, path=JOURNAL),
    "the journal has it, the database nothing": Step(call="fdatasync", path=MAIL, frames=1),
    "the mail file has it, the main file not": Step(call="fdatasync", path=MAIN, frames=1),
    "it is committed and still in the spool": Step(call="rename", when=2),
    "an answer is marked and not sent": Step(call="fdatasync", when=2, path=MAIN, frames=1),
    "an answer is sent and not made durable": Step(call="fsync", path="world/new"),
    "an answer is sent and not known as sent": Step(call="fsync", when=4, path=JOURNAL),
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.abandon()


@pytest.mark.parametrize("name", STEPS)
def test_death_at_a_step_loses_and_doubles_nothing(site: Site, name: str) -> None:
    step = STEPS[name]
    assert _lives(site, step), "the step was never reached"
    if step.frames is not None:
        site.lives -= 1
        (caught_up,) = site.said("caught_up")
        assert caught_up["frames"] >= step.frames


@pytest.mark.soak
@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink", "ftruncate", "pwrite64", "link", "mkdir"])
def test_death_at_every_step_loses_and_doubles_nothing(tmp_path: Path, call: str, fresh: bool) -> None:
    """One death at the first, second … call of a kind, until a whole life passes without one."""
    for when in range(1, 200):
        site = Site(tmp_path / f"{when:03}")
        try:
            if not _lives(site, Step(call=call, when=when, fresh=fresh)):
                print(f"\n{call}: {when - 1} deaths")
                return
        finally:
            site.abandon()
        shutil.rmtree(site.root)
    raise AssertionError(f"{call}: no end after {when} deaths")


def _lives(site: Site, step: Step) -> bool:
    """A life with a death in it, a life after it, and the reckoning. Whether there was a death."""
    traffic = Traffic(site, 0)
    if not step.fresh:
        site.start()
        site.ready()
        _post(site, traffic.write(0, None))
        site.quiet()
        site.stop()
    site.start(*step.strace(site))
    traced = site.lives
    first, second = traffic.write(0, None), traffic.write(0, None)
    _post(site, first)
    _post(site, second)
    _settle(site)
    traffic.fetch()
    _post(site, traffic.write(0, first))
    _settle(site)
    if site.lives == traced and not site.stop_traced():
        site.start()
    if site.lives > traced:
        _settle(site)
        site.stop()
    with site.books() as books:
        traffic.assert_once(books)
        books.assert_spool_told(site.state / "spool")
        books.assert_sent_once(site.sent())
        books.assert_folded()
        books.assert_seq_unbroken()
    return site.lives > traced


def _post(site: Site, letter: Letter) -> None:
    """Send until there is a 250; a dead gateway is started anew, as systemd would."""
    while letter.fate != "accepted":
        try:
            peer = Peer(site.port)
            peer.deliver(letter.sender, DESK, letter.raw)
            peer.close()
            letter.fate = "accepted"
        except Lost:
            _revive(site)


def _settle(site: Site) -> None:
    """Until everything is worked off, over a death too."""
    while True:
        try:
            site.ready()
            site.quiet()
        except MailwicketError:     # the control socket broke: strace follows its dead in a moment
            until(site.died, "the end of a gateway that does not answer", 10)
            site.start()
        else:
            return


def _revive(site: Site) -> None:
    if site.died():
        site.start()
    else:
        time.sleep(0.02)
