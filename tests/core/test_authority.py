"""Roles by queue: who may run what, who sees what, who may be given a ticket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from gateway.core.authority import ORDER, assignable, may, sees
from gateway.core.command_table import COMMANDS
from gateway.core.policy import Agent, AgentRole, Organisation, Team
from tests.desk import POLICY

AGENT = Agent(login="zoe", name="Zoe", addresses=("zoe@acme.example",))


@pytest.mark.parametrize("role", [*ORDER, None])
@pytest.mark.parametrize("who", ORDER)
def test_a_role_may_what_lower_ones_may(who: str, role: str | None) -> None:
    assert may(who, role) == (role is not None and ORDER.index(role) >= ORDER.index(who))


def test_the_ladder_is_the_roles_of_the_policy() -> None:
    assert ORDER[1:] == get_args(AgentRole)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_a_light_agent_may_note_and_ask(row: Any) -> None:
    words = ("note", "help", "why", "show", "search", "dryrun", "receipt", "unsubscribe", "send", "drop")
    assert may(row.who, "light") == (row.name in words)
    assert may(row.who, "admin")


@pytest.mark.parametrize(("fields", "in_support", "in_billing"), [
    ({}, "agent", "agent"),
    ({"role": "lead"}, "lead", "lead"),
    ({"roles": (("billing", "light"),)}, "agent", "light"),
    ({"roles": (("billing", "light"), ("support", "lead"))}, "lead", "light"),
    ({"roles": (("billing", "none"),)}, "agent", None),
    ({"elsewhere": False}, None, None),
    ({"elsewhere": False, "roles": (("support", "lead"),)}, "lead", None),
    ({"role": "admin", "elsewhere": False}, "admin", "admin"),
    ({"role": "admin", "roles": (("billing", "none"),)}, "admin", None),
])
def test_the_role_depends_on_the_queue(fields: dict[str, Any], in_support: str | None, in_billing: str | None) -> None:
    agent = replace(AGENT, **fields)
    policy = replace(POLICY, agents=(*POLICY.agents, agent))
    for queue, role in (("support", in_support), ("billing", in_billing)):
        assert policy.role("zoe", queue) == role
        assert policy.may_see("zoe", queue) == sees(agent, queue) == (role is not None)
        assert ("zoe" in assignable(queue, policy)) == (role not in (None, "light"))
    assert policy.role("nobody", "support") is None


def test_no_agent_hides_from_a_rule_or_the_operator() -> None:
    assert sees(None, "support")


def test_who_is_told_sees_the_queue_and_is_an_agent() -> None:
    hidden = replace(POLICY.agents[1], roles=(("support", "none"),))
    policy = replace(POLICY, agents=(POLICY.agents[0], hidden))
    assert [a.login for a in policy.told("support")] == ["anna"]
    assert policy.told("billing") == (), "caro is gone"


def test_an_organisation_is_known_by_its_whole_domain() -> None:
    cust = Organisation(name="Cust", domains=("cust.example", "cust.test"), shared=True)
    other = Organisation(name="Other", domains=("other.example",))
    policy = replace(POLICY, organisations=(cust, other), teams=(Team(name="hw", members=("anna",)),))
    assert policy.organisation_of("ann@cust.test") == cust
    for stranger in ("ann@evil.cust.example", "ann@notcust.example", "ann@cust.example.evil.example", "", "cust.example"):
        assert policy.organisation_of(stranger) is None
    assert policy.colleagues("ann@cust.example", "dan@cust.test")
    assert not policy.colleagues("ann@other.example", "dan@other.example"), "not shared"
    assert not policy.colleagues("ann@cust.example", "dan@other.example")
    assert not policy.colleagues("ann@x.example", "dan@x.example")
    assert policy.team("hw") is not None
    assert policy.team("sw") is None


def test_the_first_of_two_agents_has_a_login_or_address() -> None:
    twin = replace(POLICY.agents[1], login="anna", addresses=("anna@acme.example", "twin@acme.example"))
    policy = replace(POLICY, agents=(*POLICY.agents, twin))
    assert policy.agent("anna") == policy.agent_of_address("anna@acme.example") == POLICY.agents[0]
    assert policy.agent_of_address("twin@acme.example") == twin
