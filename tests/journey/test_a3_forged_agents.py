"""Mail in an agent's name by somebody else: whoever knows a reply address knows too little."""

from __future__ import annotations

import pytest
from desk import TOKEN, Desk, Mailbox, forged, opened, post, swaks
from servers import Town

pytestmark = [pytest.mark.servers, pytest.mark.journey]


def test_a_mail_in_an_agents_name_without_her_login_does_nothing(
    desk: Desk, town: Town, ann: Mailbox, anna: Mailbox
) -> None:
    """The reply address alone is not enough: it may have been forwarded or quoted."""
    key = opened(desk, town, "Refund please")
    notice = anna.wait_about(f"[{key}]")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    assert TOKEN.match(token)

    # With her address on the envelope Postfix refuses it at the door, also when nobody's login is at stake.
    refused = post(town, forged(notice, anna.address, "#solved\nforged one"), anna.address, token)
    assert not refused.taken
    assert "not logged in" in refused.said
    # With the forger's own envelope Postfix must take it; the gateway sees that From is not proven.
    assert post(town, forged(notice, anna.address, "#solved\nforged two"), "eve@elsewhere.example", token).taken
    told = anna.wait_about(f"[{key}]", text="cannot prove")
    assert "forged" not in told.everything, "a forger must not write to agents through us"
    # Straight to the gateway, past the relay that would vouch: 127.0.0.2 is no configured relay.
    file = town.root / "post.eml"
    file.write_bytes(forged(notice, anna.address, "#solved\nforged three").as_bytes())
    past = swaks(
        town, "--local-interface", "127.0.0.2", "--from", anna.address, "--to", token, "--data", f"@{file}",
        port=town.ports.desk_smtp,
    )
    assert past.taken, past.said
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert desk.status(key) == "new"
    assert [bool(m["hold"]) for m in desk.show(key)["messages"]] == [False, True, True]
    assert len([m for m in anna.about(f"[{key}]") if "cannot prove" in m.text]) == 1, "no mail bombs: one notice an hour"


def test_an_agent_logged_in_as_herself_cannot_speak_as_a_colleague(
    desk: Desk, town: Town, ann: Mailbox, bert: Mailbox
) -> None:
    key = opened(desk, town, "Opening hours")
    notice = bert.wait_about(f"[{key}]")
    token = notice.mail["reply-to"].addresses[0].addr_spec
    # Anna's login, Bert's reply address, Bert in From: only her envelope sender tells.
    assert post(
        town, forged(notice, bert.address, "#solved\nWe are closed."), "anna@acme.example", token, login="anna@acme.example"
    ).taken
    bert.wait_about(f"[{key}]", text="cannot prove")
    desk.quiet()
    assert len(ann.about(f"[{key}]")) == 1
    assert desk.status(key) == "new"
