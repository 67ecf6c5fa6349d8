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
from tests.crash.process import DESK, Died, Lost, Peer, Site, until
from tests.crash.traffic import Letter, Traffic


def _may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    # Without --seccomp-bpf below: with it strace 6.1 forgets the injected signal.
    return subprocess.run(["strace", "-f", "-qq", "-e", "trace=fsync", "true"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not _may_trace(), reason="strace is missing or may not trace here; apt install strace"),
]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where to die: entering ``call``, on ``path`` only if given. What a call wrote before stays, what it would do does not.

    ``when`` counts by thread, with a path only the calls on it. ``fresh`` is a desk's first start.
    """

    call: str
    path: str = ""
    when: str = "1"
    fresh: bool = False
    frames: int | None = None   # that the next start finds in the journal and not in the database

    def strace(self, site: Site) -> list[str]:
        only = ["-P", str(site.root / self.path.format(month=datetime.now(UTC).strftime("%Y-%m")))] if self.path else []
        return [
            "strace", "-f", "-qq", "-o", str(site.root / "trace"), *only, "-e", f"trace={self.call}",
            "-e", f"inject={self.call}:signal=SIGKILL:when={self.when}",
        ]


MAIN, MAIL, JOURNAL = "state/mailwicket.duckdb", "state/mail-{month}.duckdb", "state/journal/00000001.log"
STEPS = {   # a thread's first write to a .wal may be the opening thread's, which begins the log; its second is a commit
    "the database is being made": Step(call="fdatasync", path=MAIN, fresh=True),
    "a mail is written and not accepted": Step(call="rename"),
    "a mail is accepted and its sender not told": Step(call="fsync", path="state/spool/in"),
    "a decision has no journal yet": Step(call="fsync", path="state/journal", fresh=True),
    "a decision is written and not durable": Step(call="fsync", path=JOURNAL, fresh=True, frames=1),
    "the first mail file is being made": Step(call="fdatasync", path=MAIL, fresh=True, frames=1),
    "the journal has it, the database nothing": Step(call="write", path=MAIL + ".wal", when="2", frames=1),
    "the mail file has it, the main file half of it": Step(call="write", path=MAIN + ".wal", when="2", frames=1),
    "it is committed and still in the spool": Step(call="fsync", path="state/spool/done", fresh=True),
    "an answer is marked and not sent": Step(call="fsync", path=JOURNAL, when="2", frames=1),
    "an answer is sent and not known as sent": Step(call="fsync", path="world/new"),
    "the log is being folded into the database": Step(call="pwrite64", path=MAIN),
}


@dataclass(frozen=True)
class Desk:
    """A desk below ``root`` that has had one life and one letter, to be copied."""

    root: Path
    letter: Letter


@pytest.fixture(scope="module")
def seasoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    site = Site(tmp_path_factory.mktemp("seasoned"))
    try:
        letter = Traffic(site, 0).write(0, None)
        site.start()
        _post(site, letter)
        _settle(site)
        site.stop()
        yield Desk(site.root, letter)
    finally:
        site.abandon()


@pytest.mark.parametrize("name", STEPS)
def test_death_at_a_step_loses_and_doubles_nothing(seasoned: Desk, tmp_path: Path, name: str) -> None:
    step = STEPS[name]
    caught_up = _lives(tmp_path / "desk", step, seasoned)
    assert caught_up is not None, "the step was never reached"
    assert step.frames is None or caught_up == step.frames


@pytest.mark.soak
@pytest.mark.parametrize("fresh", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink", "pwrite64", "link", "mkdir"])
def test_death_at_every_step_loses_and_doubles_nothing(seasoned: Desk, tmp_path: Path, call: str, fresh: bool) -> None:
    """One death at a thread's first, second … call of a kind, until a whole life passes without one."""
    for when in range(1, 200):
        root = tmp_path / f"{when:03}"
        if _lives(root, Step(call=call, when=str(when), fresh=fresh), seasoned) is None:
            print(f"\n{call}: {when - 1} deaths")
            return
        shutil.rmtree(root)
    raise AssertionError(f"{call}: no end after {when} deaths")


def _lives(root: Path, step: Step, seasoned: Desk) -> int | None:
    """A life with a death in it, a life after it, and the reckoning.

    How many frames the life after it took from the journal; None if there was no death.
    """
    if not step.fresh:
        shutil.copytree(seasoned.root, root)
    site = Site(root)
    traffic = Traffic(site, 0, [] if step.fresh else [seasoned.letter])
    try:
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
    finally:
        site.abandon()
    return sum(line["frames"] for line in site.said("caught_up")) if site.lives > traced else None


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
        except (Died, MailwicketError):     # the control socket broke: strace follows its dead in a moment
            until(site.died, "the end of a gateway that does not answer", 10)
            site.start()
        else:
            return


def _revive(site: Site) -> None:
    if site.died():
        site.start()
    else:
        time.sleep(0.02)
