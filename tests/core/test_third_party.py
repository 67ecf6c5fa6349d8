"""Lists that put their own address into From: the writer is found if the operator named the list, and proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.desk import ANN, ANNA, EVE, POLICY, SUPPORT, Desk, opened

LIST = "users@lists.example"
KNOWN = replace(POLICY, lists=frozenset({LIST}))
OUTSIDE = {"mail_from": "bounces@lists.example", "relay": None}


def by_list(desk: Desk, *, listed: str = LIST, **headers: str) -> Any:
    return desk.mail(f"Ann Ames via Users <{listed}>", SUPPORT, "It is on fire.", envelope=OUTSIDE, **headers)


@pytest.mark.parametrize("headers", [
    {"reply_to": ANN}, {"x_original_from": f"Ann Ames <{ANN}>"}, {"x_original_from": ANN, "reply_to": EVE},
    {"reply_to": f"{LIST}, Ann <{ANN}>"},
])
def test_the_writer_behind_a_configured_list_is_the_customer(headers: dict[str, str]):
    desk = Desk(policy=KNOWN)
    out = by_list(desk, **headers)
    assert desk.roles(1) == {ANN: "requester"}
    assert out.codes["identity"].startswith("level 0: the list")
    assert [p.name for p in desk.all.persons if p.address == ANN] == ["Ann Ames"]


@pytest.mark.parametrize("headers", [{}, {"reply_to": LIST}, {"reply_to": f"{ANN}, {EVE}"}, {"x_original_from": "nobody at all"}])
def test_a_list_that_does_not_say_who_wrote_is_the_writer(headers: dict[str, str]):
    desk = Desk(policy=KNOWN)
    by_list(desk, **headers)
    assert desk.roles(1) == {LIST: "requester"}


def test_the_reply_to_of_any_other_mail_is_nobodys_identity():
    desk = Desk()
    by_list(desk, reply_to=ANN, x_original_from=ANN)
    assert desk.roles(1) == {LIST: "requester"}


@pytest.mark.parametrize("envelope", [{"relay": "mta", "mail_from": ANNA}, {"login": "anna"}, {"relay": None}])
def test_an_agent_behind_a_list_proves_nothing_by_any_way(envelope: dict[str, Any]):
    desk, first = opened(desk=Desk(policy=KNOWN))
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.reply(notice, f"Anna via Users <{LIST}>", "#solved\nPay me.", reply_to=ANNA, envelope=envelope))
    assert out.held == "unproven"
    assert not out.to(ANN)
