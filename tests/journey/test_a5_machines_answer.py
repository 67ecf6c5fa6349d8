"""Mail that no person wrote: absence notices. Reports of failed delivery are in test_a7_dead_addresses.py."""

from __future__ import annotations

import pytest
from desk import Desk, Mailbox, answer, write
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]


def test_an_absence_notice_does_not_reopen_a_ticket(desk: Desk, town: Town, ann: Mailbox, anna: Mailbox) -> None:
    write(town, "Ann Example <ann@cust.example>", desk.door.queue, "Lost key", "I lost my key.")
    answer(town, anna.address, anna.wait_about("Lost key"), "#solved\nA new one is at the desk.")
    reply = ann.wait_about("Lost key", text="A new one")
    write(
        town, "Ann Example <ann@cust.example>", desk.door.queue, f"Automatic reply: {reply.subject}", "I am away until Monday.",
        headers={"In-Reply-To": reply.header("message-id"), "Auto-Submitted": "auto-replied"},
    )
    key = reply.subject.partition("[")[2].partition("]")[0]
    desk.quiet()
    shown = desk.show(key)
    assert len(shown["messages"]) == 3, "it is kept on the ticket"
    assert shown["ticket"]["status"] == "solved"
    assert not [m for m in anna.mails() if "away until Monday" in m.everything]
    assert len(ann.about("Lost key")) == 2, "no answer to an automatic answer"
