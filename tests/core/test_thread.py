"""Threading by proof: what joins a ticket, for whom, and what never does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.context import Context
from gateway.core.model import Address, Envelope, Identity, Level, Mail, SignedId, Spooled, ThreadMatch, Token
from gateway.core.policy import Agent, Policy, Queue
from gateway.core.rows import MailId, Participant, Person, Ticket
from gateway.core.thread import find_thread, token_without_proof
from gateway.core.token import Keyring, make_message_id

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ANNA, CARA, DAN, EVE = "anna@acme.example", "cara@client.example", "dan@client.example", "eve@evil.example"
PEOPLE = {1: ANNA, 2: CARA, 3: DAN, 4: EVE}

POLICY = Policy(
    host="desk.acme.example", key="ABC", reply_domain="reply.acme.example",
    keys=Keyring(current="a", secrets=(("a", b"sixteen octets or more"),)),
    queues=(Queue(name="support", addresses=("support@acme.example",), from_name="Acme", agents=("anna",)),),
    agents=(Agent(login="anna", name="Anna", addresses=(ANNA,)),),
)
MAIL = Mail(
    message_id="new@client.example", in_reply_to=(), references=(), sender=None, ambiguous=None, reply_to=(), to=(),
    cc=(), subject="Something new", date=NOW, text="", text_from="none", html="", parts=(), headers=(),
    report_type="", reports=(), original_id=None, original_mark="", opaque=None, defects=(), size=0, sha256="", body_key="",
)
ENVELOPE = Envelope(channel="smtp", received_at=NOW, mail_from=None, rcpt_tos=())


def ticket(number: int, **changes: object) -> Ticket:
    base = Ticket(
        id=number, queue="support", status="open", priority="normal", assignee=None, requester=2, tags="",
        created_at=NOW, updated_at=NOW, first_reply_at=None, solved_at=None, last_customer_at=None,
        last_agent_at=None, last_agent=None, last_public=None, merged_into=None, version=1,
    )
    return replace(base, **changes)


def row(rfc_id: str, message: int, number: int | None, role: Literal["self", "reference"] = "self") -> MailId:
    return MailId(rfc_id=rfc_id, message=message, ticket=number, role=role, sender=2)


def context(*rows: MailId) -> Context:
    """ABC-12 is Cara's with Dan on Cc of her mail; ABC-20 is merged into it; ABC-30 is void; ABC-9 is Dan's."""
    mail_ids: dict[str, tuple[MailId, ...]] = {}
    for one in rows:
        mail_ids[one.rfc_id] = (*mail_ids.get(one.rfc_id, ()), one)
    return Context(
        tickets={
            12: ticket(12), 9: ticket(9), 20: ticket(20, status="void", merged_into=12), 30: ticket(30, status="void"),
        },
        subjects={12: "Printer on fire", 9: "Other", 20: "Smoke in the office", 30: "Win money"},
        persons={n: Person(id=n, address=a, name="", created_at=NOW) for n, a in PEOPLE.items()},
        person_ids={a: n for n, a in PEOPLE.items()},
        participants={
            n: (Participant(ticket=n, person=p, role="requester", since=NOW),)
            for n, p in {12: 2, 9: 3, 30: 2}.items()
        },
        addressees={12: frozenset({DAN, "new@client.example"})},
        mail_ids=mail_ids,
    )


def sender(address: str, level: Level = 0) -> Identity:
    return Identity(level=level, address=address, name="", agent="anna" if address == ANNA else None, why="")


def spooled(**changes: object) -> Spooled:
    return Spooled(spool_id="s", envelope=ENVELOPE, mail=replace(MAIL, **changes))


def find(
    who: Identity, *rows: MailId, tokens: tuple[Token, ...] = (), where: Context | None = None, **changes: object
) -> ThreadMatch:
    return find_thread(spooled(**changes), tokens, who, context(*rows) if where is None else where, POLICY)


def ours(kind: Literal["p", "n", "i", "x", "r"], number: int, outbox: int = 0, party: int = 0) -> str:
    signed = SignedId(kind=kind, ticket=number, outbox=outbox, party=party)
    return make_message_id(POLICY.keys, signed, POLICY.host)


def customer(number: int, party: int = 2) -> Token:
    return Token(role="c", ticket=number, party=party)


def test_nothing_names_a_ticket() -> None:
    found = find(sender(CARA))
    assert found == ThreadMatch(ticket=None, signal="none", why="nothing names a ticket")


# --- 1. tokens ------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [CARA, EVE, ANNA, ""])
def test_a_token_joins_whoever_holds_it(who: str) -> None:
    found = find(sender(who), tokens=(customer(12),))
    assert (found.ticket, found.signal, found.party, found.outbox) == (12, "token", 2, None)
    assert found.why == "reply address made for cara@client.example on ABC-12"


def test_the_first_token_of_a_known_ticket_wins_and_the_others_are_told() -> None:
    found = find(sender(CARA), tokens=(customer(77), customer(9, 3), customer(12)))
    assert (found.ticket, found.party) == (9, 3)
    assert found.why == "reply address made for dan@client.example on ABC-9; it also names ABC-12"


def test_a_token_follows_merges_for_ever() -> None:
    found = find(sender(CARA), tokens=(customer(20, 8), customer(12)))
    assert found.ticket == 12
    assert found.why == "reply address made for person 8 on ABC-20 (merged into ABC-12)"


def test_a_token_of_an_unknown_ticket_opens_a_new_one() -> None:
    found = find(sender(CARA), tokens=(customer(77),))
    assert (found.ticket, found.possible, found.why) == (
        None, None, "the reply address is of ABC-77, which is unknown",
    )


@pytest.mark.parametrize(
    ("role", "kind", "audience"),
    [("a", "n", "public"), ("a", "p", "public"), ("n", "n", "internal"), ("n", "i", "internal"), ("a", "i", "internal"),
     ("c", "p", "public")],
)
def test_a_note_is_answered_by_a_note(
    role: Literal["a", "n", "c"], kind: Literal["p", "n", "i"], audience: str
) -> None:
    """By its token, or by the mail of ours that is answered."""
    token = Token(role=role, ticket=12, party=1)
    found = find(sender(ANNA, 3), tokens=(token,), in_reply_to=(ours(kind, 12, 5, 1),))
    assert (found.audience, found.outbox) == (audience, 5)


def test_a_token_beats_signed_ids_and_other_evidence_which_are_told() -> None:
    found = find(
        sender(DAN), row("a@x", 1, 9), tokens=(customer(12),), in_reply_to=(ours("p", 9, 5, 3),), references=("a@x",)
    )
    assert (found.ticket, found.outbox, found.why) == (
        12, None, "reply address made for cara@client.example on ABC-12; it also names ABC-9",
    )


def test_the_answered_mail_is_our_newest_one_on_that_ticket() -> None:
    chain = (ours("r", 12), ours("p", 12, 3, 2), "a@x", ours("p", 20, 4, 2), ours("p", 9, 5, 3))
    found = find(sender(CARA), tokens=(customer(12),), references=chain)
    assert found.outbox == 4


# --- 2. signed ids --------------------------------------------------------------------------


@pytest.mark.parametrize("who", [CARA, EVE, ""])
def test_a_signed_id_joins_whoever_quotes_it(who: str) -> None:
    found = find(sender(who), in_reply_to=(f"<{ours('p', 12, 5, 2)}>",))
    assert (found.ticket, found.signal, found.outbox, found.party) == (12, "signed_id", 5, 2)
    assert found.why == "In-Reply-To has a mail we sent on ABC-12 to cara@client.example"


def test_a_changed_signed_id_joins_nothing() -> None:
    changed = ours("p", 12, 5, 2).replace(".c.", ".9.")
    assert changed != ours("p", 12, 5, 2)
    found = find(sender(CARA), in_reply_to=(changed,))
    assert (found.ticket, found.signal) == (None, "none")


def test_in_reply_to_comes_before_references_and_the_newest_first() -> None:
    references = (ours("p", 9, 1, 3), ours("p", 12, 2, 2))
    assert find(sender(CARA), references=references).outbox == 2
    found = find(sender(CARA), references=references, in_reply_to=(ours("p", 9, 3, 3),))
    assert (found.ticket, found.outbox) == (9, 3)
    assert found.why.endswith("it also names ABC-12")


def test_the_pseudo_root_names_the_ticket_when_all_else_was_rewritten() -> None:
    found = find(sender(CARA), references=(ours("r", 12), "rewritten@mailer.example"))
    assert (found.ticket, found.signal, found.outbox, found.party) == (12, "signed_id", None, None)
    assert found.why == "References has our id of ABC-12"


def test_an_older_id_says_what_is_answered_when_the_pseudo_root_is_newest() -> None:
    found = find(sender(CARA), references=(ours("i", 12, 5, 1), ours("r", 12)))
    assert (found.outbox, found.party, found.audience) == (5, 1, "internal")


def test_the_oldest_reference_is_read_in_a_chain_of_any_length() -> None:
    chain = (ours("r", 12), *(f"{n}@x" for n in range(5_000)))
    assert find(sender(CARA), references=chain).ticket == 12


def test_a_signed_id_follows_merges_and_skips_unknown_tickets() -> None:
    found = find(sender(CARA), in_reply_to=(ours("p", 77, 1, 2),), references=(ours("p", 20, 2, 2),))
    assert (found.ticket, found.outbox) == (12, 2)
    assert "ABC-20 (merged into ABC-12)" in found.why


# --- 3. stored ids --------------------------------------------------------------------------

SENDERS = [
    (sender(CARA), "takes part in it"),
    (sender(DAN), "was written to on it"),
    (sender(ANNA, 1), "is an agent's"),
    (sender(ANNA, 4), "is an agent's"),
]
STRANGERS = [sender(EVE), sender(EVE, 3), sender("nobody@x.example"), sender(""), sender(ANNA, 0), sender(ANNA, 2)]
EVIDENCE: list[dict[str, object]] = [
    {"in_reply_to": ("a@x",)}, {"references": ("a@x", "unknown@x")}, {"in_reply_to": ("shared@x",)},
    {"references": ("shared@x",)}, {"message_id": "later@x"}, {"subject": "Re: [ABC-12] Printer"},
    {"subject": "[abc-20]"},
]
BAITS = EVIDENCE[2:5]
STORED = (row("a@x", 1, 12), row("shared@x", 2, 12, "reference"), row("later@x", 3, 20, "reference"))


@pytest.mark.parametrize(("who", "why"), SENDERS)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_mere_evidence_joins_for_those_who_take_part(who: Identity, why: str, evidence: dict[str, object]) -> None:
    found = find(who, *STORED, **evidence)
    if who.address == DAN and evidence in BAITS:
        assert (found.ticket, found.possible) == (None, 12)     # an id that was only referred to may be a bait
        return
    assert (found.ticket, found.signal) == (12, "subject" if "subject" in evidence else "reference")
    assert found.why.endswith(f"{who.address} {why}")
    assert (found.outbox, found.party, found.audience, found.possible) == (None, None, "public", None)


@pytest.mark.parametrize("who", STRANGERS)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_mere_evidence_never_joins_for_strangers(who: Identity, evidence: dict[str, object]) -> None:
    found = find(who, *STORED, **evidence)
    assert (found.ticket, found.signal, found.possible) == (None, "none", 12)
    assert found.why.endswith("is not known to take part in it")


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_an_ambiguous_from_takes_part_in_nothing(evidence: dict[str, object]) -> None:
    found = find(sender(CARA), *STORED, **evidence, ambiguous="two mailboxes")
    assert (found.ticket, found.possible) == (None, 12)


def test_who_only_held_a_foreign_reply_address_does_not_take_part() -> None:
    where = context(*STORED)
    holder = Participant(ticket=12, person=4, role="holder", since=NOW)
    where = replace(where, participants={12: (*where.participants[12], holder)})
    assert find(sender(EVE), where=where, in_reply_to=("a@x",)).ticket is None
    member = replace(where, participants={12: (replace(holder, role="cc"),)})
    assert find(sender(EVE), where=member, in_reply_to=("a@x",)).ticket == 12


def test_who_took_part_before_a_merge_takes_part_after_it() -> None:
    where = replace(context(row("a@x", 1, 20)), participants={20: (Participant(ticket=20, person=4, role="cc", since=NOW),)})
    found = find(sender(EVE), where=where, in_reply_to=("a@x",))
    assert (found.ticket, found.why) == (
        12, "In-Reply-To has a mail stored on ABC-20 (merged into ABC-12), and eve@evil.example takes part in it",
    )


def test_a_stored_mail_beats_an_id_that_was_only_referred_to_and_the_newest_row_wins() -> None:
    where = replace(
        context(row("a@x", 5, 9, "reference"), row("b@x", 1, 12), row("b@x", 4, 9), row("b@x", 6, None)),
        addressees={12: frozenset({CARA}), 9: frozenset({CARA})},
    )
    found = find(sender(CARA), where=where, in_reply_to=("a@x",), references=("b@x",))
    assert (found.ticket, found.why) == (
        9, "References has a mail stored on ABC-9, and cara@client.example was written to on it; it also names ABC-12",
    )


def test_evidence_of_a_ticket_the_sender_may_use_beats_earlier_evidence_of_another() -> None:
    found = find(sender(CARA), row("a@x", 1, 9), row("b@x", 2, 12), in_reply_to=("a@x",), references=("b@x",))
    assert (found.ticket, "ABC-9" in found.why) == (12, False)


def test_signed_ids_beat_stored_ones() -> None:
    found = find(sender(CARA), row("a@x", 1, 12), in_reply_to=("a@x",), references=(ours("p", 9, 1, 3),))
    assert (found.ticket, found.signal) == (9, "signed_id")
    assert found.why.endswith("it also names ABC-12")


def test_rows_without_a_known_ticket_name_nothing() -> None:
    found = find(sender(CARA), row("a@x", 1, None), row("b@x", 2, 77), references=("a@x", "b@x"))
    assert (found.ticket, found.possible, found.why) == (None, None, "nothing names a ticket")


# --- 4. subjects ----------------------------------------------------------------------------


def test_a_void_ticket_is_not_revived_by_its_number() -> None:
    found = find(sender(CARA), subject="Re: [ABC-30] [ABC-77] Win money")
    assert (found.ticket, found.possible) == (None, None)


def test_stored_ids_beat_the_subject_which_is_told() -> None:
    found = find(sender(DAN), row("a@x", 1, 12), in_reply_to=("a@x",), subject="[ABC-9] x")
    assert (found.ticket, found.signal) == (12, "reference")
    assert found.why.endswith("it also names ABC-9")


IDS = st.sampled_from(["a@x", "shared@x", "later@x", "unknown@x", "", "\0", "<a@x>"])


@given(
    st.lists(IDS, max_size=4), st.lists(IDS, max_size=4), st.sampled_from(["x", "[ABC-12]", "[ABC-9] [ABC-20]"]),
    st.sampled_from([*STRANGERS, *(who for who, _ in SENDERS)]), st.sampled_from([None, "two mailboxes"]),
)
@settings(deadline=None, max_examples=150)
def test_without_proof_a_match_always_has_a_sender_with_a_right(
    reply: list[str], references: list[str], subject: str, who: Identity, ambiguous: str | None
) -> None:
    found = find(
        who, *STORED, in_reply_to=tuple(reply), references=tuple(references), subject=subject, ambiguous=ambiguous
    )
    if found.ticket is not None:
        rights = {12: {CARA, DAN, ANNA}, 9: {DAN, ANNA}}
        assert who.address in rights[found.ticket] and ambiguous is None
        assert who.address != ANNA or who.level in {1, 3, 4}


# --- ruling 3: a token for a new matter -----------------------------------------------------

TOKEN = ThreadMatch(ticket=12, signal="token", why="")


@pytest.mark.parametrize(
    "changes",
    [
        {"in_reply_to": (ours("p", 12, 5, 2),)}, {"references": (ours("r", 12), "z@x")}, {"references": ("a@x",)},
        {"references": ("shared@x",)}, {"in_reply_to": ("later@x",)}, {"references": (ours("p", 20, 5, 2),)},
        {"subject": "[ABC-12] new words"}, {"subject": "AW: [abc-20]"}, {"subject": "AW: printer ON fire"},
        {"subject": "Printer on fire"}, {"subject": "Re: Smoke in the office"},
    ],
)
def test_ids_key_or_subject_of_the_ticket_confirm_a_token(changes: dict[str, object]) -> None:
    assert token_without_proof(spooled(**changes), TOKEN, context(*STORED), POLICY) is False


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"subject": ""}, {"subject": "Re:"}, {"subject": "Other"}, {"subject": "[ABC-9] [ABC-77] x"},
        {"references": (ours("p", 9, 5, 2), ours("p", 77, 5, 2), "b@x", "unknown@x")},
    ],
)
def test_a_token_without_any_trace_of_its_ticket_is_a_new_matter(changes: dict[str, object]) -> None:
    where = context(*STORED, row("b@x", 7, 9), row("b@x", 8, None))
    where = replace(where, subjects={**where.subjects, 12: "Printer on fire", 77: ""})
    assert token_without_proof(spooled(**changes), TOKEN, where, POLICY) is True


@pytest.mark.parametrize(
    ("changes", "party", "channel", "new_matter"),
    [
        ({"in_reply_to": ("renamed@provider",)}, 2, "imap", False),
        ({"in_reply_to": ("renamed@provider",)}, 2, "smtp", True),      # MTAs rename nothing
        ({"in_reply_to": ("renamed@provider",)}, 1, "imap", True),      # an agent's text would go out
        ({"in_reply_to": ("renamed@provider",)}, 99, "imap", True),
        ({"in_reply_to": ("b@x",)}, 2, "imap", True),                   # it answers something else
        ({"references": ("renamed@provider",)}, 2, "imap", True),
        ({}, 2, "imap", True),
    ],
)
def test_a_customers_answer_to_a_renamed_mail_is_confirmed_by_being_an_answer(
    changes: dict[str, object], party: int, channel: str, new_matter: bool
) -> None:
    where = context(*STORED, row("b@x", 7, 9))
    mail = spooled(subject="All quiet now", **changes)
    mail = replace(mail, envelope=replace(mail.envelope, channel=channel))
    assert token_without_proof(mail, replace(TOKEN, party=party), where, POLICY) is new_matter


def test_a_ticket_without_a_subject_is_not_confirmed_by_an_empty_one() -> None:
    where = replace(context(), subjects={12: ""})
    assert token_without_proof(spooled(subject="Re: "), TOKEN, where, POLICY) is True


@pytest.mark.parametrize("match", [replace(TOKEN, signal="signed_id"), replace(TOKEN, ticket=None, signal="none")])
def test_other_matches_need_no_confirmation(match: ThreadMatch) -> None:
    assert token_without_proof(spooled(), match, context(), POLICY) is False


def test_the_sender_of_the_mail_is_the_identity_and_not_a_header() -> None:
    """Display name and Reply-To of a participant lift nobody."""
    cara = Address(name=CARA, address=CARA)
    found = find(sender(EVE), *STORED, in_reply_to=("a@x",), reply_to=(cara,), sender=replace(cara, address=EVE))
    assert found.ticket is None
