"""Attacks that failed (hostile review, 2026-11-24) and that no other test tries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.core.policy import Rule
from gateway.edge.frames import encode
from gateway.edge.rules import RuleBook, check
from gateway.edge.spool_in import time_of
from gateway.errors import StateError
from tests.desk import ANN, ANNA, BERT, EVE, MINUTE, SUPPORT, Desk, answered, opened

OUTSIDE = {"mail_from": EVE, "relay": None}
SECRET = "secretword: she forged an invoice"


# --- (a) Strangers -------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [
    {"reply_to": "victim@v.example"}, {"SENDER": "victim@v.example"}, {"return_path": "<victim@v.example>"},
    {"disposition_notification_to": "victim@v.example"}, {"errors_to": "victim@v.example"},
    {"resent_from": "victim@v.example"}, {"cc": "victim@v.example"}, {"bcc": "victim@v.example"},
    {"cc": ", ".join(f"victim{n}@v{n}.example" for n in range(1_000))},
    {"x_original_from": "victim@v.example"}, {"list_post": "<mailto:victim@v.example>"},
])
def test_no_header_of_a_strangers_mail_makes_us_write_to_a_victim(headers: dict[str, str]) -> None:
    desk = Desk()
    out = desk.mail(EVE, SUPPORT, "x", **headers)
    notice = [s for s in out.sent if s.row.kind == "notice"]
    after = desk.answer(notice[0], ANNA, "An answer.") if notice else out
    assert not [s for s in (*out.sent, *after.sent) if "victim" in s.row.rcpt_to or "victim" in s.row.mail_from]


def test_a_thousand_recipients_cost_no_more_than_forty() -> None:
    out = Desk().mail(EVE, SUPPORT, "x", cc=", ".join(f"u{n}@v.example" for n in range(1_500)))
    assert all(len(s.raw) < 20_000 for s in out.sent)


def test_the_same_bounce_again_tells_the_agent_once_and_only_of_his_own_mail() -> None:
    """Ann knows the return path of the mail she was sent; it says nothing about another's."""
    desk, first, ans = answered()
    path = ans.to(ANN)[0].row.mail_from
    told = 0
    for n in range(3):
        mail = desk.write("mailer-daemon@x.example", path, f"gone {n}", subject="Undeliverable", envelope={"mail_from": None})
        told += len(desk.receive(mail).to(ANNA))
    assert told == 1
    assert desk.ticket(1).status == "open"


# --- (b) Nothing internal reaches a customer -----------------------------------------------------


@pytest.mark.parametrize("line", [
    "\u200b#note", "\ufeff#note", "\u00a0#note", "\u202e#note", "\u00ad#note", "#no\u00adte", "\x85#note", "\u2028#note",
    "\x0c#note", "\uff03note", "\ufe5fnote", "#\ufe0f\u20e3note", "#\u0332note", "#n\u043ete", "#note.", "#note,", "#note\u2014",
    "#notes", "# n\u043ete",
])
def test_a_command_that_is_nearly_one_holds_the_note(line: str) -> None:
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, f"{line}\n{SECRET}")
    assert out.held == "commands" or out.codes["posted"] == "note"
    assert not out.to(ANN)


@pytest.mark.parametrize("html", [
    "<div>#note<br>{}</div>", "<span>#</span><span>note</span><div>{}</div>", "<table><tr><td>#note</td><td>{}</td></tr></table>",
    "<p>&nbsp;</p><p>#note</p><p>{}</p>", '<a href="https://x/#note">#note</a><p>{}</p>', "<p>#no<wbr>te</p><p>{}</p>",
    "<p>#no&shy;te</p><p>{}</p>", "<details><summary>#note</summary>{}</details>", "<p>#note<span></span>&#8203;</p>{}",
    "<head><title>x</title></head><h1>#note</h1>{}", "<pre>#note\n{}</pre>", "<p>&#35;note</p>{}",
])
def test_a_note_written_in_html_is_a_note(html: str) -> None:
    desk, first = opened()
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.write(
        ANNA, notice.reply_to, html.format(SECRET), subject=f"Re: {notice.mail.subject}", mime_version="1.0",
        in_reply_to=f"<{notice.mail.message_id}>", content_type="text/html; charset=utf-8",
    ))
    assert not out.to(ANN)


