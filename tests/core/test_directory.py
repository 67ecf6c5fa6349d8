"""The directory is the fold of its events, and the policy of the moment is the configuration with it on top."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.directory import Directory, Folded, apply, effective, fold
from gateway.core.directory_rows import DirectoryEvent, DirectoryName
from gateway.core.policy import Agent, Organisation, Policy, Team
from gateway.core.profile import is_ours
from gateway.core.rows import Person
from tests.desk import POLICY, START, Desk

BASE = replace(
    POLICY, teams=(Team(name="declared", members=("anna",)),),
    organisations=(Organisation(name="Declared Ltd", domains=("declared.example",), shared=True),),
    queues=(*(replace(q, everybody=q.name == "billing") for q in POLICY.queues),),
)

LOGINS = st.sampled_from(["anna", "bert", "zoe", "max", "eva"])
ADDRESSES = st.sampled_from([
    "zoe@acme.example", "max@acme.example", "eva@x.example", "anna@acme.example", "support@acme.example", "t@reply.acme.example",
])
QUEUES = st.sampled_from(["support", "billing", "nowhere"])
ROLES = st.sampled_from(["light", "agent", "lead", "admin", "none"])
NAMES = st.sampled_from(["hw", "sw", "declared"])
FIRMS = st.sampled_from(["Cust", "CUST", "Other", '"Declared Ltd"'])
DOMAINS = st.sampled_from(["cust.example", "other.example", "declared.example"])


def line(*parts: Any) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(p) if isinstance(p, str) else p for p in parts)).map(" ".join)


LINES = st.one_of(
    line("agent add", LOGINS, ADDRESSES),
    line("agent add", LOGINS, ADDRESSES, "role=light queues=support language=de"),
    line("agent role", LOGINS, ROLES),
    line("agent role", LOGINS, st.tuples(QUEUES, ROLES).map("=".join)),
    line("agent address", LOGINS, ADDRESSES),
    line("agent address", LOGINS, ADDRESSES.map("-".__add__)),
    line("agent name", LOGINS, st.sampled_from(["Z", "Max"])),
    line("agent language", LOGINS, st.sampled_from(["en", "de"])),
    line("agent leave", LOGINS),
    line("team add", NAMES, LOGINS),
    line("team remove", NAMES, LOGINS),
    line("team remove", NAMES),
    line("organisation add", FIRMS, DOMAINS),
    line("organisation remove", FIRMS, DOMAINS),
    line("organisation remove", FIRMS),
    line("organisation share", FIRMS, st.sampled_from(["on", "off"])),
)


def holds(configured: Policy, policy: Policy) -> None:
    """What no sequence of lines may break."""
    assert policy.agents[:len(configured.agents)] == configured.agents
    assert policy.organisations[:len(configured.organisations)] == configured.organisations
    assert policy.teams[:len(configured.teams)] == configured.teams
    for kept in ("rules", "relays", "keys", "host", "key", "reply_domain", "budgets", "reply_to_token"):
        assert getattr(policy, kept) == getattr(configured, kept)
    logins = [a.login for a in policy.agents]
    addresses = [a for agent in policy.agents for a in agent.addresses]
    domains = [d for o in policy.organisations for d in o.domains]
    for several in (logins, addresses, domains, [t.name for t in policy.teams], [o.name.casefold() for o in policy.organisations]):
        assert len(set(several)) == len(several)
    assert not [a for a in addresses if is_ours(a, policy)]
    assert all(agent.addresses for agent in policy.agents)
    for before, queue in zip(configured.queues, policy.queues, strict=True):
        assert queue.agents[:len(before.agents)] == before.agents
        assert replace(queue, agents=before.agents) == before
        assert all(policy.agent(login) for login in queue.agents)
    assert all(policy.agent(m) for team in policy.teams for m in team.members)


@settings(deadline=None, max_examples=120)
@given(st.lists(LINES, max_size=14))
def test_any_lines_leave_a_directory_that_is_its_fold_and_a_sound_policy(lines: list[str]) -> None:
    desk = Desk(policy=BASE)
    folded = Folded()
    for one in lines:
        before = desk.directory
        try:
            outcome, said = desk.admin(one)
        except ValueError as refused:
            assert str(refused)
            assert desk.directory == before, "a refused line changes nothing"
            continue
        assert said
        folded = fold(outcome.rows.directory_events, folded)
        assert folded == desk.directory.folded == fold(desk.all.directory_events)
        holds(BASE, desk.policy)
        words = {*desk.directory.addresses.values(), *(n.label for n in desk.directory.names.values() if n.label)}
        told = " ".join(f"{e.value} {e.queue}" for e in outcome.rows.directory_events)
        assert not [w for w in words if w in told], "events hold no personal word"


@settings(deadline=None, max_examples=100)
@given(LINES)
def test_a_line_said_twice_changes_nothing_the_second_time(one: str) -> None:
    desk = Desk(policy=BASE)
    for begin in ("agent add zoe zoe@acme.example", "team add hw zoe", "organisation add Cust cust.example"):
        desk.admin(begin)
    try:
        desk.admin(one)
    except ValueError:
        return
    before = desk.policy
    try:
        outcome, said = desk.admin(one)
    except ValueError:
        pass            # gone or there already, and said so
    else:
        assert outcome.rows == type(outcome.rows)()
        assert said == ("nothing to change: it is so already",)
    assert desk.policy == before


def test_without_a_directory_the_policy_is_the_configuration_itself() -> None:
    assert effective(BASE, Directory()) is BASE


# --- Where configuration and directory disagree ---------------------------------------------


def test_who_is_declared_later_is_the_configurations() -> None:
    """The operator writes into mailwicket.toml what was said by mail before, with other words."""
    desk = Desk(policy=BASE)
    for one in (
        "agent add zoe zoe@acme.example Zoe role=admin", "agent add max max@acme.example", "team add hw zoe",
        "organisation add Cust cust.example", "organisation share Cust on",
    ):
        desk.admin(one)
    later = replace(
        BASE, agents=(*BASE.agents, Agent(login="zoe", name="Zoe Z", addresses=("zz@acme.example", "max@acme.example"), role="light")),
        teams=(*BASE.teams, Team(name="hw", members=("bert",))),
        organisations=(*BASE.organisations, Organisation(name="CUST", domains=("cust.example",))),
    )
    found = effective(later, desk.directory)
    holds(later, found)
    assert [a.login for a in found.agents] == ["anna", "bert", "caro", "zoe"], "max has no address left"
    assert found.agent_of_address("zoe@acme.example") is None, "declared without it"
    assert (found.role("zoe", "support"), found.teams, found.organisations) == ("light", later.teams, later.organisations)


def test_a_queue_hears_its_named_agents_and_those_who_name_it() -> None:
    desk = Desk(policy=BASE)
    desk.admin("agent add zoe zoe@acme.example")
    desk.admin("agent add max max@acme.example queues=support")
    desk.admin("agent add eva eva@x.example role=light queues=support,billing")
    assert desk.policy.queue("support").agents == ("anna", "bert", "max"), "it names its agents: zoe sees it and is not told"
    assert desk.policy.queue("billing").agents == ("caro", "zoe"), "all who answer there"
    assert (desk.policy.role("zoe", "support"), desk.policy.role("max", "billing")) == ("agent", None)


def test_an_erased_or_lost_address_is_nobodys() -> None:
    desk = Desk(policy=BASE)
    desk.admin("agent add zoe zoe@acme.example")
    assert effective(BASE, replace(desk.directory, addresses={})).agents == BASE.agents


# --- What cannot be ---------------------------------------------------------------------------


def event(kind: str, seq: int = 1, **fields: Any) -> DirectoryEvent:
    base: dict[str, Any] = {"actor_kind": "operator", "actor": None, "cause": "operator:0", "entry": 1, "person": None, "other": None,
                            "queue": None, "value": None, "at": START, "recorded_at": START}
    return DirectoryEvent(seq=seq, kind=kind, **{**base, **fields})     # type: ignore[arg-type]


ADDED = [event("agent_added", value="agent"), event("team_added", 2, entry=2), event("organisation_added", 3, entry=3)]


@pytest.mark.parametrize(("impossible", "why"), [
    (event("agent_left", 4, entry=9), "never added"),
    (event("member_added", 4, entry=9, other=1), "never added"),
    (event("domain_added", 4, entry=9, other=1), "never added"),
    (event("agent_left", 3), "was there before"),
    (event("agent_role", 4, value="boss"), "roles are"),
    (event("agent_role", 4), "roles are"),
    (event("agent_added", 4, entry=4), "roles are"),
    (event("agent_address_added", 4), "names nobody"),
    (event("member_added", 4, entry=2), "names nobody"),
    (event("domain_added", 4, entry=3), "names nobody"),
])
def test_what_cannot_happen_is_refused(impossible: DirectoryEvent, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        apply(fold(ADDED), impossible)


def test_an_event_without_a_language_means_english() -> None:
    assert fold([*ADDED, event("agent_language", 4)]).agents[1].language == "en"


def test_names_are_found_in_any_case_and_by_kind() -> None:
    names = {4: DirectoryName(entry=4, kind="team", name="HW", label=""), 7: DirectoryName(entry=7, kind="agent", name="hw", label="")}
    found = Directory(names=names)
    assert (found.entry("team", "hw"), found.entry("agent", "Hw"), found.entry("domain", "hw"), found.next_entry) == (4, 7, None, 8)


def test_addresses_stand_in_person_and_nowhere_else() -> None:
    desk = Desk(policy=BASE)
    outcome, _ = desk.admin('agent add zoe zoe@acme.example "Zoe Z"')
    assert outcome.rows.persons == (Person(id=1, address="zoe@acme.example", name="Zoe Z", created_at=desk.now),)
    assert "zoe" not in repr(outcome.rows.directory_events)
