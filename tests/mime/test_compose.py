"""Drafts to mails as people and their programs see them: headers, words, and what must not leave."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.bounce_reason import REASONS, UNSAID
from gateway.core.decision import Draft, PartRef
from gateway.core.footer import footer_line, is_footer, warning_line
from gateway.core.model import SignedId, Token
from gateway.core.policy import Agent, Policy, Queue
from gateway.core.rows import OutboxRow
from gateway.core.token import Keyring, make_address, read_bounce, read_mark, read_message_id
from gateway.mime import compose
from gateway.mime.assemble import assemble
from gateway.mime.compose import Composer
from gateway.mime.html_cut import agent_html
from gateway.mime.text import clean_html

TEMPLATES = Path(compose.__file__).parents[1] / "templates"
NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
POLICY = Policy(
    host="desk.example", key="ABC", reply_domain="reply.acme.example",
    keys=Keyring(current="k", secrets=(("k", b"0123456789abcdef0123"),)),
    queues=(Queue(name="support", addresses=("support@acme.example",), from_name="Acme Support", agents=("anna",)),),
    agents=(Agent(login="anna", name="Anna", addresses=("anna@acme.example",)),),
)
COMPOSER = Composer(TEMPLATES, POLICY)
TOKEN = make_address(POLICY.keys, Token(role="a", ticket=123, party=7), POLICY.reply_domain)
STATE = {
    "key": "ABC-123", "status": "open", "priority": "high", "assignee": "anna", "queue": "support",
    "subject": "printer", "commands": "#pending #solved #assign #note #help",
}
NOTICE = {
    **STATE, "author_name": "Ann Customer", "author_address": "ann@cust.example", "first": False, "html": "",
    "text": "The printer is on fire.\n\nWhat shall I do?", "holder": "", "outsider": "", "opaque": "", "unproven": "", "suggested_cc": [], "possible": "",
    "dead_since": "", "left_out": [], "to_cc": [],
}
REPLY = {
    "text": "Please use the extinguisher.", "html": "", "quoted_text": "The printer is on fire.\n> earlier",
    "quoted_author": "Ann Customer", "quoted_at": "2026-11-23 10:12 UTC",
}
# Every kind of mail with the values that its template may rely on.
VALUES: dict[str, dict[str, object]] = {
    "ack": {"queue_name": "Acme Support", "key": "ABC-123", "language": "en"},
    "notice": NOTICE, "note_notice": NOTICE, "brief": NOTICE, "reply": REPLY,
    "held_notice": {"code": "commands", "key": "ABC-123",
                    "lines": [{"line": "#sovled", "valid": "did you mean #solved ?"}, {"line": "x", "valid": ""}]},
    "handed": {**NOTICE, "words_by": "Ann Customer", "to_queue": True},
    "woken": {**NOTICE, "words_by": "Ann Customer"},
    "customer_help": {"queue_name": "Acme Support", "lines": ["#closed", "#help"]},
    "result": {"key": "ABC-123", "title": "#help", "lines": ["#solved    done", "#note    internal"]},
    "undelivered": {"recipient": "ann@cust.example", "status": "5.1.1", "diagnostic": "no such user", "key": "ABC-123",
                    "stopped": True, "reason": "the mailbox does not exist"},
    "delayed_notice": {"recipient": "ann@cust.example", "status": "4.2.2", "diagnostic": "full", "key": "ABC-123",
                       "written_at": "2026-11-23 10:12 UTC"},
    "withheld": {"key": "ABC-123", "addresses": [
        {"address": "ann@cust.example", "since": "2026-11-23", "status": "5.1.1"},
        {"address": "dan@cust.example", "since": "2026-11-22", "status": "5.2.2"}]},
    "agent_unreachable": {"login": "bert", "recipient": "bert@acme.example", "status": "5.1.1", "diagnostic": "gone"},
}


def draft(kind: str, **changes: object) -> Draft:
    to_customer = kind in ("ack", "customer_help", "reply")
    values = {**VALUES[kind], **changes.pop("values", {})}  # type: ignore[dict-item]
    base = Draft(
        kind=kind, template=kind, language="en", ticket=123, message=5, recipient=7,  # type: ignore[arg-type]
        rcpt_to="ann@cust.example" if to_customer else "anna@acme.example",
        from_name="Anna (Acme Support)", from_address="support@acme.example" if to_customer else TOKEN,
        reply_to=None if to_customer else TOKEN, to_name="Ann", subject="printer",
        signed_kind="p" if kind == "reply" else "n", in_reply_to=None, references=(), values=values,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def fetch(spool_id: str, month: str) -> bytes:
    return b"QUJDREVG"


def render(kind: str, **changes: object) -> OutboxRow:
    return COMPOSER.render(draft(kind, **changes), 42, NOW, fetch)


def read(row: OutboxRow) -> EmailMessage:
    message = email.message_from_bytes(assemble(row, fetch), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


class TestHeaders:
    def test_an_answer_reads_like_a_colleagues_mail(self) -> None:
        """Architecture §4: customers see the queue, the key once, and nothing internal."""
        message = read(render("reply", in_reply_to="<c2@cust.example>", references=("<c1@cust.example>",)))
        assert message["From"] == '"Anna (Acme Support)" <support@acme.example>'
        assert message["To"] == "Ann <ann@cust.example>"
        assert message["Subject"] == "Re: [ABC-123] printer"
        assert message["Date"] == "Mon, 23 Nov 2026 10:30:00 +0000"
        assert message["In-Reply-To"] == "<c2@cust.example>"
        assert message["References"].split()[1:] == ["<c1@cust.example>", "<c2@cust.example>"]
        assert sorted(message.keys()) == sorted([
            "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "X-Mailwicket-Id",
            "MIME-Version", "Content-Type",
        ])

    def test_our_ids_say_what_the_mail_was_and_verify(self) -> None:
        row = render("reply")
        message = read(row)
        signed = SignedId(kind="p", ticket=123, outbox=42, party=7)
        assert read_message_id(POLICY.keys, message["Message-ID"], POLICY.host) == signed
        root = SignedId(kind="r", ticket=123, outbox=0, party=0)
        assert read_message_id(POLICY.keys, message["References"], POLICY.host) == root
        assert read_mark(POLICY.keys, message["X-Mailwicket-Id"]) == 42
        assert read_bounce(POLICY.keys, row.mail_from, POLICY.reply_domain) == 42
        assert row.rfc_id == message["Message-ID"].strip("<>")

    def test_the_row_holds_size_and_sum_of_what_will_be_sent(self) -> None:
        row = render("notice", parts=(part(),))
        octets = assemble(row, fetch)
        assert (row.size, row.sha256) == (len(octets), hashlib.sha256(octets).hexdigest())

    @pytest.mark.parametrize("kind", ["auto-replied", "auto-generated"])
    def test_automatic_mail_says_so(self, kind: str) -> None:
        message = read(render("ack", automatic=kind))
        assert message["Auto-Submitted"] == kind
        assert message["X-Auto-Response-Suppress"] == "All"

    def test_agents_programs_get_headers_to_filter_on(self) -> None:
        message = read(render("notice", extra_headers=(("List-Id", "support <support.desk.example>"),
                                                       ("X-Mailwicket-Status", "open"))))
        assert message["List-Id"] == "support <support.desk.example>"
        assert message["X-Mailwicket-Status"] == "open"
        assert message["Reply-To"] == TOKEN

    def test_long_threads_keep_their_first_and_their_last_ids(self) -> None:
        ids = tuple(f"<m{i}@cust.example>" for i in range(40))
        found = read(render("reply", references=(*ids, "junk", "<bad id@x>", "<x@y>\r\nBcc: z"), in_reply_to=ids[-1]))
        assert found["References"].split()[1:] == list(ids[:4] + ids[-6:])
        assert found["In-Reply-To"] == ids[-1]
        assert found["Bcc"] is None

    def test_a_key_stands_once_and_a_first_notice_is_no_reply(self) -> None:
        assert read(render("reply", subject="Re: [ABC-123] Re: printer"))["Subject"] == "Re: [ABC-123] printer"
        assert read(render("notice", values={"first": True}))["Subject"] == "[ABC-123] printer"
        assert read(render("result", ticket=None))["Subject"] == "printer"

    @pytest.mark.parametrize("kind", sorted(VALUES))
    @pytest.mark.parametrize("field", ["subject", "from_name", "to_name"])
    @pytest.mark.parametrize("bad", [
        "hi\r\nBcc: e@x.test", "hi\nBcc: e@x.test", "hi\0", "hi\u2028Bcc: x", "=?utf-8?q?a=0D=0ABcc:_x?=",
    ])
    def test_no_value_adds_a_header(self, kind: str, field: str, bad: str) -> None:
        """Input 22 and 23 of the hostile list."""
        plain = assemble(render(kind), fetch)
        octets = assemble(render(kind, **{field: bad}), fetch)
        names = [re.findall(rb"^([A-Za-z-]+):", o.partition(b"\r\n\r\n")[0], re.MULTILINE) for o in (plain, octets)]
        assert names[0] == names[1]


def part(**changes: object) -> PartRef:
    base = PartRef(spool_id="s", month="2026-11", start=0, end=8, encoding="base64", clean=True, name="a.png",
                   content_type="image/png", content_id=None, inline=False)
    return replace(base, **changes)  # type: ignore[arg-type]


class TestWords:
    @pytest.mark.parametrize("language", ["en", "de", "de-AT", "fr"])
    @pytest.mark.parametrize("kind", sorted(VALUES))
    def test_every_mail_exists_in_every_language_and_has_no_hole(self, kind: str, language: str) -> None:
        text = render(kind, language=language).text
        assert text.strip()
        assert not re.search(r"\n\n\n|\{|\}|None|Undefined", text)
        assert max(map(len, text.splitlines())) <= 78

    def test_german_readers_are_spoken_to_in_german(self) -> None:
        assert "Sie" in render("ack", language="de-AT").text
        assert "Hello" in render("ack", language="fr").text

    def test_both_languages_have_the_same_templates(self) -> None:
        names = [sorted(p.name for p in (TEMPLATES / language).iterdir()) for language in ("en", "de")]
        assert names[0] == names[1]

    def test_a_notice_looks_like_a_mail_with_one_line_of_ours(self) -> None:
        assert render("notice").text == (
            "Ann Customer <ann@cust.example> wrote:\n\nThe printer is on fire.\n\nWhat shall I do?\n\n"
            ":: ABC-123 :: open, high, anna :: #pending #solved #assign #note #help\n"
        )

    def test_warnings_stand_above_the_last_line(self) -> None:
        row = render("notice", values={
            "holder": "bob@cust.example", "possible": "ABC-9", "suggested_cc": ["eve@x.example"],
            "left_out": [{"name": "big.iso", "size": 7_400_000}], "to_cc": ["tom@x.example"], "first": True,
        })
        assert row.text.startswith("Ann Customer <ann@cust.example> wrote to support (also to tom@x.example):\n")
        lines = row.text.rpartition("?\n\n")[2].splitlines()
        assert [line[:6] for line in lines] == [":: ! S", ":: ! I", ":: ! O", ":: ! A", ":: ABC"]
        assert all(map(is_footer, lines))
        assert "big.iso (7 MB)" in row.text

    @pytest.mark.parametrize(("language", "word"), [("en", "revive"), ("de", "reaktivieren")])
    def test_the_command_that_writes_to_a_dead_address_again_can_be_copied(self, language: str, word: str) -> None:
        assert render("withheld", language=language).text.splitlines()[-2:] == [
            f"#{word} ann@cust.example", f"#{word} dan@cust.example"
        ]
        assert render("undelivered", language=language).text.endswith(f"#{word} ann@cust.example\n")
        assert "#" not in render("undelivered", language=language, values={"stopped": False}).text
        lines = render("notice", language=language, values={"dead_since": "2026-11-23"}).text.splitlines()[-3:]
        assert lines[1].endswith(f": #{word} ann@cust.example")
        assert all(map(is_footer, lines))

    def test_an_answer_stands_above_what_it_answers(self) -> None:
        assert render("reply").text == (
            "Please use the extinguisher.\n\nOn 2026-11-23 10:12 UTC Ann Customer wrote:\n"
            "> The printer is on fire.\n>> earlier\n"
        )
        assert render("reply", values={"quoted_text": ""}).text == "Please use the extinguisher.\n"

    def test_an_acknowledgement_repeats_nothing_of_the_customers(self) -> None:
        """Security §2.3: else it is a relay for spam; the subject is the caller's to cut."""
        with_values = render("ack", values={"text": "BUY", "html": "", "author_name": "BUY"})
        assert with_values.text == render("ack").text
        assert with_values.html == ""

    def test_a_missing_value_is_an_error_and_not_a_hole(self) -> None:
        with pytest.raises(Exception, match="queue_name"):
            COMPOSER.render(replace(draft("ack"), values={}), 1, NOW, fetch)

    def test_values_are_data_and_never_templates(self) -> None:
        assert "{{ 7*7 }} {% raw %}" in render("notice", values={"text": "{{ 7*7 }} {% raw %}"}).text

    @pytest.mark.parametrize("field", ["author_name", "author_address", "text", "holder", "possible", "assignee"])
    def test_html_shows_every_value_as_text(self, field: str) -> None:
        html = render("notice", values={field: "<script>x</script>&"}).html
        assert "<script" not in html
        assert "&lt;script&gt;x&lt;/script&gt;&amp;" in html

    def test_html_shows_names_of_files_and_addresses_as_text(self) -> None:
        html = render("notice", values={"left_out": [{"name": "<b>", "size": 1}], "to_cc": ["<i>@x"]}).html
        assert "&lt;b&gt;" in html
        assert "&lt;i&gt;@x" in html

    def test_controls_never_leave(self) -> None:
        row = render("notice", values={"text": "a\0b\x1b[31mc\r\nd\re\u2028f\x85g"})
        assert "ab[31mc\nd\ne\nf\ng\n" in row.text


