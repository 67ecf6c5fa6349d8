"""Addresses: what the envelope may hold, and when two addresses are one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.address import canonical, domain, local, parse_mailbox, parse_path
from gateway.errors import AddressError

relaxed = settings(deadline=None, max_examples=150)

LONG_LABEL = "d" * 63
LONGEST_DOMAIN = f"{LONG_LABEL}.{LONG_LABEL}.{LONG_LABEL}.{'e' * 60}"      # 252 octets

ALLOWED = [
    "anna@acme.example",
    "Anna.Maria+desk=a_b@Acme.Example",
    "!#$%&'*+-/=^_`{|}~@x.example",
    "a@localhost",
    "0@1.example",
    "a@xn--mller-kva.example",
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@[ipv6:::1]",
    f"{'l' * 64}@x.example",
    f"a@{LONG_LABEL}.example",
    f"a@{LONGEST_DOMAIN}",
    '"two..dots"@x.example',
    '".edge."@x.example',
]

REFUSED = {
    "": "no domain",
    "anna": "no domain",
    "@x.example": "source route",
    "@r1,@r2:c@d.example": "source route",
    "a@": "a domain",
    '""@x.example': "local part",
    "a b@x.example": "local part",
    " a@x.example": "local part",
    "a@x.example ": "a domain",
    "a@x.example\n": "a domain",
    "a\r@x.example": "local part",
    "a@b\0": "a domain",
    "a\tb@x.example": "local part",
    "a\x7f@x.example": "local part",
    ".a@x.example": "local part",
    "a.@x.example": "local part",
    "a..b@x.example": "local part",
    "a@b@x.example": "local part",
    "a:b@x.example": "local part",
    "a;b@x.example": "local part",
    "a,b@x.example": "local part",
    "(c)a@x.example": "local part",
    "<a>@x.example": "local part",
    '"a@evil"@x.example': "local part",
    '"a\\"@evil"@x.example': "local part",
    '"a\\\\"@x.example': "local part",
    '"a b"@x.example': "local part",
    '"a>b"@x.example': "local part",
    '"a"b@x.example': "local part",
    "=?utf-8?q?a=0D=0ARCPT_TO:<x@y>?=@b": "encoded word",
    "agent@=?utf-8?q?corp.test?=": "encoded word",
    "a@x_y.example": "a domain",
    "a@-x.example": "a domain",
    "a@x-.example": "a domain",
    "a@x..example": "a domain",
    "a@.example": "a domain",
    "a@x.example.": "a domain",
    f"a@{LONG_LABEL}d.example": "a domain",
    "a@[192.0.2.256]": "address literal",
    "a@[192.0.2]": "address literal",
    "a@[IPv6:192.0.2.1]": "address literal",
    "a@[2001:db8::1]": "address literal",
    "a@[IPv6:fe80::1%eth0]": "address literal",
    "a@[tag:content]": "address literal",
    "a@[]": "address literal",
    f"{'l' * 65}@x.example": "local part of more than 64",
    f"a@{LONGEST_DOMAIN}.eee": "domain of more than 255",
    f"ab@{LONGEST_DOMAIN}": "path of more than 256",
    "jürgen@x.example": "SMTPUTF8",
    "a@mü.example": "SMTPUTF8",
    "ａ@x.example": "SMTPUTF8",
    "a@x\u3002example": "SMTPUTF8",
}


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed_mailboxes_come_back_as_they_stand(text: str) -> None:
    assert parse_mailbox(text) == text


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_refused_mailboxes_say_why_in_one_line_of_ascii(text: str, why: str) -> None:
    with pytest.raises(AddressError, match=why) as caught:
        parse_mailbox(text)
    said = str(caught.value)
    assert said.isascii() and said.isprintable() and len(said) < 400


def test_a_quoted_local_part_loses_quotes_that_it_does_not_need() -> None:
    assert parse_mailbox('"anna.m"@x.example') == "anna.m@x.example"


@pytest.mark.parametrize(("text", "mailbox"), [("<>", None), ("<a@b.example>", "a@b.example")])
def test_a_path_is_null_or_a_mailbox_in_angle_brackets(text: str, mailbox: str | None) -> None:
    assert parse_path(text) == mailbox


@pytest.mark.parametrize(
    "text",
    ["", "<", ">", "a@b.example", "<a@b.example", "a@b.example>", "< >", "<a@b.example> ", "<<a@b.example>>",
     "<@r1,@r2:c@d>", "<a\rb@c>", "<a@b\0>", '<"a\\"@evil"@d>', "<agent@=?utf-8?q?corp.test?=>", "<Postmaster>",
     "<=?utf-8?q?a=0D=0ARCPT_TO:<x@y>?=@b>"],
)
def test_every_other_path_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_path(text)


@given(st.text(max_size=80) | st.text(alphabet='ab@.<>"\\=?[]:-_ \r\n\0ü', max_size=40))
@relaxed
def test_what_is_accepted_is_short_printable_ascii_with_a_safe_shape(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert mailbox.isascii() and mailbox.isprintable() and " " not in mailbox
    assert mailbox.count("@") == 1 and not set(mailbox) & set("<>(),;\\")
    assert "=?" not in mailbox and len(mailbox) <= 254
    assert parse_mailbox(mailbox) == mailbox
    assert parse_path(f"<{mailbox}>") == mailbox


SAME = [
    ("Anna@Acme.Example", "anna@acme.example"),
    ("anna@acme.example.", "anna@acme.example"),
    ("JÜRGEN@x.example", "jürgen@x.example"),
    ("ju\u0308rgen@x.example", "jürgen@x.example"),
    ("\u0391\u0345@x.example", "\u03b1\u03b9@x.example"),
]
DIFFERENT = [
    ("ａgent@corp.example", "agent@corp.example"),       # full-width a
    ("аgent@corp.example", "agent@corp.example"),        # Cyrillic a
    ("\u017fven@corp.example", "sven@corp.example"),     # long s: casefold makes it s
    ("stra\u00dfe@corp.example", "strasse@corp.example"),
    ("\ufb01ne@corp.example", "fine@corp.example"),      # ligature fi
    ("\u212aarl@corp.example", "karl@corp.example"),     # Kelvin sign: NFC makes it K
    ("a\u037eb@corp.example", "a;b@corp.example"),
    ("agent\u200b@corp.example", "agent@corp.example"),
    ("agent@corp.example\u200b", "agent@corp.example"),
    ("agent@corp\u3002example", "agent@corp.example"),
    ("agent@corp.example..", "agent@corp.example"),
    # Two addresses that are not ASCII anyhow must not be mixed up by the same characters.
    ("jürgen\u017f@x.example", "jürgens@x.example"),
    ("ü\u212a@x.example", "ük@x.example"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_mailbox_compare_equal(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_look_alikes_never_compare_equal(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@given(st.text(max_size=20))
@example("\u212a")
@example("\u1e9b\u0323")
@example("\u0345\u0301\u0391")
@relaxed
def test_canonical_is_stable_and_keeps_ascii_and_the_rest_apart(text: str) -> None:
    once = canonical(f"{text}@x.example")
    assert canonical(once) == once
    assert once.isascii() == text.isascii()


def test_no_single_character_becomes_ascii() -> None:
    """A thousand at once: none of them may leave an ASCII letter behind."""
    wrong = []
    for first in range(0x80, 0x110000, 1000):
        codes = range(first, min(first + 1000, 0x110000))
        name = canonical("".join(map(chr, codes)) + "@x").rpartition("@")[0]
        if any(c.isascii() for c in name):
            wrong += [code for code in codes if canonical(f"{chr(code)}@x").isascii()]
    assert wrong == []


def test_domain_and_local_are_canonical_halves() -> None:
    assert (local("Anna@Acme.Example."), domain("Anna@Acme.Example.")) == ("anna", "acme.example")
    assert (local('"a@b"@C.example'), domain('"a@b"@C.example')) == ('"a@b"', "c.example")
    assert (local("Moderator"), domain("Moderator")) == ("moderator", "")
