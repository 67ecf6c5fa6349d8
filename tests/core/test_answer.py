"""What becomes of an agent's mail on a ticket: sent, kept internal, carried out, or held with a question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.desk import (
    ANN,
    ANNA,
    BERT,
    BILLING,
    CARO,
    DAN,
    EVE,
    HOUR,
    POLICY,
    SUPPORT,
    Desk,
    Outcome,
    Sent,
    answered,
    header,
    opened,
    with_policy,
)

REMOTE = {"relay": None}        # handed in by nobody who vouches for anything


def notice(outcome: Outcome, to: str = ANNA) -> Sent:
    return outcome.to(to)[0]


def sentence(outcome: Outcome, to: str = ANNA) -> str:
    """The one held notice, as its reader reads it."""
    (found,) = [s for s in outcome.to(to) if s.row.kind in ("held_notice", "unproven_notice")]
    return " ".join(found.text.split())


# --- Plain answers --------------------------------------------------------------------------


def test_a_plain_reply_to_a_notice_goes_to_the_customer_from_the_queues_address():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "Have you tried water?")
    (mail,) = out.to(ANN)
    assert mail.row.kind == "reply"
    assert mail.mail.sender is not None
    assert (mail.mail.sender.address, mail.mail.sender.name) == (SUPPORT, "Anna Ek (Acme Support)")
    assert mail.text.splitlines()[0] == "Have you tried water?"
    assert mail.mail.subject == "Re: [ABC-1] Printer broken"
    assert "> It is on fire." in mail.text, "our last public message stands below"
    assert mail.mail.in_reply_to == ("m1@cust.example",)
    assert desk.ticket(1).status == "open"


def test_who_answers_first_takes_the_ticket_and_later_mail_goes_to_that_agent_only():
    desk, _, out = answered()
    assert desk.roles(1) == {ANN: "requester"}
    more = desk.answer(out.to(ANN)[0], ANN, "No.")
    assert more.kinds() == [("notice", ANNA)]


def test_a_colleagues_ticket_stays_his_when_i_answer():
    desk, first = opened()
    desk.answer(notice(first, BERT), BERT, "#take")
    desk.answer(notice(first), ANNA, "I know this one.")
    person = desk.ticket(1).assignee
    assert next(p.address for p in desk.all.persons if p.id == person) == BERT


def test_the_other_agents_of_the_ticket_are_told_briefly_and_the_writer_is_not():
    _, _, out = answered()
    assert out.kinds() == [("brief", BERT), ("reply", ANN)]
    assert "Have you tried water?" in notice(out, BERT).text


def test_an_agent_answers_from_any_of_the_agents_addresses():
    desk, first = opened()
    out = desk.answer(notice(first), "anna.ek@acme.example", "From the other account.")
    assert out.kinds() == [("brief", BERT), ("reply", ANN)]


def test_an_agent_logged_in_at_our_own_door_needs_no_vouching_relay():
    desk, first = opened()
    mail = desk.reply(notice(first), ANNA, "Hello.", envelope={"relay": None, "login": "anna", "channel": "submission"})
    assert desk.receive(mail).to(ANN)


def test_people_on_to_or_cc_of_the_answer_get_no_second_copy():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "Hello.", cc=f"{ANN}, {BERT}")
    assert out.kinds() == []
    assert "nobody_to_tell" in out.codes
    assert desk.ticket(1).last_agent_at is not None, "it counts as the answer that it is"


def test_a_changed_subject_changes_nothing_for_the_customer():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "Hello.", subject="quite something else, internal words")
    assert out.to(ANN)[0].mail.subject == "Re: [ABC-1] Printer broken"


def test_an_attachment_goes_along_with_the_answer():
    desk, first = opened()
    to = notice(first).reply_to
    raw = (
        f"From: {ANNA}\r\nTo: {to}\r\nSubject: Re: [ABC-1] x\r\nMessage-ID: <att@acme.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the plan.\r\n"
        "--b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\ncGxhbg==\r\n--b--\r\n"
    )
    out = desk.receive(desk.spooled(raw.encode(), ANNA, to))
    assert [p.name for p in out.to(ANN)[0].mail.parts] == ["plan.pdf"]
    assert out.to(BERT)[0].mail.parts == (), "a brief has the words only"


def test_commands_alone_post_no_message_even_with_a_logo_in_the_signature():
    desk, first = opened()
    to = notice(first).reply_to
    raw = (
        f"From: {ANNA}\r\nTo: {to}\r\nSubject: Re: [ABC-1] x\r\nMessage-ID: <logo@acme.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        '<p>#pending</p><img src="cid:logo@x">\r\n--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <logo@x>\r\n'
        "Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"
    )
    out = desk.receive(desk.spooled(raw.encode(), ANNA, to))
    assert out.kinds() == []
    assert desk.ticket(1).status == "pending"
    assert out.codes["posted"] == "commands only, no message"


# --- Commands -------------------------------------------------------------------------------


def test_commands_on_top_of_an_answer_are_carried_out_and_not_shown_to_the_customer():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#pending\n#tag vip\n#priority high\n\nPlease send a photo.")
    state = desk.ticket(1)
    assert (state.status, state.tags, state.priority) == ("pending", "vip", "high")
    (mail,) = out.to(ANN)
    assert "#" not in mail.text
    assert ":: ABC-1 :: pending, high, anna ::" in notice(out, BERT).text, "the footer tells the new state"
    assert out.codes["command"] == "#priority high"


def test_all_commands_are_carried_out_or_none_of_them():
    desk, first = opened()
    before = desk.ticket(1)
    out = desk.answer(notice(first), ANNA, "#tag vip\n#assign nobody-here\n\nAn answer.")
    assert out.held == "commands"
    assert out.kinds() == [("held_notice", ANNA)]
    assert "agents are anna, bert, caro" in sentence(out)
    after = desk.ticket(1)
    assert (after.status, after.tags, after.assignee) == (before.status, before.tags, before.assignee)
    assert out.events(1) == ["held"]


@pytest.mark.parametrize("line", ["#sovled", "Staus: solved", "#status broken", "#tag", "#\u200bsolved", "#merge x", "#ѕolved"])
def test_a_mistyped_command_holds_the_mail_and_nothing_reaches_the_customer(line):
    desk, first = opened()
    line = f"Priority: high\n{line}" if line.startswith("Staus") else line
    out = desk.answer(
        notice(first), ANNA, f"{line}\n\nBye.", content_type="text/plain; charset=utf-8"
    )
    assert out.held == "commands"
    assert out.kinds() == [("held_notice", ANNA)]
    assert desk.ticket(1).status == "new"


def test_the_notice_about_held_mail_names_the_line_and_what_would_be_valid():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#sovled\n\nBye.")
    assert "> #sovled did you mean #solved ?" in sentence(out)
    assert header(notice(out), "auto-submitted") == "auto-replied"
    assert header(notice(out), "in-reply-to") == "<m2@acme.example>"


def test_a_refused_move_tells_what_is_possible():
    desk, _, out = answered()
    brief = notice(out, BERT)
    desk.answer(brief, BERT, "#closed")
    out = desk.answer(brief, BERT, "#pending")
    assert out.held == "commands"
    assert "a ticket that is closed can become open, void" in sentence(out, BERT)


def test_help_and_why_are_answered_to_the_agent_only():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#help")
    assert out.kinds() == [("result", ANNA)]
    assert "#solved" in notice(out).text
    assert desk.ticket(1).status == "new"


@pytest.mark.parametrize("word", ["#why", "#WHY", "#warum", "# why"])
def test_why_lists_the_recorded_reasons_newest_mail_first(word):
    desk, first = opened()
    desk.answer(notice(first), ANNA, "#tag vip")
    out = desk.answer(notice(first), ANNA, word)
    text = notice(out).text
    assert "command: #tag vip" in text
    assert f"acknowledged: {ANN}" in text
    assert text.index("command: #tag vip") < text.index("acknowledged:")


def test_why_of_a_ticket_that_says_nothing_says_so():
    desk, first = opened()
    desk.all = replace(desk.all, decisions=())      # as after years, when old reasons are gone
    out = desk.answer(notice(first), ANNA, "#why")
    assert "nothing is recorded" in notice(out).text


def test_help_and_an_answer_in_one_mail_do_both():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#help\n#why\n\nHello.")
    assert out.kinds() == [("brief", BERT), ("reply", ANN), ("result", ANNA)]


# --- Internal -------------------------------------------------------------------------------


def test_a_note_stays_internal():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#note\n\nThis customer always complains.")
    assert out.kinds() == [("note_notice", BERT)]
    assert desk.ticket(1).last_agent_at is None, "a note is no answer"
    assert out.events(1) == ["note"]
    assert desk.ticket(1).status == "new"


def test_a_reply_to_a_note_stays_internal():
    desk, first = opened()
    noted = desk.answer(notice(first), ANNA, "#note\n\nThis customer always complains.")
    out = desk.answer(notice(noted, BERT), BERT, "I know, since years.")
    assert out.kinds() == [("note_notice", ANNA)]
    assert out.events(1) == ["note"]


def test_a_reply_to_a_note_without_ids_stays_internal_by_its_address_alone():
    desk, first = opened()
    noted = desk.answer(notice(first), ANNA, "#note\n\nThis customer always complains.")
    out = desk.answer(notice(noted, BERT), BERT, "I know.", in_reply_to="", references="")
    assert out.kinds() == [("note_notice", ANNA)]


def test_public_makes_a_reply_to_a_note_public():
    desk, first = opened()
    noted = desk.answer(notice(first), ANNA, "#note\n\nShall we tell her about the recall?")
    out = desk.answer(notice(noted, BERT), BERT, "#public\n\nDear Ann, yes.")
    assert ("reply", ANN) in out.kinds()


def test_the_words_of_a_note_in_a_public_answer_hold_it():
    desk, first = opened()
    desk.answer(notice(first), ANNA, "#note\n\nThis customer always complains about toner.")
    out = desk.answer(notice(first), ANNA, "Hello,\nthis  customer ALWAYS complains about toner. Sorry.")
    assert out.held == "leftover"
    assert out.kinds() == [("held_notice", ANNA)]
    assert "complains about toner" in sentence(out)


def merged_with_note() -> tuple[Desk, Outcome, Outcome]:
    desk, first = opened()
    second = desk.mail(EVE, SUPPORT, "Mine too.", subject="Another fire")
    desk.answer(notice(second), ANNA, "#note\n\nThis customer always complains about toner.")
    desk.answer(notice(second), ANNA, "#merge ABC-1", envelope={"login": "anna"})
    return desk, first, second


def test_the_words_of_a_note_hold_the_answer_after_its_ticket_was_merged():
    desk, _, second = merged_with_note()
    out = desk.answer(notice(second), ANNA, "Hello,\nThis customer always complains about toner.")
    assert out.held == "leftover"


def test_the_words_of_a_note_hold_the_answer_on_the_ticket_it_was_merged_into():
    desk, first, _ = merged_with_note()
    out = desk.answer(notice(first), ANNA, "Hello,\nThis customer always complains about toner.")
    assert out.held == "leftover"


def test_a_short_line_that_a_note_shares_with_an_answer_holds_nothing():
    desk, first = opened()
    desk.answer(notice(first), ANNA, "#note\n\nHello Bert,")
    assert desk.answer(notice(first), ANNA, "Hello Bert,\nand Ann").held is None


@pytest.mark.parametrize(
    "line", [":: ABC-1 :: new, normal :: #take #pending", "> :: ! Sent with the reply address of x.", "* :: ABC-9 :: open"]
)
def test_a_leftover_of_our_footer_holds_the_answer(line):
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, f"Hello Ann,\n{line}\nand thanks.")
    assert out.held == "leftover"
    assert not out.to(ANN)


def test_a_leftover_footer_in_a_note_harms_nobody():
    desk, first = opened()
    assert desk.answer(notice(first), ANNA, "#note\nlook:\n:: ABC-1 :: new, normal :: #take").held is None


# --- Two agents -----------------------------------------------------------------------------


def stale() -> tuple[Desk, Outcome, Outcome]:
    desk, first = opened()
    desk.answer(notice(first, BERT), BERT, "Bert's answer.")
    return desk, first, desk.answer(notice(first), ANNA, "#solved\n\nAnna's answer.")


def test_an_answer_to_a_notice_older_than_a_colleagues_answer_is_held_and_says_who_was_first():
    desk, _, out = stale()
    assert out.held == "stale"
    assert out.kinds() == [("held_notice", ANNA)]
    assert "2026-11-23 09:02 UTC" in sentence(out)
    assert BERT in sentence(out) or "Bert" in sentence(out)
    assert desk.ticket(1).status == "open"


def test_send_releases_a_stale_answer_with_its_commands():
    desk, _, held = stale()
    out = desk.answer(notice(held), ANNA, "#send")
    (mail,) = out.to(ANN)
    assert mail.text.startswith("Anna's answer.")
    assert "#" not in mail.text
    assert "released" in out.events(1)
    assert desk.ticket(1).status == "solved", "all of the mail is done, its commands too"
    assert desk.message(3).hold is None
    assert desk.message(3).is_public


def test_send_tells_the_other_agents_as_an_answer_does():
    desk, _, held = stale()
    out = desk.answer(notice(held), ANNA, "#send")
    assert ("brief", BERT) in out.kinds()


def test_a_second_send_does_not_answer_the_customer_twice():
    desk, _, held = stale()
    desk.answer(notice(held), ANNA, "#send")
    out = desk.answer(notice(held), ANNA, "#send")
    assert not out.to(ANN)
    assert out.held == "commands"


def test_two_sends_in_one_batch_do_not_answer_the_customer_twice():
    desk, _, held = stale()
    out = desk.receive(desk.reply(notice(held), ANNA, "#send"), desk.reply(notice(held), ANNA, "#send"))
    assert len(out.to(ANN)) == 1


def test_only_the_writer_may_release_a_held_answer():
    desk, _, held = stale()
    forwarded = notice(held)
    bert = next(s for s in desk.sent if s.row.rcpt_to == BERT and s.row.kind == "notice")
    out = desk.answer(forwarded, BERT, "#send", to=bert.reply_to)
    assert not out.to(ANN)
    assert out.held == "commands"


def test_send_in_reply_to_anything_else_is_held():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#send")
    assert out.held == "commands"
    assert "reply #send to the notice about the held mail" in sentence(out)


@pytest.mark.parametrize("text", ["#sovled\n\nBye.", "Hello,\n:: ABC-1 :: new, normal :: #take #help\n"])
def test_send_does_not_release_what_cannot_be_released(text):
    desk, first = opened()
    held = desk.answer(notice(first), ANNA, text)
    out = desk.answer(notice(held), ANNA, "#send")
    assert not out.to(ANN)
    assert "this one cannot be released" in sentence(out)


def test_a_released_answer_is_still_searched_for_internal_words():
    desk, _, held = stale()
    bert = next(s for s in desk.sent if s.row.rcpt_to == BERT and s.row.kind == "notice")
    desk.answer(bert, BERT, "#note\n\nAs the saying goes: Anna's answer.")
    desk.answer(bert, BERT, "#note\n\nAnna's answer.   But longer than twenty letters.")
    late = desk.answer(notice(held), ANNA, "#send")
    assert late.to(ANN), "a note that quotes half of it is no leak"
    desk, first = opened()
    desk.answer(notice(first, BERT), BERT, "Bert's answer.")
    held = desk.answer(notice(first), ANNA, "An answer that will turn up in a note.")
    desk.answer(notice(first, BERT), BERT, "#note\n\nAn answer that will turn up in a note.")
    out = desk.answer(notice(held), ANNA, "#send")
    assert out.held == "leftover"
    assert not out.to(ANN)


def test_commands_beside_send_are_carried_out_too():
    desk, _, held = stale()
    out = desk.answer(notice(held), ANNA, "#send\n#pending")
    assert out.to(ANN)
    assert desk.ticket(1).status == "pending"


def test_a_bad_command_beside_send_holds_everything():
    desk, _, held = stale()
    out = desk.answer(notice(held), ANNA, "#send\n#assign nobody-here")
    assert out.held == "commands"
    assert not out.to(ANN)
    assert desk.message(3).hold == "stale"


def test_send_with_note_keeps_the_held_answer_internal():
    desk, _, held = stale()
    out = desk.answer(notice(held), ANNA, "#send\n#note")
    assert not out.to(ANN)
    assert out.events(1)[:2] == ["released", "note"]


def test_releasing_commands_without_words_sends_no_empty_answer():
    desk, first = opened()
    held = fresh(desk, notice(first), "#solved")
    out = desk.answer(notice(held), ANNA, "#send")
    assert not out.to(ANN)
    assert desk.ticket(1).status == "solved"


def test_what_follows_a_merge_in_the_same_mail_is_refused_not_lost():
    desk, _ = opened()
    second = desk.mail(EVE, SUPPORT, "Mine too.", subject="Another fire")
    out = desk.answer(notice(second), ANNA, "#merge ABC-1\n#solved", envelope={"login": "anna"})
    assert out.held == "commands"
    assert "write #merge last" in sentence(out)
    assert desk.answer(notice(second), ANNA, "#solved\n#merge ABC-1", envelope={"login": "anna"}).held is None


def test_my_own_second_thought_is_not_stale():
    desk, first = opened()
    desk.answer(notice(first), ANNA, "One thing.")
    out = desk.answer(notice(first), ANNA, "And another.")
    assert out.held is None
    assert out.to(ANN)


def test_an_answer_to_a_notice_newer_than_the_colleagues_answer_goes_out():
    desk, first = opened()
    brief = desk.answer(notice(first), ANNA, "Anna's answer.")
    out = desk.answer(notice(brief, BERT), BERT, "I may add something.")
    assert out.held is None
    assert out.to(ANN)


def test_a_note_is_never_stale():
    desk, first = opened()
    desk.answer(notice(first, BERT), BERT, "Bert's answer.")
    assert desk.answer(notice(first), ANNA, "#note\n\nI would have said no.").held is None


# --- Mail to a reply address that answers nothing (ruling 3) --------------------------------


def fresh(desk: Desk, to: Sent, text: str, sender: str = ANNA) -> Outcome:
    """A new mail to an address that the mail program remembered."""
    return desk.mail(sender, to.reply_to, text, subject="Lunch on Friday")


def test_an_agents_new_mail_to_a_reply_address_is_held_with_a_question():
    desk, first = opened()
    out = fresh(desk, notice(first), "Shall we eat together?")
    assert out.held == "question"
    assert out.kinds() == [("held_notice", ANNA)]
    assert "Reply #send" in sentence(out)


def test_send_answers_the_question_with_yes():
    desk, first = opened()
    held = fresh(desk, notice(first), "Dear Ann, the part is here.")
    assert desk.answer(notice(held), ANNA, "#send").to(ANN)


def test_a_held_note_stays_a_note_when_it_is_released():
    desk, first = opened()
    held = fresh(desk, notice(first), "#note\n\nThis customer always complains.")
    assert held.held is not None
    out = desk.answer(notice(held), ANNA, "#send")
    assert out.kinds() == [("note_notice", BERT)]
    assert out.events(1) == ["released", "note"]
    assert not desk.message(2).is_public


def test_a_held_mail_to_a_notes_address_stays_internal_when_it_is_released():
    desk, first = opened()
    noted = desk.answer(notice(first), ANNA, "#note\n\nThis customer always complains.")
    held = fresh(desk, notice(noted, BERT), "Between us: I know.", sender=BERT)
    assert held.held is not None
    out = desk.answer(notice(held, BERT), BERT, "#send")
    assert not out.to(ANN)
    assert ("note_notice", ANNA) in out.kinds()


def test_a_mistyped_command_in_such_a_mail_cannot_be_released_at_all():
    desk, first = opened()
    held = fresh(desk, notice(first), "#noet\n\nThis customer always complains.")
    assert not desk.answer(notice(held), ANNA, "#send").to(ANN)


# --- Forged agents --------------------------------------------------------------------------


def test_a_forged_agent_with_the_right_reply_address_is_held_and_nothing_is_done():
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "#solved\n\nSend me the money.", envelope=REMOTE)
    assert out.held == "unproven"
    assert out.kinds() == [("unproven_notice", ANNA)]
    assert desk.ticket(1).status == "new"
    text = out.sent[0].raw.decode()
    assert "money" not in text
    assert "#solved" not in text


def test_an_agents_address_in_from_with_another_envelope_sender_is_held():
    desk, first = opened()
    mail = desk.reply(notice(first), ANNA, "Send me the money.", envelope={"mail_from": EVE})
    assert desk.receive(mail).held == "unproven"


def test_a_proven_agent_without_the_reply_address_is_held_too():
    """By our signed Message-ID alone: level 1 says who wrote, not that we asked."""
    desk, first = opened()
    out = desk.answer(notice(first), ANNA, "Hello.", to=SUPPORT)
    assert out.held == "unproven"


def test_a_colleagues_reply_address_is_not_my_proof():
    desk, first = opened()
    out = desk.answer(notice(first), BERT, "Hello.")
    assert out.held == "unproven"
    assert out.kinds() == [("unproven_notice", BERT)]


def test_a_thousand_forged_mails_make_one_notice_an_hour():
    desk, first = opened()
    told = [len(desk.answer(notice(first), ANNA, f"x{i}", envelope=REMOTE).sent) for i in range(5)]
    assert told == [1, 0, 0, 0, 0]
    desk.now += HOUR
    assert len(desk.answer(notice(first), ANNA, "again", envelope=REMOTE).sent) == 1


def test_forged_mails_in_one_batch_make_one_notice():
    desk, first = opened()
    out = desk.receive(*(desk.reply(notice(first), ANNA, f"x{i}", envelope=REMOTE) for i in range(3)))
    assert out.kinds() == [("unproven_notice", ANNA)]


def test_held_mail_gives_nobody_a_right_to_the_ticket():
    desk, first = opened()
    desk.answer(notice(first), ANNA, "x", cc=EVE, envelope=REMOTE, message_id="<forged@acme.example>")
    out = desk.mail(EVE, SUPPORT, "I was on copy.", in_reply_to="<forged@acme.example>", subject="Re: x")
    assert out.opened == [2], "a stranger's mail is a ticket of its own"


def test_the_true_copy_of_a_mail_that_was_held_as_unproven_is_carried_out():
    """Reply-all reaches support@ first, without the reply address among its recipients, then the address."""
    desk, first = opened()
    to = notice(first).reply_to
    more = {"cc": SUPPORT, "message_id": "<both@acme.example>"}
    held = desk.receive(desk.reply(notice(first), ANNA, "Hello Ann.", rcpts=[SUPPORT], **more))
    assert held.held == "unproven"
    out = desk.receive(desk.reply(notice(first), ANNA, "Hello Ann.", rcpts=[to], **more))
    assert out.to(ANN)


# --- An agent as a customer -----------------------------------------------------------------


def test_an_agent_who_is_the_customer_of_a_ticket_is_treated_as_one():
    desk = Desk()
    first = desk.mail(CARO, SUPPORT, "My printer is on fire.")
    assert first.kinds() == [("ack", CARO), ("notice", ANNA), ("notice", BERT)]
    out = desk.answer(notice(first), ANNA, "Have you tried water?")
    (mail,) = [s for s in out.to(CARO) if s.row.kind == "reply"]
    more = desk.answer(mail, CARO, "#solved\n\nYes, thanks.")
    assert desk.ticket(1).status == "open", "a customer's commands are text"
    assert "#solved" in notice(more).text
    assert desk.events(1)[-1].kind == "customer_reply"


def test_an_agent_who_is_the_customer_gets_the_answer_once():
    desk = Desk()
    first = desk.mail(BERT, SUPPORT, "My own printer is on fire.")
    assert first.kinds() == [("ack", BERT), ("notice", ANNA)]
    out = desk.answer(notice(first), ANNA, "Have you tried water?")
    assert out.kinds() == [("reply", BERT)]


def test_an_answer_on_a_ticket_of_two_customers_quotes_to_each_only_what_they_have_seen():
    """Security §3.2: a mail to a customer holds this reply and what that recipient was already sent."""
    desk = with_policy()
    first = desk.mail(ANN, SUPPORT, "It is on fire.", cc=DAN, envelope={"relay": "partner"})
    out = desk.answer(notice(first), ANNA, "Have you tried water?")
    assert out.to(ANN)
    dans = out.to(DAN)[0]
    more = desk.answer(dans, DAN, "Do not tell Ann, but she did it.", to=SUPPORT, envelope={"relay": "partner"})
    assert more.decision.disposition == "apply"
    last = desk.answer(notice(more), ANNA, "Thank you both.")
    assert "tell Ann" not in last.to(ANN)[0].raw.decode()
    assert "> Do not tell Ann" in last.to(DAN)[0].text


def test_our_last_public_answer_is_quoted_to_everybody_who_was_sent_it():
    desk = with_policy()
    first = desk.mail(ANN, SUPPORT, "It is on fire.", cc=DAN, envelope={"relay": "partner"})
    out = desk.answer(notice(first), ANNA, "Have you tried water?")
    out = desk.answer(notice(first), ANNA, "Or sand?")
    for address in (ANN, DAN):
        assert "> Have you tried water?" in out.to(address)[0].text


def test_a_ticket_of_another_queue_answers_from_that_queues_address():
    desk = Desk()
    first = desk.mail(ANN, BILLING, "A bill.")
    out = desk.answer(notice(first, CARO), CARO, "Paid.")
    assert out.to(ANN)[0].mail.sender.address == BILLING


def test_an_answer_that_holds_only_a_quotation_is_held_and_says_so():
    desk, first = opened()
    quoted = "\n".join(f"> {line}" for line in notice(first).text.splitlines())
    out = desk.answer(notice(first), ANNA, quoted)
    assert out.held == "empty"
    assert out.kinds() == [("held_notice", ANNA)]


LIGHT_ANNA = {"agents": tuple(replace(a, role="light") if a.login == "anna" else a for a in POLICY.agents)}


@pytest.mark.parametrize(("text", "held"), [
    ("#public\n\nDear Ann, hello.", "role"), ("#solved", "role"), ("#note\n#take\n\nMine.", "role"), ("#note\n\nHe called.", None),
    ("#help", None), ("#why", None),
])
def test_a_light_agent_writes_notes_and_asks_and_does_nothing_else(text: str, held: str | None):
    desk, first = opened(desk=with_policy(**LIGHT_ANNA))
    out = desk.answer(notice(first), ANNA, text)
    assert out.held == held
    assert not out.to(ANN)
