"""A forwarded mail is read as its program wrote it: who, when, what about, and the words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.forward import read_date, read_forward
from gateway.core.model import Address

ANN = Address(name="Ann Berg", address="ann@cust.example")


@pytest.mark.parametrize("block", [
    "From: {}|Sent: Tuesday, 3 March 2026|To: Bob|Subject: Lamp", "Von: {}|Gesendet: Dienstag|An: Bob|Betreff: Lamp",
    "De : {}|Envoyé : mardi|À : Bob|Objet : Lamp", "De: {}|Enviado el: martes|Para: Bob|Asunto: Lamp", "De: {}|Enviada em: terça|Para: Bob|Assunto: Lamp",
    "Da: {}|Inviato: martedì|A: Bob|Oggetto: Lamp", "Van: {}|Verzonden: dinsdag|Aan: Bob|Onderwerp: Lamp", "Från: {}|Skickat: den 3|Till: Bob|Ämne: Lamp",
    "Fra: {}|Sendt: tirsdag|Til: Bob|Emne: Lamp", "Lähettäjä: {}|Lähetetty: tiistai|Vastaanottaja: Bob|Aihe: Lamp", "Od: {}|Wysłano: wtorek|Do: Bob|Temat: Lamp",
    "Od: {}|Odesláno: úterý|Komu: Bob|Předmět: Lamp", "Feladó: {}|Elküldve: kedd|Címzett: Bob|Tárgy: Lamp", "De la: {}|Trimis: marți|Către: Bob|Subiect: Lamp",
    "От: {}|Изпратено: вторник|До: Bob|Относно: Lamp", "Šalje: {}|Poslano: utorak|Prima: Bob|Predmet: Lamp", "Από: {}|Στάλθηκε: Τρίτη|Προς: Bob|Θέμα: Lamp",
    "Kimden: {}|Gönderildi: Salı|Kime: Bob|Konu: Lamp", "От: {}|Отправлено: 3 марта|Кому: Bob|Тема: Lamp", "Від: {}|Надіслано: вівторок|Кому: Bob|Тема: Lamp",
    "Saatja: {}|Saadetud: teisipäev|Saaja: Bob|Teema: Lamp", "מאת: {}|נשלח: יום שלישי|אל: Bob|נושא: Lamp", "من: {}|تم الإرسال: الثلاثاء|إلى: Bob|الموضوع: Lamp",
    "Từ: {}|Đã gửi: Thứ Ba|Đến: Bob|Chủ đề: Lamp", "จาก: {}|ส่ง: วันอังคาร|ถึง: Bob|เรื่อง: Lamp", "发件人: {}|发送时间: 3月|收件人: Bob|主题: Lamp",
    "差出人： {}|送信日時： 3月|宛先： Bob|件名： Lamp", "보낸 사람: {}|보낸 날짜: 3월|받는 사람: Bob|제목: Lamp", "*From:* {}|*Date:* Tuesday|*To:* Bob|*Subject:* Lamp",
])
@pytest.mark.parametrize("above", ["See below.\n\n", "See below.\n\n-- \nAnna\n\n________________________________\n", "See below.\n\n-----Original Message-----\n"])
def test_header_blocks_in_many_languages(block: str, above: str) -> None:
    fields = block.format("Ann Berg <ann@cust.example>").replace("|", "\n")
    found = read_forward(f"{above}{fields}\n\nIt blinks.\n\nAnn\n")
    assert found is not None
    assert (found.sender, found.subject, found.body, found.above) == (ANN, "Lamp", "It blinks.\n\nAnn", "See below.")
    assert found.when


@pytest.mark.parametrize("shown", [
    '"Ann Berg" <ann@cust.example>', "Ann Berg [mailto:ann@cust.example]", "Ann Berg <mailto:ann@cust.example>", "Ann Berg (Ann@CUST.example)",
    "*Ann Berg* <ann@cust.example>", "Ann Berg\n <ann@cust.example>", "Ann Berg <\nann@cust.example>", "\nAnn Berg <ann@cust.example>",
    "Ann Berg <ann@cust.example<mailto:ann@cust.example>>",
])
def test_names_and_addresses_as_clients_write_them(shown: str) -> None:
    found = read_forward(f"From: {shown}\nSent: today\nTo: b@c.example\nSubject: x\n\ny")
    assert found is not None
    assert found.sender == ANN
    assert [a.address for a in found.to] == ["b@c.example"]


def test_marks_of_quotes_come_off_and_end_the_forward() -> None:
    found = read_forward("Look.\n\n> Begin forwarded message:\n>\n> From: a@b.example\n> Subject: x\n>\n> One\n>> Two\n\nAnna")
    assert found is not None
    assert (found.body, found.above, found.when) == ("One\n> Two", "Look.", "")


def test_fields_may_stand_apart_and_be_folded() -> None:
    found = read_forward(
        "-----Original Message-----\nFrom: a@b.example\n\nDate: 3.3.2026\nTo:<c@d.example>,\n e@f.example\nCc: g@h.example;\nbad@, i@j.example\n\n\n"
        "Subject: A\n B\nReply-To: x@y.example\nImportance: high\n\n\nFrom: text\n"
    )
    assert found is not None
    assert (found.subject, found.when, found.body) == ("A B", "3.3.2026", "From: text")
    assert [a.address for a in (*found.to, *found.cc)] == ["c@d.example", "e@f.example", "g@h.example", "i@j.example"]


def test_lotus_notes_begins_with_the_name() -> None:
    found = read_forward("----- Forwarded by Anna/ACME on 03.03.2026 -----\n\nAnn Berg <ann@cust.example>\n03.03.2026\n\nIt blinks.")
    assert found is not None
    assert (found.sender, found.when, found.body) == (ANN, "03.03.2026", "It blinks.")


@pytest.mark.parametrize("text", [
    "", "It blinks.", "On 3 Mar 2026 Anna <a@b> wrote:\n> x", "Begin forwarded message:\n\nnothing", "-----Original Message-----\n", "-----Original Message-----\nx",
    "From: Ann Berg\nSent: today\nTo: Bob\nSubject: x\n\nno address", "From: me\nI went home.",
    "Begin forwarded message:\n\nFrom: a@=?x?=\n\ny", "> Begin forwarded message:\n\n\n\n\n\n\n\nFrom: a@b.example",
])
def test_what_names_no_sender_is_no_forward(text: str) -> None:
    assert read_forward(text) is None


def test_many_recipients_are_read_to_a_bound() -> None:
    many = ", ".join(f"a{i}@b.example" for i in range(300))
    found = read_forward(f"From: a@b.example\nSent: x\nTo: {many}\nSubject: y\n\nz")
    assert found is not None
    assert len(found.to) == 100


@pytest.mark.parametrize(("words", "day"), [
    ("Tue, 3 Mar 2026 10:12:00 +0100", (9, 12)), ("3. März 2026 um 10:12:00 MEZ", (9, 12)), ("March 3, 2026 at 10:12:00 PM PST", (30, 12)),
    ("3 de marzo de 2026, 10:12:00 CET", (9, 12)), ("3 mars 2026 à 10:12:00 UTC+1", (9, 12)), ("2026-03-03 12:12 AM GMT-07:00", (7, 12)),
    ("3. marts 2026 10:12 Z", (10, 12)),
])
def test_dates_that_name_their_zone(words: str, day: tuple[int, int]) -> None:
    hours, minute = day
    assert read_date(words) == datetime(2026, 3, 3 + hours // 24, hours % 24, minute, tzinfo=UTC)


@pytest.mark.parametrize("words", [
    "", "yesterday", "3 Mar 2026 10:12", "3/3/2026 10:12 +0100", "3 Foo 2026 10:12 +0100", "Foo 3, 2026 10:12 +0100", "3 Mar 2026 10:12 XYZ",
    "30 Feb 2026 10:12 GMT", "3 Mar 2026 25:12 GMT", "1 Jan 0001 00:00 +0100", "3 Mar 2026 10:12 +9900",
])
def test_dates_that_may_be_read_two_ways_are_left_in_words(words: str) -> None:
    assert read_date(words) is None


PIECES = st.sampled_from([
    "From: a@b.example", "Sent: x", "To: c@d.example", "Subject: y", "", "> From: a@b.example", ">", "Begin forwarded message:", "text", "-- ",
    "-----Original Message-----", "> Subject: z", "_____________", "On 3 Mar 2026 a <a@b> wrote:",
])


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("\n".join)))
def test_any_text_is_read_and_nothing_is_made_up(text: str) -> None:
    found = read_forward(text)
    assert found is None or all(line in text for line in (*found.body.split("\n"), *found.above.split("\n")))
