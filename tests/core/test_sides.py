"""Who answered and who asked, in mail that nobody vouches for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import Mail
from gateway.core.policy import Agent
from gateway.core.sides import agents_of, is_person, opener_is_customer, outsiders
from gateway.mime.parse import parse
from tests.desk import ANN, ANNA, DAN, POLICY, SUPPORT


def mail(**headers: str) -> Mail:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return parse("".join([*lines, "\r\n", "Text.\r\n"]).encode())


@pytest.mark.parametrize(("named", "address", "has"), [
    ((), ANNA, True),
    ((), "new.colleague@acme.example", True),
    ((), SUPPORT, True),
    ((), ANN, False),
    (("cust.example",), ANN, True),
    (("@Cust.Example ",), ANN, True),
    ((ANN.upper(),), ANN, True),
    ((ANN,), DAN, False),
    (("", " "), ANN, False),
    (("cust.example",), "ann@sub.cust.example", False),
])
def test_agents_are_named_configured_or_of_a_configured_domain(named: tuple[str, ...], address: str, has: bool) -> None:
    assert agents_of(POLICY, named).has(address) == has


def test_who_writes_from_a_public_provider_does_not_make_its_other_users_agents() -> None:
    policy = replace(POLICY, agents=(Agent(login="zoe", name="Zoe", addresses=("zoe@gmail.com",)),))
    agents = agents_of(policy, ())
    assert agents.has("zoe@gmail.com")
    assert not agents.has("customer@gmail.com")
    assert agents_of(policy, ("gmail.com",)).has("customer@gmail.com")    # who says so, means it


@pytest.mark.parametrize(("headers", "person"), [
    ({"From": ANN}, True),
    ({"From": ANN, "List_Id": "<news.shop.example>"}, False),
    ({"From": ANN, "List_Id": "<users.tool.example>", "List_Post": "<mailto:users@tool.example>"}, True),
    ({"From": ANN, "List_Id": "<news.shop.example>", "List_Post": "NO (newsletter)"}, False),
    ({"From": ANN, "Precedence": "list", "In_Reply_To": "<1@tool.example>"}, True),
    ({"From": ANN, "Precedence": "list", "References": "<1@tool.example>"}, True),
], ids=["mail", "newsletter", "discussion list", "announcements", "answer on a list", "reference on a list"])
def test_list_mail_is_a_persons_if_one_can_answer_it_there(headers: dict[str, str], person: bool) -> None:
    kind = "human" if set(headers) == {"From"} else "bulk"
    assert is_person(mail(**headers), kind) == person  # type: ignore[arg-type]
    assert not is_person(mail(**headers), "bounce")


@pytest.mark.parametrize(("sender", "to", "sent", "customer"), [
    (ANN, SUPPORT, False, True),
    (ANN, DAN, True, False),
    (SUPPORT, ANN, False, False),
    (ANNA, ANN, False, False),
    (ANNA, SUPPORT, False, True),
    (ANNA, f"{SUPPORT}, {ANN}", False, False),
    (ANNA, "bert@acme.example", False, False),
], ids=["a customer", "from a Sent folder", "the desk", "an agent", "a colleague asks", "an agent copies the desk", "among agents"])
def test_who_opens_a_conversation(sender: str, to: str, sent: bool, customer: bool) -> None:
    found = mail(From=sender, To=to)
    assert opener_is_customer(found, sender, sent=sent, agents=agents_of(POLICY, ()), policy=POLICY) == customer


def test_outsiders_are_neither_agents_nor_ours() -> None:
    found = mail(From=ANNA, To=f"{SUPPORT}, {ANN}", Cc=f"bert@acme.example, t-a1.1-x@reply.acme.example, {DAN}")
    assert outsiders(found, agents_of(POLICY, ()), POLICY) == [ANN, DAN]
