"""The author's new words are kept, all of them; what he quotes and signs with is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.forward import read_forward
from gateway.core.quote import MOST_LOOKED, Split, split_reply

relaxed = settings(deadline=None, max_examples=100)

OURS = (
    "Hello Bob,\n\nplease restart the machine and tell us what the small green light on the front does afterwards.\n\n"
    "Kind regards\nAnna\n"
)


@pytest.mark.parametrize("header", [
    "On Tue, 3 Mar 2026 at 10:12, Anna <anna@acme.example> wrote:",
    "On Tue, 3 Mar 2026 at 10:12, Anna\n<anna@acme.example> wrote:",
    "On Tuesday,\n3 Mar 2026\nat 10:12, Anna <anna@acme.example>\nwrote:",
    "Am 03.03.2026 um 10:12 schrieb Anna Ahlberg:", "Anna <anna@acme.example> schrieb am Di., 3. März 2026\num 10:12 Uhr:",
    "Le mar. 3 mars 2026 à 10:12, Anna <anna@acme.example> a écrit :", "El 3/3/2026 a las 10:12, Anna escribió:",
    "Den 3 mars 2026 kl. 10:12 skrev Anna <anna@acme.example>:", "Op di 3 mrt 2026 om 10:12 schreef Anna <anna@acme.example>:",
    "Il giorno 3 mar 2026, alle ore 10:12, Anna ha scritto:", "Em 3 de mar de 2026 às 10:12, Anna escreveu:",
    "W dniu 3.03.2026 o 10:12, Anna napisał(a):", "ti 3. maalisk. 2026 klo 10.12 Anna kirjoitti:",
    "3 марта 2026 г., 10:12, Anna <anna@acme.example> написала:", "2026年3月3日 10:12 Anna <anna@acme.example> 写道：",
    "2026-03-03 10:12 GMT+01:00 Anna <anna@acme.example>:", "---- On Tue, 03 Mar 2026 10:12 anna@acme.example wrote ----",
])
@pytest.mark.parametrize("quote", ["> Does it blink?\n> Anna", "Does it blink?\nAnna"])
def test_the_headers_of_many_clients_and_languages_begin_the_quote(header: str, quote: str) -> None:
    assert split_reply(f"Yes, it does.\n\n{header}\n\n{quote}\n") == Split("Yes, it does.", f"{header}\n\n{quote}", "")


@pytest.mark.parametrize("block", [
    "-----Original Message-----\nFrom: Anna\n", "-----Ursprüngliche Nachricht-----\nVon: Anna\n",
    "________________________________\nFrom: Anna <a@b>\nSent: Tuesday\nTo: Bob\nSubject: It\n",
    "________________________________\n\nVon: Anna\nGesendet: Dienstag\nAn: Bob\nBetreff: Es\n",
    "De : Anna\nEnvoyé : mardi\nÀ : Bob\nObjet : x\n", "De: Anna\nEnviado: martes\nPara: Bob\nAsunto: x\n",
    "Da: Anna\nInviato: martedì\nA: Bob\nOggetto: x\n", "Van: Anna\nVerzonden: dinsdag\nAan: Bob\nOnderwerp: x\n",
    "Od: Anna\nWysłano: wtorek\nDo: Bob\nTemat: x\n", "Från: Anna\nSkickat: tisdag\nTill: Bob\nÄmne: x\n",
    "De: Anna\nEnviada em: terça\nPara: Bob\nAssunto: x\n", "*From:* Anna\n*Sent:* Tuesday\n*To:* Bob\n",
    "差出人： Anna\n送信日時： 2026\n宛先： Bob\n件名： x\n", "Begin forwarded message:\n\nFrom: Anna\n",
])
def test_blocks_and_separators_take_all_below_along(block: str) -> None:
    split = split_reply(f"Yes.\n\n{block}\nDoes it blink?\n")
    assert split.new == "Yes."
    assert split.quoted.startswith(block.split("\n")[0])
    assert split.quoted.endswith("Does it blink?")


@pytest.mark.parametrize("text", [
    "It blinks.", "On Monday I was away.\nOne more thing: it blinks.", "He wrote:\nnothing.", "From: here\nTo: there\nI went.",
    "Note:\nOn Monday, 10:12, it blinked:\nred.", "a\n\nb\n  c", "Sent from my desk, which is easier than my phone.",
    "I use -- often", "The original message was lost.",
])
def test_plain_text_is_kept_whole(text: str) -> None:
    assert split_reply(text) == Split(text, "", "")


@pytest.mark.parametrize("signature", [
    "-- \nBob\nAcme", "--\nBob", "Sent from my iPhone", "Von meinem iPhone gesendet", "Get Outlook for Android<https://x.example>",
    "Envoyé de mon iPhone", "Enviado desde mi teléfono", "Gesendet mit der Mail App", "Sent from my iPhone\n\n-- \nBob",
    "_" * 40 + "\nusers mailing list\nusers@lists.example",
])
@pytest.mark.parametrize("quote", ["", "\n\n> It does?", "\n\nOn 3 Mar 2026, Anna <a@b.example> wrote:\n> It does?"])
def test_signatures_are_told_from_the_text(signature: str, quote: str) -> None:
    split = split_reply(f"It blinks.\n\n{signature}{quote}")
    assert split.new == "It blinks."
    assert split.signature == "\n".join(line.rstrip() for line in signature.split("\n"))


def test_an_answer_below_the_quote_is_the_new_text() -> None:
    assert split_reply("On 3 Mar 2026 Anna <a@b> wrote:\n> It does?\n\nYes.") == Split(
        "Yes.", "On 3 Mar 2026 Anna <a@b> wrote:\n> It does?", ""
    )
    assert split_reply("On 3 Mar 2026 Anna <a@b> wrote:\n\nYes.").new == "Yes."


def test_answers_between_quotes_keep_the_quotes_they_answer() -> None:
    text = "Hi\n\n> First?\n\nYes.\n\n> Second?\n\nNo."
    assert split_reply(text + "\n\n> Third?").new == text


def test_a_quote_that_nobody_announced_is_the_authors_choice() -> None:
    assert split_reply("> Hello\n> Bob\n") == Split("> Hello\n> Bob", "", "")
    assert split_reply("> It does?\n\nYes.\n\n-- \nBob") == Split("> It does?\n\nYes.", "", "--\nBob")


def test_a_mail_of_announced_quotes_only_says_nothing_new() -> None:
    header = "On 3 Mar 2026 Anna <a@b.example> wrote:"
    assert split_reply(f"{header}\n> Hello\n") == Split("", f"{header}\n> Hello", "")
    assert split_reply(f"> {header}\n>> Hello\n") == Split("", f"> {header}\n>> Hello", "")
    assert split_reply("> Hello\n> please restart\n\n-- \nBob", "Hello\nplease restart").new == ""
    assert split_reply("") == split_reply("\n \n") == Split("", "", "")


def test_answers_below_a_header_and_between_quotes_keep_all_quotes() -> None:
    text = "> First?\n\nYes.\n\n> Second?\n\nNo."
    header = "On 3 Mar 2026 Anna <a@b.example> wrote:"
    assert split_reply(f"{header}\n\n{text}\n\n> Third?") == Split(text, f"{header}\n\n> Third?", "")


@pytest.mark.parametrize("header", [
    "Anna <a@b.example> wrote on 03.03.2026 10:12:13:", "--- On Tue, 3/3/26, Anna <a@b.example> wrote:", "-----Anna Ek/ACME wrote: -----",
    'At 2026-03-03 10:12:13, "Anna" <a@b.example> wrote:', "Quoting Anna <a@b.example>:", "Zitat von Anna <a@b.example>:",
    "Anna <a@b.example> hat am 03.03.2026 10:12 geschrieben:", "Op 3 mrt. 2026 om 10:12 heeft Anna <a@b.example> geschreven:",
    "út 3. 3. 2026 v 10:12 odesílatel Anna <a@b.example> napsal:", "Anna <a@b.example> ezt írta (időpont: 2026. márc. 3., K, 10:12):",
    "Στις Τρί 3 Μαρ 2026 στις 10:12 π.μ., ο/η Anna <a@b.example> έγραψε:", "вт, 3 мар. 2026 г. в 10:12, Anna <a@b.example>:",
    "Missatge de Anna <a@b.example> del dia dt., 3 de març 2026 a les 10:12:", "2026年3月3日(火) 10:12 Anna <a@b.example>:",
    "\u202bבתאריך יום ג׳, 3 במרץ 2026 ב-10:12 מאת \u202aAnna\u202c\u200f <\u202aa@b.example\u202c\u200f>:\u202c",
    "Anna <a@b.example> 于2026年3月3日周二 10:12写道：", "2026년 3월 3일 (화) 오전 10:12, Anna <a@b.example>님이 작성:",
    "pe 20. lokakuuta 2026 klo 17.50 Anna\n<a@b.example> kirjoitti:", "On Thu, 5 Mar 2026 at 11:16 Anna\n\n<\nmailto:Anna <a@b.example>\n> wrote:",
    "Mar 3, 2026 10:12 AM Anna <\na@b.example> ita:",
])
@pytest.mark.parametrize("quote", ["> Does it?", "\nDoes it?"])
def test_more_headers_begin_the_quote(header: str, quote: str) -> None:
    assert split_reply(f"Yes.\n\n{header}\n{quote}").new == "Yes."


@pytest.mark.parametrize("text", [
    "It failed on 3.3.2026.\nAnna wrote:\nnothing", "See the log of 3 March 2026:\nred", "Ask <a@b.example>, please:\nwhy",
    "Name: Bob\nE-mail: b@c.example\nDate: 2026-03-03\n\nIt blinks.", "____________\nName: Bob\nMail: none\nDate: 3 March 2026\nIt blinks.",
    "____________\nNote: a\nIt blinks.", "From: a\nFrom: b\nFrom: c\nSee?", "Previous replies did not help.",
])
def test_text_like_a_header_is_kept(text: str) -> None:
    assert split_reply(f"Hello.\n\n{text}").new == f"Hello.\n\n{text}"


@pytest.mark.parametrize("marker", [
    "##- Please type your reply above this line -##", "--- Reply above. Do not remove this line. ---", "*Previous Replies*",
    "Bitte schreiben Sie Ihre Antwort über dieser Zeile", "________________________________\nMittens: A <a@b>\nMissum: 3.3.2026\nRes: Id",
    "> Begin forwarded message:\n>", "Forwarded message:\n\n> From: A", "---------- Weitergeleitete Nachricht ---------",
])
def test_what_other_programs_write_ends_the_reply(marker: str) -> None:
    assert split_reply(f"Yes.\n\n{marker}\nDoes it?") == Split("Yes.", f"{marker}\nDoes it?", "")


def test_runs_of_blank_lines_become_one() -> None:
    assert split_reply("\n\na \n\n \n\nb\r\n\r\n").new == "a\n\nb"


@pytest.mark.parametrize("quote", [
    OURS, "| " + OURS.replace("\n", "\n| "), OURS.upper(),
    "please restart the machine and tell us what the\nsmall green light on the front does\nafterwards.\n\nKind regards\nAnna",
    "> please restart the machine and tell us what the small green light on the front does afterwards.",
    "please restart the machine and tell us what the small green light on the front does afterwards.",
])
def test_our_own_words_are_cut_however_they_are_quoted(quote: str) -> None:
    assert split_reply(f"It blinks.\n\n{quote}", OURS).new == "It blinks."


def test_an_answer_below_our_own_unmarked_words_is_kept() -> None:
    assert split_reply(f"{OURS}\nIt blinks.\nBob", OURS).new == "It blinks.\nBob"


def test_what_people_say_anyway_is_not_taken_for_our_words() -> None:
    for text in ("It blinks.\n\nKind regards\nBob", "Hello Bob,\n\nit blinks.", "It blinks.\n\nKind regards"):
        assert split_reply(text, OURS).new == text


def test_an_unchanged_copy_of_our_mail_is_all_quote() -> None:
    assert split_reply(OURS, OURS).new == ""


def test_below_the_limit_only_marks_are_seen() -> None:
    long = "\n".join(["word"] * MOST_LOOKED)
    assert split_reply(f"{long}\n-----Original Message-----\nx\n> y").new.endswith("-----Original Message-----\nx")


@relaxed
@given(st.text(), st.one_of(st.none(), st.text()))
def test_any_text_splits_and_nothing_is_made_up(text: str, sent: str | None) -> None:
    split = split_reply(text, sent)
    for part in (split.new, split.quoted, split.signature):
        for line in part.split("\n"):
            assert line in text


pieces = st.sampled_from([
    "Hello", "", "> quoted", "On 3 Mar 2026 Anna <a@b> wrote:", "-- ", "Sent from my iPhone", "-----Original Message-----",
    "From: Anna", "To: Bob", "Subject: x", "_" * 30, "Kind regards", "please restart the machine",
])


@relaxed
@given(st.lists(pieces, max_size=12))
def test_every_line_ends_up_in_exactly_one_part(lines: list[str]) -> None:
    split = split_reply("\n".join(lines), OURS)
    shown = [line for part in (split.new, split.quoted, split.signature) for line in part.split("\n") if line]
    assert sorted(shown) == sorted(line.rstrip() for line in lines if line)


@pytest.mark.parametrize("unit", [
    "\n", " \n", "-----\n", "a:\n", "<\na@b\n> wrote:\n", "On 1.1.2026 a@b wrote:\n", "From: a\n", ">\n", "> a\nb\n", "Sent from my iPhone\n\n",
    "Kind regards\nA B\n", f"{'_' * 40}\na@b\n", "----------\nAnn\na@b\n", "-- \nx\n> q\n", "> Begin forwarded message:\n", "-----Original Message\n",
    "This e-mail is confidential and intended for the addressee, and nobody else.\n\n", "a", " ", "* ", "a@b:", "1.1.", "lieben ", "Sent from my ",
])
def test_a_mail_made_to_hurt_is_read_in_one_pass(unit: str) -> None:
    """200 kB of each: what is quadratic takes minutes here, and the suite's limit ends it."""
    text = unit * (200_000 // len(unit))
    split = split_reply(text)
    assert len(split.new) + len(split.quoted) + len(split.signature) <= len(text)
    assert read_forward(text) is None or "From:" in text or "@" in text
