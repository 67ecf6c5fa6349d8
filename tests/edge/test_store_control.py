"""Control mail, digests and vendors ask the store: it gives a decision the same slice of it as the desk in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.core.digest import Agenda
from gateway.core.understand import needs
from gateway.edge.store import Store
from tests.core.test_control_mail import CONTROL, desk_of, order, the
from tests.core.test_digest import agenda, digest_of
from tests.core.test_vendor import VENDOR
from tests.desk import ANN, ANNA, BERT, POLICY, SUPPORT, Desk, Sent

Life = tuple[Store, Desk, dict[str, Sent], str]
NAMES = (
    "tickets", "persons", "person_ids", "subjects", "participants", "history", "fields", "links", "told", "found", "stored",
    "listed", "vendors", "notes", "outbox", "reasons",
)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Six tickets; a digest, a rehearsal, a question to a vendor and its answer; all stored."""
    own = desk_of(6)
    mark = order(own, "close ABC-1\nsite ABC-2 Graz\nlink ABC-2 blocks ABC-3\nmerge ABC-5 ABC-6").decision.spool_id
    own.mail("Dan <dan@cust.example>", SUPPORT, "Hello.", subject="Dan's")
    sent = {
        "digest": the(digest_of(own, agenda((2, 3), (4, 6)))),
        "rehearsal": the(order(own, "requester ABC-2 dan@cust.example\nshow ABC-3", level=1)),
        "unproven": the(order(own, "close ABC-4", level=0)),
    }
    notice = next(s for s in own.sent if s.row.kind == "notice" and s.row.rcpt_to == ANNA and s.row.ticket == 4)
    question = own.answer(notice, ANNA, f"#vendor {VENDOR}\n\nDoes it burn?")
    sent["vendor"] = own.answer(question.to(VENDOR)[0], VENDOR, "Only when it rains.").to(ANNA)[0]
    store = Store.open(tmp_path_factory.mktemp("state"))
    store.write(1, own.all, own.raws)
    yield store, own, sent, mark
    store.close()


@pytest.mark.parametrize(("to", "text"), [
    ("digest", "1 solved · 3 pending 2d"), ("rehearsal", "yes"), ("unproven", "yes"), ("vendor", "Which ones?"),
    ("control", "close ABC-1 ABC-5\nshow ABC-2"), ("control", "undo {mark}"), ("control", "search fire status:new"),
    ("control", "cc ABC-3 +dan@cust.example"), ("control", "help"),
])
def test_the_store_loads_what_the_desk_in_memory_has(life: Life, to: str, text: str) -> None:
    store, own, sent, mark = life
    words = text.replace("{mark}", mark)
    mail = own.reply(sent[to], ANNA, words) if to in sent else own.write(ANNA, CONTROL, words)
    asked = needs([mail], own.policy)
    ours, theirs = own.context(asked), store.load(asked, own.now)
    for name in NAMES:
        mine, stored = getattr(ours, name), getattr(theirs, name)
        if name in ("participants", "links"):
            mine, stored = ({n: set(rows) for n, rows in found.items()} for found in (mine, stored))
        if name == "outbox":
            mine, stored = ({n: replace(o, delivery=None) for n, o in found.items()} for found in (mine, stored))
        assert stored == mine, name
    assert bool(theirs.listed) == (to in ("digest", "rehearsal", "unproven"))
    assert bool(theirs.vendors) == (4 in theirs.tickets)


def test_an_agenda_has_his_tickets_nobodys_and_what_lies_about(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = desk_of(9, budgets=replace(POLICY.budgets, tickets_per_address_hour=100))
    order(own, (
        "take ABC-1 ABC-2 ABC-3 ABC-4\npriority ABC-2 urgent\ndue ABC-3 today 23:00\npending ABC-4 until 2026-12-01\n"
        "owner ABC-5 bert\ngroup ABC-6 billing\nsolved ABC-7\nspam ABC-8\npriority ABC-9 high"
    ))
    notice = next(s for s in own.sent if s.row.kind == "notice" and s.row.rcpt_to == ANNA and s.row.ticket == 1)
    own.answer(notice, ANNA, "#sovled")
    own.mail(ANN, SUPPORT, "I am away until Monday.", subject="Out of office", auto_submitted="auto-replied")
    own.mail("eve@evil.example", CONTROL, "close ABC-1", envelope={"relay": None})
    order(own, "close ABC-9", level=0)
    store = Store.open(tmp_path_factory.mktemp("state"))
    store.write(1, own.all, own.raws)
    try:
        later = own.now + timedelta(hours=1)
        found = store.agenda([ANNA, "anna.ek@acme.example"], ["support"], later)
        assert (found.mine, found.nobodys, found.waiting) == ((2, 3, 1), (9,), (1,))
        assert (found.all_mine, found.all_nobodys) == (3, 1)
        assert [(each.sender, each.what) for each in found.loose] == [("eve@evil.example", "stranger"), (ANN, "out_of_office")]
        late = own.now + timedelta(days=9)
        assert store.agenda([ANNA], ["support"], late).mine == (3, 2, 4, 1), "what is overdue first, and what waits no more"
        assert store.agenda([BERT], ["billing"], later).nobodys == (6,)
        assert store.agenda(["caro@acme.example"], [], later) == Agenda()
        assert store.digest_run([ANNA]) is None
    finally:
        store.close()
