"""The operator's part: stopping in the middle of traffic, starting again, starting twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk import LMTP, Desk, Door, Mailbox, write
from servers import Town, certificates, until

pytestmark = [pytest.mark.servers, pytest.mark.journey]

CLIENTS = 3


def test_sigterm_during_traffic_loses_nothing_and_doubles_nothing(
    open_desk: Callable[[Door], Desk], town: Town, ann: Mailbox, anna: Mailbox
) -> None:
    """What Postfix could not hand over it keeps; what was taken is acted on after the next start."""
    desk = open_desk(LMTP)
    stopped = threading.Event()

    def send(client: int) -> list[str]:
        """Write until the gateway is gone, and once more."""
        sent: list[str] = []
        last = False
        while not last:
            last = stopped.is_set()
            sent.append(f"Traffic {client}-{len(sent)}")
            write(town, "Ann Example <ann@cust.example>", desk.door.queue, sent[-1], f"This is {sent[-1]}.")
        return sent

    with ThreadPoolExecutor(CLIENTS) as clients:
        sending = [clients.submit(send, client) for client in range(CLIENTS)]
        try:
            until(lambda: len(anna.mails()) >= CLIENTS, "the first notices")
            desk.stop()     # asserts exit code 0 within 30 s
        finally:
            stopped.set()
        wanted = sorted(subject for one in sending for subject in one.result())
    assert len(wanted) >= 2 * CLIENTS
    desk.start()
    until(lambda: len(desk.tickets()) >= len(wanted), "a ticket for each mail", 120)
    desk.quiet()
    assert sorted(t["subject"] for t in desk.tickets()) == wanted, "each once"
    assert sorted(m.subject.partition("] ")[2] for m in ann.mails()) == wanted, "each acknowledged once"
    assert sorted(m.subject.partition("] ")[2] for m in anna.mails()) == wanted, "anna told of each once"


def test_no_mail_leaves_to_a_smarthost_whose_certificate_does_not_verify(
    open_desk: Callable[[Door], Desk], town: Town, ann: Mailbox
) -> None:
    desk = open_desk(LMTP)
    desk.stop()
    desk.trust = certificates(desk.root).ca     # an authority that Postfix's certificate is not from
    desk.start()
    write(town, "Ann Example <ann@cust.example>", desk.door.queue, "Secret", "Nobody else shall read the answer.")
    until(lambda: len([m for m in desk.ask("outbox") if m["state"] == "deferred"]) == 3, "three deferred mails")
    assert all("TLS failed" in m["reply"] for m in desk.ask("outbox"))
    assert ann.mails() == []


def test_a_second_gateway_on_the_same_state_is_refused(open_desk: Callable[[Door], Desk]) -> None:
    desk = open_desk(LMTP)
    second = desk.run("serve")
    assert second.returncode == 75, second.stderr
    assert str(desk.state) in second.stderr
    assert "Traceback" not in second.stderr
    assert desk.tickets() == [], "the first one goes on"
