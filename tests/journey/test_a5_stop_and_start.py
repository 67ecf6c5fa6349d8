"""The operator's part: stopping in the middle of traffic, starting again, starting twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk import LMTP, Desk, Door, Mailbox, write
from servers import Town, until

pytestmark = [pytest.mark.servers, pytest.mark.journey]

MAILS = 40


def test_sigterm_during_traffic_loses_nothing_and_doubles_nothing(
    open_desk: Callable[[Door], Desk], town: Town, ann: Mailbox, anna: Mailbox
) -> None:
    desk = open_desk(LMTP)

    def send(number: int) -> None:
        write(town, "Ann Example <ann@cust.example>", desk.door.queue, f"Traffic {number:03}", f"This is number {number:03}.")

    with ThreadPoolExecutor(4) as clients:
        sending = [clients.submit(send, number) for number in range(MAILS)]
        until(lambda: len(anna.mails()) >= 3, "the first notices")
        desk.stop()     # asserts exit code 0 within 30 s; Postfix keeps what it cannot hand over
        for one in sending:
            one.result()
    desk.start()
    wanted = {f"Traffic {number:03}" for number in range(MAILS)}
    until(lambda: {t["subject"] for t in desk.tickets()} >= wanted, "a ticket for each mail", 30)
    desk.quiet()
    assert sorted(t["subject"] for t in desk.tickets()) == sorted(wanted), "each once"
    assert sorted(m.subject.partition("] ")[2] for m in ann.mails()) == sorted(wanted), "each acknowledged once"
    assert sorted(m.subject.partition("] ")[2] for m in anna.mails()) == sorted(wanted), "anna told of each once"


def test_a_second_gateway_on_the_same_state_is_refused(open_desk: Callable[[Door], Desk]) -> None:
    desk = open_desk(LMTP)
    second = desk.run("serve")
    assert second.returncode == 75, second.stderr
    assert str(desk.state) in second.stderr
    assert "Traceback" not in second.stderr
    assert desk.tickets() == [], "the first one goes on"
