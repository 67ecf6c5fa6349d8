"""Which mails leave, to whom and from which address; what stands in them is for tests/mime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core import relay
from gateway.core.context import Context
from gateway.core.decision import PartRef
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import TRANSITIONS
from gateway.core.token import read_address, read_message_id
from tests.core.test_act import ticket
from tests.desk import (
    ANN,
    ANNA,
    BERT,
    POLICY,
    REPLY_DOMAIN,
    START,
    SUPPORT,
    Desk,
    answered,
    header,
    opened,
    with_policy,
)


def ledger_of(**changes: object) -> Ledger:
    return Ledger(Context(tickets={1: ticket(1, **changes)}, subjects={1: "Fire"}), "spool", START, START)


def content(*sizes: int) -> relay.Content:
    parts = tuple(
        PartRef(spool_id="s", month="2026-11", start=0, end=size, encoding="base64", clean=True, name=f"{size}.pdf",
                content_type="application/pdf", content_id=None, inline=False)
        for size in sizes
    )
    return relay.Content(message=1, text="text", html="", parts=parts)


AUTHOR = relay.Author(person=1, name="", address=ANN)


def test_every_status_has_commands_for_the_footer():
    assert set(relay.NEXT_STEPS) == set(TRANSITIONS)


def test_above_five_megabytes_agents_get_a_list_instead():
    agents = POLICY.agents[:1]
    small = relay.to_agents("notice", agents, 1, content(4_000_000, 1_000_000), AUTHOR, ledger_of(), POLICY)
    assert (len(small[0].parts), small[0].values["left_out"]) == (2, [])
    large = relay.to_agents("notice", agents, 1, content(4_000_000, 1_000_001), AUTHOR, ledger_of(), POLICY)
    assert large[0].parts == ()
    assert large[0].values["left_out"] == [
        {"name": "4000000.pdf", "size": 4_000_000}, {"name": "1000001.pdf", "size": 1_000_001},
    ]


@pytest.mark.parametrize(("changes", "but", "expected"), [
    ({}, (), ["anna", "bert"]),
    ({}, ("anna.ek@acme.example",), ["bert"]),
    ({"queue": "billing"}, (), ["caro"]),
    ({"queue": "gone from the configuration"}, (), ["anna", "bert"]),
    ({"assignee": 99}, (), ["anna", "bert"]),
])
def test_the_agents_of_the_queue_read_an_unassigned_ticket(changes, but, expected):
    ledger = ledger_of(**changes)
    assert [a.login for a in relay.readers(ledger.ticket(1), ledger, POLICY, but=but)] == expected


def test_a_login_of_a_queue_that_is_no_agent_reads_nothing():
    policy = replace(POLICY, queues=(replace(POLICY.queues[0], agents=("ghost", "anna")),))
    ledger = ledger_of()
    assert [a.login for a in relay.readers(ledger.ticket(1), ledger, policy)] == ["anna"]


def test_each_agent_gets_an_address_of_his_own():
    _, first = opened()
    anna, bert = first.to(ANNA)[0], first.to(BERT)[0]
    tokens = [read_address(POLICY.keys, s.reply_to, REPLY_DOMAIN) for s in (anna, bert)]
    assert [t.role for t in tokens if t] == ["a", "a"]
    assert anna.reply_to != bert.reply_to
    assert anna.mail.sender.name == "Ann Ames via Acme Support"
    assert anna.mail.in_reply_to == (), "a new message, never a re-send"


def test_agents_clients_can_filter_and_customers_see_no_such_header():
    _, first, out = answered()
    notice, answer = first.to(ANNA)[0], out.to(ANN)[0]
    assert header(notice, "list-id") == "support <support.desk.acme.example>"
    assert header(notice, "x-mailwicket-ticket") == "ABC-1"
    for sent in (answer, first.to(ANN)[0]):
        assert not [n for n, _ in sent.mail.headers if n == "list-id" or n.startswith(("x-mailwicket-t", "x-mailwicket-s", "x-mailwicket-q"))]


def test_a_human_answer_says_nowhere_that_it_is_automatic():
    _, _, out = answered()
    assert header(out.to(ANN)[0], "auto-submitted") == ""


def test_where_configured_the_customer_gets_a_reply_address_too():
    desk = with_policy(reply_to_token=True)
    first = desk.mail(ANN, SUPPORT, "x")
    out = desk.answer(first.to(ANNA)[0], ANNA, "y")
    for sent in (first.to(ANN)[0], out.to(ANN)[0]):
        token = read_address(POLICY.keys, sent.reply_to, REPLY_DOMAIN)
        assert token is not None
        assert token.role == "c"
    assert desk.answer(out.to(ANN)[0], ANN, "z").codes["thread"].startswith("token")


def test_every_mail_of_ours_proves_its_ticket_and_its_bounce_address():
    _, first, out = answered()
    for sent in (*first.sent, *out.sent):
        said = read_message_id(POLICY.keys, sent.row.rfc_id, POLICY.host)
        assert said is not None
        assert (said.ticket, said.outbox, said.party) == (1, sent.row.id, sent.row.recipient)
        assert sent.row.mail_from.startswith("b-a")


def test_an_answer_quotes_the_customer_by_name_and_a_colleague_by_the_desks_name():
    desk, first, out = answered()
    assert "Ann Ames wrote:" in out.to(ANN)[0].text
    more = desk.answer(first.to(ANNA)[0], ANNA, "Or sand?")
    assert "Anna Ek (Acme Support) wrote:" in more.to(ANN)[0].text
    assert ANNA not in more.to(ANN)[0].text


def test_a_customer_without_a_name_is_quoted_by_address():
    desk = Desk()
    first = desk.mail(ANN, SUPPORT, "It is on fire.")
    out = desk.answer(first.to(ANNA)[0], ANNA, "x")
    assert "ann@cust.example wrote:" in out.to(ANN)[0].text


def test_an_answer_refers_to_the_public_mails_of_the_ticket_only():
    desk, first, out = answered()
    desk.answer(first.to(ANNA)[0], ANNA, "#note\nx y z", message_id="<note@acme.example>")
    desk.answer(out.to(ANN)[0], ANN, "No.", message_id="<no@cust.example>")
    last = desk.answer(first.to(ANNA)[0], ANNA, "Then sand.").to(ANN)[0]
    assert last.mail.in_reply_to == ("no@cust.example",)
    assert "note@acme.example" not in last.raw.decode()


def test_an_answer_on_a_ticket_whose_mails_had_no_ids_starts_a_thread():
    desk, first = opened(message_id="")
    out = desk.answer(first.to(ANNA)[0], ANNA, "Hello.")
    assert out.to(ANN)[0].mail.in_reply_to == ()


def test_an_answer_with_nothing_to_quote_quotes_nothing():
    """The last public message may be in a month that is archived."""
    desk, first = opened()
    desk.all = replace(desk.all, tickets=(*desk.all.tickets, replace(desk.ticket(1), last_public=None)))
    ledger = Ledger(desk.context(_needs(desk)), "s", START, START)
    (draft,) = relay.to_customers(1, content(), POLICY.agents[0], ledger, POLICY)
    assert (draft.values["quoted_text"], draft.values["quoted_at"], draft.values["quoted_author"]) == ("", "", "")
    assert first.opened == [1]


def test_a_follower_whose_person_is_erased_is_written_to_no_more():
    desk, _ = opened()
    context = replace(desk.context(_needs(desk)), persons={}, person_ids={})
    assert relay.to_customers(1, content(), POLICY.agents[0], Ledger(context, "s", START, START), POLICY) == []


def _needs(desk: Desk):
    from gateway.core.context import Needs

    return Needs(tickets=frozenset({1}))