@pytest.mark.parametrize("html", [
    f"<p>It works.</p><p style='display:none'>{SECRET}</p>", f"<p>#note</p><p>It works. {SECRET}</p>",
    f"<title>{SECRET}</title><p>It works.</p>", f"<!-- {SECRET} --><p>It works.</p>",
    f"<p>It works.<span data-x='{SECRET}'></span></p>", f"<style>p:after{{content:'{SECRET}'}}</style><p>It works.</p>",
])
def test_html_that_says_more_than_its_text_is_not_published(html: str) -> None:
    desk, first = opened()
    notice = first.to(ANNA)[0]
    body = f"--B\nContent-Type: text/plain\n\nIt works.\n--B\nContent-Type: text/html\n\n{html}\n--B--"
    out = desk.receive(desk.write(
        ANNA, notice.reply_to, body, subject=f"Re: {notice.mail.subject}", mime_version="1.0",
        in_reply_to=f"<{notice.mail.message_id}>", content_type='multipart/alternative; boundary="B"',
    ))
    (sent,) = out.to(ANN)
    assert b"secretword" not in sent.raw
    assert "secretword" not in sent.row.html


@pytest.mark.parametrize("text", [
    f"> It is on fire.\n\n#note\n{SECRET}", f"On Mon, 23 Nov 2026 at 09:05, Ann <x@y.example> wrote:\n> It is on fire.\n\n#note\n{SECRET}",
    f"\n\n\n#note\n{SECRET}", f"Hello Ann.\n-- \n#note\n{SECRET}",
])
def test_a_note_below_a_quotation_or_a_signature_is_not_published(text: str) -> None:
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, text)
    assert "secretword" not in "".join(s.text + s.row.html for s in out.to(ANN))


# --- (c) Agents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sender", "envelope"), [
    (BERT, {"mail_from": BERT}),                                    # Bert, proven, with Anna's reply address
    (ANNA, {"mail_from": BERT}),                                    # Bert's login, Anna in From
    (f"{ANNA}, {EVE}", {"mail_from": ANNA}),                        # two mailboxes
    (f"agents: {ANNA};", {"mail_from": ANNA}),                      # a group
    (f'"{BERT}" <{ANNA}>', {"mail_from": ANNA}),                    # a name that is another address
    (f"{ANNA}.", {"mail_from": ANNA}),                              # a dot behind
    ("anna@acme\u3002example", {"mail_from": ANNA}),                # an ideographic full stop
    ("\uff41nna@acme.example", {"mail_from": ANNA}),                # a full-width letter
    ("anna+x@acme.example", {"mail_from": "anna+x@acme.example"}),  # a sub-address nobody configured
    (f"(x){ANNA}", {"mail_from": ANNA, "relay": "partner"}),        # a relay that vouches for others
    (ANNA, {"mail_from": None}),                                    # a null path
])
def test_commands_and_answers_of_anybody_else_do_nothing(sender: str, envelope: dict[str, str | None]) -> None:
    desk, first = opened()
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.reply(notice, sender, "#closed\nSend money to me.", envelope=envelope))
    assert not out.to(ANN)
    assert desk.ticket(1).status == "new"
    assert desk.ticket(1).assignee is None


def test_an_agents_old_mail_with_new_words_from_outside_is_held() -> None:
    desk, first = opened()
    notice = first.to(ANNA)[0]
    desk.answer(notice, ANNA, "The first answer.", message_id="<old@acme.example>")
    desk.now += timedelta(days=1)
    out = desk.answer(notice, ANNA, "#closed\nOther words.", message_id="<old@acme.example>", envelope=OUTSIDE)
    assert out.held == "unproven"
    assert not out.to(ANN)


