"""The ladder of identity: each rung needs what it needs, and nothing else lifts a mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.core.identity import PROVES_SENDER, identify
from gateway.core.model import Address, Envelope, Mail
from gateway.core.policy import Agent, Policy, Queue, Relay
from gateway.core.token import Keyring

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ANNA, ANNA_HOME, BEN, CARA = "anna@acme.example", "anna@home.example", "ben@acme.example", "cara@client.example"

POLICY = Policy(
    host="desk.acme.example", key="ABC", reply_domain="reply.acme.example",
    keys=Keyring(current="a", secrets=(("a", b"sixteen octets or more"),)),
    queues=(Queue(name="support", addresses=("support@acme.example",), from_name="Acme", agents=("anna",)),),
    agents=(
        Agent(login="anna", name="Anna", addresses=(ANNA, ANNA_HOME)),
        Agent(login="ben", name="Ben", addresses=(BEN,)),
    ),
    relays=(
        Relay(name="office", networks=("192.0.2.0/24",), authenticates=("acme.example", "Client.Example")),
        Relay(name="plain", networks=("198.51.100.0/24",)),
    ),
)
ENVELOPE = Envelope(channel="smtp", received_at=NOW, mail_from=None, rcpt_tos=("support@acme.example",))
MAIL = Mail(
    message_id="1@x", in_reply_to=(), references=(), sender=None, ambiguous=None, reply_to=(), to=(), cc=(),
    subject="x", date=NOW, text="", text_from="none", html="", parts=(), headers=(), report_type="", reports=(),
    original_id=None, original_mark="", opaque=None, defects=(), size=0, sha256="", body_key="",
)

# (From, MAIL FROM, relay, login, token's party) -> (level, words of the reason)
RUNGS = [
    ((CARA, None, None, None, None), 0, "no configured relay"),
    ((CARA, CARA, "gone", None, None), 0, "no configured relay"),
    ((ANNA, ANNA, "plain", None, None), 0, "does not vouch for acme.example"),
    ((CARA, "x@else.example", "office", None, None), 0, "envelope sender is another"),
    ((ANNA, BEN, "office", None, None), 0, "envelope sender is another"),
    ((ANNA, None, "office", None, None), 0, "envelope sender is another"),
    (("moderator", "moderator", "office", None, None), 0, "a From without a domain"),
    (("anna@sub.acme.example", "anna@sub.acme.example", "office", None, None), 0, "does not vouch"),
    ((ANNA, ANNA, "office", None, None), 1, "vouches for anna@acme.example"),
    (("Anna@ACME.example", "ANNA@acme.example.", "office", None, None), 1, "vouches"),
    ((CARA, CARA, "office", None, None), 1, "vouches"),
    ((CARA, CARA, None, None, CARA), 2, "made for cara@client.example; no configured relay"),
    ((ANNA, "x@else.example", "office", None, ANNA), 2, "envelope sender is another"),
    ((BEN, BEN, "office", None, ANNA), 2, "made for anna@acme.example, not for ben@acme.example"),
    ((CARA, CARA, "office", None, ANNA), 2, "not for cara@client.example"),
    ((ANNA, ANNA, "office", None, CARA), 2, "not for anna@acme.example"),
    ((ANNA, ANNA, "office", None, ANNA), 3, "vouches"),
    ((ANNA, ANNA, "office", None, ANNA_HOME), 3, "made for anna@home.example, and relay office"),
    ((CARA, CARA, "office", None, "Cara@client.example"), 3, "vouches"),
    ((ANNA_HOME, ANNA_HOME, "office", None, ANNA), 2, "does not vouch for home.example"),
    ((ANNA, None, None, "anna", None), 4, "anna logged in"),
    ((ANNA_HOME, None, None, "anna", CARA), 4, "anna logged in"),
    ((BEN, BEN, "office", "anna", BEN), 0, "anna logged in, but ben@acme.example is not theirs"),
    ((CARA, CARA, "office", "anna", None), 0, "not theirs"),
    ((ANNA, ANNA, "office", "gone", ANNA), 0, "not theirs"),
]


@pytest.mark.parametrize(("given", "level", "why"), RUNGS)
def test_each_rung_needs_its_proof(given: tuple[str, str | None, str | None, str | None, str | None], level: int, why: str) -> None:
    sender, mail_from, relay, login, party = given
    mail = replace(MAIL, sender=Address(name="Somebody", address=sender))
    envelope = replace(ENVELOPE, mail_from=mail_from, relay=relay, login=login)
    found = identify(mail, envelope, party, POLICY)
    assert (found.level, why in found.why) == (level, True), found.why
    assert found.address == sender.lower()


@pytest.mark.parametrize(("login", "party"), [(None, None), (None, ANNA), ("anna", None), ("anna", ANNA)])
def test_an_ambiguous_from_proves_nothing_whatever_else_is_there(login: str | None, party: str | None) -> None:
    mail = replace(MAIL, sender=Address(name="", address=ANNA), ambiguous="two mailboxes")
    found = identify(mail, replace(ENVELOPE, mail_from=ANNA, relay="office", login=login), party, POLICY)
    assert (found.level, found.why) == (0, "From proves nothing: two mailboxes")


def test_a_missing_from_is_nobody() -> None:
    found = identify(MAIL, replace(ENVELOPE, login="anna"), ANNA, POLICY)
    assert (found.level, found.address, found.name, found.agent) == (0, "", "", None)


def test_reply_to_and_sender_are_never_identity() -> None:
    mail = replace(
        MAIL, sender=Address(name="", address=CARA), reply_to=(Address(name="Anna", address=ANNA),),
        headers=(("sender", ANNA), ("reply-to", ANNA)),
    )
    found = identify(mail, replace(ENVELOPE, mail_from=ANNA, relay="office"), ANNA, POLICY)
    assert (found.level, found.address, found.agent) == (2, CARA, None)


@pytest.mark.parametrize(
    "look_alike", ["\uff41nna@acme.example", "аnna@acme.example", "anna@acme.example\u200b", "anna\u200b@acme.example"]
)
def test_a_look_alike_of_an_agent_is_no_agent(look_alike: str) -> None:
    mail = replace(MAIL, sender=Address(name="Anna", address=look_alike))
    found = identify(mail, replace(ENVELOPE, mail_from=look_alike, relay="office", login="anna"), ANNA, POLICY)
    assert (found.level, found.agent) == (0, None)


def test_the_agent_is_who_from_claims_and_the_level_tells_the_proof() -> None:
    mail = replace(MAIL, sender=Address(name="Anna\r\nBcc: x", address=ANNA_HOME))
    found = identify(mail, ENVELOPE, None, POLICY)
    assert (found.level, found.agent, found.name) == (0, "anna", "Anna Bcc: x")


def test_only_three_levels_prove_who_wrote() -> None:
    assert set(PROVES_SENDER) == {1, 3, 4}
