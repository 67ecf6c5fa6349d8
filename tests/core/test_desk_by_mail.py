"""The desk by mail: every row of the command table, from an agent's mail to what the ticket and its people see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.policy import Field, Macro
from tests.desk import (
    ANN,
    ANNA,
    BERT,
    CARO,
    DAN,
    SUPPORT,
    Desk,
    Outcome,
    Sent,
    opened,
    with_policy,
)

FIELDS = (
    Field(name="site", type="choice", choices=("Berlin", "Bad Homburg"), aliases=("standort",)),
    Field(name="room"), Field(name="cost", type="number"), Field(name="visit", type="date"),
)
MACROS = (
    Macro(name="reset", text="Dear {customer},\n\nyour password is reset ({ticket}).\n\n{agent} {else}", then=("#solved", "#tag +password")),
    Macro(name="quiet", then=("#priority low",)), Macro(name="request"),
)
BERLIN = {"date": "Mon, 23 Nov 2026 10:05:00 +0100"}


def desk() -> tuple[Desk, Sent]:
    """Ann's ticket ABC-1, and the notice of it that Anna answers."""
    own, first = opened(desk=with_policy(fields=FIELDS, macros=MACROS))
    return own, first.to(ANNA)[0]


def said(outcome: Outcome, to: str = ANNA, kind: str = "result") -> str:
    (mail,) = [s for s in outcome.to(to) if s.row.kind == kind]
    return mail.text


def values(own: Desk, ticket: int = 1) -> dict[str, str]:
    return {f.field: f.value for f in own.all.ticket_fields if f.ticket == ticket}


def column(own: Desk, name: str) -> str:
    found = getattr(own.ticket(1), name)
    return found.isoformat() if hasattr(found, "isoformat") else str(found)


@pytest.mark.parametrize(("lines", "name", "expected"), [
    ("#pending", "status", "pending"), ("#pending +2d", "pending_until", "2026-11-25T09:02:00+00:00"),
    ("#pending until fri", "pending_until", "2026-11-27T08:00:00+00:00"), ("#wartend bis morgen 9 Uhr", "pending_until", "2026-11-24T08:00:00+00:00"),
    ("Status: pending until 2026-12-24", "pending_until", "2026-12-24T08:00:00+00:00"),
    ("#pending 2bd", "pending_until", "2026-11-25T09:02:00+00:00"),
    ("#due tomorrow", "due_at", "2026-11-24T16:00:00+00:00"), ("#fällig 24.12. 14:30", "due_at", "2026-12-24T13:30:00+00:00"),
    ("Due: +4h", "due_at", "2026-11-23T13:02:00+00:00"), ("#frist none", "due_at", "None"),
    ("#group billing", "queue", "billing"), ("Queue: bil", "queue", "billing"), ("#assign @billing", "queue", "billing"),
    ("#type inc", "type", "incident"), ("#störung", "type", "incident"), ("#art Fehler", "type", "bug"), ("CF.{Type}: change", "type", "change"),
    ("#type bug\n#type bug", "type", "bug"), ("#type none", "type", "None"),
    ("#spent 30m\n#spent 1h15", "spent_minutes", "105"), ("TimeWorked: 20", "spent_minutes", "20"), ("#zeit 1,5 Std.", "spent_minutes", "90"),
    ("#spent 1h\n#spent -15m", "spent_minutes", "45"),
    ("#estimate 2h", "estimate_minutes", "120"), ("#estimate 2:30", "estimate_minutes", "150"), ("#estimate +30m", "estimate_minutes", "30"),
    ("#tag a, b\n#tag -a", "tags", "b"), ("#tag =x, y", "tags", "x y"), ("AddTags: p, q", "tags", "p q"), ('#tag "vip"', "tags", "vip"),
    ("#spam", "status", "void"), ("#incident", "type", "incident"),
    ("#priority 4", "priority", "urgent"), ("#take", "status", "new"),
])
def test_what_a_command_does_to_the_ticket(lines: str, name: str, expected: str) -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, lines, **BERLIN)
    assert out.decision.disposition == "apply", out.to(ANNA)[0].text if out.to(ANNA) else ""
    assert column(own, name) == expected


