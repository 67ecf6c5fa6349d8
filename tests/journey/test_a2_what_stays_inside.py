"""What agents say among themselves, mistype, or never said: none of it may reach the customer."""

from __future__ import annotations

import pytest
from desk import Desk, Mailbox, answer, forged, opened, post
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]


def test_an_answer_to_an_internal_note_stays_internal(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Discount wanted")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "#note\nShe may have ten percent, not a bit more.")
    note = bert.wait_about(f"[{key}]", text="ten percent, not a bit more")
    assert "stays internal" in note.text
    answer(town, bert.address, note, "Five are enough for this customer, I would say.")
    assert "bert@acme.example> noted:" in anna.wait_about(f"[{key}]", text="Five are enough").text
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1, "nothing but the acknowledgement"
    assert [m["public"] for m in desk.show(key)["messages"]] == [True, False, False]


def test_a_mistyped_command_holds_the_mail_and_only_its_writer_is_told(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Broken lamp")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "#sovled\nA new bulb is on its way.")
    told = anna.wait(lambda m: f"[{key}]" in m.subject and "#sovled" in m.text and "#solved" in m.text, "the question back")
    assert "Nothing was sent" in told.text
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert not [m for m in bert.about(f"[{key}]") if "bulb" in m.everything]
    assert desk.status(key) == "new"


def test_help_is_for_the_agent_who_asks(desk: Desk, town: Town, ann: Mailbox, anna: Mailbox, bert: Mailbox) -> None:
    key = opened(desk, town, "Elevator stuck")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "#help")
    told = anna.wait_about(f"[{key}]", text="#priority low|normal|high|urgent")
    assert told.header("auto-submitted") == "auto-replied"
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert len(bert.about(f"[{key}]")) == 1
    assert desk.status(key) == "new"


def test_a_forged_mail_is_told_although_its_victim_just_mistyped_a_command(
    desk: Desk, town: Town, anna: Mailbox
) -> None:
    """The pause between notices about unproven mail must not be started by other notices: she would hear nothing."""
    key = opened(desk, town, "Wrong invoice")
    notice = anna.wait_about(f"[{key}]")
    answer(town, anna.address, notice, "#asign bert\nNot mine.")
    anna.wait_about(f"[{key}]", text="#asign")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    assert post(town, forged(notice, anna.address, "forged"), "eve@elsewhere.example", token).taken
    desk.quiet()
    assert desk.show(key)["messages"][-1]["hold"] == "unproven"
    assert [m for m in anna.about(f"[{key}]") if "cannot prove" in m.text]


def test_agents_know_each_other_by_their_configured_names(desk: Desk, town: Town, anna: Mailbox, bert: Mailbox) -> None:
    """What a mail program writes into From is no name of the desk's: it may be "root" or somebody else's."""
    key = opened(desk, town, "Parking")
    answer(town, anna.address, anna.wait_about(f"[{key}]"), "There is room behind the house.")
    brief = bert.wait_about(f"[{key}]", text="There is room")
    assert brief.text.startswith("Anna Ahlberg <anna@acme.example> answered the customer:")
    assert brief.mail["from"].addresses[0].display_name == "Anna Ahlberg via Acme Support"
