"""Attacks that succeeded once. Each is named after the promise that it broke.

What is still marked is known and not repaired yet: whoever repairs it takes the mark away.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from functools import partial

import pytest

from gateway.core.command import parse_block
from tests.desk import (
    ANN,
    ANNA,
    BERT,
    DAN,
    EVE,
    POLICY,
    SUPPORT,
    Desk,
    Outcome,
    Sent,
    answered,
    opened,
)

OUTSIDE = {"mail_from": EVE, "relay": None}     # how a stranger's mail arrives, whatever From says
SECRET = "secretword: she forged an invoice"
found = partial(pytest.mark.xfail, strict=True, raises=AssertionError)


def with_parts(desk: Desk, sent: Sent, sender: str, text: str, *parts: str) -> Outcome:
    """An agent's reply with attachments."""
    mail = sent.mail
    head = (
        f"From: {sender}\nTo: {sent.reply_to}\nSubject: Re: {mail.subject}\nMessage-ID: <parts{desk.count}@acme.example>\n"
        f"In-Reply-To: <{mail.message_id}>\nReferences: <{mail.message_id}>\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="B"\n\n'
    )
    leaves = "".join(f"--B\n{part}\n" for part in (f"Content-Type: text/plain; charset=utf-8\n\n{text}", *parts))
    raw = f"{head}{leaves}--B--\n".replace("\r\n", "\n").replace("\n", "\r\n").encode()
    return desk.receive(desk.spooled(raw, sender, sent.reply_to))


def html_reply(desk: Desk, sent: Sent, html: str) -> Outcome:
    return desk.receive(desk.write(
        ANNA, sent.reply_to, html, subject=f"Re: {sent.mail.subject}", in_reply_to=f"<{sent.mail.message_id}>",
        mime_version="1.0", content_type="text/html; charset=utf-8",
    ))


def shown(out: Outcome, address: str) -> str:
    """All that ``address`` gets to see, as text, HTML and raw."""
    return "\n".join(f"{s.text}\n{s.row.html}\n{s.raw.decode('utf-8', 'replace')}" for s in out.to(address))


# --- (a) Strangers -------------------------------------------------------------------------------


def test_a_stranger_cannot_prepare_a_ticket_that_catches_anothers_mail():
    """Eve mailed Ann <bait>, and support a mail that refers to it with Ann on Cc. Ann asks support about <bait>."""
    desk = Desk()
    desk.mail(EVE, SUPPORT, "hi", subject="x", cc=ANN, references="<bait@evil.example>")
    asked = desk.mail(ANN, SUPPORT, "Is this real? I am customer 4711.", subject="Fwd: offer", in_reply_to="<bait@evil.example>")
    answer = desk.answer(asked.to(ANNA)[0], ANNA, "Dear Ann, your PIN is 0000.")
    assert not answer.to(EVE)
    assert answer.to(ANN)


def test_a_stranger_cannot_pull_anothers_new_ticket_into_his_own_by_a_second_copy():
    """Eve was on Cc of Ann's mail: she knows its id and text, and has a reply address of her own ticket."""
    desk = Desk(policy=replace(POLICY, reply_to_token=True))
    mine = desk.mail(EVE, SUPPORT, "I am Eve.", subject="Eve's").to(EVE)[0]
    same = {"message_id": "<ann1@cust.example>", "subject": "Reset"}
    asked = desk.mail(ANN, SUPPORT, "I lost my password.", **same)
    desk.mail(ANN, mine.reply_to, "I lost my password.", **same, envelope=OUTSIDE)
    answer = desk.answer(asked.to(ANNA)[0], ANNA, "Your new password is hunter2.")
    assert not answer.to(EVE)
    assert desk.ticket(2).status != "void"


def test_whoever_only_holds_a_leaked_message_id_brings_nobody_in():
    """Dan's From is proven, but he has no part in Ann's ticket; he quotes an id of it and copies a friend."""
    desk, first, ans = answered()
    leaked = ans.to(ANN)[0]
    desk.receive(desk.reply(leaked, DAN, "hello", cc="friend@cust.example", envelope={"relay": "partner"}))
    answer = desk.answer(first.to(ANNA)[0], ANNA, "Your PIN is 0000.")
    assert not answer.to("friend@cust.example")


