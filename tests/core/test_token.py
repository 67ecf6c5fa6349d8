"""Signed addresses, Message-IDs and marks: only what we made verifies, and only as what it is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.address import parse_mailbox
from gateway.core.model import SignedId, Token
from gateway.core.token import (
    Keyring,
    make_address,
    make_bounce,
    make_mark,
    make_message_id,
    read_address,
    read_bounce,
    read_mark,
    read_message_id,
    strip_tokens,
)

relaxed = settings(deadline=None, max_examples=60)

DOMAIN = "reply.acme.example"
HOST = "desk.acme.example"
KEYS = Keyring(current="b", secrets=(("a", b"old secret, sixteen+"), ("b", b"new secret, sixteen+")))
OLD = replace(KEYS, current="a")
DESK = "support@acme.example"

ids = st.integers(min_value=0, max_value=36 ** 12 - 1)
tokens = st.builds(Token, role=st.sampled_from("anc"), ticket=ids, party=ids)
signed_ids = st.builds(SignedId, kind=st.sampled_from("pnixr"), ticket=ids, outbox=ids, party=ids)


def read_all(text: str) -> list[object]:
    """What every reader says of ``text``, in whichever of our places it stood."""
    return [
        read_address(KEYS, text, DOMAIN), read_bounce(KEYS, text, DOMAIN),
        read_message_id(KEYS, text, HOST), read_message_id(KEYS, text, DOMAIN),
        read_address(KEYS, text, HOST), read_bounce(KEYS, text, HOST), read_mark(KEYS, text),
    ]


@given(tokens)
@relaxed
def test_a_reply_address_round_trips_in_any_case_and_is_a_legal_mailbox(token: Token) -> None:
    address = make_address(KEYS, token, DOMAIN)
    assert parse_mailbox(address) == address == address.lower()
    assert read_address(KEYS, address, DOMAIN) == token
    assert read_address(KEYS, address.upper(), DOMAIN.upper()) == token


@given(signed_ids)
@relaxed
def test_a_message_id_round_trips_with_and_without_brackets(signed: SignedId) -> None:
    rfc_id = make_message_id(KEYS, signed, HOST)
    assert parse_mailbox(rfc_id) == rfc_id
    assert read_message_id(KEYS, rfc_id, HOST) == signed
    assert read_message_id(KEYS, f" <{rfc_id.upper()}> ", HOST) == signed


@given(ids)
@relaxed
def test_bounce_addresses_and_marks_round_trip(outbox: int) -> None:
    address = make_bounce(KEYS, outbox, DOMAIN)
    assert parse_mailbox(address) == address
    assert read_bounce(KEYS, address, DOMAIN) == outbox
    assert read_mark(KEYS, f" {make_mark(KEYS, outbox).upper()}\r\n") == outbox


@given(tokens, signed_ids, st.data())
@relaxed
def test_no_changed_character_verifies(token: Token, signed: SignedId, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([
        make_address(KEYS, token, DOMAIN), make_bounce(KEYS, signed.outbox, DOMAIN),
        make_message_id(KEYS, signed, HOST), make_mark(KEYS, signed.outbox),
    ]))
    place = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    other = data.draw(
        st.characters(exclude_characters=text[place] + text[place].upper())
        | st.sampled_from("0123456789abcdefghijklmnopqrstuvwxyz-.@").filter(lambda c: c != text[place])
    )
    assert read_all(text[:place] + other + text[place + 1:]) == [None] * 7


def test_no_flipped_bit_verifies() -> None:
    text = make_address(KEYS, Token(role="c", ticket=123, party=7), DOMAIN)
    for place, char in enumerate(text):
        for bit in range(8):
            other = chr(ord(char) ^ (1 << bit))
            if other.lower() != char:
                assert read_all(text[:place] + other + text[place + 1:]) == [None] * 7


def test_no_character_may_be_added_or_left_out() -> None:
    text = make_address(KEYS, Token(role="c", ticket=36, party=7), DOMAIN)
    for place in range(len(text)):
        assert read_all(text[:place] + text[place + 1:]) == [None] * 7
        for other in "0a-.@":
            assert read_all(text[:place] + other + text[place:]) == [None] * 7


@given(tokens, signed_ids)
@relaxed
def test_each_maker_is_read_by_its_own_reader_only(token: Token, signed: SignedId) -> None:
    made = [
        make_address(KEYS, token, DOMAIN), make_bounce(KEYS, signed.outbox, DOMAIN),
        make_message_id(KEYS, signed, HOST), make_mark(KEYS, signed.outbox),
    ]
    assert [sum(said is not None for said in read_all(text)) for text in made] == [1, 1, 1, 1]


def test_a_mac_serves_no_other_purpose_role_ticket_or_party() -> None:
    """The MAC of one value, put into the grammar of another, is refused."""
    macs = {
        make_address(KEYS, Token(role="c", ticket=5, party=5), DOMAIN).split("@")[0][-20:],
        make_bounce(KEYS, 5, DOMAIN).split("@")[0][-20:],
        make_mark(KEYS, 5)[-20:],
        make_message_id(KEYS, SignedId(kind="p", ticket=5, outbox=5, party=5), HOST).split("@")[0][-20:],
    }
    assert len(macs) == 4
    for mac in macs:
        texts = [
            f"t-ba5.5-{mac}@{DOMAIN}", f"t-bn5.5-{mac}@{DOMAIN}", f"t-bc5.6-{mac}@{DOMAIN}",
            f"t-bc6.5-{mac}@{DOMAIN}", f"t-ac5.5-{mac}@{DOMAIN}", f"b-b6-{mac}@{DOMAIN}",
            f"nb.5.5.5.{mac}@{HOST}", f"b6.{mac}",
        ]
        assert all(read_all(text) == [None] * 7 for text in texts)


def test_leading_zeros_are_another_spelling_and_refused() -> None:
    mac = make_bounce(KEYS, 5, DOMAIN).split("@")[0][-20:]
    assert read_bounce(KEYS, f"b-b5-{mac}@{DOMAIN}", DOMAIN) == 5
    assert read_bounce(KEYS, f"b-b05-{mac}@{DOMAIN}", DOMAIN) is None


def test_a_character_that_lowers_to_ascii_is_not_that_letter() -> None:
    """The Kelvin sign lowers to k."""
    for ticket in range(200):
        address = make_address(KEYS, Token(role="c", ticket=ticket, party=7), DOMAIN)
        if "k" in address:
            assert read_address(KEYS, address.replace("k", "\u212a"), DOMAIN) is None
            return
    raise AssertionError("no address with a k was tried")


def test_old_keys_verify_until_they_leave_the_ring() -> None:
    token = Token(role="a", ticket=12, party=3)
    address, mark = make_address(OLD, token, DOMAIN), make_mark(OLD, 9)
    assert address.startswith("t-a") and make_address(KEYS, token, DOMAIN).startswith("t-b")
    assert (read_address(KEYS, address, DOMAIN), read_mark(KEYS, mark)) == (token, 9)
    retired = Keyring(current="b", secrets=KEYS.secrets[1:])
    assert (read_address(retired, address, DOMAIN), read_mark(retired, mark)) == (None, None)


def test_a_key_id_is_signed_even_if_two_keys_share_a_secret() -> None:
    twins = Keyring(current="a", secrets=(("a", b"x" * 16), ("b", b"x" * 16)))
    address = make_address(twins, Token(role="a", ticket=1, party=1), DOMAIN)
    assert read_address(twins, address.replace("t-a", "t-b"), DOMAIN) is None


@pytest.mark.parametrize("text", ["", "@", DOMAIN, f"@{DOMAIN}", f"anna@{DOMAIN}", "t-", "<>", "\0", "a.b", "ü"])
def test_other_text_is_simply_not_ours(text: str) -> None:
    assert read_all(text) == [None] * 7


def test_another_domain_is_not_ours_but_a_final_dot_is() -> None:
    token = Token(role="c", ticket=1, party=2)
    address = make_address(KEYS, token, DOMAIN)
    assert read_address(KEYS, address, "other.example") is None
    assert read_address(KEYS, address + ".", DOMAIN) == token


@pytest.mark.parametrize("number", [-1, 36 ** 12])
def test_an_id_that_would_break_the_length_is_a_bug_of_ours(number: int) -> None:
    with pytest.raises(ValueError, match="an id must be"):
        make_bounce(KEYS, number, DOMAIN)


def test_the_longest_local_parts_fit_into_64_octets() -> None:
    top = 36 ** 12 - 1
    made = [
        make_address(KEYS, Token(role="a", ticket=top, party=top), DOMAIN), make_bounce(KEYS, top, DOMAIN),
        make_message_id(KEYS, SignedId(kind="p", ticket=top, outbox=top, party=top), HOST),
    ]
    assert [len(text.split("@")[0]) for text in made] == [50, 36, 62]


@pytest.mark.parametrize(
    ("current", "secrets", "why"),
    [
        ("a", (), "current"),
        ("b", (("a", b"x" * 16),), "current"),
        ("a", (("a", b"x" * 16), ("a", b"y" * 16)), "different"),
        ("A", (("A", b"x" * 16),), "letter"),
        ("aa", (("aa", b"x" * 16),), "letter"),
        ("a", (("a", b"x" * 15),), "16 octets"),
    ],
)
def test_a_ring_that_could_not_verify_is_refused(current: str, secrets: tuple[tuple[str, bytes], ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Keyring(current=current, secrets=secrets)


def test_the_ring_never_shows_its_secrets() -> None:
    assert "secret" not in repr(KEYS)
    assert (KEYS.secret("a"), KEYS.secret("z")) == (b"old secret, sixteen+", None)


ADDRESS = make_address(KEYS, Token(role="a", ticket=123, party=7), DOMAIN)
LOCAL = ADDRESS.split("@")[0]
BOUNCE = make_bounce(KEYS, 77, DOMAIN)

STRIPPED = [
    (f"write to {ADDRESS}.", f"write to {DESK}."),
    (f"<{ADDRESS}>", f"<{DESK}>"),
    (f'<a href="mailto:{ADDRESS}?subject=x">', f'<a href="mailto:{DESK}?subject=x">'),
    (ADDRESS.upper(), DESK),
    (LOCAL, DESK),
    (f"{LOCAL},{LOCAL}", f"{DESK},{DESK}"),
    (f"{LOCAL}@elsewhere.example!", f"{DESK}!"),
    (f"{ADDRESS}ish.example", f"{DESK}"),
    (f"{ADDRESS}.Thanks", f"{DESK}.Thanks"),
    (ADDRESS.replace("@", "%40").replace("-", "%2D"), DESK),
    ("mailto%3A" + ADDRESS.replace("@", "%40"), "mailto%3A" + DESK),
    (ADDRESS.replace("@", "=40").replace("-", "=2D").replace(".", "=2E", 1), DESK),
    (ADDRESS.replace("@", "&#64;").replace("-", "&#x2d;").replace(".", "&period;", 1), DESK),
    (ADDRESS.replace("@", "&#0064;"), DESK),
    (f"support+{ADDRESS}", DESK),
    (BOUNCE, DESK),
    (BOUNCE.upper().replace("@", "%40"), DESK),
    (f"to {BOUNCE}>", f"to {DESK}>"),
    # A MAC that does not verify is stripped all the same: it may be a retired key's.
    (f"t-zn1.2-{'q' * 20}", DESK),
]
KEPT = [
    "anna@acme.example", "web-based-internationalization", "t-shirt", "t-aa1-2", f"b-a1-{'q' * 20}",
    f"b-a1-{'q' * 20}@elsewhere.example", f"t-aa1.2-{'q' * 19}", f"t-az1.2-{'q' * 20}", f"t-aa1.2-{'1' * 20}", "",
]


@pytest.mark.parametrize(("text", "clean"), STRIPPED)
def test_every_token_becomes_the_desk_address(text: str, clean: str) -> None:
    assert strip_tokens(text, DOMAIN, DESK) == clean


@pytest.mark.parametrize("text", KEPT)
def test_other_text_stays(text: str) -> None:
    assert strip_tokens(text, DOMAIN, DESK) == text


def test_the_replacement_is_text_and_not_a_pattern() -> None:
    assert strip_tokens(ADDRESS, DOMAIN, r"\1\g<0>") == r"\1\g<0>"


@given(st.text(max_size=30), tokens, st.text(max_size=30))
@relaxed
def test_no_valid_token_is_left_in_any_text(before: str, token: Token, after: str) -> None:
    address = make_address(KEYS, token, DOMAIN)
    clean = strip_tokens(f"{before}{address}{after}", DOMAIN, DESK)
    assert DESK in clean and address.split("@")[0] not in clean
    assert re.search(r"t-[a-z][anc]\w+\.\w+-[a-z2-7]{20}", clean) is None
    assert strip_tokens(clean, DOMAIN, DESK) == clean
