"""What commands store and ask: the store gives a decision the same slice of it as the desk in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from gateway.core.context import Needs, Search
from gateway.core.understand import needs
from gateway.edge.store import Store
from tests.core.test_desk_by_mail import two
from tests.desk import ANN, ANNA, DAN, SUPPORT, Desk, Sent

Life = tuple[Store, Desk, Sent, str]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Two tickets with fields, links, people on and off, an opt-out, an undone and a standing transaction; all stored."""
    own, notice, second = two()
    own.answer(notice, ANNA, f"#site Berlin\n#link blocks ABC-2\n#cc +{DAN}, x@y.example\n#spent 30m\n#due 2026-12-24\n#pending +2h")
    own.answer(notice, ANNA, f"#site bad\n#unlink ABC-2\n#cc -{DAN}\n#type bug")
    own.answer(notice, ANNA, "#undo")
    mark = own.answer(second, ANNA, "#tag hot\n#take\n\nHello Dan.").decision.spool_id
    own.mail(ANN, SUPPORT, "#unsubscribe", subject="Re: [ABC-1] Printer broken", references="<m1@cust.example>", envelope={"relay": "partner"})
    store = Store.open(tmp_path_factory.mktemp("state"))
    store.write(1, own.all, own.raws)
    yield store, own, notice, mark
    store.close()


@pytest.mark.parametrize("text", [
    "Hello.", "#undo", "#show", "#show ABC-2", "#undo {mark}", "#link blocks 2", "DependsOn: 2", "#unlink ABC-2", "#site Berlin", "CF.{Site}: Berlin",
    "#cc +x@y.example", "#search printer", "#search hot status:open", "#search assignee:me", "#search owner:none queue:support", "#fwd",
    "#requester dan@cust.example", "#macro reset", "#merge 2",
])
def test_the_store_loads_what_the_desk_in_memory_has(life: Life, text: str) -> None:
    store, own, notice, mark = life
    asked = needs([own.reply(notice, ANNA, text.replace("{mark}", mark))], own.policy)
    ours, theirs = own.context(asked), store.load(asked, own.now)
    for name in ("tickets", "persons", "person_ids", "subjects", "participants", "history", "fields", "links", "told", "found", "opted_out", "stored"):
        mine, stored = getattr(ours, name), getattr(theirs, name)
        if name in ("participants", "links"):
            mine, stored = ({n: set(rows) for n, rows in found.items()} for found in (mine, stored))
        assert stored == mine, name
    asks = text.split()[0] in ("#undo", "#show", "#link", "#unlink", "#site", "CF.{Site}:", "DependsOn:", "#fwd", "#macro")
    assert bool(theirs.history) == asks, "only few commands pay for the look through all events"


def test_a_plain_answer_asks_nothing_more(life: Life) -> None:
    _, own, notice, _ = life
    asked = needs([own.reply(notice, ANNA, "Dear Ann,\nplease undo the screw.\n#solved is not meant.")], own.policy)
    assert (asked.more_of, asked.more_ids, asked.undone, asked.searches) == (frozenset(),) * 4


def test_who_was_taken_off_is_in_no_context_and_a_link_that_ended_is_one_row(life: Life) -> None:
    store, own, _, _ = life
    context = store.load(Needs(tickets=frozenset({1}), more_of=frozenset({1})), own.now)
    roles = {context.persons[p.person].address: p.role for p in context.participants[1]}
    assert roles == {ANN: "requester", DAN: "cc", "x@y.example": "cc"}
    assert [(k.other, k.relation, k.until) for k in context.links[1]] == [(2, "blocks", None)]


@pytest.mark.parametrize(("search", "found"), [
    (Search(words=()), (2, 1)), (Search(words=("%",)), ()), (Search(words=("printer",), status="solved"), ()),
    (Search(words=("fire",), assignee=ANNA), (2,)), (Search(words=(), assignee=""), (1,)), (Search(words=("cust.example",), queue="support"), (2, 1)),
])
def test_a_search_takes_words_as_they_stand(life: Life, search: Search, found: tuple[int, ...]) -> None:
    store, own, *_ = life
    assert store.load(Needs(searches=frozenset({search})), own.now).found == {search: found}


def test_due_are_pending_tickets_whose_time_has_come(life: Life) -> None:
    store, own, *_ = life
    until = own.ticket(1).pending_until
    assert until is not None
    assert store.due(until - timedelta(seconds=1), 9) == []
    assert store.due(until, 9) == [1]