@pytest.mark.parametrize(("lines", "expected"), [
    ("#field site=berlin", {"site": "Berlin"}), ("#site bad", {"site": "Bad Homburg"}), ("#Standort: Berlin", {"site": "Berlin"}),
    ('CF.{Site}: "Bad Homburg"', {"site": "Bad Homburg"}), ("#feld room = 4.12\n#cost 12,50", {"room": "4.12", "cost": "12.50"}),
    ("#visit morgen", {"visit": "2026-11-24"}), ("#visit 2020-02-29", {"visit": "2020-02-29"}), ("#room none", {}),
    ('#field "room" "behind: the stairs"', {"room": "behind: the stairs"}),
])
def test_own_fields(lines: str, expected: dict[str, str]) -> None:
    own, notice = desk()
    assert own.answer(notice, ANNA, lines).decision.disposition == "apply"
    assert values(own) == expected
    assert all(v not in (e.before, e.after) for e in own.events(1) for v in expected.values()), "events hold no words"


@pytest.mark.parametrize(("lines", "valid"), [
    ("#group nowhere", "possible are support, billing"), ("#assign nobody-here", "agents are anna, bert, caro"),
    ("#due yesterday", "write +2d"), ("#due 2020-01-01", "is past"), ("#pending 2099-01-01", "ten years"), ("#due 31.2.", "write +2d"),
    ("#spent soon", "write minutes or hours"), ("#spent 0", "no time"), ("#spent -5m", "only 0m"), ("#estimate -5m", "the estimate is 0m"),
    ("#spent 99999h", "at most"), ("#estimate x", "write minutes"),
    ("#type thing", "possible are question"), ("#field nope=1", "possible are site, room"), ("#field x", "NAME=VALUE"),
    ("#site Graz", "possible are Berlin, Bad Homburg"), ("#site b", "may be Bad Homburg or Berlin"), ("#cost many", "cost is a number"),
    ("#visit soon", "visit is a date"), ("#visit sun 25:00", "visit is a date"), ("#restore", "only what #spam took away"),
    ("#requester anna", "write the address"), (f"#requester {BERT}", "is an agent's"), (f"#cc +{SUPPORT}", "an address of ours"),
    ("#cc someone", "write addresses"), (f"#cc +{DAN} -{DAN}", "both added and removed"), ("#cc", "write 1 to 10"),
    (f"#cc -{DAN}", f"on it are {ANN}"), (f"#cc -{ANN}", "is the requester"), ("#fwd", "forwards none"),
    ("#link blocks ABC-9", "ABC-9 is not a ticket here"), ("#link eats ABC-1", "possible are relates"), ("#link", "write #link blocks"),
    ("#link ABC-1", "ABC-1 is this ticket"), ("#unlink ABC-1", "is this ticket"), ("#macro nope", "possible are reset"),
    ("#macro re", "may be request or reset"), ("#macro", "write a name"), ("#undo", "no command on this ticket"),
    ("#undo 01ARZ3NDEKTSV4RRFFQ69G5FAV", "no such transaction"), ("#undo x", "write #undo alone"), ("#show x", "name a ticket"),
    ("#search", "what to look for"), ("#tag =a,+b", "= sets all tags"), ("#spam\n#solved", "says otherwise"),
    ("#field room=" + "x" * 201, "at most 200"), ("#fwd now", "takes no value"), ("#spam\n#pending", "otherwise"),
    ("#room a\n#field room=b", "otherwise"),
])
def test_a_refusal_says_what_would_have_been_valid_and_nothing_is_done(lines: str, valid: str) -> None:
    own, notice = desk()
    before = own.ticket(1)
    out = own.answer(notice, ANNA, f"#priority high\n{lines}\n\nSecret words.")
    assert out.held == "commands"
    assert valid in " ".join(said(out, kind="held_notice").split())
    assert replace(own.ticket(1), version=0, updated_at=before.updated_at) == replace(before, version=0)
    assert out.to(ANN) == []


def test_a_desk_without_fields_and_macros_says_so() -> None:
    own, first = opened()
    for line, valid in (("#field a=b", "no fields of its own"), ("#macro a", "no macros")):
        out = own.answer(first.to(ANNA)[0], ANNA, line)
        assert valid in said(out, kind="held_notice")


# --- People ---------------------------------------------------------------------------------


