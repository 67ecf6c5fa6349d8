"""The lines by which admins change who is who: what is understood, and what is said of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.admin import (
    ADMIN,
    MOST_LINE,
    MOST_WORDS,
    AdminCommand,
    help_lines,
    parse_admin,
    parse_words,
    shown,
    words_of,
)
from gateway.core.admin_act import ACTS, addresses_of
from gateway.core.sides import PUBLIC_PROVIDERS


def understood(line: str) -> tuple[object, ...]:
    found = parse_admin(line)
    assert found.line == line
    return found.noun, found.verb, found.name, found.values, dict(found.options)


@pytest.mark.parametrize(("line", "expected"), [
    ('agent add bert bert@acme.example "Bert Oh"', ("agent", "add", "bert", ("bert@acme.example", "Bert Oh"), {})),
    ("AGENT Add Bert <BERT@ACME.example>", ("agent", "add", "bert", ("bert@acme.example",), {})),
    ("agent add bert b@x.example role=LEAD queues=support,billing, language=de",
     ("agent", "add", "bert", ("b@x.example",), {"role": "lead", "queues": "support,billing", "language": "de"})),
    ("Mitarbeiter hinzufügen bert b@x.example „Bert Oh“ rolle=leitung warteschlangen=support sprache=deutsch",
     ("agent", "add", "bert", ("b@x.example", "Bert Oh"), {"role": "lead", "queues": "support", "language": "de"})),
    ("agent role bert lead", ("agent", "role", "bert", ("lead",), {})),
    ("agent rolle @bert support=light, billing=keine", ("agent", "role", "bert", ("support=light", "billing=none"), {})),
    ("agent address bert +b@x.example -a@x.example c@x.example",
     ("agent", "address", "bert", ("+b@x.example", "-a@x.example", "+c@x.example"), {})),
    ('agent name bert "Oh, Bert"', ("agent", "name", "bert", ("Oh, Bert",), {})),
    ("agent sprache bert englisch", ("agent", "language", "bert", ("en",), {})),
    ("bearbeiter verlässt bert", ("agent", "leave", "bert", (), {})),
    ("team add hardware anna,bert caro", ("team", "add", "hardware", ("anna", "bert", "caro"), {})),
    ("gruppe löschen hardware", ("team", "remove", "hardware", (), {})),
    ('organisation add "Cust Ltd" cust.example @CUST.test', ("organisation", "add", "Cust Ltd", ("cust.example", "cust.test"), {})),
    ("firma teilen Cust an", ("organisation", "share", "Cust", ("on",), {})),
    ("organization remove Cust cust.test", ("organisation", "remove", "Cust", ("cust.test",), {})),
])
def test_a_line_is_understood(line: str, expected: tuple[object, ...]) -> None:
    assert understood(line) == expected


@pytest.mark.parametrize(("line", "words"), [
    ("", "possible are agent, team, organisation"),
    ("agnet add x", "did you mean agent?"),
    ("agent", "possible are add, role, address, name, language, leave"),
    ("agent lave bert", "did you mean leave?"),
    ("agent add", 'agent add LOGIN ADDRESS "NAME"'),
    ("agent add bert", "write it as: agent add LOGIN"),
    ("agent add Bert! b@x.example", "Bert! is no login"),
    ("agent add bërt b@x.example", "bërt is no login"),
    ("agent add bert b@", "write a bare address"),
    ("agent add bert b@x.example rolle=chef", "possible are light, agent, lead, admin, none"),
    ("agent add bert b@x.example roel=lead", "did you mean role?"),
    ("agent add bert b@x.example Bert Oh", "write it as: agent add"),
    ("agent add bert b@x.example queues=Süd", "Süd is no login"),
    ("agent role bert", "write it as: agent role"),
    ("agent role bert support=boss", "possible are light"),
    ('agent name bert ""', "write a name"),
    ("agent leave bert now", "write it as: agent leave LOGIN"),
    ("organisation add Cust gmail.com", "a mail provider of everybody"),
    ("organisation add Cust localhost", "no domain of a company"),
    ("organisation add Cust [192.0.2.1]", "no domain"),
    ("organisation add Cust cu_st.example", "write it as acme.example"),
    ("organisation share Cust perhaps", "possible are on, off"),
    ("agent add " + "x " * MOST_WORDS, f"{MOST_WORDS} words"),
    ("agent add " + "x" * MOST_LINE, f"{MOST_LINE} letters"),
])
def test_what_is_not_understood_says_what_would_be_valid(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=".") as told:
        parse_admin(line)
    assert words in str(told.value)


@pytest.mark.parametrize("provider", sorted(PUBLIC_PROVIDERS))
def test_no_organisation_has_a_public_provider(provider: str) -> None:
    with pytest.raises(ValueError, match="provider of everybody"):
        parse_admin(f"organisation add Everybody {provider.upper()}")


def test_every_row_of_the_table_is_carried_out_and_has_words_in_both_languages() -> None:
    assert set(ACTS) == {(row.noun, row.verb) for row in ADMIN}
    assert help_lines("de") != help_lines("en") == help_lines("fr")
    assert len(help_lines("de-AT")) == 2 * len(ADMIN)
    assert all(shown(row) in help_lines("en") for row in ADMIN)


def test_words_of_a_shell_need_no_quotes() -> None:
    found = parse_words(["agent", "add", "bert", "bert@acme.example", "Bert Oh"])
    assert found.values == ("bert@acme.example", "Bert Oh")
    assert found.line == "agent add bert bert@acme.example Bert Oh"


def test_the_addresses_a_line_asks_for() -> None:
    assert addresses_of(parse_admin("agent address bert +b@x.example, -c@x.example")) == {"b@x.example", "c@x.example"}
    assert addresses_of(parse_admin("agent add bert b@x.example Bert")) == {"b@x.example"}
    assert addresses_of(parse_admin("team add a@x".replace("@x", " anna"))) == set()


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["agent", "add", "role", "leave", "x", '"', "„", "=", ",", "@", "b@x.example", "role=", "queues=a", "+", "ſ", "\u212a"]
), max_size=8).map(" ".join))
def test_any_line_is_a_command_or_a_sentence(line: str) -> None:
    try:
        found = parse_admin(line)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(found, AdminCommand)
        assert words_of(line)[0]
