"""Mail that no person wrote: absence notices and reports of failed delivery, the latter by Postfix itself."""

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


def test_an_answer_that_bounces_is_told_to_its_writer_once(desk: Desk, town: Town, anna: Mailbox, bert: Mailbox) -> None:
    """The report comes from Postfix, to the bounce address, after the mail was accepted."""
    write(town, "Gone <gone@cust.example>", desk.door.queue, "My old address", "Can you reach me?")
    notice = anna.wait_about("My old address")
    key = notice.subject.partition("[")[2].partition("]")[0]
    answer(town, anna.address, notice, "I hope so.")
    told = anna.wait_about(f"[{key}]", text="did not reach gone@cust.example")
    assert "5.1.1" in told.text
    assert told.header("auto-submitted") == "auto-generated"
    desk.quiet()
    assert [m["state"] for m in desk.ask("outbox") if m["to"] == "gone@cust.example" and m["kind"] == "reply"] == ["bounced"]
    assert len([m for m in anna.about(f"[{key}]") if "did not reach" in m.text]) == 1
    assert not [m for m in bert.about(f"[{key}]") if "did not reach" in m.text]
    assert "bounced" in [e["kind"] for e in desk.show(key)["events"]]
