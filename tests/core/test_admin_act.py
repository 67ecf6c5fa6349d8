"""What an admin's line does: to the directory, to tickets, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.clerk import Author
from tests.core.test_directory import BASE
from tests.desk import ANN, ANNA, BERT, DAN, SUPPORT, Desk, opened

ZOE, ZED = "zoe@acme.example", "zed@acme.example"


def desk_with(*lines: str) -> Desk:
    desk = Desk(policy=BASE)
    for one in lines:
        desk.admin(one)
    return desk


ADD_ZOE = f'agent add zoe {ZOE} "Zoe Zander"'


@pytest.mark.parametrize(("lines", "said"), [
    ([ADD_ZOE], f"zoe <{ZOE}> is an agent in all queues"),
    ([f"agent add zoe {ZOE} role=light queues=support,billing"], f"zoe <{ZOE}> is a light agent in support, billing"),
    ([f"agent add zoe {ZOE} role=admin"], "is an admin in all queues"),
    ([ADD_ZOE, "agent role zoe lead"], "zoe is a lead in all queues"),
    ([ADD_ZOE, "agent role zoe billing=none support=lead"], "zoe sees nothing in billing"),
    ([ADD_ZOE, "agent role zoe billing=light", "agent role zoe none"], "zoe sees nothing in all other queues"),
    ([ADD_ZOE, f"agent address zoe +{ZED}"], f"{ZED} is zoe's"),
    ([ADD_ZOE, f"agent address zoe +{ZED} -{ZOE}"], f"{ZOE} is zoe's no more"),
    ([ADD_ZOE, "agent name zoe Zo"], "customers see zoe as Zo"),
    ([ADD_ZOE, 'agent name zoe "Zoe Zander"'], "nothing to change"),
    ([ADD_ZOE, "agent language zoe de"], "we write to zoe in de"),
    ([ADD_ZOE, "agent language zoe en"], "nothing to change"),
    ([ADD_ZOE, f"agent address zoe +{ZOE} -{ZED}"], "nothing to change"),
    ([ADD_ZOE, "agent role zoe agent"], "nothing to change"),
    ([ADD_ZOE, "agent leave zoe"], "zoe is an agent no more"),
    ([ADD_ZOE, "agent leave zoe", ADD_ZOE], "is an agent in all queues"),
    (["team add hw"], "hw is a team"),
    (["team add hw anna"], "anna is in team hw"),
    (["team add hw anna", "team remove hw anna"], "anna is in team hw no more"),
    (["team add hw anna", "team remove hw"], "hw is a team no more"),
    (["team add hw anna", "team remove hw", "team add hw"], "hw is a team"),
    (["organisation add Cust cust.example"], "cust.example belongs to Cust"),
    (["organisation add Cust cust.example", "organisation add cust cust.example"], "nothing to change"),
    (["organisation add Cust cust.example", "organisation share CUST on"], "people of Cust may add"),
    (["organisation add Cust", "organisation share Cust on", "organisation share Cust off"], "people of Cust may not add"),
    (["organisation add Cust", "organisation share Cust off"], "nothing to change"),
    (["organisation add Cust cust.example", "organisation remove Cust cust.example"], "belongs to Cust no more"),
    (["organisation add Cust", "organisation remove Cust"], "Cust is an organisation no more"),
    (["organisation add Cust cust.example", "organisation remove Cust", "organisation add Other cust.example"], "belongs to Other"),
    (["organisation add Cust", "organisation remove Cust", "organisation add Cust"], "Cust is an organisation"),
])
def test_a_line_is_carried_out_and_said(lines: list[str], said: str) -> None:
    *before, last = lines
    _, told = desk_with(*before).admin(last)
    assert said in "\n".join(told)


@pytest.mark.parametrize(("lines", "why"), [
    (["agent role anna admin"], "anna is declared in mailwicket.toml"),
    (["agent leave anna"], "anna is declared in mailwicket.toml"),
    (["agent add anna x@acme.example"], "anna is an agent already"),
    ([ADD_ZOE, ADD_ZOE], "zoe is an agent already: Zoe Zander"),
    (["agent leave zoe"], "zoe is no agent here; there are anna, bert, caro"),
    ([ADD_ZOE, "agent leave zeo"], "did you mean zoe?"),
    ([ADD_ZOE, "agent leave zoe", "agent leave zoe"], "zoe is no agent here"),
    (["agent add zoe Zoe"], "behind zoe comes the address"),
    ([f"agent add zoe {ANNA}"], f"{ANNA} is anna's"),
    ([f"agent add zoe {SUPPORT}"], "address of the desk"),
    (["agent add zoe x@reply.acme.example"], "address of the desk"),
    ([f"agent add zoe {ZOE} queues=suport"], "suport is no queue; did you mean support?"),
    ([f"agent add zoe {ZOE} role=none"], "not none"),
    ([f"agent add zoe {ZOE} role=admin queues=support"], "for the whole desk"),
    ([ADD_ZOE, "agent role zoe support=admin"], "for the whole desk"),
    ([ADD_ZOE, "agent role zoe nowhere=lead"], "nowhere is no queue; there are support, billing"),
    ([ADD_ZOE, f"agent address zoe -{ZOE}"], "zoe needs an address"),
    ([ADD_ZOE, f"agent address zoe +{BERT}"], f"{BERT} is bert's"),
    ([ADD_ZOE, f"agent add max {ZOE}"], f"{ZOE} is zoe's"),
    (["team add declared anna"], "team declared is declared in mailwicket.toml"),
    (["team add hw nobody"], "nobody is no agent here"),
    (["team remove hw"], "hw is no team that can be changed here; there are none"),
    (["team add hardware anna", "team remove hardwre"], "did you mean hardware?"),
    (["team remove declared"], "declared is no team that can be changed here"),
    (["team add hw anna", "team remove hw", "team remove hw"], "hw is no team"),
    (["team add hw anna", "team remove hw bert"], "bert is not in team hw; there are anna"),
    (['organisation add "declared ltd" x.example'], "declared in mailwicket.toml"),
    (["organisation add Cust declared.example"], "declared.example belongs to Declared Ltd"),
    (["organisation add Cust cust.example", "organisation add Other cust.example"], "cust.example belongs to Cust"),
    (["organisation share Cust on"], "Cust is no organisation here"),
    (["organisation add Cust", "organisation remove Cust", "organisation share Cust on"], "Cust is no organisation here"),
    (['organisation share "Declared Ltd" off'], "declared in mailwicket.toml"),
    (["organisation add Cust cust.example", "organisation remove Cust cust.exampel"], "did you mean cust.example?"),
])
def test_what_cannot_be_done_says_what_would_be_valid(lines: list[str], why: str) -> None:
    *before, last = lines
    with pytest.raises(ValueError, match=".") as told:
        desk_with(*before).admin(last)
    assert why in str(told.value)


def test_who_asked_stands_in_the_event() -> None:
    desk, first = opened(desk=Desk(policy=BASE))
    person = next(p.id for p in desk.all.persons if p.address == ANNA)
    outcome, _ = desk.admin(ADD_ZOE, Author(kind="agent", person=person, cause="spool-7"))
    assert {(e.actor_kind, e.actor, e.cause) for e in outcome.rows.directory_events} == {("agent", person, "spool-7")}
    assert first


def test_who_comes_back_begins_anew() -> None:
    desk = desk_with(f"agent add zoe {ZOE} role=lead queues=billing language=de", "agent leave zoe", f"agent add zoe {ZED}")
    zoe = desk.policy.agent("zoe")
    assert zoe is not None
    assert (zoe.addresses, zoe.role, zoe.roles, zoe.elsewhere, zoe.language, zoe.name) == ((ZED,), "agent", (), True, "en", "Zoe")


# --- Tickets of those who go ------------------------------------------------------------------


def with_tickets(*more: str) -> Desk:
    """Zoe has three tickets, one of them solved and one closed; Bert has one."""
    desk = desk_with(f"agent add zoe {ZOE}", *more)
    for number, status in enumerate(("", "#solved\n", "#closed\n"), start=1):
        first = desk.mail(f"Ann <{ANN}>", SUPPORT, "Hello.", subject=f"Case {number}")
        desk.answer(first.to(ANNA)[0], ANNA, f"#assign zoe\n{status}")
    other = desk.mail(f"Dan <{DAN}>", SUPPORT, "Hello.", subject="Case of Bert")
    desk.answer(other.to(BERT)[0], BERT, "#take")
    return desk


def holders(desk: Desk) -> list[str | None]:
    address = {p.id: p.address for p in desk.all.persons}
    return [address[t.assignee] if t.assignee is not None else None for t in desk.tickets.values()]


def test_who_leaves_holds_no_ticket_and_the_queue_hears_of_all_at_once() -> None:
    desk = with_tickets()
    assert holders(desk) == [ZOE, ZOE, ZOE, BERT]
    outcome, said = desk.admin("agent leave zoe")
    assert holders(desk) == [None, None, ZOE, BERT], "closed ones stay with whom they were"
    assert said[-1] == "2 of zoe's tickets are nobody's now: ABC-1, ABC-2"
    assert outcome.kinds() == [("result", ANNA), ("result", BERT)]
    (mail,) = outcome.to(ANNA)
    assert mail.mail.subject == "zoe: ABC-1, ABC-2"
    assert mail.mail.header("auto-submitted") == "auto-generated"
    assert "- ABC-1, support, open: Case 1" in mail.text or "- ABC-1, support, new: Case 1" in mail.text
    assert "Case 3" not in mail.text
    event = [e for e in outcome.rows.events if e.ticket == 1]
    assert [(e.kind, e.actor_kind, e.cause, e.after) for e in event] == [("assignee", "operator", "operator:1000", None)]


def test_one_ticket_is_told_in_german_as_well() -> None:
    german = replace(BASE, agents=tuple(replace(a, language="de") for a in BASE.agents))
    desk = Desk(policy=german)
    desk.admin(ADD_ZOE)
    first = desk.mail(ANN, SUPPORT, "Hello.")
    desk.answer(first.to(ANNA)[0], ANNA, "#assign zoe")
    (mail, *_) = desk.admin("agent leave zoe")[0].to(ANNA)
    assert "zoe ist nicht mehr zuständig für dieses Ticket" in mail.text


def test_who_loses_sight_of_a_queue_loses_its_tickets() -> None:
    for line in ("agent role zoe support=none", "agent role zoe light"):
        desk = with_tickets()
        outcome, _ = desk.admin(line)
        assert holders(desk) == [None, None, ZOE, BERT]
        assert outcome.kinds() == [("result", ANNA), ("result", BERT)]
    desk = with_tickets()
    assert desk.admin("agent role zoe billing=none")[0].sent == ()
    assert holders(desk) == [ZOE, ZOE, ZOE, BERT]


def test_many_released_tickets_are_listed_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.admin_agents.MOST_LISTED", 1)
    outcome, _ = with_tickets().admin("agent leave zoe")
    text = outcome.to(ANNA)[0].text
    assert "ABC-1" in text
    assert "ABC-2" not in text
    assert "and 1 more" in text


def test_a_ticket_follows_its_agent_to_a_new_address() -> None:
    desk = with_tickets()
    desk.admin(f"agent address zoe +{ZED} -{ZOE}")
    assert holders(desk) == [ZED, ZED, ZOE, BERT]
    assert desk.policy.agent_of_address(ZOE) is None


def test_a_role_that_hides_everything_from_a_hidden_agent_releases() -> None:
    """An agent whose last address the configuration has taken since has no tickets to give back by himself."""
    desk = with_tickets()
    assert desk.configured is not None
    taken = replace(BASE.agents[0], addresses=(ANNA, ZOE))
    desk.configured = replace(desk.configured, agents=(taken, *BASE.agents[1:]))
    outcome, _ = desk.admin("agent role zoe lead")
    assert outcome.rows.events == ()