def test_people_are_put_on_the_ticket_and_taken_off() -> None:
    own, notice = desk()
    own.answer(notice, ANNA, f"#cc +{DAN}, eva@cust.example\n\nHello all.")
    assert own.roles(1) == {ANN: "requester", DAN: "cc", "eva@cust.example": "cc"}
    out = own.answer(notice, ANNA, f"DelCc: {DAN}")
    assert out.decision.disposition == "apply"
    again = own.answer(notice, ANNA, "To those who are left.")
    assert {s.row.rcpt_to for s in again.sent if s.row.kind == "reply"} == {ANN, "eva@cust.example"}
    own.answer(notice, ANNA, f"#cc {DAN} {ANN}")
    assert own.roles(1)[DAN] == "cc"
    assert own.roles(1)[ANN] == "requester", "who is on it already stays what he is"


def test_a_new_requester_gets_the_answers_and_the_former_one_a_copy() -> None:
    own, notice = desk()
    own.answer(notice, ANNA, f"#requester {DAN}")
    assert own.roles(1) == {DAN: "requester", ANN: "cc"}
    assert own.answer(notice, ANNA, f"#requester {DAN}").rows.events == (), "nothing changes"
    out = own.answer(notice, ANNA, "Hello Dan.")
    assert {s.row.rcpt_to for s in out.sent if s.row.kind == "reply"} == {ANN, DAN}


def test_an_agent_who_forwarded_by_hand_hands_the_ticket_to_its_customer() -> None:
    own = Desk()
    text = f"See below\n\n-------- Forwarded Message --------\nSubject: Broken\nDate: Mon, 23 Nov 2026 08:00:00 +0100\nFrom: Dan Doe <{DAN}>\nTo: {ANNA}\n\nIt smokes.\n"
    first = own.mail(BERT, SUPPORT, text, subject="Something")
    out = own.answer(first.to(ANNA)[0], ANNA, "#fwd")
    assert out.decision.disposition == "apply", out.sent
    assert own.roles(1) == {DAN: "requester"}, "an agent is no customer of his own desk"


# --- Hand over ------------------------------------------------------------------------------


def test_whoever_gets_a_ticket_reads_what_its_customer_said_last() -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "#group billing")
    assert [(s.row.kind, s.row.rcpt_to) for s in out.sent] == [("handed", CARO)]
    assert "Anna Ek gave you this ticket of billing." in out.sent[0].text
    assert "It is on fire." in out.sent[0].text
    out = own.answer(out.sent[0], CARO, "#assign bert\n#note Please call her.")
    assert out.kinds() == [("handed", BERT), ("note_notice", BERT)]
    (handed,) = [s for s in out.sent if s.row.kind == "handed"]
    assert own.answer(handed, BERT, "Hello Ann.").to(ANN)[0].text.startswith("Hello Ann.")
    assert own.answer(handed, BERT, "#assign bert").sent == (), "he has it already"


def test_a_ticket_that_moves_leaves_whoever_does_not_answer_there() -> None:
    own, notice = desk()
    own.answer(notice, ANNA, "#take")
    out = own.answer(notice, ANNA, "#group billing")
    assert own.ticket(1).assignee is None
    assert out.kinds() == [("handed", CARO)]


# --- Tickets --------------------------------------------------------------------------------


def two() -> tuple[Desk, Sent, Sent]:
    own, notice = desk()
    second = own.mail(DAN, SUPPORT, "Mine too.", subject="Fire")
    return own, notice, second.to(ANNA)[0]


@pytest.mark.parametrize(("line", "here", "there"), [
    ("#link blocks ABC-2", "blocks", "blocked_by"), ("#link hängt ab von ABC-2", "blocked_by", "blocks"),
    ("#link ABC-2", "relates", "relates"), ("#link duplicate of 2", "duplicates", "duplicated_by"), ("MemberOf: ABC-2", "child", "parent"),
    ("DependsOn: 2", "blocked_by", "blocks"), ("#link übergeordnet ABC-2", "parent", "child"),
])
def test_links_are_told_on_both_tickets_and_can_end(line: str, here: str, there: str) -> None:
    own, notice, _ = two()
    own.answer(notice, ANNA, line)
    links = {(k.ticket, k.other): k.relation for k in own.all.ticket_links if k.until is None}
    assert links == {(1, 2): here, (2, 1): there}
    assert own.answer(notice, ANNA, line).rows.events == (), "once is enough"
    shown = said(own.answer(notice, ANNA, "#show"))
    assert f"{here.replace('_', ' ')} ABC-2" in shown
    out = own.answer(notice, ANNA, "#unlink ABC-2")
    assert [(e.ticket, e.kind, e.before) for e in out.rows.events] == [(1, "unlinked", here), (2, "unlinked", there)]
    refused = own.answer(notice, ANNA, "#unlink ABC-2")
    assert "ABC-2 is not linked; linked are none" in said(refused, kind="held_notice")


