"""The doors' own processes: what one does when another dies, and what they know of each other."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from gateway.core.model import Envelope
from gateway.edge.spool_in import encoded
from tests.bench.site import Desk
from tests.crash.process import Lost, Peer, Site, until

pytestmark = pytest.mark.crash
RAW = b"From: c@d.example\r\nTo: support@acme.example\r\nSubject: s\r\nMessage-ID: <%d@d.example>\r\n\r\nHello.\r\n"


def porters(site: Site) -> list[int]:
    assert site.process is not None
    children = [int(p) for p in Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text("ascii").split()]
    return [p for p in children if b"gateway.porter" in Path(f"/proc/{p}/cmdline").read_bytes()]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    try:
        found.start()
        found.ready()
        yield found
    finally:
        found.abandon()


def test_two_porters_by_default_take_what_comes(site: Site) -> None:
    assert len(porters(site)) == 2
    for number in range(10):
        with closing(Peer(site.port)) as peer:
            peer.deliver("c@d.example", "support@acme.example", RAW % number)
    until(lambda: len(site.said("mail")) == 10, "ten mails in the log")
    site.stop()


def test_the_end_of_a_porter_is_the_end_of_the_gateway_and_loses_nothing(site: Site) -> None:
    assert site.process is not None
    pids = porters(site)
    with closing(Peer(site.port)) as peer:
        told = peer.deliver("c@d.example", "support@acme.example", RAW % 1)
    os.kill(pids[0], signal.SIGKILL)
    assert site.process.wait(60) not in (0, -signal.SIGKILL)
    assert "a porter ended with status -9" in site.log.read_text("utf-8")
    assert gone(pids)
    site.start()
    site.ready()
    site.quiet()
    site.stop()
    with site.books() as books:
        assert told in {spool_id for spool_id, _ in books.raw()}


def test_porters_follow_a_gateway_that_was_killed_and_free_its_port_and_lock(site: Site) -> None:
    assert site.process is not None
    pids = porters(site)
    idle = Peer(site.port)
    site.process.kill()
    site.process.wait()
    site.start()
    site.ready()
    assert gone(pids)
    with pytest.raises(Lost):
        idle.deliver("c@d.example", "support@acme.example", RAW % 2)
    site.stop()


def test_sigterm_and_sigint_to_the_whole_group_are_the_gateways_to_answer(site: Site) -> None:
    """A terminal and systemd send them to every process."""
    assert site.process is not None
    for pid in porters(site):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    with closing(Peer(site.port)) as peer:
        peer.deliver("c@d.example", "support@acme.example", RAW % 3)
    os.killpg(site.process.pid, signal.SIGTERM)
    assert site.process.wait(60) == 0


def test_one_network_is_counted_by_all_porters_together(tmp_path: Path) -> None:
    """No relay: a stranger's network may have twenty connections, whichever porter took them."""
    site = Site(tmp_path)
    site.config.write_text(site.config.read_text("utf-8").replace('networks = ["127.0.0.1/32"]', 'networks = ["192.0.2.1/32"]'), "utf-8")
    try:
        site.start()
        site.ready()
        connections = [socket.create_connection(("127.0.0.1", site.port), 30) for _ in range(30)]
        greetings = [c.recv(100) for c in connections]
        assert [g[:3] for g in greetings].count(b"220") == 20
        assert [g[:3] for g in greetings].count(b"421") == 10
        for one in connections:
            one.close()
        until(lambda: _welcome(site.port), "room for one more once they have left")
        site.stop()
    finally:
        site.abandon()


def _welcome(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 30) as one:
        return one.recv(100).startswith(b"220")


def test_what_waits_in_the_spool_is_known_at_the_doors(tmp_path: Path) -> None:
    """A mail lies there for two hours, so the pipeline hangs: 451 until it is gone (ruling 15)."""
    desk = Desk(tmp_path)
    inlet = desk.state / "spool" / "in"
    inlet.mkdir(parents=True)
    old = int((time.time() - 7200) * 1000)
    envelope = Envelope(channel="smtp", received_at=datetime.now(UTC), mail_from="c@d.example", rcpt_tos=("support@acme.example",))
    (inlet / encoded(old, 0)).write_bytes(msgspec.json.encode(envelope) + b"\n" + RAW % 1)
    with desk.running(hold=True):
        until(lambda: _mail(desk.port).startswith(b"451 4.3.2"), "a refusal")
        desk.release()
        until(lambda: _mail(desk.port).startswith(b"250"), "room again")


def _mail(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as one:
        one.recv(100)
        one.sendall(b"HELO x\r\n")
        one.recv(100)
        one.sendall(b"MAIL FROM:<c@d.example>\r\n")
        return one.recv(100)