class TestWhatCustomersMustNotSee:
    def test_reply_addresses_of_anybody_become_the_queues_address(self) -> None:
        """Ruling 3."""
        row = render("reply", subject=f"ask {TOKEN}", from_name=f"Anna {TOKEN}",
                     values={"text": f"mail {TOKEN} or {TOKEN.upper()}", "quoted_text": f"see {TOKEN}"})
        assert TOKEN.partition("@")[0].encode() not in assemble(row, fetch).lower()
        assert row.text.count("support@acme.example") == 3
        assert row.html.count("support@acme.example") == 3

    def test_only_the_part_of_the_agents_html_that_was_decided_leaves(self) -> None:
        html = (f'<div>#solved</div><div>Please use <b>the extinguisher</b>.<img src="cid:pic@x"></div>'
                f'<blockquote><p>secret note {TOKEN}</p><img src="cid:logo@x"></blockquote>')
        row = render("reply", values={"html": html}, parts=(
            part(content_id="pic@x", inline=True), part(content_id="logo@x", inline=True), part(name="b.png"),
        ))
        assert "<b>the extinguisher</b>" in row.html
        assert "secret" not in row.html + row.text
        assert "#solved" not in row.html
        assert [p["content_id"] for p in json.loads(row.parts)] == ["pic@x", None]

    def test_html_that_says_something_else_is_made_from_the_text(self) -> None:
        row = render("reply", values={"html": "<p>Please use the extinguisher. (He is an idiot.)</p>"})
        assert "idiot" not in row.html
        assert row.html.startswith("<p>Please use the extinguisher.</p>")