def test_a_second_matter_gets_a_ticket_of_its_own() -> None:
    own, notice = desk()
    more = own.mail(ANN, SUPPORT, "And a lamp is broken.", subject="Re: [ABC-1] Printer broken",
                    references="<m1@cust.example>")
    out = own.answer(more.to(ANNA)[0], ANNA, "#split Broken lamp\n#priority low\n\nI shall send somebody.")
    assert own.ticket(2).requester == own.ticket(1).requester
    assert (own.ticket(2).priority, own.ticket(1).priority) == ("low", "normal")
    (mail,) = out.to(ANN)
    assert mail.mail.subject == "Re: [ABC-2] Broken lamp"
    assert "> And a lamp is broken." in mail.text
    assert (own.ticket(1).status, own.ticket(2).status) == ("new", "open")
    bare = own.answer(notice, ANNA, "#split")
    assert bare.sent == ()
    assert own.ticket(3).status == "new"


# --- Questions ------------------------------------------------------------------------------


def test_show_tells_the_whole_ticket_and_only_to_the_agent() -> None:
    own, notice = desk()
    own.answer(notice, ANNA, "#site Berlin\n#spent 30m\n#estimate 2h\n#tag vip\n#due +1d\n#type bug\n#take\n#pending +1w", **BERLIN)
    own.answer(notice, ANNA, "#note She is impatient.")
    out = own.answer(notice, ANNA, "#show", **BERLIN)
    assert out.kinds() == [("result", ANNA)]
    text = said(out)
    for part in ("ABC-1  Printer broken", "pending, normal, support, anna@acme.example, bug", "due 2026-11-24", "+01:00", "pending until",
                 "tags vip", "spent 30m of 2h", "site: Berlin", f"requester {ANN}", "status new -> pending", "(internal)",
                 "She is impatient.", "It is on fire.", "site: Berlin", "#undo 000000000000"):
        assert part in text, part
    for named in ("ABC-9", "XYZ-1"):
        assert "is not a ticket that you can see" in said(own.answer(notice, ANNA, f"#show {named}"))


def test_search_finds_by_words_and_narrows() -> None:
    own, notice, second = two()
    own.answer(second, ANNA, "#take\n#tag hot")
    for words, expected in (
        ("printer", ["ABC-1"]), ("fire", ["ABC-2"]), ("cust.example", ["ABC-2", "ABC-1"]), ("hot", ["ABC-2"]), ("printer hot", []),
        ("assignee:me", ["ABC-2"]), ("owner:none", ["ABC-1"]), ("status:new queue:support", ["ABC-2", "ABC-1"]), ("status:solved", []),
        ("assignee:zoe", []), ("owner:bert", []), ("queue:nowhere", []),
    ):
        out = own.answer(notice, ANNA, f"#search {words}")
        lines = [line.split()[0] for line in said(out).splitlines() if line.startswith("ABC-")]
        assert lines == expected, words


def test_a_receipt_tells_what_was_done_and_success_is_silent_without() -> None:
    own, notice = desk()
    assert own.answer(notice, ANNA, "#solved").sent == ()
    out = own.answer(notice, ANNA, f"#open\n#priority high\n#cc +{DAN}\n#receipt")
    text = said(out)
    assert "status solved -> open" in text
    assert f"{DAN} on the ticket" in text
    assert f"#undo {out.decision.spool_id}" in text
    assert "nothing changed" in said(own.answer(notice, ANNA, "#open\n#receipt"))