@pytest.mark.parametrize("header", [
    "victim@v.example, eve@evil.example", '"anna@acme.example" <victim@v.example>', "g: victim@v.example;",
])
def test_no_acknowledgement_goes_to_one_of_two_readings_of_from(header: str):
    desk = Desk()
    raw = f"From: {header}\r\nTo: {SUPPORT}\r\nSubject: s\r\nMessage-ID: <a@x>\r\n\r\nhi\r\n".encode()
    assert not desk.receive(desk.spooled(raw, EVE, SUPPORT, relay=None)).to("victim@v.example")


def test_no_acknowledgement_goes_to_a_from_that_the_envelope_contradicts():
    out = Desk().mail("victim@v.example", SUPPORT, "x", envelope=OUTSIDE)
    assert not out.to("victim@v.example")


def test_sub_addresses_share_one_budget():
    desk = Desk()
    for n in range(8):
        desk.mail(f"victim+{n}@v.example", SUPPORT, f"x{n}", subject=f"s{n}")
    assert sum(s.row.kind == "ack" for s in desk.sent) <= 3


def test_forged_mails_do_not_hide_the_proven_mail_of_their_victim():
    desk = Desk()
    for n in range(11):
        desk.mail(ANN, SUPPORT, f"spam{n}", subject=f"s{n}", envelope=OUTSIDE)
    out = desk.mail(ANN, SUPPORT, "My house burns.", subject="Help!", envelope={"relay": "partner"})
    assert out.to(ANNA) or out.to(BERT), "nobody is told of a mail that is proven to be hers"


def test_a_stranger_cannot_keep_his_mail_from_all_agents():
    out = Desk().mail(EVE, [SUPPORT, ANNA, BERT], "x", rcpts=[SUPPORT])
    assert [s for s in out.sent if s.row.kind == "notice"]


def test_the_proven_delivery_of_bytes_that_a_stranger_delivered_first_is_carried_out():
    desk, first = opened()
    notice = first.to(ANNA)[0]
    forged = desk.reply(notice, ANNA, "The true answer.", envelope={"relay": None})
    assert desk.receive(forged).held == "unproven"
    true = desk.spooled(desk.raws[forged.spool_id], ANNA, notice.reply_to)
    assert desk.receive(true).to(ANN)


def test_a_forged_customer_with_a_guessed_number_reopens_nothing_unseen():
    desk, first, _ = answered()
    desk.answer(first.to(ANNA)[0], ANNA, "#solved")
    out = desk.mail(ANN, SUPPORT, "Pay to another account.", subject="[ABC-1]", envelope=OUTSIDE)
    assert desk.ticket(1).status == "solved" or ":: !" in out.to(ANNA)[0].text


def test_a_holder_adds_a_message_and_changes_no_status():
    desk, first, _ = answered()
    desk.answer(first.to(ANNA)[0], ANNA, "#solved")
    desk.mail(EVE, first.to(ANNA)[0].reply_to, "hi", subject="Re: Printer broken", envelope=OUTSIDE)
    assert desk.ticket(1).status == "solved"


# --- (b) Nothing internal reaches a customer -----------------------------------------------------


def test_an_agent_whose_own_ticket_was_merged_can_still_write_notes():
    """Anna forwarded something to support, Bert merged it: from then on her notes are 'customer mail'."""
    desk, first, ans = answered()
    forwarded = desk.mail(f"Anna Ek <{ANNA}>", SUPPORT, "Fwd: see below", subject="Fwd: fire")
    desk.answer(forwarded.to(BERT)[0], BERT, "#merge ABC-1", envelope={"login": "bert"})
    more = desk.answer(ans.to(ANN)[0], ANN, "Still burning.")
    desk.answer(more.to(ANNA)[0], ANNA, f"#note\n{SECRET}")
    out = desk.answer(first.to(BERT)[0], BERT, "We look into it.")
    out = desk.answer(out.to(BERT)[0], BERT, "#send") if out.held else out
    assert out.to(ANN)
    assert "secretword" not in shown(out, ANN)


def test_a_notice_of_ours_is_not_attached_to_a_public_answer():
    desk, first = opened()
    note = desk.answer(first.to(ANNA)[0], ANNA, f"#note\n{SECRET}").to(BERT)[0]
    original = f'Content-Type: message/rfc822\nContent-Disposition: attachment; filename="original.eml"\n\n{note.raw.decode()}'
    out = with_parts(desk, note, BERT, "#public\nHello Ann, we are on it.", original)
    assert "secretword" not in shown(out, ANN)
    assert ":: ABC-1" not in shown(out, ANN)


