"""The slice of state, and how a decision changes it: what absorb makes is what the store would load next."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from gateway.core.context import Context, Needs, absorb
from gateway.core.ledger import Ledger
from gateway.core.understand import needs
from gateway.pipeline import decide
from tests.core.test_act import ticket
from tests.desk import ANN, ANNA, BERT, DAN, EVE, START, SUPPORT, Desk, answered, opened


def test_a_redirect_is_followed_to_the_ticket_that_is_left():
    context = Context(tickets={1: ticket(1, merged_into=2), 2: ticket(2, merged_into=3), 3: ticket(3)})
    assert context.living(1) == context.tickets[3]
    assert context.living(3) == context.tickets[3]


def test_a_ticket_that_is_unknown_or_redirects_to_nothing_is_no_ticket():
    assert Context().living(1) is None
    assert Context(tickets={1: ticket(1, merged_into=2)}).living(1) is None


def test_redirects_in_a_circle_end():
    context = Context(tickets={1: ticket(1, merged_into=2), 2: ticket(2, merged_into=1)})
    assert context.living(1) is not None


def test_a_person_is_found_by_address():
    desk, _ = opened()
    context = desk.context(Needs(addresses=frozenset({ANN})))
    person = context.person(ANN)
    assert person is not None
    assert person.address == ANN
    assert context.person(EVE) is None


def story(step: int) -> tuple[Desk, list]:
    """A desk with some past, and mail number ``step`` that is about to come."""
    desk, first, out = answered()
    desk.answer(out.to(BERT)[0], BERT, "#note\n\nA note of more than twenty letters.")
    second = desk.mail(DAN, SUPPORT, "Mine.", subject="Other")
    stale = desk.answer(first.to(BERT)[0], BERT, "Bert's late answer.")
    anna, ann = first.to(ANNA)[0], out.to(ANN)[0]
    mails = [
        lambda: desk.reply(ann, ANN, "It helped.", cc=EVE),
        lambda: desk.reply(ann, ANN, "It helped.", cc=DAN, envelope={"relay": "partner"}),
        lambda: desk.reply(anna, ANNA, "#solved\n\nGood."),
        lambda: desk.reply(anna, ANNA, "#note\n\nHm, I have my doubts about that."),
        lambda: desk.reply(stale.to(BERT)[0], BERT, "#send"),
        lambda: desk.reply(second.to(ANNA)[0], ANNA, "#merge ABC-1"),
        lambda: desk.reply(anna, ANNA, "Forged", envelope={"relay": None}),
        lambda: desk.reply(ann, EVE, "I hold her address."),
        lambda: desk.write(EVE, SUPPORT, "New.", cc=DAN),
        lambda: desk.write(EVE, SUPPORT, "Bulk.", precedence="bulk"),
    ]
    return desk, [mails[step]()]


STEPS = range(10)
# Sets that a store loads for what the batch asks, while absorb only adds: more is no harm there.
ORDERLESS = {"stored", "addressees", "copies"}


@pytest.mark.parametrize("step", STEPS)
def test_after_absorb_the_context_is_what_the_store_would_load(step):
    """Ruling 1: a later wave sees what an earlier one did, no less."""
    desk, batch = story(step)
    more = [desk.write(a, SUPPORT, "#why ABC-1 ABC-2 ABC-3", subject="[ABC-1] [ABC-2] [ABC-3]") for a in (ANN, DAN, EVE, ANNA, BERT)]
    asked = needs([*batch, *more], desk.policy)
    asked = replace(asked, reasons_of=frozenset())      # asked of the past; a batch does not explain itself
    before = desk.context(asked)
    rows, _ = decide(batch, before, desk.rooms, fetch=lambda i, _: desk.raws[i], now=desk.now)
    made = absorb(before, rows)
    desk.receive(*batch)
    loaded = desk.context(asked)
    for field in fields(Context):
        have, want = getattr(made, field.name), getattr(loaded, field.name)
        if not isinstance(want, dict):
            assert have == want, field.name
            continue
        for key, value in want.items():
            assert key in have, (field.name, key)
            if field.name == "copies":
                assert {m.id: m for m in have[key]} == {m.id: m for m in value}
            elif field.name in ("threads", "participants", "notes", "mail_ids"):
                assert sorted(map(str, have[key])) == sorted(map(str, value)), (field.name, key)
            else:
                assert have[key] == value, (field.name, key)


def test_absorb_changes_no_dictionary_that_somebody_else_holds():
    desk, batch = story(0)
    context = desk.context(needs(batch, desk.policy))
    frozen = {f.name: repr(getattr(context, f.name)) for f in fields(Context)}
    rows, _ = decide(batch, context, desk.rooms, fetch=lambda i, _: desk.raws[i], now=desk.now)
    absorb(context, rows)
    assert {f.name: repr(getattr(context, f.name)) for f in fields(Context)} == frozen


# --- The ledger -----------------------------------------------------------------------------


def test_a_person_is_written_down_once_and_gets_a_name_when_one_is_known():
    ledger = Ledger(Context(), "s", START, START)
    first = ledger.person("x@y.example")
    assert ledger.person("x@y.example", "Xaver") == first
    assert ledger.person("x@y.example", "Another") == first
    (person,) = ledger.close().persons
    assert (person.id, person.name) == (first, "Xaver")


def test_a_person_known_without_a_name_is_written_again_with_it_only_then():
    desk = Desk()
    desk.mail(ANN, SUPPORT, "x")
    known = desk.context(Needs(addresses=frozenset({ANN})))
    ledger = Ledger(known, "s", START, START)
    ledger.person(ANN)
    assert ledger.close().persons == ()
    ledger.person(ANN, "Ann Ames")
    assert [p.name for p in ledger.close().persons] == ["Ann Ames"]
    assert ledger.find(known.person_ids[ANN]).name == "Ann Ames"


def test_nobody_has_no_address():
    ledger = Ledger(Context(), "s", START, START)
    assert ledger.address(5) == ""
    assert ledger.find(None) is None


def test_an_impossible_event_is_refused_and_leaves_no_trace():
    ledger = Ledger(Context(), "s", START, START)
    with pytest.raises(ValueError, match="never created"):
        ledger.event(1, "note", actor=None, actor_kind="agent")
    assert ledger.close().events == ()


def test_two_new_tickets_of_one_ledger_have_two_numbers():
    ledger = Ledger(Context(next_ticket=5), "s", START, START)
    assert (ledger.new_ticket("a"), ledger.new_ticket("b")) == (5, 6)
    assert (ledger.new_message(), ledger.new_message()) == (1, 2)
