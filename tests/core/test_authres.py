"""Authentication-Results of a relay: believed where the relay wrote them and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.authres import Authentication, dmarc_pass, is_id
from gateway.core.policy import Relay
from gateway.mime.parse import parse
from tests.desk import ANN, ANNA, EVE, POLICY, SUPPORT, Desk, opened

ID = "mx.acme.example"
PASS = "dmarc=pass header.from=acme.example"

READ: dict[str, tuple[str, str | None]] = {
    "plain": (f"{ID}; {PASS}", "acme.example"),
    "version": (f"{ID} 1; {PASS}", "acme.example"),
    "comments": (f"{ID} (our (own) relay); dmarc=pass (p=reject dis=none) header.from=acme.example", "acme.example"),
    "among others": (f'{ID}; dkim=pass reason="good; really" header.d=x.example header.b=ab12; spf=pass smtp.mailfrom=a@b.example; {PASS}', "acme.example"),
    "upper case": (f"{ID}; DMARC=Pass Header.From=ACME.example", "acme.example"),
    "method version": (f"{ID}; dmarc/1=pass header.from=acme.example", "acme.example"),
    "quoted": (f'{ID}; dmarc=pass header.from="acme.example"', "acme.example"),
    "trailing semicolon": (f"{ID}; {PASS};", "acme.example"),
    "blanks": (f" {ID} ;\r\n\tdmarc = pass\r\n\theader.from = acme.example", "acme.example"),
    "fail": (f"{ID}; dmarc=fail header.from=acme.example", None),
    "none": (f"{ID}; none", None),
    "no verdict": (f"{ID}; dkim=pass header.d=acme.example", None),
    "no domain": (f"{ID}; dmarc=pass", None),
    "two domains": (f"{ID}; {PASS} header.from=evil.example", None),
    "two verdicts": (f"{ID}; {PASS}; dmarc=fail header.from=acme.example", None),
    "another's id": (f"mx.evil.example; {PASS}", None),
    "id in other letters": (f"MX.acme.example; {PASS}", None),
    "id in a comment": (f"evil.example ({ID}); {PASS}", None),
    "id quoted": (f'"{ID}"; {PASS}', None),
    "id with more": (f"{ID}.evil.example; {PASS}", None),
    "a comment that eats": (f"{ID}; dmarc=fail (header.from=acme.example; {PASS}", None),
    "a comment that ends too often": (f"{ID}; dmarc=fail ) {PASS}", None),
    "a string that does not end": (f'{ID}; x="; {PASS}', None),
    "a verdict in a string": (f'{ID}; dkim=fail reason="; {PASS}"', None),
    "a verdict in a comment": (f"{ID}; dkim=fail (; {PASS})", None),
    "an escaped quote": (f'{ID}; dkim=fail reason="\\"; {PASS}"', None),
    "an escaped bracket": (f"{ID}; dkim=fail (\\); {PASS})", None),
    "no domain at all": (f"{ID}; dmarc=pass header.from=anna@acme.example", None),
    "broken neighbour": (f"{ID}; dkim; {PASS}", None),
    "sender in a value": (f"{ID}; spf=pass smtp.mailfrom=x;{PASS}=y@evil.example", None),
    "odd version": (f"{ID} 2; {PASS}", None),
    "a bare mark": (f"{ID}; dmarc=pass header.from=acme.example \\", None), "a quote in a word": (f'{ID}; a"b"c=d; {PASS}', None),
    "an escaped line end": (f'{ID}; x="\\\n"; {PASS}', None),
    "empty": ("", None),
    "only marks": (";;==", None),
    "too long": (f"{ID}; {PASS}" + " " * 9_000, None),
}


@pytest.mark.parametrize(("text", "domain"), READ.values(), ids=READ.keys())
def test_only_a_plain_verdict_counts(text: str, domain: str | None):
    assert dmarc_pass((text,), ID) == domain


def test_of_several_fields_the_topmost_of_the_relay_counts():
    other, fail = f"filter.example; {PASS}", f"{ID}; dmarc=fail header.from=acme.example"
    assert dmarc_pass((other, f"{ID}; {PASS}"), ID) == "acme.example"
    assert dmarc_pass((fail, f"{ID}; {PASS}"), ID) is None
    assert dmarc_pass(("mx (", f"{ID}; {PASS}"), ID) is None, "the broken one may have been the relay's"
    assert dmarc_pass((), ID) is None


@given(st.text(alphabet=f'{ID}; {PASS}()"\\=\r\n\t', max_size=80))
def test_any_text_is_read_or_not_and_never_raises(text: str):
    assert dmarc_pass((text,), ID) in (None, "acme.example") or "=" in text


def test_what_can_be_an_id():
    assert is_id("mx.acme.example")
    assert not is_id("")
    assert not is_id("a b")


# --- In a mail ------------------------------------------------------------------------------

FIELD = f"Authentication-Results: {ID}; {PASS}\r\n"
RECEIVED = "Received: from evil.example by mx.acme.example; Mon, 23 Nov 2026 09:00:00 +0000\r\n"
REST = f"From: {ANNA}\r\nTo: x@y.example\r\nSubject: x\r\n\r\nHello.\r\n"


@pytest.mark.parametrize(("head", "found"), [
    (FIELD, 1), (FIELD + RECEIVED, 1), (RECEIVED + FIELD, 0), (FIELD + FIELD + RECEIVED + FIELD, 2), ("", 0),
    ("X: y\r\n" + FIELD + RECEIVED, 1), (f"Authentication-Results: =?utf-8?q?{ID}?=; {PASS}\r\n" + RECEIVED, 1),
    ("Authentication-Results: m\xfcx; x\r\n" + FIELD, 0), ("Authentication-Results: " + "x" * 9_000 + "\r\n" + FIELD, 0),
    (FIELD * 50, 20),
])
def test_input_25_only_what_stands_above_the_relays_received_is_looked_at(head: str, found: int):
    mail = parse((head + REST).encode("latin-1"))
    assert len(mail.results) == found


def test_an_encoded_word_is_not_decoded_before_it_is_judged():
    mail = parse(f"Authentication-Results: {ID}; dkim=fail reason==?utf-8?q?x=3B_dmarc=3Dpass_header.from=3Dacme.example?=\r\n{REST}".encode())
    assert dmarc_pass(mail.results, ID) is None


DESK = replace(POLICY, relays=(
    Relay(name="mx", networks=("10.0.0.1/32",), authserv_id=ID), Relay(name="old", networks=("10.0.0.2/32",)),
))
OUTSIDE = {"mail_from": EVE, "relay": "mx"}


def answer(desk: Desk, notice: Any, head: str, **envelope: Any) -> Any:
    raw = (
        f"{head}From: {ANNA}\r\nTo: {notice.reply_to}\r\nSubject: Re: {notice.mail.subject}\r\nMessage-ID: <{desk.count}@acme.example>\r\n"
        f"In-Reply-To: <{notice.mail.message_id}>\r\n\r\n#solved\r\nDone.\r\n"
    )
    known = {**OUTSIDE, **envelope}
    return desk.receive(desk.spooled(raw.encode(), known.pop("mail_from"), notice.reply_to, **known))


HEADS: dict[str, tuple[str, dict[str, Any], int]] = {
    "the relay's": (FIELD + RECEIVED, {}, 3),
    "forged below": (RECEIVED + FIELD, {}, 2),
    "forged below the relay's fail": (f"Authentication-Results: {ID}; dmarc=fail header.from=acme.example\r\n" + FIELD + RECEIVED, {}, 2),
    "of another domain": (FIELD.replace("header.from=acme", "header.from=evil") + RECEIVED, {}, 2),
    "in other letters": (FIELD.replace("mx", "MX") + RECEIVED, {}, 2),
    "in a comment": (FIELD.replace(f"{ID};", f"evil ({ID});") + RECEIVED, {}, 2),
    "by a relay without an id": (FIELD + RECEIVED, {"relay": "old"}, 2),
    "by nobody we know": (FIELD + RECEIVED, {"relay": None}, 2),
}


@pytest.mark.parametrize(("head", "envelope", "level"), HEADS.values(), ids=HEADS.keys())
def test_input_25_forged_results_prove_nothing(head: str, envelope: dict[str, Any], level: int):
    desk, first = opened(desk=Desk(policy=DESK), envelope={"relay": None})
    out = answer(desk, first.to(ANNA)[0], head, **envelope)
    assert out.codes["identity"].startswith(f"level {level}:"), out.codes
    assert bool(out.to(ANN)) is (level == 3)


# --- Our own look ---------------------------------------------------------------------------


@pytest.mark.parametrize(("checked", "level"), [
    (Authentication(domain="acme.example", aligned=True, words="dmarc=pass"), 3),
    (Authentication(domain="acme.example", aligned=False, words="dmarc=fail"), 2),
    (Authentication(domain="evil.example", aligned=True, words="dmarc=pass"), 2),
    (None, 2),
])
def test_our_own_look_counts_as_a_relays_word_and_is_written_down(checked: Authentication | None, level: int):
    desk, first = opened(desk=Desk(policy=DESK), envelope={"relay": None})
    notice = first.to(ANNA)[0]
    mail = replace(desk.reply(notice, ANNA, "#solved\nDone.", envelope={"relay": None, "mail_from": EVE}), checked=checked)
    out = desk.receive(mail)
    assert out.codes["identity"].startswith(f"level {level}:")
    assert out.codes.get("authentication") == (checked.words if checked else None)
    assert bool(out.to(ANN)) is (level == 3)


def test_input_33_a_spoofed_requester_brings_nobody_onto_the_ticket():
    """DMARC failed, so Cc is a suggestion and the attacker gets no mail, now or later."""
    desk = Desk(policy=DESK)
    checked = Authentication(domain="cust.example", aligned=False, words="dmarc=fail")
    mail = replace(desk.write(ANN, SUPPORT, "Send me my invoices.", cc=EVE, envelope={"relay": None, "mail_from": EVE}), checked=checked)
    first = desk.receive(mail)
    assert EVE in first.to(ANNA)[0].text
    desk.answer(first.to(ANNA)[0], ANNA, "Here they are.", envelope={"login": "anna"})
    assert EVE not in [s.row.rcpt_to for s in desk.sent]
