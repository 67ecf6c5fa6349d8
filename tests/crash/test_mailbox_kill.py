"""A mailbox desk against kill -9: each mail has one effect, is marked, and is answered once (security fault F11).

First at named steps, then at any moment in a storm. The provider is real where it keeps mail (Dovecot) and
ours where it must see the gateway die. MAILWICKET_KILLS and MAILWICKET_SEED set how often and when.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.process import environment_number, until
from tests.crash.provider import MailboxDovecot, MailboxSite, MailboxTraffic
from tests.journey.servers import require_servers

pytestmark = [pytest.mark.crash, pytest.mark.servers, pytest.mark.timeout(900)]

CI, SOAK = 8, 100
AT_WORK = 0.8       # seconds after "ready" in which most kills fall


@pytest.fixture(scope="module")
def dovecot() -> Iterator[MailboxDovecot]:
    require_servers()
    server = MailboxDovecot()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def site(dovecot: MailboxDovecot, tmp_path: Path) -> Iterator[MailboxSite]:
    one = MailboxSite(tmp_path / "desk", dovecot)
    try:
        yield one
    finally:
        one.abandon()


# --- At a step ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where the gateway dies: at a line to or from the mailbox, at a verb of submission, or as it enters a system call."""

    command: bytes = b""
    answer: bytes = b""
    verb: str = ""
    call: str = ""
    path: str = ""
    resent: int = 0     # mails that leave a second time, at least

    def arm(self, site: MailboxSite) -> list[str]:
        """What the gateway is to be started with."""
        if self.call:
            return [
                "strace", "-f", "-qq", "-o", str(site.root / "trace"), "-P", str(site.root / self.path),
                "-e", f"trace={self.call}", "-e", f"inject={self.call}:signal=SIGKILL:when=1",
            ]
        if self.verb:
            site.submission.kill_at(self.verb, site.shoot)
        else:
            site.wire.cut_at(self.command or self.answer, site.shoot, answer=bool(self.answer))
        return []


JOURNAL = "state/journal/00000001.log"
STEPS = {
    "the mailbox is being opened": Step(command=rb"SELECT"),
    "mail is there and not asked for": Step(answer=rb"\* SEARCH"),
    "a mail is on its way": Step(answer=rb"BODY\[\] \{"),
    "a mail has come and is not in the spool": Step(answer=rb"OK Fetch completed[^\n]*\n\Z"),
    "a mail is in the spool and not counted": Step(call="fsync", path="state/spool/in"),
    "a mail is counted and not marked": Step(command=rb"UID STORE"),
    "a mail is marked and nobody knows": Step(answer=rb"OK Store completed"),
    "a mail is marked and not moved": Step(command=rb"UID MOVE"),
    "a mail is moved and nobody knows": Step(answer=rb"COPYUID"),
    "a mail is in the spool and its decision has no journal": Step(call="fsync", path="state/journal"),
    "a decision is written and not durable": Step(call="fsync", path=JOURNAL),
    "a decision is durable and not committed": Step(call="write", path="state/mailwicket.duckdb.wal"),
    "an answer is committed and not sent": Step(verb="MAIL"),
    "an answer is sent and not known as sent": Step(verb="DATA", resent=1),
}


def may_trace() -> bool:
    return shutil.which("strace") is not None and subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=fsync", "true"], capture_output=True
    ).returncode == 0


# Of which `make test` has time for these, the soak for all: where a mail could be lost, counted or sent twice.
ALWAYS = (
    "a mail is in the spool and not counted", "a mail is marked and not moved", "an answer is sent and not known as sent",
)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ALWAYS else [pytest.mark.soak]) for name in STEPS
])
def test_death_at_a_step_counts_each_mail_once(site: MailboxSite, name: str) -> None:
    step = STEPS[name]
    if step.call and not may_trace():
        pytest.skip("needs strace and the right to trace: apt-get install strace")
    site.start()    # Sent is read from its first sight on
    site.ready()
    until(site.watching, "the desk to watch both folders")
    site.stop()
    traffic = MailboxTraffic(site, 0)
    letters = [traffic.write(0, None) for _ in range(3)]
    for letter in letters:
        traffic.lay(letter.sender, letter.raw)
        letter.fate = "accepted"
    site.start(*step.arm(site))
    until(site.died, f"the death: {name}", 60)
    site.start()
    settled(site)
    traffic.fetch()
    # An answer, and the same bytes once more, after all that.
    answer = traffic.write(0, letters[0])
    for letter in (answer, letters[1]):
        traffic.lay(letter.sender, letter.raw)
        letter.fate = "accepted"
    settled(site)
    site.stop()
    # More than one may have been on its way; reckoned() allows each no more than one for its interrupted try.
    assert reckoned(site, traffic) >= step.resent


def settled(site: MailboxSite) -> None:
    site.ready()
    site.quiet()


def reckoned(site: MailboxSite, traffic: MailboxTraffic) -> int:
    """Everything counted, on the stopped desk; how many mails left more than once."""
    assert site.folders() == {"INBOX": (0, 0), "Processed": (traffic.deliveries, traffic.deliveries)}
    with site.books() as books:
        traffic.assert_once(books)
        books.assert_spool_told(site.state / "spool")
        books.assert_folded()
        books.assert_seq_unbroken()
        return site.assert_sent(books)


# --- At any moment --------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [
    pytest.param(environment_number("MAILWICKET_KILLS", CI), id="some"),
    pytest.param(SOAK, id="many", marks=pytest.mark.soak),
])
def test_a_storm_of_mail_and_kills_counts_each_mail_once(site: MailboxSite, kills: int) -> None:
    seed = environment_number("MAILWICKET_SEED", int.from_bytes(os.urandom(4)))
    print(f"\nMAILWICKET_KILLS={kills} MAILWICKET_SEED={seed}")
    dice, begun = random.Random(seed), time.monotonic()
    traffic = MailboxTraffic(site, seed)
    site.start()
    site.ready()
    until(site.watching, "the desk to watch both folders")
    traffic.begin()
    try:
        for _ in range(kills):
            aim(site, dice)()
            site.kill()
            site.wire.let_be()
            site.submission.let_be()
            site.start()
    finally:
        traffic.end()
    settled(site)
    site.stop()
    resent = reckoned(site, traffic)
    print(f"{len(traffic.letters)} letters, {traffic.deliveries} laid, {resent} sent again, {time.monotonic() - begun:.0f} s")
    assert len(traffic.letters) > 5 * kills
    lines = "".join(log.read_text("utf-8") for log in sorted(site.root.glob("life-*.log")))
    assert not [line for line in lines.splitlines() if '"level": "error"' in line or "Traceback" in line]


def aim(site: MailboxSite, dice: random.Random) -> Callable[[], None]:
    """What to wait for before the next kill: a moment, or a step that the provider sees."""
    roll = dice.random()
    if roll < 0.3:
        return lambda: time.sleep(dice.uniform(0.2, 2.5))   # somewhere in the start
    if roll < 0.6:
        return lambda: (site.ready(), time.sleep(dice.uniform(0, AT_WORK)))[1]
    step = dice.choice([one for one in STEPS.values() if not one.call])
    step.arm(site)

    def wait() -> None:
        # Not each step comes by in each life.
        try:
            until(site.died, "the step", 5)
        except AssertionError:
            return

    return wait