class TestHtmlCut:
    @pytest.mark.parametrize(("html", "new_text", "part_"), [
        ("<p>Hello <b>you</b></p>", "Hello you", "<p>Hello <b>you</b></p>"),
        ("<div>#note</div><div>Hello</div><div>--</div><div>Anna</div>", "Hello", "<div>Hello</div>"),
        ("<div>Hello<br>there<br>-- <br>Anna</div>", "Hello\nthere", "<div>Hello<br>there<br></div>"),
        ("<ul><li>one</li><li>two</li></ul><hr><p>From: x</p>", "- one\n- two", "<ul><li>one</li><li>two</li></ul>"),
        ("<p>a &lt;b&gt; &amp;amp; c</p>", "a <b> &amp; c", "<p>a &lt;b&gt; &amp;amp; c</p>"),
        ("<p>okay</p><p>ok</p>", "ok", "<p>ok</p>"),
        ("<p>Hello</p>", "", ""),
        ("<p>Hello</p>", "Hell", ""),
        ("<p>Hello</p>", "Goodbye", ""),
        ("", "Hello", ""),
        ("<p>Hi</p><script>x</script>", "Hi", "<p>Hi</p>"),
        ('<p>see <a href="https://a.example/?x=1&y=>">this</a></p><p>old</p>', "see this",
         '<p>see <a href="https://a.example/?x=1&amp;y=&gt;">this</a></p>'),
    ])
    def test_the_part_that_reads_like_the_text_is_kept(self, html: str, new_text: str, part_: str) -> None:
        assert agent_html(clean_html(html), new_text) == part_

    @settings(max_examples=150)
    @given(st.lists(st.tuples(
        st.sampled_from(["<p>%s</p>", "<div>%s<br></div>", "<blockquote>%s</blockquote>", "<b>%s</b>", "%s"]),
        st.sampled_from(["secret", "#note", "hello", "thanks", "a b", "<x>", ""]),
    ), max_size=8), st.sampled_from(["hello", "hello thanks", "a b", "secret", "x", ""]))
    def test_a_reader_of_the_html_never_reads_more_than_the_text(
        self, pieces: list[tuple[str, str]], new_text: str
    ) -> None:
        found = agent_html(clean_html("".join(shape % text for shape, text in pieces)), new_text)
        shown = re.sub(r"\s", "", re.sub(r"<[^>]*>", "", found))
        assert shown in ("", new_text.replace(" ", ""))

    @pytest.mark.parametrize("html", [
        "<div>" * 300_000, "<!--" * 50_000, "a<br>" * 60_000, "<b>a</b>" * 30_000, "<" * 200_000,
    ])
    def test_heavy_html_gives_a_small_answer(self, html: str) -> None:
        assert len(agent_html(clean_html(html), "a" * 500)) < 10_000