@pytest.mark.parametrize("above", [
    "Hi Bert,\n", "Sent from my iPhone\n", "Thanks.\n> It is on fire.", "\N{MEMO}", "---",
])
def test_a_note_command_that_is_not_on_top_does_not_publish_the_note(above: str):
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, f"{above}\n#note\n{SECRET}")
    assert "secretword" not in shown(out, ANN)


@pytest.mark.parametrize("unseen", ["\ufe0f", "\u034f", "\u3164", "\u2800", "\u115f", "\ufe0f\n", "\u2800\n"])
def test_no_invisible_character_publishes_a_note(unseen: str):
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, f"{unseen}#note\n{SECRET}")
    assert "secretword" not in shown(out, ANN)


@pytest.mark.parametrize("line", [
    "*#note*", "**#note**", "- #note", "\N{BULLET} #note", "1. #note", '"#note"', "\\#note", "\N{MUSIC SHARP SIGN}note",
    "[note]", "N\u043ete:", "Internal:", "Notes:",
])
def test_a_command_in_marks_or_look_alikes_publishes_no_note(line: str):
    desk, first = opened()
    out = desk.answer(first.to(ANNA)[0], ANNA, f"{line}\n{SECRET}")
    assert "secretword" not in shown(out, ANN)


@pytest.mark.parametrize("html", [
    f"<ul><li>#note</li></ul><p>{SECRET}</p>",
    f"<table><tr><td>logo</td></tr><tr><td>#note</td></tr></table><p>{SECRET}</p>",
    f'<div style="display:none">preview</div><p>#note</p><p>{SECRET}</p>',
])
def test_a_note_in_html_alone_is_a_note(html: str):
    desk, first = opened()
    assert "secretword" not in shown(html_reply(desk, first.to(ANNA)[0], html), ANN)


def test_a_note_that_was_wrapped_anew_holds_the_answer():
    note = "The customer was caught twice with forged invoices, and our lawyer says we must not promise any refund before March"
    desk, first = opened()
    desk.answer(first.to(ANNA)[0], ANNA, f"#note\n{note}")
    pasted = "\n".join(textwrap.wrap(note, 60))
    assert desk.answer(first.to(BERT)[0], BERT, f"Hello Ann,\n{pasted}\nbye").held == "leftover"


@pytest.mark.parametrize("spelling", [
    lambda local, at: f"{local[:8]}\n{local[8:]}{at}",
    lambda local, at: f"{local[:12]}\u200b{local[12:]}{at}",
    lambda local, at: f"{local[:12]}\u00ad{local[12:]}{at}",
    lambda local, at: f"{local}{at}".replace("-", "\u2011"),
    lambda local, at: f"{local}{at}".replace("-", "\\-"),
], ids=["wrapped", "zero-width", "soft hyphen", "hard hyphen", "escaped"])
def test_no_spelling_of_an_agents_reply_address_reaches_a_customer(spelling):
    desk, first = opened()
    notice = first.to(ANNA)[0]
    local, _, domain = notice.reply_to.partition("@")
    out = desk.answer(notice, ANNA, f"Hello, write to {spelling(local, f'@{domain}')}\nbye")
    assert out.held == "leftover"
    assert not out.to(ANN)


@pytest.mark.parametrize("way", ["bold", "percent", "file"])
def test_no_reply_address_is_in_html_or_in_a_file_name(way: str):
    desk, first = opened()
    notice = first.to(ANNA)[0]
    local, _, domain = notice.reply_to.partition("@")
    if way == "file":
        out = with_parts(desk, notice, ANNA, "Look.", f'Content-Type: application/pdf\nContent-Disposition: attachment; filename="{local}@{domain}.pdf"\n\nPDF')
        assert local not in shown(out, ANN)
        return
    cut = {"bold": f"{local[:7]}<b>{local[7:]}</b>@{domain}", "percent": f'<a href="mailto:%74{local[1:]}@{domain}">x</a>'}
    out = html_reply(desk, notice, f"<p>Hello {cut[way]} bye</p>")
    assert local[8:] not in re.sub("<(?!a)[^>]*>", "", out.to(ANN)[0].row.html)