# --- (d) Crashes and loops -----------------------------------------------------------------------


def test_a_robot_that_strips_everything_gets_six_automatic_mails_and_eleven_tickets_at_most() -> None:
    """Security LP1, 24 virtual hours: it answers each of our mails at once, as a new matter."""
    desk, sent = Desk(), 0
    waiting = [desk.write("robot@r.example", SUPPORT, "begin", subject="s")]
    for _ in range(200):
        if not waiting:
            break
        for mail in desk.receive(waiting.pop()).to("robot@r.example"):
            sent += 1
            waiting.append(desk.write("robot@r.example", mail.reply_to, f"auto {sent}", subject=f"subject {sent}"))
        desk.now += timedelta(seconds=1) - MINUTE
    assert sent <= 6
    assert len(desk.tickets) <= 11


@pytest.mark.parametrize("raw", [
    b"", b"\r\n", b"\0" * 5_000, b"\r" * 5_000, b"From: \xff\xfe\r\nSubject: \xed\xa0\x80\r\nMessage-ID: <\xed\xa0\x80@\xff>\r\n\r\n\xed\xa0\x80",
    b"From: =?utf-8?q?=ED=A0=80?= <eve@evil.example>\r\nSubject: =?utf-16?b?2AA=?=\r\n\r\nx",
    b"From: eve@evil.example\r\nReferences: " + b" ".join(b"<%d@x>" % n for n in range(3_000)) + b"\r\n\r\nx",
    b"From: eve@evil.example\r\nTo: " + b", ".join(b"u%d@x.example" % n for n in range(2_500)) + b"\r\n\r\nx",
    b"From: eve@evil.example\r\nIn-Reply-To: <" + b"a" * 30_000 + b"@b>\r\nMessage-ID: <" + b"z" * 30_000 + b"@b>\r\n\r\nx",
    b'From: eve@evil.example\r\nContent-Type: image/png; name="\xed\xa0\x80\0\r"\r\nContent-ID: <\xff>\r\n\r\nx',
    b"From: eve@evil.example\r\nSubject: " + b"[ABC-999999999999999] [ABC-000000000000001] [ABC-0]" * 50 + b"\r\n\r\n#merge 999999999999999",
])
def test_odd_mail_is_decided_and_its_rows_can_be_journaled(raw: bytes) -> None:
    desk, _ = opened()
    out = desk.receive(desk.spooled(raw, EVE, SUPPORT))
    encode(out.rows, at=desk.now, cause="mail")


# --- (e) Edges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "0" * 25 + "/", "8" + "0" * 25, "0" * 25 + "\0", "0" * 26 + "\n", "٠" * 26, "u" * 26])
def test_no_other_name_is_a_spool_id(name: str) -> None:
    with pytest.raises(StateError):
        time_of(name)


@pytest.mark.parametrize("when", [
    "true) OR (SELECT count(*) FROM duckdb_settings()) > 0 --", "true\n), (1=1", "1=1; DROP TABLE mail", "true /*", "$$x$$ = subject) FROM mail --",
    "subject = getenv('HOME')", "subject in (select 'a')", "read_text('/etc/passwd') is not null", "mail is not null", "subject = ?", "subject = $1",
    "repeat('a', 1000000000) = subject", "try(true)", "subject::json is not null", "columns('sub.*') is not null", "current_setting('threads') = '1'",
    "exists(from mail)", "row_number() over () = 1", "count(*) > 0", "subject = sqrt(-1)::varchar or error('x')", "[1] = [1]",
])
def test_no_rule_says_more_than_one_plain_predicate(when: str) -> None:
    rule = Rule(name="r", when=when, then=("#urgent",))
    assert check((rule,), "x.toml")
    with pytest.raises(Exception, match=r".") as refused:
        RuleBook((rule,))
    assert "rule" in str(refused.value)