class TestFooter:
    LINE = footer_line("ABC-123", "open", "high", "anna", "#pending #solved #assign #note #help")

    @pytest.mark.parametrize("line", [
        LINE, f"> {LINE}", f">> > {LINE}", f"  {LINE}", f"| {LINE}", f"*{LINE}*", LINE.replace(" ", "\u00a0"), LINE[:40],
        "> #assign #note #help", "anna :: #pending #solved #help", ":: #pending #help",
        warning_line("Attachment not sent along: x"), "> " + warning_line("x"),
        footer_line("K-1", "closed", "low", "", "#note #help"),
    ])
    def test_our_lines_are_known_again(self, line: str) -> None:
        assert is_footer(line)

    @pytest.mark.parametrize("line", [
        "", "Hello", "ABC-123 is solved", "std::vector<int> x", ":: Int -> Int", "#help", "#solved", "> #help", "::",
        "See [ABC-123] for #help", "Use #solved and #help to close it", "::1 is localhost", "-- ", "a :: b",
    ])
    def test_peoples_lines_are_not(self, line: str) -> None:
        assert not is_footer(line)

    def test_a_quoted_footer_fits_a_line(self) -> None:
        assert len(f"> > {self.LINE}") <= 78


def test_every_reason_of_a_bounce_is_said_in_the_agents_language() -> None:
    for reason in REASONS:
        if reason == UNSAID:
            continue
        english, german = (render("undelivered", language=each, values={"reason": reason}).text for each in ("en", "de"))
        assert f"The reason: {reason}." in english
        assert "Der Grund: " in german
        assert reason not in german
    assert "Grund" not in render("undelivered", language="de", values={"reason": ""}).text

