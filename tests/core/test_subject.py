"""Subjects: what is compared, what people see, and what may stand in a header."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.subject import base_subject, header_text, is_forward, is_reply, keys_in, ticket_subject, with_key

relaxed = settings(deadline=None, max_examples=150)

PREFIXES = [
    # (prefix, is it a reply?, is it a forward?)
    *((p, True, False) for p in (
        "Re", "RE", "re", "AW", "Antw", "Antwort", "SV", "R", "RIF", "Odp", "Vá", "VÁ", "Va\u0301", "ATB", "YNT", "Odg",
        "RES", "Rép", "Ats", "BLS", "TL", "Отв", "НА", "ΑΠ", "Σχετ", "ΣΧΕΤ", "השב", "رد", "回复", "回覆", "答复", "返信",
        "회신", "ตอบ",
    )),
    *((p, False, True) for p in (
        "FW", "Fwd", "WG", "TR", "RV", "Doorst", "VL", "Továbbítás", "TOVÁBBÍTÁS", "ENC", "I", "VB", "PD", "Proslj",
        "İLT", "ilt", "Пересл", "ΠΡΘ", "הועבר", "转发", "轉寄", "転送", "전달", "ส่งต่อ",
    )),
    ("VS", True, True),
]


@pytest.mark.parametrize(("prefix", "reply", "forward"), PREFIXES)
@pytest.mark.parametrize("form", ["{}: x", "{} : x", "{}:x", "{}[2]: x", "{}(3): x", "{}^4: x", "{}2: x", "{}：x"])
def test_prefixes_of_many_languages_and_forms_are_known(prefix: str, reply: bool, forward: bool, form: str) -> None:
    subject = form.format(prefix)
    assert (base_subject(subject), is_reply(subject), is_forward(subject)) == ("x", reply, forward)


BASES = {
    "": "",
    "Re:": "",
    "Printer on fire": "Printer on fire",
    "Re: AW: Re[2]: Fwd: Printer": "Printer",
    "[list] Re: [other] Printer": "Printer",
    "Re: [ABC-12] Re: Printer": "Printer",
    "Re: [#99]": "[#99]",
    "[only]": "[only]",
    "Printer (fwd) (Fwd)": "Printer",
    "[Fwd: Re: Printer]": "Printer",
    "Re: [Fwd: [WG: Printer (fwd)]] ": "Printer",
    "[Fwd: a] b": "b",
    "Printer\r\n  on\tfire": "Printer on fire",
    "aware: x": "aware: x",
    "Reply: x": "Reply: x",
    "Re Printer": "Re Printer",
    "Re: Re: " + "a" * 2_000: "a" * 992,
}


@pytest.mark.parametrize(("subject", "base"), BASES.items())
def test_base_subject_follows_rfc_5256(subject: str, base: str) -> None:
    assert base_subject(subject) == base


FORWARDS = {"[Fwd: x]": True, "x (fwd)": True, "Re: Fwd: x": False, "Fwd: Re: x": True, "x": False, "": False}


@pytest.mark.parametrize(("subject", "forward"), FORWARDS.items())
def test_the_first_prefix_says_whether_it_is_a_forward(subject: str, forward: bool) -> None:
    assert is_forward(subject) is forward
    assert is_reply(subject) is subject.startswith("Re")


KEYS_IN = {
    "": (),
    "[ABC-123] x": (123,),
    "Re: [abc-7] [ABC-7] and [ ABC-9 ]": (7, 9),
    "[ABC-0] [ABC-] [ABC-x] ABC-5 [XABC-6] [#99] [DEF-8]": (),
    "[ABC-1234567890123456]": (),
    "[ABC-\u0663]": (),                         # Arabic digit
    "[AB\u00c7-1] [\uff21BC-1]": (),            # look-alikes
    "[ABC-012]": (12,),
    "x" * 1_000 + "[ABC-1]": (),
}


@pytest.mark.parametrize(("subject", "numbers"), KEYS_IN.items())
def test_keys_are_our_own_in_brackets_only(subject: str, numbers: tuple[int, ...]) -> None:
    assert keys_in(subject, "ABC") == numbers


def test_a_key_is_no_pattern() -> None:
    assert keys_in("[AxC-1] [A.C-2]", "A.C") == (2,)


SHOWN = {
    "Printer": "Re: [ABC-5] Printer",
    "": "Re: [ABC-5]",
    "AW: Re: Printer": "Re: [ABC-5] Printer",
    "Re: [ABC-5] Printer": "Re: [ABC-5] Printer",
    "[ABC-4] Re: Printer [abc-77]": "Re: [ABC-5] Printer",
    "Re: [#99] Re: [#99] [desk] Printer": "Re: [ABC-5] [#99] [desk] Printer",
    "[#99]": "Re: [ABC-5] [#99]",
    "[#99] Re: [#99]": "Re: [ABC-5] [#99]",
    "[ABC-[ABC-1]2] x": "Re: [ABC-5] [ABC- 2] x",
    "hi\r\nBcc: evil@x.example": "Re: [ABC-5] hi Bcc: evil@x.example",
    "A" * 500: "Re: [ABC-5] " + "A" * 188,
}


@pytest.mark.parametrize(("subject", "shown"), SHOWN.items())
def test_our_subject_has_one_prefix_and_one_key_and_keeps_foreign_tags(subject: str, shown: str) -> None:
    assert with_key(subject, "ABC", 5) == shown
    assert with_key(shown, "ABC", 5) == shown


def test_the_first_mail_of_a_ticket_has_the_key_without_re() -> None:
    assert with_key("Fwd: Printer", "ABC", 5, reply=False) == "[ABC-5] Printer"


def test_the_subject_of_a_ticket_keeps_what_other_desks_need() -> None:
    assert ticket_subject("Re: [ABC-3] [INC0012] AW: Printer", "ABC") == "[INC0012] Printer"


PARTS = st.sampled_from(["Re: ", "AW:", "[ABC-1]", "[ABC-", "2]", "[#9]", "[", "]", "(fwd)", "[Fwd: ", "x", " ", "\r\n", "ü"])


@given(st.text(max_size=60) | st.lists(PARTS, max_size=12).map("".join))
@relaxed
def test_whatever_comes_in_one_key_goes_out_in_one_safe_line(subject: str) -> None:
    shown = with_key(subject, "ABC", 5)
    assert shown.startswith("Re: [ABC-5]") and keys_in(shown, "ABC") == (5,) and shown.count("[ABC-5]") == 1
    assert len(shown) <= 200 and shown == header_text(shown)
    assert with_key(shown, "ABC", 5) == shown
    assert base_subject(base_subject(subject)) == base_subject(subject)


@pytest.mark.parametrize(
    "text", ["a\rb", "a\nb", "a\r\n b", "a\0b", "a\x85b", "a\u2028b", "a\u2029b", "a\x1bb", "a\x7fb", "a\x9bb", "a\xa0\tb"]
)
def test_header_text_turns_what_could_end_a_line_into_a_blank(text: str) -> None:
    assert header_text(text) == "a b"


def test_header_text_is_nfc_and_writable_and_short() -> None:
    assert header_text("u\u0308\udcfc") == "ü\ufffd"
    assert header_text("abc def", 4) == "abc"
    assert len(header_text("x" * 300)) == 200


@given(st.text(st.characters(), max_size=300), st.integers(min_value=1, max_value=200))
@relaxed
def test_header_text_is_safe_for_any_text(text: str, limit: int) -> None:
    safe = header_text(text, limit)
    assert len(safe) <= limit and len(safe.splitlines()) <= 1
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in safe)
    assert header_text(safe, limit) == safe == unicodedata.normalize("NFC", safe)
