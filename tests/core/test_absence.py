"""Absence notices: known by their first words in many languages, with the day of return where it is certain."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.absence import ABSENT, PROMISE, back_on

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize("text", [
    "I am currently out of the office.", "I'm away until Monday", "I will be on annual leave", "I am on vacation",
    "Ich bin derzeit nicht im Büro", "Ich bin zur Zeit im Urlaub", "Ich bin vom 1. an abwesend", "Je suis actuellement absente",
    "Je suis en congés", "Estoy fuera de la oficina", "Estoy de vacaciones", "Estou de férias", "Encontro-me ausente", "Sono in ferie",
    "Sono fuori ufficio", "Ik ben momenteel afwezig", "Jag är på semester", "Jeg er på ferie", "Jeg er ikke på kontoret", "Olen lomalla",
    "Jestem na urlopie", "Przebywam na urlopie", "Jsem na dovolené", "Szabadságon vagyok", "Sunt în concediu", "Я в отпуске",
    "Я у відпустці", "Ofis dışındayım", "Απουσιάζω από το γραφείο", "Отсъствам до петък", "休暇をいただいております", "我正在休假", "휴가 중입니다",
])
def test_an_absence_in_many_languages(text: str) -> None:
    assert ABSENT.search(text)


@pytest.mark.parametrize("text", [
    "The printer is out of paper", "I am writing because the printer fails", "Ich bin mit dem Drucker unzufrieden", "I am out of ideas",
    "Is the office closed?", "She left the office", "Je suis content",
])
def test_other_letters_are_none(text: str) -> None:
    assert not ABSENT.search(text)


@pytest.mark.parametrize("text", ["In urgent cases call 1", "In dringenden Fällen", "En cas d'urgence", "I will reply when I return", "Mein Vertreter ist"])
def test_a_notice_promises_something(text: str) -> None:
    assert PROMISE.search(text)


@pytest.mark.parametrize(("text", "back"), [
    ("I am away until 2026-12-07.", date(2026, 12, 7)),
    ("I will be back on 7 December.", date(2026, 12, 7)),
    ("I will return on December 7th, 2026", date(2026, 12, 7)),
    ("returning to the office on Monday, December 7", date(2026, 12, 7)),
    ("I am out until January 4", date(2027, 1, 4)),
    ("away until 25/12/2026", date(2026, 12, 25)),
    ("away until 12/25/26", date(2026, 12, 25)),
    ("Ich bin bis zum 7.12.2026 nicht im Büro", date(2026, 12, 7)),
    ("Ich bin bis einschließlich 7.12. abwesend, ab dem 8. Dezember wieder da", date(2026, 12, 8)),
    ("Je suis absent jusqu'au 7 décembre", date(2026, 12, 7)),
    ("hasta el 7 de diciembre de 2026", date(2026, 12, 7)),
    ("fino al 7 dicembre", date(2026, 12, 7)),
    ("Ik ben afwezig tot 7 december", date(2026, 12, 7)),
    ("Jestem na urlopie do 7 grudnia", date(2026, 12, 7)),
    ("Я в отпуске до 7 декабря", date(2026, 12, 7)),
    ("12月7日まで休暇です", date(2026, 12, 7)),
    ("2026年12月7日まで不在", date(2026, 12, 7)),
    ("from 1 December until 4 December, back on 7 December", date(2026, 12, 7)),
    ("until 03/04/2027", None),         # March or April?
    ("until 04/04/2027", date(2027, 4, 4)),
    ("until Monday", None),
    ("until 7 Foo", None),
    ("until Foo 7", None),
    ("until 31.2.2027", None),
    ("until 99/99/2027", None),
    ("until 2020-01-01", None),         # long past
    ("until 2031-01-01", None),         # nobody is away for years
    ("until 29 February", None),        # not in 2026
    ("invoice of 7 December", None),
    ("", None),
])
def test_the_day_of_return(text: str, back: date | None) -> None:
    assert back_on(text, TODAY) == back


@settings(deadline=None)
@given(st.text(max_size=80) | st.lists(st.sampled_from(["until", "bis", "back", "7", "12.", "2026", "/3/", "December", "déc", "年", "月7日まで", "-", "."]), max_size=12).map(" ".join))
def test_any_text_gives_a_near_day_or_none(text: str) -> None:
    found = back_on(text, TODAY)
    assert found is None or abs((found - TODAY).days) <= 400
