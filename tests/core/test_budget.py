"""Every loop ends: automatic mail is counted, and some of it is never sent at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.budget import why_no_ack, why_no_automatic
from gateway.core.context import AutoSent, Context
from gateway.core.model import CommandBlock, Envelope, Facts, Identity, ThreadMatch
from gateway.core.policy import Policy, Queue
from gateway.core.token import Keyring

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BOB = "bob@customer.example"
POLICY = Policy(
    host="desk.acme.example", key="ABC", reply_domain="reply.acme.example",
    keys=Keyring(current="a", secrets=(("a", b"0123456789abcdef"),)), agents=(),
    queues=(
        Queue(name="support", addresses=("support@acme.example",), from_name="Acme", agents=()),
        Queue(name="silent", addresses=("silent@acme.example",), from_name="Acme", agents=(), acknowledge=False),
    ),
)
ENVELOPE = Envelope(channel="smtp", received_at=NOW, mail_from=BOB, rcpt_tos=("support@acme.example",))


def facts(address: str = BOB, **fields: Any) -> Facts:
    base: dict[str, Any] = {
        "spool_id": "s", "received_at": NOW, "mail_class": "human", "class_why": "no sign",
        "identity": Identity(level=1, address=address, name="", agent=None, why=""),
        "match": ThreadMatch(ticket=None, signal="none", why=""), "queue": "support", "subject": "", "base_subject": "",
        "new_text": "", "whole_text": "", "block": CommandBlock(commands=(), suspects=(), text=""), "copy_of": None,
        "token_without_proof": False,
    }
    return Facts(**{**base, **fields})


def sent(count: int, minutes: float, address: str = BOB, ticket: int | None = None, kind: Any = "ack") -> tuple[AutoSent, ...]:
    return (AutoSent(address=address, ticket=ticket, kind=kind, at=NOW - timedelta(minutes=minutes)),) * count


def ack(one: Facts, context: Context | None = None, envelope: Envelope = ENVELOPE) -> str | None:
    return why_no_ack(one, envelope, 7, 1, context or Context(), POLICY, NOW)


def test_a_person_is_acknowledged() -> None:
    assert ack(facts()) is None
    assert why_no_ack(facts(), ENVELOPE, None, None, Context(acknowledged=frozenset({(7, 1)})), POLICY, NOW) is None


@pytest.mark.parametrize(("one", "envelope", "why"), [
    (facts(mail_class="bulk", class_why="list-id"), ENVELOPE, "bulk: list-id"),
    (facts(), replace(ENVELOPE, mail_from=None), "without a return path"),
    (facts("no-reply@customer.example"), ENVELOPE, "nobody reads"),
    (facts("postmaster@customer.example"), ENVELOPE, "nobody reads"),
    (facts("mailer-daemon@customer.example"), ENVELOPE, "nobody reads"),
    (facts(), replace(ENVELOPE, mail_from="noreply@customer.example"), "nobody reads"),
    (facts(), replace(ENVELOPE, mail_from="support@acme.example"), "address of ours"),
    (facts("Support@Acme.example"), ENVELOPE, "address of ours"),
    (facts("t-x@reply.acme.example"), ENVELOPE, "address of ours"),
    (facts(""), ENVELOPE, "no address"),
    (facts(queue="silent"), ENVELOPE, "silent does not acknowledge"),
])
def test_who_is_never_acknowledged_and_why(one: Facts, envelope: Envelope, why: str) -> None:
    assert why in (ack(one, envelope=envelope) or "")


def test_without_smtp_a_missing_return_path_says_nothing() -> None:
    assert ack(facts(), envelope=replace(ENVELOPE, channel="imap", mail_from=None)) is None


def test_once_for_a_ticket_and_person() -> None:
    context = Context(acknowledged=frozenset({(7, 1)}))
    assert ack(facts(), context) == "this ticket was acknowledged already"
    assert why_no_ack(facts(), ENVELOPE, 8, 1, context, POLICY, NOW) is None


@pytest.mark.parametrize(("count", "minutes", "address", "over"), [
    (2, 59, BOB, None), (3, 59, BOB, f"3 acknowledgements to {BOB} within an hour; at most 3"), (3, 60, BOB, None),
    (3, 59, "bob@customer.example", "within an hour"), (3, 59, "ann@customer.example", None), (3, -5, BOB, "within an hour"),
    (9, 1439, BOB, None), (10, 1439, BOB, "within a day; at most 10"), (10, 1440, BOB, None),
    (59, 59, "ann@customer.example", None), (60, 59, "ann@customer.example", "to customer.example within an hour; at most 60"),
    (60, 60, "ann@customer.example", None), (60, 1, "ann@other.example", None),
])
def test_acknowledgements_to_an_address_and_a_domain_are_counted(
    count: int, minutes: float, address: str, over: str | None
) -> None:
    found = ack(facts(), Context(automatic=sent(count, minutes, address)))
    assert found is None if over is None else over in (found or "")


def test_notices_to_the_address_are_no_acknowledgements() -> None:
    assert ack(facts(), Context(automatic=sent(9, 1, kind="result"))) is None
    assert ack(facts(), Context(automatic=sent(3, 1, kind="reply_rule"))) is not None


@pytest.mark.parametrize(("count", "minutes", "ticket", "over"), [
    (4, 59, 7, None), (5, 59, 7, "5 automatic mails on this ticket within an hour; at most 5"), (5, 60, 7, None), (5, 1, 8, None),
    (19, 1439, 7, None), (20, 1439, 7, "within a day; at most 20"), (20, 1440, 7, None),
])
def test_all_automatic_mail_on_a_ticket_is_counted(count: int, minutes: float, ticket: int, over: str | None) -> None:
    context = Context(automatic=sent(count, minutes, "ann@other.example", ticket, "result"))
    for found in (ack(facts(), context), why_no_automatic(BOB, 7, context, POLICY, NOW)):
        assert found is None if over is None else over in (found or "")


def test_a_robot_that_answers_every_second_gets_no_more_than_the_budget_in_a_day() -> None:
    context = Context()
    mails = 0
    for second in range(0, 24 * 3600, 60):
        now = NOW + timedelta(seconds=second)
        # Every mail makes a new ticket: the worst case, because nothing is acknowledged twice.
        if why_no_ack(facts(), ENVELOPE, second + 1, 1, context, POLICY, now) is None:
            mails += 1
            context = replace(context, automatic=(*context.automatic, AutoSent(address=BOB, ticket=second + 1, kind="ack", at=now)))
    assert mails == POLICY.budgets.acks_per_address_day


def test_what_belongs_to_no_ticket_has_no_budget_of_one() -> None:
    assert why_no_automatic(BOB, None, Context(), POLICY, NOW) is None


def test_a_mail_about_no_ticket_is_in_no_tickets_budget():
    assert why_no_automatic("ann@cust.example", None, Context(), POLICY, NOW) is None


def test_nothing_automatic_goes_to_ourselves():
    why = why_no_automatic("support@acme.example", 7, Context(), POLICY, NOW)
    assert why == "support@acme.example is an address of ours"