@pytest.mark.parametrize("html", [f'<p><img src="cid:a" alt="{SECRET}">It works.</p>', f'<p title="{SECRET}">It works.</p>'])
def test_no_attribute_of_an_agents_html_is_published_unread(html: str):
    desk, first = opened()
    notice = first.to(ANNA)[0]
    out = desk.receive(desk.write(
        ANNA, notice.reply_to, f"--B\nContent-Type: text/plain\n\nIt works.\n--B\nContent-Type: text/html\n\n{html}\n--B--",
        subject=f"Re: {notice.mail.subject}", in_reply_to=f"<{notice.mail.message_id}>", mime_version="1.0",
        content_type='multipart/alternative; boundary="B"',
    ))
    assert "secretword" not in shown(out, ANN)


# --- (c) Agents ----------------------------------------------------------------------------------


def test_colleagues_are_warned_of_an_unproven_mail_in_an_agents_name():
    out = Desk().mail(f"Bert Oh <{BERT}>", SUPPORT, "Please send me the customer list.", envelope=OUTSIDE)
    assert ":: !" in out.to(ANNA)[0].text


def test_a_light_agent_sends_no_file_to_a_customer():
    light = tuple(replace(a, role="light") if a.login == "bert" else a for a in POLICY.agents)
    desk, first = opened(desk=Desk(policy=replace(POLICY, agents=light)))
    out = with_parts(desk, first.to(BERT)[0], BERT, "#help", 'Content-Type: application/pdf\nContent-Disposition: attachment; filename="a.pdf"\n\nPDF')
    assert not out.to(ANN)


# --- (d) Crashes, stalls, loops ------------------------------------------------------------------


MARKS = "\u0316\u0301\u0327" * 60_000     # in quadratic time this takes minutes: the limit of every test ends it


def test_a_line_of_combining_marks_is_read_in_linear_time():
    assert parse_block("#a" + MARKS).suspects


def test_a_strangers_mail_is_decided_whatever_its_first_line_holds():
    desk = Desk()
    first = desk.mail(EVE, SUPPORT, "hi").to(EVE)[0]
    mail = desk.write(
        f"Anna <{ANNA}>", SUPPORT, f"<p>#a{MARKS}</p>", envelope=OUTSIDE,
        in_reply_to=f"<{first.mail.message_id}>", mime_version="1.0", content_type="text/html; charset=utf-8",
    )
    assert desk.receive(mail).held == "unproven"


def test_of_a_mail_of_many_short_lines_agents_are_shown_a_part_and_the_whole_is_stored():
    """Escaping and quoting two megabytes line by line would hold up the mail behind it."""
    desk = Desk()
    out = desk.mail(EVE, SUPPORT, "x\n" * (512 * 1024))
    assert len(out.to(ANNA)[0].text) < 110_000
    assert len(out.rows.message_texts[0].whole_text) > 1_000_000


def test_a_robot_at_an_agents_address_does_not_loop_with_our_held_notices():
    desk, first = opened()
    last = first.to(ANNA)[0]
    for _ in range(12):
        out = desk.answer(last, ANNA, "#away\nI am away.")
        if not out.to(ANNA):
            break
        last = out.to(ANNA)[0]
    assert sum(s.row.kind == "held_notice" for s in desk.sent) <= POLICY.budgets.automatic_per_ticket_hour


@found(reason="MEDIUM: the robot-peer detector of security §2.3 is not built; relayed mail has no budget at all")
def test_two_responders_without_headers_do_not_write_to_each_other_for_ever():
    desk, _, ans = answered()
    mail, rounds = desk.reply(ans.to(ANN)[0], ANN, "I am away."), 0
    for rounds in range(1, 31):
        notice = desk.receive(mail).to(ANNA)
        out = desk.answer(notice[0], ANNA, f"I am away, too. {rounds}").to(ANN) if notice else []
        if not out:
            break
        mail = desk.reply(out[0], ANN, f"I am away. {rounds}")
    assert rounds < 30


def test_what_a_mail_does_does_not_hang_on_its_neighbours_in_the_batch():
    def matched(*, with_neighbour: bool) -> bool:
        desk, first, _ = answered()
        ack = first.to(ANN)[0].mail.message_id
        many = " ".join(f"<r{n}@x.example>" for n in range(30))
        mail = desk.write(DAN, SUPPORT, "Me, too.", subject="Other", references=f"<old@x.example> <{ack}> {many}")
        neighbour = [desk.write(EVE, SUPPORT, "hm", subject="[ABC-1]")] if with_neighbour else []
        out = desk.receive(*neighbour, mail)
        return out.decisions[-1].rows.messages[0].ticket == 1

    assert matched(with_neighbour=True) == matched(with_neighbour=False)