def test_a_dry_run_tells_and_does_nothing() -> None:
    own, notice = desk()
    before = own.ticket(1)
    out = own.answer(notice, ANNA, "#dryrun\n#solved\n#group billing\n\nDear Ann, done.")
    assert own.ticket(1) == before
    assert out.kinds() == [("result", ANNA)]
    text = said(out)
    for part in ("nothing was done", "status open -> solved", f"public answer to: {ANN}", f"handed to: {CARO}"):
        assert part in text, part
    wrong = own.answer(notice, ANNA, "#dryrun\n#sovled\n\nDear Ann.")
    assert "it would be held: commands" in said(wrong)
    assert "did you mean #solved" in said(wrong)
    assert "nothing changed" in said(own.answer(notice, ANNA, "#dryrun\n#tag -x"))


# --- Macros and subjects --------------------------------------------------------------------


def test_a_macro_answers_and_does_what_goes_with_it() -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "#macro reset")
    (mail,) = out.to(ANN)
    assert mail.text.startswith("Dear Ann Ames,\n\nyour password is reset (ABC-1).\n\nAnna Ek {else}")
    assert (own.ticket(1).status, own.ticket(1).tags) == ("solved", "password")


def test_own_words_stand_above_a_macro_and_own_commands_win() -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "#macro reset\n#pending\n\nSorry for the wait.")
    assert out.to(ANN)[0].text.startswith("Sorry for the wait.\n\nDear Ann Ames,")
    assert own.ticket(1).status == "pending"
    quiet = own.answer(notice, ANNA, "#macro quiet")
    assert quiet.to(ANN) == []
    assert own.ticket(1).priority == "low"


def test_commands_at_the_end_of_a_subject() -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "Done, Ann.", subject="Re: [ABC-1] Printer broken [solved; owner=bert; tags=+vip; site Berlin]")
    assert (own.ticket(1).status, own.ticket(1).tags) == ("solved", "vip")
    assert values(own) == {"site": "Berlin"}
    assert out.to(ANN)[0].mail.subject == "Re: [ABC-1] Printer broken"


@pytest.mark.parametrize("suffix", ["[new layout]", "[2/3]", "[ABC-1]", "[sovled]"])
def test_other_brackets_are_nobodys_commands(suffix: str) -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "Hello.", subject=f"Re: [ABC-1] Printer broken {suffix}")
    assert out.kinds() == [("brief", BERT), ("reply", ANN)]


def test_what_has_no_sense_in_a_subject_is_told_and_holds_nothing() -> None:
    own, notice = desk()
    out = own.answer(notice, ANNA, "Hello.", subject="Re: [ABC-1] x [solved; owner me too; 1]")
    assert out.to(ANN)
    assert own.ticket(1).status == "open"
    assert "owner me too" in said(out)
    later = own.answer(notice, ANNA, "#open\n\nHello.", subject="Re: [ABC-1] x [solved; tag a; tag b]")
    assert own.ticket(1).status == "open"
    assert own.ticket(1).tags == "a b"
    assert "your mail says it itself" in said(later)


def test_a_customers_own_brackets_come_back_in_answers_and_are_no_command() -> None:
    own, first = opened(subject="Printer [urgent]")
    own.answer(first.to(ANNA)[0], ANNA, "Hello.")
    assert own.ticket(1).priority == "normal"


def test_a_held_mail_is_sent_with_its_macro_and_its_split() -> None:
    own, notice = desk()
    own.answer(next(s for s in own.sent if s.row.rcpt_to == BERT), BERT, "I am on it.")
    held = own.answer(notice, ANNA, "#macro reset\n#split Password\n\nSorry for the wait.")
    assert held.held == "stale"
    out = own.answer(held.to(ANNA)[0], ANNA, "#send")
    (mail,) = out.to(ANN)
    assert mail.text.startswith("Sorry for the wait.\n\nDear Ann Ames,\n\nyour password is reset (ABC-1).")
    assert (own.ticket(2).status, own.ticket(1).status) == ("solved", "open")
    own, notice = desk()
    own.answer(next(s for s in own.sent if s.row.rcpt_to == BERT), BERT, "I am on it.")
    held = own.answer(notice, ANNA, "Sorry for the wait.")
    wrong = own.answer(held.to(ANNA)[0], ANNA, "#send\n#macro nope")
    assert "possible are reset" in said(wrong, kind="held_notice")
