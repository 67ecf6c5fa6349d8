"""Text of HTML: quoted text is marked by what clients leave in their elements, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.quote import split_reply
from gateway.mime.html_reply import html_to_text
from gateway.mime.parse import parse

RULE = "_" * 32


@pytest.mark.parametrize(("html", "text"), [
    ("<p>a</p><blockquote>b<blockquote>c</blockquote></blockquote>d", "a\n\n> b\n> > c\n\nd"),
    ('<div>a</div><div class="yahoo_quoted" id="yahoo_quoted_1"><p>b</p>c</div>d', "a\n> b\n\n> c\nd"),
    ('a<div class="x_zmail_extra">b</div>', "a\n> b"), ('a<div id="isReplyContent">b</div>', "a\n> b"),
    ('a<div class="gmail_quote">b<blockquote class="gmail_quote">c</blockquote>d</div>', "a\nb\n> c\n\nd"),
    ('a<div class="gmail_attr">Anna ita:</div>', "a\n> Anna ita:"),
    ('a<div class="gmail_attr">On 3.3.2026 Anna wrote:</div>', "a\nOn 3.3.2026 Anna wrote:"),
    ('a<div class="gmail_attr">---------- Forwarded message ---------<br></div>b', "a\n---------- Forwarded message ---------\nb"),
    ('a<div class="moz-cite-prefix"><br></div>b', "a\n\nb"),
    ('a<div id="divRplyFwdMsg">b</div>', f"a\n\n{RULE}\nb"), ('a<div id="x_x_appendonsend"></div><div id="divRplyFwdMsg">b</div>', f"a\n\n{RULE}\nb"),
    ('a<hr id="stopSpelling">b', f"a\n\n{RULE}\nb"), ('a<span id="OLK_SRC_BODY_SECTION">b</span>c', f"a\n\n{RULE}\nbc"),
    ('a<div style="border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt 0cm 0cm 0cm">b</div>', f"a\n\n{RULE}\nb"),
    ('a<div style="border-top: 1pt solid rgb(225, 225, 225)">b</div>', f"a\n\n{RULE}\nb"),
    ('a<div style="border-top: 3px dashed red">b</div>', "a\nb"), ('<div style="border-top:solid red 1.0pt">b</div>', "b"),
    ('a<div name="quote">b</div>', f"a\n\n{RULE}\nb"), ('a<div name="quoted">b</div>', "a\nb"), ('a<div class="quote">b</div>', "a\nb"),
    ('<span class="gmail_attr">a</span>b', "ab"), ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
    ("<pre>a\n b</pre><ul><li>c</li></ul>", "a\n b\n- c"), ("", ""), ("gmail_attr &gt; &amp;", "gmail_attr > &"),
])
def test_marks_of_clients(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_an_outlook_header_in_a_language_nobody_knows_ends_the_reply() -> None:
    html = (
        'Bis.<div id="divRplyFwdMsg"><b>Mittens:</b> A &lt;a@b.example&gt;<br><b>Missum:</b> 2026-03-03 10:12<br><b>Res:</b> Id</div>Micat?'
    )
    assert split_reply(html_to_text(html)).new == "Bis."


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([
    "<div>", "</div>", '<div class="gmail_attr">', '<div class="yahoo_quoted">', "<span>", "</span>", '<span id="OLK_SRC_BODY_SECTION">',
    "<blockquote>", "</blockquote>", "<br>", '<hr id="stopSpelling">', "<pre>", "</pre>", "<li>", "<td>", "word", "&lt;b&gt;", '"', "< ", ">",   # "<word" would begin a tag
]), max_size=30).map("".join))
def test_no_word_is_lost_and_no_tag_is_shown(html: str) -> None:
    text = html_to_text(html)
    assert text.count("word") == html.count("word")
    assert "gmail_attr" not in text


STUBS = [
    "This message is in HTML format and cannot be displayed by your client.", "Diese Mail kann nur als HTML angezeigt werden.",
    "Votre messagerie ne peut pas afficher le HTML.",
]
MAIL = (
    "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain;"
    " charset=utf-8\r\n\r\n{}\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>It blinks.</p>\r\n--b--\r\n"
)


@pytest.mark.parametrize("stub", STUBS)
def test_a_plain_part_that_only_points_to_the_html_is_not_the_text(stub: str) -> None:
    assert parse(MAIL.format(stub).encode()).text.strip() == "It blinks."


@pytest.mark.parametrize("plain", ["It blinks, HTML or not.", "It blinks in the client.", "It blinks. " * 60 + "HTML client", "It blinks!\r\nRead it in a client that displays HTML."])
def test_plain_text_that_says_something_is_the_text(plain: str) -> None:
    assert parse(MAIL.format(plain).encode()).text.strip() == plain.replace("\r", "")


def test_a_stub_alone_is_the_text() -> None:
    raw = f"From: a@b.example\r\nContent-Type: text/plain\r\n\r\n{STUBS[0]}\r\n"
    assert parse(raw.encode()).text.strip() == STUBS[0]


INSIDE = "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: Ann <ann@c.example>\r\nSubject: Lamp\r\n{}\r\n\r\nIt blinks.\r\n"
AROUND = "From: a@b.example\r\nContent-Type: multipart/{}; boundary=b\r\n\r\n{}--b--\r\n"


def test_the_one_mail_inside_is_read() -> None:
    found = parse(AROUND.format("mixed", INSIDE.format("To: x@y.example")).encode()).enclosed
    assert found is not None
    assert (found.sender.address, found.subject, found.body, found.when) == ("ann@c.example", "Lamp", "It blinks.", "")


@pytest.mark.parametrize("raw", [
    AROUND.format("mixed", INSIDE.format("To: x@y.example") * 2), AROUND.format("report; report-type=delivery-status", INSIDE.format("To: x@y.example")),
    AROUND.format("mixed", INSIDE.format("X: " + "y" * 40_000)), AROUND.format("mixed", INSIDE.replace("From:", "X-From:")), AROUND.format("mixed", ""),
])
def test_several_or_unreadable_or_returned_mails_are_none(raw: str) -> None:
    assert parse(raw.encode()).enclosed is None
