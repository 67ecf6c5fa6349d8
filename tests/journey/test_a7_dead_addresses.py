"""A customer's mailbox is closed and opened again; the reports come from Postfix, after it had accepted our mail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from desk import Desk, Mailbox, answer, write
from servers import AGENTS, CUSTOMERS, Town, until

pytestmark = [pytest.mark.servers, pytest.mark.journey]
ADA = "ada@cust.example"


@pytest.fixture
def ada(town: Town) -> Iterator[Mailbox]:
    """She has a mailbox at first."""
    town.dovecot.house(*CUSTOMERS, *AGENTS, ADA)
    yield Mailbox(town, ADA)
    town.dovecot.house(*CUSTOMERS, *AGENTS)


def gone(town: Town) -> None:
    town.dovecot.house(*CUSTOMERS, *AGENTS)


def replies(desk: Desk, to: str = ADA) -> list[str]:
    """States of the answers to ``to``, newest first, as the operator sees them."""
    return [m["state"] for m in desk.ask("outbox", all=True) if m["to"] == to and m["kind"] == "reply"]


def dead(desk: Desk) -> dict[str, str]:
    return {row["address"]: row["status"] for row in desk.ask("suppressed")}


def test_an_answer_that_bounces_is_told_once_and_revive_sends_again(
    desk: Desk, town: Town, ada: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    write(town, f"Ada <{ADA}>", desk.door.queue, "My old address", "Can you reach me?")
    notice = anna.wait_about("My old address")
    key = notice.subject.partition("[")[2].partition("]")[0]
    ada.wait_about("My old address")
    gone(town)
    answer(town, anna.address, notice, "I hope so.")
    told = anna.wait_about(f"[{key}]", text=f"did not reach {ADA}")
    assert "5.1.1" in told.text
    assert f"#revive {ADA}" in told.text
    assert told.header("auto-submitted") == "auto-generated"
    desk.quiet()
    assert replies(desk) == ["bounced"]
    assert len([m for m in anna.about(f"[{key}]") if "did not reach" in m.text]) == 1
    assert not [m for m in bert.about(f"[{key}]") if "did not reach" in m.text]
    assert [e["kind"] for e in desk.show(key)["events"]][-2:] == ["bounced", "suppressed"]
    assert dead(desk) == {ADA: "5.1.1"}

    answer(town, anna.address, notice, "A second try.")
    held_back = anna.wait_about(f"[{key}]", text="Mail to these")
    assert f"{ADA}, since " in held_back.text
    desk.quiet()
    assert replies(desk) == ["bounced"], "nothing was sent to a dead address"

    town.dovecot.house(*CUSTOMERS, *AGENTS, ADA)
    answer(town, anna.address, notice, f"#revive {ADA}\n\nA third try.")
    assert ada.wait_about(f"[{key}]", text="A third try.")
    assert dead(desk) == {}
    desk.quiet()
    assert sorted(replies(desk)) == ["bounced", "sent"]


def test_a_dead_address_is_not_even_acknowledged_until_the_operator_revives_it(
    desk: Desk, town: Town, ada: Mailbox, anna: Mailbox
) -> None:
    gone(town)
    write(town, f"Ada <{ADA}>", desk.door.queue, "First question", "Hello?")
    until(lambda: dead(desk), "the acknowledgement to come back")
    write(town, f"Ada <{ADA}>", desk.door.queue, "Second question", "Hello again?")
    notice = anna.wait_about("Second question")
    assert f":: ! We do not write to {ADA} since" in " ".join(notice.text.split())
    desk.quiet()
    acks = [m for m in desk.ask("outbox", all=True) if m["to"] == ADA and m["kind"] == "ack"]
    assert "bounced" in {m["state"] for m in acks}
    before = len(acks)

    said = desk.run("suppressed")
    assert (said.returncode, ADA in said.stdout) == (0, True)
    town.dovecot.house(*CUSTOMERS, *AGENTS, ADA)
    assert desk.run("revive", ADA).returncode == 0
    again = desk.run("revive", ADA)
    assert (again.returncode, "mailwicket suppressed" in again.stderr) == (1, True)
    write(town, f"Ada <{ADA}>", desk.door.queue, "Third question", "And now?")
    assert ada.wait_about("Third question")
    desk.quiet()
    assert len([m for m in desk.ask("outbox", all=True) if m["to"] == ADA and m["kind"] == "ack"]) == before + 1
